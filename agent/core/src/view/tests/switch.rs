//! This chassis, its settings and its tunnel ports: sheet 01 sections 2 and 5.6 to 5.7.

use ovsdb::tables::local::{Datapath, FlowSampleCollectorSet};
use ovsdb::{Map, Str};

use crate::facts::{
    BridgeMappings, BridgePorts, Capability, ChassisName, CollectorSet, DropSampling, EncapIps, FlowBasedTunnels,
    IfaceIds, IntegrationBridge, NorthdOption, Setting, ThisChassis, Tunnels, TunnelsTo, VifInterface,
};
use crate::rows::{Bridge, Chassis, Interface, Port};
use crate::view::testbed::{BRIDGE, HV1, Testbed, map, names};
use crate::view::tunnels::{FlowBased, TunnelKind};

#[test]
fn settings_of_this_chassis_go_first() {
    let mut bed = Testbed::new();
    assert_eq!(bed.ask(ChassisName).as_deref(), Some("hv1"));
    assert_eq!(bed.ask(ThisChassis), Some(bed.row::<Chassis>(HV1)));
    assert_eq!(bed.ask(Setting("ovn-encap-ip")), None);
    bed.setting("ovn-encap-ip", "192.0.2.1");
    assert_eq!(bed.ask(Setting("ovn-encap-ip")).as_deref(), Some("192.0.2.1"));
    bed.setting("ovn-encap-ip-hv1", "192.0.2.9");
    assert_eq!(bed.ask(Setting("ovn-encap-ip")).as_deref(), Some("192.0.2.9"));
    bed.agent.set_external(|external| external.config.chassis_name = Some(Str::from("hv2")));
    bed.agent.settle();
    assert_eq!(bed.ask(ChassisName).as_deref(), Some("hv2"));
    assert_eq!(bed.ask(Setting("ovn-encap-ip")).as_deref(), Some("192.0.2.1"));
}

