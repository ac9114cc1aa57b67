//! flight_proto
