//! Random expressions against a direct evaluator: the matches must accept exactly the packets for which the expression, as
//! written, is true. All packets of a small domain are tried. And no text whatsoever may cause a panic.
//!
//! What ovn-controller does and the expression does not say is modelled by name: [`ignores`]. A conjunction with a clause that cannot
//! match leaves clauses behind that are never completed, so it accepts nothing, which is what the expression says as well.
#![allow(clippy::unwrap_used)]

mod random_rows;

use ofproto_client::{Field, Match};
use ovn_lang::{
    Expr, Limits, Matches, NoSets, Normalized, Operand, Symbol, SymbolTable, Test, WriteScope, expand_templates,
};
use random_rows::Sets;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

/// xorshift64*, so that failures can be repeated from their seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A packet of the small domain.
#[derive(Clone, Copy, Debug)]
struct Packet {
    /// 5 bits; `a` is bits 0..2, `b` is bits 3..4.
    w0: u64,
    /// 3 bits, must be multiplied out.
    w1: u64,
    /// Port key.
    port: u64,
    /// Ethernet type, which cannot be masked.
    proto: u64,
    /// 1 bit, only meaningful when `proto` is 1.
    f: u64,
}

const PORTS: [(&str, Option<u32>); 3] = [("p1", Some(1)), ("p2", Some(2)), ("nowhere", None)];

fn symbols() -> SymbolTable {
    let mut table = SymbolTable::default();
    let scope = WriteScope::DEFAULT;
    table.add_field("w0", Field::reg(0), "", false, scope).unwrap();
    table.add_field("w1", Field::reg(1), "", true, scope).unwrap();
    table.add_subfield("a", "", "w0[0..2]", scope).unwrap();
    table.add_subfield("b", "", "w0[3..4]", scope).unwrap();
    table.add_subfield("c", "", "w1[0..2]", scope).unwrap();
    table.add_predicate("b_is_1", "b == 1").unwrap();
    // `d` is `c` again, but only meaningful when `b` is 1.
    table.add_subfield("d", "b_is_1", "w1[0..2]", scope).unwrap();
    table.add_string("s", Field::reg(14));
    table.add_field("proto", Field::ETH_TYPE, "", true, scope).unwrap();
    table.add_field("f", Field::reg(2), "proto == 1", false, scope).unwrap();
    table.add_predicate("f_is_set", "f[0]").unwrap();
    table
}

type Compare = fn(u64, u64) -> bool;

enum Ast {
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Not(Box<Ast>),
    Boolean(bool),
    Resident(bool),
    /// Text, what it means, and whether it has the prerequisite that `b` is 1.
    Leaf(String, Box<dyn Fn(&Packet) -> bool>, bool),
}

fn field(name: &str, p: &Packet) -> u64 {
    match name {
        "a" => p.w0 & 7,
        "b" => p.w0 >> 3,
        _ => p.w1,
    }
}

