//! Answers that think aloud before they decide. The parser is a package of its own, since converters use it too.

pub use so8t_thinking::*;
