//! Tunnel ports: one for each distinct peer endpoint. `encaps_run` of controller/encaps.c, OVN 26.03; sheet 01 section 5. Which there
//! should be is the business of [`crate::view::peers`]; here a port is made, adjusted or removed.
//!
//! Unlike ovn-controller we never ask Open vSwitch for two tunnels with one (type, remote IP, local IP): it refuses the second
//! ("File exists"), and takes a new port number for every attempt, which it repeats whenever anything in its database changes. For the same
//! reason a port whose chassis gets another address or encapsulation is changed in place: the switch keeps its number.

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::{Mutator, Transaction};
use ovsdb::{Local, RowId, Str, Uuid};
use std::collections::BTreeMap;

use super::numbers::{TunnelNumbers, name};
use super::operations::NewPort;
use crate::engine::NodeId;
use crate::facts::{self, EndpointPorts, TunnelPlan};
use crate::pools::fnv1a;
use crate::reader::Reader;
use crate::rows::{Bridge, Interface, OpenVSwitch, Port};
use crate::units::Output;
use crate::view::interfaces::usable_ofport;
use crate::view::peers::{Endpoint, LocalEnd, MARK, WantedTunnel, retargeted, wanted_of};
use crate::view::tunnels::TunnelKind;

/// Port.external_ids key of the ports of flow-based tunnelling.
const KIND: &str = "ovn-tunnel-type";
/// Port.external_ids:ovn-chassis-id of those.
const FLOW: &str = "flow";
/// Numbers in the names of tunnel ports are below this.
const MAX_NUMBER: u32 = 65_536;
/// OpenFlow ports that Open vSwitch gives by itself are below this.
const MAX_OFPORT: u32 = 32_768;

/// A tunnel port to be made; all but its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NewTunnel {
    /// What the name begins with.
    pub prefix: Str,
    /// Port.external_ids:ovn-chassis-id.
    pub label: String,
    /// Interface.type.
    pub kind: &'static str,
    /// Interface.options.
    pub options: BTreeMap<Str, Str>,
    /// The integration bridge.
    pub bridge: Uuid,
    /// A remark for the database's log.
    pub comment: String,
}

/// See [`super::WriteKey::PeerTunnels`].
pub fn peer_tunnels(r: &Reader<'_>, chassis: RowId, out: &mut Output) {
    let Some(us) = r.fact(facts::LocalEnd) else { return };
    let Some(plan) = r.fact(TunnelPlan(chassis)) else { return };
    out.diagnostics.extend(plan.diagnostics.iter().cloned());
    out.new_tunnels.extend(plan.create.iter().map(|wanted| NewTunnel {
        prefix: name_start(&us.prefix, &wanted.chassis),
        label: wanted.label(),
        kind: wanted.endpoint.kind.name(),
        options: wanted.options.clone(),
        bridge: us.bridge,
        comment: comment(&us),
    }));
}

/// See [`super::WriteKey::TunnelPort`].
pub fn tunnel_port(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(us) = r.fact(facts::LocalEnd) else { return };
    let Some(port) = r.row::<Port>(row) else { return };
    let bridges = r.lookup(|table: &Table<Bridge>| table.by_port(port.uuid()));
    let Some(&bridge) = bridges.first() else { return };
    if r.fact(facts::IntegrationBridge) != Some(bridge) {
        // Left behind on what was the integration bridge once; the index in the name says whose it is.
        if port.name().strip_prefix(us.prefix.as_str()).is_some_and(|rest| rest.starts_with('-'))
            && let Some(bridge) = r.row::<Bridge>(bridge)
        {
            remove(&us, bridge.uuid(), port.uuid(), out);
        }
        return;
    }
    if us.flow_based && port.external_ids().get(MARK).is_some_and(|id| id == FLOW) {
        let is_wanted =
            |kind: &TunnelKind| port.name() == &shared_name(&us, *kind) && us.addresses(*kind).next().is_some();
        if [TunnelKind::Geneve, TunnelKind::Vxlan].iter().any(is_wanted) {
            complain_if_refused(r, &port, "flow-based tunnels", out);
            return;
        }
    }
    match wanted_of(r, &us, &port).or_else(|| retargeted(r, &port)) {
        Some(wanted) => {
            adjust(r, &us, &port, &wanted, out);
            complain_if_refused(r, &port, &format!("chassis {}", wanted.chassis), out);
        }
        None => remove(&us, us.bridge, port.uuid(), out),
    }
}

