//! What is counted, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The upper ends of the buckets of durations, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

#[derive(Clone, Debug, Default)]
struct Histogram {
    buckets: [u64; SECONDS.len()],
    sum: f64,
    count: u64,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        if let Some(bucket) = SECONDS.iter().position(|end| seconds <= *end) {
            self.buckets[bucket] += 1;
        }
        self.sum += seconds;
        self.count += 1;
    }

    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let mut total = 0;
        let comma = if labels.is_empty() { "" } else { "," };
        for (end, count) in SECONDS.iter().zip(self.buckets) {
            total += count;
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{end}\"}} {total}");
        }
        let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", self.count);
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(out, "{name}_sum{braces} {}\n{name}_count{braces} {}", self.sum, self.count);
    }
}

#[derive(Debug, Default)]
struct Counts {
    responses: BTreeMap<(&'static str, u16), u64>,
    durations: BTreeMap<&'static str, Histogram>,
    decisions: BTreeMap<(String, &'static str), u64>,
    engine: Histogram,
    audit: Histogram,
    texts: u64,
    tokens: u64,
    gone: u64,
    reloads: BTreeMap<&'static str, u64>,
}

/// What is counted while a server runs.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counts: Mutex<Counts>,
}

/// What is known at the moment.
pub(crate) struct Now {
    pub(crate) waiting: usize,
    pub(crate) permits: usize,
    pub(crate) connections: usize,
    pub(crate) is_ready: bool,
}

impl Metrics {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn response(&self, endpoint: &'static str, status: u16, time: Duration) {
        let mut counts = self.counts();
        *counts.responses.entry((endpoint, status)).or_default() += 1;
        counts.durations.entry(endpoint).or_default().add(time);
    }

    pub(crate) fn decision(&self, decision: &str, kind: &'static str) {
        *self.counts().decisions.entry((decision.to_owned(), kind)).or_default() += 1;
    }

    pub(crate) fn batch(&self, texts: usize, tokens: usize, time: Duration) {
        let mut counts = self.counts();
        counts.engine.add(time);
        counts.texts += texts as u64;
        counts.tokens += tokens as u64;
    }

    pub(crate) fn audit(&self, time: Duration) {
        self.counts().audit.add(time);
    }

    pub(crate) fn gone(&self) {
        self.counts().gone += 1;
    }

    pub(crate) fn reload(&self, outcome: &'static str) {
        *self.counts().reloads.entry(outcome).or_default() += 1;
    }

    /// How many texts the engine decides a second.
    pub(crate) fn speed(&self) -> f64 {
        let counts = self.counts();
        counts.texts as f64 / counts.engine.sum.max(1e-3)
    }

    pub(crate) fn text(&self, now: &Now) -> String {
        let counts = self.counts();
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(&mut out, "so8t_http_responses_total", "counter", "Responses by endpoint and status");
        for ((endpoint, status), count) in &counts.responses {
            let _ = writeln!(out, "so8t_http_responses_total{{endpoint=\"{endpoint}\",status=\"{status}\"}} {count}");
        }
        head(&mut out, "so8t_http_response_seconds", "histogram", "Time from a request's headers to its answer");
        for (endpoint, histogram) in &counts.durations {
            histogram.write("so8t_http_response_seconds", &format!("endpoint=\"{endpoint}\""), &mut out);
        }
        head(&mut out, "so8t_decisions_total", "counter", "Decisions by label and kind");
        for ((decision, kind), count) in &counts.decisions {
            let decision = decision.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = writeln!(out, "so8t_decisions_total{{decision=\"{decision}\",kind=\"{kind}\"}} {count}");
        }
        head(&mut out, "so8t_engine_batch_seconds", "histogram", "Time of a batch in the model");
        counts.engine.write("so8t_engine_batch_seconds", "", &mut out);
        head(&mut out, "so8t_audit_seconds", "histogram", "Time until the entries of a request are on the disk");
        counts.audit.write("so8t_audit_seconds", "", &mut out);
        for (name, help, value) in [
            ("so8t_engine_texts_total", "Texts that the model decided about", counts.texts),
            ("so8t_engine_tokens_total", "Tokens of prompts that the model read", counts.tokens),
            ("so8t_clients_gone_total", "Requests whose client went away", counts.gone),
        ] {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "{name} {value}");
        }
        head(&mut out, "so8t_reloads_total", "counter", "Attempts to swap the run, by outcome");
        for (outcome, count) in &counts.reloads {
            let _ = writeln!(out, "so8t_reloads_total{{outcome=\"{outcome}\"}} {count}");
        }
        for (name, help, value) in [
            ("so8t_queue_texts", "Texts that wait for the model", now.waiting),
            ("so8t_queue_free_texts", "Texts that may still be taken", now.permits),
            ("so8t_connections", "Open connections", now.connections),
            ("so8t_ready", "Whether requests are taken", usize::from(now.is_ready)),
        ] {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
        out
    }
}
