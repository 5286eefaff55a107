//! Random matches over the whole symbol table: two levels of AND and OR, negation, sets, ranges, strings, predicates, subfields,
//! address sets and port groups. Entry types: [`Shape`], [`rows`], [`Sets`].
//!
//! The same seed gives the same matches everywhere. Tests, benches and the example `random_rows` share this module.
#![allow(dead_code, reason = "each of the programs that share this module uses a part of it")]

use ovn_lang::{AddressSet, ConstantSets, Level, Symbol, SymbolKind, SymbolTable};
use std::fmt::Write as _;
use std::sync::Arc;

/// xorshift64*, so that a set of rows can be had again from its seed.
pub struct Random(u64);

impl Random {
    /// A generator for `seed`; any seed is good.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// A number from 0 to `n` - 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % n.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A number of `bits` bits. Small numbers and numbers with long runs of equal bits are as frequent as any.
    fn number(&mut self, bits: u32) -> u128 {
        let wide = |r: &mut Random| (0..4).fold(0u128, |v, _| v << 32 | u128::from(r.below(1 << 32)));
        let all = if bits >= 128 { u128::MAX } else { (1u128 << bits) - 1 };
        match self.below(4) {
            0 => u128::from(self.below(256)) & all,
            1 => (wide(self) >> self.below(128)) & all,
            _ => wide(self) & all,
        }
    }
}

/// How big the matches are.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Most members of an AND or OR.
    pub members: u64,
    /// Most constants of a set.
    pub constants: u64,
    /// Levels of AND and OR.
    pub levels: u32,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { members: 4, constants: 6, levels: 2 }
    }
}

/// `n` matches from `seed`.
pub fn rows(seed: u64, n: usize, shape: Shape) -> Vec<String> {
    let mut symbols: Vec<&'static Symbol> = SymbolTable::main().iter().collect();
    symbols.retain(|symbol| !matches!(symbol.kind, SymbolKind::Ovn(_)));
    symbols.sort_by_key(|symbol| symbol.name);
    let mut generator = Generator { random: Random::new(seed), symbols, shape };
    (0..n)
        .map(|_| {
            let mut out = String::new();
            let and = generator.random.one_in(2);
            generator.combination(and, shape.levels, false, &mut out);
            out
        })
        .collect()
}

struct Generator {
    random: Random,
    symbols: Vec<&'static Symbol>,
    shape: Shape,
}

impl Generator {
    /// An AND or an OR; its members are of the other kind, or leaves.
    fn combination(&mut self, and: bool, levels: u32, negated: bool, out: &mut String) {
        let members = 2 + self.random.below(self.shape.members - 1);
        for i in 0..members {
            if i > 0 {
                out.push_str(if and { " && " } else { " || " });
            }
            if levels == 1 || self.random.one_in(3) {
                self.leaf(negated, out);
                continue;
            }
            let not = self.random.one_in(4);
            out.push_str(if not { "!(" } else { "(" });
            // Under a negation AND and OR change places.
            self.combination(and == not, levels - 1, negated != not, out);
            out.push(')');
        }
    }

    fn leaf(&mut self, negated: bool, out: &mut String) {
        if self.random.one_in(40) {
            let port = self.random.below(8);
            let _ = write!(out, "is_chassis_resident(\"p{port}\")");
            return;
        }
        let symbol = self.symbols[self.random.below(self.symbols.len() as u64) as usize];
        if symbol.is_predicate() {
            return self.predicate(symbol, negated, out);
        }
        let equality = if negated { "!=" } else { "==" };
        if symbol.is_string() {
            let _ = write!(out, "{} {equality} ", symbol.name);
            return match self.random.below(3) {
                0 => {
                    let _ = write!(out, "\"p{}\"", self.random.below(12));
                }
                1 => {
                    let _ = write!(out, "@pg{}", self.random.below(3));
                }
                _ => self.set(out, &mut |g, out| {
                    let _ = write!(out, "\"p{}\"", g.random.below(12));
                }),
            };
        }
        let (field, bits) = self.bits_of(symbol);
        if symbol.level == Level::Nominal {
            let _ = write!(out, "{field} {equality} ");
            return match self.random.below(2) {
                0 => self.constant(symbol, bits, out),
                _ => self.set(out, &mut |g, out| g.constant(symbol, bits, out)),
            };
        }
        self.comparison(symbol, &field, bits, out);
    }

    fn predicate(&mut self, symbol: &Symbol, negated: bool, out: &mut String) {
        let not = if symbol.level == Level::Nominal { negated } else { self.random.one_in(2) };
        out.push_str(if not { "!" } else { "" });
        out.push_str(symbol.name);
    }

    /// All of an ordinal field, or some bits of it.
    fn bits_of(&mut self, symbol: &Symbol) -> (String, u32) {
        let width = u32::from(symbol.width);
        if symbol.level == Level::Nominal || !self.random.one_in(4) {
            return (symbol.name.to_string(), width);
        }
        let low = self.random.below(u64::from(width)) as u32;
        let high = low + self.random.below(u64::from(width - low)) as u32;
        let text =
            if low == high { format!("{}[{low}]", symbol.name) } else { format!("{}[{low}..{high}]", symbol.name) };
        (text, high - low + 1)
    }

