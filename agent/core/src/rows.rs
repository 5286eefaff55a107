//! The row types of both databases under one roof, each with the place of its table in the [`Model`].
//!
//! Both databases have a table Mirror; they are [`SbMirror`] and [`LocalMirror`] here.

pub use ovsdb::tables::local::{
    Bridge, Controller, CtZone, Datapath, FlowSampleCollectorSet, FlowTable, Interface, Mirror as LocalMirror,
    OpenVSwitch, Port, Qos, Queue, Ssl,
};
pub use ovsdb::tables::southbound::{
    AclId, AddressSet, AdvertisedMacBinding, AdvertisedRoute, Bfd, Chassis, ChassisPrivate, ChassisTemplateVar,
    ControllerEvent, DatapathBinding, DhcpOptions, Dhcpv6Options, Dns, EcmpNexthop, Encap, Fdb, GatewayChassis,
    HaChassis, HaChassisGroup, IgmpGroup, IpMulticast, LearnedRoute, LoadBalancer, LogicalDpGroup, LogicalFlow,
    MacBinding, Meter, MeterBand, Mirror as SbMirror, MulticastGroup, PortBinding, PortGroup, SbGlobal, ServiceMonitor,
    StaticMacBinding,
};
use ovsdb::tables::{Row, Table};

use crate::model::Model;

/// A row type with the place of its table in the model.
pub trait ModelRow: Row {
    /// The table.
    fn table(model: &Model) -> &Table<Self>;
}

macro_rules! model_rows {
    ($($database:ident { $($row:ident in $table:ident),+ $(,)? })+) => {
        $($(impl ModelRow for $row {
            fn table(model: &Model) -> &Table<Self> {
                &model.$database.$table
            }
        })+)+
    };
}

model_rows! {
    sb {
        SbGlobal in sb_global,
        Chassis in chassis,
        ChassisPrivate in chassis_private,
        Encap in encap,
        AddressSet in address_set,
        PortGroup in port_group,
        LogicalFlow in logical_flow,
        LogicalDpGroup in logical_dp_group,
        MulticastGroup in multicast_group,
        Meter in meter,
        MeterBand in meter_band,
        DatapathBinding in datapath_binding,
        PortBinding in port_binding,
        MacBinding in mac_binding,
        StaticMacBinding in static_mac_binding,
        Fdb in fdb,
        DhcpOptions in dhcp_options,
        Dhcpv6Options in dhcpv6_options,
        Dns in dns,
        GatewayChassis in gateway_chassis,
        HaChassis in ha_chassis,
        HaChassisGroup in ha_chassis_group,
        ControllerEvent in controller_event,
        IpMulticast in ip_multicast,
        IgmpGroup in igmp_group,
        ServiceMonitor in service_monitor,
        LoadBalancer in load_balancer,
        Bfd in bfd,
        EcmpNexthop in ecmp_nexthop,
        ChassisTemplateVar in chassis_template_var,
        AdvertisedRoute in advertised_route,
        LearnedRoute in learned_route,
        AclId in acl_id,
        AdvertisedMacBinding in advertised_mac_binding,
        SbMirror in mirror,
    }
    local {
        OpenVSwitch in open_vswitch,
        Bridge in bridge,
        Port in port,
        Interface in interface,
        FlowTable in flow_table,
        Qos in qos,
        Queue in queue,
        FlowSampleCollectorSet in flow_sample_collector_set,
        Controller in controller,
        Datapath in datapath,
        CtZone in ct_zone,
        Ssl in ssl,
        LocalMirror in mirror,
    }
}
