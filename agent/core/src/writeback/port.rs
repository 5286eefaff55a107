//! One logical port: claimed when it is plugged in here, released when it is not any more; `up` and `ovn-installed` once the
//! switch has its flows. Sheet 01 sections 6.3, 6.4 and 7.1.

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::Mutator;
use ovsdb::{RowId, Str, Uuid};

use super::operations::set_entries;
use super::vif_plug;
use crate::facts::{
    BoundHere, CanBind, EncapIps, HaRole as HaRoleOf, IsGateway, PortByName, PortKind as PortKindOf, ThisChassis,
    VifInterface,
};
use crate::reader::Reader;
use crate::rows::{Chassis, Encap, HaChassisGroup, Interface, PortBinding};
use crate::units::Output;
use crate::view::flag;
use crate::view::interfaces::port_of;
use crate::view::ports::{Bound, HaRole, PortKind};

/// See [`super::WriteKey::Port`].
pub fn port(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(port) = r.row::<PortBinding>(row) else { return };
    let Some(us) = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)) else { return };
    let kind = r.fact(PortKindOf(row));
    let bound = bound(r, row, kind, &port);
    let mut writer = Writer { r, port, us: us.uuid(), kind, values: Vec::new() };
    match bound {
        Bound::Main => writer.claim(),
        Bound::Additional => writer.claim_additional(out),
        Bound::No => writer.release(out),
    }
    if !writer.values.is_empty() {
        out.southbound.update("Port_Binding", port.uuid(), writer.values);
    }
    if kind == PortKind::Vif {
        vif_plug::plug(r, &port, us.uuid(), out);
    }
    match (bound, kind) {
        (Bound::No, PortKind::Vif) => released(r, &port, out),
        (_, PortKind::Vif) => installed(r, &port, us.uuid(), out),
        _ => {}
    }
}

/// Whether this chassis should have the port.
fn bound(r: &Reader<'_>, row: RowId, kind: PortKind, port: &Tracked<'_, PortBinding, Reader<'_>>) -> Bound {
    // requested-chassis has a say for every type.
    let main = |mine: bool| if mine && r.fact(CanBind(row)).is_here() { Bound::Main } else { Bound::No };
    match kind {
        PortKind::Vif | PortKind::Container | PortKind::Mirror | PortKind::Virtual => r.fact(BoundHere(row)),
        PortKind::L2Gateway | PortKind::L3Gateway => main(r.fact(IsGateway(row))),
        PortKind::ChassisRedirect | PortKind::External => {
            let group = port.ha_chassis_group().and_then(|group| r.find_id::<HaChassisGroup>(&group));
            main(group.is_some_and(|group| r.fact(HaRoleOf(group)) == HaRole::Active))
        }
        PortKind::Patch => {
            let us = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)).map(|chassis| chassis.uuid());
            main(us.is_some() && port.requested_chassis() == us)
        }
        PortKind::Localport | PortKind::Localnet | PortKind::Remote | PortKind::Vtep | PortKind::Unknown => Bound::No,
    }
}

struct Writer<'p, 'a> {
    r: &'p Reader<'a>,
    port: Tracked<'p, PortBinding, Reader<'a>>,
    us: Uuid,
    kind: PortKind,
    /// New values of the Port_Binding row.
    values: Vec<(&'static str, Datum)>,
}

impl Writer<'_, '_> {
    fn claim(&mut self) {
        if self.port.chassis() != Some(self.us) {
            self.values.push(("chassis", Datum::from(Some(self.us))));
            // Up was for the chassis before; here it is not yet.
            if self.kind == PortKind::Vif && self.port.up() == Some(true) {
                self.values.push(("up", Datum::from(Some(false))));
            }
        }
        let encap = self.wanted_encap();
        if self.port.encap() != encap {
            self.values.push(("encap", Datum::from(encap)));
        }
        if self.port.additional_chassis().contains(&self.us) {
            let others = self.port.additional_chassis().iter().filter(|uuid| **uuid != self.us).copied();
            self.values.push(("additional_chassis", others.collect()));
        }
        // VIFs are up when their flows are installed, everything else when it is claimed.
        let ready = match self.kind {
            PortKind::Vif => self.r.is_installed(self.port.logical_port()),
            PortKind::Container => self.port.parent_port().is_some_and(|parent| self.r.is_installed(parent)),
            PortKind::Mirror => self.port.mirror_port().is_some_and(|parent| self.r.is_installed(parent)),
            _ => true,
        };
        if ready && self.port.up() == Some(false) && self.port.chassis() == Some(self.us) {
            self.values.push(("up", Datum::from(Some(true))));
        }
    }

