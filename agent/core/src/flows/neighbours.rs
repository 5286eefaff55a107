//! MAC bindings, learned and static (and told by EVPN, see [`super::evpn`]): IP to MAC, and "is this MAC binding known". `consider_neighbor_flow` of
//! controller/lflow.c, OVN 26.03; sheet 02 section 5.3.

use ofproto_client::{Field, Match};
use ovsdb::{RowId, Str, Uuid};
use std::net::IpAddr;

use super::addresses::parse_mac;
use super::layout::{self, flag};
use super::words::{self, Actions, with};
use crate::facts::{Datapath, IsLocal, PortByName};
use crate::reader::Reader;
use crate::rows::{DatapathBinding, MacBinding, PortBinding, StaticMacBinding};
use crate::units::Output;

/// Priority of a static binding that a learned one may override.
const STATIC: u16 = 50;
/// Priority of a learned binding.
const DYNAMIC: u16 = 100;
/// Priority of a static binding that overrides learned ones.
const STATIC_OVERRIDE: u16 = 150;
/// Priority of what EVPN says, below everything else (dynamic-routing-arp-prefer-local) ...
pub(super) const EVPN_LOW: u16 = 20;
/// ... or above.
pub(super) const EVPN_HIGH: u16 = 200;

/// Flows of a MAC_Binding row.
pub fn mac_binding(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(binding) = r.row::<MacBinding>(row) else { return };
    let Some(port) = local_port(r, binding.logical_port()) else { return };
    match Neighbour::parse(port, binding.ip(), binding.mac()) {
        Ok(neighbour) => {
            neighbour.lookup_flows(DYNAMIC, binding.uuid(), out);
            neighbour.use_flows(binding.uuid(), out);
        }
        Err(why) => out.diagnostics.push(format!("MAC_Binding {}: {why}", binding.uuid())),
    }
}

/// Flows of a Static_MAC_Binding row.
pub fn static_mac_binding(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(binding) = r.row::<StaticMacBinding>(row) else { return };
    let Some(port) = local_port(r, binding.logical_port()) else { return };
    let priority = if binding.override_dynamic_mac() { STATIC_OVERRIDE } else { STATIC };
    match Neighbour::parse(port, binding.ip(), binding.mac()) {
        Ok(neighbour) => neighbour.lookup_flows(priority, binding.uuid(), out),
        Err(why) => out.diagnostics.push(format!("Static_MAC_Binding {}: {why}", binding.uuid())),
    }
}

/// Keys of a logical port and of its datapath, if that is local.
fn local_port(r: &Reader<'_>, lport: &Str) -> Option<(u32, u32)> {
    let port = r.row::<PortBinding>(r.fact(PortByName(lport.clone()))?)?;
    let datapath = r.find_id::<DatapathBinding>(&port.datapath())?;
    if !r.fact(IsLocal(datapath)) {
        return None;
    }
    Some((r.fact(Datapath(datapath))?.key, u32::try_from(port.tunnel_key()).ok()?))
}

/// An IP address with its MAC, seen from a logical port.
pub(super) struct Neighbour {
    pub(super) datapath_key: u32,
    pub(super) port_key: u32,
    pub(super) ip: IpAddr,
    pub(super) mac: u64,
}

impl Neighbour {
    fn parse((datapath_key, port_key): (u32, u32), ip: &str, mac: &str) -> Result<Self, String> {
        Ok(Self {
            datapath_key,
            port_key,
            ip: ip.parse().map_err(|_| format!("ip \"{ip}\" is no address"))?,
            mac: parse_mac(mac).ok_or_else(|| format!("mac \"{mac}\" is no Ethernet address"))?,
        })
    }

    /// IP to MAC, and "is this known".
    pub(super) fn lookup_flows(&self, priority: u16, uuid: Uuid, out: &mut Output) {
        let cookie = u64::from(uuid.short());
        let outport = words::outport(self.datapath_key, self.port_key);
        let get = match self.ip {
            IpAddr::V4(ip) => with(outport, Field::REG0, ip.to_bits()),
            IpAddr::V6(ip) => with(outport, Field::XXREG1, ip.to_bits()),
        };
        let mut actions = Actions::new();
        actions.set(Field::ETH_DST, self.mac).set_flag(flag::LOOKUP_MAC);
        out.flow(layout::MAC_BINDING, priority, cookie, get, &actions.0);
        let known = match self.ip {
            IpAddr::V4(ip) => with(with(self.inport(), Field::ETH_TYPE, words::ETH_ARP), Field::REG0, ip.to_bits()),
            // Type and code of ICMPv6 are as ovn-controller has them: only the code is matched.
            IpAddr::V6(ip) => {
                let icmp = with(with(self.inport(), Field::ETH_TYPE, words::ETH_IPV6), Field::IP_PROTO, 58u8);
                with(with(icmp, Field::ICMPV6_CODE, 0u8), Field::XXREG0, ip.to_bits())
            }
        };
        let mut actions = Actions::new();
        actions.set_flag(flag::LOOKUP_MAC);
        out.flow(layout::MAC_LOOKUP, priority, cookie, known, &actions.0);
    }

    /// Flows that do nothing: their counters say whether the binding is in use.
    fn use_flows(&self, uuid: Uuid, out: &mut Output) {
        let cookie = u64::from(uuid.short());
        let (eth_type, source) = match self.ip {
            IpAddr::V4(ip) => (words::ETH_IP, (Field::IPV4_SRC, u128::from(ip.to_bits()))),
            IpAddr::V6(ip) => (words::ETH_IPV6, (Field::IPV6_SRC, ip.to_bits())),
        };
        let used = with(with(self.inport(), Field::ETH_TYPE, eth_type), source.0, source.1);
        out.flow(layout::MAC_CACHE_USE, DYNAMIC, cookie, used, &[]);
        if let IpAddr::V4(ip) = self.ip {
            let reply = with(with(self.inport(), Field::ETH_TYPE, words::ETH_ARP), Field::ARP_OP, 2u8);
            out.flow(layout::MAC_CACHE_USE, DYNAMIC, cookie, with(reply, Field::ARP_SPA, ip.to_bits()), &[]);
        }
    }

    /// Packets of this MAC that came in on the port.
    fn inport(&self) -> Match {
        with(words::inport(self.datapath_key, self.port_key), Field::ETH_SRC, self.mac)
    }
}
