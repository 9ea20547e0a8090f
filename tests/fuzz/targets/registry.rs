//! A registry that answers every question with the same bytes: an artefact whose digests fit, or an error that names the reference.
#![no_main]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, OnceLock};

use libfuzzer_sys::fuzz_target;
use so8t_plugin::Reference;
use so8t_plugin::registry::{Manner, fetch};

static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its number");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut question = [0; 4096];
                let _ = stream.read(&mut question);
                let answer = ANSWER.lock().expect("no panic").clone();
                let _ = stream.write_all(&answer);
            }
        });
        address
    })
}

fuzz_target!(|data: &[u8]| {
    let reference: Reference = format!("oci://{}/a:1", address()).parse().expect("a reference");
    *ANSWER.lock().expect("no panic") = data.to_vec();
    match fetch(&reference, Manner { plain: true, token_hosts: &[] }) {
        Ok(fetched) => assert!(fetched.component.len() as u64 <= 64 << 20),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
