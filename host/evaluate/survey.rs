//! What must be known of the rows besides what the metrics say: how many, of which classes and sources, whether their ids are
//! distinct, and whether they stand alone. Surveys of shards join into the survey of the whole.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::resample::Cluster;
use super::source::{RowBatch, RowSource};
use so8t_base::{Error, Result};
use so8t_data::{INVALID, LabelSet};

/// How many groups are gathered before they are looked through for the first time.
const FIRST_LOOK: usize = 1 << 16;

/// The most rows for which room is made before they were seen.
const BELIEVED: usize = 1 << 20;

/// Facts about rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Survey {
    pub(super) rows: u64,
    golds: BTreeSet<u8>,
    predictions: BTreeSet<u8>,
    /// The rows of each source.
    pub(super) sources: BTreeMap<String, u64>,
    first_cluster: Option<u64>,
    /// Whether there is more than one cluster.
    pub(super) several_clusters: bool,
    /// Whether two rows are of one group.
    pub(super) shared_group: bool,
    /// A hash of each id: eight bytes a row.
    #[serde(skip)]
    pub(super) ids: Vec<u64>,
    /// A hash of each row's group, until two are found to be the same.
    #[serde(skip)]
    pub(super) groups: Vec<u64>,
    #[serde(skip)]
    next_look: usize,
}

impl Survey {
    /// An empty survey with room for so many rows, as far as they may be believed before they were seen.
    pub(super) fn with_rows(rows: u64) -> Self {
        let believed = usize::try_from(rows).unwrap_or(BELIEVED).min(BELIEVED);
        Self { ids: Vec::with_capacity(believed), ..Self::default() }
    }

    /// Holds what a file says of its rows against itself: as many rows as ids, and as the sources have together; groups of some of them;
    /// labels that there are.
    ///
    /// # Errors
    /// What does not fit, as the end of a sentence that names the file.
    pub(super) fn check_whole(&self, labels: usize) -> Result<(), String> {
        let ids = self.ids.len() as u64;
        if self.rows != ids {
            return Err(format!("{} rows and {ids} ids: expected one id a row", self.rows));
        }
        let sum = self.sources.values().try_fold(0_u64, |sum, rows| sum.checked_add(*rows));
        if sum != Some(self.rows) || self.sources.values().any(|rows| *rows == 0) {
            let shown = sum.map_or_else(|| "too many".to_owned(), |sum| sum.to_string());
            return Err(format!("{} rows, and {shown} of its sources: expected the same number", self.rows));
        }
        if self.groups.len() as u64 > self.rows || (self.shared_group && !self.groups.is_empty()) {
            return Err(format!("{} groups of {} rows", self.groups.len(), self.rows));
        }
        let is_label = |id: &u8| usize::from(*id) < labels;
        let known = self.golds.iter().all(is_label) && self.predictions.iter().all(|id| is_label(id) || *id == INVALID);
        if !known || (self.rows > 0) == self.golds.is_empty() || (self.rows > 0) == self.predictions.is_empty() {
            return Err(format!("labels that are none of its {labels}, or none at all"));
        }
        let clusters = match (self.first_cluster.is_some(), self.several_clusters) {
            (true, true) => self.rows >= 2,
            (first, several) => first == (self.rows > 0) && !several,
        };
        match clusters && (!self.shared_group || self.rows >= 2) {
            true => Ok(()),
            false => Err(format!("groups of rows that its {} rows cannot have", self.rows)),
        }
    }

    /// Takes rows in.
    pub(super) fn add(&mut self, batch: &RowBatch) {
        self.rows += batch.rows() as u64;
        self.ids.extend(batch.ids.iter().map(|id| id.0));
        for part in &batch.parts {
            match self.sources.get_mut(&part.source) {
                Some(rows) => *rows += part.gold.len() as u64,
                None => _ = self.sources.insert(part.source.clone(), part.gold.len() as u64),
            }
            distinct(&part.gold).for_each(|id| _ = self.golds.insert(id));
            distinct(&part.predicted).for_each(|id| _ = self.predictions.insert(id));
            if !self.several_clusters {
                part.clusters.iter().for_each(|&cluster| self.cluster(cluster));
            }
        }
        if !self.shared_group {
            self.groups.extend(batch.grouped.iter().map(|group| group.0));
            if self.groups.len() >= self.next_look.max(FIRST_LOOK) {
                self.look();
                self.next_look = self.groups.len() * 2;
            }
        }
    }

