//! The languages: a match from text to OpenFlow matches, an action list from text to values.

#[path = "../../agent/lang/tests/random_rows/mod.rs"]
mod random_rows;

use criterion::{Criterion, criterion_group, criterion_main};
use ovn_lang::{ActionParse, Expr, Limits, Matches, NoSets, OptionTable, Pipeline, SymbolTable, parse_actions};
use std::hint::black_box;

const MATCHES: [(&str, &str); 3] = [
    ("plain", "eth.dst == 0a:58:0a:00:00:05 && ip4 && tcp.dst == 80"),
    ("conjunction", "ip4.src == {10.0.0.1, 10.0.0.2, 10.0.0.3} && tcp.dst == {22, 80, 443} && inport == \"p1\""),
    ("not a set", "ip4 && ip4.dst != {10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16}"),
];

fn translated(text: &str) -> Option<Matches> {
    let expr = Expr::parse(text, SymbolTable::main(), &random_rows::Sets).expect("a valid match");
    let expr = expr.annotate().simplify().evaluate(&mut |port| port < "p4");
    expr.normalize(Limits::default()).ok()?.to_matches(&mut |_| Some(1)).ok()
}

fn matches(c: &mut Criterion) {
    let symbols = SymbolTable::main();
    for (name, text) in MATCHES {
        let parse = |text| Expr::parse(text, symbols, &NoSets).expect("a valid match").annotate().simplify();
        c.bench_function(&format!("match/{name}"), |b| b.iter(|| translated(black_box(text))));
        c.bench_function(&format!("parse/{name}"), |b| b.iter(|| parse(black_box(text))));
        let expr = parse(text);
        c.bench_function(&format!("normalize/{name}"), |b| b.iter(|| black_box(&expr).normalize(Limits::default())));
        let normalized = expr.normalize(Limits::default()).expect("a small match");
        c.bench_function(&format!("encode/{name}"), |b| b.iter(|| black_box(&normalized).to_matches(&mut |_| Some(1))));
    }
}

/// What used to explode: `!=` of large sets, large sets against each other, and random matches over the whole symbol table.
fn large(c: &mut Criterion) {
    let mut random = random_rows::Random::new(1);
    let mut v4 = |n: u32, mask: bool| {
        let one = |_| {
            let a = random.below(1 << 32);
            let mask = if mask { format!("/{}", 8 + a % 25) } else { String::new() };
            format!("{}.{}.{}.{}{mask}", 1 + a % 220, a >> 8 & 255, a >> 16 & 255, a >> 24)
        };
        (0..n).map(one).collect::<Vec<_>>().join(", ")
    };
    let (a, b, nets) = (v4(500, false), v4(500, false), v4(500, true));
    let (many, more) = (v4(10_000, false), v4(10_000, false));
    let v6: Vec<String> = a.split(", ").map(|ip| format!("fd00::{ip}")).collect();
    let mut group = c.benchmark_group("large");
    group.sample_size(10);
    for (name, text) in [
        ("not 500 IPv4", format!("ip4.src != {{{a}}}")),
        ("not 500 IPv4 networks", format!("ip4.src != {{{nets}}}")),
        ("not 500 IPv6", format!("!(ip6.src == {{{}}})", v6.join(", "))),
        ("not 500 and not 500", format!("ip4.src != {{{a}}} && ip4.dst != {{{b}}}")),
        ("not 500 or not 500", format!("ip4.src != {{{a}}} || ip4.dst != {{{b}}}")),
        ("10000 and 10000", format!("ip4.src == {{{many}}} && ip4.dst == {{{more}}}")),
    ] {
        group.bench_function(name, |b| b.iter(|| translated(black_box(&text)).expect("a match that is not refused")));
    }
    let rows = random_rows::rows(17, 200, random_rows::Shape::default());
    group.bench_function("200 random matches", |b| {
        b.iter(|| rows.iter().filter_map(|text| translated(black_box(text))).map(|m| m.flows.len()).sum::<usize>());
    });
    group.finish();
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

criterion_group!(benches, matches, large, actions);
criterion_main!(benches);
