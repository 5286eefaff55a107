//! Domain names inside option payloads: the three spellings OVN writes.
//!
//! Entry points: [`compressed_list`] (DHCPv4 option 119), [`fqdn`] (DHCPv6 option 39), [`search_list`] (RA DNSSL).

/// Longest domain name that DHCPv4's search list takes (OVN: `DOMAIN_NAME_MAX_LEN`).
const MAX_NAME: usize = 255;

/// RFC 1035 encoding with compression pointers of a comma separated list, offsets counted from the start of the list
/// (OVN 26.03: `encode_put_dhcpv4_option`, type `domains`).
///
/// A name longer than 255 octets empties the whole list, as in OVN. OVN compares suffixes without their last character,
/// so that it points `a.com` into `b.con`; here only equal suffixes are shared.
pub(super) fn compressed_list(list: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(list.len() + 2);
    let mut known: Vec<(&str, u16)> = Vec::new();
    for name in list.split(',').filter(|name| !name.is_empty()) {
        if name.len() > MAX_NAME {
            return Vec::new();
        }
        if !append_name(&mut out, name, &mut known) {
            out.push(0);
        }
    }
    out
}

/// Appends the labels of one name; true if it ended in a compression pointer.
fn append_name<'a>(out: &mut Vec<u8>, name: &'a str, known: &mut Vec<(&'a str, u16)>) -> bool {
    let mut suffix = name;
    loop {
        let rest = suffix.trim_start_matches('.');
        if rest.is_empty() {
            return false;
        }
        if let Some((_, offset)) = known.iter().find(|(seen, _)| *seen == suffix) {
            out.extend_from_slice(&(0xc000 | offset).to_be_bytes());
            return true;
        }
        // A pointer holds 14 bits; names further away are spelled out.
        if let Ok(offset @ 0..=0x3fff) = u16::try_from(out.len()) {
            known.push((suffix, offset));
        }
        let (label, next) = rest.split_once('.').unwrap_or((rest, ""));
        append_label(out, label);
        suffix = next;
    }
}

/// One name without compression, always two octets longer than its text (OVN 26.03: `encode_fqdn_string`): a trailing
/// dot of the text leaves a second zero octet.
pub(super) fn fqdn(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    let (labels, trailing_dot) = match name.strip_suffix('.') {
        Some(labels) => (labels, true),
        None => (name, false),
    };
    if !labels.is_empty() || trailing_dot {
        for label in labels.split('.') {
            append_label(&mut out, label);
        }
    }
    out.resize(name.len() + 2, 0);
    out
}

/// The names of an RA DNSSL option, each ended by a zero octet (OVN 26.03: `encode_ra_dnssl_opt`).
///
/// `None` if the option, its 8 octet header included, would take more than 255 octets; OVN then leaves it out.
/// Otherwise the octets after the header, padded to a multiple of 8 together with it.
pub(super) fn search_list(list: &str) -> Option<Vec<u8>> {
    const HEADER: usize = 8;
    let mut size = HEADER;
    let mut out = Vec::with_capacity(list.len() + HEADER);
    for name in list.split(',').filter(|name| !name.is_empty()) {
        size += name.len() + 2;
        if size > 255 {
            return None;
        }
        for label in name.split('.').filter(|label| !label.is_empty()) {
            append_label(&mut out, label);
        }
        out.push(0);
    }
    out.resize(size.next_multiple_of(8) - HEADER, 0);
    Some(out)
}

fn append_label(out: &mut Vec<u8>, label: &str) {
    let bytes = &label.as_bytes()[..label.len().min(255)];
    out.push(bytes.len() as u8);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_shares_suffixes() {
        assert_eq!(compressed_list("abc.com,xyz.abc.com"), b"\x03abc\x03com\x00\x03xyz\xc0\x00");
        assert_eq!(compressed_list("abc.com,com"), b"\x03abc\x03com\x00\xc0\x04");
        assert_eq!(compressed_list("a.com,b.con"), b"\x01a\x03com\x00\x01b\x03con\x00");
        assert_eq!(compressed_list(",,"), b"");
        assert_eq!(compressed_list(&format!("ok,{}", "x".repeat(256))), b"");
    }

    #[test]
    fn fqdn_is_text_plus_two() {
        assert_eq!(fqdn("ovn.org"), b"\x03ovn\x03org\x00");
        assert_eq!(fqdn("ovn."), b"\x03ovn\x00\x00");
        assert_eq!(fqdn(""), b"\x00\x00");
    }

    #[test]
    fn search_list_is_padded() {
        assert_eq!(search_list("ovn.org").unwrap(), b"\x03ovn\x03org\x00\0\0\0\0\0\0\0");
        assert_eq!(search_list("a.b.c,www.ovn.org").unwrap().len(), 24);
        assert_eq!(search_list(&"x".repeat(246)), None);
    }
}
