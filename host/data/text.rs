//! Texts that lie together: the fields of many examples in one allocation, each a place in it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that does not change: 16 bytes, cheap to clone, read as a `str`. Texts that were made [`together`](Text::together) share an
/// allocation, which lasts as long as the last of them.
#[derive(Clone, Default)]
pub struct Text {
    /// `None` for an empty text.
    whole: Option<Arc<String>>,
    start: u32,
    /// Bytes; [`Text::REST`] for all that follow `start`.
    length: u32,
}

/// The most bytes that texts share: places in them are 32 bits.
const SHARED: usize = 1 << 30;

impl Text {
    /// The empty text.
    pub const EMPTY: Self = Self { whole: None, start: 0, length: 0 };

    /// The length that stands for all that follow: so that a text of its own may have any length.
    const REST: u32 = u32::MAX;

    /// Copies rows of texts into one allocation, or into as few as hold them.
    pub fn together<const N: usize>(rows: &[[&str; N]]) -> Vec<[Self; N]> {
        let mut out = Vec::with_capacity(rows.len());
        let mut rest = rows;
        while !rest.is_empty() {
            let mut bytes = 0_usize;
            let fitting = rest.iter().take_while(|row| {
                bytes += row.iter().map(|text| text.len()).sum::<usize>();
                bytes <= SHARED
            });
            match fitting.count() {
                0 => {
                    out.push(rest[0].map(Self::from));
                    rest = &rest[1..];
                }
                count => {
                    share(&rest[..count], &mut out);
                    rest = &rest[count..];
                }
            }
        }
        out
    }

    /// Whether it is empty; told without a look at the letters.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.whole.is_none()
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        let Some(whole) = &self.whole else { return "" };
        let start = self.start as usize;
        match self.length {
            Self::REST => &whole[start..],
            length => &whole[start..start + length as usize],
        }
    }
}

/// Copies rows of at most [`SHARED`] bytes into one allocation.
fn share<const N: usize>(rows: &[[&str; N]], out: &mut Vec<[Text; N]>) {
    let bytes = rows.iter().flatten().map(|text| text.len()).sum();
    let mut whole = String::with_capacity(bytes);
    rows.iter().flatten().for_each(|text| whole.push_str(text));
    let whole = Arc::new(whole);
    let mut start = 0;
    out.extend(rows.iter().map(|row| {
        row.map(|text| {
            let length = text.len() as u32;
            let place = start;
            start += length;
            match length {
                0 => Text::EMPTY,
                _ => Text { whole: Some(Arc::clone(&whole)), start: place, length },
            }
        })
    }));
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        match text.is_empty() {
            true => Self::EMPTY,
            false => Self { whole: Some(Arc::new(text)), start: 0, length: Self::REST },
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}
