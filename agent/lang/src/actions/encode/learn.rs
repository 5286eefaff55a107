//! Actions that make the switch learn flows: `commit_ecmp_nh` and `commit_lb_aff`.

use std::net::IpAddr;

use ofproto_client::action::{LEARN_DELETE_LEARNED, Learn, LearnDst, LearnSpec, LearnSrc};
use ofproto_client::{Action, Field, Subfield};

use super::{Encoder, Out, Tables, reg};
use crate::actions::types::{CommitLbAff, Family, L4Proto};

/// Ethertype, source and destination address of a family.
struct L3(u16, Field, Field);

fn l3(family: Family) -> L3 {
    match family {
        Family::V4 => L3(0x0800, Field::IPV4_SRC, Field::IPV4_DST),
        Family::V6 => L3(0x86dd, Field::IPV6_SRC, Field::IPV6_DST),
    }
}

/// Source and destination port of a protocol.
fn ports(proto: L4Proto) -> (Field, Field) {
    match proto {
        L4Proto::Tcp => (Field::TCP_SRC, Field::TCP_DST),
        L4Proto::Udp => (Field::UDP_SRC, Field::UDP_DST),
        L4Proto::Sctp => (Field::SCTP_SRC, Field::SCTP_DST),
    }
}

/// Learns the connection as it comes from the nexthop, with its MAC address, and in the other direction, without.
pub(super) fn commit_ecmp_nh(family: Family, proto: L4Proto, out: &mut Out) {
    for same_direction in [true, false] {
        let L3(eth_type, src, dst) = l3(family);
        let (port_src, port_dst) = ports(proto);
        let mut learn = Learn {
            idle_timeout: 20,
            hard_timeout: 30,
            flags: LEARN_DELETE_LEARNED,
            ..Learn::new(if same_direction { Tables::ECMP_NH_MAC } else { Tables::ECMP_NH })
        };
        let turned = |a: Field, b: Field| if same_direction { a } else { b };
        let specs = &mut learn.specs;
        specs.push(match_field(Field::METADATA, Field::METADATA));
        if same_direction {
            specs.push(match_field(Field::ETH_SRC, Field::ETH_SRC));
        }
        specs.extend([
            match_value(Field::ETH_TYPE, eth_type.into()),
            match_field(src, turned(src, dst)),
            match_field(dst, turned(dst, src)),
            match_value(Field::IP_PROTO, (proto as u8).into()),
            match_field(port_src, turned(port_src, port_dst)),
            match_field(port_dst, turned(port_dst, port_src)),
            load_value(reg::LOOKUP_COMMIT_ECMP_NH, 1),
        ]);
        out.push(Action::Learn(Box::new(learn)));
    }
}

impl Encoder<'_> {
    /// Learns which backend the client got for the VIP.
    pub(super) fn commit_lb_aff(&self, affinity: &CommitLbAff, out: &mut Out) {
        let (family, vip) = match affinity.vip {
            IpAddr::V4(ip) => (Family::V4, ip.to_bits().into()),
            IpAddr::V6(ip) => (Family::V6, ip.to_bits()),
        };
        let backend = match affinity.backend {
            IpAddr::V4(ip) => ip.to_bits().into(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let consolidated = self.params.register_consolidation;
        let backend_reg = match family {
            Family::V4 => Field::reg(4),
            Family::V6 if !consolidated && self.params.is_switch => Field::xxreg(0),
            Family::V6 => Field::xxreg(1),
        };
        let L3(eth_type, src, dst) = l3(family);
        let mut learn = Learn {
            idle_timeout: affinity.timeout,
            flags: LEARN_DELETE_LEARNED,
            cookie: self.params.lflow_cookie().into(),
            ..Learn::new(Tables::CHK_LB_AFFINITY)
        };
        learn.specs.extend([
            match_field(Field::METADATA, Field::METADATA),
            match_value(Field::ETH_TYPE, eth_type.into()),
            match_field(src, src),
            match_value(dst, vip),
        ]);
        if let Some(proto) = affinity.proto {
            learn.specs.push(match_value(Field::IP_PROTO, (proto as u8).into()));
            learn.specs.push(match_value(ports(proto).1, affinity.vip_port.into()));
        }
        learn.specs.push(load_value(reg::USE_LB_AFF_SESSION, 1));
        learn.specs.push(load_value(backend_reg.whole(), backend));
        if affinity.backend_port != 0 {
            let port_reg = if consolidated { Field::reg(2) } else { Field::reg(8) };
            learn.specs.push(load_value(Subfield::new(port_reg, 0, 16), affinity.backend_port.into()));
        }
        out.push(Action::Learn(Box::new(learn)));
    }
}

/// The learned flow matches in `dst` what this packet has in `src`.
fn match_field(dst: Field, src: Field) -> LearnSpec {
    LearnSpec { src: LearnSrc::Field(src.whole()), dst: LearnDst::Match(dst.whole()), n_bits: dst.n_bits() }
}

/// The learned flow matches a number.
fn match_value(dst: Field, value: u128) -> LearnSpec {
    LearnSpec { src: LearnSrc::Imm(value), dst: LearnDst::Match(dst.whole()), n_bits: dst.n_bits() }
}

/// The learned flow stores a number.
fn load_value(dst: Subfield, value: u128) -> LearnSpec {
    LearnSpec { src: LearnSrc::Imm(value), dst: LearnDst::Load(dst), n_bits: dst.n_bits }
}
