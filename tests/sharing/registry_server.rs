//! A registry on this machine: Debian's `docker-registry`, on a free port, with a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A registry that ends with the test.
pub struct Registry {
    child: Child,
    folder: tempfile::TempDir,
    /// Host and port.
    pub name: String,
}

/// `user` and `secret`, as htpasswd writes them.
const PASSWORDS: &str = "user:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

impl Registry {
    /// Starts one; `None`, said on standard error, where there is no `docker-registry`.
    pub fn start(with_passwords: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let name = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '{name}'}}\n",
            folder.path().join("storage").display()
        );
        if with_passwords {
            std::fs::write(folder.path().join("passwords"), PASSWORDS).unwrap();
            let path = folder.path().join("passwords");
            config.push_str(&format!("auth: {{htpasswd: {{realm: test, path: '{}'}}}}\n", path.display()));
        }
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!(
                    "skipped: `docker-registry` does not start ({error}); on Debian: apt-get install docker-registry"
                );
                return None;
            }
        };
        let registry = Self { child, folder, name };
        let start = Instant::now();
        while TcpStream::connect(&registry.name).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    /// `oci://` and the name of an artefact.
    pub fn reference(&self, artefact: &str) -> String {
        format!("oci://{}/{artefact}", self.name)
    }

    /// Where the registry keeps a blob.
    pub fn blob(&self, digest: &str) -> std::path::PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let below = format!("storage/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        self.folder.path().join(below)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
