//! The view: what this hypervisor is and has, derived from both databases. One module a subject; each function derives one
//! fact of [`crate::facts`] and reads through a [`Reader`](crate::reader::Reader) only.

pub mod chassis;
pub mod datapaths;
pub mod interfaces;
pub mod multicast;
pub mod placement;
pub mod ports;
pub mod sets;
pub mod tunnels;
pub mod zones;
