//! `so8t init`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{print, tell};
use crate::manifest::ManifestFile;
use crate::pipeline::{Narrator, check_free, draft};
use crate::{Error, Result, files};

#[derive(Args)]
pub(super) struct Arguments {
    /// Data files, or folders of them; the folder `data` where none is named
    files: Vec<PathBuf>,
    /// The model: a Hugging Face folder, a GGUF file, or `hf:org/name@revision`
    #[arg(long, value_name = "MODEL")]
    base: Option<String>,
    /// The run's name
    #[arg(long, value_name = "NAME", default_value = "first")]
    name: String,
    /// Where the manifest is written
    #[arg(long, value_name = "FILE", default_value = "so8t.toml")]
    out: PathBuf,
}

pub(super) fn init(arguments: &Arguments) -> Result<()> {
    check_free(&arguments.out)?;
    let mut given = arguments.files.clone();
    if given.is_empty() && Path::new("data").is_dir() {
        given.push(PathBuf::from("data"));
    }
    if given.is_empty() {
        return Err(Error::manifest("expected a data file or a folder of them, found none, and no folder `data` here")
            .with_hint("for example `so8t init requests.csv`"));
    }
    // The manifest's paths are relative to its folder.
    let is_elsewhere = arguments.out.parent().is_some_and(|parent| !parent.as_os_str().is_empty());
    let absolute = |path: &Path| std::path::absolute(path).map_err(|e| Error::io("read", path, &e));
    let mut base = arguments.base.clone();
    if is_elsewhere {
        given = given.iter().map(|path| absolute(path)).collect::<Result<_>>()?;
        if let Some(path) = base.as_mut().filter(|path| Path::new(path.as_str()).exists()) {
            *path = absolute(Path::new(path.as_str()))?.display().to_string();
        }
    }
    let draft = draft(&given, base.as_deref(), &arguments.name, Narrator::new(true))?;
    // The draft is a manifest, whatever it leaves open.
    let file = ManifestFile::parse(&arguments.out, draft.text.clone())?;
    files::write(&arguments.out, draft.text.as_bytes())?;
    let mut out = String::new();
    draft.notes.iter().for_each(|note| out.push_str(&format!("{note}\n")));
    out.push_str(&format!("written: {}\n", arguments.out.display()));
    let shown = arguments.out.display();
    if draft.questions.is_empty() {
        out.push_str(&format!(
            "\nnext: so8t prepare {shown}\n      so8t run {shown} --dry-run\n      so8t run {shown}\n"
        ));
    } else {
        out.push_str("\nit is not whole yet; say:\n");
        draft.questions.iter().for_each(|question| out.push_str(&format!("  {question}\n")));
    }
    print(&out)?;
    if draft.questions.is_empty()
        && let Err(error) = file.resolve()
    {
        tell(format_args!("warning: {error}"));
    }
    Ok(())
}
