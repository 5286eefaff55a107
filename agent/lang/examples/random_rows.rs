//! Translates sets of random matches and says how long the slowest takes.
//!
//!     random_rows [--seeds FIRST..LAST] [--rows N] [--members N] [--constants N] [--levels N] [--steps N]
//!     [--print SEED]
//!         [--dump SEED FOLDER] [--slowest] [--list]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers")]

#[path = "../tests/random_rows/mod.rs"]
mod random_rows;

use ovn_lang::{Expr, Limits, SymbolTable};
use random_rows::{Sets, Shape, rows};
use std::time::Duration;

struct Translated {
    flows: usize,
    refused: usize,
    bad: usize,
}

fn translate(text: &str, limits: Limits) -> Translated {
    let none = Translated { flows: 0, refused: 0, bad: 0 };
    let Ok(expr) = Expr::parse(text, SymbolTable::main(), &Sets) else {
        return Translated { bad: 1, ..none };
    };
    let expr = expr.annotate().simplify().evaluate(&mut |port| port < "p4");
    let Ok(normalized) = expr.normalize(limits) else {
        return Translated { refused: 1, ..none };
    };
    match normalized.to_matches(&mut |name| Sets::port_key(name)) {
        Ok(matches) => Translated { flows: matches.flows.len(), ..none },
        Err(_) => Translated { refused: 1, ..none },
    }
}

/// CPU time of this thread, so that a busy machine does not matter.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn main() {
    let (mut seeds, mut n, mut shape, mut print, mut slowest, mut list) =
        (0..1000, 200, Shape::default(), None, false, false);
    let mut limits = Limits::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap();
        match argument.as_str() {
            "--seeds" => {
                let range = value();
                let (first, last) = range.split_once("..").unwrap();
                seeds = first.parse().unwrap()..last.parse().unwrap();
            }
            "--rows" => n = value().parse().unwrap(),
            "--members" => shape.members = value().parse().unwrap(),
            "--constants" => shape.constants = value().parse().unwrap(),
            "--levels" => shape.levels = value().parse().unwrap(),
            "--dump" => {
                let (seed, folder) = (value().parse().unwrap(), value());
                let (sb, local) = random_rows::databases(&rows(seed, n, shape));
                std::fs::write(format!("{folder}/sb.json"), sb).unwrap();
                std::fs::write(format!("{folder}/ovs.json"), local).unwrap();
                return;
            }
            "--print" => print = Some(value().parse().unwrap()),
            "--steps" => limits.max_steps = value().parse().unwrap(),
            "--slowest" => slowest = true,
            "--list" => list = true,
            other => panic!("unknown option {other}"),
        }
    }
    if let Some(seed) = print {
        rows(seed, n, shape).iter().for_each(|row| println!("{row}"));
        return;
    }
    let mut worst = (Duration::ZERO, 0);
    let mut row = (Duration::ZERO, String::new(), 0, 0);
    let (mut all, mut flows, mut refused, mut bad, mut total) = (0, 0, 0, 0, Duration::ZERO);
    for seed in seeds {
        let texts = rows(seed, n, shape);
        let start = cpu_time();
        for text in &texts {
            let one = cpu_time();
            let translated = translate(text, limits);
            let one = cpu_time() - one;
            if one > row.0 {
                row = (one, text.clone(), translated.flows, translated.refused);
            }
            if list {
                let us = one.as_micros();
                println!("{us} us, {} flows, {} refused: {text}", translated.flows, translated.refused);
            }
            flows += translated.flows;
            refused += translated.refused;
            bad += translated.bad;
            all += 1;
        }
        let elapsed = cpu_time() - start;
        total += elapsed;
        worst = worst.max((elapsed, seed));
    }
    println!(
        "{all} matches: {flows} flows, {refused} refused ({:.3}%), {bad} not valid; {:.3} s in all",
        100.0 * refused as f64 / all.max(1) as f64,
        total.as_secs_f64()
    );
    println!("slowest seed {}: {:.3} s for {n} matches", worst.1, worst.0.as_secs_f64());
    println!(
        "slowest match: {:.3} s, {} flows{}",
        row.0.as_secs_f64(),
        row.2,
        if row.3 > 0 { ", refused" } else { "" }
    );
    if slowest {
        println!("{}", row.1);
    }
}
