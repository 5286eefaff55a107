//! One logical port: claimed when it is plugged in here, released when it is not any more; `up` and `ovn-installed` once the
//! switch has its flows. Sheet 01 sections 6.3, 6.4 and 7.1.

#[cfg(test)]
mod tests;

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::Mutator;
use ovsdb::{RowId, Str, Uuid};

use super::operations::set_entries;
use super::vif_plug;
use crate::facts::{
    BoundHere, CanBind, EncapIps, HaRole as HaRoleOf, HasStrayMark, IsGateway, PortByName, PortKind as PortKindOf,
    ThisChassis, VifInterface,
};
use crate::reader::Reader;
use crate::rows::{Chassis, Encap, HaChassisGroup, Interface, PortBinding};
use crate::units::Output;
use crate::view::flag;
use crate::view::ports::{Bound, HaRole, PortKind, has_wanted_version};

/// See [`super::WriteKey::Port`].
pub fn port(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(port) = r.row::<PortBinding>(row) else { return };
    let Some(us) = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)) else { return };
    let kind = r.fact(PortKindOf(row));
    match kind {
        // Others write these: the chassis of another availability zone, the gateway.
        PortKind::Remote | PortKind::Vtep => return,
        PortKind::Unknown => {
            let (kind, lport) = (port.r#type(), port.logical_port());
            out.diagnostics.push(format!(
                "Unknown port binding type [{kind}] of lport {lport}. Does the ovn-controller need an update ?"
            ));
            return;
        }
        _ => {}
    }
    let bound = bound(r, row, kind, &port);
    let mut writer = Writer { r, port, us: us.uuid(), kind, values: Vec::new() };
    match bound {
        Bound::Main => writer.claim(out),
        Bound::Additional => writer.claim_additional(out),
        Bound::No if kind == PortKind::Localport => writer.release_localport(row, out),
        Bound::No => writer.release(out),
    }
    if !writer.values.is_empty() {
        out.southbound.update("Port_Binding", port.uuid(), writer.values);
    }
    if kind == PortKind::Vif {
        vif_plug::plug(r, &port, us.uuid(), out);
        match bound {
            Bound::No => released(r, &port, out),
            _ => installed(r, &port, us.uuid(), out),
        }
        explain(r, row, &port, us.name(), out);
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

/// Why an interface that is plugged in for a VIF does not bind it, or not alone.
fn explain(r: &Reader<'_>, row: RowId, port: &Tracked<'_, PortBinding, Reader<'_>>, us: &Str, out: &mut Output) {
    let lport = port.logical_port();
    let Some(vif) = r.fact(VifInterface(lport.clone())) else { return };
    let Some(interface) = r.row::<Interface>(vif.interface) else { return };
    if vif.rivals {
        let same = r.lookup(|t: &Table<Interface>| t.by_iface_id(lport));
        let same = same.into_iter().filter(|&other| other != vif.interface).filter_map(|row| r.row::<Interface>(row));
        let others: Vec<&str> = same.map(|interface| interface.name().as_str()).collect();
        out.diagnostics.push(format!(
            "Invalid configuration: iface-id {lport} is configured on interfaces : [{0}] and [{1}]. Ignoring the \
             configuration on interface [{1}]",
            interface.name(),
            others.join("], [")
        ));
    }
    if !has_wanted_version(r, row, vif.interface) {
        let wanted = port.options().get("iface-id-ver").cloned().unwrap_or_default();
        let found = interface.external_ids().get("iface-id-ver").cloned().unwrap_or_else(|| "<empty>".into());
        out.diagnostics.push(format!("Mismatch iface-id-ver for lport {lport}, expected {wanted}, found {found}"));
    } else if r.fact(CanBind(row)) == Bound::No {
        let requested = port.options().get("requested-chassis").cloned().unwrap_or_else(|| "[]".into());
        let holder = port.chassis().and_then(|uuid| Some(r.find::<Chassis>(&uuid)?.name().clone()));
        out.diagnostics.push(format!(
            "Not claiming lport {lport}, chassis {us} requested-chassis {requested} pb->chassis {}",
            holder.unwrap_or_default()
        ));
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
    fn claim(&mut self, out: &mut Output) {
        if self.port.chassis() == Some(self.us) {
            // Up when the flows are installed: those of the VIF that it is or hangs on. Everything else when it is claimed.
            if self.port.up() == Some(false) && self.vif().is_none_or(|vif| self.r.is_installed(&vif)) {
                self.values.push(("up", Datum::from(Some(true))));
            }
        } else if !self.waits_for_parent() {
            self.values.push(("chassis", Datum::from(Some(self.us))));
            // Up was for the chassis before; here it is not yet.
            if self.port.up() == Some(true) && self.vif().is_some() {
                self.values.push(("up", Datum::from(Some(false))));
            }
        } else {
            return;
        }
        let encap = self.wanted_encap();
        if self.port.encap() != encap {
            self.values.push(("encap", Datum::from(encap)));
        }
        self.leave_additional(out);
    }

    fn claim_additional(&mut self, out: &mut Output) {
        if self.port.chassis() == Some(self.us) {
            self.values.push(("chassis", Datum::EMPTY));
            if self.port.encap().is_some() {
                self.values.push(("encap", Datum::EMPTY));
            }
        }
        if !self.port.additional_chassis().contains(&self.us) {
            let add = vec![("additional_chassis", Mutator::Insert, Datum::from(self.us))];
            out.southbound.mutate("Port_Binding", self.port.uuid(), add);
        }
        let wanted = self.wanted_encap();
        self.remove_additional_encaps(wanted, out);
        if let Some(encap) = wanted.filter(|encap| !self.port.additional_encap().contains(encap)) {
            let add = vec![("additional_encap", Mutator::Insert, Datum::from(encap))];
            out.southbound.mutate("Port_Binding", self.port.uuid(), add);
        }
    }

    fn release(&mut self, out: &mut Output) {
        if self.port.chassis() == Some(self.us) {
            self.clear();
        }
        self.leave_additional(out);
    }

    /// A localport is everywhere, so it is nobody's: whoever has it plugged in clears what is left of another type
    /// (binding.c `consider_localport`, OVN 26.03).
    fn release_localport(&mut self, row: RowId, out: &mut Output) {
        let ours = self.port.chassis() == Some(self.us);
        let plugged_in = || self.r.fact(VifInterface(self.port.logical_port().clone())).is_some();
        if ours || self.port.chassis().is_some() && plugged_in() && self.r.fact(CanBind(row)) == Bound::Main {
            self.clear();
        }
        self.leave_additional(out);
    }

    /// Nobody has the port.
    fn clear(&mut self) {
        self.values.push(("chassis", Datum::EMPTY));
        if self.port.encap().is_some() {
            self.values.push(("encap", Datum::EMPTY));
        }
        if self.port.virtual_parent().is_some() {
            self.values.push(("virtual_parent", Datum::EMPTY));
        }
        if self.port.up() == Some(true) {
            self.values.push(("up", Datum::from(Some(false))));
        }
    }

    /// We are not one of the additional chassis (any more).
    fn leave_additional(&self, out: &mut Output) {
        if self.port.additional_chassis().contains(&self.us) {
            let remove = vec![("additional_chassis", Mutator::Delete, Datum::from(self.us))];
            out.southbound.mutate("Port_Binding", self.port.uuid(), remove);
        }
        self.remove_additional_encaps(None, out);
    }

    /// Takes our Encap rows out of additional_encap, but for one.
    fn remove_additional_encaps(&self, but: Option<Uuid>, out: &mut Output) {
        if self.port.additional_encap().is_empty() {
            return;
        }
        let Some(us) = self.r.find::<Chassis>(&self.us) else { return };
        let ours = self.port.additional_encap().iter().copied().filter(|encap| us.encaps().contains(encap));
        let gone: Vec<Uuid> = ours.filter(|encap| Some(*encap) != but).collect();
        if !gone.is_empty() {
            let remove = vec![("additional_encap", Mutator::Delete, gone.into_iter().collect::<Datum>())];
            out.southbound.mutate("Port_Binding", self.port.uuid(), remove);
        }
    }

    /// The VIF that the port is, or hangs on; `None` for ports of other kinds, which have no interface.
    fn vif(&self) -> Option<Str> {
        match self.kind {
            PortKind::Vif => Some(self.port.logical_port().clone()),
            PortKind::Container => self.port.parent_port().cloned(),
            PortKind::Mirror => self.port.mirror_port().cloned(),
            PortKind::Virtual => self.port.virtual_parent().cloned(),
            _ => None,
        }
    }

    /// Whether another chassis has the VIF that the port hangs on, which is to be taken first: a port must not be where its parent
    /// is not (binding.c `consider_container_lport`, OVN 26.03).
    fn waits_for_parent(&self) -> bool {
        let Some(parent) = self.vif().filter(|_| self.kind != PortKind::Vif) else { return false };
        let parent = self.r.fact(PortByName(parent)).and_then(|row| self.r.row::<PortBinding>(row));
        parent.is_some_and(|parent| {
            parent.chassis().is_some_and(|chassis| chassis != self.us)
                && !parent.additional_chassis().contains(&self.us)
        })
    }

    /// The Encap row that tunnels to this port should use: of interest only if we have several. Sheet 01 section 6.3.
    fn wanted_encap(&self) -> Option<Uuid> {
        let us = self.r.find::<Chassis>(&self.us)?;
        if us.encaps().len() < 2 {
            return None;
        }
        let vif = self.vif().and_then(|lport| self.r.fact(VifInterface(lport)));
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
        if let Some(interface) = r.row::<Interface>(row).filter(|_| r.fact(HasStrayMark(row))) {
            not_installed(interface.uuid(), out);
        }
    }
}

/// Removes the mark; its timestamp stays.
fn not_installed(interface: Uuid, out: &mut Output) {
    let keys: Datum = ["ovn-installed"].into_iter().collect();
    out.local.mutate("Interface", interface, vec![("external_ids", Mutator::Delete, keys)]);
}
