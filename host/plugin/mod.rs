//! The sandbox for converters, label mappers and metrics.
