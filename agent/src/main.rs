//! `ovn-agent`: OVN's hypervisor agent, and the same core offline.
//!
//! This package is the only one with sockets, clocks, files and threads. [`cli`] holds one module a command.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
