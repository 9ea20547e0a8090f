//! The standard plugins that this program carries.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::load::MAX_COMPONENT_BYTES;
use so8t_base::{Error, Result, files};

macro_rules! carried {
    ($($name:literal)*) => {
        /// The names of the standard plugins.
        pub const NAMES: &[&str] = &[$($name),*];

        fn carried(name: &str) -> Option<&'static [u8]> {
            match name {
                $($name => Some(include_bytes!(concat!("prebuilt/", $name, ".wasm"))),)*
                _ => None,
            }
        }
    };
}

carried!(
    "agreement" "alpaca" "calibration" "chat" "classification" "cost" "csv" "curves" "four-class" "hh-rlhf" "json-array" "jsonl"
    "quadruple-thinking" "table"
);

/// A variable of the environment that names a folder of `NAME.wasm`, used in place of those carried. It is there to test
/// standard plugins that were just built; their digests differ from the carried ones.
pub const FOLDER_VARIABLE: &str = "SO8T_COMPONENTS";

/// The file that stands in the place of a standard plugin, where [`FOLDER_VARIABLE`] is set. It is a file as any other: policies know it by
/// its path.
pub(super) fn file(name: &str) -> Option<PathBuf> {
    carried(name)?;
    std::env::var_os(FOLDER_VARIABLE).map(|folder| Path::new(&folder).join(format!("{name}.wasm")))
}

/// The bytes of a standard plugin.
///
/// # Errors
///
/// When there is none of this name; or when [`FOLDER_VARIABLE`] is set and the file cannot be read.
pub fn bytes(name: &str) -> Result<Cow<'static, [u8]>> {
    let Some(carried) = carried(name) else {
        return Err(Error::plugin(format!(
            "`builtin:{name}` does not exist: expected one of `{}`",
            NAMES.join("`, `")
        )));
    };
    match file(name) {
        Some(file) => Ok(Cow::Owned(files::read_at_most(&file, MAX_COMPONENT_BYTES)?)),
        None => Ok(Cow::Borrowed(carried)),
    }
}
