//! The tables and columns of `Open_vSwitch` that the agent reads or writes (schema 8.8.0, OVS 4.0; ovs-vswitchd.conf.db(5)).

use super::tables;
use crate::value::{Map, Set, Str, Uuid};

tables! {
    /// The replica of `Open_vSwitch`.
    database Local = "Open_vSwitch", first table 64;

    table OpenVSwitch = "Open_vSwitch" in open_vswitch {
        datapaths: Map<Str, Uuid>,
        bridges: Set<Uuid>,
        ssl: Option<Uuid>,
        other_config: Map<Str, Str>,
        external_ids: Map<Str, Str>,
        next_cfg: i64,
        cur_cfg: i64,
        ovs_version: Option<Str>,
        datapath_types: Set<Str>,
        iface_types: Set<Str>,
    }

    table Bridge = "Bridge" in bridge {
        name: Str,
        datapath_type: Str,
        datapath_id: Option<Str>,
        ports: Set<Uuid>,
        mirrors: Set<Uuid>,
        controller: Set<Uuid>,
        protocols: Set<Str>,
        fail_mode: Option<Str>,
        other_config: Map<Str, Str>,
        external_ids: Map<Str, Str>,
        flow_tables: Map<i64, Uuid>,
    }
    indexes { by_name(name), by_port(each ports), by_mirror(each mirrors) }

    table Port = "Port" in port {
        name: Str,
        interfaces: Set<Uuid>,
        tag: Option<i64>,
        qos: Option<Uuid>,
        other_config: Map<Str, Str>,
        external_ids: Map<Str, Str>,
    }
    indexes {
        by_name(name),
        by_interface(each interfaces),
        by_qos(qos),
        by_chassis_id(external_ids["ovn-chassis-id"]),
        by_tunnel_chassis(chassis_of external_ids["ovn-chassis-id"]),
        by_tunnel(any external_ids["ovn-chassis-id"]),
        by_evpn_tunnel(any external_ids["ovn-evpn-tunnel"]),
        by_localnet_port(external_ids["ovn-localnet-port"]),
        by_l2gateway_port(external_ids["ovn-l2gateway-port"]),
        by_localnet(any external_ids["ovn-localnet-port"]),
        by_l2gateway(any external_ids["ovn-l2gateway-port"]),
        by_l3gateway(any external_ids["ovn-l3gateway-port"]),
        by_logical_patch(any external_ids["ovn-logical-patch-port"]),
    }

    table Interface = "Interface" in interface {
        name: Str,
        r#type: Str,
        options: Map<Str, Str>,
        mac_in_use: Option<Str>,
        ifindex: Option<i64>,
        external_ids: Map<Str, Str>,
        ofport: Option<i64>,
        bfd: Map<Str, Str>,
        bfd_status: Map<Str, Str>,
        status: Map<Str, Str>,
        admin_state: Option<Str>,
        link_state: Option<Str>,
        link_speed: Option<i64>,
        mtu: Option<i64>,
        mtu_request: Option<i64>,
        error: Option<Str>,
    }
    indexes {
        by_name(name),
        by_iface_id(external_ids["iface-id"]),
        by_vif(any external_ids["iface-id"]),
        by_installed(any external_ids["ovn-installed"]),
        by_bfd_enable(bfd["enable"]),
        by_mirror_id(external_ids["mirror-id"]),
        by_type(r#type),
        by_peer(options["peer"]),
        by_remote_address(address options["remote_ip"]),
        by_ofport(ofport),
    }

    table FlowTable = "Flow_Table" in flow_table {
        name: Option<Str>,
        prefixes: Set<Str>,
    }

    table Qos = "QoS" in qos {
        r#type: Str,
        queues: Map<i64, Uuid>,
        other_config: Map<Str, Str>,
        external_ids: Map<Str, Str>,
    }

    table Queue = "Queue" in queue {
        dscp: Option<i64>,
        other_config: Map<Str, Str>,
        external_ids: Map<Str, Str>,
    }

    table Mirror = "Mirror" in mirror {
        name: Str,
        select_all: bool,
        select_src_port: Set<Uuid>,
        select_dst_port: Set<Uuid>,
        output_port: Option<Uuid>,
        external_ids: Map<Str, Str>,
    }
    indexes { by_name(name), by_output_port(output_port) }

    table FlowSampleCollectorSet = "Flow_Sample_Collector_Set" in flow_sample_collector_set {
        id: i64,
        bridge: Uuid,
        local_group_id: Option<i64>,
    }
    indexes { by_id(id), by_bridge(bridge) }

    table Controller = "Controller" in controller {
        r#type: Option<Str>,
        target: Str,
        is_connected: bool,
    }

    table Datapath = "Datapath" in datapath {
        datapath_version: Str,
        ct_zones: Map<i64, Uuid>,
        capabilities: Map<Str, Str>,
        external_ids: Map<Str, Str>,
    }

    table CtZone = "CT_Zone" in ct_zone {
        limit: Option<i64>,
        timeout_policy: Option<Uuid>,
        external_ids: Map<Str, Str>,
    }

    table Ssl = "SSL" in ssl {
        private_key: Str,
        certificate: Str,
        ca_cert: Str,
        bootstrap_ca_cert: bool,
    }
}
