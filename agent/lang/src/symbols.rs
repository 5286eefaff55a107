//! The symbols that matches and actions may name. Entry types: [`SymbolTable`] and [`Symbol`].
//!
//! The tables are those of `ovn_init_symtab` and `ovn_init_acl_ct_symtab` (OVN v26.03.1). Prerequisites and predicates are parsed
//! and annotated once, when a table is built, and symbols live as long as the process, so expressions just point at them.

use crate::{Error, Expr, FieldRef, Lexer, NoSets, Token};
use ofproto_client::Field;
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::OnceLock;

/// Level of measurement: what a symbol may be compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Level {
    /// Only equality.
    Nominal,
    /// True or false, may be negated.
    Boolean,
    /// Equality and order.
    Ordinal,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Nominal => "nominal",
            Level::Boolean => "Boolean",
            Level::Ordinal => "ordinal",
        })
    }
}

/// Contexts in which a symbol may be written, as a set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct WriteScope(u8);

impl WriteScope {
    /// Nowhere.
    pub const NONE: WriteScope = WriteScope(0);
    /// Ordinary actions.
    pub const DEFAULT: WriteScope = WriteScope(1);
    /// Actions inside `ct_commit { }`.
    pub const CT_COMMIT: WriteScope = WriteScope(2);
    /// Everywhere.
    pub const ALL: WriteScope = WriteScope(3);

    /// Whether the two sets have a context in common.
    pub fn intersects(self, other: WriteScope) -> bool {
        self.0 & other.0 != 0
    }
}

/// A field that only OVN knows; it exists as the destination of a load inside ICMP error actions.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum OvnField {
    /// `icmp4.frag_mtu`, 16 bits.
    Icmp4FragMtu,
    /// `icmp6.frag_mtu`, 32 bits.
    Icmp6FragMtu,
}

/// What is behind a symbol.
#[derive(Clone, PartialEq)]
pub enum SymbolKind {
    /// A numeric field.
    Field(Field),
    /// A field whose numbers are written as port names.
    String(Field),
    /// Some bits of another symbol, from bit `ofs` up.
    Subfield {
        /// The other symbol.
        parent: &'static Symbol,
        /// Lowest bit.
        ofs: u16,
    },
    /// An abbreviation of an expression, held annotated.
    Predicate(Expr),
    /// A pseudo field.
    Ovn(OvnField),
}

/// A name that matches and actions may use.
pub struct Symbol {
    /// The name.
    pub name: &'static str,
    /// Width in bits; 0 for string fields, 1 for predicates.
    pub width: u16,
    /// What is behind it.
    pub kind: SymbolKind,
    /// What it may be compared with.
    pub level: Level,
    /// What must hold for the symbol to be meaningful, annotated.
    pub prereqs: Option<Expr>,
    /// Whether a disjunction over this symbol is multiplied out instead of becoming a conjunction clause, because other fields
    /// of the flow have it as an OpenFlow prerequisite.
    pub must_crossproduct: bool,
    /// Where it may be written.
    pub write: WriteScope,
}

impl Symbol {
    /// For a subfield, the symbol that it is a part of and the lowest bit in it.
    pub fn parent(&self) -> Option<(&'static Symbol, u16)> {
        match self.kind {
            SymbolKind::Subfield { parent, ofs } => Some((parent, ofs)),
            _ => None,
        }
    }

    /// The OpenFlow field, for symbols that stand for a whole field.
    pub fn field(&self) -> Option<Field> {
        match self.kind {
            SymbolKind::Field(field) | SymbolKind::String(field) => Some(field),
            _ => None,
        }
    }

    /// Whether this is an abbreviation of an expression.
    pub fn is_predicate(&self) -> bool {
        matches!(self.kind, SymbolKind::Predicate(_))
    }

    /// Whether this is a string field.
    pub fn is_string(&self) -> bool {
        self.width == 0
    }
}

impl PartialEq for Symbol {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for SymbolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SymbolKind::Field(_) => f.write_str("field"),
            SymbolKind::String(_) => f.write_str("string field"),
            SymbolKind::Subfield { parent, ofs } => write!(f, "subfield of {} at {ofs}", parent.name),
            SymbolKind::Predicate(expansion) => write!(f, "predicate {expansion}"),
            SymbolKind::Ovn(field) => write!(f, "{field:?}"),
        }
    }
}

