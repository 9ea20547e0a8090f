//! `so8t plugin bench`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::{PluginArguments, sample};
use crate::cli::{print, print_json};
use crate::data::LabelSet;
use crate::evaluate::{Measure as _, MetricBatch};
use crate::plugin::conformance::{Sample, metric_batch, some_examples, some_rows, some_source};
use crate::plugin::{Converter, Host, Plugin, PluginKind, default_cache_folder};
use crate::{Error, Result};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    plugin: PluginArguments,
    /// Measure on this file: a source for a converter, examples for a label mapper, predictions for a metric
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// What reads the examples for a label mapper
    #[arg(long, value_name = "COMPONENT", default_value = "builtin:jsonl")]
    converter: String,
    /// How long each measurement takes at least
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Serialize)]
struct Measured {
    component: String,
    sha256: String,
    kind: String,
    /// Loading it with nothing in the cache, compilation included.
    start_cold_ms: f64,
    /// Loading it from the cache, in a host that was just started.
    start_cached_ms: f64,
    /// Opening it once more: an instance, and `open`.
    open_ms: f64,
    /// `rows` or `bytes`.
    unit: &'static str,
    /// How many rows or bytes it was given.
    taken: u64,
    /// Rows or bytes a second of wall time, on one thread.
    per_second: f64,
    /// The same a second of processor time, where the system tells it.
    per_cpu_second: Option<f64>,
    /// The guest's memory when it was opened, and after its work.
    memory_open_bytes: u64,
    memory_bytes: u64,
}

pub(super) fn bench(arguments: &Arguments) -> Result<()> {
    let spec = arguments.plugin.spec()?;
    let timed = |host: &Host| -> Result<(Plugin, f64)> {
        let begin = Instant::now();
        let plugin = host.load(&spec)?;
        Ok((plugin, begin.elapsed().as_secs_f64() * 1000.0))
    };
    let (plugin, start_cold_ms) = timed(&Host::new(None)?)?;
    let cache = default_cache_folder();
    let host = Host::new(cache.as_deref())?;
    timed(&host)?;
    let (_, start_cached_ms) = timed(&Host::new(cache.as_deref())?)?;
    let mut labels = LabelSet::four_decisions().names;
    let data = match &arguments.data {
        Some(path) => {
            let (data, found) = sample::read(&host, plugin.kind(), path, &arguments.converter)?;
            labels = found.unwrap_or(labels);
            data
        }
        None => Sample::None,
    };
    let work = match plugin.kind() {
        PluginKind::Metric => metric(&plugin, &labels, data, arguments.seconds)?,
        PluginKind::LabelMapper => mapper(&plugin, data, arguments.seconds)?,
        PluginKind::Converter => converter(&plugin, data, arguments.seconds)?,
    };
    let measured = Measured {
        component: spec.component.to_string(),
        sha256: plugin.digest().to_owned(),
        kind: plugin.kind().to_string(),
        start_cold_ms,
        start_cached_ms,
        open_ms: work.open_ms,
        unit: work.unit,
        taken: work.taken,
        per_second: work.taken as f64 / work.wall,
        per_cpu_second: work.processor.filter(|seconds| *seconds > 0.0).map(|seconds| work.taken as f64 / seconds),
        memory_open_bytes: work.memory_open,
        memory_bytes: work.memory,
    };
    match arguments.json {
        true => print_json(&measured),
        false => print(&table(&measured)),
    }
}

struct Work {
    open_ms: f64,
    unit: &'static str,
    taken: u64,
    wall: f64,
    processor: Option<f64>,
    memory_open: u64,
    memory: u64,
}

/// Rows a batch, as evaluation and preparing send them.
const BATCH: usize = 8192;

fn metric(plugin: &Plugin, labels: &[String], data: Sample, seconds: f64) -> Result<Work> {
    let rows = match data {
        Sample::Predictions(rows) => rows,
        _ => some_rows(16 * BATCH, labels.len()),
    };
    let batches: Vec<MetricBatch> = rows.chunks(BATCH).map(metric_batch).collect();
    let begin = Instant::now();
    let mut measurement = plugin.open_metric(labels)?.grant_texts();
    let open_ms = begin.elapsed().as_secs_f64() * 1000.0;
    let memory_open = measurement.guest_memory_bytes();
    let clock = Clock::start();
    let mut taken = 0;
    while clock.wall() < seconds {
        for batch in &batches {
            measurement.update(batch)?;
            taken += batch.gold.len() as u64;
        }
    }
    let (wall, processor) = clock.stop();
    measurement.state()?;
    measurement.finalize()?;
    Ok(Work { open_ms, unit: "rows", taken, wall, processor, memory_open, memory: measurement.guest_memory_bytes() })
}

