//! Matches as `ovs-ofctl` prints and reads them. `Display` and `FromStr` of [`Match`]; flows use [`MatchReader`].
//!
//! Source: `match_format` in `lib/match.c`, `parse_ofp_str` in `lib/ofp-flow.c`, Open vSwitch 3.7.

use std::fmt::{self, Write};
use std::str::FromStr;

use smallvec::SmallVec;

use super::Match;
use crate::error::Error;
use crate::field::{Field, ones};
use crate::text::{CT_STATES, Read, Span, parse_value, port_to_16, write_flags, write_hex, write_port, write_value};

/// Words that stand for an Ethernet type and maybe an IP protocol.
const KEYWORDS: [(&str, u16, Option<u8>); 15] = [
    ("icmp", 0x0800, Some(1)),
    ("tcp", 0x0800, Some(6)),
    ("udp", 0x0800, Some(17)),
    ("sctp", 0x0800, Some(132)),
    ("ip", 0x0800, None),
    ("icmp6", 0x86dd, Some(58)),
    ("tcp6", 0x86dd, Some(6)),
    ("udp6", 0x86dd, Some(17)),
    ("sctp6", 0x86dd, Some(132)),
    ("ipv6", 0x86dd, None),
    ("ip6", 0x86dd, None),
    ("arp", 0x0806, None),
    ("rarp", 0x8035, None),
    ("mpls", 0x8847, None),
    ("mplsm", 0x8848, None),
];

/// Where each field is printed, by id: lower first, 0 never. All VLAN fields have one place.
const PLACES: [u8; 256] = places();
/// The place of the word for Ethernet type and protocol.
const KEYWORD_PLACE: u8 = BEFORE_KEYWORD.len() as u8 + 1;

/// Fields printed before the keyword, in order.
const BEFORE_KEYWORD: [Field; 17] = [
    Field::PKT_MARK,
    Field::RECIRC_ID,
    Field::DP_HASH,
    Field::CONJ_ID,
    Field::ACTSET_OUTPUT,
    Field::CT_STATE,
    Field::CT_ZONE,
    Field::CT_MARK,
    Field::CT_LABEL,
    Field::CT_NW_SRC,
    Field::CT_IPV6_SRC,
    Field::CT_NW_DST,
    Field::CT_IPV6_DST,
    Field::CT_NW_PROTO,
    Field::CT_TP_SRC,
    Field::CT_TP_DST,
    Field::PACKET_TYPE,
];

/// Fields printed between the registers and the tunnel options.
const TUNNEL: [Field; 8] = [
    Field::TUN_ID,
    Field::TUN_SRC,
    Field::TUN_DST,
    Field::TUN_IPV6_SRC,
    Field::TUN_IPV6_DST,
    Field::TUN_GBP_ID,
    Field::TUN_GBP_FLAGS,
    Field::TUN_FLAGS,
];

/// Fields printed between the tunnel options and the VLAN.
const BEFORE_VLAN: [Field; 2] = [Field::METADATA, Field::IN_PORT_OXM];

/// The VLAN: `dl_vlan` and `dl_vlan_pcp`, or `vlan_tci`.
const VLAN: [Field; 3] = [Field::VLAN_TCI, Field::VLAN_VID, Field::VLAN_PCP];

/// Fields printed after the VLAN, in order; `ETH_TYPE` and `IP_PROTO` only if no keyword said them.
const AFTER_VLAN: [Field; 38] = [
    Field::ETH_SRC,
    Field::ETH_DST,
    Field::ETH_TYPE,
    Field::IPV6_SRC,
    Field::IPV6_DST,
    Field::IPV6_LABEL,
    Field::ARP_SPA,
    Field::ARP_TPA,
    Field::IPV4_SRC,
    Field::IPV4_DST,
    Field::ARP_OP,
    Field::IP_PROTO,
    Field::ARP_SHA,
    Field::ARP_THA,
    Field::IP_DSCP,
    Field::IP_ECN,
    Field::IP_TTL,
    Field::MPLS_LABEL,
    Field::MPLS_TC,
    Field::MPLS_TTL,
    Field::MPLS_BOS,
    Field::IP_FRAG,
    Field::ICMPV4_TYPE,
    Field::ICMPV4_CODE,
    Field::ICMPV6_TYPE,
    Field::ICMPV6_CODE,
    Field::ND_TARGET,
    Field::ND_SLL,
    Field::ND_TLL,
    Field::ND_RESERVED,
    Field::ND_OPTIONS_TYPE,
    Field::TCP_SRC,
    Field::TCP_DST,
    Field::UDP_SRC,
    Field::UDP_DST,
    Field::SCTP_SRC,
    Field::SCTP_DST,
    Field::TCP_FLAGS,
];

