//! Sharing and pinning: configurations against schemas, references, the lock file, signatures, the host's policy.

mod policy;
mod references;
mod registry;
mod registry_server;
mod schema;
mod signing;
mod texts;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::cli::{lines, manifest, outcome, write};

/// A folder with a manifest and its data, a home of its own, and a cache that is empty at first.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// The usual manifest with `tables` before `[split]`.
    fn new(tables: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        write(place.path(), "data.jsonl", &lines());
        place.manifest(tables);
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn manifest(&self, tables: &str) {
        write(self.path(), "so8t.toml", &manifest("[split]", &format!("{tables}\n[split]")));
    }

    /// Runs `so8t` with this place's home: neither policy nor docker credentials of whoever runs the tests.
    fn so8t(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_so8t"))
            .args(arguments)
            .current_dir(self.path())
            .env("NO_COLOR", "1")
            .env("HOME", self.file("home"))
            .env("XDG_CONFIG_HOME", self.file("home/.config"))
            .env("XDG_CACHE_HOME", self.file("cache"))
            .env("DOCKER_CONFIG", self.file("docker"))
            .env_remove("SO8T_POLICY")
            .env_remove("SO8T_KEY_PASSWORD")
            .output()
            .expect("so8t starts")
    }

    /// Standard output of a command that succeeds.
    fn done(&self, arguments: &[&str]) -> String {
        let (stdout, stderr, code) = outcome(&self.so8t(arguments));
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stdout
    }

    /// Standard error of a command that the user can mend.
    fn refused(&self, arguments: &[&str]) -> String {
        let (stdout, stderr, code) = outcome(&self.so8t(arguments));
        assert_eq!((stdout.as_str(), code), ("", 1), "{arguments:?}: {stderr}");
        // Folders have other names each time.
        stderr.replace(&format!("{}/", self.path().canonicalize().unwrap().display()), "")
    }

    /// A copy of a standard component.
    fn component(&self, name: &str) -> PathBuf {
        let path = self.file(&format!("{name}.wasm"));
        std::fs::copy(prebuilt(name), &path).unwrap();
        path
    }
}

/// The component of a standard plugin.
fn prebuilt(name: &str) -> PathBuf {
    let folder = std::env::var_os("SO8T_COMPONENTS").map(PathBuf::from);
    folder
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/prebuilt"))
        .join(format!("{name}.wasm"))
}

/// The message of a refusal, without the hint.
fn first_line(stderr: &str) -> &str {
    stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or(stderr)
}