#[test]
fn encap_ips_are_sorted_with_the_default_in_front() {
    let mut bed = Testbed::new();
    bed.setting("ovn-encap-ip", "192.0.2.3,192.0.2.1,,192.0.2.2,192.0.2.1");
    assert_eq!(names(&bed.ask(EncapIps)), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    bed.setting("ovn-encap-ip-default", "192.0.2.3");
    assert_eq!(names(&bed.ask(EncapIps)), ["192.0.2.3", "192.0.2.2", "192.0.2.1"]);
    bed.setting("ovn-encap-ip-default", "192.0.2.7");
    assert_eq!(names(&bed.ask(EncapIps)), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[test]
fn bridge_mappings_end_at_the_first_malformed_item() {
    let mut bed = Testbed::new();
    for name in ["br-a", "br-b", "br-c"] {
        let uuid = bed.uuid();
        bed.put_local(|u| &mut u.bridge, uuid, Bridge { name: Str::from(name), ..Default::default() });
    }
    for (text, expected) in [
        ("a:br-a,b:br-b", vec![("a", "br-a"), ("b", "br-b")]),
        ("a:br-a,x:br-missing,b:br-b", vec![("a", "br-a"), ("b", "br-b")]),
        ("a:br-a,b,c:br-c", vec![("a", "br-a")]),
        ("a:br-a,,c:br-c", vec![("a", "br-a")]),
        (":br-a", vec![]),
        ("a:", vec![]),
        ("", vec![]),
        ("a:br-a,a:br-b", vec![("a", "br-a")]),
    ] {
        bed.setting("ovn-bridge-mappings", text);
        let mappings = bed.ask(BridgeMappings);
        let mappings: Vec<_> = mappings.iter().map(|(network, bridge)| (network.as_str(), bridge.as_str())).collect();
        assert_eq!(mappings, expected, "{text}");
    }
}

#[test]
fn the_integration_bridge_and_its_datapath() {
    let mut bed = Testbed::new();
    assert_eq!(bed.ask(IntegrationBridge), Some(bed.row::<Bridge>(BRIDGE)));
    let uuid = bed.uuid();
    let capabilities = map(&[("ct_zero_snat", "true")]);
    bed.put_local(|u| &mut u.datapath, uuid, Datapath { capabilities, ..Default::default() });
    assert_eq!(bed.ask(Capability("ct_zero_snat")), None);
    bed.open_vswitch.datapaths = Map::from(vec![(Str::from("system"), uuid)]);
    bed.setting("ovn-bridge", "br-int");
    assert_eq!(bed.ask(Capability("ct_zero_snat")).as_deref(), Some("true"));
    bed.bridge.datapath_type = Str::from("netdev");
    bed.bridge_changed();
    assert_eq!(bed.ask(Capability("ct_zero_snat")), None);
    bed.setting("ovn-bridge", "br-other");
    assert_eq!(bed.ask(IntegrationBridge), None);
    assert!(bed.ask(BridgePorts).is_empty());
}

#[test]
fn drops_are_sampled_when_the_collector_set_exists() {
    let mut bed = Testbed::new();
    bed.northd(&[("debug_drop_collector_set", "5"), ("debug_drop_domain_id", "3")]);
    assert_eq!(bed.ask(NorthdOption("debug_drop_domain_id")).as_deref(), Some("3"));
    assert_eq!(bed.ask(DropSampling), None);
    let (uuid, elsewhere) = (bed.uuid(), bed.uuid());
    let mut row = FlowSampleCollectorSet { id: 5, bridge: elsewhere, ..Default::default() };
    bed.put_local(|u| &mut u.flow_sample_collector_set, uuid, row.clone());
    assert!(!bed.ask(CollectorSet(5)));
    row.bridge = BRIDGE;
    bed.put_local(|u| &mut u.flow_sample_collector_set, uuid, row);
    let sampling = bed.ask(DropSampling).unwrap();
    assert_eq!((sampling.collector_set, sampling.domain), (5, 3 << 24));
    bed.northd(&[("debug_drop_collector_set", "0")]);
    assert_eq!(bed.ask(DropSampling), None);
}

#[test]
fn the_first_interface_of_a_logical_port_has_it() {
    let mut bed = Testbed::new();
    let first = bed.vif("lp");
    let second = bed.vif("lp");
    let vif = |bed: &Testbed| bed.ask(VifInterface(Str::from("lp"))).map(|vif| vif.interface);
    assert_eq!(vif(&bed), Some(bed.row::<Interface>(first)));
    assert_eq!(names(&bed.ask(IfaceIds)), ["lp"]);
    bed.change_interface(first, |row| row.ofport = Some(-1));
    assert_eq!(vif(&bed), Some(bed.row::<Interface>(second)));
    bed.change_interface(second, |row| {
        row.external_ids = map(&[("iface-id", "lp"), ("encap-ip", "192.0.2.1")]);
        row.mtu = Some(1400);
    });
    let vif = bed.ask(VifInterface(Str::from("lp"))).unwrap();
    assert_eq!((vif.encap_ip.as_deref(), vif.mtu), (Some("192.0.2.1"), 1400));
    bed.change_interface(second, |row| row.external_ids = map(&[]));
    assert!(bed.ask(IfaceIds).is_empty());
}

#[test]
fn the_bridge_s_own_port_carries_nothing() {
    let mut bed = Testbed::new();
    let (port, interface) = bed.bridge_port("br-int", |_, row| row.external_ids = map(&[("iface-id", "lp")]));
    assert_eq!(bed.ask(VifInterface(Str::from("lp"))), None);
    assert!(bed.ask(BridgePorts).is_empty());
    bed.put_local(
        |u| &mut u.port,
        port,
        Port { name: Str::from("x"), interfaces: [interface].into_iter().collect(), ..Default::default() },
    );
    assert!(bed.ask(VifInterface(Str::from("lp"))).is_some());
    assert_eq!(bed.ask(BridgePorts).len(), 1);
}

#[test]
fn only_tunnels_that_work_are_used() {
    let mut bed = Testbed::new();
    let interface = bed.tunnel("hv2", "");
    let tunnels = |bed: &Testbed| bed.ask(TunnelsTo(Str::from("hv2")));
    let tunnel = tunnels(&bed)[0].clone();
    assert_eq!((tunnel.chassis.as_str(), tunnel.kind), ("hv2", TunnelKind::Geneve));
    assert_eq!((tunnel.remote_ip.as_str(), tunnel.local_ip.as_str()), ("192.0.2.2", "192.0.2.1"));
    let good = bed.agent.model().local.interface.row_by_uuid(&interface).unwrap().clone();
    type Change = fn(&mut Interface);
    let bad: [(&str, Change); 6] = [
        ("no ofport", |row| row.ofport = None),
        ("refused", |row| row.ofport = Some(-1)),
        ("none", |row| row.ofport = Some(65535)),
        ("zero", |row| row.ofport = Some(0)),
        ("error", |row| row.error = Some(Str::from("File exists"))),
        ("no tunnel", |row| row.r#type = Str::from("stt")),
    ];
    for (case, change) in bad {
        bed.change_interface(interface, change);
        assert!(tunnels(&bed).is_empty(), "{case}");
        assert!(bed.ask(Tunnels).is_empty(), "{case}");
        bed.change_interface(interface, |row| *row = good.clone());
        assert_eq!(tunnels(&bed).len(), 1, "{case}");
    }
    bed.change_interface(interface, |row| row.r#type = Str::from("vxlan"));
    assert_eq!(tunnels(&bed)[0].kind, TunnelKind::Vxlan);
}

#[test]
fn tunnel_ids_in_all_their_forms() {
    let mut bed = Testbed::new();
    for (name, id) in [
        ("a", "hv2@192.0.2.2"),
        ("b", "hv2@192.0.2.3%192.0.2.1"),
        ("c", "hv1@192.0.2.9"),
        ("d", "hv3"),
        ("e", "hv3@"),
        ("f", "@192.0.2.1"),
    ] {
        bed.bridge_port(name, |port, interface| {
            port.external_ids = map(&[("ovn-chassis-id", id)]);
            interface.r#type = Str::from("geneve");
            interface.options = map(&[("local_ip", "192.0.2.77")]);
        });
    }
    let tunnels = bed.ask(Tunnels);
    let tunnels: Vec<_> =
        tunnels.iter().map(|t| (t.chassis.as_str(), t.remote_ip.as_str(), t.local_ip.as_str())).collect();
    assert_eq!(tunnels, [("hv2", "192.0.2.2", ""), ("hv2", "192.0.2.3", "192.0.2.1")]);
    assert!(bed.ask(TunnelsTo(Str::from("hv1"))).is_empty(), "no tunnel to ourselves");
}

#[test]
fn the_shared_ports_of_flow_based_tunnels() {
    let mut bed = Testbed::new();
    let (_, interface) = bed.bridge_port("ovn-geneve", |port, interface| {
        port.external_ids = map(&[("ovn-chassis-id", "flow"), ("ovn-tunnel-type", "geneve")]);
        interface.r#type = Str::from("geneve");
        interface.ofport = Some(4);
    });
    assert_eq!(bed.ask(FlowBasedTunnels), None);
    bed.setting("ovn-enable-flow-based-tunnels", "true");
    assert_eq!(bed.ask(FlowBasedTunnels).as_deref(), Some(&FlowBased { geneve: Some(4), vxlan: None }));
    bed.change_interface(interface, |row| row.ofport = Some(-1));
    assert_eq!(bed.ask(FlowBasedTunnels).as_deref(), Some(&FlowBased::default()));
    assert!(bed.ask(Tunnels).is_empty());
}

/// What another hypervisor's ports cost us when one of ours comes and goes: nothing.
#[test]
fn the_work_for_one_port_does_not_grow_with_other_chassis() {
    let work = |others: usize| {
        let mut bed = Testbed::new();
        let ls = bed.datapath("ls", 1);
        bed.bridge.external_ids = map(&[("ct-zone-ls_dnat", "1"), ("ct-zone-ls_snat", "2")]);
        for n in 0..others {
            bed.tunnel(&format!("other{n}"), "");
            let uuid = bed.uuid();
            bed.put(|u| &mut u.chassis, uuid, Chassis { name: Str::from(format!("other{n}")), ..Default::default() });
            bed.port(ls, &format!("far{n}"), "", |pb| pb.chassis = Some(uuid));
        }
        bed.port(ls, "lp0", "", |_| {});
        bed.vif("lp0");
        bed.port(ls, "lp", "", |_| {});
        bed.ask(crate::facts::Zones);
        let interface = bed.vif("lp");
        let _ = bed.agent.take_work();
        bed.change_interface(interface, |row| row.ofport = Some(-1));
        bed.ask(crate::facts::Zones);
        bed.change_interface(interface, |row| row.ofport = Some(99));
        bed.ask(crate::facts::Zones);
        bed.agent.take_work().facts
    };
    assert_eq!(work(2), work(40));
}
