//! `so8t.toml`: the text as it is written, and the checked plan that it resolves to.
