//! Scalar functions: names and types, resolved once by the planner and run here by name.
