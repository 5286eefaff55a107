//! The facts: derived values that several units ask for, each declared once here with its value type and the function
//! that derives it. A fact is memoised while somebody reads it; when it comes out equal, nothing above it runs.
//!
//! Declaring `Name(argument types) -> Value = function` makes a struct `Name`, to be asked for with
//! [`Reader::fact`](crate::reader::Reader::fact). Values are cheap to clone: small, or shared through an `Arc` or a [`List`].

use crate::list::List;
use crate::reader::Reader;
use crate::view;

/// A derived value: what it is asked by, what it gives, how it is derived.
pub trait Fact: Clone + Into<FactKey> {
    /// The value.
    type Value: Clone + PartialEq + Default + 'static;
    /// Derives the value from what the reader gives.
    fn derive(&self, reader: &Reader<'_>) -> Self::Value;
    /// The value inside a [`FactValue`] of this kind.
    fn value(value: &FactValue) -> Option<&Self::Value>;
}

macro_rules! facts {
    ($( $(#[$doc:meta])* $name:ident $( ( $($arg:ident : $ty:ty),+ ) )? -> $value:ty = $derive:path; )+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Hash)]
            pub struct $name $( ( $(#[doc = stringify!($arg)] pub $ty),+ ) )?;

            impl From<$name> for FactKey {
                fn from(fact: $name) -> FactKey {
                    FactKey::$name(fact)
                }
            }

            impl Fact for $name {
                type Value = $value;
                fn derive(&self, reader: &Reader<'_>) -> $value {
                    facts!(@call self, reader, $name, $derive $(, $($arg),+ )?)
                }
                fn value(value: &FactValue) -> Option<&$value> {
                    match value {
                        FactValue::$name(value) => Some(value),
                        _ => None,
                    }
                }
            }
        )+

        /// Which fact, with its argument.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "one variant per fact, documented there")]
        pub enum FactKey { $( $name($name), )+ }

        /// The value of a fact.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "one variant per fact, documented there")]
        pub enum FactValue { $( $name($value), )+ }

        impl FactKey {
            /// Derives the value of whichever fact this is.
            pub fn derive(&self, reader: &Reader<'_>) -> FactValue {
                match self { $( FactKey::$name(fact) => FactValue::$name(fact.derive(reader)), )+ }
            }

            /// Its name, whatever it is asked by.
            pub fn kind(&self) -> &'static str {
                match self { $( FactKey::$name(_) => stringify!($name), )+ }
            }
        }
    };
    (@call $self:ident, $reader:ident, $name:ident, $derive:path) => { $derive($reader) };
    (@call $self:ident, $reader:ident, $name:ident, $derive:path, $($arg:ident),+) => {{
        let $name($($arg),+) = $self;
        $derive($reader, $($arg.clone()),+)
    }};
}

/// A fact with entries, each of which may be asked for by itself ([`Reader::entry`]); [`FactValue::differing_entries`] tells which of them changed.
pub trait ByEntry: Fact {
    /// What an entry is asked for by.
    type Key: Hash;
    /// What it says.
    type Entry: Default;
    /// The entry for a key, the default if there is none.
    fn entry(value: &Self::Value, key: &Self::Key) -> Self::Entry;
    /// The keys (by [`entry_hash`]) whose entries differ.
    fn differing(new: &Self::Value, old: Option<&Self::Value>) -> Vec<u64>;
}

/// Facts that are sorted lists of keys with their entries.
macro_rules! lists_by_entry {
    ($( $fact:ty: $key:ty => $entry:ty ),+) => { $(
        impl ByEntry for $fact {
            type Key = $key;
            type Entry = $entry;
            fn entry(value: &Self::Value, key: &$key) -> $entry {
                let at = value.binary_search_by(|(known, _)| known.cmp(key)).ok();
                at.and_then(|at| value.get(at)).map(|(_, entry)| entry.clone()).unwrap_or_default()
            }
            fn differing(new: &Self::Value, old: Option<&Self::Value>) -> Vec<u64> {
                let old = old.into_iter().flat_map(|old| old.iter());
                let mut hashes = Vec::new();
                differing(old.map(|(key, entry)| (key, entry)), new.iter().map(|(key, entry)| (key, entry)), |key, _, _| {
                    hashes.push(entry_hash(key));
                });
                hashes
            }
        }
    )+ };
}

lists_by_entry!(ZonesOf: Str => u16, BoundByDatapath: RowId => List<RowId>);

impl ByEntry for GroupPorts {
    type Key = u8;
    type Entry = Vec<Uuid>;
    fn entry(value: &Set<Uuid>, part: &u8) -> Vec<Uuid> {
        value.range_by(|port| view::multicast::part_of(port).cmp(part)).copied().collect()
    }
    fn differing(new: &Set<Uuid>, old: Option<&Set<Uuid>>) -> Vec<u64> {
        let none = Set::default();
        let [before, now] = new.beside(old.unwrap_or(&none)).map(|ports| ports.map(|port| (port, &())));
        let mut parts = Vec::new();
        differing(before, now, |port, _, _| parts.push(view::multicast::part_of(port)));
        parts.dedup();
        parts.iter().map(entry_hash).collect()
    }
}

impl FactValue {
    /// The keys (by hash) of the entries that differ from those of the former value. Empty for values that are not read by entry.
    pub fn differing_entries(&self, former: Option<&FactValue>) -> Vec<u64> {
        match self {
            FactValue::ZonesOf(new) => ZonesOf::differing(new, former.and_then(ZonesOf::value)),
            FactValue::BoundByDatapath(new) => BoundByDatapath::differing(new, former.and_then(BoundByDatapath::value)),
            FactValue::GroupPorts(new) => GroupPorts::differing(new, former.and_then(GroupPorts::value)),
            _ => Vec::new(),
        }
    }
}

/// The hash by which an entry is woken.
pub fn entry_hash(key: &impl Hash) -> u64 {
    rustc_hash::FxBuildHasher.hash_one(key)
}

use ovsdb::{RowId, Set, Str, Uuid};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use crate::kernel::MappedIp;
use crate::zones::{UserZone, UserZones, ZoneKind};
use ovsdb::differences::differing;

facts! {
    // ----- this chassis -----

    /// The name of this chassis: the forced one, else Open_vSwitch.external_ids:system-id. Sheet 01 section 2.2.
    ChassisName -> Option<Str> = view::chassis::chassis_name;
    /// Open_vSwitch.external_ids:KEY, the per-chassis variant KEY-NAME first. Sheet 01 section 2.1.
    Setting(key: &'static str) -> Option<Str> = view::chassis::setting;
    /// Our Chassis row.
    ThisChassis -> Option<RowId> = view::chassis::this_chassis;
    /// SB_Global.options:KEY.
    NorthdOption(key: &'static str) -> Option<Str> = view::chassis::northd_option;
    /// The integration bridge's row.
    IntegrationBridge -> Option<RowId> = view::chassis::integration_bridge;
    /// The name of a bridge, and so that of its own port. Asked for by a thousand ports, while other columns of the row often change.
    BridgeName(bridge: RowId) -> Option<Str> = view::chassis::bridge_name;
    /// Datapath.capabilities:KEY of the integration bridge's datapath type.
    Capability(key: &'static str) -> Option<Str> = view::chassis::capability;
    /// ovn-bridge-mappings: physical network name to bridge name, in textual order.
    BridgeMappings -> List<(Str, Str)> = view::chassis::bridge_mappings;
    /// Our encap IPs, sorted, the default one swapped to the front: the index is the encap id. Sheet 02 section 4.1.
    EncapIps -> List<Str> = view::chassis::encap_ips;
    /// Whether a local Flow_Sample_Collector_Set row for the integration bridge has this id.
    CollectorSet(id: i64) -> bool = view::chassis::collector_set;
    /// What northd and the switch say about how logical actions are encoded.
    EncodingOptions -> view::chassis::EncodingOptions = view::chassis::encoding_options;
    /// What a dropped packet does: the debug sampling of sheet 02 section 4.1, or nothing.
    DropSampling -> Option<view::chassis::DropSampling> = view::chassis::drop_sampling;

    // ----- the switch's ports -----

    /// Ports of the integration bridge with their first interface, in Bridge.ports order, the bridge's own port left out.
    BridgePorts -> List<view::interfaces::BridgePort> = view::interfaces::bridge_ports;
    /// The interface of the integration bridge that carries external_ids:iface-id = NAME, with a usable ofport.
    VifInterface(lport: Str) -> Option<view::interfaces::Vif> = view::interfaces::vif_interface;
    /// The iface-id of an interface, if [`VifInterface`] finds one for it.
    UsedIfaceId(interface: RowId) -> Option<Str> = view::interfaces::used_iface_id;
    /// The iface-ids of all interfaces of the integration bridge that [`VifInterface`] would find, sorted.
    IfaceIds -> List<Str> = view::interfaces::iface_ids;
    /// Whether no unit of a port speaks for an interface of the integration bridge that is marked with `ovn-installed`: it has no
    /// iface-id any more, its Port_Binding is gone, or another interface has the port.
    HasStrayMark(interface: RowId) -> bool = view::interfaces::has_stray_mark;
    /// OpenFlow port of the patch port made for this localnet or l2gateway logical port.
    PatchOfport(lport: Str) -> Option<u16> = view::interfaces::patch_ofport;
    /// All usable tunnel ports, in a fixed order.
    Tunnels -> List<view::tunnels::Tunnel> = view::tunnels::tunnels;
    /// The usable tunnels to a chassis, by its name.
    TunnelsTo(chassis: Str) -> List<view::tunnels::Tunnel> = view::tunnels::tunnels_to;
    /// All tunnels by chassis, each chassis' in the order of ovn-controller's hash table of all. Offline only.
    TunnelTable -> Arc<BTreeMap<Str, List<view::tunnels::Tunnel>>> = view::tunnels::tunnel_table;
    /// The tunnel of a Port with external_ids:ovn-chassis-id, if it works.
    TunnelAt(port: RowId) -> Option<view::tunnels::Tunnel> = view::tunnels::tunnel_at;
    /// The shared ports of flow-based tunnelling (ovn-enable-flow-based-tunnels); `None` when it is off.
    FlowBasedTunnels -> Option<Arc<view::tunnels::FlowBased>> = view::tunnels::flow_based;
    /// Whether a BFD session over a tunnel says that the chassis of that name is alive.
    SessionUp(chassis: Str) -> bool = view::bfd::session_up;
    /// What this chassis is to an HA_Chassis_Group whose members watch each other by BFD.
    BfdRole(group: RowId) -> view::bfd::BfdRole = view::bfd::bfd_role;
    /// Whether there should be a BFD session with the chassis of that name.
    BfdWanted(chassis: Str) -> bool = view::bfd::bfd_wanted;
    /// Interface.bfd of tunnels with a session.
    BfdSettings -> Arc<BTreeMap<Str, Str>> = view::bfd::bfd_settings;

    // ----- the tunnels that there should be -----

    /// Our side of tunnels; `None` while bridge, Chassis row or features are not known.
    LocalEnd -> Option<Arc<view::peers::LocalEnd>> = view::peers::local_end;
    /// What a Chassis row asks for; `None`: it is to have no tunnel.
    Peer(chassis: RowId) -> Option<Arc<view::peers::Peer>> = view::peers::peer;
    /// Names of the chassis that are to have a tunnel to this address (in its usual spelling), with the Encap row of each; sorted.
    EndpointPeers(kind: view::tunnels::TunnelKind, remote: Str) -> List<(Str, RowId)> = view::peers::endpoint_peers;
    /// The ports there are that lead to an endpoint, those that work first.
    EndpointPorts(endpoint: view::peers::Endpoint) -> List<view::peers::EndpointPort> = view::peers::endpoint_ports;
    /// Names of the tunnel ports that the switch has refused though no other port is in their way, sorted.
    RefusedTunnels -> List<Str> = view::peers::refused_tunnels;
    /// What is to be done for the tunnels of a Chassis row.
    TunnelPlan(chassis: RowId) -> Option<Arc<view::peers::Plan>> = view::peers::tunnel_plan;

    // ----- datapaths -----

    /// The local datapaths: closure over patch peers of what is bound here. Sheet 02 section 4.1. Sorted by row.
    LocalDatapaths -> List<RowId> = view::datapaths::local_datapaths;
    /// The datapaths that are local because of a port here, not because of a peer. Sorted by row.
    SeedDatapaths -> List<RowId> = view::datapaths::seed_datapaths;
    /// Whether a datapath is local.
    IsLocal(datapath: RowId) -> bool = view::datapaths::is_local;
    /// Datapaths that a datapath leads to when it is local.
    PeerDatapaths(datapath: RowId) -> List<RowId> = view::datapaths::peer_datapaths;
    /// The datapath that a patch or l3gateway port leads to when its own is local.
    PeerDatapath(port: RowId) -> Option<RowId> = view::datapaths::peer_datapath;
    /// The same by UUID, whether the row is there or not.
    PeerTarget(port: RowId) -> Option<Uuid> = view::datapaths::peer_target;
    /// What a datapath is, from its own row.
    Datapath(datapath: RowId) -> Option<view::datapaths::Datapath> = view::datapaths::datapath;
    /// Patch and l3gateway ports of a local datapath with their peers (rows), both ways mutual.
    PeerPorts(datapath: RowId) -> List<(RowId, RowId)> = view::datapaths::peer_ports;
    /// The localnet port of a datapath whose network is mapped to a bridge here.
    LocalnetPort(datapath: RowId) -> Option<RowId> = view::datapaths::localnet_port;
    /// The vtep port of a datapath.
    VtepPort(datapath: RowId) -> Option<RowId> = view::datapaths::vtep_port;
    /// External ports of a datapath.
    ExternalPorts(datapath: RowId) -> List<RowId> = view::datapaths::external_ports;
    /// VIFs of a datapath that have additional chassis.
    MultichassisPorts(datapath: RowId) -> List<RowId> = view::datapaths::multichassis_ports;
    /// The local members of a Logical_DP_Group (row), sorted.
    LocalMembers(group: RowId) -> List<RowId> = view::datapaths::local_members;

    // ----- what is needed of the Southbound -----

    /// What is needed.
    Interest -> Arc<view::interest::Interest> = view::interest::interest;
    /// What is needed because of all local datapaths.
    LocalInterest -> Arc<view::interest::LocalInterest> = view::interest::local_interest;
    /// What is needed because a datapath is local.
    DatapathInterest(datapath: RowId) -> Arc<view::interest::DatapathInterest> = view::interest::datapath_interest;
    /// The datapath that a port is on, whether its row is there or not.
    PortDatapath(port: RowId) -> Option<Uuid> = view::interest::port_datapath;
    /// external_ids:iface-id of an interface, of whatever use; and whether Open vSwitch has not looked at it yet (no ofport, no error).
    IfaceId(interface: RowId) -> Option<(Str, bool)> = view::interest::iface_id;

    // ----- ports -----

    /// The Port_Binding row of a logical port, by name.
    PortByName(lport: Str) -> Option<RowId> = view::ports::port_by_name;
    /// The port that a patch or l3gateway port names as its peer.
    PeerPort(port: RowId) -> Option<RowId> = view::ports::peer_port;
    /// Key of the port, or else the multicast group, of that name on a datapath.
    PortKey(datapath: RowId, name: Str) -> Option<u32> = view::ports::port_key;
    /// What the binding says of a port's type.
    PortKind(port: RowId) -> view::ports::PortKind = view::ports::port_kind;
    /// Whether this chassis may and does bind the port through a local interface (VIF, container, ...). Sheet 01 section 6.
    BoundHere(port: RowId) -> view::ports::Bound = view::ports::bound_here;
    /// How this chassis may bind the port as far as requested-chassis goes.
    CanBind(port: RowId) -> view::ports::Bound = view::ports::can_bind;
    /// The port of an iface-id and those that hang on it, as far as [`BoundHere`] says yes.
    BoundThrough(iface_id: Str) -> List<RowId> = view::ports::bound_through;
    /// The port of an iface-id, if it is a localport.
    LocalportOf(iface_id: Str) -> Option<RowId> = view::ports::localport_of;
    /// Where a port that is bound here is, and what it is plugged into if it is a VIF that is ours.
    Placement(port: RowId) -> view::ports::Placement = view::ports::placement;
    /// The ports for which [`BoundHere`] says yes, sorted by row.
    BoundPorts -> List<RowId> = view::ports::bound_ports;
    /// The same by datapath, sorted by rows.
    BoundByDatapath -> List<(RowId, List<RowId>)> = view::ports::bound_by_datapath;
    /// The l2gateway and l3gateway ports whose options name this chassis, sorted by row.
    GatewayPorts -> List<RowId> = view::ports::gateway_ports;
    /// The ports that may have to be written to wherever they lie: those that name this chassis or have an interface here,
    /// sorted by row.
    PortsHere -> List<RowId> = view::ports::ports_here;
    /// Whether a port is one of [`GatewayPorts`].
    IsGateway(port: RowId) -> bool = view::ports::is_gateway;
    /// Whether a load balancer backend is on a VIF plugged in here (`ct_lb_mark_local`).
    LocalBackend(lport: Str) -> bool = view::ports::local_backend;
    /// Whether the port is in the related set of sheet 02 section 2.9.
    IsRelated(port: RowId) -> bool = view::ports::is_related;
    /// Whether this (datapath key, port key) is in the related set. EVPN endpoints are, as soon as there is one.
    IsRelatedKey(datapath_key: u32, port_key: u32) -> bool = view::ports::is_related_key;
    /// Names of the related ports on a datapath, sorted.
    RelatedPorts(datapath: RowId) -> List<Str> = view::ports::related_ports;
    /// `is_chassis_resident("P")`.
    ChassisResident(lport: Str) -> bool = view::ports::chassis_resident;
    /// Role of this chassis in an HA_Chassis_Group row.
    HaRole(group: RowId) -> view::ports::HaRole = view::ports::ha_role;
    /// Whether there is a session to any chassis that an HA_Chassis_Group is referred to by. They may be a thousand, so who has
    /// which priority is not looked at here.
    RefChassisUp(group: RowId) -> bool = view::ports::ref_chassis_up;
    /// Members of an HA_Chassis_Group that have a Chassis row, best first (names).
    HaOrder(group: RowId) -> List<Str> = view::ports::ha_order;
    /// Whether this chassis is a member of the HA_Chassis_Group with this UUID.
    HaContains(group: Uuid) -> bool = view::ports::ha_contains;
    /// The HA_Chassis_Group rows of which this chassis is a member, sorted by row.
    HaGroups -> List<RowId> = view::ports::ha_groups;
    /// The chassisredirect and external ports of an HA_Chassis_Group.
    HaPorts(group: RowId) -> List<RowId> = view::ports::ha_ports;
    /// The datapaths of [`HaPorts`], sorted by row.
    HaDatapaths(group: RowId) -> List<RowId> = view::ports::ha_datapaths;

    /// The VIFs that are plugged in here and that the Southbound says are ours, with what they are plugged into.
    PluggedPorts -> Arc<BTreeMap<Str, crate::model::Plug>> = view::ports::plugged_ports;

    // ----- placement -----

    /// What the chassis of that name is.
    ChassisByName(chassis: Str) -> view::placement::ChassisTraits = view::placement::chassis_by_name;
    /// Names of the chassis of other availability zones, in UUID order (offline in that of ovn-controller's table).
    RemoteChassis -> List<Str> = view::placement::remote_chassis;
    /// How a port gets packets of the multicast groups that it is in.
    GroupMember(port: RowId) -> view::multicast::GroupMember = view::multicast::group_member;
    /// The members of a large Multicast_Group; the entries are its parts, see [`view::multicast::part_of`].
    GroupPorts(group: RowId) -> Set<Uuid> = view::multicast::group_ports;
    /// How the ports of one part of a large Multicast_Group get their copies.
    GroupPart(group: RowId, part: u8) -> Arc<view::multicast::GroupPart> = view::multicast::group_part;
    /// Our MAC address on a physical network (ovn-chassis-mac-mappings).
    ChassisMac(network: Str) -> Option<u64> = view::placement::chassis_mac;

    /// Whether the localnet ports of local datapaths learn MAC addresses (option localnet_learn_fdb; one flag for all).
    LearnsFdbOnLocalnet -> bool = view::ports::learns_fdb_on_localnet;

    // ----- conntrack zones -----

    /// All zones in use.
    Zones -> UserZones = view::zones::zones;
    /// Those of one kind.
    ZonesOf(kind: ZoneKind) -> List<UserZone> = view::zones::zones_of;
    /// The users that keep a zone which they ask for or have, and those that have none yet.
    HeldZones(kind: ZoneKind) -> Arc<view::zones::Held> = view::zones::held_zones;
    /// The names of everything that has a zone here, sorted: ports in use, and two of each local datapath.
    ZoneUsers(kind: ZoneKind) -> List<Str> = view::zone_users::zone_users;
    /// The ports among them, sorted by name.
    PortZoneUsers -> List<(Str, RowId)> = view::zone_users::port_zone_users;
    /// Their names.
    PortZoneNames(kind: ZoneKind) -> List<Str> = view::zone_users::port_zone_names;
    /// The names of the zones of local datapaths, sorted: two of each.
    DatapathZoneUsers -> List<Str> = view::zone_users::datapath_zone_users;
    /// The localnet ports of local datapaths.
    LocalnetPorts -> List<RowId> = view::zone_users::localnet_ports;
    /// The local datapaths that say how many connections there may be in their zones.
    LimitedDatapaths -> List<RowId> = view::zone_users::limited_datapaths;
    /// Whether a port has a zone here.
    IsZoneUser(port: RowId) -> bool = view::zone_users::is_zone_user;
    /// The zones that local datapaths ask for in external_ids:snat-ct-zone, by user, sorted.
    RequestedZones -> List<UserZone> = view::zones::requested_zones;
    /// Bridge.external_ids:ct-zone-* of the integration bridge as they are.
    AllZoneKeys -> Arc<view::zones::ZoneEntries> = view::zones::all_zone_keys;
    /// Those of one kind, sorted by key.
    ZoneKeys(kind: ZoneKind) -> List<view::zones::Entry> = view::zones::zone_keys;
    /// The zones that Bridge.external_ids:ct-zone-* of the integration bridge say, by user, sorted.
    PersistedZones(kind: ZoneKind) -> List<UserZone> = view::zones::persisted_zones;
    /// What differs between the zones in use and the keys of Bridge.external_ids.
    UnsettledZones(kind: ZoneKind) -> Arc<crate::writeback::zones::Unsettled> = crate::writeback::zones::unsettled;
    /// First and last zone that may be chosen freely (ct-zone-range).
    ZoneRange -> (u16, u16) = view::zones::zone_range;
    /// The dnat and snat zones of a datapath; 0 is none.
    DatapathZones(datapath: RowId) -> (u16, u16) = view::zones::datapath_zones;
    /// The zone of that name; 0 when there is none.
    Zone(name: Str) -> u16 = view::zones::zone;
    /// The ct, dnat and snat zones of a port binding.
    PortZones(port: RowId) -> view::zones::PortZones = view::zones::port_zones;

    // ----- sets and dictionaries of the languages -----

    /// An Address_Set by name, its members parsed and sorted.
    AddressSet(name: Str) -> Option<Arc<ovn_lang::AddressSet>> = view::sets::address_set;
    /// The locally relevant ports of the Port_Group `<dp>_<name>`.
    PortGroup(datapath_key: u32, name: Str) -> Option<Arc<[Arc<str>]>> = view::sets::port_group;
    /// This chassis' template variable.
    TemplateVariable(name: Str) -> Option<Str> = view::sets::template_variable;
    /// The option dictionaries for `put_dhcp_opts` and `put_dhcpv6_opts`.
    DhcpDictionaries -> Arc<view::sets::DhcpDictionaries> = view::sets::dhcp_dictionaries;

    // ----- EVPN -----

    /// What an EVPN switch is: a local logical switch with a valid external_ids:dynamic-routing-vni.
    EvpnSwitch(datapath: RowId) -> Option<Arc<view::evpn::Switch>> = view::evpn::switch;
    /// The EVPN switches as (VNI, datapath), sorted by VNI; the first of a VNI has it.
    EvpnNetworks -> List<(u32, RowId)> = view::evpn::networks;
    /// The switch that has a VNI, with its datapath.
    EvpnNetwork(vni: u32) -> Option<(RowId, Arc<view::evpn::Switch>)> = view::evpn::network;
    /// The devices of the kernel whose tables matter.
    EvpnDevices -> Arc<view::evpn::Devices> = view::evpn::devices;
    /// The VNIs of which a VXLAN device has the endpoints, sorted.
    VxlanNetworks(device: Str) -> List<u32> = view::evpn::vxlan_networks;
    /// The VNIs of which a bridge has the IP addresses, sorted.
    BridgeNetworks(device: Str) -> List<u32> = view::evpn::bridge_networks;
    /// Our own tunnel addresses.
    EvpnLocalIps -> Arc<view::evpn::LocalIps> = view::evpn::local_ips;
    /// Our tunnel address for a VNI, IPv6 or IPv4.
    EvpnLocalIp(vni: u32, ipv6: bool) -> Option<std::net::IpAddr> = view::evpn::local_ip;
    /// OpenFlow port of the EVPN VXLAN port with this UDP port.
    EvpnTunnelPort(udp_port: u16) -> Option<u16> = view::evpn::tunnel_port;
    /// The remote endpoints of a VNI, sorted.
    EvpnVteps(vni: u32) -> List<std::net::IpAddr> = view::evpn::vteps;
    /// The binding key of an endpoint of a VNI; `None` when all are taken.
    EvpnKey(vni: u32, ip: MappedIp) -> Option<u32> = view::evpn::key;
    /// The keys of endpoints that do not get the one they prefer, sorted by endpoint.
    EvpnOverflowKeys(vni: u32) -> List<(std::net::IpAddr, u32)> = view::evpn::overflow_keys;
    /// The tunnel to an endpoint of a VNI.
    EvpnBinding(vni: u32, ip: MappedIp) -> view::evpn::Bound = view::evpn::binding;
}