fn random_leaf(r: &mut Random, negated: bool) -> Ast {
    let equality = if negated { "!=" } else { "==" };
    match r.below(8) {
        0 | 1 => {
            let n = 1 + r.below(2) as usize;
            let chosen: Vec<_> = (0..n).map(|_| PORTS[r.below(3) as usize]).collect();
            let names = chosen.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            let keys: Vec<u64> = chosen.iter().filter_map(|(_, key)| key.map(u64::from)).collect();
            let is = move |p: &Packet| keys.contains(&p.port) != negated;
            Ast::Leaf(format!("s {equality} {{{names}}}"), Box::new(is), false)
        }
        2 => {
            let values: Vec<u64> = (0..1 + r.below(2)).map(|_| r.below(3)).collect();
            let list = values.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            let is = move |p: &Packet| values.contains(&p.proto) != negated;
            Ast::Leaf(format!("proto {equality} {{{list}}}"), Box::new(is), false)
        }
        kind => {
            let name = ["a", "b", "c", "d"][r.below(4) as usize];
            let bits = if name == "b" { 2 } else { 3 };
            let value = r.below(1 << bits);
            let prereq = name == "d";
            let with = |text: String, f: Box<dyn Fn(u64) -> bool>| {
                Ast::Leaf(text, Box::new(move |p: &Packet| f(field(name, p))), prereq)
            };
            match kind {
                3 => {
                    let list: Vec<u64> = (0..1 + r.below(4)).map(|_| r.below(1 << bits)).collect();
                    let text = list.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
                    if r.one_in(2) {
                        with(format!("{name} == {{{text}}}"), Box::new(move |v| list.contains(&v)))
                    } else {
                        with(format!("{{{text}}} != {name}"), Box::new(move |v| !list.contains(&v)))
                    }
                }
                4 => {
                    let mask = 1 + r.below((1 << bits) - 1);
                    let equal = r.one_in(2);
                    let text = format!("{name} {} {value:#x}/{mask:#x}", if equal { "==" } else { "!=" });
                    with(text.replace("0x0/", "0/"), Box::new(move |v| (v & mask == value & mask) == equal))
                }
                5 => {
                    let bit = r.below(bits);
                    with(format!("{name}[{bit}]"), Box::new(move |v| v >> bit & 1 == 1))
                }
                6 => {
                    let (low, high) = (r.below(1 << bits), value);
                    with(format!("{low} <= {name} < {high}"), Box::new(move |v| low <= v && v < high))
                }
                _ => {
                    let relops: [(&str, Compare); 6] = [
                        ("==", |a, b| a == b),
                        ("!=", |a, b| a != b),
                        ("<", |a, b| a < b),
                        ("<=", |a, b| a <= b),
                        (">", |a, b| a > b),
                        (">=", |a, b| a >= b),
                    ];
                    let (relop, f) = relops[r.below(6) as usize];
                    with(format!("{name} {relop} {value}"), Box::new(move |v| f(v, value)))
                }
            }
        }
    }
}

fn random_ast(r: &mut Random, depth: u32, negated: bool) -> Ast {
    if depth == 0 || r.one_in(4) {
        return match r.below(24) {
            0 => Ast::Boolean(r.one_in(2)),
            1 => Ast::Resident(r.one_in(2)),
            _ => random_leaf(r, negated),
        };
    }
    if r.one_in(5) {
        return Ast::Not(Box::new(random_ast(r, depth - 1, !negated)));
    }
    let members = (0..2 + r.below(3)).map(|_| random_ast(r, depth - 1, negated)).collect();
    if r.one_in(2) { Ast::And(members) } else { Ast::Or(members) }
}

fn render(ast: &Ast, out: &mut String) {
    match ast {
        Ast::Boolean(b) => out.push_str(if *b { "1" } else { "0" }),
        Ast::Resident(here) => {
            let _ = write!(out, "is_chassis_resident(\"{}\")", if *here { "here" } else { "there" });
        }
        Ast::Leaf(text, ..) => out.push_str(text),
        Ast::Not(inner) => {
            out.push_str("!(");
            render(inner, out);
            out.push(')');
        }
        Ast::And(members) | Ast::Or(members) => {
            for (i, member) in members.iter().enumerate() {
                if i > 0 {
                    out.push_str(if matches!(ast, Ast::And(_)) { " && " } else { " || " });
                }
                out.push('(');
                render(member, out);
                out.push(')');
            }
        }
    }
}

/// What the expression as written means. Prerequisites hold for the negation of a comparison, too.
fn evaluate(ast: &Ast, p: &Packet, negated: bool) -> bool {
    match ast {
        Ast::Boolean(b) | Ast::Resident(b) => *b != negated,
        Ast::Not(inner) => evaluate(inner, p, !negated),
        Ast::And(members) if negated => members.iter().any(|m| evaluate(m, p, true)),
        Ast::And(members) => members.iter().all(|m| evaluate(m, p, false)),
        Ast::Or(members) if negated => members.iter().all(|m| evaluate(m, p, true)),
        Ast::Or(members) => members.iter().any(|m| evaluate(m, p, false)),
        Ast::Leaf(_, is, prereq) => is(p) != negated && (!prereq || p.w0 >> 3 == 1),
    }
}