    /// A comparison of an ordinal field.
    fn comparison(&mut self, symbol: &Symbol, field: &str, bits: u32, out: &mut String) {
        let equality = if self.random.one_in(2) { "==" } else { "!=" };
        let whole = bits == u32::from(symbol.width);
        match self.random.below(8) {
            0 | 1 => {
                let _ = write!(out, "{field} {equality} ");
                self.constant(symbol, bits, out);
            }
            2 => {
                let (value, mask) = (self.random.number(bits), self.random.number(bits).max(1));
                let _ = write!(out, "{field} {equality} {value:#x}/{mask:#x}");
            }
            3 | 4 => {
                let _ = write!(out, "{field} {equality} ");
                self.set(out, &mut |g, out| g.constant(symbol, bits, out));
            }
            5 => {
                let (a, b) = (self.random.number(bits), self.random.number(bits));
                let (low, high) = (a.min(b), a.max(b));
                let (first, second) = (self.random.one_in(2), self.random.one_in(2));
                let relop = |equal| if equal { "<=" } else { "<" };
                let _ = write!(out, "{low:#x} {} {field} {} {high:#x}", relop(first), relop(second));
            }
            6 if whole => match address_set(symbol) {
                Some(kind) => {
                    let _ = write!(out, "{field} {equality} ${kind}{}", self.random.below(3));
                }
                None => self.ordering(field, bits, out),
            },
            _ => self.ordering(field, bits, out),
        }
    }

    fn ordering(&mut self, field: &str, bits: u32, out: &mut String) {
        let relop = ["<", "<=", ">", ">="][self.random.below(4) as usize];
        let value = self.random.number(bits);
        let _ = write!(out, "{field} {relop} {value:#x}");
    }

    fn set(&mut self, out: &mut String, one: &mut dyn FnMut(&mut Generator, &mut String)) {
        out.push('{');
        for i in 0..1 + self.random.below(self.shape.constants) {
            out.push_str(if i > 0 { ", " } else { "" });
            one(self, out);
        }
        out.push('}');
    }

    fn constant(&mut self, symbol: &Symbol, bits: u32, out: &mut String) {
        let value = self.random.number(bits);
        let cidr = self.random.one_in(3);
        let _ = match (address_set(symbol), bits) {
            // Addresses that are near each other, and networks that contain some of them.
            (Some("v4_"), 32) => {
                let prefix = if cidr { format!("/{}", 8 + self.random.below(25)) } else { String::new() };
                write!(out, "10.{}.{}.{}{prefix}", value & 3, value >> 2 & 15, value >> 6 & 255)
            }
            (Some("v6_"), 128) => {
                let prefix = if cidr { format!("/{}", 32 + self.random.below(97)) } else { String::new() };
                write!(out, "fd00::{:x}:{:x}{prefix}", value & 15, value >> 4 & 255)
            }
            (Some("mac"), 48) => write!(out, "0a:00:00:00:{:02x}:{:02x}", value & 15, value >> 4 & 255),
            _ => write!(out, "{value:#x}"),
        };
    }
}

/// The kind of address that a field holds.
fn address_set(symbol: &Symbol) -> Option<&'static str> {
    match symbol.name {
        "ip4.src" | "ip4.dst" | "arp.spa" | "arp.tpa" | "rarp.spa" | "rarp.tpa" => Some("v4_"),
        "ip6.src" | "ip6.dst" | "nd.target" => Some("v6_"),
        name if name.starts_with("eth.") && symbol.width == 48 => Some("mac"),
        "arp.sha" | "arp.tha" | "rarp.sha" | "rarp.tha" | "nd.sll" | "nd.tll" => Some("mac"),
        _ => None,
    }
}

/// The named sets that the matches refer to.
pub struct Sets;

impl Sets {
    /// Name and members of every address set.
    pub fn addresses() -> Vec<(String, Vec<String>)> {
        let mut sets = Vec::new();
        for (size, n) in [(2u32, 0), (12, 1), (60, 2)] {
            sets.push((format!("v4_{n}"), (0..size).map(|i| format!("10.0.{}.{}", i % 7, i * 3 % 256)).collect()));
            sets.push((format!("v6_{n}"), (0..size).map(|i| format!("fd00::{:x}:{:x}", i % 7, i * 3)).collect()));
            sets.push((format!("mac{n}"), (0..size).map(|i| format!("0a:00:00:00:{:02x}:{:02x}", i % 7, i)).collect()));
        }
        sets
    }

    /// Name and ports of every port group.
    pub fn groups() -> Vec<(String, Vec<String>)> {
        [0, 2, 10]
            .iter()
            .zip(0..)
            .map(|(size, n)| (format!("pg{n}"), (0..*size).map(|i| format!("p{i}")).collect()))
            .collect()
    }

