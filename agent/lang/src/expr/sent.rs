//! The part of a match that Open vSwitch's OpenFlow encoder sends. Entry: [`sent`].
//!
//! OVN builds matches without looking at OpenFlow's prerequisites; most often annotation has added them, but negated predicates
//! such as `!ip4.mcast` give matches like `nw_dst=...` without an Ethernet type. `nx_put_raw` (OVS 3.7) leaves out what the
//! Ethernet type and the protocol of the match do not allow, and since several fields share a place in its `struct flow`, what is
//! meant for one protocol can come out as the field of another one.

use ofproto_client::{Field, Match};

const IPV4: u128 = 0x800;
const IPV6: u128 = 0x86dd;
const ARP: u128 = 0x806;
const RARP: u128 = 0x8035;

/// Fields that share a place in OVS's `struct flow`.
const SHARED: [&[Field]; 7] = [
    &[Field::IPV4_SRC, Field::ARP_SPA],
    &[Field::IPV4_DST, Field::ARP_TPA],
    &[Field::IP_PROTO, Field::ARP_OP],
    &[Field::TCP_SRC, Field::UDP_SRC, Field::SCTP_SRC, Field::ICMPV4_TYPE, Field::ICMPV6_TYPE],
    &[Field::TCP_DST, Field::UDP_DST, Field::SCTP_DST, Field::ICMPV4_CODE, Field::ICMPV6_CODE],
    &[Field::ARP_SHA, Field::ND_SLL],
    &[Field::ARP_THA, Field::ND_TLL],
];

/// What decides about the fields that may be there.
pub(super) struct Context {
    eth_type: u128,
    proto: u128,
    icmp: Option<(u128, u128)>,
    ct_proto: u128,
    vid: u128,
}

impl Context {
    /// Whether what is sent depends on `field`.
    pub(super) fn depends_on(field: Field) -> bool {
        matches!(
            field,
            Field::ETH_TYPE
                | Field::IP_PROTO
                | Field::ARP_OP
                | Field::ICMPV6_TYPE
                | Field::ICMPV6_CODE
                | Field::CT_NW_PROTO
                | Field::VLAN_TCI
                | Field::VLAN_VID
                | Field::VLAN_PCP
        )
    }

    pub(super) fn of(match_: &Match) -> Context {
        let value = |field| match_.get(field).map_or(0, |(value, _)| value);
        let eth_type = value(Field::ETH_TYPE);
        let proto = match match_.get(Field::IP_PROTO) {
            Some((proto, _)) => proto,
            None if eth_type == IPV4 || eth_type == IPV6 => value(Field::ARP_OP) & 0xff,
            None => 0,
        };
        let icmp = (eth_type == IPV6 && proto == 58).then(|| (value(Field::ICMPV6_TYPE), value(Field::ICMPV6_CODE)));
        Context { eth_type, proto, icmp, ct_proto: value(Field::CT_NW_PROTO), vid: value(Field::VLAN_VID) }
    }

    /// Whether `field` is sent.
    pub(super) fn allows(&self, field: Field) -> bool {
        let ip = self.eth_type == IPV4 || self.eth_type == IPV6;
        match field {
            Field::IPV4_SRC | Field::IPV4_DST => self.eth_type == IPV4,
            Field::IPV6_SRC | Field::IPV6_DST | Field::IPV6_LABEL => self.eth_type == IPV6,
            Field::IP_PROTO | Field::IP_DSCP | Field::IP_ECN | Field::IP_TTL | Field::IP_FRAG => ip,
            Field::TCP_SRC | Field::TCP_DST | Field::TCP_FLAGS => ip && self.proto == 6,
            Field::UDP_SRC | Field::UDP_DST => ip && self.proto == 17,
            Field::SCTP_SRC | Field::SCTP_DST => ip && self.proto == 132,
            Field::ICMPV4_TYPE | Field::ICMPV4_CODE => self.eth_type == IPV4 && self.proto == 1,
            Field::ICMPV6_TYPE | Field::ICMPV6_CODE => self.icmp.is_some(),
            Field::ND_TARGET => matches!(self.icmp, Some((135 | 136, 0))),
            Field::ND_SLL => self.icmp == Some((135, 0)),
            Field::ND_TLL => self.icmp == Some((136, 0)),
            Field::ARP_OP | Field::ARP_SPA | Field::ARP_TPA | Field::ARP_SHA | Field::ARP_THA => {
                self.eth_type == ARP || self.eth_type == RARP
            }
            Field::CT_NW_PROTO | Field::CT_TP_SRC | Field::CT_TP_DST => self.ct_proto != 0,
            Field::VLAN_PCP => self.vid != 0,
            Field::VLAN_TCI => false,
            _ => true,
        }
    }
}

/// Makes of `match_` what Open vSwitch would encode for it.
pub(super) fn sent(match_: Match) -> Match {
    let context = Context::of(&match_);
    if match_.iter().all(|(field, ..)| context.allows(field)) {
        return match_;
    }
    let mut out = Match::new();
    for (field, value, mask) in match_.iter().filter(|(field, ..)| context.allows(*field)) {
        out.set_masked(field, value, mask);
    }
    for (field, value, mask) in match_.iter().filter(|(field, ..)| !context.allows(*field)) {
        if field == Field::VLAN_TCI {
            // The priority is always sent whole, and only next to a VLAN id that is not zero.
            out.set_masked(Field::VLAN_VID, value & 0x1fff, mask & 0x1fff);
            if value & mask & 0x1fff != 0 && mask >> 13 != 0 {
                out.set(Field::VLAN_PCP, value >> 13 & 7);
            }
            continue;
        }
        let others = SHARED.iter().find(|shared| shared.contains(&field)).copied().unwrap_or(&[]);
        if let Some(&other) = others.iter().find(|other| context.allows(**other))
            && out.get(other).is_none()
        {
            out.set_masked(other, value, mask);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(entries: &[(Field, u128, u128)]) -> Match {
        let mut match_ = Match::new();
        for &(field, value, mask) in entries {
            match_.set_masked(field, value, mask);
        }
        match_
    }

    const ALL: u128 = u128::MAX;

    #[test]
    fn prerequisites() {
        let eth = |t| (Field::ETH_TYPE, t, ALL);
        let src = (Field::IPV4_SRC, 0x0a00_0001, ALL);
        let reg = (Field::reg(0), 1, 1);
        let cases: [(&[_], &[_]); 8] = [
            (&[eth(IPV4), src, reg], &[eth(IPV4), src, reg]),
            (&[src, reg], &[reg]),
            (&[eth(IPV6), src], &[eth(IPV6)]),
            (&[eth(ARP), src], &[eth(ARP), (Field::ARP_SPA, 0x0a00_0001, ALL)]),
            (&[eth(IPV4), (Field::TCP_DST, 80, ALL)], &[eth(IPV4)]),
            (
                &[eth(IPV4), (Field::IP_PROTO, 17, ALL), (Field::TCP_DST, 80, ALL)],
                &[eth(IPV4), (Field::IP_PROTO, 17, ALL), (Field::UDP_DST, 80, ALL)],
            ),
            (&[(Field::VLAN_TCI, 0x5000, 0xd000)], &[(Field::VLAN_VID, 0x1000, 0x1000), (Field::VLAN_PCP, 2, ALL)]),
            (&[(Field::CT_TP_DST, 80, ALL), reg], &[reg]),
        ];
        for (input, want) in cases {
            assert_eq!(sent(build(input)), build(want), "{input:?}");
        }
    }
}
