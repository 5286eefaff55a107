//! Each rule on a small hypervisor; see [`super::testbed`].

mod bfd;
mod datapaths;
mod oracle;
mod ports;
mod sets;
mod switch;
mod zones;
