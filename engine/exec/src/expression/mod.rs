//! Expressions compiled for a pipeline: typed, bounded, evaluated a vector at a time.
