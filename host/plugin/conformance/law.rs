//! The laws, by name.

use serde::Serialize;

use crate::PluginKind;

/// A sentence that is true of every plugin of a kind, or of every plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Law {
    /// A stable name, such as `metric.merge-associative`.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
}

macro_rules! laws {
    ($($constant:ident $name:literal $says:literal)*) => {
        $(pub(super) const $constant: Law = Law { name: $name, says: $says };)*

        /// Every law, in the order in which they are tried.
        pub const LAWS: &[Law] = &[$($constant),*];
    };
}

laws! {
    IMPORTS "component.imports" "It imports nothing but the host's log"
    INTERFACE "component.interface" "It exports one interface of version 0.1.0, with its functions and types"
    METADATA "component.metadata" "It has a name, a semantic version and a licence as an SPDX expression"
    METADATA_CONSTANT "component.metadata-constant" "It says the same about itself whenever it is asked"
    SCHEMA "config.schema" "Its configuration is described by a valid JSON Schema"
    ACCEPTED "config.accepted" "It opens with the configuration given, which its schema allows"
    REFUSED "config.refused" "It refuses what its schema refuses, such as an unknown key"
    CONFIG_HOSTILE "config.hostile" "A wrong configuration ends in a failure, never in a trap"

    CONVERTER_DETERMINISTIC "converter.deterministic" "The same bytes give the same examples in any instance, at any time"
    CHUNKING "converter.chunking" "How the bytes are cut into chunks changes nothing"
    NO_SOURCE "converter.empty-source" "A source without bytes gives no example"
    ONE_RECORD "converter.one-record" "A source of one record gives one example"
    MANY_RECORDS "converter.many-records" "A source of 100,000 records gives 100,000 examples"
    LINES "converter.lines" "Examples and rejections stand in lines that the source has"
    MALFORMED "converter.malformed" "Malformed bytes end in rejections or a failure, never in a trap"

    MAPPER_DETERMINISTIC "mapper.deterministic" "The same rows get the same answers in any instance, at any time"
    EVERY_ROW "mapper.every-row" "Each row gets one answer: a label of the label set, or a rejection"
    REASONS "mapper.reasons" "A rejection gives a reason"
    SPLITTING "mapper.splitting" "How the rows are cut into batches changes nothing"
    MAPPER_ORDER "mapper.row-order" "The order of the rows changes no answer"
    LABELS_CONSTANT "mapper.labels-constant" "It declares the same labels whenever it is asked"
    NO_DEFAULT "mapper.no-default" "A row without a label gets none but one that the configuration names"
    ODD_LABELS "mapper.odd-labels" "Empty, odd and very long texts never end in a trap or a failure"
    MAPPER_EMPTY "mapper.empty-batch" "A batch of no rows gets no answers"
    MAPPER_ONE "mapper.one-row" "A batch of one row gets one answer"
    MAPPER_MANY "mapper.many-rows" "A batch of 100,000 rows gets 100,000 answers"

    METRIC_DETERMINISTIC "metric.deterministic" "The same rows give the same bytes and bits in any instance, at any time"
    DECLARATIONS "metric.declarations-constant" "It declares the same values and the same columns whenever it is asked"
    IDEMPOTENT "metric.finalize-idempotent" "`finalize` changes nothing, and rows can still be added"
    BATCHES "metric.batches" "How the rows are cut into batches changes no value"
    ONE_PASS "metric.merge-one-pass" "The merged states of parts give the values of one pass over all rows"
    COMMUTATIVE "metric.merge-commutative" "a merged with b gives the values of b merged with a"
    ASSOCIATIVE "metric.merge-associative" "(a with b) with c merges into the values of a with (b with c)"
    MERGE_EMPTY "metric.merge-empty" "The state of no rows changes no value when it is merged"
    METRIC_ORDER "metric.row-order" "The order of the rows changes no value"
    REPEATS "metric.weight-repeats" "A row of weight k counts as k rows"
    ZERO "metric.weight-zero" "A row of weight 0 counts as if it were not there"
    INVALID_ANSWERS "metric.invalid" "Answers that are no label are taken in"
    METRIC_EMPTY "metric.empty-batch" "Without rows values rest on none, and a batch of none changes nothing"
    METRIC_ONE "metric.one-row" "Each kind of row is taken in alone"
    METRIC_MANY "metric.many-rows" "100,000 rows at once, and merged from eight parts, give the same values"
    LABEL_SETS "metric.label-sets" "Any label set is measured or refused with a failure, never with a trap"
    FOREIGN "metric.foreign-state" "Bytes that are no state end in a failure or are taken in, never in a trap"

    FUEL "limits.fuel" "100,000 rows stay within `fuel`, and less of it cuts a call cleanly"
    SECONDS "limits.seconds" "The same of `seconds`"
    MEMORY "limits.memory" "The same of `memory_mb`"
    LIFTED "limits.lifted" "The same of `result_mb`"
}

impl Law {
    /// Whether it is a law of plugins of this kind.
    pub fn concerns(&self, kind: PluginKind) -> bool {
        match self.name.split('.').next() {
            Some("converter") => kind == PluginKind::Converter,
            Some("mapper") => kind == PluginKind::LabelMapper,
            Some("metric") => kind == PluginKind::Metric,
            _ => true,
        }
    }
}
