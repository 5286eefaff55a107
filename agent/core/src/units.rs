//! The units: the pieces of output, each a pure function of what it reads. [`UnitKey`] says which there are, [`Output`]
//! what a unit may produce, [`run`] leads from one to the other.

use ofproto_client::{ActionList, Match};
use ovsdb::transaction::Transaction;
use ovsdb::{RowId, Str};
use smallvec::SmallVec;
use std::net::IpAddr;

use crate::engine::Stratum;
use crate::flows;
use crate::reader::Reader;
use crate::writeback::{self, NewTunnel};

/// Which unit. Rows are those of the table that the variant's name says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnitKey {
    /// Creates and removes the units of lflows, ports and multicast groups, as datapaths become local and cease to be.
    LocalDatapathMembers,
    /// A Logical_Flow on one local datapath.
    LogicalFlow {
        /// Row in Logical_Flow.
        lflow: RowId,
        /// Row in Datapath_Binding.
        datapath: RowId,
    },
    /// Physical flows of a Port_Binding.
    PortBinding(RowId),
    /// Port security flows of a Port_Binding.
    PortSecurity(RowId),
    /// Flows of a Multicast_Group.
    MulticastGroup(RowId),
    /// Neighbour flows of a MAC_Binding.
    MacBinding(RowId),
    /// Neighbour flows of a Static_MAC_Binding.
    StaticMacBinding(RowId),
    /// Flows of an FDB row.
    Fdb(RowId),
    /// Hairpin flows of a Load_Balancer.
    LoadBalancer(RowId),
    /// Flows that follow from a Chassis: chassis MACs, interconnection.
    Chassis(RowId),
    /// Ingress flows of a tunnel port (row in Port).
    Tunnel(RowId),
    /// Flows of flow-based tunnels, and of all tunnels to other availability zones together.
    Tunnels,
    /// Creates and removes the [`EvpnUnit::Network`] units, as switches get VNIs and lose them.
    EvpnNetworks,
    /// Something of EVPN. Boxed, so that the many other units stay small.
    Evpn(Box<EvpnUnit>),
    /// Keeps [`crate::facts::Interest`], which the conditions follow from under which the Southbound is monitored.
    Interest,
    /// Flows that depend on no row.
    Fixed,
    /// The meters that flows refer to.
    Meters,
    /// A piece of the local database or the Southbound that we write.
    Write(writeback::WriteKey),
}

/// Which unit of EVPN. All but [`EvpnUnit::Network`] exist because the kernel has an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EvpnUnit {
    /// Copies to all remote endpoints of a VNI.
    Network(u32),
    /// The tunnel to a remote endpoint.
    Vtep {
        /// VXLAN device that has it.
        device: Str,
        /// The endpoint.
        ip: IpAddr,
    },
    /// A MAC address behind a remote endpoint.
    Mac {
        /// VXLAN device that has it.
        device: Str,
        /// Ethernet address.
        mac: u64,
    },
    /// An IP address of which the MAC address is known.
    Address {
        /// Bridge that has it.
        device: Str,
        /// IP address.
        ip: IpAddr,
    },
}

impl EvpnUnit {
    fn describe(&self) -> String {
        match self {
            EvpnUnit::Network(vni) => format!("EVPN VNI {vni}"),
            EvpnUnit::Vtep { device, ip } => format!("EVPN endpoint {ip} of {device}"),
            EvpnUnit::Mac { device, mac } => format!("EVPN MAC {} of {device}", flows::evpn::Mac(*mac)),
            EvpnUnit::Address { device, ip } => format!("EVPN neighbour {ip} of {device}"),
        }
    }
}

impl UnitKey {
    /// When the unit runs.
    pub fn stratum(&self) -> Stratum {
        match self {
            UnitKey::LocalDatapathMembers | UnitKey::EvpnNetworks | UnitKey::Interest => Stratum::Membership,
            UnitKey::Meters | UnitKey::Write(_) => Stratum::Writeback,
            _ => Stratum::Flows,
        }
    }
}

