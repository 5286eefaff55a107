//! Tunnel ports: one for each distinct peer endpoint. `encaps_run` of controller/encaps.c, OVN 26.03; sheet 01 section 5.
//!
//! Unlike ovn-controller we never ask Open vSwitch for two tunnels with one (type, remote IP, local IP): it refuses the second
//! ("File exists"), and each retry burns a port number. Of several chassis that share an endpoint the port keeps the one
//! it is labelled with, else it gets the first by name. An endpoint that is our own address gets no tunnel.

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::{Mutator, Transaction};
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::chassis::encap_types;
use super::operations::NewPort;
use crate::facts::{ChassisName, EncapIps, IntegrationBridge, NorthdOption, Setting, ThisChassis};
use crate::reader::Reader;
use crate::rows::{Bridge, Chassis, Encap, Interface, OpenVSwitch, Port, SbGlobal};
use crate::units::Output;
use crate::view::{flag, is_true};

/// A tunnel that should exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTunnel {
    /// Name of the chassis at the other end.
    pub chassis: Str,
    /// `geneve` or `vxlan`.
    pub kind: Str,
    /// Interface.options, complete.
    pub options: BTreeMap<Str, Str>,
}

/// Type, remote IP, local IP: what Open vSwitch tells tunnels apart by, the key being `flow` always.
type Endpoint = (Str, Str, Str);

impl WantedTunnel {
    fn endpoint(&self) -> Endpoint {
        let option = |key: &str| self.options.get(key).cloned().unwrap_or_default();
        (self.kind.clone(), option("remote_ip"), option("local_ip"))
    }

    /// Port.external_ids:ovn-chassis-id.
    fn chassis_id(&self) -> String {
        let (_, remote, local) = self.endpoint();
        format!("{}@{remote}%{local}", self.chassis)
    }
}

/// See [`super::WriteKey::Tunnels`].
pub fn tunnels(r: &Reader<'_>, out: &mut Output) {
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    if r.fact(ThisChassis).is_none() || !r.features().known {
        return;
    }
    let existing = existing_ports(r, &bridge);
    let wanted = distinct(wanted_tunnels(r, out), &existing, out);
    let used: BTreeSet<Str> = port_names(r, &bridge);
    let mut plan = Plan { bridge: bridge.uuid(), used, prefix: name_prefix(r), local: Transaction::new(), next: 0 };
    let mut kept: BTreeSet<Uuid> = BTreeSet::new();
    let mut missing = Vec::new();
    for tunnel in wanted {
        let port = existing.iter().find(|port| port.endpoint == tunnel.endpoint() && !kept.contains(&port.uuid));
        match port {
            Some(port) => {
                kept.insert(port.uuid);
                plan.adjust(port, &tunnel);
            }
            None => missing.push(tunnel),
        }
    }
    let unwanted: Vec<&Existing> = existing.iter().filter(|port| !kept.contains(&port.uuid)).collect();
    if !unwanted.is_empty() {
        let ports: Datum = unwanted.iter().map(|port| port.uuid).collect();
        plan.local.mutate("Bridge", plan.bridge, vec![("ports", Mutator::Delete, ports)]);
    }
    for tunnel in missing {
        plan.create(&tunnel);
    }
    if !plan.local.is_empty() {
        let name = r.fact(ChassisName).unwrap_or_default();
        out.local.comment(format!("ovn-agent: modifying OVS tunnels '{name}'"));
        out.local.operations.append(&mut plan.local.operations);
    }
}

