//! What sharding and resampling rest on: batches, merges, orders and weights.

use super::rows::{Agree, Row, agree, batch};
use super::{SEED, Subject};
use crate::conformance::kit::Kit;
use crate::conformance::law::{
    ASSOCIATIVE, BATCHES, COMMUTATIVE, IDEMPOTENT, MERGE_EMPTY, METRIC_ORDER, ONE_PASS, REPEATS, ZERO,
};
use crate::conformance::shrink::{Kept, Parts};
use so8t_evaluate::{Measure as _, Random};

pub(super) fn laws(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    subject.hold(kit, IDEMPOTENT, |rows| idempotent(subject, rows));
    subject.hold(kit, BATCHES, |rows| batches(subject, rows));
    subject.hold(kit, ONE_PASS, |rows| one_pass(subject, rows));
    subject.hold(kit, COMMUTATIVE, |rows| commutative(subject, rows));
    subject.hold(kit, ASSOCIATIVE, |rows| associative(subject, rows));
    subject.hold(kit, MERGE_EMPTY, |rows| merge_empty(subject, rows));
    subject.hold(kit, METRIC_ORDER, |rows| order(subject, rows));
    if subject.wants.weights {
        subject.hold(kit, REPEATS, |rows| repeats(subject, rows));
        subject.hold(kit, ZERO, |rows| zero(subject, rows));
    } else {
        kit.skip(REPEATS, "it does not want weights, and cannot be resampled");
        kit.skip(ZERO, "it does not want weights, and cannot be resampled");
    }
}

fn idempotent(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let mut measurement = subject.open()?;
    let mut untouched = subject.open()?;
    for part in rows.parts() {
        measurement.update(&batch(part))?;
        untouched.update(&batch(part))?;
        let first = measurement.finalize()?;
        agree(("at first", &first), ("when asked again", &measurement.finalize()?), Agree::Exactly)?;
    }
    let (left, right) = (measurement.finalize()?, untouched.finalize()?);
    agree(("where `finalize` came between batches", &left), ("where it did not", &right), Agree::Exactly)
}

fn batches(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let mut cut = subject.open()?;
    for part in rows.parts() {
        cut.update(&batch(part))?;
    }
    let whole = subject.values(&rows.items)?;
    agree(("in one batch", &whole), ("in batches", &cut.finalize()?), Agree::Closely)
}

fn one_pass(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let states = rows.parts().map(|part| subject.state(part)).collect::<so8t_base::Result<Vec<_>>>()?;
    let states: Vec<&[u8]> = states.iter().map(Vec::as_slice).collect();
    let whole = subject.values(&rows.items)?;
    let merged = subject.merged(&states)?.finalize()?;
    agree(("in one pass", &whole), ("merged", &merged), Agree::Closely)?;
    // Rows after a merge, as a resumed shard has them.
    let mut parts = rows.parts();
    let first = parts.next().unwrap_or_default();
    let mut resumed = subject.merged(&[&subject.state(first)?])?;
    for part in parts {
        resumed.update(&batch(part))?;
    }
    agree(("in one pass", &whole), ("where rows follow a merge", &resumed.finalize()?), Agree::Closely)
}

fn commutative(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let states = rows.parts().map(|part| subject.state(part)).collect::<so8t_base::Result<Vec<_>>>()?;
    let forward: Vec<&[u8]> = states.iter().map(Vec::as_slice).collect();
    let backward: Vec<&[u8]> = states.iter().rev().map(Vec::as_slice).collect();
    let (left, right) = (subject.merged(&forward)?.finalize()?, subject.merged(&backward)?.finalize()?);
    agree(("in one order of merging", &left), ("in the other", &right), Agree::Closely)?;
    // The same where one part is not merged but holds the rows.
    let mut parts = rows.parts();
    let (a, b) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (mut left, mut right) = (subject.fed(a)?, subject.fed(b)?);
    let (of_a, of_b) = (left.state()?, right.state()?);
    left.merge(&of_b)?;
    right.merge(&of_a)?;
    let (left, right) = (left.finalize()?, right.finalize()?);
    agree(("where part 2 goes into part 1", &left), ("where part 1 goes into part 2", &right), Agree::Closely)
}

fn associative(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let states = rows.parts().map(|part| subject.state(part)).collect::<so8t_base::Result<Vec<_>>>()?;
    let [a, b, c] = std::array::from_fn(|part| states.get(part).map(Vec::as_slice));
    let (Some(a), Some(b), Some(c)) = (a, b, c) else { return Ok(()) };
    let ab = subject.merged(&[a, b])?.state()?;
    let bc = subject.merged(&[b, c])?.state()?;
    let (left, right) = (subject.merged(&[&ab, c])?.finalize()?, subject.merged(&[a, &bc])?.finalize()?);
    agree(("as (1 + 2) + 3", &left), ("as 1 + (2 + 3)", &right), Agree::Closely)
}

fn merge_empty(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let nothing = subject.open()?.state()?;
    let mut measurement = subject.fed(&rows.items)?;
    let before = measurement.finalize()?;
    measurement.merge(&nothing)?;
    agree(("before a state of no rows was merged", &before), ("after", &measurement.finalize()?), Agree::Exactly)
}

fn order(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let whole = subject.values(&rows.items)?;
    let mut reversed = rows.items.clone();
    reversed.reverse();
    agree(("in order", &whole), ("in reverse", &subject.values(&reversed)?), Agree::Closely)?;
    let mut shuffled = rows.items.clone();
    let mut random = Random::new(SEED, 1);
    (1..shuffled.len()).rev().for_each(|at| shuffled.swap(at, random.below(at as u64 + 1) as usize));
    agree(("in order", &whole), ("shuffled", &subject.values(&shuffled)?), Agree::Closely)
}

fn repeats(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    let repeated: Vec<Row> = rows
        .items
        .iter()
        .flat_map(|row| std::iter::repeat_n(Row { weight: 1, ..row.clone() }, row.weight as usize))
        .collect();
    let (weighted, repeated) = (subject.values(&rows.items)?, subject.values(&repeated)?);
    agree(("with weights", &weighted), ("with as many rows", &repeated), Agree::Closely)
}

fn zero(subject: &Subject<'_>, rows: &Parts<Row>) -> Kept {
    // The rows of the first part count for nothing.
    let absent = rows.parts().next().map_or(0, <[Row]>::len);
    let weightless =
        |(index, row): (usize, &Row)| Row { weight: if index < absent { 0 } else { row.weight }, ..row.clone() };
    let all: Vec<Row> = rows.items.iter().enumerate().map(weightless).collect();
    let some: Vec<Row> = all.iter().filter(|row| row.weight > 0).cloned().collect();
    let (all, some) = (subject.values(&all)?, subject.values(&some)?);
    agree(("with rows of weight 0", &all), ("without them", &some), Agree::Closely)
}
