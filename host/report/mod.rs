//! JSON, HTML and terminal output.
