//! Tunnel headers: how datapath and ports travel between chassis. Sheet 02 sections 1.5 and 4.1.

use ofproto_client::{Field, Subfield};
use std::net::IpAddr;

use super::layout::{INPORT, OUTPORT};
use super::words::{Actions, TUN_OFPORT};
use crate::view::tunnels::TunnelKind;

/// First key of multicast groups.
const MIN_MULTICAST: u32 = 0x8000;
/// The same in the 12 bits that VXLAN has.
const VXLAN_MIN_MULTICAST: u32 = 0x800;
/// Tunnel id bits that carry a key.
const TUN_ID: Subfield = Subfield { field: Field::TUN_ID, ofs: 0, n_bits: 24 };
/// Tunnel id bits with the datapath in VXLAN.
const VXLAN_DATAPATH: Subfield = Subfield { field: Field::TUN_ID, ofs: 0, n_bits: 12 };
/// Tunnel id bits with the port in VXLAN.
const VXLAN_PORT: Subfield = Subfield { field: Field::TUN_ID, ofs: 12, n_bits: 12 };
/// The logical input port as the Geneve option holds it.
const INPORT_15: Subfield = Subfield { field: INPORT, ofs: 0, n_bits: 15 };

/// The encapsulation of one kind of tunnel, with what it needs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Encap {
    /// Geneve; the number of the tun_metadata field that our option is mapped to.
    Geneve(u8),
    /// VXLAN.
    Vxlan,
}

impl Encap {
    /// Of this kind of tunnel; `None` while the Geneve option is not negotiated with the switch.
    pub fn of(kind: TunnelKind, geneve_option: Option<u8>) -> Option<Self> {
        match kind {
            TunnelKind::Geneve => geneve_option.map(Encap::Geneve),
            TunnelKind::Vxlan => Some(Encap::Vxlan),
        }
    }

    /// Bits of the Geneve option.
    fn option(n: u8, ofs: u16, n_bits: u16) -> Subfield {
        Subfield::new(Field::tun_metadata(n), ofs, n_bits)
    }

    /// Writes the header for a packet on `datapath_key` to `port_key`. A `ramp` (VTEP gateway) learns no port.
    pub fn put(self, actions: &mut Actions, datapath_key: u32, port_key: u32, ramp: bool) {
        match self {
            Encap::Geneve(n) => {
                actions
                    .load(TUN_ID, datapath_key)
                    .set(Field::tun_metadata(n), port_key & 0xffff)
                    .copy(INPORT_15, Self::option(n, 16, 15));
            }
            Encap::Vxlan => {
                let port = if ramp { 0 } else { vxlan_port_key(port_key) };
                actions.load(TUN_ID, datapath_key | port << 12);
            }
        }
    }

    /// Writes the header for a packet whose outport is not known, to be flooded to other availability zones.
    pub fn put_flood(self, actions: &mut Actions) {
        match self {
            Encap::Geneve(n) => {
                actions
                    .copy(Subfield::new(Field::METADATA, 0, 24), TUN_ID)
                    .set(Field::tun_metadata(n), 0u8)
                    .copy(INPORT_15, Self::option(n, 16, 15));
            }
            Encap::Vxlan => {
                actions
                    .copy(Subfield::new(INPORT, 0, 12), VXLAN_PORT)
                    .copy(Subfield::new(Field::METADATA, 0, 12), VXLAN_DATAPATH);
            }
        }
    }

    /// Writes the header for a packet that goes back through the tunnel it came from, as if from `port_key`. It is Geneve's
    /// whatever the tunnel is (physical.c `send_traffic_by_tunnel`, OVN 26.03); `option` is our Geneve option's field.
    pub fn put_back(actions: &mut Actions, option: u8, datapath_key: u32, port_key: u32) {
        actions
            .load(TUN_ID, datapath_key)
            .copy(OUTPORT.whole(), Self::option(option, 0, 32))
            .load(Self::option(option, 16, 15), port_key);
    }

