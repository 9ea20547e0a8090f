//! What is put into the templates of a project.

use super::Language;
use crate::plugin::PluginKind;

/// The words of one project, by their place holders.
pub(super) struct Words {
    pairs: Vec<(&'static str, String)>,
}

impl Words {
    /// The bytes of a file with the words in their places. What is no text goes as it is.
    pub(super) fn put_into(&self, path: &str, bytes: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
        if path.starts_with("vendor/") && path.ends_with("Cargo.toml") {
            return standalone(text).into_bytes();
        }
        // In order: words hold place holders of words further down.
        self.pairs.iter().fold(text.to_owned(), |text, (place, word)| text.replace(place, word)).into_bytes()
    }
}

/// The words of a plugin of one kind in one language.
pub(super) fn of(kind: PluginKind, language: Language, name: &str) -> Words {
    let kind_words = of_kind(kind);
    let language_words = of_language(language);
    let pairs = vec![
        ("@NEEDS@", language_words.needs.to_owned()),
        ("@BUILD@", language_words.build.to_owned()),
        ("@TESTS@", language_words.tests.to_owned()),
        ("@NATIVE@", language_words.native.to_owned()),
        ("@CHANGE@", language_words.change.to_owned()),
        ("@SOURCE@", kind_words.python_module.to_owned()),
        ("@SUMMARY@", kind_words.summary.to_owned()),
        ("@CONFIG@", kind_words.config.to_owned()),
        ("@USE@", kind_words.entry.to_owned()),
        ("@SAMPLE_ARGUMENTS@", kind_words.sample.to_owned()),
        ("@SAMPLE@", format!("so8t {}", kind_words.sample)),
        ("@DATA@", kind_words.data.to_owned()),
        ("@WIT@", kind_words.wit.to_owned()),
        ("@WIT_WORLD@", kind_words.world.to_owned()),
        ("@WORLD@", kind_words.world.replace('-', "_")),
        ("@FEATURE@", kind_words.feature.to_owned()),
        ("@KIND@", kind.to_string()),
        ("@LANGUAGE@", language.title().to_owned()),
        ("@SNAKE@", name.replace('-', "_")),
        ("@NAME@", name.to_owned()),
    ];
    Words { pairs }
}

struct KindWords {
    /// What the plugin of the template does.
    summary: &'static str,
    /// The sample's configuration.
    config: &'static str,
    /// What else a manifest says, to use it.
    entry: &'static str,
    /// The arguments of the command that runs the sample.
    sample: &'static str,
    /// The sample's data.
    data: &'static str,
    /// The file of the interface.
    wit: &'static str,
    world: &'static str,
    /// Of the SDK.
    feature: &'static str,
    /// Which has the name of the exported interface.
    python_module: &'static str,
}

fn of_kind(kind: PluginKind) -> KindWords {
    match kind {
        PluginKind::Converter => KindWords {
            summary: "It reads one request a line: an instruction, a separator, a label.",
            config: r#"{ separator = "\t" }"#,
            entry: "\n[[data]]\nname = \"requests\"\npath = \"requests.tsv\"\nconverter = \"@NAME@\"\nmapper = \"four-class\"",
            sample: "prepare sample/so8t.toml",
            data: "requests.tsv",
            wit: "`conversion` in `wit/conversion.wit`",
            world: "converter",
            feature: "converter",
            python_module: "conversion.py",
        },
        PluginKind::LabelMapper => KindWords {
            summary: "It reads the names of the four decisions in any case, and further spellings that its configuration gives.",
            config: r#"{ aliases = { ok = "ALLOW", harmful = "REFUSE" } }"#,
            entry: "\n[[data]]\nname = \"requests\"\npath = \"requests.jsonl\"\nconverter = \"jsonl\"\nmapper = \"@NAME@\"",
            sample: "prepare sample/so8t.toml",
            data: "requests.jsonl",
            wit: "`mapping` in `wit/mapping.wit`",
            world: "label-mapper",
            feature: "mapper",
            python_module: "mapping.py",
        },
        PluginKind::Metric => KindWords {
            summary: "It measures the share of rows whose prediction is right.",
            config: "{ ignore_invalid = true }",
            entry: "\n[evaluate]\nmetrics = [\"@NAME@\"]",
            sample: "evaluate sample/predictions.jsonl --manifest sample/so8t.toml",
            data: "predictions.jsonl",
            wit: "`measurement` in `wit/measurement.wit`",
            world: "metric",
            feature: "metric",
            python_module: "measurement.py",
        },
    }
}

struct LanguageWords {
    /// What the component weighs.
    needs: &'static str,
    /// What `build.sh` needs.
    build: &'static str,
    tests: &'static str,
    /// The command of the tests that need no host.
    native: &'static str,
    /// Which files are there, and what each is for.
    change: &'static str,
}

fn of_language(language: Language) -> LanguageWords {
    match language {
        Language::Rust => LanguageWords {
            needs: ", about 120 kB",
            build: "Rust 1.95 and `rustup target add wasm32-unknown-unknown`, or, where rustup cannot be had, Debian's \
                    `rustc-web` and `rust-web-src`.",
            tests: "`cargo test`, the host's checks, and the sample",
            native: "cargo test",
            change: "- `src/lib.rs` is the plugin: a trait, a configuration that serde reads, and one line that exports it. Tests run natively.\n\
                     - `vendor/so8t-plugin-sdk` is the SDK, which hides the columns of the interface: `cargo doc --open -p so8t-plugin-sdk`. Where you \
                     have the so8t repository, `path = \"…/plugins/sdk\"` in `Cargo.toml` does the same.\n\
                     - `so8t_plugin_sdk::log` writes into the run's log. A panic reaches the user with its message, file and line, and \
                     with the functions that led to it, as far as they were not inlined: `strip = \"debuginfo\"` keeps their names.",
        },
        Language::C => LanguageWords {
            needs: ", about 45 kB",
            build: "on Debian, `apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32`, and rustup's rustc, which \
                    brings `wasm-component-ld`; or a WASI SDK, whose folder `WASI_SDK_PATH` names.",
            tests: "the host's checks, and the sample",
            native: "",
            change: "- `plugin.c` is the plugin: one function for each of the interface.\n\
                     - `so8t.h` has failures, text columns and `so8t_log`; `json.h` reads the configuration.\n\
                     - `bindings/` is what `wit-bindgen c` 0.61 wrote (`wit-bindgen c --world @WIT_WORLD@ --out-dir bindings wit`).\n\
                     - What a function is given is its own to free; what it returns must come from `malloc`. A trap is reported with the functions that \
                     led to it, whose names `-Wl,--strip-debug` keeps.",
        },
        Language::JavaScript => LanguageWords {
            needs: ", about 1.1 MB",
            build: "Node 20 or later and npm, which fetches `componentize-qjs`.",
            tests: "`node --test`, the host's checks, and the sample",
            native: "node --test",
            change: "- `plugin.js` is the plugin: a class with a method for each function of the interface, in camel case.\n\
                     - `so8t.js` has failures, text columns and UTF-8, which QuickJS has no `TextDecoder` for. An error that a method does not expect \
                     reaches the user with its stack.\n\
                     - `import log from \"so8t:plugin/log@0.1.0\"` gives `log.log(\"info\", \"…\")`, which writes into the run's log; Node has no such \
                     module, so tests must not import a file that imports it.\n\
                     - It runs about a hundred times slower than Rust or C does.",
        },
        Language::Python => LanguageWords {
            needs: ", about 19 MB",
            build: "Python 3.11 or later with `venv`; `componentize-py` comes from PyPI.",
            tests: "`python -m unittest`, the host's checks, and the sample",
            native: "[ -d bindings ] || ./build.sh\nPYTHONPATH=bindings .venv/bin/python -m unittest",
            change: "- `@SOURCE@` is the plugin, and has the name of the interface that it exports; `plugin.py` says what it is.\n\
                     - `so8t.py` has failures and text columns. An error that a method does not expect reaches the user with its place.\n\
                     - `from wit_world.imports.log import Level, log` gives `log(Level.INFO, \"…\")`, which writes into the run's log.\n\
                     - `bindings/` is written by `build.sh`, for editors and tests; `./build.sh` carries the whole of CPython, so that the first load \
                     takes some 15 seconds, and later ones, from the cache, milliseconds.",
        },
    }
}

/// The SDK's manifest without the workspace that it belongs to here.
fn standalone(manifest: &str) -> String {
    let (package, _) = manifest.split_once("[lints]").unwrap_or((manifest, ""));
    let own = |line: &str| match line {
        "version.workspace = true" => concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"").to_owned(),
        "edition.workspace = true" => "edition = \"2024\"".to_owned(),
        "rust-version.workspace = true" => {
            concat!("rust-version = \"", env!("CARGO_PKG_RUST_VERSION"), "\"").to_owned()
        }
        "license.workspace = true" => concat!("license = \"", env!("CARGO_PKG_LICENSE"), "\"").to_owned(),
        line => line.to_owned(),
    };
    package.trim_end().lines().map(|line| own(line) + "\n").collect()
}
