//! Label mappers: labels of a source in, ids of the experiment's labels out.

mod probe;

use std::sync::Arc;

use wasmtime::component::ResourceAny;

use super::bindings::{mapping, types};
use super::session::{Returns, Session};
use super::{Loaded, checks};
use so8t_base::{Error, Result};
use so8t_data::{ExampleColumns, LabelSet, Texts};

/// A label mapper at work on one source.
pub struct Mapper {
    session: Session,
    guest: mapping::Guest,
    resource: ResourceAny,
    labels: LabelSet,
}

impl Mapper {
    pub(super) fn open(plugin: &Arc<Loaded>, indices: &mapping::GuestIndices) -> Result<Self> {
        let (mut session, instance) = Session::start(plugin)?;
        let open = |store: &mut _| {
            let guest = indices.load(&mut *store, &instance)?;
            Ok(guest.mapper().call_open(store, &plugin.config)?.map(|resource| (guest, resource)))
        };
        let (guest, resource) = session.call("open", Returns::Little, open, Ok)?;
        let labels = session.call(
            "labels",
            Returns::Little,
            |store| guest.mapper().call_labels(store, resource).map(Ok),
            |labels| checks::label_set(labels.names, labels.severity),
        )?;
        Ok(Self { session, guest, resource, labels })
    }

    /// The labels that this mapper maps into.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// One label id, or the reason for which the row is left out, for every row.
    ///
    /// # Errors
    ///
    /// When the columns given are not whole, or the plugin fails, breaks a limit, or does not decide every row.
    pub fn assign(&mut self, rows: &ExampleColumns) -> Result<Vec<Result<u8, String>>> {
        let count = rows.rows();
        for (name, column) in named(rows) {
            if !column.is_lacking() && column.rows() != count {
                return Err(Error::data(format!(
                    "{}: `assign`: column `{name}` has {} rows: expected {count}",
                    self.session.plugin().title(),
                    column.rows()
                )));
            }
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let Self { session, guest, resource, labels } = self;
        session.call_batch(
            "assign",
            Returns::Much,
            |store| guest.mapper().call_assign(store, *resource, borrowed(rows)),
            |mapped| checks::mapped(&mapped.ids, &mapped.code, &mapped.reasons, count, labels.len()),
        )
    }
}

fn named(rows: &ExampleColumns) -> [(&'static str, &Texts); 7] {
    [
        ("id", &rows.id),
        ("instruction", &rows.instruction),
        ("input", &rows.input),
        ("output", &rows.output),
        ("label", &rows.label),
        ("group", &rows.group),
        ("extra-json", &rows.extra_json),
    ]
}

fn borrowed(rows: &ExampleColumns) -> types::ExamplesParam<'_> {
    fn texts(Texts { bytes, offsets }: &Texts) -> types::TextsParam<'_> {
        types::TextsParam { bytes, offsets }
    }
    types::ExamplesParam {
        id: texts(&rows.id),
        instruction: texts(&rows.instruction),
        input: texts(&rows.input),
        output: texts(&rows.output),
        label: texts(&rows.label),
        group: texts(&rows.group),
        extra_json: texts(&rows.extra_json),
    }
}
