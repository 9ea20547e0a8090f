//! What the conformance kit and `so8t plugin bench` ask of a converter besides converting.

use super::{Converter, plain};
use crate::session::Returns;
use crate::{Plugin, checks};
use so8t_base::Result;
use so8t_data::ConvertedBatch;

impl Converter {
    /// As [`Converter::finish`], but that the instance stays: another conversion can be opened in it.
    pub(crate) fn finish_and_stay(&mut self) -> Result<ConvertedBatch> {
        let Self { session, guest, resource } = self;
        session.call(
            "finish",
            Returns::Much,
            |store| guest.converter().call_finish(store, *resource),
            |batch| checks::converted(plain(batch)),
        )
    }

    /// Opens another conversion in the same instance of the guest, in place of this one.
    pub(crate) fn reopen(&mut self, plugin: &Plugin) -> Result<()> {
        let Self { session, guest, .. } = self;
        let open = |store: &mut _| guest.converter().call_open(store, plugin.configuration());
        self.resource = session.call("open", Returns::Little, open, Ok)?;
        Ok(())
    }

    /// The guest's memory and tables, in bytes.
    pub fn guest_memory_bytes(&self) -> u64 {
        self.session.memory_bytes()
    }
}