const fn places() -> [u8; 256] {
    const fn put(places: &mut [u8; 256], fields: &[Field], mut place: u8) -> u8 {
        let mut i = 0;
        while i < fields.len() {
            place += 1;
            places[fields[i].id() as usize] = place;
            i += 1;
        }
        place
    }
    let mut places = [0; 256];
    let mut place = put(&mut places, &BEFORE_KEYWORD, 0) + 1;
    let mut n = 0;
    while n < 16 {
        place = put(&mut places, &[Field::reg(n)], place);
        n += 1;
    }
    place = put(&mut places, &TUNNEL, place);
    n = 0;
    while n < 64 {
        place = put(&mut places, &[Field::tun_metadata(n)], place);
        n += 1;
    }
    place = put(&mut places, &BEFORE_VLAN, place);
    let mut i = 0;
    while i < VLAN.len() {
        put(&mut places, &[VLAN[i]], place);
        i += 1;
    }
    put(&mut places, &AFTER_VLAN, place + 1);
    places
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fields { f, match_: self, separator: "" }.write_all()
    }
}

impl FromStr for Match {
    type Err = Error;

    fn from_str(text: &str) -> Result<Match, Error> {
        let mut reader = MatchReader::default();
        for item in Span::new(text).items() {
            reader.item(item)?;
        }
        reader.finish()
    }
}

/// The word for Ethernet type and protocol, if there is one, by what the match says of each.
fn keyword(value: impl Fn(Field) -> Option<u128>) -> Option<(&'static str, u16, Option<u8>)> {
    let eth_type = value(Field::ETH_TYPE)?;
    let proto = value(Field::IP_PROTO).map(|proto| proto as u8);
    let of_type = || KEYWORDS.iter().filter(|(_, ty, _)| u128::from(*ty) == eth_type);
    let exact = of_type().find(|(_, _, p)| p.is_some() && *p == proto);
    exact.or_else(|| of_type().find(|(_, _, p)| p.is_none())).copied()
}

/// Writes fields with commas between them.
struct Fields<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    match_: &'a Match,
    separator: &'static str,
}

impl Fields<'_, '_> {
    fn write_all(&mut self) -> fmt::Result {
        let place = |field: Field| PLACES[usize::from(field.id())];
        let mut fields: SmallVec<[(u8, Field, u128, u128); 16]> =
            self.match_.iter().map(|(field, value, mask)| (place(field), field, value, mask)).collect();
        fields.sort_unstable_by_key(|(place, field, ..)| (*place, *field));
        // Of the VLAN's two fields one prints both.
        fields.dedup_by_key(|(place, ..)| *place);
        let keyword =
            keyword(|asked| fields.iter().find(|(_, field, ..)| *field == asked).map(|(_, _, value, _)| *value));
        let mut said = keyword.is_none();
        for (place, field, value, mask) in fields {
            if place > KEYWORD_PLACE && !said {
                self.word(keyword)?;
                said = true;
            }
            match field {
                Field::ETH_TYPE if keyword.is_some() => {}
                Field::IP_PROTO if keyword.is_some_and(|(_, _, proto)| proto.is_some()) => {}
                field if VLAN.contains(&field) => self.vlan()?,
                field if place > 0 => self.field(field, value, mask)?,
                _ => {}
            }
        }
        if said { Ok(()) } else { self.word(keyword) }
    }

    fn word(&mut self, keyword: Option<(&str, u16, Option<u8>)>) -> fmt::Result {
        self.comma()?;
        self.f.write_str(keyword.map_or("", |(word, _, _)| word))
    }

    fn comma(&mut self) -> fmt::Result {
        let separator = std::mem::replace(&mut self.separator, ",");
        self.f.write_str(separator)
    }

