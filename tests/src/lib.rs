//! tundra_tests
