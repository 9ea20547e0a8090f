//! What a component is made of, read from its bytes alone: also of one that no host would load.

use std::collections::HashMap;

use serde::Serialize;
use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

use super::inspect::{LOG, TYPES, inspect, is_known_version};
use super::load::probe::component_bytes;
use super::log::printable;
use super::{PluginKind, PluginSpec};
use so8t_base::Result;

/// A component, taken apart.
#[derive(Clone, Debug, Serialize)]
pub struct Anatomy {
    #[serde(skip)]
    plugin_kind: Option<PluginKind>,
    /// What it does, where it exports one interface of a plugin: `converter`, `label mapper` or `metric`.
    pub kind: Option<String>,
    /// Why this host would refuse it, as far as names tell.
    #[serde(skip)]
    pub refused: Option<String>,
    /// What it imports, at its outermost level, with versions.
    pub imports: Vec<String>,
    /// What it exports, at its outermost level, with versions.
    pub exports: Vec<String>,
    /// Its bytes, by what they hold, the most first. They are all of the file.
    pub sections: Vec<Section>,
    /// The core modules within it, those of components within it among them.
    pub modules: usize,
    /// The functions of these modules.
    pub functions: u32,
    /// Whether its functions carry names, which a backtrace shows.
    pub has_names: bool,
}

/// So many bytes of a component.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// What they hold.
    pub name: String,
    /// How many there are.
    pub bytes: usize,
}

impl Anatomy {
    /// Takes a component apart.
    ///
    /// # Errors
    /// Bytes that are no component, in words.
    pub fn read(bytes: &[u8]) -> std::result::Result<Self, String> {
        if !bytes.starts_with(b"\0asm") {
            return Err("is not a WebAssembly component: expected the bytes `\\0asm` at its start".into());
        }
        let mut reader = Reader::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload =
                payload.map_err(|e| format!("is not a valid component: {}", printable(&e.to_string(), 400)))?;
            reader.take(&payload)?;
        }
        let Reader { imports, exports, mut sections, modules, functions, has_names, .. } = reader;
        let known: usize = sections.iter().map(|section| section.bytes).sum();
        sections.push(Section { name: "headers".into(), bytes: bytes.len().saturating_sub(known) });
        sections.retain(|section| section.bytes > 0);
        sections.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        let (plugin_kind, refused) = match inspect(bytes) {
            Ok(kind) => (Some(kind), None),
            Err(text) => (None, Some(text)),
        };
        let kind = plugin_kind.map(|kind| kind.to_string());
        Ok(Self { plugin_kind, kind, refused, imports, exports, sections, modules, functions, has_names })
    }

    /// Takes the component of a plugin apart; the inner error says why it is none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(spec: &PluginSpec) -> Result<std::result::Result<Self, String>> {
        Ok(Self::read(&component_bytes(spec)?))
    }

    /// What it does, where it exports one interface of a plugin.
    pub fn plugin_kind(&self) -> Option<PluginKind> {
        self.plugin_kind
    }

    /// The imports that no plugin gets.
    pub fn foreign_imports(&self) -> Vec<String> {
        let known = |name: &&String| match name.split_once('@') {
            Some((interface, version)) => [LOG, TYPES].contains(&interface) && is_known_version(version),
            None => false,
        };
        self.imports.iter().filter(|name| !known(name)).cloned().collect()
    }
}

#[derive(Default)]
struct Reader {
    depth: u32,
    imports: Vec<String>,
    exports: Vec<String>,
    sections: Vec<Section>,
    /// Where each name stands among the sections: a component may have as many as it has bytes.
    places: HashMap<String, usize>,
    modules: usize,
    functions: u32,
    has_names: bool,
}

impl Reader {
    fn take(&mut self, payload: &Payload<'_>) -> std::result::Result<(), String> {
        let broken =
            |e: wasmparser::BinaryReaderError| format!("is not a valid component: {}", printable(&e.to_string(), 400));
        match payload {
            Payload::Version { encoding, .. } => {
                let module = *encoding == Encoding::Module;
                if module && self.depth == 0 {
                    return Err("is a core module: expected a component".into());
                }
                self.modules += usize::from(module);
                self.depth += 1;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(section) => {
                for import in section.clone().into_iter().filter(|_| self.depth == 1) {
                    self.imports.push(printable(import.map_err(broken)?.name.name, 200));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone().into_iter().filter(|_| self.depth == 1) {
                    let export = export.map_err(broken)?;
                    // Types may be exported for the sake of names; what can be used is interfaces and functions.
                    if export.kind != ComponentExternalKind::Type {
                        self.exports.push(printable(export.name.name, 200));
                    }
                }
            }
            Payload::FunctionSection(section) => self.functions = self.functions.saturating_add(section.count()),
            Payload::CustomSection(section) if section.name() == "name" => self.has_names = true,
            _ => {}
        }
        let (name, bytes) = match payload {
            Payload::CodeSectionStart { size, .. } => ("code".to_owned(), *size as usize),
            Payload::CustomSection(section) => {
                (format!("custom `{}`", printable(section.name(), 60)), section.range().len())
            }
            Payload::DataSection(section) => ("data".into(), section.range().len()),
            Payload::CodeSectionEntry(_)
            | Payload::Version { .. }
            | Payload::ModuleSection { .. }
            | Payload::ComponentSection { .. } => {
                return Ok(());
            }
            other => match other.as_section() {
                Some((_, range)) if is_of_module(other) => ("types and tables of modules".into(), range.len()),
                Some((_, range)) => ("types and instances of the component".into(), range.len()),
                None => return Ok(()),
            },
        };
        match self.places.get(&name) {
            Some(place) => self.sections[*place].bytes += bytes,
            None => {
                self.places.insert(name.clone(), self.sections.len());
                self.sections.push(Section { name, bytes });
            }
        }
        Ok(())
    }
}

fn is_of_module(payload: &Payload<'_>) -> bool {
    matches!(
        payload,
        Payload::TypeSection(_)
            | Payload::ImportSection(_)
            | Payload::FunctionSection(_)
            | Payload::TableSection(_)
            | Payload::MemorySection(_)
            | Payload::TagSection(_)
            | Payload::GlobalSection(_)
            | Payload::ExportSection(_)
            | Payload::StartSection { .. }
            | Payload::ElementSection(_)
            | Payload::DataCountSection { .. }
    )
}
