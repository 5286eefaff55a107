//! The local runtime on real servers: conntrack zones, interfaces that change their owner, settings of the bridge, queues and
//! mirrors, rivals, refusals.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod configured;
mod copies;
mod encaps;
mod gateways;
mod hitless;
mod identity;
mod install;
mod interfaces;
mod monitoring;
mod moving;
mod port_types;
mod refusals;
mod rivals;
mod strange;
mod switch;
mod switch_over;
mod tls;
mod zones;
