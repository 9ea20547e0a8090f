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
        if cells.len() > 256 || gold.len() < 1024 {
            for (row, (&gold, &predicted)) in gold.iter().zip(predicted).enumerate() {
                cells[cell(gold, predicted)] += u64::from(weights.get(row).copied().unwrap_or(1));
            }
        } else if weights.is_empty() {
            count(cells, labels, gold, predicted, std::iter::repeat(&[1; 16]));
        } else {
            let (steps, rest) = weights.as_chunks::<16>();
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            count(cells, labels, gold, predicted, steps.iter().chain([&last]));
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

/// Counts rows in a matrix of at most 256 cells. Four tables in turn, so that rows of one cell that follow each other need not wait
/// for each other; sixteen rows a step, whose cells are found together, and since the sandbox looks at the clock in every step of a
/// loop. `weights` has the weights of every step, and of what is left.
fn count<'w>(
    cells: &mut [u64],
    labels: usize,
    gold: &[u8],
    predicted: &[u8],
    mut weights: impl Iterator<Item = &'w [u32; 16]>,
) {
    let (columns, invalid) = (labels as u8 + 1, labels as u8);
    let mut tables = [[0_u64; 256]; 4];
    let cell = |gold: u8, predicted: u8| gold.wrapping_mul(columns).wrapping_add(predicted.min(invalid));
    let ((golds, gold), (predictions, predicted)) = (gold.as_chunks::<16>(), predicted.as_chunks::<16>());
    for ((gold, predicted), weights) in golds.iter().zip(predictions).zip(&mut weights) {
        let found: [u8; 16] = std::array::from_fn(|row| cell(gold[row], predicted[row]));
        for (four, weights) in found.as_chunks::<4>().0.iter().zip(weights.as_chunks::<4>().0) {
            for ((table, &cell), &weight) in tables.iter_mut().zip(four).zip(weights) {
                table[usize::from(cell)] += u64::from(weight);
            }
        }
    }
    let last = weights.next().copied().unwrap_or_default();
    for ((&gold, &predicted), weight) in gold.iter().zip(predicted).zip(last) {
        tables[0][usize::from(cell(gold, predicted))] += u64::from(weight);
    }
    for (index, count) in cells.iter_mut().enumerate() {
        *count += tables.iter().map(|table| table[index]).sum::<u64>();
    }
}
