//! Near duplicates by MinHash: which texts share most of their character 5-grams.
//!
//! A text is folded (NFKC, lower case, white space to one space) and cut into the set of its character 5-grams, which works
//! alike with and without spaces between words. The similarity of two texts is the Jaccard index of their sets. 128 hash
//! functions of a set, each the least over its members, agree with the probability of that index (Broder 1997). They are
//! cut into bands, and two texts are candidates where a whole band agrees (locality-sensitive hashing, Indyk and Motwani 1998); the
//! rows of a band are as many as still find a pair at the wanted similarity with probability 0.995. Every candidate is
//! then checked with the exact sets: what is reported is never wrong, and what is missed is rare.
//!
//! Results depend on the texts, their order and the seed, not on the number of threads. Kept a text: 4 bytes a band and 2 more.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

use so8t_base::split_mix::split_mix;

/// Hash functions.
const PERMUTATIONS: usize = 128;
/// Characters of a shingle.
const SHINGLE: usize = 5;
/// The least probability with which a pair at the wanted similarity is found.
const RECALL: f64 = 0.995;
/// Texts that one thread hashes at a time.
const CHUNK: usize = 4096;

/// Finds near duplicates.
#[derive(Clone, Debug)]
pub struct MinHash {
    similarity: f64,
    bands: usize,
    rows: usize,
    multipliers: [u32; PERMUTATIONS],
    increments: [u32; PERMUTATIONS],
    threads: usize,
}

/// Two texts that are near.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// The place of the text that was asked about.
    pub query: usize,
    /// The place of the text that it resembles.
    pub indexed: usize,
    /// The Jaccard index of their 5-grams, at least the wanted similarity.
    pub similarity: f64,
}

impl MinHash {
    /// Finds texts whose similarity is at least `similarity`, which lies above 0 and is at most 1. The hash functions are drawn
    /// from `seed`.
    pub fn new(similarity: f64, seed: u64) -> Self {
        let found = |rows: usize| 1.0 - (1.0 - similarity.powi(rows as i32)).powi((PERMUTATIONS / rows) as i32);
        let rows = (1..=PERMUTATIONS).rev().find(|&rows| found(rows) >= RECALL).unwrap_or(1);
        let draw = |index: usize| mix(mix(seed) ^ index as u64);
        Self {
            similarity,
            bands: PERMUTATIONS / rows,
            rows,
            multipliers: std::array::from_fn(|i| draw(i) as u32 | 1),
            increments: std::array::from_fn(|i| (draw(i) >> 32) as u32),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// With so many threads instead of as many as the machine has; the result is the same.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The number of bands, and of hash functions in each.
    pub fn banding(&self) -> (usize, usize) {
        (self.bands, self.rows)
    }

    /// The indexed texts that each query is near to, in the order of the queries: of each at most `most`, the most similar first,
    /// then the first.
    pub fn across<T: AsRef<str> + Sync>(&self, indexed: &[T], queries: &[T], most: usize) -> Vec<Near> {
        let (left, right) = (self.sketch(queries), self.sketch(indexed));
        let orders: Vec<Vec<u64>> = (0..self.bands).map(|band| right.order(band, self.bands)).collect();
        let mut near = Vec::new();
        let (mut candidates, mut own, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for query in (0..queries.len()).filter(|&query| left.sizes[query] > 0) {
            candidates.clear();
            for (band, order) in orders.iter().enumerate() {
                let key = left.keys[query * self.bands + band];
                let start = order.partition_point(|entry| ((entry >> 32) as u32) < key);
                candidates
                    .extend(order[start..].iter().take_while(|&&entry| (entry >> 32) as u32 == key).map(|&e| e as u32));
            }
            candidates.sort_unstable();
            candidates.dedup();
            candidates.retain(|&index| self.may_be_near(left.sizes[query], right.sizes[index as usize]));
            if !candidates.is_empty() {
                shingles(queries[query].as_ref(), &mut own);
            }
            let start = near.len();
            for &index in &candidates {
                shingles(indexed[index as usize].as_ref(), &mut other);
                let similarity = jaccard(&own, &other);
                if similarity >= self.similarity {
                    near.push(Near { query, indexed: index as usize, similarity });
                }
            }
            near[start..].sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
            near.truncate(start.saturating_add(most));
        }
        near
    }

    /// For each text an earlier one that it nearly repeats and that is itself kept, or `None`: keeping the texts with `None` leaves
    /// no two near ones, but for those that the hashes miss.
    pub fn duplicates<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Vec<Option<usize>> {
        let sketch = self.sketch(texts);
        // Texts of one band's key stand together, in their order; `place` is where a text stands.
        let orders: Vec<Vec<u32>> = (0..self.bands)
            .map(|band| sketch.order(band, self.bands).iter().map(|&entry| entry as u32).collect())
            .collect();
        let Sketch { keys, sizes } = sketch;
        let mut starts = vec![0_u32; keys.len()];
        for (band, order) in orders.iter().enumerate() {
            let mut start = 0;
            for place in 0..order.len() {
                let key = |place: usize| keys[order[place] as usize * self.bands + band];
                if key(place) != key(start) {
                    start = place;
                }
                starts[order[place] as usize * self.bands + band] = start as u32;
            }
        }
        drop(keys);

        let mut kept: Vec<Option<usize>> = vec![None; texts.len()];
        let (mut own, mut other, mut refuted) = (Vec::new(), Vec::new(), Vec::new());
        for index in (0..texts.len()).filter(|&index| sizes[index] > 0) {
            own.clear();
            refuted.clear();
            'bands: for (band, order) in orders.iter().enumerate() {
                let start = starts[index * self.bands + band] as usize;
                for &earlier in order[start..].iter().take_while(|&&earlier| (earlier as usize) < index) {
                    let is_candidate = kept[earlier as usize].is_none()
                        && self.may_be_near(sizes[index], sizes[earlier as usize])
                        && !refuted.contains(&earlier);
                    if !is_candidate {
                        continue;
                    }
                    if own.is_empty() {
                        shingles(texts[index].as_ref(), &mut own);
                    }
                    shingles(texts[earlier as usize].as_ref(), &mut other);
                    if jaccard(&own, &other) >= self.similarity {
                        kept[index] = Some(earlier as usize);
                        break 'bands;
                    }
                    refuted.push(earlier);
                }
            }
        }
        kept
    }

    /// Whether sets of these sizes can be so similar: the smaller is at best within the larger. A size at its ceiling is unknown.
    fn may_be_near(&self, a: u16, b: u16) -> bool {
        b.max(a) == u16::MAX || f64::from(a.min(b)) >= self.similarity * f64::from(a.max(b)) * (1.0 - 1e-12)
    }

    /// The band keys and set sizes of all texts.
    fn sketch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Sketch {
        let mut sketch = Sketch { keys: vec![0; texts.len() * self.bands], sizes: vec![0; texts.len()] };
        let parts = sketch.keys.chunks_mut(CHUNK * self.bands).zip(sketch.sizes.chunks_mut(CHUNK));
        let parts = std::sync::Mutex::new(texts.chunks(CHUNK).zip(parts));
        let work = || {
            let mut set = Vec::new();
            loop {
                // A thread that panicked holds no half-taken part: the iterator stands before or after it.
                let part = parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                let Some((texts, (keys, sizes))) = part else { break };
                for ((text, keys), size) in texts.iter().zip(keys.chunks_mut(self.bands)).zip(sizes) {
                    shingles(text.as_ref(), &mut set);
                    *size = u16::try_from(set.len()).unwrap_or(u16::MAX);
                    self.band_keys(&set, keys);
                }
            }
        };
        match self.threads.min(texts.len().div_ceil(CHUNK)) {
            0 | 1 => work(),
            threads => std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work)))),
        }
        sketch
    }

    /// The key of each band: a hash of the least values of its hash functions.
    fn band_keys(&self, set: &[u128], keys: &mut [u32]) {
        let mut least = [u32::MAX; PERMUTATIONS];
        for &shingle in set {
            let hash = mix(shingle as u64 ^ mix((shingle >> 64) as u64)) as u32;
            for ((least, multiplier), increment) in least.iter_mut().zip(&self.multipliers).zip(&self.increments) {
                *least = (*least).min(hash.wrapping_mul(*multiplier).wrapping_add(*increment));
            }
        }
        for (key, band) in keys.iter_mut().zip(least.chunks_exact(self.rows)) {
            *key = band.iter().fold(0, |key, &value| mix(key ^ u64::from(value))) as u32;
        }
    }
}

