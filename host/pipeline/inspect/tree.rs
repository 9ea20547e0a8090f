//! One JSON object whose leaves are requests: its fields hold lists of texts, or objects of texts, of such lists and of such objects. The converter `json-array` reads it.

use serde_json::Value;

use super::format::Record;

/// The leaves as the converter makes records of them; `None` where the object is another one.
pub(super) fn leaves(value: &Value) -> Option<Vec<Record>> {
    let Value::Object(fields) = value else { return None };
    // One with a text among its fields may be a record.
    if !fields.values().all(|value| value.is_array() || value.is_object()) {
        return None;
    }
    let mut records = Vec::new();
    walk(value, &mut Vec::new(), &mut records).then_some(records).filter(|records| !records.is_empty())
}

/// Adds the leaves below a value; whether all of them are texts.
fn walk(value: &Value, keys: &mut Vec<String>, records: &mut Vec<Record>) -> bool {
    match value {
        Value::String(text) if !keys.is_empty() => {
            let mut record = vec![("instruction".to_owned(), Value::from(text.as_str()))];
            record.extend(keys.last().map(|key| ("category".to_owned(), Value::from(key.as_str()))));
            record
                .extend(keys.iter().enumerate().map(|(depth, key)| (format!("key{depth}"), Value::from(key.as_str()))));
            records.push(record);
            true
        }
        Value::Array(items) if !keys.is_empty() => {
            items.iter().all(|item| item.is_string() && walk(item, keys, records))
        }
        Value::Object(fields) => fields.iter().all(|(key, value)| {
            keys.push(key.clone());
            let is_sound = walk(value, keys, records);
            keys.pop();
            is_sound
        }),
        _ => false,
    }
}