/// All tunnels that the Chassis table asks for, several for one endpoint included. Own addresses are reported to `out`.
pub fn wanted_tunnels(r: &Reader<'_>, out: &mut Output) -> Vec<WantedTunnel> {
    let (Some(us), Some(name)) = (r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)), r.fact(ChassisName))
    else {
        return Vec::new();
    };
    let types = encap_types(r);
    let ips = r.fact(EncapIps);
    let common = common_options(r);
    let interconn = flag(us.other_config(), "is-interconn");
    let mut wanted = Vec::new();
    for row in r.all::<Chassis>() {
        let Some(peer) = r.row::<Chassis>(row).filter(|peer| *peer.name() != name) else { continue };
        let remote = flag(peer.other_config(), "is-remote");
        if (remote && !interconn) || !zones_overlap(&us, &peer) {
            continue;
        }
        let encaps: Vec<_> = peer.encaps().iter().filter_map(|uuid| r.find::<Encap>(uuid)).collect();
        let Some(kind) = ["geneve", "vxlan"].into_iter().find(|kind| {
            types.iter().any(|ours| ours.as_str() == *kind)
                && encaps.iter().any(|encap| encap.r#type().as_str() == *kind)
        }) else {
            continue;
        };
        for encap in encaps.iter().filter(|encap| encap.r#type().as_str() == kind) {
            if ips.contains(encap.ip()) {
                out.diagnostics.push(format!(
                    "Chassis {} has encap ip {}, which is our own: no tunnel to it",
                    peer.name(),
                    encap.ip()
                ));
                continue;
            }
            wanted.extend(ips.iter().map(|local| WantedTunnel {
                chassis: peer.name().clone(),
                kind: kind.into(),
                options: options(encap, local, &common, peer.name()),
            }));
        }
    }
    wanted
}

/// Options that all tunnels have; `remote_name` is put in place of an empty value.
fn common_options(r: &Reader<'_>) -> BTreeMap<Str, Str> {
    let mut options = BTreeMap::from([(Str::from("key"), Str::from("flow"))]);
    if let Some(tos) = r.fact(Setting("ovn-encap-tos")).filter(|tos| tos.as_str() != "none") {
        options.insert("tos".into(), tos);
    }
    if let Some(df) = r.fact(Setting("ovn-encap-df_default")) {
        options.insert("df_default".into(), df);
    }
    if r.only::<SbGlobal>().is_some_and(|global| global.ipsec()) {
        options.insert("remote_name".into(), Str::default());
        for key in ["ipsec_encapsulation", "ipsec_forceencaps"] {
            if is_true(r.fact(NorthdOption(key)).as_ref()) {
                options.insert(key.into(), "yes".into());
            }
        }
    }
    options
}

fn options(
    encap: &Tracked<'_, Encap, Reader<'_>>,
    local: &Str,
    common: &BTreeMap<Str, Str>,
    peer: &Str,
) -> BTreeMap<Str, Str> {
    let mut options = common.clone();
    if let Some(name) = options.get_mut("remote_name") {
        *name = peer.clone();
    }
    options.insert("remote_ip".into(), encap.ip().clone());
    options.insert("local_ip".into(), local.clone());
    if let Some(csum) = encap.options().get("csum").filter(|csum| ["true", "false"].contains(&csum.as_str())) {
        options.insert("csum".into(), csum.clone());
    }
    if let Some(port) = encap.options().get("dst_port") {
        options.insert("dst_port".into(), port.clone());
    }
    options
}

/// Both in no zone, or in a common one.
fn zones_overlap(us: &Tracked<'_, Chassis, Reader<'_>>, peer: &Tracked<'_, Chassis, Reader<'_>>) -> bool {
    let (ours, theirs) = (us.transport_zones(), peer.transport_zones());
    (ours.is_empty() && theirs.is_empty()) || ours.iter().any(|zone| theirs.contains(zone))
}

/// A tunnel port of ours that exists.
struct Existing {
    uuid: Uuid,
    name: Str,
    chassis_id: Str,
    interface: Uuid,
    endpoint: Endpoint,
    options: BTreeMap<Str, Str>,
    /// It has exactly one interface.
    sound: bool,
}

