//! From a counterexample to the smallest one that can be found: what is left out without mending it is left out for good
//! (delta debugging; A. Zeller and R. Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).

use std::time::Instant;

use super::report::Broken;

/// What a trial found: the law was kept, or how it was broken.
pub(super) type Kept = Result<(), Broke>;

/// How a law was broken, in words.
#[derive(Clone, Debug)]
pub(super) struct Broke(pub(super) String);

impl From<String> for Broke {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl From<so8t_base::Error> for Broke {
    /// An error without its title: the plugin's name is known.
    fn from(error: so8t_base::Error) -> Self {
        let text = error.to_string();
        Self(text.split_once(": ").map_or(text.as_str(), |(_, words)| words).to_owned())
    }
}

/// An input of a trial, of which smaller ones can be made.
pub(super) trait Smaller: Sized {
    /// Inputs that are smaller, the much smaller ones first.
    fn smaller(&self) -> Box<dyn Iterator<Item = Self> + '_>;
}

/// How many smaller inputs are tried, and for how long.
const TRIES: usize = 5000;
const SECONDS: f64 = 30.0;

/// The smallest input found that still breaks the law, and how it breaks it.
pub(super) fn smallest<I: Smaller>(
    mut best: I,
    mut broke: Broke,
    keeps: &mut dyn FnMut(&I) -> Kept,
    show: &dyn Fn(&I) -> (String, serde_json::Value),
) -> Broken {
    let begin = Instant::now();
    let mut tries = 0;
    let smallest = loop {
        let mut next = None;
        let mut given_up = false;
        for candidate in best.smaller() {
            tries += 1;
            given_up = tries > TRIES || begin.elapsed().as_secs_f64() > SECONDS;
            if given_up {
                break;
            }
            if let Err(broke) = keeps(&candidate) {
                next = Some((candidate, broke));
                break;
            }
        }
        match next {
            Some(smaller) => (best, broke) = smaller,
            None => break !given_up,
        }
    };
    let (input, value) = show(&best);
    Broken { found: broke.0, input, counterexample: value, smallest }
}

/// One item of a sequence, of which simpler ones can be made.
pub(super) trait Simpler: Clone {
    /// Items that are simpler by a measure that cannot fall for ever.
    fn simpler(&self) -> Vec<Self>;
}

impl Simpler for u8 {
    fn simpler(&self) -> Vec<Self> {
        if *self == b'a' { Vec::new() } else { vec![b'a'] }
    }
}

impl Simpler for String {
    fn simpler(&self) -> Vec<Self> {
        let count = self.chars().count();
        if count < 2 { Vec::new() } else { vec![self.chars().take(count / 2).collect()] }
    }
}

/// A sequence and where it is cut: `cuts` rise from 0 to its length.
#[derive(Clone, Debug)]
pub(super) struct Parts<T> {
    pub(super) items: Vec<T>,
    pub(super) cuts: Vec<usize>,
}

/// A sequence of at most so many items is simplified item by item.
const SIMPLIFIED: usize = 64;

impl<T: Clone> Parts<T> {
    /// A sequence that is cut at these places, in any order.
    pub(super) fn new(items: Vec<T>, mut cuts: Vec<usize>) -> Self {
        cuts.sort_unstable();
        Self { items, cuts }
    }

    /// The parts, of which some may be empty.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[T]> {
        let ends = self.cuts.iter().copied().chain([self.items.len()]);
        let starts = [0].into_iter().chain(self.cuts.iter().copied());
        starts.zip(ends).map(|(start, end)| &self.items[start..end])
    }

    fn without(&self, start: usize, end: usize) -> Self {
        let moved = |cut: &usize| match *cut {
            cut if cut <= start => cut,
            cut if cut >= end => cut - (end - start),
            _ => start,
        };
        let items = [&self.items[..start], &self.items[end..]].concat();
        Self { items, cuts: self.cuts.iter().map(moved).collect() }
    }
}

impl<T: Simpler> Smaller for Parts<T> {
    fn smaller(&self) -> Box<dyn Iterator<Item = Self> + '_> {
        let length = self.items.len();
        let sizes = std::iter::successors(Some(length), |size| Some(size / 2)).take_while(|size| *size > 0);
        let shorter = sizes.flat_map(move |size| {
            (0..length).step_by(size).map(move |start| self.without(start, length.min(start + size)))
        });
        let fewer = (0..self.cuts.len()).map(|at| {
            let mut cuts = self.cuts.clone();
            cuts.remove(at);
            Self { items: self.items.clone(), cuts }
        });
        let simple = if length <= SIMPLIFIED { length } else { 0 };
        let simpler = (0..simple).flat_map(move |at| {
            self.items[at].simpler().into_iter().map(move |item| {
                let mut items = self.items.clone();
                items[at] = item;
                Self { items, cuts: self.cuts.clone() }
            })
        });
        Box::new(shorter.chain(fewer).chain(simpler))
    }
}

/// The smallest size that breaks a law which `size` breaks: one less does not. Where a law is broken above some size alone, there is
/// no other.
pub(super) fn smallest_size(
    size: usize,
    mut broke: Broke,
    keeps: &mut dyn FnMut(usize) -> Kept,
    show: &dyn Fn(usize) -> (String, serde_json::Value),
) -> Broken {
    let (mut kept, mut broken) = (0, size);
    while broken > kept + 1 {
        let middle = kept + (broken - kept) / 2;
        match keeps(middle) {
            Ok(()) => kept = middle,
            Err(found) => (broken, broke) = (middle, found),
        }
    }
    let (input, value) = show(broken);
    Broken { found: broke.0, input, counterexample: value, smallest: true }
}
