//! A bundle: one file with all that serving a run takes, so that it travels to a machine that has neither the data nor the model.
//!
//! It is a tar archive. The first entry, `bundle.json`, is the index: the length and SHA-256 of every file behind it. The second may be a signature of
//! the index in minisign's format, and so of everything. The rest are the files, in the order of the index: those of the run's folder that decide and that
//! its stored decisions are held against, and the model's. What was trained on is not among them; the held-out requests are, for a server holds itself
//! against their stored decisions before it answers anybody. The same run gives the same bytes.

mod index;
mod open;
mod write;

pub use index::{Index, Packed};
pub use open::{Trust, Unpacked, is_bundle, open};
pub use write::{Bundled, Sign, write};
