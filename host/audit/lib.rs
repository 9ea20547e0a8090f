#![doc = include_str!("README.md")]

mod entry;
mod journal;
mod keys;
mod log;
mod merkle;
mod note;
mod prove;
mod reader;
mod sealed;
mod tiles;
mod verify;
mod writer;

pub use entry::{Entry, canonical, new_id, timestamp};
pub use keys::{Keys, Mac};
pub use log::{Log, VERIFIER};
pub use merkle::{Hash, Tree, leaf_hash, node_hash};
pub use note::{Checkpoint, Signer, Verifier};
pub use prove::{Proof, find, prove};
pub use reader::{Stored, each_entry};
pub use sealed::{open as open_sealed, shred};
pub use verify::{Verified, verify};
pub use writer::Writer;
