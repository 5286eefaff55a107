//! `ovn-agent`: OVN's hypervisor agent, and the same core offline.
//!
//! This package is the only one with sockets, clocks, files and threads. [`cli`] holds one module a
//! command; [`driver`] is the daemon, [`control`] its control socket, [`observe`] its log.
#![forbid(unsafe_code)]

mod cli;
mod control;
mod driver;
mod metrics;
mod observe;
mod process;

use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
