//! The languages: a match from text to OpenFlow matches, an action list from text to values.

use criterion::{Criterion, criterion_group, criterion_main};
use ovn_lang::{ActionParse, Expr, Limits, NoSets, OptionTable, Pipeline, SymbolTable, parse_actions};
use std::hint::black_box;

const MATCHES: [(&str, &str); 3] = [
    ("plain", "eth.dst == 0a:58:0a:00:00:05 && ip4 && tcp.dst == 80"),
    ("conjunction", "ip4.src == {10.0.0.1, 10.0.0.2, 10.0.0.3} && tcp.dst == {22, 80, 443} && inport == \"p1\""),
    ("not a set", "ip4 && ip4.dst != {10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16}"),
];

fn matches(c: &mut Criterion) {
    let symbols = SymbolTable::main();
    for (name, text) in MATCHES {
        c.bench_function(&format!("match/{name}"), |b| {
            b.iter(|| {
                let expr = Expr::parse(black_box(text), symbols, &NoSets).expect("a valid match").annotate().simplify();
                let normalized = expr.normalize(Limits::default()).expect("a small match");
                normalized.to_matches(&mut |_| Some(1)).expect("a small match")
            });
        });
    }
}

fn actions(c: &mut Criterion) {
    let none = OptionTable::new();
    let params = ActionParse {
        symbols: SymbolTable::main(),
        dhcp_v4: &none,
        dhcp_v6: &none,
        pipeline: Pipeline::Ingress,
        table: 5,
        n_tables: Pipeline::Ingress.n_tables(),
    };
    let text = "eth.dst = eth.src; eth.src = 0a:00:00:00:00:01; ip.ttl--; reg0[7] = 1; ct_commit { ct_mark.blocked = 0; }; next;";
    c.bench_function("actions/parse", |b| b.iter(|| parse_actions(black_box(text), &params).expect("valid actions")));
}

criterion_group!(benches, matches, actions);
criterion_main!(benches);
