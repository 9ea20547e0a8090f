//! The confusion matrix: the whole state of a metric that asks only what was right and what was taken for what.

use crate::{Failure, Rows, counts};

/// Rows, by weight: gold labels by row, predicted labels by column, and a last column for INVALID.
#[derive(Clone, Debug)]
pub struct Confusion {
    labels: usize,
    cells: Vec<u64>,
}

impl Confusion {
    /// An empty matrix over so many labels.
    pub fn new(labels: usize) -> Self {
        Self { labels, cells: vec![0; labels * (labels + 1)] }
    }

    /// Counts rows.
    pub fn update(&mut self, rows: &Rows<'_>) {
        let columns = self.labels + 1;
        for (gold, predicted, weight) in rows.labelled() {
            self.cells[gold * columns + predicted.unwrap_or(self.labels)] += u64::from(weight);
        }
    }

    /// The number of labels, which is also the column of INVALID.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// The rows of one gold label that one label was predicted for.
    pub fn cell(&self, gold: usize, predicted: usize) -> u64 {
        self.cells[gold * (self.labels + 1) + predicted]
    }

    /// The rows of each gold label.
    pub fn golds(&self) -> Vec<u64> {
        self.cells.chunks_exact(self.labels + 1).map(|row| row.iter().sum()).collect()
    }

    /// The rows of each predicted label, and of INVALID.
    pub fn predictions(&self) -> Vec<u64> {
        (0..=self.labels).map(|column| (0..self.labels).map(|gold| self.cell(gold, column)).sum()).collect()
    }

    /// All rows.
    pub fn total(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// The rows whose prediction is right.
    pub fn hits(&self) -> u64 {
        (0..self.labels).map(|label| self.cell(label, label)).sum()
    }

    /// The matrix as a state.
    pub fn write(&self) -> Vec<u8> {
        counts::write(&self.cells)
    }

    /// Adds the matrix of a state, which must be of as many labels.
    pub fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        counts::add(&mut self.cells, state)
    }
}
