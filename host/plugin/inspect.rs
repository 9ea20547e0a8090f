//! What a component imports and exports, read from its bytes before anything is compiled.

use std::fmt;

use wasmparser::{Encoding, Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::log::printable;

/// The one version of the interface that this host knows.
const VERSION: &str = "0.1.0";
/// The interface whose functions guests may import.
pub(super) const LOG: &str = "so8t:plugin/log";
/// How many of a component's exports an error names.
const SHOWN: usize = 8;
/// The interface that guests may import because it brings types alone, which is how those of an exported interface are named.
pub(super) const TYPES: &str = "so8t:plugin/types";

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginKind {
    /// Reads a data format.
    Converter,
    /// Turns the labels of a source into those of the experiment.
    LabelMapper,
    /// Measures predictions.
    Metric,
}

impl PluginKind {
    const ALL: [Self; 3] = [Self::Converter, Self::LabelMapper, Self::Metric];

    /// The interface that a plugin of this kind exports, without its version.
    fn interface(self) -> &'static str {
        match self {
            Self::Converter => "so8t:plugin/conversion",
            Self::LabelMapper => "so8t:plugin/mapping",
            Self::Metric => "so8t:plugin/measurement",
        }
    }
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Converter => "converter",
            Self::LabelMapper => "label mapper",
            Self::Metric => "metric",
        })
    }
}

/// Reads the names of the imports and exports of a component: refuses what this host does not provide, and tells the kind.
pub(super) fn inspect(bytes: &[u8]) -> Result<PluginKind, String> {
    let names = Names::read(bytes)?;
    for name in &names.imports {
        let (interface, version) = split(name);
        let known = interface == LOG || interface == TYPES;
        if !known {
            return Err(format!(
                "imports `{}`, which no plugin gets: the only import is `{LOG}@{VERSION}`",
                printable(name, 200)
            ));
        }
        check_version("imports", name, version)?;
    }
    let mut kinds = Vec::new();
    for name in &names.exports {
        let (interface, version) = split(name);
        for kind in PluginKind::ALL.into_iter().filter(|kind| kind.interface() == interface) {
            check_version("exports", name, version)?;
            kinds.push(kind);
        }
    }
    match kinds[..] {
        [kind] => Ok(kind),
        [] => {
            let expected = PluginKind::ALL.map(|kind| format!("`{}@{VERSION}`", kind.interface())).join(", ");
            let mut found: Vec<_> =
                names.exports.iter().take(SHOWN).map(|name| format!("`{}`", printable(name, 200))).collect();
            if names.exports.len() > SHOWN {
                found.push(format!("and {} more", names.exports.len() - SHOWN));
            }
            let found = if found.is_empty() { "no export".into() } else { found.join(", ") };
            Err(format!("is no plugin: expected one export of {expected}, found {found}"))
        }
        _ => Err(format!(
            "exports several kinds of plugin ({}): expected one",
            kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// Checks what the allowed imports hold: the log its one function, and nothing else but types, which give a guest nothing
/// to call. The interfaces that a guest may import have no resource types.
pub(super) fn check_import_types(component: &Component, engine: &Engine) -> Result<(), String> {
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            return Err(format!("imports `{}`, which is not an interface", printable(name, 200)));
        };
        for (item, export) in instance.exports(engine) {
            let log = split(name).0 == LOG && item == "log";
            let allowed = match export.ty {
                ComponentItem::Type(_) => true,
                ComponentItem::ComponentFunc(_) => log,
                _ => false,
            };
            if !allowed {
                return Err(format!(
                    "imports `{}` of `{name}`, which no plugin gets: the only import is `{LOG}@{VERSION}`",
                    printable(item, 200)
                ));
            }
        }
    }
    Ok(())
}

/// `so8t:plugin/log@0.1.0` as interface and version.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// Whether this host knows a version of the interface.
pub(super) fn is_known_version(version: &str) -> bool {
    version == VERSION
}

fn check_version(verb: &str, name: &str, version: &str) -> Result<(), String> {
    if is_known_version(version) {
        return Ok(());
    }
    Err(format!("{verb} `{}`: this host knows version `{VERSION}` of the interface", printable(name, 200)))
}

/// The names at the outermost level of a component.
#[derive(Default)]
struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Names {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        if !bytes.starts_with(b"\0asm") {
            return Err("is not a WebAssembly component: expected the bytes `\\0asm` at its start".into());
        }
        let broken =
            |e: wasmparser::BinaryReaderError| format!("is not a valid component: {}", printable(&e.to_string(), 400));
        let mut names = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(broken)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err("is a core module: expected a component".into());
                }
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        names.imports.push(import.map_err(broken)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        names.exports.push(export.map_err(broken)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(names)
    }
}

/// The names of what a component imports, and of what it exports.
///
/// # Errors
///
/// What is wrong with the bytes, as the end of a sentence that names the file.
pub fn component_names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), String> {
    let names = Names::read(bytes)?;
    Ok((names.imports, names.exports))
}
