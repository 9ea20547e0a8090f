//! The quick start: its data, its pretraining corpus, and the whole run through the real program.

mod corpus;
mod data;
mod merging;
mod requests;
mod run;
mod verify;