/// See [`super::WriteKey::SharedTunnels`].
pub fn shared_tunnels(r: &Reader<'_>, out: &mut Output) {
    let Some(us) = r.fact(facts::LocalEnd).filter(|us| us.flow_based) else { return };
    if us.ipsec {
        out.diagnostics.push("IPsec is not supported with flow-based tunnels. Ignoring IPsec settings.".to_owned());
    }
    for kind in [TunnelKind::Geneve, TunnelKind::Vxlan] {
        let name = shared_name(&us, kind);
        if us.addresses(kind).next().is_none() || r.lookup_one(|t: &Table<Port>| t.by_name(&name)).is_some() {
            continue;
        }
        let ends = [("remote_ip", FLOW), ("local_ip", FLOW), ("key", FLOW)];
        let mut options: BTreeMap<Str, Str> =
            ends.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))).collect();
        for key in ["tos", "df_default"] {
            options.extend(us.options.get(key).map(|value| (Str::from(key), value.clone())));
        }
        let external_ids = [(MARK, FLOW), (KIND, kind.name())].into_iter().collect();
        let new = NewPort {
            bridge: us.bridge,
            name: &name,
            kind: kind.name(),
            options: options.iter().collect(),
            external_ids,
        };
        out.local.comment(comment(&us));
        new.create(&format!("{}_if", kind.name()), &format!("{}_port", kind.name()), &mut out.local);
    }
}

/// The transactions that make these ports, each with the lowest number that is free in its name. Which gets which does not depend on the
/// order in which they are given. `numbers` are those of `local`.
///
/// Open vSwitch gives every new port an OpenFlow port number that nobody had in the last hour. A number in the column in which it
/// puts the one that it gives (it reads it there when it starts again) is taken as a wish, and heeded if nobody has the number. So
/// numbers of ports that are gone are used again, and chassis that come and go do not use them up. (`ofport_request` would be an
/// order: who has the number by then loses it.)
pub fn create_tunnels(
    local: &Local,
    numbers: &TunnelNumbers,
    mut tunnels: Vec<(NodeId, &NewTunnel)>,
) -> BTreeMap<NodeId, Transaction> {
    tunnels.sort_unstable_by_key(|(_, tunnel)| *tunnel);
    let mut ofports = numbers.free_ofports().take_while(|number| *number < MAX_OFPORT);
    let is_free =
        |name: &String| local.port.by_name(name).next().is_none() && local.interface.by_name(name).next().is_none();
    let mut transactions: BTreeMap<NodeId, Transaction> = BTreeMap::new();
    for alike in tunnels.chunk_by(|(_, a), (_, b)| a.prefix == b.prefix) {
        let prefix = &alike[0].1.prefix;
        let free = numbers.free_in_names(prefix).take_while(|number| *number < MAX_NUMBER);
        for ((unit, tunnel), name) in alike.iter().zip(free.map(|number| name(prefix, number)).filter(is_free)) {
            let transaction = transactions.entry(*unit).or_default();
            transaction.comment(tunnel.comment.clone());
            let new = NewPort {
                bridge: tunnel.bridge,
                name: &name.as_str().into(),
                kind: tunnel.kind,
                options: tunnel.options.iter().collect(),
                external_ids: [(MARK, tunnel.label.as_str())].into_iter().collect(),
            };
            let named = fnv1a(&name);
            let (interface, port) = (format!("tunnel_if_{named:016x}"), format!("tunnel_{named:016x}"));
            new.create_numbered(&interface, &port, ofports.next().map(i64::from), transaction);
        }
    }
    transactions
}

