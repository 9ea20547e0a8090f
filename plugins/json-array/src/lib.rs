//! The objects of one JSON array, however it is laid out in lines.

use so8t_plugin_sdk::{About, Converter, Examples, Failure, about, export_converter};
use so8t_records::fields::{FieldsConfig, JsonConverter};
use so8t_records::json::Framing;

/// The converter.
pub struct JsonArray(JsonConverter);

export_converter!(JsonArray);

impl Converter for JsonArray {
    type Config = FieldsConfig;
    const ABOUT: About = about!("json-array", include_str!("../../records/fields.json"));

    fn open(config: FieldsConfig) -> Result<Self, Failure> {
        JsonConverter::open(config, Framing::Array).map(Self)
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        self.0.push(chunk, out)
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        self.0.finish(out)
    }
}
