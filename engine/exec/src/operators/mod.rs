//! Sources, operators and sinks, one a file.
