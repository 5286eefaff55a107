//! A hypervisor in miniature for tests: chassis hv1 with an empty br-int, to which rows are added one by one.

use ovsdb::tables::local::{self, Bridge, Interface, OpenVSwitch, Port};
use ovsdb::tables::southbound::{
    self, Chassis, DatapathBinding, HaChassis, HaChassisGroup, MulticastGroup, PortBinding, PortGroup, SbGlobal,
};
use ovsdb::tables::{Row, RowId, RowUpdate};
use ovsdb::{Map, Set, Str, Uuid};

use crate::Agent;
use crate::facts::Fact;
use crate::model::External;
use crate::rows::ModelRow;

/// An agent, and the two rows that tests keep changing.
pub struct Testbed {
    /// The agent, settled after every change.
    pub agent: Agent,
    /// The row in Open_vSwitch; written back by [`Testbed::setting`].
    pub open_vswitch: OpenVSwitch,
    /// br-int; written back by [`Testbed::bridge_changed`].
    pub bridge: Bridge,
    next: u32,
}

/// UUID of the only Open_vSwitch row.
const OPEN_VSWITCH: Uuid = Uuid([0xaa; 16]);
/// UUID of br-int.
pub const BRIDGE: Uuid = Uuid([0xbb; 16]);
/// UUID of Chassis hv1.
pub const HV1: Uuid = Uuid([0xc1; 16]);
/// UUID of Chassis hv2.
pub const HV2: Uuid = Uuid([0xc2; 16]);
/// UUID of Chassis hv3.
pub const HV3: Uuid = Uuid([0xc3; 16]);

/// A map column.
pub fn map(pairs: &[(&str, &str)]) -> Map<Str, Str> {
    pairs.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))).collect()
}

/// A set column.
pub fn set<T: Ord + Clone>(members: &[T]) -> Set<T> {
    members.iter().cloned().collect()
}

/// The names in a slice.
pub fn names(members: &[Str]) -> Vec<&str> {
    members.iter().map(Str::as_str).collect()
}

impl Testbed {
    /// hv1 (ours), hv2 and hv3, and br-int without ports.
    pub fn new() -> Self {
        let open_vswitch = OpenVSwitch { external_ids: map(&[("system-id", "hv1")]), ..Default::default() };
        let bridge = Bridge { name: Str::from("br-int"), ..Default::default() };
        let mut bed = Self { agent: Agent::new(External::default()), open_vswitch, bridge, next: 0 };
        bed.put_local(|u| &mut u.open_vswitch, OPEN_VSWITCH, bed.open_vswitch.clone());
        bed.bridge_changed();
        for (uuid, name) in [(HV1, "hv1"), (HV2, "hv2"), (HV3, "hv3")] {
            let chassis =
                Chassis { name: Str::from(name), hostname: Str::from(format!("{name}.example")), ..Default::default() };
            bed.put(|u| &mut u.chassis, uuid, chassis);
        }
        bed
    }

    /// Asks for a fact.
    pub fn ask<F: Fact>(&self, fact: F) -> F::Value {
        self.agent.ask(fact)
    }