/// Open vSwitch's `mf_set` takes no notice of a comparison of a field that it cannot mask unless all bits count. The parser lets no
/// such comparison through, but they arise where a predicate is negated whose prerequisites are about such a field.
fn ignores(field: Field, mask: u128) -> bool {
    !field.is_maskable() && mask != field.all_ones()
}

fn accepts(match_: &Match, p: &Packet) -> bool {
    match_.iter().all(|(field, value, mask)| {
        let actual = match field {
            f if f == Field::reg(0) => p.w0,
            f if f == Field::reg(1) => p.w1,
            f if f == Field::reg(2) => p.f,
            f if f == Field::reg(14) => p.port,
            f if f == Field::ETH_TYPE => p.proto,
            f if f == Field::CONJ_ID => return true,
            other => panic!("unexpected field {}", other.name()),
        };
        u128::from(actual) & mask == value
    })
}

/// Whether the flows let the packet through: a plain match, or a conjunction all of whose clauses match.
fn flows_accept(matches: &Matches, p: &Packet) -> bool {
    let matching: Vec<_> = matches.flows.iter().filter(|flow| accepts(&flow.match_, p)).collect();
    matching.iter().any(|flow| {
        if !flow.conjunctions.is_empty() {
            return false;
        }
        let Some((id, _)) = flow.match_.get(Field::CONJ_ID) else { return true };
        let clauses = || matching.iter().flat_map(|f| &f.conjunctions).filter(|c| u128::from(c.id) == id);
        let n = clauses().next().map_or(0, |c| c.n_clauses);
        n > 0 && (0..n).all(|i| clauses().any(|c| c.clause == i))
    })
}

fn packets() -> Vec<Packet> {
    let mut packets = Vec::new();
    for w0 in 0..32 {
        for w1 in 0..8 {
            for port in [0, 1, 2] {
                packets.extend((0..6).map(|i| Packet { w0, w1, port, proto: i % 3, f: i / 3 }));
            }
        }
    }
    packets
}

fn to_matches(expr: Expr) -> Matches {
    let expr = expr.annotate().simplify().evaluate(&mut |port| port == "here");
    let normalized = expr.normalize(Limits::default()).unwrap();
    let mut port_key = |name: &str| PORTS.iter().find(|(n, _)| *n == name).and_then(|(_, key)| *key);
    normalized.to_matches(&mut port_key).unwrap()
}

#[test]
fn matches_accept_what_the_expression_says() {
    let (table, mut domain) = (symbols(), Domain::new());
    for seed in 1..700u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let depth = 1 + (seed % 3) as u32;
        let ast = random_ast(&mut random, depth, false);
        let mut text = String::new();
        render(&ast, &mut text);
        let expr = Expr::parse(&text, &table, &NoSets).unwrap_or_else(|e| panic!("seed {seed}: {text}: {e}"));
        let printed = expr.to_string();
        let reparsed = Expr::parse(&printed, &table, &NoSets).map(|e| e.to_string());
        assert_eq!(reparsed.as_ref(), Ok(&printed), "seed {seed}: {text}");
        domain.check(&ast, &table);
    }
}

/// A set of packets, as bits.
type Packets = Vec<u64>;

/// All packets, and which of them a test of a field accepts.
struct Domain {
    packets: Vec<Packet>,
    every: Packets,
    tests: HashMap<(Field, u128, u128), Rc<Packets>>,
    leaves: HashMap<String, Packets>,
}

fn both(a: &mut Packets, b: &Packets) {
    for (a, b) in a.iter_mut().zip(b) {
        *a &= b;
    }
}

fn either(a: &mut Packets, b: &Packets) {
    for (a, b) in a.iter_mut().zip(b) {
        *a |= b;
    }
}

