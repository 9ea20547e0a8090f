//! The header of a GGUF file: metadata, and where each tensor lies.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian. Read here
//! and not by candle, whose reader panics on an alignment of 0 and does not say which tensor has an unknown type.

use std::collections::BTreeMap;

use candle_core::quantized::GgmlDType;

use super::encoding::Encoding;
use super::recognise;
use so8t_base::{Error, Result};

/// One value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any whole number.
    Whole(i128),
    /// Any float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A string.
    Text(String),
    /// A list of values of one type, none of them a list.
    List(Vec<Value>),
}

/// One tensor's place, checked against the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// How its elements are written.
    pub encoding: Encoding,
    /// Its bytes within the file.
    pub bytes: std::ops::Range<usize>,
}

/// What a GGUF file's header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// By key.
    pub metadata: BTreeMap<String, Value>,
    /// The bytes of each value with its type, by key.
    pub places: BTreeMap<String, std::ops::Range<usize>>,
    /// By GGUF name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Header {
    /// Reads the header of the file whose bytes are `file`.
    ///
    /// Errors say at which byte what was expected: another format or version, a truncated file, a type that cannot
    /// be read, a tensor that reaches beyond the file.
    pub fn read(file: &[u8]) -> Result<Self> {
        recognise::gguf(file)?;
        let mut reader = Reader { file, at: 0, elements: 0, text: 0 };
        if reader.take(4)? != b"GGUF" {
            return Err(Error::model("expected a GGUF file, which begins with `GGUF`"));
        }
        match reader.u32()? {
            2 | 3 => {}
            version if matches!(version.swap_bytes(), 1..=3) => {
                return Err(Error::model("the file is big-endian: expected little-endian"));
            }
            version => return Err(Error::model(format!("expected GGUF version 2 or 3, found `{version}`"))),
        }
        let tensor_count = reader.count(8 + 4 + 4 + 8, "tensors")?;
        let metadata_count = reader.count(8 + 4 + 1, "metadata entries")?;
        for (count, most, what) in
            [(tensor_count, MOST_TENSORS, "tensors"), (metadata_count, MOST_ENTRIES, "metadata entries")]
        {
            if count > most {
                return Err(Error::model(format!("expected at most {most} {what}, found `{count}`")));
            }
        }
        let (mut metadata, mut value_places) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..metadata_count {
            let key = reader.text()?;
            let start = reader.at;
            let kind = reader.u32()?;
            let value = reader.value(kind, true).map_err(|e| e.context(format!("field `{key}`")))?;
            value_places.insert(key.clone(), start..reader.at);
            metadata.insert(key, value);
        }
        let mut places = Vec::new();
        for _ in 0..tensor_count {
            let name = reader.text()?;
            let place = reader.tensor().map_err(|e| e.context(format!("tensor `{name}`")))?;
            places.push((name, place));
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Whole(number @ 1..=65_536)) => *number as usize,
            Some(other) => {
                return Err(Error::model(format!("field `general.alignment`: expected 1 to 65536, found `{other:?}`")));
            }
        };
        let data = reader.at.next_multiple_of(alignment);
        let mut tensors = BTreeMap::new();
        for (name, (shape, encoding, offset)) in places {
            let tensor =
                locate(shape, encoding, data, offset, file.len()).map_err(|e| e.context(format!("tensor `{name}`")))?;
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(Error::model(format!("tensor `{name}` stands twice in the file")));
            }
        }
        Ok(Self { metadata, places: value_places, tensors })
    }

    /// A string of the metadata; `None` where the key is absent.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.get(key, "a string", |v| if let Value::Text(text) = v { Some(text.as_str()) } else { None })
    }

    /// A whole number that fits `usize`.
    pub fn whole(&self, key: &str) -> Result<Option<usize>> {
        self.get(key, "a whole number", |v| if let Value::Whole(n) = v { usize::try_from(*n).ok() } else { None })
    }

    /// A number of any type.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key, "a number", |v| match v {
            Value::Float(number) => Some(*number),
            Value::Whole(number) => Some(*number as f64),
            _ => None,
        })
    }

    /// A boolean.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.get(key, "a boolean", |v| if let Value::Bool(value) = v { Some(*value) } else { None })
    }

    /// A list of strings.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.list(key, "a list of strings", |v| if let Value::Text(text) = v { Some(text.as_str()) } else { None })
    }

    /// A list of numbers.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.list(key, "a list of numbers", |v| match v {
            Value::Float(number) => Some(*number),
            Value::Whole(number) => Some(*number as f64),
            _ => None,
        })
    }

    fn list<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        one: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        self.get(key, expected, |v| if let Value::List(list) = v { list.iter().map(&one).collect() } else { None })
    }

    fn get<'a, T>(&'a self, key: &str, expected: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| {
            let mut found = format!("{value:?}");
            if found.len() > 60 {
                found = "another value".to_string();
            }
            Error::model(format!("field `{key}`: expected {expected}, found `{found}`"))
        })
    }
}