/// Symbols by name. Tables are built once and never freed.
#[derive(Clone, Default)]
pub struct SymbolTable {
    by_name: FxHashMap<&'static str, &'static Symbol>,
}

impl SymbolTable {
    /// The table for matches and actions.
    pub fn main() -> &'static SymbolTable {
        static TABLE: OnceLock<SymbolTable> = OnceLock::new();
        TABLE.get_or_init(|| {
            let mut table = SymbolTable::default();
            if let Err(error) = table.define_main() {
                unreachable!("built-in symbols: {error}");
            }
            table
        })
    }

    /// The table for matches of logical flows with the tag `acl_ct_translation`: L4 ports are those of the conntrack entry's
    /// original direction, which exist for every fragment. Symbols that mean the same in both tables are the same symbols.
    pub fn acl_ct() -> &'static SymbolTable {
        static TABLE: OnceLock<SymbolTable> = OnceLock::new();
        TABLE.get_or_init(|| {
            let mut table = SymbolTable::main().clone();
            if let Err(error) = table.define_acl_ct() {
                unreachable!("built-in symbols: {error}");
            }
            table
        })
    }

    /// Looks up a name.
    pub fn find(&self, name: &str) -> Option<&'static Symbol> {
        self.by_name.get(name).copied()
    }

    /// All symbols, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &'static Symbol> + '_ {
        self.by_name.values().copied()
    }

    fn insert(&mut self, symbol: Symbol) -> &'static Symbol {
        // A table is built once per process and expressions point into it for the rest of its life.
        let symbol: &'static Symbol = Box::leak(Box::new(symbol));
        self.by_name.insert(symbol.name, symbol);
        symbol
    }

    fn parse_prereqs(&self, prereqs: &str) -> Result<Option<Expr>, Error> {
        if prereqs.is_empty() {
            return Ok(None);
        }
        Ok(Some(Expr::parse(prereqs, self, &NoSets)?.annotate()))
    }

    /// Adds a numeric field that may be written in `scope` if Open vSwitch lets it be written at all.
    pub fn add_field(
        &mut self,
        name: &'static str,
        field: Field,
        prereqs: &str,
        must_crossproduct: bool,
        scope: WriteScope,
    ) -> Result<&'static Symbol, Error> {
        let prereqs = self.parse_prereqs(prereqs)?;
        Ok(self.insert(Symbol {
            name,
            width: field.n_bits(),
            kind: SymbolKind::Field(field),
            level: if field.is_maskable() { Level::Ordinal } else { Level::Nominal },
            prereqs,
            must_crossproduct,
            write: if field.is_writable() { scope } else { WriteScope::NONE },
        }))
    }

    /// Adds a string field.
    pub fn add_string(&mut self, name: &'static str, field: Field) -> &'static Symbol {
        self.insert(Symbol {
            name,
            width: 0,
            kind: SymbolKind::String(field),
            level: Level::Nominal,
            prereqs: None,
            must_crossproduct: false,
            write: if field.is_writable() { WriteScope::DEFAULT } else { WriteScope::NONE },
        })
    }

    /// Adds a name for `bits`, written like `vlan.tci[0..11]`.
    pub fn add_subfield(
        &mut self,
        name: &'static str,
        prereqs: &str,
        bits: &str,
        scope: WriteScope,
    ) -> Result<&'static Symbol, Error> {
        let prereqs = self.parse_prereqs(prereqs)?;
        let mut lexer = Lexer::new(bits);
        let field = FieldRef::parse(&mut lexer, self)?;
        lexer.force_end()?;
        let parent = field.symbol;
        Ok(self.insert(Symbol {
            name,
            width: field.n_bits,
            kind: SymbolKind::Subfield { parent, ofs: field.ofs },
            level: parent.level,
            prereqs,
            must_crossproduct: false,
            write: if parent.write == WriteScope::NONE { WriteScope::NONE } else { scope },
        }))
    }

    /// Adds an abbreviation of an expression. It may only use symbols that are there already, so there are no cycles.
    pub fn add_predicate(&mut self, name: &'static str, expansion: &str) -> Result<&'static Symbol, Error> {
        let expr = Expr::parse(expansion, self, &NoSets).map_err(|error| {
            let own = expansion.get(error.offset..).is_some_and(|rest| *Lexer::new(rest).token() == Token::Id(name));
            match own && self.find(name).is_none() {
                true => Error::new(error.offset, format!("Recursive expansion of symbol `{name}'.")),
                false => error,
            }
        })?;
        let level = expr.level();
        Ok(self.insert(Symbol {
            name,
            width: 1,
            kind: SymbolKind::Predicate(expr.annotate()),
            level,
            prereqs: None,
            must_crossproduct: false,
            write: WriteScope::NONE,
        }))
    }

    fn add_ovn_field(&mut self, name: &'static str, field: OvnField, width: u16) {
        self.insert(Symbol {
            name,
            width,
            kind: SymbolKind::Ovn(field),
            level: Level::Nominal,
            prereqs: None,
            must_crossproduct: false,
            write: WriteScope::ALL,
        });
    }

    fn add_predicates(&mut self, predicates: &[(&'static str, &str)]) -> Result<(), Error> {
        predicates.iter().try_for_each(|(name, expansion)| self.add_predicate(name, expansion).map(drop))
    }

    fn add_subfields(&mut self, scope: WriteScope, subfields: &[(&'static str, &str)]) -> Result<(), Error> {
        subfields.iter().try_for_each(|(name, bits)| self.add_subfield(name, "", bits, scope).map(drop))
    }

    /// Fields with prerequisites, writable in ordinary actions; the last member is "must be multiplied out".
    fn add_fields(&mut self, fields: &[(&'static str, Field, &str, bool)]) -> Result<(), Error> {
        fields.iter().try_for_each(|&(name, field, prereqs, cross)| {
            self.add_field(name, field, prereqs, cross, WriteScope::DEFAULT).map(drop)
        })
    }

    fn define_main(&mut self) -> Result<(), Error> {
        self.define_ports_and_registers()?;
        self.define_conntrack()?;
        self.define_link_layer()?;
        self.define_ipv4()?;
        self.define_ipv6()?;
        self.define_arp()?;
        self.define_neighbor_discovery()?;
        self.define_transport()?;
        self.add_ovn_field("icmp4.frag_mtu", OvnField::Icmp4FragMtu, 16);
        self.add_ovn_field("icmp6.frag_mtu", OvnField::Icmp6FragMtu, 32);
        Ok(())
    }

    /// Overlapping registers are subfields of the widest one, so that comparisons of different views combine.
    fn define_ports_and_registers(&mut self) -> Result<(), Error> {
        self.add_string("inport", Field::reg(14));
        self.add_string("outport", Field::reg(15));
        self.add_string("remote_outport", Field::reg(1));
        self.add_fields(&[
            ("__inport", Field::reg(14), "", false),
            ("__outport", Field::reg(15), "", false),
            ("xxreg0", Field::xxreg(0), "", false),
            ("xxreg1", Field::xxreg(1), "", false),
            ("xreg4", Field::xreg(4), "", false),
            ("flags", Field::reg(10), "", false),
        ])?;
        // Bit 31 of a port key says that it stands for an EVPN tunnel endpoint.
        self.add_predicates(&[("from_evpn_vtep", "__inport[31]"), ("to_evpn_vtep", "__outport[31]")])?;
        self.add_subfields(
            WriteScope::DEFAULT,
            &[
                ("xreg0", "xxreg0[64..127]"),
                ("xreg1", "xxreg0[0..63]"),
                ("xreg2", "xxreg1[64..127]"),
                ("xreg3", "xxreg1[0..63]"),
                ("reg0", "xxreg0[96..127]"),
                ("reg1", "xxreg0[64..95]"),
                ("reg2", "xxreg0[32..63]"),
                ("reg3", "xxreg0[0..31]"),
                ("reg4", "xxreg1[96..127]"),
                ("reg5", "xxreg1[64..95]"),
                ("reg6", "xxreg1[32..63]"),
                ("reg7", "xxreg1[0..31]"),
                ("reg8", "xreg4[32..63]"),
                ("reg9", "xreg4[0..31]"),
                ("flags.loopback", "flags[0]"),
                ("flags.force_snat_for_dnat", "flags[2]"),
                ("flags.force_snat_for_lb", "flags[3]"),
                ("flags.skip_snat_for_lb", "flags[9]"),
                ("flags.use_snat_zone", "flags[11]"),
                ("flags.localnet", "flags[15]"),
                ("flags.tunnel_rx", "flags[16]"),
                ("flags.icmp_snat", "flags[17]"),
                ("flags.from_ctrl", "flags[19]"),
                ("flags.unsnat_new", "flags[20]"),
                ("flags.unsnat_not_tracked", "flags[21]"),
                ("flags.igmp_loopback", "flags[22]"),
                ("flags.pkt_sampled", "flags[23]"),
                ("flags.network_id", "flags[28..31]"),
            ],
        )
    }

    fn define_conntrack(&mut self) -> Result<(), Error> {
        self.add_field("ct_mark", Field::CT_MARK, "", false, WriteScope::CT_COMMIT)?;
        self.add_field("ct_label", Field::CT_LABEL, "", false, WriteScope::CT_COMMIT)?;
        self.add_field("ct_state", Field::CT_STATE, "", false, WriteScope::DEFAULT)?;
        self.add_subfields(
            WriteScope::CT_COMMIT,
            &[
                ("ct_mark.blocked", "ct_mark[0]"),
                ("ct_mark.natted", "ct_mark[1]"),
                ("ct_mark.skip_snat", "ct_mark[2]"),
                ("ct_mark.force_snat", "ct_mark[3]"),
                ("ct_mark.obs_stage", "ct_mark[4..5]"),
                ("ct_mark.allow_established", "ct_mark[6]"),
                ("ct_mark.ecmp_reply_port", "ct_mark[16..31]"),
                ("ct_mark.obs_collector_id", "ct_mark[16..23]"),
                ("ct_label.nf", "ct_label[7]"),
                ("ct_label.tun_if", "ct_label[8]"),
                ("ct_label.nf_id", "ct_label[17..24]"),
                ("ct_label.ecmp_reply_eth", "ct_label[32..79]"),
                ("ct_label.acl_id", "ct_label[80..95]"),
                ("ct_label.tun_if_id", "ct_label[80..95]"),
                ("ct_label.label", "ct_label[96..127]"),
                ("ct_label.obs_point_id", "ct_label[96..127]"),
                ("ct_label.obs_unused", "ct_label[0..95]"),
            ],
        )?;
        self.add_subfield("ct.trk", "", "ct_state[5]", WriteScope::DEFAULT)?;
        for (name, bits) in [
            ("ct.new", "ct_state[0]"),
            ("ct.est", "ct_state[1]"),
            ("ct.rel", "ct_state[2]"),
            ("ct.rpl", "ct_state[3]"),
            ("ct.inv", "ct_state[4]"),
            ("ct.snat", "ct_state[6]"),
            ("ct.dnat", "ct_state[7]"),
        ] {
            self.add_subfield(name, "ct.trk", bits, WriteScope::DEFAULT)?;
        }
        Ok(())
    }

    fn define_link_layer(&mut self) -> Result<(), Error> {
        self.add_fields(&[
            ("eth.src", Field::ETH_SRC, "", false),
            ("eth.dst", Field::ETH_DST, "", false),
            ("eth.type", Field::ETH_TYPE, "", true),
            ("vlan.tci", Field::VLAN_TCI, "", false),
            ("pkt.mark", Field::PKT_MARK, "", false),
        ])?;
        self.add_predicates(&[
            ("eth.bcast", "eth.dst == ff:ff:ff:ff:ff:ff"),
            ("eth.mcastv6", "eth.dst[32..47] == 0x3333"),
            ("vlan.present", "vlan.tci[12]"),
        ])?;
        self.add_subfield("eth.mcast", "", "eth.dst[40]", WriteScope::DEFAULT)?;
        self.add_subfield("vlan.pcp", "vlan.present", "vlan.tci[13..15]", WriteScope::DEFAULT)?;
        self.add_subfield("vlan.vid", "vlan.present", "vlan.tci[0..11]", WriteScope::DEFAULT)?;
        Ok(())
    }

    fn define_ipv4(&mut self) -> Result<(), Error> {
        self.add_predicates(&[("ip4", "eth.type == 0x800"), ("ip6", "eth.type == 0x86dd"), ("ip", "ip4 || ip6")])?;
        self.add_fields(&[
            ("ip.proto", Field::IP_PROTO, "ip", true),
            ("ip.dscp", Field::IP_DSCP, "ip", false),
            ("ip.ecn", Field::IP_ECN, "ip", false),
            ("ip.ttl", Field::IP_TTL, "ip", false),
            ("ip.frag", Field::IP_FRAG, "ip", false),
            ("ip4.src", Field::IPV4_SRC, "ip4", false),
            ("ip4.dst", Field::IPV4_DST, "ip4", false),
        ])?;
        self.add_predicates(&[
            ("ip.is_frag", "ip.frag[0]"),
            ("ip.later_frag", "ip.frag[1]"),
            ("ip.first_frag", "ip.is_frag && !ip.later_frag"),
            ("ip4.src_mcast", "ip4.src[28..31] == 0xe"),
            ("ip4.mcast", "eth.mcast && ip4.dst[28..31] == 0xe"),
            ("icmp4", "ip4 && ip.proto == 1"),
            ("igmp", "ip4.mcast && ip.proto == 2"),
        ])?;
        self.add_fields(&[
            ("icmp4.type", Field::ICMPV4_TYPE, "icmp4", false),
            ("icmp4.code", Field::ICMPV4_CODE, "icmp4", false),
        ])
    }

    fn define_ipv6(&mut self) -> Result<(), Error> {
        self.add_fields(&[
            ("ip6.src", Field::IPV6_SRC, "ip6", false),
            ("ip6.dst", Field::IPV6_DST, "ip6", false),
            ("ip6.label", Field::IPV6_LABEL, "ip6", false),
        ])?;
        self.add_predicates(&[
            (
                "ip6.mcast_rsvd",
                "ip6.dst == {ff00::, ff01::, ff02::, ff03::, ff04::, ff05::, ff06::, ff07::, \
                             ff08::, ff09::, ff0a::, ff0b::, ff0c::, ff0d::, ff0e::, ff0f::}",
            ),
            ("ip6.mcast_all_nodes", "ip6.dst == {ff01::1, ff02::1}"),
            ("ip6.mcast_all_rtrs", "ip6.dst == {ff01::2, ff02::2, ff05::2}"),
            ("ip6.mcast_sol_node", "ip6.dst == ff02::1:ff00:0/104"),
            (
                "ip6.mcast_flood",
                "eth.mcastv6 && (ip6.mcast_rsvd || ip6.mcast_all_nodes || ip6.mcast_all_rtrs || ip6.mcast_sol_node)",
            ),
            ("ip6.mcast", "eth.mcastv6 && ip6.dst[120..127] == 0xff"),
            ("icmp6", "ip6 && ip.proto == 58"),
            ("icmp", "icmp4 || icmp6"),
        ])?;
        self.add_fields(&[
            ("icmp6.type", Field::ICMPV6_TYPE, "icmp6", true),
            ("icmp6.code", Field::ICMPV6_CODE, "icmp6", true),
        ])
    }

    /// RARP packets have the layout of ARP packets, and Open vSwitch has one set of fields for both.
    fn define_arp(&mut self) -> Result<(), Error> {
        self.add_predicates(&[("arp", "eth.type == 0x806"), ("rarp", "eth.type == 0x8035")])?;
        self.add_fields(&[
            ("arp.op", Field::ARP_OP, "arp", false),
            ("arp.spa", Field::ARP_SPA, "arp", false),
            ("arp.sha", Field::ARP_SHA, "arp", false),
            ("arp.tpa", Field::ARP_TPA, "arp", false),
            ("arp.tha", Field::ARP_THA, "arp", false),
            ("rarp.op", Field::ARP_OP, "rarp", false),
            ("rarp.spa", Field::ARP_SPA, "rarp", false),
            ("rarp.sha", Field::ARP_SHA, "rarp", false),
            ("rarp.tpa", Field::ARP_TPA, "rarp", false),
            ("rarp.tha", Field::ARP_THA, "rarp", false),
        ])
    }

    fn define_neighbor_discovery(&mut self) -> Result<(), Error> {
        self.add_predicates(&[
            ("nd", "icmp6.type == {135, 136} && icmp6.code == 0 && ip.ttl == 255"),
            ("nd_ns", "icmp6.type == 135 && icmp6.code == 0 && ip.ttl == 255"),
            ("nd_ns_mcast", "ip6.mcast && icmp6.type == 135 && icmp6.code == 0 && ip.ttl == 255"),
            ("nd_na", "icmp6.type == 136 && icmp6.code == 0 && ip.ttl == 255"),
            ("nd_rs", "icmp6.type == 133 && icmp6.code == 0 && ip.ttl == 255"),
            ("nd_ra", "icmp6.type == 134 && icmp6.code == 0 && ip.ttl == 255"),
            // RFC 2710 and RFC 3810: MLDv1 has link-local sources, MLDv2 reports go to ff02::16.
            ("mldv1", "eth.mcastv6 && ip6.src == fe80::/10 && icmp6.type == {130, 131, 132}"),
            ("mldv2", "eth.mcastv6 && ip6.dst == ff02::16 && icmp6.type == 143"),
        ])?;
        self.add_fields(&[
            ("nd.target", Field::ND_TARGET, "nd", false),
            ("nd.sll", Field::ND_SLL, "nd_ns", false),
            ("nd.tll", Field::ND_TLL, "nd_na", false),
        ])
    }

    fn define_transport(&mut self) -> Result<(), Error> {
        self.add_predicates(&[("tcp", "ip.proto == 6"), ("udp", "ip.proto == 17"), ("sctp", "ip.proto == 132")])?;
        self.add_fields(&[
            ("tcp.src", Field::TCP_SRC, "tcp", false),
            ("tcp.dst", Field::TCP_DST, "tcp", false),
            ("tcp.flags", Field::TCP_FLAGS, "tcp", false),
            ("udp.src", Field::UDP_SRC, "udp", false),
            ("udp.dst", Field::UDP_DST, "udp", false),
            ("sctp.src", Field::SCTP_SRC, "sctp", false),
            ("sctp.dst", Field::SCTP_DST, "sctp", false),
        ])
    }

    fn define_acl_ct(&mut self) -> Result<(), Error> {
        self.add_fields(&[("ct_proto", Field::CT_NW_PROTO, "ct.trk", false)])?;
        self.add_predicates(&[
            ("tcp", "ct.trk && !ct.inv && ct_proto == 6"),
            ("udp", "ct.trk && !ct.inv && ct_proto == 17"),
            ("sctp", "ct.trk && !ct.inv && ct_proto == 132"),
        ])?;
        self.add_fields(&[
            ("tcp.src", Field::CT_TP_SRC, "tcp", false),
            ("tcp.dst", Field::CT_TP_DST, "tcp", false),
            ("udp.src", Field::CT_TP_SRC, "udp", false),
            ("udp.dst", Field::CT_TP_DST, "udp", false),
            ("sctp.src", Field::CT_TP_SRC, "sctp", false),
            ("sctp.dst", Field::CT_TP_DST, "sctp", false),
            // Not redefined, but what its prerequisite means is.
            ("tcp.flags", Field::TCP_FLAGS, "tcp", false),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_writability() {
        let table = SymbolTable::main();
        let level = |name| table.find(name).map(|s| s.level);
        for name in
            ["eth.type", "ip.proto", "ip.dscp", "ip.ecn", "ip.ttl", "icmp4.type", "icmp6.code", "arp.op", "inport"]
        {
            assert_eq!(level(name), Some(Level::Nominal), "{name}");
        }
        for name in ["ip4", "tcp", "nd", "icmp", "arp"] {
            assert_eq!(level(name), Some(Level::Nominal), "{name}");
        }
        for name in ["eth.bcast", "ip.is_frag", "vlan.present", "from_evpn_vtep", "ip4.src_mcast"] {
            assert_eq!(level(name), Some(Level::Boolean), "{name}");
        }
        for name in
            ["ip4.src", "reg0", "ct.est", "tcp.flags", "nd.sll", "eth.mcast", "ip.frag", "ip6.label", "ct_state"]
        {
            assert_eq!(level(name), Some(Level::Ordinal), "{name}");
        }
        let write = |name| table.find(name).map(|s| s.write);
        for name in ["eth.type", "ip.proto", "ip.frag", "ct_state", "ct.est", "tcp.flags", "tcp"] {
            assert_eq!(write(name), Some(WriteScope::NONE), "{name}");
        }
        for name in
            ["ip.ttl", "ip.dscp", "icmp4.type", "arp.op", "nd.target", "vlan.vid", "reg9", "outport", "pkt.mark"]
        {
            assert_eq!(write(name), Some(WriteScope::DEFAULT), "{name}");
        }
        assert_eq!(write("ct_label.acl_id"), Some(WriteScope::CT_COMMIT));
        assert_eq!(write("icmp6.frag_mtu"), Some(WriteScope::ALL));
    }

    #[test]
    fn tables_share_what_is_equal() {
        let (main, acl) = (SymbolTable::main(), SymbolTable::acl_ct());
        assert_eq!(main.find("ip4"), acl.find("ip4"));
        assert_ne!(main.find("tcp.dst"), acl.find("tcp.dst"));
        assert!(main.find("ct_proto").is_none());
    }
}