    fn field(&mut self, field: Field, value: u128, mask: u128) -> fmt::Result {
        self.comma()?;
        let exact = mask == field.match_bits();
        let f = &mut *self.f;
        f.write_str(text_name(field))?;
        f.write_char('=')?;
        match field {
            Field::CT_STATE => write_flags(f, value, mask, 0xff, &CT_STATES),
            // There are more flags than a match may look at, so it is never the whole.
            Field::TUN_FLAGS => write_flags(f, value, mask, ones(16), &["oam"]),
            Field::IP_DSCP => write!(f, "{}", value << 2),
            Field::ETH_TYPE => write!(f, "{value:#06x}"),
            Field::RECIRC_ID => write_hex(f, value),
            Field::IPV6_LABEL if exact => write!(f, "{value:#07x}"),
            Field::IPV6_LABEL => write!(f, "{value:#07x}/{mask:#07x}"),
            Field::ND_RESERVED | Field::ND_OPTIONS_TYPE | Field::CT_ZONE if exact => write!(f, "{value}"),
            Field::IN_PORT_OXM | Field::ACTSET_OUTPUT => match port_to_16(value as u32) {
                Some(port) => write_port(f, port),
                None => write!(f, "{value}"),
            },
            Field::PACKET_TYPE => {
                f.write_char('(')?;
                write_small_or_hex(f, value >> 16)?;
                f.write_char(',')?;
                write_small_or_hex(f, value & 0xffff)?;
                f.write_char(')')
            }
            // `format_be16_masked`: both in hexadecimal when masked, zero as 0x0.
            Field::TCP_SRC
            | Field::TCP_DST
            | Field::UDP_SRC
            | Field::UDP_DST
            | Field::SCTP_SRC
            | Field::SCTP_DST
            | Field::ICMPV4_TYPE
            | Field::ICMPV4_CODE
            | Field::ICMPV6_TYPE
            | Field::ICMPV6_CODE
            | Field::CT_TP_SRC
            | Field::CT_TP_DST
            | Field::CT_ZONE
            | Field::TUN_GBP_ID
                if !exact =>
            {
                write!(f, "{value:#x}/{mask:#x}")
            }
            _ if exact => write_value(f, field, value, u128::MAX),
            _ => write_value(f, field, value, mask),
        }
    }

    /// `dl_vlan`, `dl_vlan_pcp` or `vlan_tci`.
    fn vlan(&mut self) -> fmt::Result {
        let Some((value, mask)) = self.match_.get(Field::VLAN_TCI) else {
            return Ok(());
        };
        let (vid_mask, pcp_mask) = (mask & 0xfff, mask >> 13);
        let whole = matches!(vid_mask, 0 | 0xfff) && matches!(pcp_mask, 0 | 7) && vid_mask | pcp_mask != 0;
        if mask & 0x1000 != 0 && value & 0x1000 != 0 && whole {
            if vid_mask != 0 {
                self.comma()?;
                write!(self.f, "dl_vlan={}", value & 0xfff)?;
            }
            if pcp_mask != 0 {
                self.comma()?;
                write!(self.f, "dl_vlan_pcp={}", value >> 13)?;
            }
            return Ok(());
        }
        self.comma()?;
        write!(self.f, "vlan_tci={value:#06x}")?;
        if mask == 0xffff { Ok(()) } else { write!(self.f, "/{mask:#06x}") }
    }
}

/// One digit as it is, more in hexadecimal.
fn write_small_or_hex(f: &mut fmt::Formatter<'_>, value: u128) -> fmt::Result {
    if value > 9 { write!(f, "{value:#x}") } else { write!(f, "{value}") }
}

/// The name `match_format` uses.
fn text_name(field: Field) -> &'static str {
    match field {
        Field::ETH_SRC => "dl_src",
        Field::ETH_DST => "dl_dst",
        Field::ETH_TYPE => "dl_type",
        Field::IPV4_SRC => "nw_src",
        Field::IPV4_DST => "nw_dst",
        Field::IP_FRAG => "nw_frag",
        Field::IP_DSCP => "nw_tos",
        Field::IN_PORT_OXM => "in_port",
        Field::ICMPV6_TYPE => "icmp_type",
        Field::ICMPV6_CODE => "icmp_code",
        Field::TCP_SRC | Field::UDP_SRC | Field::SCTP_SRC => "tp_src",
        Field::TCP_DST | Field::UDP_DST | Field::SCTP_DST => "tp_dst",
        _ => field.name(),
    }
}

/// Puts a match together from items of text. Names whose field depends on the protocol wait until all are read.
#[derive(Default)]
pub(crate) struct MatchReader<'a> {
    match_: Match,
    waiting: Vec<(&'static str, Span<'a>)>,
}

/// Names whose field depends on the protocol.
const WAITING: [&str; 6] = ["tp_src", "tp_dst", "icmp_type", "icmp_code", "nw_src", "nw_dst"];

