//! The standard plugins, through the sandbox: golden cases, any cutting of the bytes, real data sets, scikit-learn's
//! numbers, and whether the committed components are those of the sources.
//!
//! `SO8T_COMPONENTS=DIR` runs the same tests on the components of another folder, where `plugins/build.sh --out DIR` has
//! put them.

mod agreement;
mod cases;
mod chunks;
mod classification;
mod configuration;
mod data_sets;
mod engines;
mod grid;
mod prebuilt;
mod scanned;
mod scores;
mod sharding;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;
use so8t::Result;
use so8t::data::{ConvertedBatch, ExampleColumns, Texts};
use so8t::evaluate::{Measure, MetricBatch, MetricValue};
use so8t::plugin::{ComponentSource, Host, Plugin, PluginSpec};

/// Every standard plugin, and what it is.
const CONVERTERS: [&str; 5] = ["alpaca", "chat", "csv", "json-array", "jsonl"];
const MAPPERS: [&str; 2] = ["four-class", "table"];
const METRICS: [&str; 5] = ["agreement", "calibration", "classification", "cost", "curves"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The component of a standard plugin: the committed one, or that of `SO8T_COMPONENTS`.
fn component(name: &str) -> PathBuf {
    let folder = std::env::var_os("SO8T_COMPONENTS").map(PathBuf::from);
    folder.unwrap_or_else(|| root().join("plugins/prebuilt")).join(format!("{name}.wasm"))
}

/// A standard plugin with a configuration. One host serves all tests, so that each component is compiled once.
fn plugin(name: &str, config: &Value) -> Result<Plugin> {
    static HOST: OnceLock<Host> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
        Host::new(Some(&cache)).expect("a host")
    });
    let mut spec = PluginSpec::new(name, ComponentSource::Path(component(name)));
    spec.config = config.clone();
    host.load(&spec)
}

/// The labels of the four decisions.
fn labels() -> Vec<String> {
    ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from).to_vec()
}

/// The values of a metric over rows in one update.
fn measure(name: &str, config: &Value, rows: &MetricBatch) -> Vec<MetricValue> {
    let mut measurement = plugin(name, config).unwrap().open_metric(&labels()).unwrap();
    measurement.update(rows).unwrap();
    measurement.finalize().unwrap()
}

/// The value of a name.
fn value<'a>(values: &'a [MetricValue], name: &str) -> &'a MetricValue {
    values.iter().find(|value| value.name == name).unwrap_or_else(|| panic!("no value `{name}`"))
}

/// Checks a value against one that was computed elsewhere: equal within 1e-12, or both absent.
fn check_close(case: &str, found: &MetricValue, expected: Option<f64>) {
    let close = match (found.value, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
        (found, expected) => found.is_none() && expected.is_none(),
    };
    assert!(close, "{case}: {}: expected {expected:?}, found {:?}", found.name, found.value);
}

/// A small generator of numbers (SplitMix64), seeded.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// One example, as text; in a file of cases, what is not written is empty, and the line is the first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Row {
    line: u32,
    id: String,
    instruction: String,
    input: String,
    output: String,
    label: String,
    group: String,
    extra: String,
}

impl Default for Row {
    fn default() -> Self {
        let [id, instruction, input, output, label, group, extra] = Default::default();
        Self { line: 1, id, instruction, input, output, label, group, extra }
    }
}

/// All that a converter made of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Converted {
    rows: Vec<Row>,
    rejected: Vec<(u32, String)>,
    failure: Option<String>,
}

/// Converts a source that comes in these chunks. A failure ends it; what came before stays.
fn convert<'a>(name: &str, config: &Value, chunks: impl IntoIterator<Item = &'a [u8]>) -> Converted {
    let mut all = Converted::default();
    let run = || -> Result<()> {
        let mut converter = plugin(name, config)?.open_converter()?;
        for chunk in chunks {
            all.add(&converter.push(chunk)?);
        }
        all.add(&converter.finish()?);
        Ok(())
    };
    if let Err(error) = run() {
        // Which batch it was depends on how the source is cut.
        let message = error.to_string();
        all.failure = Some(message.split_once("its input: ").map_or(message.as_str(), |(_, what)| what).to_owned());
    }
    all
}

impl Converted {
    fn add(&mut self, batch: &ConvertedBatch) {
        let examples = &batch.examples;
        let text = |column: &Texts, row: usize| column.get(row).unwrap_or_default().to_owned();
        self.rows.extend(batch.lines.iter().enumerate().map(|(row, &line)| Row {
            line,
            id: text(&examples.id, row),
            instruction: text(&examples.instruction, row),
            input: text(&examples.input, row),
            output: text(&examples.output, row),
            label: text(&examples.label, row),
            group: text(&examples.group, row),
            extra: text(&examples.extra_json, row),
        }));
        self.rejected.extend(batch.rejected.iter().map(|rejection| (rejection.line, rejection.reason.clone())));
    }
}

/// The rows as columns, for a mapper.
fn columns(rows: &[Row]) -> ExampleColumns {
    let column = |of: fn(&Row) -> &String| rows.iter().map(|row| of(row).as_str()).collect::<Texts>();
    ExampleColumns {
        id: column(|row| &row.id),
        instruction: column(|row| &row.instruction),
        input: column(|row| &row.input),
        output: column(|row| &row.output),
        label: column(|row| &row.label),
        group: column(|row| &row.group),
        extra_json: column(|row| &row.extra),
    }
}

/// What a mapper decides: the name of a label, or the reason of a rejection.
fn decide(name: &str, config: &Value, rows: &[Row]) -> Result<Vec<std::result::Result<String, String>>> {
    let mut mapper = plugin(name, config)?.open_mapper()?;
    let labels = mapper.labels().clone();
    let decisions = mapper.assign(&columns(rows))?;
    Ok(decisions.into_iter().map(|decision| decision.map(|id| labels.name(id).to_owned())).collect())
}
