//! How many rows have each score: exact counts while there are few distinct scores, counts on a grid beyond.
//!
//! Every row has a score in [0, 1], a kind (0 or 1, for example negative or positive) and a weight. What is kept is a pure
//! function of the multiset of rows, so that any order and any sharding give the same bytes: a row of weight 0 counts
//! for nothing, and counts are exact exactly as long as there are at most [`MAX_DISTINCT`] distinct scores and no
//! score has more than 2³² − 1 rows of a kind. Both only ever cease to hold, whatever is added.

mod varint;

use so8t_plugin_sdk::Failure;

/// The most distinct scores that are counted exactly; 12 bytes each.
pub const MAX_DISTINCT: usize = 65_536;
/// The equal steps into which the grid cuts [0, 1); the score 1 has a cell of its own. 16 bytes each.
pub const STEPS: usize = 16_384;
/// How many rows are sorted at once.
const BUFFER: usize = 8_192;

/// The rows of both kinds at every score.
#[derive(Debug)]
pub struct Scores(Counts);

#[derive(Debug)]
enum Counts {
    /// By score, ascending.
    Exact(Vec<Entry>),
    /// By step.
    Grid(Vec<[u64; 2]>),
}

/// The rows of both kinds at one score. The bits of floats from 0 to 1 are in the order of their values.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    bits: u32,
    counts: [u32; 2],
}

/// As [`Entry`], before it is known whether the counts fit.
type Fresh = (u32, [u64; 2]);

impl Default for Scores {
    fn default() -> Self {
        Self(Counts::Exact(Vec::new()))
    }
}

impl Scores {
    /// Counts rows: score, kind and weight. Scores are numbers from 0 to 1.
    pub fn add(&mut self, mut rows: impl Iterator<Item = (f32, bool, u32)>) {
        // Sorting whole numbers is fast: 30 bits of the score, one of the kind, 32 of the weight.
        let packed = |(score, kind, weight)| u64::from(bits(score)) << 33 | u64::from(kind) << 32 | u64::from(weight);
        let mut buffer = Vec::new();
        while let Counts::Exact(_) = self.0 {
            buffer.extend(rows.by_ref().filter(|&(_, _, weight)| weight > 0).take(BUFFER).map(packed));
            if buffer.is_empty() {
                return;
            }
            buffer.sort_unstable();
            let fresh: Vec<Fresh> = buffer.chunk_by(|a, b| a >> 33 == b >> 33).map(summed).collect();
            self.take_in(&fresh);
            buffer.clear();
        }
        if let Counts::Grid(cells) = &mut self.0 {
            rows.for_each(|(score, kind, weight)| cells[step(score)][usize::from(kind)] += u64::from(weight));
        }
    }

    /// Whether the counts are those of the scores themselves.
    pub fn is_exact(&self) -> bool {
        matches!(self.0, Counts::Exact(_))
    }