    /// Reads the header of a packet from tunnel `ofport`.
    pub fn take(self, actions: &mut Actions, ofport: u16) {
        match self {
            Encap::Geneve(n) => {
                actions
                    .copy(TUN_ID, Subfield::new(Field::METADATA, 0, 24))
                    .copy(Self::option(n, 16, 15), INPORT_15)
                    .copy(Self::option(n, 0, 16), Subfield::new(OUTPORT, 0, 16))
                    .load(TUN_OFPORT, ofport);
            }
            Encap::Vxlan => {
                actions
                    .copy(VXLAN_PORT, Subfield::new(OUTPORT, 0, 12))
                    .copy(VXLAN_DATAPATH, Subfield::new(Field::METADATA, 0, 12));
            }
        }
    }

    /// Reads a VXLAN header that carries the key of a multicast group.
    pub fn take_vxlan_multicast(actions: &mut Actions) {
        actions
            .load(Subfield::new(OUTPORT, 15, 1), 1u8)
            .copy(Subfield::new(Field::TUN_ID, 12, 11), Subfield::new(OUTPORT, 0, 11))
            .copy(VXLAN_DATAPATH, Subfield::new(Field::METADATA, 0, 12));
    }

    /// Reads a VXLAN header from a VTEP gateway: all of it is the datapath.
    pub fn take_ramp(actions: &mut Actions) {
        actions.copy(TUN_ID, Subfield::new(Field::METADATA, 0, 24));
    }
}

/// The 12 bits that VXLAN has for a port: of a multicast group's key, the flag and 11 bits.
fn vxlan_port_key(port_key: u32) -> u32 {
    if port_key >= MIN_MULTICAST {
        VXLAN_MIN_MULTICAST | (port_key & (VXLAN_MIN_MULTICAST - 1))
    } else {
        port_key & 0xfff
    }
}

/// Bit of the tunnel id that says "multicast" in VXLAN.
pub const VXLAN_MULTICAST_BIT: Subfield = Subfield { field: Field::TUN_ID, ofs: 23, n_bits: 1 };

/// Sets both ends of a flow-based tunnel. `false`, and nothing is written, when an address is none.
pub fn put_tunnel_ends(actions: &mut Actions, local: &str, remote: &str) -> bool {
    let (Ok(local), Ok(remote)) = (local.parse::<IpAddr>(), remote.parse::<IpAddr>()) else { return false };
    put_tunnel_source(actions, local);
    put_tunnel_destination(actions, remote);
    true
}

/// Sets our own end.
pub fn put_tunnel_source(actions: &mut Actions, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => actions.set(Field::TUN_SRC, ip.to_bits()),
        IpAddr::V6(ip) => actions.set(Field::TUN_IPV6_SRC, ip.to_bits()),
    };
}

/// Sets the other end.
pub fn put_tunnel_destination(actions: &mut Actions, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => actions.set(Field::TUN_DST, ip.to_bits()),
        IpAddr::V6(ip) => actions.set(Field::TUN_IPV6_DST, ip.to_bits()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vxlan_keys_keep_multicast_apart() {
        assert_eq!(vxlan_port_key(5), 5);
        assert_eq!(vxlan_port_key(0x8000), 0x800);
        assert_eq!(vxlan_port_key(0x8804), 0x804);
    }

    #[test]
    fn ramps_get_no_port() {
        let mut actions = Actions::new();
        Encap::Vxlan.put(&mut actions, 3, 7, true);
        let mut expected = Actions::new();
        expected.load(TUN_ID, 3u8);
        assert_eq!(actions, expected);
    }

    #[test]
    fn bad_tunnel_ends_write_nothing() {
        let mut actions = Actions::new();
        assert!(!put_tunnel_ends(&mut actions, "10.0.0.1", "x"));
        assert!(actions.is_empty());
    }
}
