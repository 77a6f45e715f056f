//! `adit`.
fn main() {}