impl Domain {
    fn new() -> Domain {
        let packets = packets();
        assert_eq!(packets.len() % 64, 0);
        let every = vec![u64::MAX; packets.len() / 64];
        Domain { packets, every, tests: HashMap::new(), leaves: HashMap::new() }
    }

    fn all(&self) -> Packets {
        self.every.clone()
    }

    fn none(&self) -> Packets {
        vec![0; self.packets.len().div_ceil(64)]
    }

    fn those(&self, is: impl Fn(&Packet) -> bool) -> Packets {
        let mut out = self.none();
        for (i, _) in self.packets.iter().enumerate().filter(|(_, p)| is(p)) {
            out[i / 64] |= 1 << (i % 64);
        }
        out
    }

    /// The packets with `value` in the bits `mask` of `field`.
    fn test(&mut self, field: Field, value: u128, mask: u128) -> Rc<Packets> {
        if let Some(known) = self.tests.get(&(field, value, mask)) {
            return known.clone();
        }
        let mut match_ = Match::new();
        match_.set_masked(field, value, mask);
        let accepted = Rc::new(self.those(|p| accepts(&match_, p)));
        self.tests.insert((field, value, mask), accepted.clone());
        accepted
    }

    /// What the expression as written accepts.
    fn written(&mut self, ast: &Ast, negated: bool) -> Packets {
        match ast {
            Ast::Not(inner) => self.written(inner, !negated),
            Ast::And(members) | Ast::Or(members) => {
                let and = matches!(ast, Ast::And(_)) != negated;
                let mut out = if and { self.all() } else { self.none() };
                for member in members {
                    let one = self.written(member, negated);
                    if and { both(&mut out, &one) } else { either(&mut out, &one) }
                }
                out
            }
            Ast::Leaf(text, ..) => {
                let key = format!("{negated} {text}");
                if let Some(known) = self.leaves.get(&key) {
                    return known.clone();
                }
                let accepted = self.those(|p| evaluate(ast, p, negated));
                self.leaves.insert(key, accepted.clone());
                accepted
            }
            _ => self.those(|p| evaluate(ast, p, negated)),
        }
    }

    /// What the normal form accepts. With `open_vswitch`, comparisons that Open vSwitch ignores are left out.
    fn normalized(&mut self, normalized: &Normalized, open_vswitch: bool) -> Packets {
        let mut out = self.none();
        for alternative in normalized.alternatives() {
            let mut accepted = self.all();
            for factor in alternative.iter().map(|&i| &normalized.factors()[i as usize]) {
                let operands = match &factor.test {
                    Test::Is(operand) => std::slice::from_ref(operand),
                    Test::Any(operands) => operands,
                };
                let mut any = self.none();
                for operand in operands {
                    either(&mut any, &self.operand(factor.symbol, operand, open_vswitch));
                }
                both(&mut accepted, &any);
            }
            either(&mut out, &accepted);
        }
        out
    }

    fn operand(&mut self, symbol: &Symbol, operand: &Operand, open_vswitch: bool) -> Rc<Packets> {
        let field = symbol.field().unwrap();
        match operand {
            Operand::Numeric { mask, .. } if open_vswitch && ignores(field, *mask) => Rc::new(self.all()),
            Operand::Numeric { value, mask, .. } => self.test(field, *value, *mask),
            Operand::String(name) => match PORTS.iter().find(|(n, _)| *n == &**name).and_then(|(_, key)| *key) {
                Some(key) => self.test(field, key.into(), field.all_ones()),
                None => Rc::new(self.none()),
            },
        }
    }

