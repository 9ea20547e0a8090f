//! A metric that never answers what it is.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "wit-bindgen exports the component's functions under their canonical names")]

use so8t_plugin_sdk::Failure;
use so8t_plugin_sdk::bindings::measurement::{self, Accumulator, Batch, Metric, Value, Wants};
use so8t_plugin_sdk::bindings::types::Metadata;

struct Guest;
so8t_plugin_sdk::bindings::metric::export!(Guest with_types_in so8t_plugin_sdk::bindings::metric);

impl measurement::Guest for Guest {
    type Accumulator = Self;

    fn describe() -> Metadata {
        let mut number = 1_u32;
        while std::hint::black_box(number) != 0 {
            number = number.wrapping_mul(2_654_435_761) | 1;
        }
        Metadata { name: String::new(), version: String::new(), licence: String::new(), config_schema: String::new() }
    }
}

impl measurement::GuestAccumulator for Guest {
    fn open(_: String, _: Vec<String>) -> Result<Accumulator, Failure> {
        Err(Failure::Internal("never reached".to_owned()))
    }
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }
    fn wants(&self) -> Wants {
        Wants::empty()
    }
    fn update(&self, _: Batch) -> Result<(), Failure> {
        Ok(())
    }
    fn state(&self) -> Vec<u8> {
        Vec::new()
    }
    fn merge(&self, _: Vec<u8>) -> Result<(), Failure> {
        Ok(())
    }
    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        Ok(Vec::new())
    }
}