/// See [`super::WriteKey::Retry`].
pub fn retry(r: &Reader<'_>, out: &mut Output) {
    let wanted = r.wanted_next_cfg();
    let Some(ovs) = r.only::<OpenVSwitch>().filter(|ovs| ovs.next_cfg() < wanted) else { return };
    out.local.comment("ovn-agent: have Open vSwitch look at its configuration again");
    out.local.update("Open_vSwitch", ovs.uuid(), vec![("next_cfg", wanted.into())]);
}

fn comment(us: &LocalEnd) -> String {
    format!("ovn-agent: modifying OVS tunnels '{}'", us.name)
}

/// Names are `ovn-<6 characters of the chassis>-<number>`: interface names have 15 characters at most.
fn name_start(prefix: &str, chassis: &str) -> Str {
    let length = if prefix == "ovn" { 6 } else { 5 };
    let short: String = chassis.chars().take(length).collect();
    format!("{prefix}-{short}").into()
}

fn shared_name(us: &LocalEnd, kind: TunnelKind) -> Str {
    format!("{}-{}", us.prefix, kind.name()).into()
}

fn remove(us: &LocalEnd, bridge: Uuid, port: Uuid, out: &mut Output) {
    out.local.comment(comment(us));
    out.local.mutate("Bridge", bridge, vec![("ports", Mutator::Delete, [port].into_iter().collect())]);
}

/// The port stays; its label, kind and options become what they should be.
fn adjust(r: &Reader<'_>, us: &LocalEnd, port: &PortRow<'_, '_>, wanted: &WantedTunnel, out: &mut Output) {
    let Some(interface) = port.interfaces().iter().find_map(|uuid| r.find::<Interface>(uuid)) else { return };
    let mut row = Vec::new();
    let label = wanted.label();
    if port.external_ids().get(MARK).is_none_or(|have| *have != label.as_str()) {
        let ids: Datum = [(MARK, label)].into_iter().collect();
        row.push(("external_ids", ids));
    }
    if port.interfaces().len() != 1 {
        row.push(("interfaces", interface.uuid().into()));
    }
    let mut changes = Vec::new();
    let kind = wanted.endpoint.kind.name();
    if interface.r#type() != kind {
        changes.push(("type", kind.into()));
    }
    if !interface.options().iter().eq(wanted.options.iter()) {
        changes.push(("options", wanted.options.iter().collect()));
    }
    if row.is_empty() && changes.is_empty() {
        return;
    }
    out.local.comment(comment(us));
    if !row.is_empty() {
        out.local.update("Port", port.uuid(), row);
    }
    if !changes.is_empty() {
        out.local.update("Interface", interface.uuid(), changes);
    }
}

type PortRow<'r, 'a> = Tracked<'r, Port, Reader<'a>>;

/// Says so when the switch does not have the port. Open vSwitch itself tries again whenever its configuration changes, and is made to (see
/// `runtime::retries`); the row is not written again.
fn complain_if_refused(r: &Reader<'_>, port: &PortRow<'_, '_>, peer: &str, out: &mut Output) {
    let Some(interface) = port.interfaces().iter().find_map(|uuid| r.find::<Interface>(uuid)) else { return };
    let error = interface.error().filter(|text| !text.is_empty());
    let refused = interface.ofport().is_some() && usable_ofport(interface.ofport()).is_none();
    if error.is_none() && !refused {
        return;
    }
    let remote = interface.options().get("remote_ip").cloned().unwrap_or_default();
    let why = error.map_or("no OpenFlow port", |text| text.as_str());
    let others = Endpoint::of(&interface).map(|endpoint| r.fact(EndpointPorts(endpoint)));
    let other = others.iter().flat_map(|ports| ports.iter()).find(|other| other.port != port.uuid());
    let cause = other.map(|other| format!("; port {} of bridge {} has the same options", other.name, other.bridge));
    let cause = cause.unwrap_or_default();
    out.diagnostics.push(format!("tunnel port {} to {peer} ({remote}) does not work: {why}{cause}", port.name()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_room_for_a_number() {
        assert_eq!(name_start("ovn", "hv1"), "ovn-hv1");
        assert_eq!(name_start("ovn", "compute-17"), "ovn-comput");
        assert_eq!(name_start("ovn3", "compute-17"), "ovn3-compu");
    }
}
