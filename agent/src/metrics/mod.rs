//! Metrics for Prometheus.

mod address;

pub use address::Address;
