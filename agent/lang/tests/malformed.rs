//! Malformed texts, each with the error it has to give and where: [`corpus`]. `UPDATE_VECTORS=1 cargo test -p ovn-lang --test malformed`
//! writes the results anew.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test")]

mod corpus;

use corpus::{Case, cases, cut};
use ovn_lang::{ActionParse, Error, Expr, OptionTable, Pipeline, SymbolTable, WriteScope, parse_actions};
use ovn_lang::{AddressSet, ConstantSets, Microflow, MicroflowError};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

struct Sets;

impl ConstantSets for Sets {
    fn address_set(&self, name: &str) -> Option<Arc<AddressSet>> {
        let addresses: &[&str] = match name {
            "set1" => &["10.0.0.1", "10.0.0.2"],
            "set2" => &["::1", "::2"],
            "set3" => &["00:00:00:00:00:01"],
            "set4" => &[],
            _ => return None,
        };
        Some(Arc::new(AddressSet::parse(addresses.iter().copied()).0))
    }

    fn port_group(&self, name: &str) -> Option<Arc<[Arc<str>]>> {
        (name == "pg1").then(|| ["p1", "p2"].map(Arc::from).into())
    }
}

/// What is wrong with a text, if anything.
fn error_of(case: &Case) -> Option<Error> {
    match case.kind.as_str() {
        "match" => {
            let error = Expr::parse(&case.text, SymbolTable::main(), &Sets).err();
            let microflow = Microflow::parse(&case.text, SymbolTable::main(), &Sets).err();
            assert_eq!(microflow, error.clone().map(MicroflowError::Syntax), "{}", case.written);
            error
        }
        "actions" => {
            let (dhcp_v4, dhcp_v6) = (OptionTable::default_dhcp_v4(), OptionTable::default_dhcp_v6());
            let pipeline = Pipeline::Ingress;
            let (dhcp_v4, dhcp_v6, symbols) = (&dhcp_v4, &dhcp_v6, SymbolTable::main());
            let params = ActionParse { symbols, dhcp_v4, dhcp_v6, pipeline, table: 10, n_tables: pipeline.n_tables() };
            parse_actions(&case.text, &params).err()
        }
        "symbol" => {
            // `name = expansion` or, a subfield, `name[..] < field`. The name may well occur in its own expansion, which
            // is how a cycle would have to begin.
            let mut table = SymbolTable::main().clone();
            match case.text.split_once(" = ") {
                Some((_, expansion)) => table.add_predicate("p", expansion).err(),
                None => {
                    let (bits, field) = case.text.split_once(" < ").unwrap();
                    let bits = bits.replacen('p', field, 1);
                    table.add_subfield("p", "", &bits, WriteScope::DEFAULT).err()
                }
            }
        }
        other => panic!("unknown kind {other}"),
    }
}

#[test]
fn every_malformed_text_gives_its_error_at_its_place() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(corpus::PATH);
    let file = std::fs::read_to_string(&path).unwrap();
    let all = cases(&file);
    assert!(all.len() >= 450, "{} cases", all.len());
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let mut out = String::new();
        let mut all = all.iter();
        for line in file.lines().filter(|line| !line.starts_with("  ")) {
            if line.starts_with('#') || line.is_empty() {
                writeln!(out, "{line}").unwrap();
                continue;
            }
            let case = all.next().unwrap();
            match error_of(case) {
                Some(error) => writeln!(out, "{line}\n  error {} {}", error.offset, cut(&error.message)).unwrap(),
                None => println!("nothing is wrong with {}: {}", case.kind, case.written),
            }
        }
        std::fs::write(path, out).unwrap();
        return;
    }
    let mut wrong = Vec::new();
    for case in &all {
        let got = error_of(case);
        if let Some(error) = &got {
            assert!(case.text.is_char_boundary(error.offset), "{}: offset {}", case.written, error.offset);
        }
        let got = got.map(|error| (error.offset, cut(&error.message)));
        if got.as_ref().map(|(offset, message)| (*offset, message.as_str())) != Some((case.offset, &case.message)) {
            let want = (case.offset, &case.message);
            wrong.push(format!("{}: {}\n  want {want:?}\n  got  {got:?}", case.kind, case.written));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
