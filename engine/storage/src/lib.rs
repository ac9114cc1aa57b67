//! Resident segments: encodings, zone maps, statistics, files.

pub mod statistics;
