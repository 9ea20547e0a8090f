//! Converters: bytes of a source in, examples out.

mod probe;

use std::sync::Arc;

use wasmtime::component::ResourceAny;

use super::bindings::{conversion, types};
use super::session::{Returns, Session};
use super::{Loaded, checks};
use so8t_base::Result;
use so8t_data::{ConvertedBatch, ExampleColumns, Rejection, Texts};

/// A converter at work on one source.
pub struct Converter {
    session: Session,
    guest: conversion::Guest,
    resource: ResourceAny,
}

impl Converter {
    /// How many bytes a [`Converter::push`] best takes: more costs memory, fewer cost calls.
    pub const CHUNK_BYTES: usize = 1 << 18;

    pub(super) fn open(plugin: &Arc<Loaded>, indices: &conversion::GuestIndices) -> Result<Self> {
        let (mut session, instance) = Session::start(plugin)?;
        let open = |store: &mut _| {
            let guest = indices.load(&mut *store, &instance)?;
            Ok(guest.converter().call_open(store, &plugin.config)?.map(|resource| (guest, resource)))
        };
        let (guest, resource) = session.call("open", Returns::Little, open, Ok)?;
        Ok(Self { session, guest, resource })
    }

    /// Takes the next bytes of the source, and gives the examples that they completed.
    ///
    /// # Errors
    ///
    /// When the plugin fails, breaks a limit, or returns columns that are not whole.
    pub fn push(&mut self, chunk: &[u8]) -> Result<ConvertedBatch> {
        let Self { session, guest, resource } = self;
        session.call_batch(
            "push",
            Returns::Much,
            |store| guest.converter().call_push(store, *resource, chunk),
            |batch| checks::converted(plain(batch)),
        )
    }

    /// Says that the source has ended, and gives what is left.
    ///
    /// # Errors
    ///
    /// As [`Converter::push`].
    pub fn finish(mut self) -> Result<ConvertedBatch> {
        let Self { session, guest, resource } = &mut self;
        session.call(
            "finish",
            Returns::Much,
            |store| guest.converter().call_finish(store, *resource),
            |batch| checks::converted(plain(batch)),
        )
    }
}

fn plain(batch: conversion::Batch) -> ConvertedBatch {
    let texts = |column: types::TextsResult| Texts { bytes: column.bytes, offsets: column.offsets };
    let examples = batch.examples;
    ConvertedBatch {
        examples: ExampleColumns {
            id: texts(examples.id),
            instruction: texts(examples.instruction),
            input: texts(examples.input),
            output: texts(examples.output),
            label: texts(examples.label),
            group: texts(examples.group),
            extra_json: texts(examples.extra_json),
        },
        lines: batch.lines,
        rejected: batch.rejected.into_iter().map(|r| Rejection { line: r.line, reason: r.reason }).collect(),
    }
}
