//! What the conformance kit and `so8t plugin bench` ask of a mapper besides mapping.

use super::{Mapper, borrowed};
use crate::session::Returns;
use crate::{Plugin, checks};
use so8t_base::Result;
use so8t_data::{ExampleColumns, LabelSet};

impl Mapper {
    /// Opens another mapping in the same instance of the guest, in place of this one.
    pub(crate) fn reopen(&mut self, plugin: &Plugin) -> Result<()> {
        let Self { session, guest, .. } = self;
        let open = |store: &mut _| guest.mapper().call_open(store, plugin.configuration());
        self.resource = session.call("open", Returns::Little, open, Ok)?;
        self.labels = self.declared()?;
        Ok(())
    }

    /// The labels that the guest declares now.
    pub(crate) fn declared(&mut self) -> Result<LabelSet> {
        let Self { session, guest, resource, .. } = self;
        session.call(
            "labels",
            Returns::Little,
            |store| guest.mapper().call_labels(store, *resource).map(Ok),
            |labels| checks::label_set(labels.names, labels.severity),
        )
    }

    /// Sends a batch of no rows, which `assign` never does.
    pub(crate) fn assign_nothing(&mut self) -> Result<()> {
        let Self { session, guest, resource, labels } = self;
        session.call_batch(
            "assign",
            Returns::Much,
            |store| guest.mapper().call_assign(store, *resource, borrowed(&ExampleColumns::default())),
            |mapped| checks::mapped(&mapped.ids, &mapped.code, &mapped.reasons, 0, labels.len()).map(drop),
        )
    }

    /// The guest's memory and tables, in bytes.
    pub fn guest_memory_bytes(&self) -> u64 {
        self.session.memory_bytes()
    }
}
