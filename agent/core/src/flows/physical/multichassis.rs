//! Ports that are on several chassis at once, while they move: traffic between them and others has to use tunnels even where
//! there is a physical network, and what does not fit into a tunnel is answered. Sheet 02 section 4.5.

use ofproto_client::action::Controller;
use ofproto_client::{Action, Field, Match, Subfield, encode_actions};

use super::{Lport, remote};
use crate::facts::{MultichassisPorts, VifInterface};
use crate::flows::layout::{self, FLAGS, INPORT, OUTPORT, flag};
use crate::flows::words::{self, Actions, ETH_IP, ETH_IPV6};
use crate::units::Output;
use crate::view::tunnels::{Tunnel, TunnelKind};

/// northd's REGBIT_PKT_LARGER.
const PKT_LARGER: Subfield = Subfield { field: Field::REG9, ofs: 1, n_bits: 1 };
/// Controller opcode that makes an ICMP error of the packet.
const OPCODE_ICMP: u32 = 10;
/// Octets of an Ethernet header and checksum.
const ETHERNET_OVERHEAD: u32 = 18;

/// Tunnels from every multichassis port of the datapath to this port, which others reach through the localnet port.
pub(super) fn enforce_tunnels(lport: &Lport<'_>, out: &mut Output) {
    let r = lport.r;
    let ports = r.fact(MultichassisPorts(lport.datapath));
    if ports.is_empty() {
        return;
    }
    let tunnels = remote::remote_tunnels(lport, &remote::remote_ends(lport), None);
    if tunnels.is_empty() {
        return;
    }
    for port in ports.iter().filter_map(|&row| Lport::new(r, row)) {
        let mut actions = Actions::new();
        remote::before_tunnel(lport, &mut actions);
        if !remote::put_tunnels(lport, &tunnels, &mut actions) {
            return;
        }
        let match_ = words::with(lport.outport(), INPORT, port.key);
        lport.flow(out, layout::REMOTE_OUTPUT, 110, match_, &actions);
        if let Some(mtu) = effective_mtu(&port, &tunnels) {
            answer_large_packets(lport, &port, mtu, out);
        }
    }
}

/// What fits into all of the tunnels; `None` when the port's MTU is not known.
fn effective_mtu(port: &Lport<'_>, tunnels: &[Tunnel]) -> Option<u16> {
    let mtu = port.r.fact(VifInterface(port.pb.logical_port().clone()))?.mtu;
    let overhead = |tunnel: &Tunnel| {
        let header = match tunnel.kind {
            TunnelKind::Geneve => 38,
            TunnelKind::Vxlan => 30,
        };
        header + if tunnel.remote_ip.contains(':') { 40 } else { 20 }
    };
    let overhead = tunnels.iter().map(overhead).max()?;
    u16::try_from(mtu.checked_sub(overhead)?).ok().filter(|_| mtu != 0)
}

/// IPv4 and IPv6, to and from the multichassis port.
fn answer_large_packets(lport: &Lport<'_>, port: &Lport<'_>, mtu: u16, out: &mut Output) {
    for is_ipv6 in [false, true] {
        for direction in [INPORT, OUTPORT] {
            let match_ = words::with(Match::new(), Field::METADATA, lport.dp_key);
            let match_ = words::with(match_, Field::ETH_TYPE, if is_ipv6 { ETH_IPV6 } else { ETH_IP });
            let match_ = words::with(match_, direction, port.key);
            let mut detect = Actions::new();
            detect
                .push(Action::CheckPktLarger { pkt_len: mtu, dst: PKT_LARGER })
                .resubmit(layout::OUTPUT_LARGE_PKT_PROCESS);
            lport.flow(out, layout::OUTPUT_LARGE_PKT_DETECT, 100, match_.clone(), &detect);

            let mut answer = Actions::new();
            answer.push(icmp_error(mtu, is_ipv6));
            let too_large = words::with_bits(match_, PKT_LARGER, 1u8);
            lport.flow(out, layout::OUTPUT_LARGE_PKT_PROCESS, 100, too_large, &answer);
        }
    }
}

/// "Packet too big", sent back into the ingress pipeline.
fn icmp_error(mtu: u16, is_ipv6: bool) -> Action {
    let frag_mtu = u32::from(mtu).saturating_sub(ETHERNET_OVERHEAD);
    let mut inner = Actions::new();
    inner
        .load(PKT_LARGER, 0u8)
        .load(Subfield::new(FLAGS, flag::ALLOW_LOOPBACK, 1), 1u8)
        .exchange(INPORT, OUTPORT)
        .exchange(Field::ETH_DST, Field::ETH_SRC);
    if is_ipv6 {
        inner.exchange(Field::IPV6_DST, Field::IPV6_SRC);
    } else {
        inner.exchange(Field::IPV4_DST, Field::IPV4_SRC);
    }
    inner.push(Action::SetTtl(255));
    let mut note = b"ovn\0".to_vec();
    if is_ipv6 {
        inner.set(Field::ICMPV6_TYPE, 2u8).set(Field::ICMPV6_CODE, 0u8);
        note.extend_from_slice(&[0, 1, 0, 0]);
        note.extend_from_slice(&frag_mtu.to_be_bytes());
    } else {
        inner.set(Field::ICMPV4_TYPE, 3u8).set(Field::ICMPV4_CODE, 4u8);
        note.extend_from_slice(&[0, 0, 0, 0]);
        note.extend_from_slice(&(frag_mtu as u16).to_be_bytes());
    }
    inner.push(Action::Note(note.into())).resubmit(layout::LOG_INGRESS);

    let mut userdata = bytes::BytesMut::from(&super::activation::controller_header(OPCODE_ICMP)[..]);
    encode_actions(&inner.0, &mut userdata);
    Action::Controller(Box::new(Controller { pause: true, ..Controller::new(&userdata[..]) }))
}
