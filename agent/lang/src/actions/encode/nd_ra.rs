//! A router advertisement, complete but for its checksum (`encode_PUT_ND_RA_OPTS` of OVN 26.03).

use std::net::Ipv6Addr;

use super::domain;
use crate::actions::options::code;
use crate::actions::types::OptionValue;

/// Managed address configuration.
const FLAG_M: u8 = 0x80;
/// Other configuration.
const FLAG_O: u8 = 0x40;
/// Preference bits of RFC 4191, in router advertisements and route information alike.
const PREFERENCE_HIGH: u8 = 0x08;
const PREFERENCE_LOW: u8 = 0x18;
/// Prefix information: on-link.
const FLAG_L: u8 = 0x80;
/// Prefix information: autonomous address configuration.
const FLAG_A: u8 = 0x40;
const FOREVER: [u8; 4] = [0xff; 4];

/// Appends the advertisement: header, then options in textual order.
pub(super) fn put(options: &[OptionValue], out: &mut Vec<u8>) {
    // Type 134, code 0, checksum, hop limit 255, flags, router lifetime 65535 s, reachable and retransmission times.
    out.extend_from_slice(&[134, 0, 0, 0, 255]);
    let flags_at = out.len();
    out.extend_from_slice(&[0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut flags = 0;
    for option in options {
        let (number, text) = (option.integer(), option.string().unwrap_or_default());
        let value = number.map_or(0, |number| number.value).to_be_bytes();
        match option.def.code {
            code::RA_ADDR_MODE => match text {
                "dhcpv6_stateful" => flags |= FLAG_M,
                "dhcpv6_stateless" => flags |= FLAG_O,
                _ => {}
            },
            code::RA_PREFERENCE => flags |= preference(text),
            code::RA_SLLA => {
                out.extend_from_slice(&[1, 1]);
                out.extend_from_slice(&value[10..]);
            }
            code::RA_MTU => {
                out.extend_from_slice(&[5, 1, 0, 0]);
                out.extend_from_slice(&value[12..]);
            }
            code::RA_PREFIX => {
                let length = number.and_then(|number| number.mask).map_or(0, u128::count_ones) as u8;
                // Only an address mode written before the prefix counts.
                let autonomous = if flags & FLAG_M == 0 { FLAG_A } else { 0 };
                out.extend_from_slice(&[3, 4, length, FLAG_L | autonomous]);
                out.extend_from_slice(&FOREVER);
                out.extend_from_slice(&FOREVER);
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&value);
            }
            code::RA_RDNSS => {
                out.extend_from_slice(&[25, 3, 0, 0]);
                out.extend_from_slice(&FOREVER);
                out.extend_from_slice(&value);
            }
            code::RA_DNSSL => {
                if let Some(names) = domain::search_list(text) {
                    out.extend_from_slice(&[31, (1 + names.len() / 8) as u8, 0, 0]);
                    out.extend_from_slice(&FOREVER);
                    out.extend_from_slice(&names);
                }
            }
            code::RA_ROUTE_INFO => put_routes(text, out),
            _ => {}
        }
    }
    if let Some(octet) = out.get_mut(flags_at) {
        *octet = flags;
    }
}

fn preference(text: &str) -> u8 {
    match text {
        "HIGH" => PREFERENCE_HIGH,
        "LOW" => PREFERENCE_LOW,
        _ => 0,
    }
}

/// `PREFERENCE-prefix,...`: a route information option for each; the first bad prefix ends the list.
fn put_routes(list: &str, out: &mut Vec<u8>) {
    for route in list.split(',') {
        let mut parts = route.split('-').filter(|part| !part.is_empty());
        let Some(flags) = parts.next().map(preference) else { continue };
        for prefix in parts {
            let Some((network, length)) = parse_prefix(prefix) else { return };
            // Length in units of 8 octets: with none, half or all of the prefix.
            let octets = 8 * usize::from(length.div_ceil(64));
            out.extend_from_slice(&[24, 1 + length.div_ceil(64), length, flags]);
            out.extend_from_slice(&FOREVER);
            out.extend_from_slice(&network.to_be_bytes()[..octets]);
        }
    }
}

/// `address` or `address/length`, host bits cleared.
fn parse_prefix(text: &str) -> Option<(u128, u8)> {
    let text = text.trim();
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, length.parse::<u8>().ok().filter(|length| *length <= 128)?),
        None => (text, 128),
    };
    let address = address.parse::<Ipv6Addr>().ok()?.to_bits();
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    Some((address & mask, length))
}
