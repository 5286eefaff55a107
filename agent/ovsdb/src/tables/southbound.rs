//! The tables and columns of `OVN_Southbound` that the agent reads or writes (schema 21.8.0, OVN 26.03; ovn-sb(5)). Left out, as ovn-controller
//! does not monitor them either: `Connection`, and `external_ids` where it does not use them. Types are those of the newest schema.

use super::tables;
use crate::value::{Map, Set, Str, Uuid};

tables! {
    /// The replica of `OVN_Southbound`.
    database Southbound = "OVN_Southbound", first table 0;

    table SbGlobal = "SB_Global" in sb_global {
        nb_cfg: i64,
        options: Map<Str, Str>,
        ipsec: bool,
    }

    table Chassis = "Chassis" in chassis {
        name: Str,
        hostname: Str,
        encaps: Set<Uuid>,
        vtep_logical_switches: Set<Str>,
        nb_cfg: i64,
        external_ids: Map<Str, Str>,
        other_config: Map<Str, Str>,
        transport_zones: Set<Str>,
    }
    indexes { by_name(name), by_encap(each encaps), by_remote(any other_config["is-remote"]) }

    table ChassisPrivate = "Chassis_Private" in chassis_private {
        name: Str,
        chassis: Option<Uuid>,
        nb_cfg: i64,
        nb_cfg_timestamp: i64,
    }
    indexes { by_name(name) }

    table Encap = "Encap" in encap {
        r#type: Str,
        options: Map<Str, Str>,
        ip: Str,
        chassis_name: Str,
    }
    indexes { by_type_and_ip(r#type, ip), by_address(address ip) }

    table AddressSet = "Address_Set" in address_set {
        name: Str,
        addresses: Set<Str>,
    }
    indexes { by_name(name) }

    table PortGroup = "Port_Group" in port_group {
        name: Str,
        ports: Set<Str>,
    }
    indexes { by_name(name) }

    table LogicalFlow = "Logical_Flow" in logical_flow {
        logical_datapath: Option<Uuid>,
        logical_dp_group: Option<Uuid>,
        pipeline: Str,
        table_id: i64,
        priority: i64,
        r#match: Str,
        actions: Str,
        tags: Map<Str, Str>,
        controller_meter: Option<Str>,
        flow_desc: Option<Str>,
    }
    indexes { by_logical_datapath(logical_datapath), by_logical_dp_group(logical_dp_group) }

    table LogicalDpGroup = "Logical_DP_Group" in logical_dp_group {
        datapaths: Set<Uuid>,
    }
    indexes { by_datapath(each datapaths) }

    table MulticastGroup = "Multicast_Group" in multicast_group {
        datapath: Uuid,
        name: Str,
        tunnel_key: i64,
        ports: Set<Uuid>,
    }
    indexes { by_name_and_datapath(name, datapath), by_datapath(datapath) }

    table Mirror = "Mirror" in mirror {
        name: Str,
        filter: Str,
        sink: Str,
        r#type: Str,
        index: i64,
        external_ids: Map<Str, Str>,
    }

    table Meter = "Meter" in meter {
        name: Str,
        unit: Str,
        bands: Set<Uuid>,
    }
    indexes { by_name(name) }

    table MeterBand = "Meter_Band" in meter_band {
        action: Str,
        rate: i64,
        burst_size: i64,
    }

    table DatapathBinding = "Datapath_Binding" in datapath_binding {
        tunnel_key: i64,
        load_balancers: Set<Uuid>,
        r#type: Option<Str>,
        nb_uuid: Option<Uuid>,
        external_ids: Map<Str, Str>,
    }
    indexes { by_tunnel_key(tunnel_key), by_evpn(any external_ids["dynamic-routing-vni"]) }

    table PortBinding = "Port_Binding" in port_binding {
        logical_port: Str,
        r#type: Str,
        gateway_chassis: Set<Uuid>,
        ha_chassis_group: Option<Uuid>,
        options: Map<Str, Str>,
        datapath: Uuid,
        tunnel_key: i64,
        parent_port: Option<Str>,
        mirror_port: Option<Str>,
        tag: Option<i64>,
        virtual_parent: Option<Str>,
        chassis: Option<Uuid>,
        additional_chassis: Set<Uuid>,
        encap: Option<Uuid>,
        additional_encap: Set<Uuid>,
        mirror_rules: Set<Uuid>,
        mac: Set<Str>,
        port_security: Set<Str>,
        nat_addresses: Set<Str>,
        up: Option<bool>,
        requested_chassis: Option<Uuid>,
        requested_additional_chassis: Set<Uuid>,
    }
    indexes {
        by_logical_port(logical_port),
        by_datapath(datapath),
        by_dp_key(datapath, tunnel_key),
        by_chassis(chassis),
        by_additional_chassis(each additional_chassis),
        by_requested_chassis(requested_chassis),
        by_parent_port(parent_port),
        by_virtual_parent(virtual_parent),
        by_mirror_port(mirror_port),
        by_ha_chassis_group(ha_chassis_group),
        by_datapath_and_type(datapath, r#type),
        by_multichassis(datapath, any additional_chassis),
        by_l2gateway_chassis(options["l2gateway-chassis"]),
        by_l3gateway_chassis(options["l3gateway-chassis"]),
        by_router_port_acl(any options["enable_router_port_acl"]),
    }

    table MacBinding = "MAC_Binding" in mac_binding {
        logical_port: Str,
        ip: Str,
        mac: Str,
        timestamp: i64,
        datapath: Uuid,
    }

    table StaticMacBinding = "Static_MAC_Binding" in static_mac_binding {
        logical_port: Str,
        ip: Str,
        mac: Str,
        override_dynamic_mac: bool,
        datapath: Uuid,
    }

    table Fdb = "FDB" in fdb {
        mac: Str,
        dp_key: i64,
        port_key: i64,
        timestamp: i64,
    }

    table DhcpOptions = "DHCP_Options" in dhcp_options {
        name: Str,
        code: i64,
        r#type: Str,
    }

    table Dhcpv6Options = "DHCPv6_Options" in dhcpv6_options {
        name: Str,
        code: i64,
        r#type: Str,
    }

    table Dns = "DNS" in dns {
        records: Map<Str, Str>,
        datapaths: Set<Uuid>,
        options: Map<Str, Str>,
        external_ids: Map<Str, Str>,
    }

    table GatewayChassis = "Gateway_Chassis" in gateway_chassis {
        name: Str,
        chassis: Option<Uuid>,
        priority: i64,
        options: Map<Str, Str>,
    }

    table HaChassis = "HA_Chassis" in ha_chassis {
        chassis: Option<Uuid>,
        priority: i64,
        external_ids: Map<Str, Str>,
    }
    indexes { by_chassis(chassis) }

    table HaChassisGroup = "HA_Chassis_Group" in ha_chassis_group {
        name: Str,
        ha_chassis: Set<Uuid>,
        ref_chassis: Set<Uuid>,
    }
    indexes { by_ha_chassis(each ha_chassis), by_ref_chassis(each ref_chassis) }

    table ControllerEvent = "Controller_Event" in controller_event {
        event_type: Str,
        event_info: Map<Str, Str>,
        chassis: Option<Uuid>,
        seq_num: i64,
    }

    table IpMulticast = "IP_Multicast" in ip_multicast {
        datapath: Uuid,
        enabled: Option<bool>,
        querier: Option<bool>,
        eth_src: Str,
        ip4_src: Str,
        ip6_src: Str,
        table_size: Option<i64>,
        idle_timeout: Option<i64>,
        query_interval: Option<i64>,
        query_max_resp: Option<i64>,
        seq_no: i64,
    }

    table IgmpGroup = "IGMP_Group" in igmp_group {
        address: Str,
        protocol: Str,
        datapath: Option<Uuid>,
        chassis: Option<Uuid>,
        ports: Set<Uuid>,
        chassis_name: Str,
    }
    indexes { by_chassis(chassis) }

    table ServiceMonitor = "Service_Monitor" in service_monitor {
        r#type: Option<Str>,
        ip: Str,
        mac: Str,
        protocol: Option<Str>,
        port: i64,
        logical_input_port: Str,
        logical_port: Str,
        src_mac: Str,
        src_ip: Str,
        chassis_name: Str,
        status: Option<Str>,
        ic_learned: bool,
        remote: bool,
        options: Map<Str, Str>,
        external_ids: Map<Str, Str>,
    }

    table LoadBalancer = "Load_Balancer" in load_balancer {
        name: Str,
        vips: Map<Str, Str>,
        protocol: Option<Str>,
        datapaths: Set<Uuid>,
        datapath_group: Option<Uuid>,
        ls_datapath_group: Option<Uuid>,
        lr_datapath_group: Option<Uuid>,
        options: Map<Str, Str>,
        external_ids: Map<Str, Str>,
    }

    table Bfd = "BFD" in bfd {
        src_port: i64,
        disc: i64,
        logical_port: Str,
        dst_ip: Str,
        min_tx: i64,
        min_rx: i64,
        detect_mult: i64,
        status: Str,
        external_ids: Map<Str, Str>,
        options: Map<Str, Str>,
        chassis_name: Str,
    }

    table EcmpNexthop = "ECMP_Nexthop" in ecmp_nexthop {
        nexthop: Str,
        port: Uuid,
        datapath: Uuid,
        mac: Str,
        external_ids: Map<Str, Str>,
    }

    table ChassisTemplateVar = "Chassis_Template_Var" in chassis_template_var {
        chassis: Str,
        variables: Map<Str, Str>,
    }
    indexes { by_chassis(chassis) }

    table AdvertisedRoute = "Advertised_Route" in advertised_route {
        datapath: Uuid,
        logical_port: Uuid,
        ip_prefix: Str,
        tracked_port: Option<Uuid>,
    }

    /// The agent writes this table.
    table LearnedRoute = "Learned_Route" in learned_route {
        datapath: Uuid,
        logical_port: Uuid,
        ip_prefix: Str,
        nexthop: Str,
    }

    table AclId = "ACL_ID" in acl_id {
        id: i64,
    }

    table AdvertisedMacBinding = "Advertised_MAC_Binding" in advertised_mac_binding {
        datapath: Uuid,
        logical_port: Uuid,
        ip: Str,
        mac: Str,
    }
}
