//! Compiled components, kept between runs.
//!
//! To load a compiled component is to run its code, so the folder must be private, and every entry carries the digest of
//! its content: what was cut or changed is compiled anew, never loaded.

#![allow(unsafe_code, reason = "loading compiled code is unsafe by its nature; see `load`")]

use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compile::Compiled;
use so8t_base::{Error, Result, files};

/// The first bytes of an entry; the number changes with the layout.
const MAGIC: &[u8] = b"so8t compiled component 2\n";
/// The length of a BLAKE3 in hexadecimal.
const DIGEST: usize = 64;

/// A private folder of compiled components.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens `folder`/components, and makes it where it lacks. A folder that others can write to is refused.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let folder = folder.join("components");
        make_private(&folder)?;
        Ok(Self { folder })
    }

    /// The component of these bytes, from the cache where it holds them whole, else compiled and stored.
    pub(super) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        compile: impl FnOnce() -> Result<Compiled>,
    ) -> Result<(Component, bool)> {
        let key = files::sha256(format!("{digest} {}", fingerprint(engine)).as_bytes());
        let path = self.folder.join(format!("{key}.cwasm"));
        if let Some(component) = load(engine, &path, &key) {
            return Ok((component, true));
        }
        let (component, content) = match compile()? {
            Compiled::Here(component) => {
                let content = component.serialize();
                (component, content.ok())
            }
            Compiled::Serialised(content) => (of_child(engine, &content)?, Some(content)),
        };
        // A cache that cannot be written, on a full disk for example, costs time and nothing else.
        if let Some(content) = content {
            let _ = store(&path, &key, &content);
        }
        Ok((component, false))
    }
}

/// Writes an entry that this user alone can read and write: whole, or not at all.
fn store(path: &Path, key: &str, content: &[u8]) -> Result<()> {
    files::write_with(path, |file| {
        use std::io::Write as _;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.get_ref().set_permissions(fs::Permissions::from_mode(0o600))?;
        }
        file.write_all(MAGIC)?;
        file.write_all(seal(key, content).as_bytes())?;
        file.write_all(content)
    })
}

fn load(engine: &Engine, path: &Path, key: &str) -> Option<Component> {
    let bytes = read_own(path)?;
    let (digest, content) = bytes.strip_prefix(MAGIC)?.split_at_checked(DIGEST)?;
    if seal(key, content).as_bytes() != digest {
        return None;
    }
    // SAFETY: the bytes are what `Component::serialize` gave: they are a file of this user that nobody else can write, under no
    // second name (`read_own`), in a folder that nobody else can write (`Cache::open`), and have the digest that was stored
    // with them, which covers the entry's key: the wasm, the engine and the processor. wasmtime checks its version and
    // settings again.
    unsafe { Component::deserialize(engine, content) }.ok()
}

/// The component that a child process of this one compiled a moment ago.
pub(super) fn of_child(engine: &Engine, content: &[u8]) -> Result<Component> {
    // SAFETY: the bytes are what `Engine::precompile_component` gave in a child that this process started, through a pipe
    // that nobody else can write; it ended well, and they have the digest that it sent with them (`compile::in_child`).
    unsafe { Component::deserialize(engine, content) }
        .map_err(|e| Error::internal(format!("the compiler in the child process is not that of this program: {e:#}")))
}

/// The bytes of a file of this user's that nobody else can write, which is no link and has no other name; `None` for any
/// other. What is read is the file that was looked at.
#[cfg(unix)]
fn read_own(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;
    let named = fs::symlink_metadata(path).ok()?;
    if !named.is_file() {
        return None;
    }
    let mut file = fs::File::open(path).ok()?;
    let found = file.metadata().ok()?;
    let same = (found.dev(), found.ino()) == (named.dev(), named.ino());
    let private = found.mode() & 0o022 == 0 && found.nlink() == 1 && is_ours(&found);
    if !same || !found.is_file() || !private {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).ok()?);
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(not(unix))]
fn read_own(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// Whether a file is this process's user's, as far as the system tells.
#[cfg(unix)]
fn is_ours(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == found.uid()) || !Path::new("/proc/self").exists()
}

/// The digest of an entry: of its content, and of what it was compiled from and for. It never leaves this machine, and is read whenever
/// a program starts: BLAKE3, which is fast on every processor.
pub(super) fn seal(key: &str, content: &[u8]) -> String {
    blake3::Hasher::new().update(key.as_bytes()).update(content).finalize().to_hex().to_string()
}

/// What compiled code depends on besides the wasm: the engine's version and settings, and the processor's features.
fn fingerprint(engine: &Engine) -> String {
    struct Digester(Sha256);
    impl Hasher for Digester {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut digester = Digester(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut digester);
    digester.0.update(processor().as_bytes());
    digester.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(target_arch = "x86_64")]
fn processor() -> String {
    macro_rules! features {
        ($($name:tt)*) => { [$(($name, std::arch::is_x86_feature_detected!($name))),*] };
    }
    let all = features!(
        "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "lzcnt" "cmpxchg16b" "avx512f"
        "avx512dq" "avx512vl" "avx512bitalg" "avx512vbmi"
    );
    all.into_iter().filter(|(_, has)| *has).map(|(name, _)| format!("{name} ")).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> String {
    std::env::consts::ARCH.into()
}

#[cfg(unix)]
pub(super) fn make_private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(Error::io("create", folder, &e)),
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(|e| Error::io("read", folder, &e))?;
    let mode = found.permissions().mode() & 0o777;
    let ours = is_ours(&found);
    if !found.is_dir() || mode & 0o077 != 0 || !ours {
        return Err(Error::new(
            so8t_base::Kind::Io,
            format!(
                "the cache of compiled plugins `{}` is not private: expected a folder of this user with mode 700, found {}mode {mode:o}",
                folder.display(),
                if !found.is_dir() { "no folder, " } else if ours { "" } else { "another user's, " }
            ),
        )
        .with_hint("remove the folder, or set XDG_CACHE_HOME to another one"));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn make_private(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))
}

/// Where compiled plugins are kept unless told otherwise: `$XDG_CACHE_HOME/so8t`, or `~/.cache/so8t`; `None` without a home.
pub fn default_cache_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("so8t"))
}
