//! Addresses of logical ports as Port_Binding.mac and the chassis options write them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An Ethernet address with the IP addresses that go with it (ovn-util.c `extract_lsp_addresses`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LportAddresses {
    /// The Ethernet address, 48 bits.
    pub mac: u64,
    /// IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
}

impl LportAddresses {
    /// Reads `MAC [IP[/LEN]]...`; what follows the first word that is no address is left out. `None` without a MAC.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut addresses = Self { mac: parse_mac(words.next()?)?, ..Self::default() };
        for word in words {
            let ip = word.split_once('/').map_or(word, |(ip, _)| ip);
            if let Ok(ip) = ip.parse() {
                addresses.ipv4.push(ip);
            } else if let Ok(ip) = ip.parse() {
                addresses.ipv6.push(ip);
            } else {
                break;
            }
        }
        Some(addresses)
    }

    /// The link-local address made from the Ethernet address (RFC 4291 appendix A).
    pub fn link_local(&self) -> Ipv6Addr {
        let eui64 = ((self.mac >> 24) << 40) | 0xff_fe00_0000 | (self.mac & 0xff_ffff);
        Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(eui64 ^ (2 << 56)))
    }
}

/// The Ethernet address that `text` is or starts with (`MAC IP...`), as 48 bits.
pub fn parse_mac(text: &str) -> Option<u64> {
    let word = text.split_whitespace().next()?;
    let mut mac = 0;
    let mut octets = 0;
    for octet in word.split(':') {
        if octet.is_empty() || octet.len() > 2 || !octet.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        mac = (mac << 8) | u64::from_str_radix(octet, 16).ok()?;
        octets += 1;
    }
    (octets == 6).then_some(mac)
}

/// The pairs of `ovn-chassis-mac-mappings`: `NETWORK:MAC,...`. A pair whose MAC is none has `None`.
pub fn mac_mappings(text: &str) -> impl Iterator<Item = (&str, Option<u64>)> {
    text.split(',').filter(|pair| !pair.is_empty()).filter_map(|pair| {
        let (network, mac) = pair.split_once(':')?;
        Some((network, parse_mac(mac)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs() {
        for (text, mac) in [
            ("00:00:00:01:02:03", Some(0x1_0203)),
            ("aa:bb:cc:dd:ee:ff 10.0.0.1", Some(0xaabb_ccdd_eeff)),
            ("0:1:2:3:4:5", Some(0x1_0203_0405)),
            ("unknown", None),
            ("00:00:00:01:02", None),
            ("00:00:00:01:02:03:04", None),
            ("00:00:00:+1:02:03", None),
            ("", None),
        ] {
            assert_eq!(parse_mac(text), mac, "{text}");
        }
    }

    #[test]
    fn lport_addresses() {
        let parsed = LportAddresses::parse("f0:00:00:00:00:01 10.0.0.1/24 fd00::1 junk 10.0.0.2").unwrap();
        assert_eq!(parsed.ipv4, ["10.0.0.1".parse::<Ipv4Addr>().unwrap()]);
        assert_eq!(parsed.ipv6, ["fd00::1".parse::<Ipv6Addr>().unwrap()]);
        assert_eq!(parsed.link_local(), "fe80::f200:ff:fe00:1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(LportAddresses::parse("unknown"), None);
    }

    #[test]
    fn mappings() {
        let pairs: Vec<_> = mac_mappings("a:00:00:00:00:00:01,b:x,c").collect();
        assert_eq!(pairs, [("a", Some(1)), ("b", None)]);
    }
}
