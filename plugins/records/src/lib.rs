//! Streams of records for converters.
//!
//! | module | what it holds |
//! |---|---|
//! | [`text`] | what every text format shares: byte order mark, line count, UTF-8, the cap on a record |
//! | [`json`] | records as lines of JSON, or as the elements of one JSON array, cut out of a stream |
//! | [`delimited`] | records as rows of delimited text (CSV), cut out of a stream |
//! | [`scan`] | the fields of a JSON object in plain sight, fast |
//! | `layout` | the fields that the records before had, so that only the values of the next one are looked for |
//! | [`object`] | one JSON object as raw fields, and paths into it |
//! | [`words`] | numbers that JSON has no word for |
//! | [`tree`] | one object whose leaves are requests |
//! | [`fields`] | which fields become which column of an example |
//!
//! All readers keep no more than the record at hand, and give the same records however the bytes are cut.

pub mod delimited;
pub mod fields;
pub mod json;
mod layout;
pub mod object;
pub mod scan;
pub mod text;
pub mod tree;
pub mod words;

/// The default of `max_record_bytes`: 16 MiB.
pub const MAX_RECORD_BYTES: usize = 16 << 20;