    /// The scores that some row has, ascending, with the rows of each kind. On the grid: the middle of its step.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = (f64, [u64; 2])> {
        let (entries, cells): (&[Entry], &[[u64; 2]]) = match &self.0 {
            Counts::Exact(entries) => (entries, &[]),
            Counts::Grid(cells) => (&[], cells),
        };
        let middle = |step| if step == STEPS { 1.0 } else { (step as f64 + 0.5) / STEPS as f64 };
        let filled = |(_, counts): &(usize, &[u64; 2])| **counts != [0, 0];
        let cells = cells.iter().enumerate().filter(filled).map(move |(step, counts)| (middle(step), *counts));
        entries.iter().map(|entry| (entry.score().into(), entry.counts.map(u64::from))).chain(cells)
    }

    /// The rows of each kind.
    pub fn totals(&self) -> [u64; 2] {
        self.steps().fold([0, 0], |sum, (_, counts)| [0, 1].map(|kind| counts[kind].saturating_add(sum[kind])))
    }

    /// Appends all that was counted to a state: variable-length numbers, since most are small.
    pub fn write(&self, state: &mut Vec<u8>) {
        let mut length = 0;
        self.numbers(|number| length += varint::length(number));
        state.reserve_exact(length);
        self.numbers(|number| varint::write(state, number));
    }

    /// All that was counted, as numbers: how many scores and one more, and each score (as a difference to the one before)
    /// with its counts; or 0, and the counts of the grid.
    fn numbers(&self, mut number: impl FnMut(u64)) {
        match &self.0 {
            Counts::Exact(entries) => {
                number(entries.len() as u64 + 1);
                let mut last = 0;
                for entry in entries {
                    number((entry.bits - last).into());
                    entry.counts.iter().for_each(|&count| number(count.into()));
                    last = entry.bits;
                }
            }
            Counts::Grid(cells) => {
                number(0);
                cells.as_flattened().iter().for_each(|&count| number(count));
            }
        }
    }

    /// Adds what [`Scores::write`] wrote at the start of `state`, which is then what follows.
    pub fn merge(&mut self, state: &mut &[u8]) -> Result<(), Failure> {
        let Some(mut left) = varint::read(state)?.checked_sub(1) else {
            let mut cells = self.take_grid();
            for count in cells.as_flattened_mut() {
                *count = count.saturating_add(varint::read(state)?);
            }
            self.0 = Counts::Grid(cells);
            return Ok(());
        };
        let mut last = None;
        while left > 0 {
            let mut fresh = Vec::new();
            for _ in 0..left.min(BUFFER as u64) {
                let bits = last.unwrap_or(0) + varint::read(state)?;
                let counts = [varint::read(state)?, varint::read(state)?];
                if last.is_some_and(|last| bits <= last) || bits > u64::from(1_f32.to_bits()) || counts == [0, 0] {
                    return Err(Failure::Input("state: expected counts of ascending scores from 0 to 1".to_owned()));
                }
                last = Some(bits);
                fresh.push((bits as u32, counts));
            }
            left -= fresh.len() as u64;
            self.take_in(&fresh);
        }
        Ok(())
    }

    /// Adds counts of ascending scores.
    fn take_in(&mut self, fresh: &[Fresh]) {
        if let Counts::Exact(entries) = &mut self.0
            && insert(entries, fresh)
        {
            return;
        }
        let mut cells = self.take_grid();
        fresh.iter().for_each(|&(bits, counts)| add_to(&mut cells, f32::from_bits(bits), counts));
        self.0 = Counts::Grid(cells);
    }

    /// What was counted so far on the grid, leaving nothing.
    fn take_grid(&mut self) -> Vec<[u64; 2]> {
        match std::mem::take(self).0 {
            Counts::Grid(cells) => cells,
            Counts::Exact(entries) => {
                let mut cells = vec![[0; 2]; STEPS + 1];
                entries.iter().for_each(|entry| add_to(&mut cells, entry.score(), entry.counts.map(u64::from)));
                cells
            }
        }
    }
}

impl Entry {
    fn score(&self) -> f32 {
        f32::from_bits(self.bits)
    }
}

/// The bits of a score; -0 is 0.
fn bits(score: f32) -> u32 {
    (score + 0.0).to_bits()
}

/// The step of the grid that a score lies in. The product is exact.
fn step(score: f32) -> usize {
    ((score * STEPS as f32) as usize).min(STEPS)
}

fn add_to(cells: &mut [[u64; 2]], score: f32, counts: [u64; 2]) {
    let cell = &mut cells[step(score)];
    *cell = [0, 1].map(|kind: usize| cell[kind].saturating_add(counts[kind]));
}

/// The counts of packed rows that have the same score.
fn summed(rows: &[u64]) -> Fresh {
    let mut counts = [0; 2];
    rows.iter().for_each(|row| counts[(row >> 32 & 1) as usize] += row & u64::from(u32::MAX));
    ((rows[0] >> 33) as u32, counts)
}

/// Adds counts to sorted entries; or returns false and changes nothing, where they could not stay exact.
fn insert(entries: &mut Vec<Entry>, fresh: &[Fresh]) -> bool {
    let (mut at, mut new) = (0, 0);
    for &(bits, counts) in fresh {
        at += entries[at..].iter().take_while(|entry| entry.bits < bits).count();
        let known = entries.get(at).filter(|entry| entry.bits == bits);
        new += usize::from(known.is_none());
        let known = known.map_or([0; 2], |entry| entry.counts.map(u64::from));
        if (0..2).any(|kind| counts[kind].saturating_add(known[kind]) > u32::MAX.into()) {
            return false;
        }
    }
    if entries.len() + new > MAX_DISTINCT {
        return false;
    }
    // From the back, so that every entry moves once, within the list.
    let mut from = entries.len();
    let mut to = from + new;
    if to > BUFFER {
        // At once: lists that grow step by step leave gaps, and many measurements are open together.
        entries.reserve_exact(MAX_DISTINCT - from);
    }
    entries.resize(to, Entry::default());
    for &(bits, counts) in fresh.iter().rev() {
        while from > 0 && entries[from - 1].bits > bits {
            (from, to) = (from - 1, to - 1);
            entries[to] = entries[from];
        }
        let known = from > 0 && entries[from - 1].bits == bits;
        from -= usize::from(known);
        let before = if known { entries[from].counts } else { [0; 2] };
        to -= 1;
        entries[to] = Entry { bits, counts: [0, 1].map(|kind: usize| before[kind] + counts[kind] as u32) };
    }
    true
}