    fn claim_additional(&mut self, out: &mut Output) {
        if self.port.chassis() == Some(self.us) {
            self.values.push(("chassis", Datum::EMPTY));
        }
        if !self.port.additional_chassis().contains(&self.us) {
            let add = vec![("additional_chassis", Mutator::Insert, Datum::from(self.us))];
            out.southbound.mutate("Port_Binding", self.port.uuid(), add);
        }
        if let Some(encap) = self.wanted_encap().filter(|encap| !self.port.additional_encap().contains(encap)) {
            let add = vec![("additional_encap", Mutator::Insert, Datum::from(encap))];
            out.southbound.mutate("Port_Binding", self.port.uuid(), add);
        }
    }

    fn release(&mut self, out: &mut Output) {
        if self.port.chassis() == Some(self.us) {
            self.values.push(("chassis", Datum::EMPTY));
            self.values.push(("encap", Datum::EMPTY));
            if self.port.virtual_parent().is_some() {
                self.values.push(("virtual_parent", Datum::EMPTY));
            }
            if self.port.up() == Some(true) {
                self.values.push(("up", Datum::from(Some(false))));
            }
        } else if self.port.additional_chassis().contains(&self.us) {
            let remove = vec![("additional_chassis", Mutator::Delete, Datum::from(self.us))];
            out.southbound.mutate("Port_Binding", self.port.uuid(), remove);
        }
    }

    /// The Encap row that tunnels to this port should use: of interest only if we have several. Sheet 01 section 6.3.
    fn wanted_encap(&self) -> Option<Uuid> {
        let us = self.r.find::<Chassis>(&self.us)?;
        if us.encaps().len() < 2 {
            return None;
        }
        let vif = self.r.fact(VifInterface(self.port.logical_port().clone()));
        let wanted: Option<Str> = vif.and_then(|vif| vif.encap_ip);
        let default = wanted.is_none() && self.r.fact(EncapIps).len() > 1;
        let encaps = us.encaps().iter().filter_map(|uuid| self.r.find::<Encap>(uuid));
        let matching = encaps.filter(|encap| match &wanted {
            Some(ip) => encap.ip() == ip,
            None => default && flag(encap.options(), "is_default"),
        });
        // Geneve before VXLAN.
        matching.min_by_key(|encap| encap.r#type().clone()).map(|encap| encap.uuid())
    }
}

/// Interface.external_ids:ovn-installed, after the flows are in place.
fn installed(r: &Reader<'_>, port: &Tracked<'_, PortBinding, Reader<'_>>, us: Uuid, out: &mut Output) {
    let Some(vif) = r.fact(VifInterface(port.logical_port().clone())) else { return };
    let Some(interface) = r.row::<Interface>(vif.interface) else { return };
    let says_so = interface.external_ids().get("ovn-installed").is_some_and(|value| value.as_str() == "true");
    let ours = port.chassis() == Some(us) || port.additional_chassis().contains(&us);
    if !ours {
        // Being claimed: what the interface says is of another time. (After a restart the port is ours still.)
        if says_so {
            not_installed(interface.uuid(), out);
        }
        return;
    }
    if says_so || !r.is_installed(port.logical_port()) {
        return;
    }
    let entries = vec![("ovn-installed", "true".to_owned()), ("ovn-installed-ts", r.wall_clock_ms().to_string())];
    out.local.mutate("Interface", interface.uuid(), set_entries("external_ids", entries));
}

/// The port is not ours (any more), but its interface may still be here.
fn released(r: &Reader<'_>, port: &Tracked<'_, PortBinding, Reader<'_>>, out: &mut Output) {
    let vif = r.fact(VifInterface(port.logical_port().clone()));
    if let Some(interface) = vif.and_then(|vif| r.row::<Interface>(vif.interface))
        && interface.external_ids().get("ovn-installed").is_some()
    {
        not_installed(interface.uuid(), out);
    }
}

/// See [`super::WriteKey::Interfaces`]: interfaces that say they are installed, and for which no unit of a port speaks, because
/// the iface-id was taken off, its Port_Binding is gone or another interface has it.
pub fn interfaces(r: &Reader<'_>, out: &mut Output) {
    if r.fact(ThisChassis).is_none() {
        return;
    }
    for row in r.lookup(|t: &Table<Interface>| t.by_installed(true)) {
        let Some(interface) = r.row::<Interface>(row) else { continue };
        let lport = interface.external_ids().get("iface-id").cloned().unwrap_or_default();
        let port = r.fact(PortByName(lport.clone())).filter(|port| r.fact(PortKindOf(*port)) == PortKind::Vif);
        let speaks = port.is_some() && r.fact(VifInterface(lport)).is_some_and(|vif| vif.interface == row);
        if !speaks && port_of(r, interface.uuid()).is_some() {
            not_installed(interface.uuid(), out);
        }
    }
}

/// Removes the mark; its timestamp stays.
fn not_installed(interface: Uuid, out: &mut Output) {
    let keys: Datum = ["ovn-installed"].into_iter().collect();
    out.local.mutate("Interface", interface, vec![("external_ids", Mutator::Delete, keys)]);
}