fn existing_ports(r: &Reader<'_>, bridge: &Tracked<'_, Bridge, Reader<'_>>) -> Vec<Existing> {
    let tunnels = r.lookup(|t: &Table<Port>| t.by_tunnel(true));
    let mut ports: Vec<Existing> = Vec::new();
    for row in tunnels {
        let Some(port) = r.row::<Port>(row).filter(|port| bridge.ports().contains(&port.uuid())) else { continue };
        let Some(interface) = port.interfaces().iter().next().and_then(|uuid| r.find::<Interface>(uuid)) else {
            continue;
        };
        let options: BTreeMap<Str, Str> =
            interface.options().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let option = |key: &str| options.get(key).cloned().unwrap_or_default();
        ports.push(Existing {
            uuid: port.uuid(),
            name: port.name().clone(),
            chassis_id: port.external_ids().get("ovn-chassis-id").cloned().unwrap_or_default(),
            interface: interface.uuid(),
            endpoint: (interface.r#type().clone(), option("remote_ip"), option("local_ip")),
            sound: port.interfaces().len() == 1,
            options,
        });
    }
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    ports
}

/// One tunnel an endpoint.
fn distinct(mut wanted: Vec<WantedTunnel>, existing: &[Existing], out: &mut Output) -> Vec<WantedTunnel> {
    wanted.sort_by(|a, b| (a.endpoint(), &a.chassis).cmp(&(b.endpoint(), &b.chassis)));
    let mut distinct: Vec<WantedTunnel> = Vec::new();
    for group in wanted.chunk_by(|a, b| a.endpoint() == b.endpoint()) {
        let endpoint = group[0].endpoint();
        let label = existing.iter().find(|port| port.endpoint == endpoint).map(|port| port.chassis_id.as_str());
        let holder = group.iter().find(|tunnel| label == Some(tunnel.chassis_id().as_str())).unwrap_or(&group[0]);
        if group.len() > 1 {
            let names: Vec<&str> = group.iter().map(|tunnel| tunnel.chassis.as_str()).collect();
            out.diagnostics.push(format!(
                "chassis {} have the same {} encap ip {}: one tunnel, to {}",
                names.join(", "),
                endpoint.0,
                endpoint.1,
                holder.chassis
            ));
        }
        distinct.push(holder.clone());
    }
    // In the order of names, so that numbers are given out the same way every time.
    distinct.sort_by(|a, b| (&a.chassis, a.endpoint()).cmp(&(&b.chassis, b.endpoint())));
    distinct
}

fn port_names(r: &Reader<'_>, bridge: &Tracked<'_, Bridge, Reader<'_>>) -> BTreeSet<Str> {
    bridge.ports().iter().filter_map(|uuid| r.find::<Port>(uuid)).map(|port| port.name().clone()).collect()
}

/// `ovn`, and the index of this chassis on a host with several: other_config:ovn-chassis-idx-NAME.
pub(super) fn name_prefix(r: &Reader<'_>) -> String {
    let name = r.fact(ChassisName).unwrap_or_default();
    let ovs = r.only::<OpenVSwitch>();
    let index = ovs.and_then(|ovs| ovs.other_config().get(format!("ovn-chassis-idx-{name}").as_str()).cloned());
    format!("ovn{}", index.unwrap_or_default())
}

/// The transaction while it is being made.
struct Plan {
    bridge: Uuid,
    used: BTreeSet<Str>,
    prefix: String,
    local: Transaction,
    next: usize,
}

impl Plan {
    /// The port stays; its label and options become what they should be.
    fn adjust(&mut self, port: &Existing, tunnel: &WantedTunnel) {
        let chassis_id = tunnel.chassis_id();
        if port.chassis_id.as_str() != chassis_id {
            let ids: Datum = [("ovn-chassis-id", chassis_id)].into_iter().collect();
            self.local.update("Port", port.uuid, vec![("external_ids", ids)]);
        }
        if !port.sound {
            self.local.update("Port", port.uuid, vec![("interfaces", port.interface.into())]);
        }
        if port.options != tunnel.options {
            let options = tunnel.options.iter().collect();
            self.local.update("Interface", port.interface, vec![("options", options)]);
        }
    }

    fn create(&mut self, tunnel: &WantedTunnel) {
        let Some(name) = self.free_name(&tunnel.chassis) else { return };
        let (interface, port) = (format!("tunnel_if{}", self.next), format!("tunnel{}", self.next));
        self.next += 1;
        let options = tunnel.options.iter().collect();
        let external_ids = [("ovn-chassis-id", tunnel.chassis_id())].into_iter().collect();
        let new = NewPort { bridge: self.bridge, name: &name, kind: &tunnel.kind, options, external_ids };
        new.create(&interface, &port, &mut self.local);
    }

    /// `ovn-<6 characters of the chassis>-<n>`, n the lowest that is free; interface names have 15 characters at most.
    fn free_name(&mut self, chassis: &str) -> Option<Str> {
        let length = if self.prefix == "ovn" { 6 } else { 5 };
        let short: String = chassis.chars().take(length).collect();
        let mut names = (0..=u16::MAX).map(|n| Str::from(format!("{}-{short}-{n:x}", self.prefix)));
        let name = names.find(|name| !self.used.contains(name))?;
        self.used.insert(name.clone());
        Some(name)
    }
}