    fn cluster(&mut self, Cluster(cluster): Cluster) {
        let first = *self.first_cluster.get_or_insert(cluster);
        self.several_clusters |= first != cluster;
    }

    /// Looks for two rows of one group.
    fn look(&mut self) {
        self.groups.sort_unstable();
        if self.groups.windows(2).any(|pair| pair[0] == pair[1]) {
            self.shared_group = true;
            self.groups = Vec::new();
        }
    }

    /// Sorts what was gathered: the same rows in another order give the same survey.
    pub(super) fn settle(&mut self) {
        self.ids.sort_unstable();
        if !self.shared_group {
            self.look();
        }
    }

    /// Adds the survey of other rows.
    pub(super) fn join(&mut self, other: Self) {
        // Each is the number of a file's ids: no sum of them wraps.
        self.rows = self.rows.saturating_add(other.rows);
        self.golds.extend(other.golds);
        self.predictions.extend(other.predictions);
        for (source, rows) in other.sources {
            let own = self.sources.entry(source).or_default();
            *own = own.saturating_add(rows);
        }
        self.several_clusters |= other.several_clusters;
        if let Some(cluster) = other.first_cluster {
            self.cluster(Cluster(cluster));
        }
        self.ids.extend(other.ids);
        self.shared_group |= other.shared_group;
        match self.shared_group {
            true => self.groups = Vec::new(),
            false => self.groups.extend(other.groups),
        }
    }

    /// The hashes that more than one id has. The survey must be settled.
    pub(super) fn doubtful_ids(&self) -> HashSet<u64> {
        self.ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }

    /// Refuses ids that stand twice in the rows of `range`. Hashes find what may be the same; the ids themselves decide.
    pub(super) fn check_ids(&self, source: &dyn RowSource, range: Range<u64>) -> Result<()> {
        let doubtful = self.doubtful_ids();
        if doubtful.is_empty() {
            return Ok(());
        }
        let (mut seen, mut twice) = (HashSet::new(), None);
        source.ids(range, &mut |id| {
            if doubtful.contains(&Cluster::of("", id).0) && !seen.insert(id.to_owned()) && twice.is_none() {
                twice = Some(id.to_owned());
            }
        })?;
        match twice {
            Some(id) => Err(Error::data(format!("expected distinct row ids, found `{id}` twice"))),
            None => Ok(()),
        }
    }

    /// Gives back the memory of the hashes, once they have been compared.
    pub(super) fn forget_hashes(&mut self) {
        (self.ids, self.groups) = (Vec::new(), Vec::new());
    }

    /// Refuses rows on which nothing can be measured.
    pub(super) fn check(&self) -> Result<()> {
        if self.rows >= 2 {
            return Ok(());
        }
        Err(Error::data(format!(
            "expected at least 2 rows to evaluate, found {}: no metric means anything on that",
            self.rows
        ))
        .with_hint("give `[[data]]` entries with `use = \"eval\"` or a larger `[split] eval`"))
    }

    /// What makes the values of these rows weak.
    pub(super) fn warnings(&self, labels: &LabelSet) -> Vec<String> {
        let mut warnings = Vec::new();
        for (id, name) in labels.names.iter().enumerate() {
            if !self.golds.contains(&(id as u8)) {
                warnings.push(format!("class {name} has no evaluation example: its recall and F1 say nothing"));
            }
        }
        for (source, _) in self.sources.iter().filter(|(_, rows)| **rows == 1) {
            warnings.push(format!("source `{source}` has a single row in the evaluation: its values mean nothing"));
        }
        if let (1, Some(&only)) = (self.predictions.len(), self.predictions.first())
            && self.golds.len() > 1
        {
            warnings.push(format!("every prediction is `{}`, whatever the request", labels.name(only)));
        }
        warnings
    }
}

/// The ids that occur.
fn distinct(column: &[u8]) -> impl Iterator<Item = u8> {
    let mut seen = [false; 256];
    column.iter().for_each(|&id| seen[usize::from(id)] = true);
    (0..=255_u8).filter(move |&id| seen[usize::from(id)])
}
