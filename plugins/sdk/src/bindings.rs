//! The generated bindings, for the rare plugin that wants the columns themselves.
//!
//! Each world stands behind the feature of its kind, so that a component links the bindings of its own world alone.
#![allow(unsafe_code, reason = "wit-bindgen generates the canonical ABI's loads and stores")]
#![allow(missing_docs, reason = "the WIT files hold the documentation, but not of every generated item")]
#![allow(clippy::all, reason = "generated code")]

/// What every kind of plugin shares.
pub mod shared {
    wit_bindgen::generate!({
        inline: "
            package so8t:sdk;
            world shared {
                import so8t:plugin/log@0.1.0;
                import so8t:plugin/types@0.1.0;
            }
        ",
        path: "../../wit",
        generate_all,
    });
}

/// The bindings of the world `converter`.
#[cfg(feature = "converter")]
pub mod converter {
    wit_bindgen::generate!({
        world: "converter",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "so8t_plugin_sdk::bindings::converter",
        with: {
            "so8t:plugin/types@0.1.0": super::shared::so8t::plugin::types,
            "so8t:plugin/log@0.1.0": super::shared::so8t::plugin::log,
        },
    });
}

/// The bindings of the world `label-mapper`.
#[cfg(feature = "mapper")]
pub mod mapper {
    wit_bindgen::generate!({
        world: "label-mapper",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "so8t_plugin_sdk::bindings::mapper",
        with: {
            "so8t:plugin/types@0.1.0": super::shared::so8t::plugin::types,
            "so8t:plugin/log@0.1.0": super::shared::so8t::plugin::log,
        },
    });
}

/// The bindings of the world `metric`.
#[cfg(feature = "metric")]
pub mod metric {
    wit_bindgen::generate!({
        world: "metric",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "so8t_plugin_sdk::bindings::metric",
        with: {
            "so8t:plugin/types@0.1.0": super::shared::so8t::plugin::types,
            "so8t:plugin/log@0.1.0": super::shared::so8t::plugin::log,
        },
    });
}

#[cfg(feature = "converter")]
pub use converter::exports::so8t::plugin::conversion;
#[cfg(feature = "mapper")]
pub use mapper::exports::so8t::plugin::mapping;
#[cfg(feature = "metric")]
pub use metric::exports::so8t::plugin::measurement;
pub use shared::so8t::plugin::{log, types};
