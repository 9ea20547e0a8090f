//! New plugins: a project with sources, the interface, a README, tests and a sample, in one of four languages.
//!
//! A project stands alone: it can be moved anywhere, and needs nothing of this repository. One in Rust carries the SDK's sources,
//! one in C the bindings; the tools of JavaScript and Python come from their registries.

mod templates;
mod words;

use std::path::{Path, PathBuf};

use crate::plugin::PluginKind;
use crate::{Error, Result, files};

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust, with the SDK.
    Rust,
    /// C, with clang and wasi-libc.
    C,
    /// JavaScript, with QuickJS.
    JavaScript,
    /// Python, with CPython.
    Python,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rust, Self::C, Self::JavaScript, Self::Python];

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
        }
    }
}

/// A project that can be written.
#[derive(Clone, Debug)]
pub struct Project {
    kind: PluginKind,
    language: Language,
    name: String,
}

/// A file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFile {
    /// Where it goes, below the project's folder.
    pub path: &'static str,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The longest name of a plugin.
const NAME_CHARACTERS: usize = 60;

/// What cannot name a crate: keywords of Rust, and what its compiler brings.
const RESERVED: [&str; 50] = [
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue", "core", "crate", "do",
    "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "serde", "static", "std",
    "struct", "super", "test", "trait", "true", "try", "type", "use", "where",
];

impl Project {
    /// A project of a plugin.
    ///
    /// # Errors
    /// A name that is not of lower-case letters, digits and single hyphens, or that means something to a compiler.
    pub fn new(kind: PluginKind, language: Language, name: &str) -> Result<Self> {
        let part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let plain = name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('-').all(part);
        if !plain || name.len() > NAME_CHARACTERS {
            return Err(Error::manifest(format!(
                "`{}` cannot name a plugin: expected at most {NAME_CHARACTERS} lower-case letters, digits and single \
                 hyphens, a letter first",
                name.escape_debug()
            ))
            .with_hint("a good name says what the plugin does, for example `wildguard-labels`"));
        }
        if RESERVED.contains(&name) {
            return Err(Error::manifest(format!("`{name}` cannot name a plugin: it is a word of a compiler")));
        }
        Ok(Self { kind, language, name: name.to_owned() })
    }

    /// Every file, by path.
    pub fn files(&self) -> Vec<ProjectFile> {
        let words = words::of(self.kind, self.language, &self.name);
        let written = |(path, bytes): templates::Template| ProjectFile { path, bytes: words.put_into(path, bytes) };
        templates::all(self.kind, self.language).into_iter().map(written).collect()
    }

    /// Writes the project into a folder of its name in `parent`, and returns that folder: all of it or nothing.
    ///
    /// # Errors
    /// A folder or file of that name; a folder that cannot be written.
    pub fn write(&self, parent: &Path) -> Result<PathBuf> {
        let folder = parent.join(&self.name);
        if folder.symlink_metadata().is_ok() {
            return Err(Error::manifest(format!("`{}` exists: expected a name that is free", folder.display()))
                .with_hint("choose another name, or another folder with `--dir`"));
        }
        let temporary = files::folder_beside(&parent.join(format!(".{}", self.name)))?;
        let result = self
            .files()
            .iter()
            .try_for_each(|file| write(&temporary, file))
            .and_then(|()| std::fs::rename(&temporary, &folder).map_err(|e| Error::io("create", &folder, &e)));
        if result.is_err() {
            let _ = std::fs::remove_dir_all(&temporary);
        }
        result.map(|()| folder)
    }
}

fn write(folder: &Path, file: &ProjectFile) -> Result<()> {
    let path = folder.join(file.path);
    files::write(&path, &file.bytes)?;
    #[cfg(unix)]
    if file.path.ends_with(".sh") {
        use std::os::unix::fs::PermissionsExt;
        let mut mode = std::fs::metadata(&path).map_err(|e| Error::io("read", &path, &e))?.permissions();
        mode.set_mode(mode.mode() | (mode.mode() & 0o444) >> 2);
        std::fs::set_permissions(&path, mode).map_err(|e| Error::io("write", &path, &e))?;
    }
    Ok(())
}