    /// What the flows let through: plain matches, and conjunctions all of whose clauses match.
    fn flows(&mut self, matches: &Matches) -> Packets {
        let mut out = self.none();
        let mut clauses: HashMap<u32, HashMap<u8, Packets>> = HashMap::new();
        let mut completed = Vec::new();
        for flow in &matches.flows {
            let mut accepted = self.all();
            for (field, value, mask) in flow.match_.iter().filter(|(field, ..)| *field != Field::CONJ_ID) {
                both(&mut accepted, &self.test(field, value, mask));
            }
            for c in &flow.conjunctions {
                let clauses = clauses.entry(c.id).or_default();
                assert!(c.clause < c.n_clauses);
                either(clauses.entry(c.clause).or_insert_with(|| vec![0; accepted.len()]), &accepted);
            }
            match flow.match_.get(Field::CONJ_ID) {
                Some((id, _)) => completed.push((id as u32, accepted)),
                None if flow.conjunctions.is_empty() => either(&mut out, &accepted),
                None => {}
            }
        }
        for (id, mut accepted) in completed {
            // A clause may have become one with a plain flow, which prevails.
            let n = matches.flows.iter().flat_map(|f| &f.conjunctions).find(|c| c.id == id).map_or(0, |c| c.n_clauses);
            let clauses = clauses.get(&id).filter(|clauses| clauses.len() == usize::from(n));
            for clause in clauses.into_iter().flat_map(HashMap::values) {
                both(&mut accepted, clause);
            }
            if clauses.is_some() {
                either(&mut out, &accepted);
            }
        }
        out
    }

    /// Checks an expression at each step.
    fn check(&mut self, ast: &Ast, table: &SymbolTable) {
        let mut text = String::new();
        render(ast, &mut text);
        let expr = Expr::parse(&text, table, &NoSets).unwrap_or_else(|e| panic!("{text}: {e}"));
        let expr = expr.annotate().simplify().evaluate(&mut |port| port == "here");
        let normalized = expr.normalize(Limits::default()).unwrap();
        let mut port_key = |name: &str| PORTS.iter().find(|(n, _)| *n == name).and_then(|(_, key)| *key);
        let matches = normalized.to_matches(&mut port_key).unwrap();
        let written = self.written(ast, false);
        assert!(self.normalized(&normalized, false) == written, "the normal form of {text} is {normalized}");
        let (want, got) = (self.normalized(&normalized, true), self.flows(&matches));
        if want != got {
            let i = want.iter().zip(&got).position(|(a, b)| a != b).unwrap();
            let packet = self.packets[i * 64 + (want[i] ^ got[i]).trailing_zeros() as usize];
            panic!("the flows of {text} are wrong about {packet:?}: {:?}", matches.flows);
        }
    }
}

/// A term of the systematic enumeration: as it is written, as it is written under a negation, and what it means.
type Term = (&'static str, &'static str, fn(&Packet) -> bool);

/// Every kind of term: ordinal, subfields that overlap, one that must be multiplied out, nominal, string, with a prerequisite, a predicate
/// with one about a field that cannot be masked.
const TERMS: [Term; 9] = [
    ("a == {1, 2, 6}", "a == {1, 2, 6}", |p| [1, 2, 6].contains(&(p.w0 & 7))),
    ("a > 2", "a > 2", |p| p.w0 & 7 > 2),
    ("w0[1..3] != 5", "w0[1..3] != 5", |p| p.w0 >> 1 & 7 != 5),
    ("c == {1, 5}", "c == {1, 5}", |p| [1, 5].contains(&p.w1)),
    ("1 < d <= 6", "1 < d <= 6", |p| 1 < p.w1 && p.w1 <= 6),
    ("proto == {1, 2}", "proto != {1, 2}", |p| [1, 2].contains(&p.proto)),
    ("s == {\"p1\", \"p2\"}", "s != {\"p1\", \"p2\"}", |p| [1, 2].contains(&p.port)),
    ("s == {\"nowhere\", \"p2\"}", "s != {\"nowhere\", \"p2\"}", |p| p.port == 2),
    ("!f_is_set", "!f_is_set", |p| p.f == 0 || p.proto != 1),
];

