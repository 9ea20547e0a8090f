//! Label scoring.