fn mapper(plugin: &Plugin, data: Sample, seconds: f64) -> Result<Work> {
    let begin = Instant::now();
    let mut mapper = plugin.open_mapper()?;
    let open_ms = begin.elapsed().as_secs_f64() * 1000.0;
    let rows = match data {
        Sample::Examples(rows) => rows,
        _ => some_examples(4 * BATCH, &mapper.labels().names),
    };
    let batches: Vec<_> = rows.chunks(BATCH).map(sample::columns).collect();
    let memory_open = mapper.guest_memory_bytes();
    let clock = Clock::start();
    let mut taken = 0;
    while clock.wall() < seconds {
        for batch in &batches {
            mapper.assign(batch)?;
            taken += batch.rows() as u64;
        }
    }
    let (wall, processor) = clock.stop();
    Ok(Work { open_ms, unit: "rows", taken, wall, processor, memory_open, memory: mapper.guest_memory_bytes() })
}

fn converter(plugin: &Plugin, data: Sample, seconds: f64) -> Result<Work> {
    let source = match data {
        Sample::Source(bytes) => bytes,
        _ => some_source(plugin, 100_000).ok_or_else(|| {
            Error::data("none of the made-up sources is one that it reads").with_hint("give one with `--data FILE`")
        })?,
    };
    let begin = Instant::now();
    let converter = plugin.open_converter()?;
    let open_ms = begin.elapsed().as_secs_f64() * 1000.0;
    let memory_open = converter.guest_memory_bytes();
    let clock = Clock::start();
    let (mut taken, mut memory) = (0, memory_open);
    while clock.wall() < seconds {
        let mut converter = plugin.open_converter()?;
        for chunk in source.chunks(Converter::CHUNK_BYTES) {
            converter.push(chunk)?;
        }
        memory = memory.max(converter.guest_memory_bytes());
        converter.finish()?;
        taken += source.len() as u64;
    }
    let (wall, processor) = clock.stop();
    Ok(Work { open_ms, unit: "bytes", taken, wall, processor, memory_open, memory })
}

/// Wall and processor time of this thread.
struct Clock {
    begin: Instant,
    processor: Option<f64>,
}

impl Clock {
    fn start() -> Self {
        Self { begin: Instant::now(), processor: processor() }
    }

    fn wall(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    fn stop(&self) -> (f64, Option<f64>) {
        (self.wall(), self.processor.zip(processor()).map(|(begin, end)| end - begin))
    }
}

/// The processor time that this thread has had, in seconds, where Linux tells it.
fn processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds * 1e-9)
}

fn table(measured: &Measured) -> String {
    let speed = |per_second: f64| match measured.unit {
        "bytes" => format!("{:.1} MB/s", per_second * 1e-6),
        _ => format!("{:.3} million rows/s", per_second * 1e-6),
    };
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let mut rows = vec![
        ("component", format!("{}, a {}", measured.component, measured.kind)),
        ("start, compiled", format!("{:.1} ms", measured.start_cold_ms)),
        ("start, from the cache", format!("{:.2} ms", measured.start_cached_ms)),
        ("open", format!("{:.3} ms", measured.open_ms)),
        ("speed, one thread", speed(measured.per_second)),
    ];
    if let Some(per_second) = measured.per_cpu_second {
        rows.push(("  by processor time", speed(per_second)));
    }
    let taken = match measured.unit {
        "bytes" => format!("{:.0} MB", measured.taken as f64 * 1e-6),
        _ => format!("{} rows", measured.taken),
    };
    let memory = (mib(measured.memory_open_bytes), mib(measured.memory_bytes));
    rows.push(("guest's memory", format!("{} when opened, {} after {taken}", memory.0, memory.1)));
    rows.iter().map(|(name, value)| format!("{name:<22}  {value}\n")).collect()
}
