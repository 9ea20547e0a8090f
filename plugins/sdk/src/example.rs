//! One example, as converters give it and mappers get it.

/// One example; the fields that the source lacks are empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Example<'a> {
    /// A name that is stable within the source; the host numbers the examples that have none.
    pub id: &'a str,
    /// What the user asks for.
    pub instruction: &'a str,
    /// Text that the instruction is about.
    pub input: &'a str,
    /// The answer that the source holds.
    pub output: &'a str,
    /// The label as the source spells it.
    pub label: &'a str,
    /// What must not straddle a split.
    pub group: &'a str,
    /// All other fields of the record, as one JSON object.
    pub extra_json: &'a str,
}
