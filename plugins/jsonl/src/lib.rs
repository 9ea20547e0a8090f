//! JSON objects, one a line. Without a configuration it reads the four formats of the earlier pipeline: `four_class_*`,
//! `thinking_*`, `safety_judgment` rows and `so8t_dataset_*`.

use so8t_plugin_sdk::{About, Converter, Examples, Failure, about, export_converter};
use so8t_records::fields::{FieldsConfig, JsonConverter};
use so8t_records::json::Framing;

/// The converter.
pub struct JsonLines(JsonConverter);

export_converter!(JsonLines);

impl Converter for JsonLines {
    type Config = FieldsConfig;
    const ABOUT: About = about!("jsonl", include_str!("../../records/fields.json"));

    fn open(config: FieldsConfig) -> Result<Self, Failure> {
        JsonConverter::open(config, Framing::Lines).map(Self)
    }

    fn push(&mut self, chunk: &[u8], out: &mut Examples) -> Result<(), Failure> {
        self.0.push(chunk, out)
    }

    fn finish(&mut self, out: &mut Examples) -> Result<(), Failure> {
        self.0.finish(out)
    }
}
