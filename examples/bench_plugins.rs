//! What the sandbox costs, and what it takes to prepare data; each beside its peers (`examples/peers/plugins.sh` runs all of them):
//!
//!     cargo run --release --example bench_plugins -- make 1000 FILE.jsonl        # megabytes
//!     cargo run --release --example bench_plugins -- convert FILE.jsonl
//!     cargo run --release --example bench_plugins -- prepare FILE.jsonl …
//!     cargo run --release --example bench_plugins -- classification 10000000
//!     cargo run --release --example bench_plugins -- resamples
//!     cargo run --release --example bench_plugins -- start
//!
//! Figures are per CPU second of the thread that works, unless they are named wall time.

#[path = "measure/labels.rs"]
mod labels;
#[path = "measure/process.rs"]
mod process;

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use process::{memory_mb, processor_seconds, thread_seconds};
use so8t::evaluate::{Measure as _, MetricBatch, Random};
use so8t::manifest::ManifestFile;
use so8t::pipeline::{Narrator, PluginLog, Plugins, prepare};
use so8t::plugin::{ComponentSource, Converter, Host, Plugin, PluginSpec, default_cache_folder};
use so8t::{Error, Result};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &str| text.parse().unwrap_or(0);
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", megabytes, path] => make(number(megabytes), Path::new(path)),
        ["convert", path] => convert(Path::new(path)),
        ["prepare", ref paths @ ..] if !paths.is_empty() => prepare_files(paths),
        ["classification", rows] => classification(number(rows) as usize),
        ["resamples"] => resamples(),
        ["start"] => start(),
        _ => Err(Error::manifest("usage: see the head of examples/bench_plugins.rs")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The median of several times, in seconds.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn load(name: &str) -> Result<Plugin> {
    let host = Host::new(default_cache_folder().as_deref())?;
    host.load(&PluginSpec::new(name, ComponentSource::Builtin(name.into())))
}

fn names() -> Vec<String> {
    ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from).to_vec()
}

/// Made-up records in the earlier pipeline's form, half of them Japanese, about 380 bytes each; three share a group.
fn make(megabytes: u64, path: &Path) -> Result<()> {
    const ENGLISH: &str = "how do I explain the process of a safe test when people ask about water heat power and the right way to keep \
                           old things clean without harm to any child or friend near them today";
    const JAPANESE: &str = "安全な手順を説明してください 水や熱や電気の扱い方 古い道具の手入れ 友人や子供への配慮 今日の予定 仕事の進め方 料理の作り方 旅行の計画";
    let english: Vec<&str> = ENGLISH.split_whitespace().collect();
    let japanese: Vec<&str> = JAPANESE.split_whitespace().collect();
    let mut random = Random::new(1, 0);
    let io = |e: std::io::Error| Error::io("write", path, &e);
    let mut file = BufWriter::new(File::create(path).map_err(io)?);
    let (mut written, mut row) = (0, 0_u64);
    while written < megabytes * 1_000_000 {
        let mut words = |count: u64, from: &[&str], between: &str| {
            let words: Vec<&str> = (0..count).map(|_| from[random.below(from.len() as u64) as usize]).collect();
            words.join(between)
        };
        let (instruction, output, language) = match row % 2 {
            0 => (format!("{}{row}", words(4, &japanese, "")), format!("{}。", words(5, &japanese, "")), "ja"),
            _ => {
                let (first, second) = (words(24, &english, " "), words(8, &english, " "));
                let between = if row.is_multiple_of(5) { "\n\"" } else { " " };
                (format!("{} {row}?", words(14, &english, " ")), format!("{first}{between}{second}."), "en")
            }
        };
        let label = names()[random.below(4) as usize].clone();
        let record = serde_json::json!({
            "id": format!("r-{row}"), "instruction": instruction, "input": "", "output": output, "safety_label": label,
            "domain_label": "general", "language": language, "group": format!("g-{}", row / 3),
        });
        let line = format!("{record}\n");
        file.write_all(line.as_bytes()).map_err(io)?;
        written += line.len() as u64;
        row += 1;
    }
    file.flush().map_err(io)?;
    println!("{row} records, {written} bytes");
    Ok(())
}

