//! The beginning of a safetensors file, so that one can be written tensor by tensor: what comes behind it are the tensors' bytes, end to end.

use serde_json::{Map, Value, json};

/// A tensor that will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Its type as the format calls it: `F32`, `U8`, …
    pub dtype: &'static str,
    /// Its dimensions, the outermost first.
    pub shape: Vec<usize>,
    /// Bytes of its elements.
    pub bytes: u64,
}

/// The length of the header and the header of a file whose tensors follow in this order.
pub fn header<'a>(metadata: Value, tensors: impl IntoIterator<Item = &'a TensorEntry>) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".to_string(), metadata);
    let mut end = 0;
    for TensorEntry { name, dtype, shape, bytes } in tensors {
        let start = end;
        end += bytes;
        header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // The format asks for a length that is a multiple of 8, filled up with spaces.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header);
    out
}
