//! Interfaces that we plug in for the CMS: made for a port that asks for it on this chassis, kept as its provider says, and taken away
//! when the port is not for this chassis any more. controller/vif-plug.c, OVN 26.03; sheet 01 section 7.3.
//!
//! [`plug`] belongs to the unit of the port, [`unplug`] is a unit of each interface that carries our mark, since the port it
//! was made for may be gone.

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::Mutator;
use ovsdb::{RowId, Uuid};
use std::collections::BTreeMap;

use super::operations::set_entries;
use crate::facts::{CanBind, IntegrationBridge, PortByName, ThisChassis, VifInterface};
use crate::plug::{Plug, Provider};
use crate::reader::Reader;
use crate::rows::{Bridge, Interface, PortBinding};
use crate::units::Output;
use crate::view::interfaces::port_of;

/// Marks our interfaces in their external_ids; the value is the type of the provider.
const PLUGGED: &str = "ovn-plugged";
const TYPE: &str = "vif-plug-type";
const MTU: &str = "vif-plug-mtu-request";

type Row<'r, 'a, R> = Tracked<'r, R, Reader<'a>>;

/// Whether an interface was plugged in by us, and so has a unit.
pub fn is_plugged(interface: &Interface) -> bool {
    interface.external_ids.contains_key(PLUGGED)
}

/// Plugs in a VIF of which the CMS asks that, and keeps its interface as it should be.
pub fn plug(r: &Reader<'_>, port: &Row<'_, '_, PortBinding>, us: Uuid, out: &mut Output) {
    if port.requested_chassis() != Some(us) {
        return;
    }
    let (lport, Some(kind)) = (port.logical_port(), port.options().get(TYPE)) else { return };
    let Some(provider) = Provider::find(r, kind) else {
        out.diagnostics.push(format!("Unable to open VIF plug provider for {TYPE}: '{kind}' lport {lport}"));
        return;
    };
    let plugged = r.fact(VifInterface(lport.clone())).and_then(|vif| r.row::<Interface>(vif.interface));
    if let Some(interface) = plugged.filter(|interface| !interface.external_ids().contains_key(PLUGGED)) {
        out.diagnostics.push(format!(
            "CMS requested plugging of lport {lport}, but a port that is not maintained by OVN already exists in local \
             vSwitch: {} ({})",
            interface.name(),
            interface.uuid()
        ));
        return;
    }
    let plug = match provider.lookup(r, lport, port.options()) {
        Ok(plug) => plug,
        Err(why) => {
            let text = format!("Not plugging/updating lport {lport} on direction from VIF plug provider: {why}");
            out.diagnostics.push(text);
            return;
        }
    };
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    let ids = BTreeMap::from([(PLUGGED, kind.as_str()), ("iface-id", lport.as_str())]);
    let mtu = port.options().get(MTU).and_then(|text| text.trim_start().parse::<i64>().ok()).filter(|mtu| *mtu > 0);
    // One without an OpenFlow port (yet) is known by its name only.
    let by_name = || r.lookup_one(|t: &Table<Interface>| t.by_name(&plug.name)).and_then(|row| r.row::<Interface>(row));
    match plugged.or_else(by_name) {
        Some(interface) if interface.name() != &plug.name => out.diagnostics.push(format!(
            "Attempt of incompatible change to existing port detected, please recreate port: {lport} ({} is to become {})",
            interface.name(),
            plug.name
        )),
        Some(interface) if !is_ours(r, &interface) => out.diagnostics.push(format!(
            "lport {lport} cannot be plugged in: there is an interface {} that is not maintained by OVN",
            plug.name
        )),
        Some(interface) => adjust(&interface, &plug, provider, &ids, mtu, out),
        None => {
            out.local.comment(format!(
                "Plugging port {} into {} for lport {lport} on this chassis.",
                plug.name,
                bridge.name()
            ));
            create(bridge.uuid(), port.uuid(), &plug, &ids, mtu, out);
        }
    }
}

