//! The command line: one module a command. Errors end up on stderr as one line, `ovn-agent: what: why`, with exit code 1;
//! wrong arguments exit with 2.

mod translate;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// OVN's hypervisor agent: a drop-in replacement for ovn-controller.
#[derive(Debug, Parser)]
#[command(name = "ovn-agent", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Translate a Southbound dump into the flows, groups and meters of one hypervisor, offline
    Translate(translate::Translate),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Translate(translate) => translate.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// One line on stderr under the program's name.
#[allow(clippy::print_stderr, reason = "this is where errors of the command line end up")]
fn report(text: &str) {
    eprintln!("ovn-agent: {text}");
}