/// The members of AND or OR, by the terms that they consist of.
enum Shape {
    Term(usize),
    Group(&'static [Shape]),
}

use Shape::{Group, Term as T};

/// All ways of combining four terms, up to exchanging them: levels alternate between AND and OR.
const SHAPES: [&[Shape]; 5] = [
    &[T(0), T(1), T(2), T(3)],
    &[Group(&[T(0), T(1), T(2)]), T(3)],
    &[Group(&[T(0), T(1)]), Group(&[T(2), T(3)])],
    &[Group(&[T(0), T(1)]), T(2), T(3)],
    &[Group(&[Group(&[T(0), T(1)]), T(2)]), T(3)],
];

/// `not` says for which groups, counted from the outermost, a `!` is written. A negated group is of the other kind, so that levels
/// still alternate.
fn build(shape: &[Shape], and: bool, negated: bool, not: &mut u32, leaf: &mut dyn FnMut(usize, bool) -> Ast) -> Ast {
    let inverted = *not & 1 == 1;
    *not >>= 1;
    let members = shape.iter().map(|member| match member {
        T(i) => leaf(*i, negated != inverted),
        Group(group) => build(group, !and, negated != inverted, not, leaf),
    });
    let members = members.collect();
    let ast = if and != inverted { Ast::And(members) } else { Ast::Or(members) };
    if inverted { Ast::Not(Box::new(ast)) } else { ast }
}

fn leaf_of(term: usize, negated: bool) -> Ast {
    let (positive, under_not, is) = TERMS[term];
    let text = if negated { under_not } else { positive };
    // Terms of nominal things have to turn round under a negation.
    let turned = positive != under_not && negated;
    Ast::Leaf(text.to_string(), Box::new(move |p| is(p) != turned), positive.contains(" d "))
}

/// Every way of choosing four of the kinds of terms for the places of every shape, every group negated or not.
#[test]
fn all_matches_of_four_terms() {
    let (table, mut domain) = (symbols(), Domain::new());
    let mut n = 0;
    // How many groups a shape has, and places whose terms may be exchanged without a difference in meaning.
    let symmetry: [(u32, &[(usize, usize)]); 5] = [
        (1, &[(0, 1), (1, 2), (2, 3)]),
        (2, &[(0, 1), (1, 2)]),
        (3, &[(0, 1), (2, 3)]),
        (2, &[(0, 1), (2, 3)]),
        (3, &[(0, 1)]),
    ];
    for (shape, (groups, exchangeable)) in SHAPES.iter().zip(symmetry) {
        for places in 0..TERMS.len().pow(4) {
            let terms = [0, 1, 2, 3].map(|i| places / TERMS.len().pow(i) % TERMS.len());
            if (0..4).any(|i| terms[..i].contains(&terms[i])) || exchangeable.iter().any(|(a, b)| terms[*a] > terms[*b])
            {
                continue;
            }
            // All combinations of signs would be too many; they take turns.
            n += 1;
            let (and, mut not) = (n % 2 == 0, n / 2 % (1 << groups));
            let ast = build(shape, and, false, &mut not, &mut |place, negated| leaf_of(terms[place], negated));
            domain.check(&ast, &table);
        }
    }
    assert_eq!(n, 126 + 504 + 756 + 756 + 1512);
}

/// Random terms, with all operators, sets and masks, in the same shapes.
#[test]
fn random_matches_of_four_terms() {
    let (table, mut domain) = (symbols(), Domain::new());
    for seed in 1..3000u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let shape = SHAPES[seed as usize % SHAPES.len()];
        let (and, mut not) = (random.one_in(2), random.below(8) as u32);
        let ast = build(shape, and, false, &mut not, &mut |_, negated| random_leaf(&mut random, negated));
        domain.check(&ast, &table);
    }
}