/// `jsonl` through the sandbox, as a stream: rows, speed, memory.
fn convert(path: &Path) -> Result<()> {
    let plugin = load("jsonl")?;
    let io = |e: std::io::Error| Error::io("read", path, &e);
    let mut file = File::open(path).map_err(io)?;
    let mut converter = plugin.open_converter()?;
    let start = thread_seconds();
    let (mut chunk, mut bytes, mut rows) = (vec![0; Converter::CHUNK_BYTES], 0, 0);
    loop {
        let read = file.read(&mut chunk).map_err(io)?;
        if read == 0 {
            break;
        }
        bytes += read;
        rows += converter.push(&chunk[..read])?.lines.len();
    }
    rows += converter.finish()?.lines.len();
    let megabytes = bytes as f64 / 1e6;
    println!(
        "jsonl, sandbox: {rows} rows, {megabytes:.0} MB, {:.0} MB a CPU second; {:.0} MB at most",
        megabytes / (thread_seconds() - start),
        memory_mb("VmHWM")
    );
    Ok(())
}

/// Convert, map, duplicates, split and statistics: `so8t prepare` without the digests of the inputs and the writing.
fn prepare_files(paths: &[&str]) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("so8t-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, &e))?;
    let absolute = |path: &&str| std::path::absolute(path).map(|path| format!("{:?}", path.display().to_string()));
    let paths: Vec<String> = paths.iter().filter_map(|path| absolute(path).ok()).collect();
    let text = format!(
        "[run]\nname = \"bench\"\n[model]\nbase = {}\n[[data]]\nname = \"made-up\"\npath = [{}]\nconverter = \"jsonl\"\nmapper = \"four-class\"\n",
        paths[0],
        paths.join(", ")
    );
    let plan = ManifestFile::parse(&folder.join("so8t.toml"), text)?.resolve()?;
    let narrator = Narrator::new(true);
    let plugins = Plugins::load(&PluginLog::default().host(narrator, so8t::plugin::Admission::default())?, &plan)?;
    let (cpu, wall) = (processor_seconds(), Instant::now());
    let prepared = prepare(&plan, &plugins, &folder, &narrator)?;
    let (cpu, wall) = (processor_seconds() - cpu, wall.elapsed().as_secs_f64());
    let _ = std::fs::remove_dir_all(&folder);
    let megabytes = prepared.statistics.sources[0].bytes as f64 / 1e6;
    let rows = prepared.parts.train.len() + prepared.parts.eval.len();
    println!(
        "prepared: {rows} examples of {megabytes:.0} MB in {wall:.2} s, {cpu:.2} s of CPU: {:.0} MB a CPU second, {:.0} MB a second; {:.0} MB at most",
        megabytes / cpu,
        megabytes / wall,
        memory_mb("VmHWM")
    );
    Ok(())
}

/// `classification` over many rows, and its states merged by one thread and by two.
fn classification(rows: usize) -> Result<()> {
    let plugin = load("classification")?;
    let (gold, predicted) = labels::made_up(rows);
    let batch = MetricBatch { gold, predicted, ..MetricBatch::default() };
    let mut f1 = None;
    let mut times = Vec::new();
    for _ in 0..7 {
        let start = thread_seconds();
        let mut measurement = plugin.open_metric(&names())?;
        measurement.update(&batch)?;
        let values = measurement.finalize()?;
        times.push(thread_seconds() - start);
        f1 = values.into_iter().find(|value| value.name == "f1_macro").and_then(|value| value.value);
    }
    println!(
        "classification, sandbox: {rows} rows in {:.2} ms of CPU (median of 7), macro-F1 {f1:?}",
        median(times) * 1e3
    );

    let shards: Vec<MetricBatch> = (0..8)
        .map(|shard| rows * shard / 8..rows * (shard + 1) / 8)
        .map(|range| MetricBatch {
            gold: batch.gold[range.clone()].to_vec(),
            predicted: batch.predicted[range].to_vec(),
            ..MetricBatch::default()
        })
        .collect();
    // Each thread measures its shards; the first merges the states of the others.
    let merged = |threads: usize| -> Result<(f64, f64, Option<f64>)> {
        let start = Instant::now();
        let work = |thread: usize| -> Result<(Vec<Vec<u8>>, f64)> {
            let start = thread_seconds();
            let mut states = Vec::new();
            for _ in 0..10 {
                states.clear();
                for shard in shards.iter().skip(thread).step_by(threads) {
                    let mut measurement = plugin.open_metric(&names())?;
                    measurement.update(shard)?;
                    states.push(measurement.state()?);
                }
            }
            Ok((states, thread_seconds() - start))
        };
        let work = &work;
        let parts: Vec<(Vec<Vec<u8>>, f64)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            let joined =
                threads.into_iter().map(|thread| thread.join().map_err(|_| Error::internal("a thread panicked"))?);
            joined.collect::<Result<_>>()
        })?;
        let mut total = plugin.open_metric(&names())?;
        for state in parts.iter().flat_map(|(states, _)| states) {
            total.merge(state)?;
        }
        let f1 = total.finalize()?.into_iter().find(|value| value.name == "f1_macro").and_then(|value| value.value);
        let longest = parts.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
        Ok((start.elapsed().as_secs_f64(), longest, f1))
    };
    let [one, two] = [merged(1)?, merged(2)?];
    println!(
        "8 shards, ten times over: one thread {:.3} s of CPU ({:.3} s wall), the longer of two {:.3} s ({:.3} s wall): {:.2} times as fast by CPU, {:.2} by wall; macro-F1 {:?} and {:?}",
        one.1,
        one.0,
        two.1,
        two.0,
        one.1 / two.1,
        one.0 / two.0,
        one.2,
        two.2
    );
    Ok(())
}

