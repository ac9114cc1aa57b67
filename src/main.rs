//! tundra
fn main() {}