impl UnitKey {
    /// Its kind, as the control commands and metrics name it.
    pub fn kind(&self) -> &'static str {
        match self {
            UnitKey::LocalDatapathMembers => "LocalDatapathMembers",
            UnitKey::LogicalFlow { .. } => "LogicalFlow",
            UnitKey::PortBinding(_) => "PortBinding",
            UnitKey::PortSecurity(_) => "PortSecurity",
            UnitKey::MulticastGroup(_) => "MulticastGroup",
            UnitKey::MacBinding(_) => "MacBinding",
            UnitKey::StaticMacBinding(_) => "StaticMacBinding",
            UnitKey::Fdb(_) => "Fdb",
            UnitKey::LoadBalancer(_) => "LoadBalancer",
            UnitKey::Chassis(_) => "Chassis",
            UnitKey::Tunnel(_) => "Tunnel",
            UnitKey::Tunnels => "Tunnels",
            UnitKey::EvpnNetworks => "EvpnNetworks",
            UnitKey::Interest => "Interest",
            UnitKey::Evpn(unit) => match **unit {
                EvpnUnit::Network(_) => "EvpnNetwork",
                EvpnUnit::Vtep { .. } => "EvpnVtep",
                EvpnUnit::Mac { .. } => "EvpnMac",
                EvpnUnit::Address { .. } => "EvpnAddress",
            },
            UnitKey::Fixed => "Fixed",
            UnitKey::Meters => "Meters",
            UnitKey::Write(write) => write.kind(),
        }
    }

    /// The unit in an operator's words: table and row, by name where rows have names.
    pub fn describe(&self, model: &crate::model::Model) -> String {
        let sb = &model.sb;
        match self {
            UnitKey::LogicalFlow { lflow, datapath } => {
                let name = sb.datapath_binding.row(*datapath).and_then(|dp| dp.external_ids.get("name")).cloned();
                format!("Logical_Flow {} on {}", sb.logical_flow.uuid(*lflow), name.unwrap_or_default())
            }
            UnitKey::PortBinding(row) | UnitKey::PortSecurity(row) | UnitKey::Write(writeback::WriteKey::Port(row)) => {
                let name = sb.port_binding.row(*row).map(|port| port.logical_port.clone());
                format!("Port_Binding {}", name.unwrap_or_default())
            }
            UnitKey::MulticastGroup(row) => {
                let name = sb.multicast_group.row(*row).map(|group| group.name.clone());
                format!("Multicast_Group {} ({})", sb.multicast_group.uuid(*row), name.unwrap_or_default())
            }
            UnitKey::MacBinding(row) => format!("MAC_Binding {}", sb.mac_binding.uuid(*row)),
            UnitKey::StaticMacBinding(row) => format!("Static_MAC_Binding {}", sb.static_mac_binding.uuid(*row)),
            UnitKey::Fdb(row) => format!("FDB {}", sb.fdb.uuid(*row)),
            UnitKey::LoadBalancer(row) => {
                let name = sb.load_balancer.row(*row).map(|lb| lb.name.clone());
                format!("Load_Balancer {} ({})", sb.load_balancer.uuid(*row), name.unwrap_or_default())
            }
            UnitKey::Chassis(row) => {
                let name = sb.chassis.row(*row).map(|chassis| chassis.name.clone());
                format!("Chassis {}", name.unwrap_or_default())
            }
            UnitKey::Tunnel(row) => {
                format!("tunnel port {}", model.local.port.row(*row).map(|port| port.name.clone()).unwrap_or_default())
            }
            UnitKey::LocalDatapathMembers => "local datapaths".to_owned(),
            UnitKey::Tunnels => "tunnels".to_owned(),
            UnitKey::EvpnNetworks => "EVPN networks".to_owned(),
            UnitKey::Evpn(unit) => unit.describe(),
            UnitKey::Interest => "what is needed of the Southbound".to_owned(),
            UnitKey::Fixed => "fixed flows".to_owned(),
            UnitKey::Meters => "meters".to_owned(),
            UnitKey::Write(write) => format!("{write:?}"),
        }
    }
}

/// A flow as a unit wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredFlow {
    /// OpenFlow table.
    pub table: u8,
    /// Priority.
    pub priority: u16,
    /// First 32 bits of the owner row's UUID, or 0 (sheet 02 section 1.6).
    pub cookie: u64,
    /// The match.
    pub match_: Match,
    /// The encoded actions.
    pub actions: ActionList,
}