/// A thousand weighted resamples of macro-F1 at 10,000 rows.
fn resamples() -> Result<()> {
    let plugin = load("classification")?;
    let (gold, predicted) = labels::made_up(10_000);
    let start = thread_seconds();
    let mut batch = MetricBatch { gold, predicted, weights: vec![0; 10_000], ..MetricBatch::default() };
    let mut values = Vec::new();
    let (mut draw, mut open) = (0.0, 0.0);
    for resample in 0..1000 {
        let begun = thread_seconds();
        let mut random = Random::new(1, resample);
        batch.weights.fill(0);
        (0..10_000).for_each(|_| batch.weights[random.below(10_000) as usize] += 1);
        let drawn = thread_seconds();
        let mut measurement = plugin.open_metric(&names())?;
        let opened = thread_seconds();
        (draw, open) = (draw + drawn - begun, open + opened - drawn);
        measurement.update(&batch)?;
        let f1 = measurement.finalize()?.into_iter().find(|value| value.name == "f1_macro");
        measurement.close();
        values.push(f1.and_then(|value| value.value).unwrap_or(f64::NAN));
    }
    let seconds = thread_seconds() - start;
    values.sort_by(f64::total_cmp);
    println!(
        "1000 resamples of 10000 rows: {:.0} ms of CPU, of which {:.0} draw and {:.0} open measurements; macro-F1 {:.4} to {:.4}",
        seconds * 1e3,
        draw * 1e3,
        open * 1e3,
        values[25],
        values[975]
    );
    Ok(())
}

/// The start of a host with five plugins from the cache, and the smallest call.
fn start() -> Result<()> {
    let five = ["jsonl", "csv", "four-class", "classification", "calibration"];
    let mut times = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        let host = Host::new(default_cache_folder().as_deref())?;
        let plugins = five.map(|name| host.load(&PluginSpec::new(name, ComponentSource::Builtin(name.into()))));
        let plugins: Vec<Plugin> = plugins.into_iter().collect::<Result<_>>()?;
        let cached = plugins.iter().filter(|plugin| plugin.from_cache()).count();
        if cached == five.len() {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "a host with five plugins from the cache: {:.2} ms (median of {}), {:.2} ms at best",
        median(times.clone()) * 1e3,
        times.len(),
        least * 1e3
    );

    let plugin = load("classification")?;
    let mut measurement = plugin.open_metric(&names())?;
    let row = MetricBatch { gold: vec![0], predicted: vec![1], ..MetricBatch::default() };
    let per_call = |run: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..9 {
            let start = thread_seconds();
            for _ in 0..20_000 {
                run()?;
            }
            times.push((thread_seconds() - start) / 20_000.0);
        }
        Ok(median(times))
    };
    let update = per_call(&mut || measurement.update(&row))?;
    let mut merged = plugin.open_metric(&names())?;
    let state = measurement.state()?;
    let merge = per_call(&mut || merged.merge(&state))?;
    println!("`update` of one row {:.2} µs (seven lists), `merge` {:.2} µs (one list)", update * 1e6, merge * 1e6);
    Ok(())
}
