//! `evpn/*`: what the kernel's tables say, and what followed from it. The formats are those of controller/neighbor-exchange.c,
//! controller/evpn-binding.c, controller/evpn-fdb.c and controller/evpn-arp.c, OVN 26.03; the order is by VNI and address.

use ovn_core::Agent;
use ovn_core::facts::{EvpnBinding, EvpnNetwork, EvpnNetworks, EvpnVteps};
use ovn_core::flows::evpn::{Mac, address_uuid, group_uuid, mac_uuid};
use ovn_core::view::evpn::{Binding, Switch};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

/// The local switches with a VNI, by VNI.
fn networks(agent: &Agent) -> Vec<Arc<Switch>> {
    let vnis: BTreeSet<u32> = agent.ask(EvpnNetworks).iter().map(|(vni, _)| *vni).collect();
    vnis.into_iter().filter_map(|vni| Some(agent.ask(EvpnNetwork(vni))?.1)).collect()
}

fn binding(agent: &Agent, vni: u32, ip: IpAddr) -> Option<Arc<Binding>> {
    agent.ask(EvpnBinding(vni, ip.into())).here()
}

/// The tunnels of a VNI.
fn bindings(agent: &Agent, vni: u32) -> Vec<Arc<Binding>> {
    agent.ask(EvpnVteps(vni)).iter().filter_map(|ip| binding(agent, vni, *ip)).collect()
}

/// `evpn/remote-vtep-list`.
pub fn remote_vteps(agent: &Agent) -> String {
    let mut text = String::new();
    for switch in networks(agent) {
        let kernel = &agent.model().kernel;
        let vteps = switch.vxlan_devices.iter().flat_map(|device| kernel.vteps(device));
        let vteps: BTreeSet<(IpAddr, u16)> =
            vteps.flat_map(|(ip, ports)| ports.iter().map(move |port| (ip, *port))).collect();
        for (ip, port) in vteps {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "IP: {ip}, port: {port}, vni: {}", switch.vni);
        }
    }
    text
}

/// `evpn/vtep-binding-list`.
pub fn vtep_bindings(agent: &Agent) -> String {
    let mut text = String::new();
    for binding in networks(agent).iter().flat_map(|switch| bindings(agent, switch.vni)) {
        let Binding { vni, datapath_key, remote, ofport, key, .. } = *binding;
        let uuid = binding.uuid();
        let _ = writeln!(
            text,
            "UUID: {uuid}, Remote IP: {remote}, vni: {vni}, binding_key: {key:#x}, tunnel_ofport: {ofport}, \
             dp_key: {datapath_key}"
        );
    }
    text
}

/// `evpn/vtep-multicast-group-list`.
pub fn multicast_groups(agent: &Agent) -> String {
    let mut text = String::new();
    for switch in networks(agent) {
        let remotes: Vec<String> =
            bindings(agent, switch.vni).iter().map(|binding| binding.remote.to_string()).collect();
        if !remotes.is_empty() {
            let (uuid, remotes) = (group_uuid(switch.vni), remotes.join(", "));
            let _ = writeln!(text, "UUID: {uuid}, Remote IPs: {remotes}, vni: {}", switch.vni);
        }
    }
    text
}

/// `evpn/vtep-fdb-list`.
pub fn fdb(agent: &Agent) -> String {
    let mut text = String::new();
    for switch in networks(agent) {
        let mut macs: BTreeMap<u64, Arc<Binding>> = BTreeMap::new();
        for device in &switch.vxlan_devices {
            for (mac, remotes) in agent.model().kernel.macs(device) {
                let known = remotes.iter().find_map(|ip| binding(agent, switch.vni, *ip));
                if let Some(binding) = known {
                    macs.entry(mac).or_insert(binding);
                }
            }
        }
        for (mac, binding) in macs {
            let Binding { vni, datapath_key, key, .. } = *binding;
            let (uuid, mac) = (mac_uuid(vni, mac), Mac(mac));
            let _ =
                writeln!(text, "UUID: {uuid}, MAC: {mac}, vni: {vni}, binding_key: {key:#x}, dp_key: {datapath_key}");
        }
    }
    text
}

/// `evpn/vtep-arp-list`.
pub fn addresses(agent: &Agent) -> String {
    let mut text = String::new();
    for switch in networks(agent) {
        for (ip, mac) in switch.bridges.first().into_iter().flat_map(|device| agent.model().kernel.addresses(device)) {
            let (vni, key) = (switch.vni, switch.datapath_key);
            let (uuid, mac) = (address_uuid(vni, ip, mac), Mac(mac));
            let _ = writeln!(text, "UUID: {uuid}, VNI: {vni}, MAC: {mac}, IP: {ip}, dp_key: {key}");
        }
    }
    text
}