/// Everything a unit produced in one run. It replaces what the unit produced before.
#[derive(Default)]
pub struct Output {
    /// Flows.
    pub flows: Vec<DesiredFlow>,
    /// Groups referred to by the flows' actions.
    pub groups: SmallVec<[u32; 1]>,
    /// Meters referred to by the flows' actions.
    pub meters: SmallVec<[u32; 1]>,
    /// The meters of the switch ([`UnitKey::Meters`] only).
    pub meter_table: Vec<ofproto_client::Meter>,
    /// What should be done to the Southbound now (write units only).
    pub southbound: Transaction,
    /// What should be done to the local database now (write units only).
    pub local: Transaction,
    /// Tunnel ports to be made. Their names are given when the transaction is, since no two may be the same.
    pub new_tunnels: Vec<NewTunnel>,
    /// What could not be used, and why.
    pub diagnostics: Vec<String>,
}

impl Output {
    /// Adds a flow whose actions are still values.
    pub fn flow(&mut self, table: u8, priority: u16, cookie: u64, match_: Match, actions: &[ofproto_client::Action]) {
        self.encoded_flow(table, priority, cookie, match_, ActionList::from(actions));
    }

    /// Adds a flow.
    pub fn encoded_flow(&mut self, table: u8, priority: u16, cookie: u64, match_: Match, actions: ActionList) {
        self.flows.push(DesiredFlow { table, priority, cookie, match_, actions });
    }
}

/// What a unit owns between runs.
#[derive(Default)]
pub struct Held {
    /// Entries of the flow table that this unit has a claim on.
    pub flows: SmallVec<[crate::switch::FlowId; 2]>,
    /// The rest, boxed because most units have none of it.
    pub rest: Option<Box<HeldRest>>,
}

/// The rarer things a unit owns.
#[derive(Default)]
pub struct HeldRest {
    /// Groups referred to.
    pub groups: SmallVec<[u32; 1]>,
    /// Meters referred to.
    pub meters: SmallVec<[u32; 1]>,
    /// The meters of the switch.
    pub meter_table: Vec<ofproto_client::Meter>,
    /// What should be done to the Southbound.
    pub southbound: Transaction,
    /// What should be done to the local database.
    pub local: Transaction,
    /// Tunnel ports to be made.
    pub new_tunnels: Vec<NewTunnel>,
    /// Diagnostics.
    pub diagnostics: Vec<String>,
}

/// Runs a unit. (`LocalDatapathMembers` and `EvpnNetworks` are run by the agent itself, since their output is units.)
pub fn run(key: &UnitKey, r: &Reader<'_>, out: &mut Output) {
    match key {
        UnitKey::LocalDatapathMembers | UnitKey::EvpnNetworks => {}
        UnitKey::LogicalFlow { lflow, datapath } => flows::logical::lflow(r, *lflow, *datapath, out),
        UnitKey::PortBinding(port) => flows::physical::port_binding(r, *port, out),
        UnitKey::PortSecurity(port) => flows::port_security::port_security(r, *port, out),
        UnitKey::MulticastGroup(group) => flows::multicast::multicast_group(r, *group, out),
        UnitKey::MacBinding(row) => flows::neighbours::mac_binding(r, *row, out),
        UnitKey::StaticMacBinding(row) => flows::neighbours::static_mac_binding(r, *row, out),
        UnitKey::Fdb(row) => flows::fdb::fdb(r, *row, out),
        UnitKey::LoadBalancer(row) => flows::load_balancer::load_balancer(r, *row, out),
        UnitKey::Chassis(row) => flows::chassis::chassis(r, *row, out),
        UnitKey::Tunnel(port) => flows::tunnels::tunnel(r, *port, out),
        UnitKey::Tunnels => flows::tunnels::tunnels(r, out),
        UnitKey::Evpn(unit) => flows::evpn::evpn(r, unit, out),
        UnitKey::Interest => drop(r.fact(crate::facts::Interest)),
        UnitKey::Fixed => flows::fixed::fixed(r, out),
        UnitKey::Meters => flows::meters::meters(r, out),
        UnitKey::Write(write) => writeback::run(write, r, out),
    }
}
