//! A small map that keeps the order in which names were added, so that reports read as the plugin declared them.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Distinct names with their values, in the order in which they were added. A JSON object outside.
#[derive(Clone)]
pub struct Table<T> {
    entries: Vec<(String, T)>,
    /// Where each name stands, once there are so many that looking through them would take long.
    places: HashMap<String, usize>,
}

/// With fewer names they are looked through one by one.
const MANY: usize = 32;

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: HashMap::new() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T: PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<T: Eq> Eq for Table<T> {}

impl<T> Table<T> {
    fn place(&self, name: &str) -> Option<usize> {
        match self.entries.len() < MANY {
            true => self.entries.iter().position(|(own, _)| own == name),
            false => self.places.get(name).copied(),
        }
    }

    /// Appends a name that is not there.
    fn append(&mut self, name: String, value: T) -> usize {
        let place = self.entries.len();
        self.entries.push((name, value));
        match self.entries.len() {
            MANY => self.places = self.entries.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect(),
            count if count > MANY => _ = self.places.insert(self.entries[place].0.clone(), place),
            _ => {}
        }
        place
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.place(name).map(|place| &self.entries[place].1)
    }

    /// Appends a name, or replaces its value where it stands.
    pub fn insert(&mut self, name: impl Into<String>, value: T) {
        let name = name.into();
        match self.place(&name) {
            Some(place) => self.entries[place].1 = value,
            None => _ = self.append(name, value),
        }
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T: Default> Table<T> {
    /// The value of a name, which is added with a default where it is lacking.
    pub fn entry(&mut self, name: &str) -> &mut T {
        let place = self.place(name).unwrap_or_else(|| self.append(name.to_owned(), T::default()));
        &mut self.entries[place].1
    }
}

impl<T> FromIterator<(String, T)> for Table<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(iter: I) -> Self {
        let mut table = Self::default();
        iter.into_iter().for_each(|(name, value)| table.insert(name, value));
        table
    }
}

impl<T: Serialize> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (name, value) in &self.entries {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Table<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table<T>, A::Error> {
                let mut table = Table::default();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if table.get(&name).is_some() {
                        return Err(A::Error::custom(format!("expected each name once, found `{name}` twice")));
                    }
                    table.insert(name, value);
                }
                Ok(table)
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}
