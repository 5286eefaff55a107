//! DHCP options as ovn-controller copies them into replies (`encode_PUT_DHCPV4_OPTS`, `encode_PUT_DHCPV6_OPTS` of OVN
//! 26.03).

use super::domain;
use crate::Integer;
use crate::actions::options::{OptionType, code};
use crate::actions::types::OptionValue;

/// Longest value of a DHCPv4 option; OVN wraps the length around instead.
const MAX_LEN: usize = 255;

/// The offered address, then the options for the DHCP header (boot file, next server), then the others in textual order.
pub(super) fn put_v4(options: &[OptionValue], out: &mut Vec<u8>) {
    let first = |code| options.iter().position(|option| option.def.code == code);
    let offerip = first(code::OFFERIP);
    let offered = offerip.and_then(|i| options.get(i)?.integer());
    out.extend_from_slice(&low_u32(offered));

    let header = [first(code::BOOTFILE), first(code::BOOTFILE_ALT), first(code::NEXT_SERVER)];
    for option in header.into_iter().flatten().filter_map(|i| options.get(i)) {
        match option.string() {
            Some(text) => put_v4_value(option, text.as_bytes(), out),
            None => put_v4_value(option, &low_u32(option.integer()), out),
        }
    }
    for (i, option) in options.iter().enumerate() {
        if offerip != Some(i) && !header.contains(&Some(i)) {
            put_v4_value(option, &v4_value(option), out);
        }
    }
}

/// Code, length, value, the value cut off at what the length can express.
fn put_v4_value(option: &OptionValue, value: &[u8], out: &mut Vec<u8>) {
    let value = &value[..value.len().min(MAX_LEN)];
    out.push(option.def.code as u8);
    out.push(value.len() as u8);
    out.extend_from_slice(value);
}

fn v4_value(option: &OptionValue) -> Vec<u8> {
    match (option.def.kind, option.string()) {
        (OptionType::Bool | OptionType::Uint8, _) => low_u32(option.integer())[3..].to_vec(),
        (OptionType::Uint16, _) => low_u32(option.integer())[2..].to_vec(),
        (OptionType::Uint32, _) => low_u32(option.integer()).to_vec(),
        // Whole addresses only, should the list be too long.
        (OptionType::Ipv4, _) => option.integers().take(MAX_LEN / 4).flat_map(|ip| low_u32(Some(ip))).collect(),
        (OptionType::StaticRoutes, _) => static_routes(option),
        (OptionType::Str, Some(text)) => text.as_bytes().to_vec(),
        (OptionType::HostId, Some(text)) => text.as_bytes().to_vec(),
        (OptionType::HostId, None) => low_u32(option.integer()).to_vec(),
        (OptionType::Domains, Some(list)) => match domain::compressed_list(list) {
            list if list.len() <= MAX_LEN => list,
            // Half a list would end inside a name.
            _ => Vec::new(),
        },
        // DHCPv6 types; OVN writes an empty option.
        _ => Vec::new(),
    }
}

/// RFC 3442: prefix length, the significant octets of the prefix, gateway; a destination without gateway is ignored.
fn static_routes(option: &OptionValue) -> Vec<u8> {
    let mut out = Vec::new();
    let mut values = option.integers();
    while let (Some(prefix), Some(gateway)) = (values.next(), values.next()) {
        // OVN counts the ones from the top for a contiguous mask and all of them for any other.
        let length = prefix.mask.map_or(32, |mask| (mask as u32).count_ones());
        let octets = length.div_ceil(8) as usize;
        if out.len() + 1 + octets + 4 > MAX_LEN {
            break;
        }
        out.push(length as u8);
        out.extend_from_slice(&low_u32(Some(prefix))[..octets]);
        out.extend_from_slice(&low_u32(Some(gateway)));
    }
    out
}

/// Code and length of 16 bits each, value, in textual order.
pub(super) fn put_v6(options: &[OptionValue], out: &mut Vec<u8>) {
    for option in options {
        let mut value = match (option.def.kind, option.string()) {
            (OptionType::Ipv6, _) => option.integers().flat_map(|ip| ip.value.to_be_bytes()).collect(),
            (OptionType::Mac, _) => low_bytes(option.integer())[10..].to_vec(),
            (OptionType::Str, Some(text)) => text.as_bytes().to_vec(),
            (OptionType::Domain, Some(name)) => domain::fqdn(name),
            // DHCPv4 types; OVN writes a header without length and no value.
            _ => Vec::new(),
        };
        value.truncate(usize::from(u16::MAX));
        out.extend_from_slice(&option.def.code.to_be_bytes());
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(&value);
    }
}

fn low_bytes(value: Option<&Integer>) -> [u8; 16] {
    value.map_or(0, |value| value.value).to_be_bytes()
}

fn low_u32(value: Option<&Integer>) -> [u8; 4] {
    (value.map_or(0, |value| value.value) as u32).to_be_bytes()
}