/// Whether we plugged it into the integration bridge.
fn is_ours(r: &Reader<'_>, interface: &Row<'_, '_, Interface>) -> bool {
    let ids = interface.external_ids();
    ids.contains_key("iface-id") && ids.contains_key(PLUGGED) && port_of(r, interface.uuid()).is_some()
}

fn create(bridge: Uuid, lport: Uuid, plug: &Plug, ids: &BTreeMap<&str, &str>, mtu: Option<i64>, out: &mut Output) {
    let number = lport.to_string().replace('-', "_");
    let (interface, port) = (format!("plug_if_{number}"), format!("plug_{number}"));
    let mut row = vec![
        ("name", plug.name.clone().into()),
        ("external_ids", ids.iter().map(|(key, value)| (*key, *value)).collect()),
        ("options", plug.options.iter().map(|(key, value)| (*key, *value)).collect()),
    ];
    row.extend(plug.kind.map(|kind| ("type", Datum::from(kind))));
    row.extend(mtu.map(|mtu| ("mtu_request", Datum::from(mtu))));
    out.local.insert_named("Interface", &interface, row);
    let row = vec![("name", plug.name.clone().into()), ("interfaces", Datum::named(&interface))];
    out.local.insert_named("Port", &port, row);
    out.local.mutate("Bridge", bridge, vec![("ports", Mutator::Insert, Datum::named(&port))]);
}

fn adjust(
    interface: &Row<'_, '_, Interface>,
    plug: &Plug,
    provider: Provider,
    ids: &BTreeMap<&str, &str>,
    mtu: Option<i64>,
    out: &mut Output,
) {
    let mut fix = Vec::new();
    if let Some(kind) = plug.kind.filter(|kind| interface.r#type() != *kind) {
        fix.push(("type", Datum::from(kind)));
    }
    if interface.mtu_request() != mtu {
        fix.push(("mtu_request", Datum::from(mtu)));
    }
    if !fix.is_empty() {
        out.local.update("Interface", interface.uuid(), fix);
    }
    for (column, have, wanted) in
        [("external_ids", interface.external_ids(), ids), ("options", interface.options(), &plug.options)]
    {
        let differs = |(key, value): &(&&str, &&str)| have.get(**key).is_none_or(|have| have != **value);
        let entries: Vec<_> = wanted.iter().filter(differs).map(|(key, value)| (*key, *value)).collect();
        if !entries.is_empty() {
            out.local.mutate("Interface", interface.uuid(), set_entries(column, entries));
        }
    }
    let is_stale = |key: &&&str| !plug.options.contains_key(**key) && interface.options().contains_key(**key);
    let stale: Vec<&str> = provider.maintained_options().iter().filter(is_stale).copied().collect();
    if !stale.is_empty() {
        let keys = stale.into_iter().collect();
        out.local.mutate("Interface", interface.uuid(), vec![("options", Mutator::Delete, keys)]);
    }
}

/// See [`super::WriteKey::Unplug`].
pub fn unplug(r: &Reader<'_>, row: RowId, out: &mut Output) {
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let Some(interface) = r.row::<Interface>(row) else { return };
    let ids = interface.external_ids();
    let (Some(kind), Some(lport)) = (ids.get(PLUGGED), ids.get("iface-id")) else { return };
    if r.fact(PortByName(lport.clone())).is_some_and(|port| r.fact(CanBind(port)).is_here()) {
        return;
    }
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    let Some(port) = port_of(r, interface.uuid()) else { return };
    if Provider::find(r, kind).is_none() {
        out.diagnostics.push(format!("Unable to open VIF plug provider for {TYPE} {kind} iface-id {lport}"));
        return;
    }
    out.local.comment(format!(
        "Unplugging port {} from {} for iface-id {lport} on this chassis.",
        interface.name(),
        bridge.name()
    ));
    out.local.mutate("Bridge", bridge.uuid(), vec![("ports", Mutator::Delete, Datum::from(port))]);
}
