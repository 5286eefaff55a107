//! OVN's words for OpenFlow: action lists ([`Actions`]) and matches named after what they mean in the logical network, on which
//! all physical flows are built.

use ofproto_client::{Action, Field, Match, Subfield, action::PORT_NONE};

use super::layout::{self, CT_ZONE, DNAT_ZONE, FLAGS, INPORT, OUTPORT, SNAT_ZONE};
use crate::view::zones::PortZones;

/// Number of scratch registers that logical flows own: reg0 to reg9.
const LOG_REGS: u8 = 10;

/// A list of actions being written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions(pub Vec<Action>);

impl Actions {
    /// The empty list: drop.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds any action.
    pub fn push(&mut self, action: Action) -> &mut Self {
        self.0.push(action);
        self
    }

    /// Value into some bits.
    pub fn load(&mut self, dst: Subfield, value: impl Into<u128>) -> &mut Self {
        self.push(Action::load(dst, value.into()))
    }

    /// Value into a whole field.
    pub fn set(&mut self, field: Field, value: impl Into<u128>) -> &mut Self {
        self.push(Action::SetField { field, value: value.into(), mask: u128::MAX })
    }

    /// Copies bits.
    pub fn copy(&mut self, src: Subfield, dst: Subfield) -> &mut Self {
        self.push(Action::Move { src, dst })
    }

    /// Sets one logical flag (a bit of reg10).
    pub fn set_flag(&mut self, flag: u16) -> &mut Self {
        self.load(Subfield::new(FLAGS, flag, 1), 1u8)
    }

    /// Goes on in `table`, and comes back.
    pub fn resubmit(&mut self, table: u8) -> &mut Self {
        self.push(Action::resubmit(table))
    }

    /// Out of a port of the switch.
    pub fn output(&mut self, ofport: u16) -> &mut Self {
        self.push(Action::output(u32::from(ofport)))
    }

    /// Loads the zones that exist: port, DNAT, SNAT.
    pub fn load_zones(&mut self, zones: PortZones) -> &mut Self {
        if zones.ct != 0 {
            self.load(CT_ZONE, zones.ct);
        }
        if zones.dnat != 0 {
            self.set(DNAT_ZONE, zones.dnat);
        }
        if zones.snat != 0 {
            self.set(SNAT_ZONE, zones.snat);
        }
        self
    }

    /// Makes the packet one that came in on a logical port.
    pub fn load_inport(&mut self, datapath_key: u32, port_key: u32) -> &mut Self {
        self.set(Field::METADATA, datapath_key).set(INPORT, port_key)
    }

    /// Sets the logical output port.
    pub fn load_outport(&mut self, port_key: u32) -> &mut Self {
        self.set(OUTPORT, port_key)
    }

    /// Which of our encap IPs tunnels are to use.
    pub fn load_encap_id(&mut self, id: u16) -> &mut Self {
        self.load(layout::ENCAP_ID, id)
    }

    /// Zeroes reg0 to reg9.
    pub fn clear_log_regs(&mut self) -> &mut Self {
        for n in 0..LOG_REGS {
            self.set(Field::reg(n), 0u8);
        }
        self
    }

    /// Zeroes reg0 to reg9, all but the half of reg5 that keeps the tunnel's ofport.
    pub fn clear_log_regs_but_tunnel(&mut self) -> &mut Self {
        for n in (0..LOG_REGS).filter(|&n| Field::reg(n) != TUN_OFPORT.field) {
            self.set(Field::reg(n), 0u8);
        }
        self.load(Subfield::new(TUN_OFPORT.field, 0, 16), 0u8)
    }

    /// Forgets the ingress port, so that the switch lets the packet out where it came in.
    pub fn clear_in_port(&mut self) -> &mut Self {
        self.set(Field::IN_PORT, PORT_NONE)
    }

    /// Forgets the ingress port for as long as `inner` lasts.
    pub fn without_in_port(&mut self, inner: impl FnOnce(&mut Self)) -> &mut Self {
        self.push(Action::StackPush(Field::IN_PORT.whole())).clear_in_port();
        inner(self);
        self.push(Action::StackPop(Field::IN_PORT.whole()))
    }

