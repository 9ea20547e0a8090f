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
        let Self { labels, cells } = self;
        let (labels, gold, predicted, weights) = (*labels, rows.gold(), rows.predicted(), rows.weights());
        // INVALID is greater than every label.
        let cell = |gold: u8, predicted: u8| usize::from(gold) * (labels + 1) + usize::from(predicted).min(labels);
        if !weights.is_empty() || gold.len() < 8 * cells.len() {
            for (row, (&gold, &predicted)) in gold.iter().zip(predicted).enumerate() {
                cells[cell(gold, predicted)] += u64::from(weights.get(row).copied().unwrap_or(1));
            }
            return;
        }
        // Four tables in turn: rows of one cell that follow each other need not wait for each other. Sixteen rows a step, since the
        // sandbox looks at the clock in every step of a loop.
        let mut tables = vec![0_u32; 4 * cells.len()];
        let ([golds, gold], [predictions, predicted]) = (stepwise(gold), stepwise(predicted));
        let (first, rest) = tables.split_at_mut(cells.len());
        let (second, rest) = rest.split_at_mut(cells.len());
        let (third, fourth) = rest.split_at_mut(cells.len());
        for (gold, predicted) in golds.as_chunks::<16>().0.iter().zip(predictions.as_chunks::<16>().0) {
            for row in 0..4 {
                first[cell(gold[4 * row], predicted[4 * row])] += 1;
                second[cell(gold[4 * row + 1], predicted[4 * row + 1])] += 1;
                third[cell(gold[4 * row + 2], predicted[4 * row + 2])] += 1;
                fourth[cell(gold[4 * row + 3], predicted[4 * row + 3])] += 1;
            }
        }
        for (&gold, &predicted) in gold.iter().zip(predicted) {
            first[cell(gold, predicted)] += 1;
        }
        for (index, count) in cells.iter_mut().enumerate() {
            *count += [&first, &second, &third, &fourth].iter().map(|table| u64::from(table[index])).sum::<u64>();
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

/// A column in steps of sixteen rows, and what is left.
fn stepwise(column: &[u8]) -> [&[u8]; 2] {
    let (steps, rest) = column.split_at(column.len() / 16 * 16);
    [steps, rest]
}
