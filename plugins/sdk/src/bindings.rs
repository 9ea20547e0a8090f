//! The generated bindings, for the rare plugin that wants the columns themselves.
#![allow(unsafe_code, reason = "wit-bindgen generates the canonical ABI's loads and stores")]
#![allow(missing_docs, reason = "the WIT files hold the documentation, but not of every generated item")]
#![allow(clippy::all, reason = "generated code")]

/// The bindings of the world `converter`.
pub mod converter {
    wit_bindgen::generate!({
        world: "converter",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "so8t_plugin_sdk::bindings::converter",
    });
}

/// The bindings of the world `label-mapper`.
pub mod mapper {
    wit_bindgen::generate!({
        world: "label-mapper",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "so8t_plugin_sdk::bindings::mapper",
        with: {
            "so8t:plugin/types@0.1.0": super::converter::so8t::plugin::types,
            "so8t:plugin/log@0.1.0": super::converter::so8t::plugin::log,
            "so8t:plugin/conversion@0.1.0": super::converter::exports::so8t::plugin::conversion,
        },
    });
}

/// The bindings of the world `metric`.
pub mod metric {
    wit_bindgen::generate!({
        world: "metric",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "so8t_plugin_sdk::bindings::metric",
        with: {
            "so8t:plugin/types@0.1.0": super::converter::so8t::plugin::types,
            "so8t:plugin/log@0.1.0": super::converter::so8t::plugin::log,
        },
    });
}

pub use converter::exports::so8t::plugin::conversion;
pub use converter::so8t::plugin::{log, types};
pub use mapper::exports::so8t::plugin::mapping;
pub use metric::exports::so8t::plugin::measurement;