    /// Exchanges two fields.
    pub fn exchange(&mut self, a: Field, b: Field) -> &mut Self {
        self.push(Action::StackPush(a.whole()))
            .push(Action::StackPush(b.whole()))
            .push(Action::StackPop(a.whole()))
            .push(Action::StackPop(b.whole()))
    }

    /// Tags the frame.
    pub fn push_vlan(&mut self, ethertype: u16, tag: u16) -> &mut Self {
        self.push(Action::PushVlan(ethertype)).set(Field::VLAN_VID, tag | VLAN_PRESENT)
    }

    /// Removes the tag.
    pub fn strip_vlan(&mut self) -> &mut Self {
        self.push(Action::PopVlan)
    }
}

/// The bit of a VLAN TCI that says there is a tag (OpenFlow's OFPVID_PRESENT).
pub const VLAN_PRESENT: u16 = 0x1000;
/// Where the ofport of the tunnel is kept that a packet came from.
pub const TUN_OFPORT: Subfield = Subfield { field: Field::REG5, ofs: 16, n_bits: 16 };

/// Any packet.
pub fn any() -> Match {
    Match::new()
}

/// Packets from a port of the switch.
pub fn in_port(ofport: u16) -> Match {
    with(Match::new(), Field::IN_PORT, ofport)
}

/// Packets that came in on a logical port.
pub fn inport(datapath_key: u32, port_key: u32) -> Match {
    with(with(Match::new(), Field::METADATA, datapath_key), INPORT, port_key)
}

/// Packets that go out on a logical port.
pub fn outport(datapath_key: u32, port_key: u32) -> Match {
    with(with(Match::new(), Field::METADATA, datapath_key), OUTPORT, port_key)
}

/// The match with one field more.
pub fn with(mut match_: Match, field: Field, value: impl Into<u128>) -> Match {
    match_.set(field, value.into());
    match_
}

/// The match with some bits more.
pub fn with_bits(mut match_: Match, bits: Subfield, value: impl Into<u128>) -> Match {
    match_.set_subfield(bits, value.into());
    match_
}

/// The match for packets with logical flag `flag` set or not.
pub fn with_flag(match_: Match, flag: u16, set: bool) -> Match {
    with_bits(match_, Subfield::new(FLAGS, flag, 1), u8::from(set))
}

/// The match for frames with this tag, whatever their priority.
pub fn with_vlan(mut match_: Match, tag: u16) -> Match {
    match_.set_masked(Field::VLAN_VID, u128::from((tag & 0xfff) | VLAN_PRESENT), 0x1fff);
    match_
}

/// The match for frames without a tag.
pub fn without_vlan(mut match_: Match) -> Match {
    match_.set_masked(Field::VLAN_VID, 0, u128::from(VLAN_PRESENT));
    match_
}

/// EtherType of IPv4.
pub const ETH_IP: u16 = 0x0800;
/// EtherType of ARP.
pub const ETH_ARP: u16 = 0x0806;
/// EtherType of RARP.
pub const ETH_RARP: u16 = 0x8035;
/// EtherType of IPv6.
pub const ETH_IPV6: u16 = 0x86dd;

/// The match for ICMP of this type and code.
pub fn with_icmp4(match_: Match, kind: u8, code: u8) -> Match {
    let match_ = with(with(match_, Field::ETH_TYPE, ETH_IP), Field::IP_PROTO, 1u8);
    with(with(match_, Field::ICMPV4_TYPE, kind), Field::ICMPV4_CODE, code)
}

/// The match for ICMPv6 of this type and code.
pub fn with_icmp6(match_: Match, kind: u8, code: u8) -> Match {
    let match_ = with(with(match_, Field::ETH_TYPE, ETH_IPV6), Field::IP_PROTO, 58u8);
    with(with(match_, Field::ICMPV6_TYPE, kind), Field::ICMPV6_CODE, code)
}
