//! Mirrors: what a logical port sends or gets is copied to a remote address (GRE, ERSPAN) or to another interface of the integration
//! bridge. controller/mirror.c, OVN 26.03; sheet 01 section 7.2. Mirrors of type `lport` are made of logical flows and need
//! nothing here; rows without external_ids:ovn-owned are somebody else's and left alone.

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::Mutator;
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::operations::NewPort;
use crate::facts::{BoundPorts, IntegrationBridge, PortKind as PortKindOf, ThisChassis, VifInterface};
use crate::reader::Reader;
use crate::rows::{Bridge, Interface, LocalMirror, Port, PortBinding, SbMirror};
use crate::units::Output;
use crate::view::flag;
use crate::view::interfaces::port_of;
use crate::view::ports::PortKind;

/// Marks our Mirror and Port rows.
const OURS: &str = "ovn-owned";

type Row<'r, 'a, R> = Tracked<'r, R, Reader<'a>>;

/// The ports of the switch from and to which a mirror copies.
#[derive(Default)]
struct Sources {
    from: BTreeSet<Uuid>,
    to: BTreeSet<Uuid>,
}

/// See [`super::WriteKey::Mirrors`].
pub fn mirrors(r: &Reader<'_>, out: &mut Output) {
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let wanted: BTreeMap<Uuid, Row<'_, '_, SbMirror>> = r
        .all::<SbMirror>()
        .into_iter()
        .filter_map(|row| r.row::<SbMirror>(row))
        .filter(|mirror| mirror.r#type() != "lport")
        .map(|mirror| (mirror.uuid(), mirror))
        .collect();
    let mut existing: BTreeMap<Str, Row<'_, '_, LocalMirror>> = BTreeMap::new();
    for mirror in bridge.mirrors().iter().filter_map(|uuid| r.find::<LocalMirror>(uuid)) {
        if flag(mirror.external_ids(), OURS) {
            existing.insert(mirror.name().clone(), mirror);
        }
    }
    if wanted.is_empty() && existing.is_empty() {
        return;
    }
    let sources = sources(r, &wanted);
    let mut plan = Plan { r, bridge, next: 0, out };
    for (uuid, mirror) in &wanted {
        let Some(sources) = sources.get(uuid) else { continue };
        let existing = existing.get(mirror.name()).copied();
        if let Some(output) = plan.output_port(mirror, existing) {
            plan.mirror(mirror, existing, output, sources);
            continue;
        }
        if let Some(existing) = existing {
            plan.remove(&existing);
        }
    }
    for (name, mirror) in &existing {
        if !wanted.iter().any(|(uuid, wanted)| wanted.name() == name && sources.contains_key(uuid)) {
            plan.remove(mirror);
        }
    }
}

/// By mirror, the ports of VIFs bound here that name it.
fn sources(r: &Reader<'_>, wanted: &BTreeMap<Uuid, Row<'_, '_, SbMirror>>) -> BTreeMap<Uuid, Sources> {
    let mut sources: BTreeMap<Uuid, Sources> = BTreeMap::new();
    if wanted.is_empty() {
        return sources;
    }
    for &row in r.fact(BoundPorts).iter() {
        if r.fact(PortKindOf(row)) != PortKind::Vif {
            continue;
        }
        let Some(port) = r.row::<PortBinding>(row).filter(|port| !port.mirror_rules().is_empty()) else { continue };
        let vif = r.fact(VifInterface(port.logical_port().clone()));
        let interface = vif.and_then(|vif| r.row::<Interface>(vif.interface));
        let Some(plugged) = interface.and_then(|interface| port_of(r, interface.uuid())) else { continue };
        for rule in port.mirror_rules().iter() {
            let Some(mirror) = wanted.get(rule) else { continue };
            let filter = mirror.filter().as_str();
            let of_mirror = sources.entry(*rule).or_default();
            if ["from-lport", "both"].contains(&filter) {
                of_mirror.from.insert(plugged);
            }
            if ["to-lport", "both"].contains(&filter) {
                of_mirror.to.insert(plugged);
            }
        }
    }
    sources
}

struct Plan<'p, 'a> {
    r: &'p Reader<'a>,
    bridge: Row<'p, 'a, Bridge>,
    /// Numbers the rows to insert.
    next: usize,
    out: &'p mut Output,
}

/// Where a mirror copies to.
enum OutputPort {
    /// A port that exists.
    Is(Uuid),
    /// One that the transaction makes, by its name in there.
    New(String),
}

impl From<&OutputPort> for Datum {
    fn from(port: &OutputPort) -> Datum {
        match port {
            OutputPort::Is(uuid) => Datum::from(Some(*uuid)),
            OutputPort::New(name) => Datum::named(name),
        }
    }
}

impl Plan<'_, '_> {
    /// The port that a mirror copies to, made or put right. `None`: there is none (yet).
    fn output_port(
        &mut self,
        mirror: &Row<'_, '_, SbMirror>,
        existing: Option<Row<'_, '_, LocalMirror>>,
    ) -> Option<OutputPort> {
        if mirror.r#type() == "local" {
            return self.local_sink(mirror.sink()).map(OutputPort::Is);
        }
        let name = Str::from(format!("ovn-{}", mirror.name()));
        let is_ours = |port: &Row<'_, '_, Port>| port.name() == &name || flag(port.external_ids(), OURS);
        let of_mirror =
            existing.and_then(|existing| existing.output_port()).and_then(|uuid| self.r.find::<Port>(&uuid));
        let of_mirror = of_mirror.filter(is_ours).or_else(|| {
            // What is left of a mirror that somebody removed.
            let by_name = self.r.lookup_one(|t: &Table<Port>| t.by_name(&name)).and_then(|row| self.r.row::<Port>(row));
            by_name.filter(|port| flag(port.external_ids(), OURS) && self.bridge.ports().contains(&port.uuid()))
        });
        let kind =
            if mirror.sink().contains(':') { format!("ip6{}", mirror.r#type()) } else { mirror.r#type().to_string() };
        let index = mirror.index().to_string();
        let mut options = BTreeMap::from([("key", index.clone()), ("remote_ip", mirror.sink().to_string())]);
        if mirror.r#type() == "erspan" {
            options.extend([("erspan_idx", index), ("erspan_ver", "1".to_owned())]);
        }
        Some(match of_mirror {
            Some(port) => {
                self.adjust(&port, &kind, &options);
                OutputPort::Is(port.uuid())
            }
            None => OutputPort::New(self.create_port(&name, &kind, &options)),
        })
    }

    /// The port of the interface with that external_ids:mirror-id.
    fn local_sink(&mut self, sink: &Str) -> Option<Uuid> {
        let interfaces = self.r.lookup(|t: &Table<Interface>| t.by_mirror_id(sink));
        let interfaces = interfaces.into_iter().filter_map(|row| self.r.row::<Interface>(row));
        let port = |interface: Row<'_, '_, Interface>| {
            let port = self.r.find::<Port>(&port_of(self.r, interface.uuid())?)?;
            Some((port.uuid(), port.name().clone(), interface.name().clone()))
        };
        let mut ports: Vec<(Uuid, Str, Str)> = interfaces.filter_map(port).collect();
        // As in Bridge.ports.
        ports.sort();
        if let [(_, first, _), (_, second, ignored), ..] = ports.as_slice() {
            self.out.diagnostics.push(format!(
                "Invalid configuration: same mirror-id [{sink}] is configured on interfaces of ports: [{second}] and \
                 [{first}]. Ignoring the configuration on interface [{ignored}]"
            ));
        }
        ports.first().map(|(port, ..)| *port)
    }

    fn adjust(&mut self, port: &Row<'_, '_, Port>, kind: &str, options: &BTreeMap<&str, String>) {
        let local = &mut self.out.local;
        if !flag(port.external_ids(), OURS) {
            let ids: Datum = [(OURS, "true")].into_iter().collect();
            local.mutate("Port", port.uuid(), vec![("external_ids", Mutator::Insert, ids)]);
        }
        let interface = port.interfaces().iter().next().and_then(|uuid| self.r.find::<Interface>(uuid));
        let Some(interface) = interface else { return };
        let mut fix = Vec::new();
        if interface.r#type() != kind {
            fix.push(("type", kind.into()));
        }
        let have = interface.options();
        let same = have.len() == options.len()
            && options.iter().all(|(key, value)| have.get(*key).is_some_and(|have| have.as_str() == value));
        if !same {
            fix.push(("options", options.iter().map(|(key, value)| (*key, value.clone())).collect()));
        }
        if !fix.is_empty() {
            local.update("Interface", interface.uuid(), fix);
        }
    }

    fn create_port(&mut self, name: &Str, kind: &str, options: &BTreeMap<&str, String>) -> String {
        let (interface, port) = (format!("mirror_if{}", self.next), format!("mirror_port{}", self.next));
        self.next += 1;
        let options = options.iter().map(|(key, value)| (*key, value.clone())).collect();
        let external_ids = [(OURS, "true")].into_iter().collect();
        let new = NewPort { bridge: self.bridge.uuid(), name, kind, options, external_ids };
        new.create(&interface, &port, &mut self.out.local);
        port
    }

    /// The Mirror row itself.
    fn mirror(
        &mut self,
        mirror: &Row<'_, '_, SbMirror>,
        existing: Option<Row<'_, '_, LocalMirror>>,
        output: OutputPort,
        sources: &Sources,
    ) {
        let local = &mut self.out.local;
        let set = |ports: &BTreeSet<Uuid>| ports.iter().copied().collect::<Datum>();
        let Some(existing) = existing else {
            let name = format!("mirror{}", self.next);
            self.next += 1;
            let ids: Datum = [(OURS, "true")].into_iter().collect();
            let row = vec![
                ("name", mirror.name().clone().into()),
                ("output_port", Datum::from(&output)),
                ("select_src_port", set(&sources.from)),
                ("select_dst_port", set(&sources.to)),
                ("external_ids", ids),
            ];
            local.insert_named("Mirror", &name, row);
            local.mutate("Bridge", self.bridge.uuid(), vec![("mirrors", Mutator::Insert, Datum::named(&name))]);
            return;
        };
        let mut fix = Vec::new();
        if !matches!(output, OutputPort::Is(port) if existing.output_port() == Some(port)) {
            fix.push(("output_port", Datum::from(&output)));
            // The mirror has become a local one: the port that was made for it goes.
            let former = existing.output_port().and_then(|uuid| self.r.find::<Port>(&uuid));
            if let Some(former) = former.filter(|port| flag(port.external_ids(), OURS)) {
                let ports = vec![("ports", Mutator::Delete, Datum::from(former.uuid()))];
                local.mutate("Bridge", self.bridge.uuid(), ports);
            }
        }
        if !existing.select_src_port().iter().eq(sources.from.iter()) {
            fix.push(("select_src_port", set(&sources.from)));
        }
        if !existing.select_dst_port().iter().eq(sources.to.iter()) {
            fix.push(("select_dst_port", set(&sources.to)));
        }
        if !fix.is_empty() {
            local.update("Mirror", existing.uuid(), fix);
        }
    }

    /// Takes a mirror away, with the port that was made for it.
    fn remove(&mut self, mirror: &Row<'_, '_, LocalMirror>) {
        let mut mutations = vec![("mirrors", Mutator::Delete, Datum::from(mirror.uuid()))];
        let port = mirror.output_port().and_then(|uuid| self.r.find::<Port>(&uuid));
        if let Some(port) = port.filter(|port| flag(port.external_ids(), OURS)) {
            mutations.push(("ports", Mutator::Delete, Datum::from(port.uuid())));
        }
        self.out.local.mutate("Bridge", self.bridge.uuid(), mutations);
    }
}
