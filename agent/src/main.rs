//! ovn-agent: a drop-in replacement for ovn-controller.
fn main() {}
