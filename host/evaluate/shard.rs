//! Evaluation in parts: each process measures some of the rows and writes what its accumulators hold (see [`super::state_file`]); the
//! states join into the values that one process over all rows would have given, to the last bit.

use std::collections::BTreeMap;
use std::path::Path;

use super::bounds::Bounds;
use super::counted::Accumulator;
use super::drive::{Driver, Options, Pass};
use super::isolate::each_sound;
use super::measure::Metric;
use super::measured::Measured;
use super::pass::BySource;
use super::shard_index::Shard;
use super::source::RowSource;
use super::state_file::{Common, Header, StateFile, write_state};
use super::survey::Survey;
use super::table::Table;
use so8t_base::{Error, Result};
use so8t_data::LabelSet;

/// Measures one part of the rows and writes its state file, all or nothing. `common` says what it is part of; it agrees with
/// the other arguments. A metric whose plugin fails has no states in the file, but its error, which is returned by its name.
///
/// # Errors
/// As [`super::measure_each`], but that a part may have any number of rows; a metric that wants groups, whose numbers would not be
/// the same in all parts.
pub fn measure_shard(
    metrics: &[&dyn Metric],
    labels: &LabelSet,
    source: &dyn RowSource,
    options: &Options,
    common: &Common,
    shard: Shard,
    path: &Path,
) -> Result<Table<String>> {
    let measure = |sound: &[&dyn Metric], failed: &Table<String>| {
        let mut driver = Driver::new(sound, labels, options)?;
        // A metric that fails only at its values leaves its states: `merge` tells of it.
        driver.feed.remembered = None;
        if let Some(place) = driver.feed.wants.iter().position(|wants| wants.groups) {
            let text = format!("metric `{}` wants groups: it cannot be measured in shards", sound[place].name());
            return Err(Error::manifest(text).with_hint("leave `--shard` out"));
        }
        let range = shard.range(source.rows()?);
        let states = |metric: usize, accumulators: BySource<'_>| -> Result<Vec<Vec<u8>>> {
            let mut all = 0_u64;
            let state = |mut accumulator: Accumulator<'_>| {
                let state = accumulator.state()?;
                all = all.saturating_add(state.len() as u64);
                options.bounds.check_states(sound[metric].name(), all)?;
                Ok(state)
            };
            accumulators.into_values().map(state).collect()
        };
        let (survey, bases, bytes) = driver.base(source, range.clone(), &states)?;
        // What the file will hold is known before the resamples are made: each has states of about the size of these.
        let mut of_resample = 0_u64;
        for metric in driver.resampled() {
            let own: u64 = bases.get(metric).into_iter().flatten().map(|state| state.len() as u64).sum();
            of_resample = of_resample.saturating_add(own);
            let all = own.saturating_mul(u64::from(options.resamples) + 1);
            options.bounds.check_states(sound[metric].name(), all)?;
        }
        let bytes = bytes.saturating_add(of_resample);
        let measured = places(common, sound)?;
        let resampled = driver.resampled().into_iter().map(|metric| measured[metric]).collect();
        let failed = failed.clone();
        let header = Header { common: common.clone(), shard, survey, measured, resampled, failed };
        write_state(path, header, &mut |write| {
            bases.iter().flatten().try_for_each(|state| write(state))?;
            let mut take = |resample: Vec<Vec<Vec<u8>>>| resample.iter().flatten().try_for_each(|state| write(state));
            driver.resamples(source, range.clone(), bytes, &states, &mut take)
        })
    };
    Ok(each_sound(metrics, Table::default(), measure)?.1)
}

/// Where some metrics stand among those of the evaluation.
fn places(common: &Common, metrics: &[&dyn Metric]) -> Result<Vec<usize>> {
    let place = |metric: &&dyn Metric| {
        let found = common.metrics.iter().position(|identity| identity.name == metric.name());
        found.ok_or_else(|| Error::internal(format!("metric `{}` is none of the evaluation", metric.name())))
    };
    metrics.iter().map(place).collect()
}

/// Checks that the files are the parts of one evaluation, each once, and puts them in order.
pub fn order_states(mut states: Vec<StateFile>) -> Result<Vec<StateFile>> {
    states.sort_by_key(StateFile::shard);
    let Some(first) = states.first() else {
        return Err(Error::manifest("expected at least one state file"));
    };
    for other in &states[1..] {
        let (ours, theirs) = (serde_json::to_value(first.common()), serde_json::to_value(other.common()));
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { continue };
        if let Some(key) = ours.as_object().and_then(|ours| ours.keys().find(|key| ours[*key] != theirs[*key])) {
            return Err(Error::data(format!(
                "`{}` and `{}` are not parts of one evaluation: `{key}` is `{}` in one and `{}` in the other",
                first.path.display(),
                other.path.display(),
                ours[key],
                theirs[key]
            )));
        }
    }
    let count = first.shard().count;
    let found: Vec<String> =
        states.iter().map(|state| format!("{}/{}", state.shard().index, state.shard().count)).collect();
    let is_each = states.len() as u64 == count
        && states.iter().zip(1..).all(|(state, index)| state.shard() == Shard { index, count });
    if !is_each {
        let text = format!("expected every shard of {count} once, found `{}`", found.join("`, `"));
        return Err(Error::data(text));
    }
    Ok(states)
}