    /// The key of a port; there are ten.
    pub fn port_key(name: &str) -> Option<u32> {
        name.strip_prefix('p')?.parse().ok().filter(|n| *n < 10).map(|n: u32| n + 1)
    }
}

/// A Southbound with one switch that has the ports, sets and groups, and a logical flow for each match, as
/// `ovsdb-client -f json dump` prints it; and the local database of its hypervisor.
pub fn databases(matches: &[String]) -> (String, String) {
    let uuid = |kind: u32, n: usize| format!(r#"["uuid","{kind:04x}{n:04x}-0000-4000-8000-{n:012x}"]"#);
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let list = |members: &[String]| {
        let members: Vec<String> = members.iter().map(|member| quoted(member)).collect();
        format!(r#"["set",[{}]]"#, members.join(","))
    };
    let table = |out: &mut String, name: &str, columns: &[&str], rows: Vec<String>| {
        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let (rows, columns) = (rows.join(","), columns.join(","));
        let _ = writeln!(out, r#"{{"caption":"{name} table","data":[{rows}],"headings":[{columns}]}}"#);
    };
    let mut sb = String::new();
    let (chassis, encap, datapath) = (uuid(1, 0), uuid(2, 0), uuid(3, 0));
    table(&mut sb, "Chassis", &["_uuid", "name", "encaps"], vec![format!(r#"[{chassis},"hv1",{encap}]"#)]);
    let row = format!(r#"[{encap},"hv1","192.0.2.1","geneve"]"#);
    table(&mut sb, "Encap", &["_uuid", "chassis_name", "ip", "type"], vec![row]);
    let row = format!(r#"[{datapath},1,["map",[["logical-switch","sw"],["name","sw"]]]]"#);
    table(&mut sb, "Datapath_Binding", &["_uuid", "tunnel_key", "external_ids"], vec![row]);
    let ports = (0..10).map(|n| format!(r#"[{},"p{n}",{datapath},{},{chassis}]"#, uuid(4, n), n + 1)).collect();
    table(&mut sb, "Port_Binding", &["_uuid", "logical_port", "datapath", "tunnel_key", "chassis"], ports);
    let sets = Sets::addresses().into_iter().zip(0..);
    let sets = sets.map(|((name, members), n)| format!(r#"[{},"{name}",{}]"#, uuid(5, n), list(&members))).collect();
    table(&mut sb, "Address_Set", &["_uuid", "name", "addresses"], sets);
    let groups = Sets::groups().into_iter().zip(0..);
    let groups = groups.map(|((name, ports), n)| format!(r#"[{},"1_{name}",{}]"#, uuid(6, n), list(&ports))).collect();
    table(&mut sb, "Port_Group", &["_uuid", "name", "ports"], groups);
    let flow = |(n, text): (usize, &String)| {
        format!(r#"[{},{datapath},"ingress",{},{n},{},"next;"]"#, uuid(7, n), n % 30, quoted(text))
    };
    let columns = ["_uuid", "logical_datapath", "pipeline", "table_id", "priority", "match", "actions"];
    table(&mut sb, "Logical_Flow", &columns, matches.iter().enumerate().map(|(n, text)| flow((n, text))).collect());

    let mut local = String::new();
    let (bridge, map) =
        (uuid(20, 0), r#"["map",[["system-id","hv1"],["ovn-encap-type","geneve"],["ovn-encap-ip","192.0.2.1"]]]"#);
    table(
        &mut local,
        "Open_vSwitch",
        &["_uuid", "bridges", "external_ids"],
        vec![format!("[{},{bridge},{map}]", uuid(21, 0))],
    );
    let ports = (0..10).map(|n| format!(r#"[{},"vif{n}",{}]"#, uuid(22, n), uuid(23, n))).collect();
    table(&mut local, "Port", &["_uuid", "name", "interfaces"], ports);
    let interface = |n| format!(r#"[{},"vif{n}","",{},["map",[["iface-id","p{n}"]]]]"#, uuid(23, n), n + 1);
    table(
        &mut local,
        "Interface",
        &["_uuid", "name", "type", "ofport", "external_ids"],
        (0..10).map(interface).collect(),
    );
    let ports: Vec<String> = (0..10).map(|n| uuid(22, n)).collect();
    let row = format!(r#"[{bridge},"br-int",["set",[{}]]]"#, ports.join(","));
    table(&mut local, "Bridge", &["_uuid", "name", "ports"], vec![row]);
    (sb, local)
}

impl ConstantSets for Sets {
    fn address_set(&self, name: &str) -> Option<Arc<AddressSet>> {
        let (_, members) = Sets::addresses().into_iter().find(|(n, _)| n == name)?;
        Some(Arc::new(AddressSet::parse(members.iter().map(String::as_str)).0))
    }

    fn port_group(&self, name: &str) -> Option<Arc<[Arc<str>]>> {
        let (_, ports) = Sets::groups().into_iter().find(|(n, _)| n == name)?;
        Some(ports.into_iter().map(Arc::from).collect())
    }
}
