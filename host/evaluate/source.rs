//! Where rows come from: batches of columns, from memory or from a file that is larger than memory.

use std::collections::HashMap;
use std::ops::Range;

use super::resample::Cluster;
use super::row::{EvaluatedRow, check};
use so8t_base::Result;
use so8t_data::LabelSet;

/// How many rows a batch holds at the most.
pub const BATCH_ROWS: usize = 8192;

/// Rows that can be read again and again, always in the same order.
pub trait RowSource: Sync {
    /// How many rows there are.
    fn rows(&self) -> Result<u64>;

    /// Gives the rows of a range, in order, in batches of at most [`BATCH_ROWS`]. Without `scores` the batches hold none, and
    /// scores are not checked.
    ///
    /// # Errors
    /// What `take` returns, and a row that is not sound.
    fn read(&self, range: Range<u64>, scores: bool, take: &mut dyn FnMut(RowBatch) -> Result<()>) -> Result<()>;

    /// Gives the ids of a range, in order.
    fn ids(&self, range: Range<u64>, take: &mut dyn FnMut(&str)) -> Result<()>;
}

/// Some rows, parted by their source.
#[derive(Clone, Debug, Default)]
pub struct RowBatch {
    /// The rows of each source that occurs, in the order of the rows.
    pub parts: Vec<Part>,
    /// A cluster for each row as if it had no group: it stands for the row's id.
    pub ids: Vec<Cluster>,
    /// The cluster of each row that has a group.
    pub grouped: Vec<Cluster>,
    /// Where the rows of each source are.
    places: HashMap<String, usize>,
}

/// Rows of one source, as columns.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The source's name.
    pub source: String,
    /// Gold ids.
    pub gold: Vec<u8>,
    /// Predicted ids.
    pub predicted: Vec<u8>,
    /// Scores, row-major; empty where they were not asked for.
    pub scores: Vec<f32>,
    /// What each row is drawn with.
    pub clusters: Vec<Cluster>,
    /// What stands for each row's id.
    pub ids: Vec<Cluster>,
    /// A number for each cluster; empty where no metric wants it.
    pub numbers: Vec<u32>,
}

/// One row, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// The row's id.
    pub id: &'a str,
    /// Its source.
    pub source: &'a str,
    /// Its group, empty where it has none.
    pub group: &'a str,
    /// The gold id.
    pub gold: u8,
    /// The predicted id.
    pub predicted: u8,
    /// A score for each label; `None` where they are not asked for.
    pub scores: Option<&'a [f32]>,
}

impl RowBatch {
    /// Adds a row.
    ///
    /// # Errors
    /// An id that is no label's, a score that is lacking or not finite.
    pub fn push(&mut self, row: RowRef<'_>, labels: &LabelSet) -> Result<()> {
        check(row.id, row.gold, row.predicted, row.scores, labels)?;
        let own = Cluster::of("", row.id);
        self.ids.push(own);
        let cluster = match row.group.is_empty() {
            true => own,
            false => {
                let cluster = Cluster::of(row.group, row.id);
                self.grouped.push(cluster);
                cluster
            }
        };
        // Rows of one source often stand together, so the last part is the first guess.
        let place = match self.parts.last() {
            Some(last) if last.source == row.source => self.parts.len() - 1,
            _ => match self.places.get(row.source) {
                Some(place) => *place,
                None => {
                    self.parts.push(Part { source: row.source.to_owned(), ..Part::default() });
                    self.places.insert(row.source.to_owned(), self.parts.len() - 1);
                    self.parts.len() - 1
                }
            },
        };
        let part = &mut self.parts[place];
        part.gold.push(row.gold);
        part.predicted.push(row.predicted);
        part.scores.extend_from_slice(row.scores.unwrap_or_default());
        part.clusters.push(cluster);
        part.ids.push(own);
        Ok(())
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }
}

/// Rows in memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryRows<'a> {
    /// The rows.
    pub rows: &'a [EvaluatedRow],
    /// The labels that their ids refer to.
    pub labels: &'a LabelSet,
}

impl MemoryRows<'_> {
    fn part(&self, range: Range<u64>) -> &[EvaluatedRow] {
        &self.rows[range.start as usize..range.end as usize]
    }
}

impl RowSource for MemoryRows<'_> {
    fn rows(&self) -> Result<u64> {
        Ok(self.rows.len() as u64)
    }

    fn read(&self, range: Range<u64>, scores: bool, take: &mut dyn FnMut(RowBatch) -> Result<()>) -> Result<()> {
        for rows in self.part(range).chunks(BATCH_ROWS) {
            let mut batch = RowBatch::default();
            for row in rows {
                let scores = scores.then_some(row.prediction.scores.as_slice());
                let (id, source, group) = (&*row.id, &*row.source, &*row.group);
                let row = RowRef { id, source, group, gold: row.gold, predicted: row.prediction.label, scores };
                batch.push(row, self.labels)?;
            }
            take(batch)?;
        }
        Ok(())
    }

    fn ids(&self, range: Range<u64>, take: &mut dyn FnMut(&str)) -> Result<()> {
        self.part(range).iter().for_each(|row| take(&row.id));
        Ok(())
    }
}