/// Joins the parts of one evaluation, as [`order_states`] gives them, into what [`super::measure_each`] gives over all rows.
/// The metrics must be those that the states name. One that failed in a part has failed.
///
/// # Errors
/// As [`super::measure_each`]; ids that are not distinct. Ids are compared by their 64-bit hashes here.
pub fn merge_states(
    metrics: &[&dyn Metric],
    labels: &LabelSet,
    states: &mut [StateFile],
    bounds: Bounds,
) -> Result<Measured> {
    let Some(common) = states.first().map(|state| state.common().clone()) else {
        return Err(Error::manifest("expected at least one state file"));
    };
    let survey = join_surveys(states)?;
    bounds.check_sources(survey.sources.len() as u64)?;
    let error = |metric: &&dyn Metric| {
        let file = states.iter().find(|file| file.header.failed.get(metric.name()).is_some())?;
        let error = file.header.failed.get(metric.name())?;
        Some((metric.name().to_owned(), format!("`{}`: {error}", file.path.display())))
    };
    let failed: Table<String> = metrics.iter().filter_map(error).collect();
    let merge = |sound: &[&dyn Metric], _: &Table<String>| merge_sound(sound, labels, &common, &survey, states, bounds);
    let (measured, failed) = each_sound(metrics, failed, merge)?;
    Ok(Measured { failed, ..measured })
}

/// What is to be known of all rows.
fn join_surveys(states: &mut [StateFile]) -> Result<Survey> {
    let mut survey = Survey::default();
    for state in states.iter_mut() {
        let own = &mut state.header.survey;
        let (ids, groups) = (std::mem::take(&mut own.ids), std::mem::take(&mut own.groups));
        let mut joined = own.clone();
        (joined.ids, joined.groups) = (ids, groups);
        survey.join(joined);
    }
    survey.settle();
    let doubtful = survey.doubtful_ids().len();
    if doubtful > 0 {
        return Err(Error::data(format!(
            "expected distinct row ids, found {doubtful} that stand twice, in different shards"
        ))
        .with_hint("`so8t evaluate` without `--shard` names the first of them"));
    }
    survey.forget_hashes();
    survey.check()?;
    Ok(survey)
}

/// Joins the states of some metrics, and passes over those of the others.
fn merge_sound(
    sound: &[&dyn Metric],
    labels: &LabelSet,
    common: &Common,
    survey: &Survey,
    states: &mut [StateFile],
    bounds: Bounds,
) -> Result<Measured> {
    let Common { seed, resamples, min_support, .. } = *common;
    let options = Options { seed, resamples, min_support, bounds, ..Options::default() };
    let driver = Driver::new(sound, labels, &options)?;
    let places = places(common, sound)?;
    let resampled: Vec<usize> = driver.resampled().into_iter().map(|metric| places[metric]).collect();
    for file in states.iter_mut() {
        file.check_states(&places, &resampled)?;
        file.rewind()?;
    }
    // The states of a pass lie metric by metric in each file, those of other metrics between them.
    let mut pass = |with_states: fn(&StateFile) -> &[usize]| {
        let mut passes: Vec<(usize, BySource<'_>)> = Vec::new();
        for place in 0..common.metrics.len() {
            let metric = places.iter().position(|&other| other == place);
            let mut accumulators: BySource<'_> = BTreeMap::new();
            let mut grown = 0_u64;
            for file in states.iter_mut().filter(|file| with_states(file).contains(&place)) {
                let sources: Vec<String> = file.header.survey.sources.keys().cloned().collect();
                for source in sources {
                    let state = file.state()?;
                    let Some(metric) = metric else { continue };
                    if !accumulators.contains_key(&source) {
                        accumulators.insert(source.clone(), Accumulator::Open(sound[metric].open()?));
                    }
                    let Some(accumulator) = accumulators.get_mut(&source) else { continue };
                    let before = accumulator.memory_bytes();
                    accumulator.merge(&state).map_err(|e| e.context(format!("`{}`", file.path.display())))?;
                    grown = grown.saturating_add(accumulator.memory_bytes()).saturating_sub(before);
                    bounds.check_states(sound[metric].name(), grown)?;
                }
            }
            if let Some(metric) = metric
                && !accumulators.is_empty()
            {
                passes.push((metric, accumulators));
            }
        }
        Ok::<_, Error>(passes)
    };
    let bases = pass(|file| &file.header.measured)?;
    let bases = bases.into_iter().map(|(metric, own)| driver.values(metric, own)).collect::<Result<Vec<Pass>>>()?;
    driver.check_supports(survey, &bases)?;
    let mut replicates = Vec::new();
    if survey.several_clusters && !resampled.is_empty() {
        driver.check_numbers(survey)?;
        for _ in 0..resamples {
            let passes = pass(|file| &file.header.resampled)?;
            let replicate = |(metric, own)| driver.replicate(metric, own);
            replicates.push(passes.into_iter().map(replicate).collect::<Result<Vec<_>>>()?);
        }
    }
    Ok(driver.assemble(survey, &bases, &replicates))
}