/// Conjunctive flows whose matches coincide merge; the merged flow is in both conjunctions.
#[test]
fn rebased_conjunctions_accept_the_same() {
    let table = symbols();
    let text = "(a == {1, 2} && s == {\"p1\", \"p2\"}) || (a == {1, 3} && s == {\"p1\", \"p2\"} && c == 1)";
    let mut matches = to_matches(Expr::parse(text, &table, &NoSets).unwrap());
    assert_eq!(matches.n_conjunctions, 2);
    let before: Vec<bool> = packets().iter().map(|p| flows_accept(&matches, p)).collect();
    matches.rebase(1000);
    let ids: Vec<_> = matches.flows.iter().filter_map(|f| f.match_.get(Field::CONJ_ID)).map(|(id, _)| id).collect();
    assert_eq!(ids, [1000, 1001]);
    let after: Vec<bool> = packets().iter().map(|p| flows_accept(&matches, p)).collect();
    assert_eq!(before, after);
}

/// Sets of 200 random matches over the whole symbol table: the work is bounded, and hardly any is refused. It is counted in steps, which
/// take about 30 ns, since time says nothing on a busy machine; the example `random_rows` prints times.
/// `RANDOM_ROWS=FIRST..LAST` says which seeds.
#[test]
fn random_rows_take_bounded_work() {
    let seeds = std::env::var("RANDOM_ROWS").unwrap_or_else(|_| "17..19".to_string());
    let (first, last) = seeds.split_once("..").unwrap();
    let limits = Limits::default();
    for seed in first.parse::<u64>().unwrap()..last.parse().unwrap() {
        let (mut steps, mut refused) = (0, 0);
        for text in random_rows::rows(seed, 200, random_rows::Shape::default()) {
            let expr = Expr::parse(&text, SymbolTable::main(), &Sets).unwrap_or_else(|e| panic!("{text}: {e}"));
            let expr = expr.annotate().simplify().evaluate(&mut |port| port < "p4");
            match expr.normalize(limits) {
                Ok(normalized) => steps += normalized.steps(),
                Err(_) => (steps, refused) = (steps + limits.max_steps, refused + 1),
            }
        }
        assert!(steps < 40_000_000, "seed {seed}: {steps} steps");
        assert!(refused <= 16, "seed {seed}: {refused} of 200 refused");
    }
}

/// `!=` of large sets costs little more than reading them: about so many steps for each member.
#[test]
fn inequality_with_large_sets_takes_little_work() {
    let mut random = Random(7);
    let mut set = |n: usize, v6: bool, prefixes: bool| {
        let one = |_| {
            let (a, b) = (random.below(1 << 32), random.below(1 << 32));
            let length = if v6 { 32 + random.below(97) } else { 8 + random.below(25) };
            let mask = if prefixes { format!("/{length}") } else { String::new() };
            match v6 {
                true => format!("fd00::{:x}:{:x}:{:x}:{:x}{mask}", a >> 16, a & 0xffff, b >> 16, b & 0xffff),
                false => format!("{}.{}.{}.{}{mask}", 1 + a % 220, a >> 8 & 255, a >> 16 & 255, a >> 24),
            }
        };
        (0..n).map(one).collect::<Vec<_>>().join(", ")
    };
    let mut cases = Vec::new();
    for v6 in [false, true] {
        let (src, dst) = if v6 { ("ip6.src", "ip6.dst") } else { ("ip4.src", "ip4.dst") };
        for prefixes in [false, true] {
            let (a, b) = (set(500, v6, prefixes), set(500, v6, prefixes));
            cases.push((500, format!("{src} != {{{a}}}")));
            cases.push((500, format!("!({src} == {{{a}}})")));
            cases.push((500, format!("{{{a}}} != {src} && tcp")));
            cases.push((1000, format!("{src} != {{{a}}} && {dst} != {{{b}}}")));
            cases.push((1000, format!("{src} != {{{a}}} || {dst} != {{{b}}}")));
            cases.push((1000, format!("{src} != {{{a}}} && {src} != {{{b}}}")));
            cases.push((1000, format!("!({src} == {{{a}}} || {dst} == {{{b}}})")));
            cases.push((1000, format!("!({src} == {{{a}}} && {dst} == {{{b}}})")));
        }
    }
    for (members, text) in cases {
        let expr = Expr::parse(&text, SymbolTable::main(), &NoSets).unwrap().annotate().simplify();
        let (shown, bits) = (&text[..40], if text.contains("ip6") { 128 } else { 32 });
        let n = expr.normalize(Limits::default()).unwrap_or_else(|error| panic!("{shown}: {error}"));
        // Each member leaves a hole with as many sides as it has bits; the steps include those for the flows of these.
        assert!(n.steps() < members * bits * 10, "{shown}: {} steps", n.steps());
        assert!(n.alternatives().next().is_some_and(|factors| !factors.is_empty()), "{shown}");
    }
}

