//! Composed packets are those that Open vSwitch's own `ovs-ofctl compose-packet` makes; and where that is known to be wrong, those written here.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]

use ofproto_client::Match;
use ovn_packet::checksum::{Internet, crc32c};
use ovn_packet::compose;
use std::process::Command;

/// Both Ethernet addresses, in the words of ovs-ofctl.
const ETHERNET: &str = "eth_src=50:54:00:00:00:01,eth_dst=50:54:00:00:00:02";

fn packet(fields: &str) -> Vec<u8> {
    compose(&fields.parse::<Match>().unwrap_or_else(|error| panic!("{fields}: {error}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What Open vSwitch makes of the fields. It prints lines of an offset and 16 bytes.
fn made_by_ovs(fields: &str) -> String {
    let output = Command::new("ovs-ofctl").args(["compose-packet", fields]).output();
    let output =
        output.unwrap_or_else(|error| panic!("cannot run ovs-ofctl ({error}): apt install openvswitch-common"));
    // It fails when a field that it does not print is not found again, behind the packet.
    assert!(!output.stdout.is_empty(), "{fields}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Bytes are separated by a space, or a dash in the middle of a line; text, if there is any, is behind a bar.
    let bytes = text.lines().filter_map(|line| line.split('|').next()?.split_once(' ')).map(|(_, bytes)| bytes);
    bytes.flat_map(|bytes| bytes.split([' ', '-'])).collect()
}

#[test]
fn packets_are_those_that_open_vswitch_makes() {
    let ip4 = "eth_type=0x800,ip_src=10.0.0.1,ip_dst=10.0.0.2,nw_ttl=64";
    let ip6 = "eth_type=0x86dd,ipv6_src=fd00::1,ipv6_dst=fd00::2,nw_ttl=64,ipv6_label=0x12345";
    let mut all = vec![
        "eth_type=0x800".to_owned(),
        "eth_type=0x86dd".to_owned(),
        "eth_type=0x88cc".to_owned(),
        "vlan_tci=0xb007,eth_type=0x88cc".to_owned(),
        "vlan_tci=0x1007,eth_type=0x800,ip_src=10.0.0.1,nw_ttl=64,nw_proto=17,udp_dst=53".to_owned(),
        "eth_type=0x8035,arp_op=1,arp_spa=10.0.0.1".to_owned(),
        "eth_type=0x806,arp_op=1,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=50:54:00:00:00:01".to_owned(),
        "eth_type=0x806,arp_op=2,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=50:54:00:00:00:01,arp_tha=50:54:00:00:00:02"
            .to_owned(),
        format!("{ip4},ip_dscp=46,nw_ecn=1,ip_frag=no"),
        format!("{ip4},ip_frag=first,nw_proto=17,udp_src=1024,udp_dst=53"),
        format!("{ip4},ip_frag=later,nw_proto=6"),
        format!("{ip4},nw_proto=1"),
        format!("{ip4},nw_proto=2"),
        format!("{ip6},nw_proto=58"),
        format!("{ip6},ip_dscp=46,nw_ecn=3,nw_proto=253"),
        // The checksum of this one is 0, which UDP writes as ffff.
        format!("{ip4},nw_proto=17,udp_src=0,udp_dst={}", udp_port_without_checksum()),
    ];
    for ip in [ip4, ip6] {
        all.extend([
            format!("{ip},nw_proto=6,tcp_src=1024,tcp_dst=80"),
            format!("{ip},nw_proto=6,tcp_src=1024,tcp_dst=80,tcp_flags=0x2"),
            format!("{ip},nw_proto=6,tcp_src=1024,tcp_dst=80,tcp_flags=0x18"),
            format!("{ip},nw_proto=6,tcp_flags=0x104"),
            format!("{ip},nw_proto=17,udp_src=1024,udp_dst=53"),
            format!("{ip},nw_proto=253"),
        ]);
    }
    for (kind, code) in [(8, 0), (0, 0), (8, 1), (3, 4), (11, 0)] {
        all.push(format!("{ip4},nw_proto=1,icmp_type={kind},icmp_code={code}"));
    }
    for (kind, code) in [(128, 0), (129, 0), (128, 1), (1, 3), (133, 0), (135, 1)] {
        all.push(format!("{ip6},nw_proto=58,icmpv6_type={kind},icmpv6_code={code}"));
    }
    let nd = |kind: u8| format!("{ip6},nw_proto=58,icmpv6_type={kind},icmpv6_code=0");
    all.extend([
        nd(135),
        format!("{},nd_target=fd00::2", nd(135)),
        format!("{},nd_target=fd00::2,nd_sll=50:54:00:00:00:01", nd(135)),
        format!("{},nd_target=fd00::2,nd_tll=50:54:00:00:00:02", nd(136)),
    ]);
    for fields in all {
        let fields = format!("{ETHERNET},{fields}");
        assert_eq!(hex(&packet(&fields)), made_by_ovs(&fields), "{fields}");
    }
}

/// The destination port with which the datagram above has the checksum 0: what its checksum is without one.
fn udp_port_without_checksum() -> u16 {
    let without = packet("eth_type=0x800,nw_proto=17,ip_src=10.0.0.1,ip_dst=10.0.0.2");
    u16::from_be_bytes([without[40], without[41]])
}

/// What Open vSwitch makes otherwise, or cannot be told to make.
#[test]
fn packets_by_hand() {
    let ethernet = "505400000002505400000001";
    for (fields, expected) in [
        // Tags by other fields, and none.
        ("dl_vlan=7,eth_type=0x88cc".to_owned(), format!("{ethernet}8100000788cc")),
        ("vlan_tci=0/0x1000,eth_type=0x88cc".to_owned(), format!("{ethernet}88cc")),
        (String::new(), format!("{ethernet}0000")),
        // RARP has the fields of ARP, whatever the operation.
        (
            "eth_type=0x8035,arp_op=3,arp_sha=50:54:00:00:00:01,arp_tha=50:54:00:00:00:01,arp_spa=10.0.0.1".to_owned(),
            format!("{ethernet}803500010800060400035054000000010a00000150540000000100000000"),
        ),
        // Fields that a packet does not have are not in it.
        ("eth_type=0x88cc,reg0=5,metadata=7".to_owned(), format!("{ethernet}88cc")),
    ] {
        assert_eq!(hex(&packet(&format!("{ETHERNET},{fields}"))), expected, "{fields}");
    }
}

/// SCTP's checksum is right: without it the CRC over the packet is what it says.
#[test]
fn sctp_has_its_checksum() {
    for ip in ["eth_type=0x800,ip_src=10.0.0.1,ip_dst=10.0.0.2", "eth_type=0x86dd,ipv6_src=::1,ipv6_dst=::2"] {
        let frame = packet(&format!("{ip},nw_proto=132,sctp_src=1024,sctp_dst=7"));
        let mut header = frame[frame.len() - 12..].to_vec();
        assert_eq!(header[..8], [4, 0, 0, 7, 0, 0, 0, 0]);
        let sum: [u8; 4] = header.split_off(8).try_into().unwrap();
        header.extend([0; 4]);
        assert_eq!(crc32c(&header), sum);
        // From another implementation, by table and in Python.
        assert_eq!(sum, [0x87, 0x2b, 0xc7, 0x29]);
    }
}

/// A receiver finds the sums right: over everything they protect, themselves included, they come to 0.
#[test]
fn checksums_add_up() {
    let frame = packet("eth_type=0x800,ip_src=10.0.0.1,ip_dst=10.0.0.2,nw_proto=6,tcp_src=1,tcp_dst=2");
    let (header, segment) = (&frame[14..34], &frame[34..]);
    assert_eq!(Internet::new().over(header).finish(), 0);
    let length = u16::try_from(segment.len()).unwrap().to_be_bytes();
    let pseudo = [&header[12..20], &[0, 6], &length].concat();
    assert_eq!(Internet::new().over(&pseudo).over(segment).finish(), 0);
}
