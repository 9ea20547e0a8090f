//! Who works on a trial: a file that its worker touches, so that others see when it is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};
use so8t_base::{Error, Result, files};

/// How often a lease is touched.
const BEAT: Duration = Duration::from_secs(5);
/// A lease that was not touched for so long is nobody's.
const GRACE: Duration = Duration::from_secs(60);

/// A trial that this process works on, for as long as this lives.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    beating: Option<JoinHandle<()>>,
}

impl Lease {
    /// Takes the lease of a trial. Who calls this holds the journal's lock and has seen that it [`is_free`].
    pub(crate) fn take(folder: &Path, number: usize) -> Result<Self> {
        let path = path(folder, number);
        let text = json!({ "process": std::process::id(), "started": started(std::process::id()), "host": host() })
            .to_string();
        files::write(&path, text.as_bytes())?;
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, own, text) = (Arc::clone(&stop), path.clone(), text.into_bytes());
        let beating = std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
            loop {
                std::thread::park_timeout(BEAT);
                if flag.load(Ordering::Relaxed) {
                    return;
                }
                let _ = files::write(&own, &text);
            }
        });
        let beating = Some(beating.map_err(|e| Error::internal(format!("cannot start a thread: {e}")))?);
        Ok(Self { path, stop, beating })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(beating) = self.beating.take() {
            beating.thread().unpark();
            let _ = beating.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether nobody works on a trial: its lease is not there, its process is known to be gone, or it was not touched for long.
pub(crate) fn is_free(folder: &Path, number: usize) -> bool {
    let path = path(folder, number);
    let Ok(text) = fs::read_to_string(&path) else { return true };
    let Ok(lease) = serde_json::from_str::<Json>(&text) else { return true };
    if lease["host"] == host().as_str()
        && let Some(process) = lease["process"].as_u64().and_then(|process| u32::try_from(process).ok())
        && Path::new("/proc/self").exists()
    {
        return started(process).is_none_or(|started| lease["started"] != started.as_str());
    }
    // Both times are the file system's own: clocks of machines differ.
    let clock = files::temporary_beside(&folder.join("clock"));
    let now =
        fs::write(&clock, b"").and_then(|()| fs::metadata(&clock)?.modified()).unwrap_or_else(|_| SystemTime::now());
    let _ = fs::remove_file(&clock);
    let touched = fs::metadata(&path).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    now.duration_since(touched).is_ok_and(|age| age > GRACE)
}

fn path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.json"))
}

fn host() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // Two containers of one machine see processes of their own.
    let space = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    format!("{} {} {space}", name.trim(), boot.trim())
}

/// When a process started, in the system's own units: a number may be given to another process later.
fn started(process: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    // One that is dead and not yet buried is gone.
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    Some(fields.nth(18)?.to_owned())
}