/// What ovn-controller does in reasonable time is not refused: large sets against each other, and products of some ten thousand flows.
#[test]
fn large_sets_and_moderate_products_are_translated() {
    let set = |n: u32, net: u32| {
        (0..n).map(|i| format!("{net}.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255)).collect::<Vec<_>>().join(", ")
    };
    let ports = |n: u32, first: u32| (first..first + n).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    for (text, flows) in [
        (format!("ip4.src == {{{}}} && ip4.dst == {{{}}}", set(10_000, 10), set(10_000, 11)), 20_001),
        (format!("ip4.src == {{{}}}", set(60_000, 10)), 60_000),
        (format!("ip4.src == {{{}}} && ip.proto == {{{}}}", set(200, 10), ports(200, 3)), 40_000),
        (format!("eth.type == {{{}}} && ip.proto == {{{}}}", ports(2, 2048), ports(200, 3)), 200),
    ] {
        let expr = Expr::parse(&text, SymbolTable::main(), &NoSets).unwrap().annotate().simplify();
        let matches = expr.normalize(Limits::default()).unwrap().to_matches(&mut |_| None).unwrap();
        assert_eq!(matches.flows.len(), flows, "{}", &text[..40]);
    }
}

#[test]
fn no_text_panics() {
    const WORDS: [&str; 52] = [
        "ip4",
        "ip6.src",
        "ip4.dst",
        "tcp",
        "tcp.dst",
        "inport",
        "eth.type",
        "eth.dst",
        "ct.est",
        "reg0",
        "xxreg1",
        "nd_ns",
        "!",
        "&&",
        "||",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "..",
        ",",
        ";",
        "=",
        "<->",
        "--",
        "-",
        ":",
        "0",
        "1",
        "7",
        "31",
        "128",
        "99999999999999999999",
        "0xff",
        "0/0xf",
        "10.0.0.1",
        "10.0.0.0/8",
        "::1/64",
        "ff:ff:ff:ff:ff:ff",
        "\"lp\"",
        "is_chassis_resident",
        "$as",
        "@pg",
        "^t",
    ];
    let table = SymbolTable::main();
    let check = |text: &str| {
        let _ = expand_templates(text, |_| Some("x"));
        let Ok(expr) = Expr::parse(text, table, &NoSets) else { return };
        let _ = expr.to_string();
        let expr = expr.annotate().simplify().evaluate(&mut |_| true);
        let limits = Limits { max_steps: 2000 };
        if let Ok(normalized) = expr.normalize(limits) {
            let _ = normalized.to_string();
            let _ = normalized.to_matches(&mut |_| Some(1));
        }
    };
    let mut random = Random(42);
    for _ in 0..60_000 {
        let n = 1 + random.below(9);
        let text = (0..n).map(|_| WORDS[random.below(52) as usize]).collect::<Vec<_>>();
        check(&text.join(if random.one_in(4) { "" } else { " " }));
    }
    for _ in 0..60_000 {
        let n = random.below(24);
        let bytes: Vec<u8> = (0..n).map(|_| random.below(256) as u8).collect();
        check(&String::from_utf8_lossy(&bytes));
        let ascii: String = (0..n).map(|_| char::from(b' ' + random.below(95) as u8)).collect();
        check(&ascii);
    }
}
