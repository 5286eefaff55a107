//! Flows: what each kind of row turns into. One module a subject; each function is the body of one unit of
//! [`crate::units`]. The OpenFlow tables and registers are named in [`layout`].

pub mod addresses;
pub mod chassis;
pub mod encap;
pub mod evpn;
pub mod fdb;
pub mod fixed;
pub mod layout;
pub mod load_balancer;
pub mod logical;
pub mod meters;
pub mod multicast;
pub mod neighbours;
pub mod ovs_order;
pub mod physical;
pub mod port_security;
pub mod tunnels;
pub mod words;
