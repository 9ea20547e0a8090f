//! The files of the projects, as this program carries them.
//!
//! They lie below `templates/`: what every language shares, and a folder a language. `@NAME@` and the like are put in when a
//! project is written. The interface, and the SDK of projects in Rust, are those of this repository.

use super::Language;
use crate::plugin::PluginKind;

/// A file of a project before anything is put in: where it goes, and its bytes.
pub(super) type Template = (&'static str, &'static [u8]);

macro_rules! template {
    ($to:literal, $from:literal) => {
        ($to, include_bytes!(concat!("templates/", $from)))
    };
}

/// A file of the SDK. It is reached by a link, so that it lies within this package too: a folder with a `Cargo.toml` would not.
macro_rules! sdk {
    ($to:literal, $from:literal) => {
        ($to, include_bytes!(concat!("sdk/", $from)))
    };
}

macro_rules! from_root {
    ($to:literal, $from:literal) => {
        ($to, include_bytes!(concat!("../../", $from)))
    };
}

/// What every project has.
const COMMON: &[Template] = &[
    template!("README.md", "common/README.md"),
    template!("test.sh", "common/test.sh"),
    template!(".gitignore", "common/gitignore"),
    from_root!("wit/types.wit", "wit/types.wit"),
];

/// The interface of one kind, and a sample for it.
fn of_kind(kind: PluginKind) -> &'static [Template] {
    match kind {
        PluginKind::Converter => &[
            from_root!("wit/conversion.wit", "wit/conversion.wit"),
            template!("sample/so8t.toml", "common/converter/so8t.toml"),
            template!("sample/requests.tsv", "common/converter/requests.tsv"),
        ],
        PluginKind::LabelMapper => &[
            from_root!("wit/mapping.wit", "wit/mapping.wit"),
            template!("sample/so8t.toml", "common/label-mapper/so8t.toml"),
            template!("sample/requests.jsonl", "common/label-mapper/requests.jsonl"),
        ],
        PluginKind::Metric => &[
            from_root!("wit/measurement.wit", "wit/measurement.wit"),
            template!("sample/so8t.toml", "common/metric/so8t.toml"),
            template!("sample/predictions.jsonl", "common/metric/predictions.jsonl"),
        ],
    }
}

/// The sources of one kind in one language, and how they are built.
fn of_language(kind: PluginKind, language: Language) -> &'static [&'static [Template]] {
    match language {
        Language::Rust => match kind {
            PluginKind::Converter => &[RUST, &[template!("src/lib.rs", "rust/converter.rs")]],
            PluginKind::LabelMapper => &[RUST, &[template!("src/lib.rs", "rust/label-mapper.rs")]],
            PluginKind::Metric => &[RUST, &[template!("src/lib.rs", "rust/metric.rs")]],
        },
        Language::C => match kind {
            PluginKind::Converter => &[
                C,
                &[
                    template!("plugin.c", "c/converter.c"),
                    template!("bindings/converter.c", "c/bindings/converter.c"),
                    template!("bindings/converter.h", "c/bindings/converter.h"),
                    template!("bindings/converter_component_type.o", "c/bindings/converter_component_type.o"),
                ],
            ],
            PluginKind::LabelMapper => &[
                C,
                &[
                    template!("plugin.c", "c/label-mapper.c"),
                    template!("bindings/label_mapper.c", "c/bindings/label_mapper.c"),
                    template!("bindings/label_mapper.h", "c/bindings/label_mapper.h"),
                    template!("bindings/label_mapper_component_type.o", "c/bindings/label_mapper_component_type.o"),
                ],
            ],
            PluginKind::Metric => &[
                C,
                &[
                    template!("plugin.c", "c/metric.c"),
                    template!("bindings/metric.c", "c/bindings/metric.c"),
                    template!("bindings/metric.h", "c/bindings/metric.h"),
                    template!("bindings/metric_component_type.o", "c/bindings/metric_component_type.o"),
                ],
            ],
        },
        Language::JavaScript => match kind {
            PluginKind::Converter => &[
                JAVASCRIPT,
                &[template!("plugin.js", "js/converter.js"), template!("plugin.test.js", "js/converter.test.js")],
            ],
            PluginKind::LabelMapper => &[
                JAVASCRIPT,
                &[template!("plugin.js", "js/label-mapper.js"), template!("plugin.test.js", "js/label-mapper.test.js")],
            ],
            PluginKind::Metric => &[
                JAVASCRIPT,
                &[template!("plugin.js", "js/metric.js"), template!("plugin.test.js", "js/metric.test.js")],
            ],
        },
        Language::Python => match kind {
            PluginKind::Converter => &[
                PYTHON,
                &[
                    template!("plugin.py", "python/plugin-converter.py"),
                    template!("conversion.py", "python/conversion.py"),
                    template!("test_plugin.py", "python/test_converter.py"),
                ],
            ],
            PluginKind::LabelMapper => &[
                PYTHON,
                &[
                    template!("plugin.py", "python/plugin-label-mapper.py"),
                    template!("mapping.py", "python/mapping.py"),
                    template!("test_plugin.py", "python/test_label-mapper.py"),
                ],
            ],
            PluginKind::Metric => &[
                PYTHON,
                &[
                    template!("plugin.py", "python/plugin-metric.py"),
                    template!("measurement.py", "python/measurement.py"),
                    template!("test_plugin.py", "python/test_metric.py"),
                ],
            ],
        },
    }
}

const C: &[Template] =
    &[template!("build.sh", "c/build.sh"), template!("json.h", "c/json.h"), template!("so8t.h", "c/so8t.h")];

const JAVASCRIPT: &[Template] = &[
    template!("build.sh", "js/build.sh"),
    template!("package.json", "js/package.json.template"),
    template!("so8t.js", "js/so8t.js"),
];

const PYTHON: &[Template] = &[
    template!("build.sh", "python/build.sh"),
    template!("requirements.txt", "python/requirements.txt"),
    template!("so8t.py", "python/so8t.py"),
];

/// The SDK goes with the project, so that it builds anywhere; it reads the interface from the project's `wit/`.
const RUST: &[Template] = &[
    template!("build.sh", "rust/build.sh"),
    template!("Cargo.toml", "rust/Cargo.toml.template"),
    template!(".cargo/config.toml", "rust/cargo_config.toml"),
    sdk!("vendor/so8t-plugin-sdk/Cargo.toml", "manifest.toml"),
    sdk!("vendor/so8t-plugin-sdk/src/bindings.rs", "src/bindings.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/column.rs", "src/column.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/config.rs", "src/config.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/confusion.rs", "src/confusion.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/converter.rs", "src/converter.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/example.rs", "src/example.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/export.rs", "src/export.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/labels.rs", "src/labels.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/lib.rs", "src/lib.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/log.rs", "src/log.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/mapper.rs", "src/mapper.rs"),
    sdk!("vendor/so8t-plugin-sdk/src/metric.rs", "src/metric.rs"),
];

/// Every file of a project, by path.
pub(super) fn all(kind: PluginKind, language: Language) -> Vec<Template> {
    let mut files = COMMON.to_vec();
    files.extend_from_slice(of_kind(kind));
    for part in of_language(kind, language) {
        files.extend_from_slice(part);
    }
    files.sort_unstable_by_key(|file| file.0);
    files
}
