//! Metrics for Prometheus: [`Metrics`] are measured whether or not anybody asks, [`Endpoint`] serves them where `--metrics` says ([`Address`]).

mod address;
mod endpoint;
mod registry;

pub use address::Address;
pub use endpoint::Endpoint;
pub use registry::{Metrics, kind, peer, transactions};
