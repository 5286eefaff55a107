//! Shows what becomes of matches: `match_steps parse|annotate|simplify|normalize|flows < matches` prints, for each line, the
//! result of the named step. Sets `$set1`..`$set4`, groups `@pg1`, `@pg_empty` and ports eth0, eth1, LOCAL, lsp1..3 exist.
#![allow(clippy::print_stdout)]

#[path = "../tests/environment/mod.rs"]
mod environment;

use std::io::{BufRead as _, Write as _};

fn main() -> std::io::Result<()> {
    let step = std::env::args().nth(1).unwrap_or_else(|| "flows".to_string());
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        for result in environment::run(&step, &line?) {
            writeln!(out, "{result}")?;
        }
    }
    Ok(())
}