impl<'a> MatchReader<'a> {
    /// One `name` or `name=value`.
    pub(crate) fn item(&mut self, item: Span<'a>) -> Read<()> {
        let Some((name, value)) = item.split_once("=") else {
            return self.keyword(item);
        };
        if let Some(waiting) = WAITING.iter().find(|waiting| **waiting == name.text) {
            self.waiting.push((waiting, value));
            return Ok(());
        }
        let m = &mut self.match_;
        match name.text {
            "in_port" => m.set(Field::IN_PORT, u128::from(value.port16()?)),
            "nw_tos" => m.set(Field::IP_DSCP, value.number("nw_tos", 8)? >> 2),
            "dl_vlan" => match value.number("dl_vlan", 16)? {
                0xffff => m.set_masked(Field::VLAN_VID, 0, 0x1fff),
                vid => m.set(Field::VLAN_VID, vid | super::VLAN_TAGGED),
            },
            "dl_vlan_pcp" => m.set(Field::VLAN_PCP, value.number("dl_vlan_pcp", 3)?),
            "packet_type" => m.set(Field::PACKET_TYPE, parse_packet_type(value)?),
            _ => {
                let field = name.field()?;
                set(m, field, value)?;
                m
            }
        };
        Ok(())
    }

    /// The match, once all items are read.
    pub(crate) fn finish(mut self) -> Read<Match> {
        for (name, value) in std::mem::take(&mut self.waiting) {
            let eth_type = self.match_.get(Field::ETH_TYPE).map(|(value, _)| value);
            let proto = self.match_.get(Field::IP_PROTO).map(|(value, _)| value);
            let field = match (name, eth_type, proto) {
                ("tp_src", _, Some(6)) => Field::TCP_SRC,
                ("tp_dst", _, Some(6)) => Field::TCP_DST,
                ("tp_src", _, Some(17)) => Field::UDP_SRC,
                ("tp_dst", _, Some(17)) => Field::UDP_DST,
                ("tp_src", _, Some(132)) => Field::SCTP_SRC,
                ("tp_dst", _, Some(132)) => Field::SCTP_DST,
                ("icmp_type", Some(0x86dd), _) => Field::ICMPV6_TYPE,
                ("icmp_code", Some(0x86dd), _) => Field::ICMPV6_CODE,
                ("icmp_type", _, _) => Field::ICMPV4_TYPE,
                ("icmp_code", _, _) => Field::ICMPV4_CODE,
                ("nw_src", Some(0x0806 | 0x8035), _) => Field::ARP_SPA,
                ("nw_dst", Some(0x0806 | 0x8035), _) => Field::ARP_TPA,
                ("nw_src", _, _) => Field::IPV4_SRC,
                ("nw_dst", _, _) => Field::IPV4_DST,
                _ => return value.error(name, "needs tcp, udp or sctp"),
            };
            set(&mut self.match_, field, value)?;
        }
        Ok(self.match_)
    }

    fn keyword(&mut self, item: Span<'_>) -> Read<()> {
        let Some((_, eth_type, proto)) = KEYWORDS.iter().find(|(word, _, _)| *word == item.text) else {
            return item.error("match", "unknown word");
        };
        self.match_.set(Field::ETH_TYPE, u128::from(*eth_type));
        if let Some(proto) = proto {
            self.match_.set(Field::IP_PROTO, u128::from(*proto));
        }
        Ok(())
    }
}

fn set(m: &mut Match, field: Field, text: Span<'_>) -> Read<()> {
    let (value, mask) = parse_value(field, text)?;
    if value & !field.match_bits() & mask & field.all_ones() != 0 {
        return text.error(field.name(), format!("does not fit in {} bits", field.n_bits()));
    }
    if !field.is_maskable() && mask != u128::MAX && mask & field.match_bits() != field.match_bits() {
        return text.error(field.name(), "cannot be masked");
    }
    m.set_masked(field, value, mask);
    Ok(())
}

/// `(namespace,type)`.
fn parse_packet_type(text: Span<'_>) -> Read<u128> {
    let inside = text.text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let Some((namespace, ty)) = inside.and_then(|inside| Span { text: inside, at: text.at + 1 }.split_once(",")) else {
        return text.error("packet_type", "expected \"(NS,TYPE)\"");
    };
    Ok((namespace.number("packet_type", 16)? << 16 | ty.number("packet_type", 16)?) & ones(32))
}
