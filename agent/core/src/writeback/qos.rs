//! Egress queues: rates of logical ports become queues of the interface through which their physical network leaves this host.
//! `configure_qos` and `ovs_qos_entries_gc` of controller/binding.c, OVN 26.03; sheet 01 section 6.9. Packets get to their
//! queue by `set_queue` of the logical flows. A QoS row without external_ids:ovn_qos is somebody else's and left alone.

use ovsdb::datum::{Datum, Value};
use ovsdb::tables::{Table, Tracked};
use ovsdb::{RowId, Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::operations::exchange_entries;
use crate::facts::{BoundPorts, BridgeMappings, ChassisName, LocalnetPorts, ThisChassis};
use crate::reader::Reader;
use crate::rows::{Bridge, Interface, OpenVSwitch, Port, PortBinding, Qos, Queue};
use crate::units::Output;
use crate::view::flag;
use crate::view::peers::INDEX;

/// Marks our QoS rows.
const OURS: &str = "ovn_qos";
/// Whose a queue is, in its external_ids.
const LPORT: &str = "ovn_port";
/// Which chassis has it, in its external_ids, on a host with several.
const CHASSIS: &str = "ovn_chassis";
/// QoS.type.
const HTB: &str = "linux-htb";
/// QoS.other_config:max-rate where the link's speed is unknown or made up: 8 * (2^32 - 1) bit/s, the most that the kernel takes.
const MAX_RATE: i64 = 34_359_738_360;
/// Drivers of virtual interfaces, whose speed means nothing.
const VIRTUAL: [&str; 2] = ["veth", "tap"];

/// A queue that should exist.
struct Wanted {
    id: i64,
    lport: Str,
    /// Queue.other_config.
    config: BTreeMap<Str, Str>,
}

type Row<'r, 'a, R> = Tracked<'r, R, Reader<'a>>;

/// See [`super::WriteKey::Qos`].
pub fn qos(r: &Reader<'_>, out: &mut Output) {
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let mut of_egress: BTreeMap<Uuid, (Row<'_, '_, Interface>, Vec<Wanted>)> = BTreeMap::new();
    for (network, queue) in wanted(r) {
        if let Some((port, interface)) = egress(r, &network) {
            of_egress.entry(port).or_insert_with(|| (interface, Vec::new())).1.push(queue);
        }
    }
    let mut kept: BTreeSet<RowId> = BTreeSet::new();
    for (port, (interface, queues)) in of_egress {
        let Some(port) = r.find::<Port>(&port) else { continue };
        match port.qos().and_then(|qos| r.find::<Qos>(&qos)) {
            None => create(r, &port, &interface, queues, out),
            Some(qos) if flag(qos.external_ids(), OURS) => {
                kept.insert(qos.row_id());
                adjust(r, &qos, queues, out);
            }
            Some(_) => out.diagnostics.push(format!("port {} has a QoS that is not OVN's: left alone", port.name())),
        }
    }
    for row in r.all::<Qos>() {
        let qos = r.row::<Qos>(row).filter(|qos| !kept.contains(&row) && flag(qos.external_ids(), OURS));
        if let Some(qos) = qos {
            adjust(r, &qos, Vec::new(), out);
        }
    }
}

/// The queues that the logical ports here ask for, those that hang on a VIF included, with their physical networks.
fn wanted(r: &Reader<'_>) -> Vec<(Str, Wanted)> {
    let bound = r.fact(BoundPorts);
    let localnet = r.fact(LocalnetPorts);
    let ports = bound.iter().chain(localnet.iter()).copied();
    let mut wanted: Vec<(Str, Wanted)> = ports.filter_map(|port| queue(&r.row::<PortBinding>(port)?)).collect();
    wanted.sort_by(|a, b| a.1.lport.cmp(&b.1.lport));
    wanted
}

/// The queue of a port, and its physical network.
fn queue(port: &Row<'_, '_, PortBinding>) -> Option<(Str, Wanted)> {
    let options = port.options();
    let number = |key: &str| options.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let id = i64::from(options.get("qdisc_queue_id")?.parse::<u32>().ok().filter(|id| *id > 0)?);
    let rates = [("burst", "qos_burst"), ("max-rate", "qos_max_rate"), ("min-rate", "qos_min_rate")];
    let rates = rates.map(|(key, option)| (key, number(option)));
    if rates.iter().all(|(_, rate)| *rate == 0) {
        return None;
    }
    let network = options.get("qos_physical_network")?.clone();
    let config = rates.into_iter().map(|(key, rate)| (Str::from(key), Str::from(rate.to_string()))).collect();
    Some((network, Wanted { id, lport: port.logical_port().clone(), config }))
}

/// The port and interface through which a physical network leaves this host.
fn egress<'r, 'a>(r: &'r Reader<'a>, network: &Str) -> Option<(Uuid, Row<'r, 'a, Interface>)> {
    let mappings = r.fact(BridgeMappings);
    let (_, bridge) = mappings.iter().find(|(known, _)| known == network)?;
    let bridge = r.lookup_one(|t: &Table<Bridge>| t.by_name(bridge)).and_then(|row| r.row::<Bridge>(row))?;
    let ports = bridge.ports().iter().filter_map(|uuid| r.find::<Port>(uuid));
    let mut interfaces = ports.flat_map(|port| {
        let of_port = port.interfaces().iter().filter_map(|uuid| r.find::<Interface>(uuid));
        of_port.map(move |interface| (port.uuid(), interface)).collect::<Vec<_>>()
    });
    interfaces.find(|(_, interface)| {
        let ids = interface.external_ids();
        ids.get("iface-id").is_none()
            && (flag(ids, "ovn-egress-iface") || ["", "system"].contains(&interface.r#type().as_str()))
    })
}

/// A QoS row for a port that has none.
fn create(
    r: &Reader<'_>,
    port: &Row<'_, '_, Port>,
    interface: &Row<'_, '_, Interface>,
    queues: Vec<Wanted>,
    out: &mut Output,
) {
    let name = format!("qos_{}", identifier(port.uuid()));
    let speed = interface.link_speed().filter(|_| {
        let driver = interface.status().get("driver_name");
        !driver.is_some_and(|driver| VIRTUAL.contains(&driver.as_str()))
    });
    let config: Datum = [("max-rate", speed.unwrap_or(MAX_RATE).to_string())].into_iter().collect();
    let mut ids: BTreeSet<i64> = BTreeSet::new();
    let queues = queues.into_iter().filter(|queue| ids.insert(queue.id)).map(|queue| {
        let uuid_name = format!("queue_{}_{}", identifier(port.uuid()), queue.id);
        insert_queue(r, &queue, &uuid_name, out);
        (Value::Integer(queue.id), Value::NamedUuid(uuid_name.as_str().into()))
    });
    let queues = Datum::Map(queues.collect());
    let ours: Datum = [(OURS, "true")].into_iter().collect();
    let row = vec![("type", HTB.into()), ("queues", queues), ("other_config", config), ("external_ids", ours)];
    out.local.insert_named("QoS", &name, row);
    out.local.update("Port", port.uuid(), vec![("qos", Datum::named(&name))]);
}

/// A UUID as a part of a name in a transaction.
fn identifier(uuid: Uuid) -> String {
    uuid.to_string().replace('-', "_")
}

fn insert_queue(r: &Reader<'_>, queue: &Wanted, uuid_name: &str, out: &mut Output) {
    let us = r.fact(ChassisName).filter(|_| !neighbours(r).is_empty()).map(|us| (CHASSIS, us));
    let ids: Datum = us.into_iter().chain([(LPORT, queue.lport.clone())]).collect();
    let row = vec![("other_config", queue.config.iter().collect()), ("external_ids", ids)];
    out.local.insert_named("Queue", uuid_name, row);
}

/// Whether a queue is another chassis' on this host, which shares the uplink.
fn is_of_neighbour(r: &Reader<'_>, queue: &Row<'_, '_, Queue>) -> bool {
    queue.external_ids().get(CHASSIS).is_some_and(|of| neighbours(r).contains(of))
}

/// The other chassis on this host: nobody but those with an index.
fn neighbours(r: &Reader<'_>) -> BTreeSet<Str> {
    let us = r.fact(ChassisName).unwrap_or_default();
    let ovs = r.only::<OpenVSwitch>();
    let names = ovs.iter().flat_map(|ovs| ovs.other_config().iter()).filter_map(|(key, _)| key.strip_prefix(INDEX));
    names.filter(|name| us != *name).map(Str::from).collect()
}

/// Brings the queues of logical ports in one of our QoS rows to `wanted`. Without any queue left the row goes too.
fn adjust(r: &Reader<'_>, qos: &Row<'_, '_, Qos>, wanted: Vec<Wanted>, out: &mut Output) {
    let mut wanted: BTreeMap<i64, Wanted> = wanted.into_iter().rev().map(|queue| (queue.id, queue)).collect();
    let (mut gone, mut left) = (Vec::new(), wanted.len());
    for (id, uuid) in qos.queues().iter() {
        let queue = r.find::<Queue>(uuid);
        let lport = queue.and_then(|queue| queue.external_ids().get(LPORT).cloned());
        let Some((queue, lport)) = queue.zip(lport) else {
            // Somebody added a queue of his own.
            left += 1;
            if let Some(wanted) = wanted.remove(id) {
                out.diagnostics.push(format!("queue {id} of port {} is somebody else's: left alone", wanted.lport));
                left -= 1;
            }
            continue;
        };
        match wanted.get(id).filter(|wanted| wanted.lport == lport) {
            Some(wanted_queue) => {
                if !queue.other_config().iter().eq(wanted_queue.config.iter()) {
                    let config: Datum = wanted_queue.config.iter().collect();
                    out.local.update("Queue", *uuid, vec![("other_config", config)]);
                }
                wanted.remove(id);
            }
            None if is_of_neighbour(r, &queue) => left += 1,
            None => {
                gone.push(*id);
                out.local.delete("Queue", *uuid);
            }
        }
    }
    if left == 0 {
        for port in r.lookup(|t: &Table<Port>| t.by_qos(qos.uuid())) {
            if let Some(port) = r.row::<Port>(port) {
                out.local.update("Port", port.uuid(), vec![("qos", Datum::EMPTY)]);
            }
        }
        out.local.delete("QoS", qos.uuid());
        return;
    }
    let mut new = Vec::new();
    for queue in wanted.into_values() {
        let uuid_name = format!("queue_{}_{}", identifier(qos.uuid()), queue.id);
        insert_queue(r, &queue, &uuid_name, out);
        new.push((queue.id, uuid_name));
    }
    exchange_entries(("QoS", qos.uuid(), "queues"), gone, new, &mut out.local);
}
