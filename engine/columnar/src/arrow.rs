//! Arrow in and out: without a copy where the layouts agree, else with one.
