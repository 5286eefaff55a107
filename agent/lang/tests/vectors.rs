//! Matches and what becomes of them at each step, from testdata/lang/match.txt.
//! `VECTORS=print cargo test -p ovn-lang --test vectors -- --nocapture` prints the file as it would have to be.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod environment;

#[test]
fn vectors() {
    let file = include_str!("../testdata/lang/match.txt");
    let print = std::env::var("VECTORS").is_ok();
    let mut failed = Vec::new();
    for (i, line) in file.lines().enumerate() {
        let Some((input, want)) = line.split_once(" => ").filter(|_| !line.starts_with('#')) else {
            if print {
                println!("{line}");
            }
            continue;
        };
        let (step, text) = input.split_once(": ").unwrap();
        let got = environment::run(step, text).join(" | ");
        if print {
            println!("{step}: {text} => {got}");
        } else if got != want {
            failed.push(format!("match.txt line {}: {step}: {text}\n  want {want}\n  got  {got}", i + 1));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
