//! The Hugging Face hub, played by a server on this machine. The hub is asked in a process of its own, because what
//! steers it are environment variables.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::small::{self, says};

/// Serves the files of a folder as `organisation/small` at the revisions `main` and `v1`, and as
/// `organisation/gated` to who sends the token `secret`.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            std::thread::spawn(move || while answer(&stream, &folder).is_some() {});
        }
    });
    address
}

fn answer(stream: &TcpStream, folder: &Path) -> Option<()> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines().map_while(Result::ok);
    let request = lines.next()?;
    let headers: HashMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_string())))
        .collect();
    let path = request.split(' ').nth(1)?.trim_start_matches('/').to_string();
    let mut stream = stream;
    let mut status =
        |status: &str| stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok();
    let name = ["main", "v1"].iter().find_map(|revision| {
        let gated = path.strip_prefix(&format!("organisation/gated/resolve/{revision}/"));
        path.strip_prefix(&format!("organisation/small/resolve/{revision}/")).or(gated)
    });
    if path.contains("/gated/") && headers.get("authorization").is_none_or(|token| token != "Bearer secret") {
        return status("401 Unauthorized");
    }
    let Some(bytes) = name.and_then(|name| fs::read(folder.join(name)).ok()) else { return status("404 Not Found") };
    let range = headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (from, to) = range.unwrap_or(("0", ""));
    let from: usize = from.parse().ok()?;
    let to = to.parse().map_or(bytes.len(), |last: usize| (last + 1).min(bytes.len()));
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {from}-{}/{}\r\netag: \"{}\"\r\n\
         x-repo-commit: 0123456789abcdef\r\n\r\n",
        to - from,
        to - 1,
        bytes.len(),
        so8t::files::sha256(&bytes),
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&bytes[from..to]).ok()
}

/// What the child process does: opens the model that `SO8T_TEST_HUB` names, and prints it.
#[test]
fn child() {
    let Ok(base) = std::env::var("SO8T_TEST_HUB") else { return };
    match so8t::model::open(&base, Path::new("")) {
        Ok(model) => {
            println!("opened {} with {} files, first {}", model.name, model.paths.len(), model.paths[0].display())
        }
        Err(error) => println!("failed: {error}\nhint: {}", error.hint().unwrap_or("none")),
    }
}

fn ask(base: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["model::hub::child", "--exact", "--nocapture"]).env("SO8T_TEST_HUB", base);
    for name in ["HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn models_of_the_hub() {
    let root = tempfile::tempdir().unwrap();
    small::write_folder(&root.path().join("small"));
    let server = serve(root.path().join("small"));
    let home = root.path().join("home").to_str().unwrap().to_string();
    let here = [("HF_ENDPOINT", server.as_str()), ("HF_HOME", home.as_str())];

    says(&ask("hf:organisation/small", &here), &["opened organisation/small@main with 4 files", &home, "config.json"]);
    says(&ask("hf:organisation/small@v1", &here), &["opened organisation/small@v1 with 4 files"]);

    // From the cache alone, by revision and by commit.
    let offline = [("HF_HUB_OFFLINE", "1"), ("HF_HOME", home.as_str())];
    says(&ask("hf:organisation/small@v1", &offline), &["opened organisation/small@v1 with 4 files"]);
    says(&ask("hf:organisation/small@0123456789abcdef", &offline), &["opened organisation/small@0123456789abcdef"]);
    let message = ask("hf:organisation/other", &offline);
    says(&message, &["failed", "`hf:organisation/other@main`", "`config.json`", "HF_HUB_OFFLINE", &home]);

    says(&ask("hf:organisation/absent", &here), &["failed", "has no `config.json`", &server, "revision"]);
    says(&ask("hf:organisation/gated", &here), &["failed", "config.json", "401", "hint: ", "HF_TOKEN"]);
    let with_token = [here[0], here[1], ("HF_TOKEN", "secret")];
    says(&ask("hf:organisation/gated", &with_token), &["opened organisation/gated@main with 4 files"]);

    let nobody = [("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HOME", home.as_str())];
    let message = ask("hf:organisation/unseen", &nobody);
    says(&message, &["failed", "cannot fetch `config.json`", "http://127.0.0.1:9", "is there a network?"]);

    for endpoint in ["nonsense", "http://", "http://[", "http://127.0.0.1:9/\n"] {
        let message = ask("hf:organisation/unseen", &[("HF_ENDPOINT", endpoint), ("HF_HOME", home.as_str())]);
        says(&message, &["failed", "cannot fetch `config.json`"]);
    }
    let message = ask("hf:organisation/unseen", &[here[0], here[1], ("HF_TOKEN", "line\nline")]);
    says(&message, &["failed", "cannot fetch `config.json`"]);

    for wrong in ["hf:small", "hf:a/b/c", "hf:../b", "hf:a/b@", "hf:a/b@../../c", "hf:"] {
        says(&ask(wrong, &here), &["failed", "expected `hf:organisation/name`", wrong]);
    }

    // Sharded: the shards that the index names are fetched.
    let folder = root.path().join("small");
    fs::rename(folder.join("model.safetensors"), folder.join("model-00001-of-00001.safetensors")).unwrap();
    let config = so8t::model::ModelConfig::from_json(&small::config().to_string()).unwrap();
    let map: HashMap<String, &str> =
        small::tensors(&config).into_iter().map(|(name, ..)| (name, "model-00001-of-00001.safetensors")).collect();
    fs::write(folder.join("model.safetensors.index.json"), serde_json::json!({"weight_map": map}).to_string()).unwrap();
    let fresh = root.path().join("fresh").to_str().unwrap().to_string();
    let variables = [("HF_ENDPOINT", server.as_str()), ("HF_HUB_CACHE", fresh.as_str())];
    says(&ask("hf:organisation/small", &variables), &["opened organisation/small@main with 5 files"]);

    // What else says where an answer ends, and which special tokens there are.
    fs::write(folder.join("generation_config.json"), r#"{"eos_token_id": 2}"#).unwrap();
    fs::write(folder.join("special_tokens_map.json"), "{}").unwrap();
    let fresh = root.path().join("fresher").to_str().unwrap().to_string();
    let variables = [("HF_ENDPOINT", server.as_str()), ("HF_HUB_CACHE", fresh.as_str())];
    says(&ask("hf:organisation/small", &variables), &["opened organisation/small@main with 7 files"]);
}
