//! What the conformance kit and `so8t plugin bench` ask of a measurement besides measuring.

use super::{Measurement, information, wanted};
use crate::session::Returns;
use crate::{Plugin, checks};
use so8t_base::Result;
use so8t_evaluate::{MetricBatch, MetricInfo, Wants};

impl Measurement {
    /// Opens another measurement in the same instance of the guest, in place of this one.
    pub(crate) fn reopen(&mut self, plugin: &Plugin, labels: &[String]) -> Result<()> {
        let names: Vec<&str> = labels.iter().map(String::as_str).collect();
        let Self { session, guest, .. } = self;
        let open = |store: &mut _| guest.accumulator().call_open(store, plugin.configuration(), &names);
        self.resource = session.call("open", Returns::Little, open, Ok)?;
        self.taken = Some(0);
        Ok(())
    }

    /// What the guest declares now: its values, and the columns that it reads.
    pub(crate) fn declared(&mut self) -> Result<(Vec<MetricInfo>, Wants)> {
        let Self { session, guest, resource, .. } = self;
        let metrics = session.call(
            "metrics",
            Returns::Much,
            |store| guest.accumulator().call_metrics(store, *resource).map(Ok),
            |metrics| checks::metrics(metrics.into_iter().map(information).collect()),
        )?;
        let ask = |store: &mut _| guest.accumulator().call_wants(store, *resource).map(Ok);
        let wants = session.call("wants", Returns::Little, ask, |wants| Ok(wanted(wants)))?;
        Ok((metrics, wants))
    }

    /// Sends a batch of no rows, which `update` never does.
    pub(crate) fn update_with_nothing(&mut self) -> Result<()> {
        self.send(&MetricBatch::default(), 0..0)
    }

    /// The guest's memory and tables, in bytes.
    pub fn guest_memory_bytes(&self) -> u64 {
        self.session.memory_bytes()
    }
}