    /// A UUID that was not used yet. They ascend.
    pub fn uuid(&mut self) -> Uuid {
        self.next += 1;
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.next.to_be_bytes());
        Uuid(bytes)
    }

    /// The place of a row that exists.
    pub fn row<R: ModelRow>(&self, uuid: Uuid) -> RowId {
        R::table(self.agent.model()).by_uuid(&uuid).expect("the row exists")
    }

    /// Inserts a row into the Southbound, or replaces it.
    pub fn put<R: Row>(
        &mut self,
        table: impl FnOnce(&mut southbound::Updates) -> &mut Vec<(Uuid, RowUpdate<R>)>,
        uuid: Uuid,
        row: R,
    ) -> Uuid {
        let mut updates = southbound::Updates::default();
        table(&mut updates).push((uuid, RowUpdate::Insert(row)));
        self.agent.southbound(updates);
        self.agent.settle();
        uuid
    }

    /// Deletes a row of the Southbound.
    pub fn delete<R: Row>(
        &mut self,
        table: impl FnOnce(&mut southbound::Updates) -> &mut Vec<(Uuid, RowUpdate<R>)>,
        uuid: Uuid,
    ) {
        let mut updates = southbound::Updates::default();
        table(&mut updates).push((uuid, RowUpdate::Delete));
        self.agent.southbound(updates);
        self.agent.settle();
    }

    /// Inserts a row into the local database, or replaces it.
    pub fn put_local<R: Row>(
        &mut self,
        table: impl FnOnce(&mut local::Updates) -> &mut Vec<(Uuid, RowUpdate<R>)>,
        uuid: Uuid,
        row: R,
    ) -> Uuid {
        let mut updates = local::Updates::default();
        table(&mut updates).push((uuid, RowUpdate::Insert(row)));
        self.agent.local(updates);
        self.agent.settle();
        uuid
    }

    /// Writes [`Testbed::bridge`] to the database.
    pub fn bridge_changed(&mut self) {
        self.put_local(|u| &mut u.bridge, BRIDGE, self.bridge.clone());
    }

    /// Sets Open_vSwitch.external_ids:KEY.
    pub fn setting(&mut self, key: &str, value: &str) {
        let mut ids: Vec<(Str, Str)> =
            self.open_vswitch.external_ids.pairs().filter(|(known, _)| known != key).cloned().collect();
        ids.push((Str::from(key), Str::from(value)));
        self.open_vswitch.external_ids = ids.into();
        self.put_local(|u| &mut u.open_vswitch, OPEN_VSWITCH, self.open_vswitch.clone());
    }

    /// Sets SB_Global.options.
    pub fn northd(&mut self, options: &[(&str, &str)]) {
        self.put(|u| &mut u.sb_global, Uuid([0xdd; 16]), SbGlobal { options: map(options), ..Default::default() });
    }

    /// A logical switch ("ls...") or router (any other name) with that tunnel key.
    pub fn datapath(&mut self, name: &str, key: i64) -> Uuid {
        let kind = if name.starts_with("ls") { "logical-switch" } else { "logical-router" };
        let uuid = self.uuid();
        let row = DatapathBinding {
            tunnel_key: key,
            r#type: Some(Str::from(kind)),
            nb_uuid: Some(uuid),
            external_ids: map(&[("name", name)]),
            ..Default::default()
        };
        self.put(|u| &mut u.datapath_binding, uuid, row)
    }

    /// A port of that type, further changed by `change`.
    pub fn port(
        &mut self,
        datapath: Uuid,
        name: &str,
        port_type: &str,
        change: impl FnOnce(&mut PortBinding),
    ) -> (Uuid, RowId) {
        let uuid = self.uuid();
        let mut row = PortBinding {
            logical_port: Str::from(name),
            r#type: Str::from(port_type),
            datapath,
            tunnel_key: i64::from(self.next),
            ..Default::default()
        };
        change(&mut row);
        self.put(|u| &mut u.port_binding, uuid, row);
        (uuid, self.row::<PortBinding>(uuid))
    }

    /// Changes a port.
    pub fn change_port(&mut self, port: Uuid, change: impl FnOnce(&mut PortBinding)) {
        let mut row = self.agent.model().sb.port_binding.row_by_uuid(&port).expect("the port exists").clone();
        change(&mut row);
        self.put(|u| &mut u.port_binding, port, row);
    }

    /// A pair of patch ports between two datapaths, named `A-B` and `B-A`, with these options each.
    pub fn patch(&mut self, a: (Uuid, &str), b: (Uuid, &str), options: [&[(&str, &str)]; 2]) -> [(Uuid, RowId); 2] {
        let (one, other) = (format!("{}-{}", a.1, b.1), format!("{}-{}", b.1, a.1));
        let with = |peer: &str, options: &[(&str, &str)]| {
            let mut options = options.to_vec();
            options.push(("peer", peer));
            map(&options)
        };
        let (first, second) = (with(&other, options[0]), with(&one, options[1]));
        [
            self.port(a.0, &one, "patch", |pb| pb.options = first),
            self.port(b.0, &other, "patch", |pb| pb.options = second),
        ]
    }

    /// A port of br-int with one interface, which `change` makes what it is. Returns the UUIDs of the port and the interface.
    pub fn bridge_port(&mut self, name: &str, change: impl FnOnce(&mut Port, &mut Interface)) -> (Uuid, Uuid) {
        let (port, interface) = (self.uuid(), self.uuid());
        let mut interface_row =
            Interface { name: Str::from(name), ofport: Some(i64::from(self.next)), ..Default::default() };
        let mut row = Port { name: Str::from(name), interfaces: set(&[interface]), ..Default::default() };
        change(&mut row, &mut interface_row);
        self.put_local(|u| &mut u.interface, interface, interface_row);
        self.put_local(|u| &mut u.port, port, row);
        let mut ports = self.bridge.ports.iter().copied().collect::<Vec<_>>();
        ports.push(port);
        self.bridge.ports = ports.into();
        self.bridge_changed();
        (port, interface)
    }

    /// A VIF's interface.
    pub fn vif(&mut self, iface_id: &str) -> Uuid {
        self.bridge_port(&format!("tap-{iface_id}"), |_, interface| {
            interface.external_ids = map(&[("iface-id", iface_id)]);
        })
        .1
    }

    /// Changes an interface.
    pub fn change_interface(&mut self, interface: Uuid, change: impl FnOnce(&mut Interface)) {
        let table = &self.agent.model().local.interface;
        let mut row = table.row_by_uuid(&interface).expect("the interface exists").clone();
        change(&mut row);
        self.put_local(|u| &mut u.interface, interface, row);
    }

    /// A Geneve tunnel port to a chassis; `bfd` is the state of its BFD session, empty for none.
    pub fn tunnel(&mut self, chassis: &str, bfd: &str) -> Uuid {
        self.bridge_port(&format!("ovn-{chassis}-0"), |port, interface| {
            port.external_ids = map(&[("ovn-chassis-id", &format!("{chassis}@192.0.2.2%192.0.2.1"))]);
            interface.r#type = Str::from("geneve");
            interface.options = map(&[("remote_ip", "192.0.2.2")]);
            if !bfd.is_empty() {
                interface.bfd = map(&[("enable", "true")]);
                interface.bfd_status = map(&[("state", bfd)]);
            }
        })
        .1
    }

    /// An HA_Chassis_Group of these chassis (none: a hypervisor that is not there) with their priorities.
    pub fn ha_group(&mut self, members: &[(Option<Uuid>, i64)], refs: &[Uuid]) -> (Uuid, RowId) {
        let mut rows = Vec::new();
        for &(chassis, priority) in members {
            let uuid = self.uuid();
            rows.push(self.put(|u| &mut u.ha_chassis, uuid, HaChassis { chassis, priority, ..HaChassis::default() }));
        }
        let uuid = self.uuid();
        let row = HaChassisGroup { ha_chassis: rows.into(), ref_chassis: set(refs), ..Default::default() };
        self.put(|u| &mut u.ha_chassis_group, uuid, row);
        (uuid, self.row::<HaChassisGroup>(uuid))
    }

    /// A multicast group.
    pub fn multicast_group(&mut self, datapath: Uuid, name: &str, tunnel_key: i64) {
        let uuid = self.uuid();
        let row = MulticastGroup { datapath, name: Str::from(name), tunnel_key, ..Default::default() };
        self.put(|u| &mut u.multicast_group, uuid, row);
    }

    /// A port group.
    pub fn port_group(&mut self, name: &str, ports: &[&str]) {
        let uuid = self.uuid();
        let ports = ports.iter().map(|port| Str::from(*port)).collect();
        self.put(|u| &mut u.port_group, uuid, PortGroup { name: Str::from(name), ports });
    }

    /// The names of the local datapaths, sorted.
    pub fn local_datapaths(&self) -> Vec<String> {
        let local = self.ask(crate::facts::LocalDatapaths);
        let mut names: Vec<String> =
            local.iter().filter_map(|&row| Some(self.ask(crate::facts::Datapath(row))?.name.to_string())).collect();
        names.sort();
        names
    }
}
