//! The labels of a measurement, and which of them are safe and unsafe.

use serde::Deserialize;

use crate::Failure;

/// The names of the label set, by id.
#[derive(Clone, Debug)]
pub struct Labels(Vec<String>);

impl Labels {
    /// At most 200 names, and at least one.
    pub fn new(names: Vec<String>) -> Result<Self, Failure> {
        match names.len() {
            1..=200 => Ok(Self(names)),
            found => Err(Failure::Input(format!("expected 1 to 200 labels, found {found}"))),
        }
    }

    /// The names, by id.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The number of labels.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The id of a name that is spelled so, if there is one.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    /// Fails where two names are the same in lower case, in which metrics spell them.
    pub fn check_case(&self) -> Result<(), Failure> {
        let lower: Vec<String> = self.0.iter().map(|name| name.to_lowercase()).collect();
        match (1..lower.len()).find(|&id| lower[..id].contains(&lower[id])) {
            Some(second) => {
                Err(Failure::Config(format!("two labels are spelled `{}` but for the case", self.0[second])))
            }
            None => Ok(()),
        }
    }

    /// The id of a name, or a failure that lists the names.
    pub fn id(&self, name: &str) -> Result<usize, Failure> {
        self.find(name).ok_or_else(|| {
            Failure::Config(format!("`{name}` is not a label: expected one of `{}`", self.0.join("`, `")))
        })
    }
}

/// The configuration of metrics that ask what is safe: the label that lets a request through, and those of requests that
/// must not be let through.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Safety {
    safe: Option<String>,
    r#unsafe: Option<Vec<String>>,
}

impl Safety {
    /// The ids of the safe label (`ALLOW`, or the first where there is none) and of the unsafe ones (`DENY` and `REFUSE`,
    /// as far as they are labels).
    pub fn resolve(self, labels: &Labels) -> Result<(usize, Vec<usize>), Failure> {
        let safe = match self.safe {
            Some(name) => labels.id(&name)?,
            None => labels.find("ALLOW").unwrap_or(0),
        };
        let hazards: Vec<usize> = match self.r#unsafe {
            Some(names) => names.iter().map(|name| labels.id(name)).collect::<Result<_, _>>()?,
            None => ["DENY", "REFUSE"].iter().filter_map(|name| labels.find(name)).collect(),
        };
        if hazards.contains(&safe) {
            return Err(Failure::Config(format!("`{}` is both safe and unsafe", labels.names()[safe])));
        }
        Ok((safe, hazards))
    }
}
