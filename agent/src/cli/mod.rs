//! The command line: one module a command. Errors end up on stderr as one line, `ovn-agent: what: why`, with exit code 1;
//! wrong arguments of the tools exit with 2, those of the daemon with 1 as ovn-controller's do.

mod completions;
mod graph;
mod options;
mod run;
mod translate;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

use crate::process;

const EXAMPLES: &str = "\
Examples:
  ovn-agent run --pidfile --log-file --detach --monitor
  ovn-agent translate --sb sb.json --ovs ovs.json --what flows
  ovn-agent completions bash > /etc/bash_completion.d/ovn-agent

Started under the name ovn-controller it is `ovn-agent run`.";

/// OVN's hypervisor agent: a drop-in replacement for ovn-controller.
#[derive(Debug, Parser)]
#[command(name = "ovn-agent", version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent of this hypervisor, with the options of ovn-controller
    #[command(disable_help_flag = true)]
    Run {
        /// See `ovn-agent run --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
        arguments: Vec<OsString>,
    },
    /// Print a script that completes commands and options
    Completions {
        /// For which shell
        shell: completions::Shell,
    },
    /// Translate a Southbound dump into the flows, groups and meters of one hypervisor, offline
    Translate(translate::Translate),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    // Under the name of what it replaces it behaves as that.
    let result = if process::program_name() == "ovn-controller" {
        run::run(std::env::args_os().skip(1))
    } else {
        match Arguments::parse().command {
            Command::Run { arguments } => run::run(arguments.into_iter()),
            Command::Completions { shell } => print(&completions::script(shell)),
            Command::Translate(translate) => translate.run().map(|()| ExitCode::SUCCESS),
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// One line on stderr under the program's name.
#[allow(clippy::print_stderr, reason = "this is where errors of the command line end up")]
fn report(text: &str) {
    eprintln!("{}: {text}", process::program_name());
}

/// A text on stdout.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}
