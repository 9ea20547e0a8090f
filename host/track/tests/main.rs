//! Tracking, exports and releases.
