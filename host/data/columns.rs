//! Columns as they cross the plugin boundary: what a guest returned, after its shape was checked.

/// One text column: row `i` is `bytes[offsets[i]..offsets[i + 1]]`. A lacking column has no offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The rows' UTF-8 bytes, one after another.
    pub bytes: Vec<u8>,
    /// Where each row starts, and where the last ends: rows + 1 numbers.
    pub offsets: Vec<u32>,
}

impl Texts {
    /// A column that the source lacks.
    pub fn lacking() -> Self {
        Self::default()
    }

    /// Whether the column is lacking.
    pub fn is_lacking(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The number of rows; 0 for a lacking column.
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Row `row`, or `None` where the column is lacking. The column has been checked: offsets in range, UTF-8.
    pub fn get(&self, row: usize) -> Option<&str> {
        if self.is_lacking() {
            return None;
        }
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        simdutf8::basic::from_utf8(&self.bytes[range]).ok()
    }

    /// The column as text, for whoever reads many rows: the bytes are looked at once.
    pub fn rows_of_text(&self) -> TextRows<'_> {
        TextRows { text: simdutf8::basic::from_utf8(&self.bytes).unwrap_or_default(), offsets: &self.offsets }
    }

    /// Appends a row.
    pub fn push(&mut self, text: &str) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.offsets.push(self.bytes.len() as u32);
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<T: IntoIterator<Item = &'a str>>(iter: T) -> Self {
        let mut texts = Self { bytes: Vec::new(), offsets: vec![0] };
        iter.into_iter().for_each(|text| texts.push(text));
        texts
    }
}

/// The rows of a [`Texts`].
#[derive(Clone, Copy, Debug)]
pub struct TextRows<'a> {
    text: &'a str,
    offsets: &'a [u32],
}

impl<'a> TextRows<'a> {
    /// Row `row`, or `None` where the column is lacking, as [`Texts::get`].
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let (start, end) = (*self.offsets.get(row)?, *self.offsets.get(row + 1)?);
        self.text.get(start as usize..end as usize)
    }
}

/// Examples as columns; those that are not lacking have equal rows. `instruction` is never lacking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExampleColumns {
    /// A name that is stable within the source.
    pub id: Texts,
    /// What the user asks for.
    pub instruction: Texts,
    /// Text that the instruction is about.
    pub input: Texts,
    /// The answer that the source holds.
    pub output: Texts,
    /// The label as the source spells it.
    pub label: Texts,
    /// What must not straddle a split.
    pub group: Texts,
    /// The record's other fields, a JSON object a row.
    pub extra_json: Texts,
}

impl ExampleColumns {
    /// The number of examples.
    pub fn rows(&self) -> usize {
        self.instruction.rows()
    }

    /// The columns as text, but for `extra_json`, which few rows are asked for.
    pub fn rows_of_text(&self) -> ExampleRows<'_> {
        ExampleRows {
            id: self.id.rows_of_text(),
            instruction: self.instruction.rows_of_text(),
            input: self.input.rows_of_text(),
            output: self.output.rows_of_text(),
            label: self.label.rows_of_text(),
            group: self.group.rows_of_text(),
            extra_json: &self.extra_json,
        }
    }
}

/// The rows of [`ExampleColumns`], for whoever reads many.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "as in `ExampleColumns`")]
pub struct ExampleRows<'a> {
    pub id: TextRows<'a>,
    pub instruction: TextRows<'a>,
    pub input: TextRows<'a>,
    pub output: TextRows<'a>,
    pub label: TextRows<'a>,
    pub group: TextRows<'a>,
    pub extra_json: &'a Texts,
}

/// A record that a converter left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The line of the file, counted from 1, in which the record starts.
    pub line: u32,
    /// What was expected and what was found.
    pub reason: String,
}

/// What one call of a converter returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConvertedBatch {
    /// The examples.
    pub examples: ExampleColumns,
    /// The line of the file, counted from 1, in which each example starts.
    pub lines: Vec<u32>,
    /// The records that were left out.
    pub rejected: Vec<Rejection>,
}
