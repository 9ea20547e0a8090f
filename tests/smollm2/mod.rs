//! smollm2
