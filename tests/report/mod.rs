//! The report as a page, as Markdown and in a browser, over a made-up run that has every part.

mod browser;
mod dictionary;
mod full;
mod markdown;
mod safety;
mod structure;
