//! Standard input, which can be read once: it is written to a nameless temporary file, so that its digest is known before
//! anything is made of it.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::sync::OnceLock;

use so8t_base::{Error, Result, files};

/// What came, and its digest.
struct Spooled {
    file: File,
    sha256: String,
}

static SPOOLED: OnceLock<Result<Spooled, String>> = OnceLock::new();

fn spooled() -> Result<&'static Spooled> {
    SPOOLED.get_or_init(spool).as_ref().map_err(|message| Error::data(format!("cannot read standard input: {message}")))
}

/// What came on standard input, from its beginning. All files share one position: one is read at a time.
pub(super) fn file() -> Result<File> {
    let open = || -> io::Result<File> {
        let mut file = spooled().map_err(io::Error::other)?.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    };
    open()
        .map_err(|e| e.downcast::<Error>().unwrap_or_else(|e| Error::data(format!("cannot read standard input: {e}"))))
}

/// The SHA-256 of what came on standard input.
pub(super) fn digest() -> Result<String> {
    spooled().map(|spooled| spooled.sha256.clone())
}

fn spool() -> Result<Spooled, String> {
    let input = io::stdin();
    if input.is_terminal() {
        return Err("it is a terminal: expected data, as in `so8t prepare so8t.toml < data.jsonl`".to_owned());
    }
    let (mut file, mut input) = (temporary().map_err(|e| e.to_string())?, input.lock());
    let mut hash = files::Hash::default();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(Spooled { file, sha256: hash.finish() }),
            Ok(read) => {
                hash.add(&buffer[..read]);
                file.write_all(&buffer[..read]).map_err(|e| format!("writing a temporary file: {e}"))?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// A file that nobody else can read, and that is gone when it is closed (where the system can do that).
fn temporary() -> io::Result<File> {
    let path = files::temporary_beside(&env::temp_dir().join("so8t"));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    let _ = fs::remove_file(&path);
    Ok(file)
}
