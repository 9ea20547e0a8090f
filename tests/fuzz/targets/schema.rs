//! A schema and a configuration, parted by a zero byte: built within its bounds or refused, and the two ways to ask agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use so8t_plugin::schema::Schema;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (schema, config) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"{}"));
    let Ok(schema) = std::str::from_utf8(schema) else { return };
    let schema = match Schema::parse(schema) {
        Ok(schema) => schema,
        Err(text) => return assert!(!text.is_empty()),
    };
    let Ok(config) = serde_json::from_slice(config) else { return };
    match (schema.accepts(&config), schema.mismatches(&config)) {
        (Ok(accepted), Ok(mismatches)) => assert_eq!(accepted, mismatches.is_empty()),
        (Err(_), Err(_)) => {}
        (accepted, mismatches) => panic!("{accepted:?} and {mismatches:?}"),
    }
});
