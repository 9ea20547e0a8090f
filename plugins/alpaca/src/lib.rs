//! Alpaca data, `instruction`, `input` and `output`: one array, or one object a line.

use so8t_plugin_sdk::{About, Converter, Examples, Failure, about, export_converter};
use so8t_records::fields::{FieldsConfig, JsonConverter};
use so8t_records::json::Framing;

/// The converter.
pub struct Alpaca(JsonConverter);

export_converter!(Alpaca);

impl Converter for Alpaca {
    type Config = FieldsConfig;
    const ABOUT: About = about!("alpaca", include_str!("../../records/fields.json"));

    fn open(config: FieldsConfig) -> Result<Self, Failure> {
        JsonConverter::open(config, Framing::Either).map(Self)
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        self.0.push(chunk, out)
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        self.0.finish(out)
    }
}