/// What is kept of the texts.
struct Sketch {
    /// Text-major, texts x bands.
    keys: Vec<u32>,
    /// The sizes of the sets of shingles, at most 65,535; 0 for a text without any, which is near to nothing.
    sizes: Vec<u16>,
}

impl Sketch {
    /// The texts by their key of a band, then by their place: key × 2³² + place.
    fn order(&self, band: usize, bands: usize) -> Vec<u64> {
        let entry = |index: usize| u64::from(self.keys[index * bands + band]) << 32 | index as u64;
        let mut order: Vec<u64> = (0..self.sizes.len()).filter(|&index| self.sizes[index] > 0).map(entry).collect();
        order.sort_unstable();
        order
    }
}

/// The similarity of two texts: the Jaccard index of their sets of character 5-grams; 0 where one is empty.
pub fn similarity(a: &str, b: &str) -> f64 {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    shingles(a, &mut left);
    shingles(b, &mut right);
    jaccard(&left, &right)
}

/// |A ∩ B| / |A ∪ B| of two sorted sets; 0 where both are empty.
fn jaccard(a: &[u128], b: &[u128]) -> f64 {
    let (mut left, mut right, mut both) = (0, 0, 0_usize);
    while left < a.len() && right < b.len() {
        let order = a[left].cmp(&b[right]);
        both += usize::from(order.is_eq());
        left += usize::from(order.is_le());
        right += usize::from(order.is_ge());
    }
    match a.len() + b.len() - both {
        0 => 0.0,
        either => both as f64 / either as f64,
    }
}

/// The set of the character 5-grams of a text, sorted; a shorter text is one shingle. Each is its characters themselves, 21 bits
/// a character, so that no two different ones are ever taken for one.
fn shingles(text: &str, set: &mut Vec<u128>) {
    set.clear();
    let folded: Cow<'_, str> = match is_nfkc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfkc().collect()),
    };
    const MASK: u128 = (1 << (21 * SHINGLE)) - 1;
    let (mut window, mut length, mut space) = (0_u128, 0_usize, false);
    let mut push = |letter: char| {
        // Characters count from 1, so that a short text differs from one with a zero character before it.
        window = (window << 21 | (letter as u128 + 1)) & MASK;
        length += 1;
        if length >= SHINGLE {
            set.push(window);
        }
    };
    for letter in folded.trim().chars() {
        if letter.is_whitespace() {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) {
            push(' ');
        }
        if letter.is_ascii() { push(letter.to_ascii_lowercase()) } else { letter.to_lowercase().for_each(&mut push) }
    }
    if (1..SHINGLE).contains(&length) {
        set.push(window);
    }
    set.sort_unstable();
    set.dedup();
}

/// A hash of a number.
fn mix(mut z: u64) -> u64 {
    split_mix(&mut z)
}