/// Turns an offset into a range of the file, and checks it.
fn locate(shape: Vec<usize>, encoding: Encoding, data: usize, offset: u64, length: usize) -> Result<Tensor> {
    let size = encoding
        .bytes(&shape)
        .ok_or_else(|| Error::model(format!("shape `{shape:?}` is not a whole number of blocks of `{encoding:?}`")))?;
    let start = usize::try_from(offset).ok().and_then(|offset| data.checked_add(offset));
    match start.and_then(|start| Some(start..start.checked_add(size)?)) {
        Some(bytes) if bytes.end <= length => Ok(Tensor { shape, encoding, bytes }),
        _ => Err(Error::model(format!(
            "the file is truncated or damaged: expected {size} bytes at offset {offset} of the data, the file ends before"
        ))),
    }
}

/// No real model has more tensors.
const MOST_TENSORS: usize = 1 << 17;
/// No real file has more metadata.
const MOST_ENTRIES: usize = 1 << 16;
/// Elements of all lists together, each of which takes many times its bytes in memory: several times those of the largest vocabularies.
const MOST_ELEMENTS: usize = 1 << 23;
/// Bytes of all texts together.
const MOST_TEXT: usize = 1 << 28;

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
    /// Elements of lists so far.
    elements: usize,
    /// Bytes of texts so far.
    text: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = &self.file[self.at..];
        let taken = rest.get(..count).ok_or_else(|| {
            let (at, left) = (self.at, rest.len());
            Error::model(format!("the file is truncated or damaged: expected {count} bytes at byte {at}, found {left}"))
        })?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things that take at least `each` bytes, so that a wrong number allocates nothing.
    fn count(&mut self, each: usize, what: &str) -> Result<usize> {
        let at = self.at;
        let count = self.u64()?;
        let left = (self.file.len() - self.at) as u64;
        if count.checked_mul(each as u64).is_none_or(|bytes| bytes > left) {
            return Err(Error::model(format!(
                "the file is truncated or damaged: byte {at} promises {count} {what}, but {left} bytes are left"
            )));
        }
        Ok(count as usize)
    }

    fn text(&mut self) -> Result<String> {
        let length = self.count(1, "bytes of text")?;
        self.text = self.text.saturating_add(length);
        if self.text > MOST_TEXT {
            return Err(Error::model(format!("expected at most {MOST_TEXT} bytes of text in the header, found more")));
        }
        // Some writers put invalid UTF-8 into token lists: it is shown, as llama.cpp does, and matches no text.
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn value(&mut self, kind: u32, lists: bool) -> Result<Value> {
        Ok(match kind {
            0 => Value::Whole(self.array().map(u8::from_le_bytes)?.into()),
            1 => Value::Whole(self.array().map(i8::from_le_bytes)?.into()),
            2 => Value::Whole(self.array().map(u16::from_le_bytes)?.into()),
            3 => Value::Whole(self.array().map(i16::from_le_bytes)?.into()),
            4 => Value::Whole(self.u32()?.into()),
            5 => Value::Whole(self.array().map(i32::from_le_bytes)?.into()),
            6 => Value::Float(self.array().map(f32::from_le_bytes)?.into()),
            7 => Value::Bool(self.array::<1>()? != [0]),
            8 => Value::Text(self.text()?),
            9 if lists => {
                let kind = self.u32()?;
                let count = self.count(1, "list elements")?;
                self.elements = self.elements.saturating_add(count);
                if self.elements > MOST_ELEMENTS {
                    return Err(Error::model(format!(
                        "expected lists of at most {MOST_ELEMENTS} elements in all, found one of `{count}`"
                    )));
                }
                Value::List((0..count).map(|_| self.value(kind, false)).collect::<Result<_>>()?)
            }
            10 => Value::Whole(self.u64()?.into()),
            11 => Value::Whole(self.array().map(i64::from_le_bytes)?.into()),
            12 => Value::Float(self.array().map(f64::from_le_bytes)?),
            9 => return Err(Error::model("a list of lists cannot be read")),
            other => return Err(Error::model(format!("expected a value of type 0 to 12, found `{other}`"))),
        })
    }

    fn tensor(&mut self) -> Result<(Vec<usize>, Encoding, u64)> {
        let dimensions = self.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(Error::model(format!("expected 1 to 4 dimensions, found `{dimensions}`")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = self.u64()?;
            shape.push(
                usize::try_from(size).map_err(|_| Error::model(format!("a dimension of `{size}` is too large")))?,
            );
        }
        shape.reverse();
        let kind = self.u32()?;
        Ok((shape, encoding(kind)?, self.u64()?))
    }
}

/// GGML's types by number, as far as they can be read.
fn encoding(number: u32) -> Result<Encoding> {
    Encoding::of_ggml(match number {
        20 => return Ok(Encoding::Iq4Nl),
        23 => return Ok(Encoding::Iq4Xs),
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        other => {
            return Err(Error::model(format!("elements of GGML type `{other}` cannot be read")).with_hint(
                "readable are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL and IQ4_XS",
            ));
        }
    })
}
