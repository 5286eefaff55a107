//! What the write units want, given rows: the operations as the server gets them.

mod bfd;
mod gateways;
mod host;
mod mirrors;
mod vif_plug;

use ovsdb::tables::local::{Bridge, CtZone, Datapath, FlowTable, Interface, Mirror as LocalMirror, Port, Qos, Queue};
use ovsdb::tables::southbound::{self, PortBinding};
use ovsdb::{Map, Str, Uuid};
use std::sync::Arc;

use super::WriteKey;
use crate::model::LocalSchema;
use crate::view::testbed::{HV1, Testbed, map, set};

/// What a unit wants done to the local database: JSON without its punctuation.
fn local(bed: &Testbed, key: WriteKey) -> String {
    words(&bed.agent.write(&key).local.to_string())
}

fn words(text: &str) -> String {
    let text = text.replace(['[', ']', '"', '{', '}', ',', ':'], " ");
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn with_schema(zone_limits: bool, flow_table_prefixes: u32) -> Testbed {
    let mut bed = Testbed::new();
    bed.agent.set_external(|external| external.local_schema = LocalSchema { zone_limits, flow_table_prefixes });
    bed
}

#[test]
fn the_bridge_says_when_the_agent_started_and_how_tables_classify() {
    let mut bed = with_schema(true, 3);
    bed.bridge.fail_mode = Some("secure".into());
    bed.bridge.datapath_type = "system".into();
    bed.bridge_changed();
    let wanted = local(&bed, WriteKey::IntegrationBridge);
    assert!(wanted.contains("prefixes set ip_src ip_dst ipv6_src"), "{wanted}");
    assert!(wanted.contains("map 0 named-uuid flow_table 1 named-uuid flow_table 2 "), "{wanted}");
    assert!(wanted.contains(" 254 named-uuid flow_table"), "{wanted}");
    let table = bed.uuid();
    let row = FlowTable { prefixes: set(&["ip_src", "ip_dst", "ipv6_src"].map(Str::from)), ..Default::default() };
    bed.put_local(|u| &mut u.flow_table, table, row);
    bed.bridge.flow_tables = (0..255).map(|number| (number, table)).collect();
    bed.bridge_changed();
    assert_eq!(local(&bed, WriteKey::IntegrationBridge), "", "as it should be");
    // A server that was upgraded has room for more.
    bed.agent.set_external(|external| external.local_schema.flow_table_prefixes = 4);
    assert!(local(&bed, WriteKey::IntegrationBridge).contains("ipv6_dst"));
    bed.agent.set_external(|external| external.local_schema.flow_table_prefixes = 0);
    bed.agent.set_external(|external| external.config.started_ms = 77);
    assert!(local(&bed, WriteKey::IntegrationBridge).contains("insert map ovn-startup-ts 77"));
    bed.bridge.external_ids = map(&[("ovn-startup-ts", "77")]);
    bed.bridge_changed();
    assert_eq!(local(&bed, WriteKey::IntegrationBridge), "");
}

#[test]
fn the_bridge_fails_securely() {
    let mut bed = Testbed::new();
    bed.bridge.fail_mode = Some("standalone".into());
    bed.bridge_changed();
    let out = bed.agent.write(&WriteKey::IntegrationBridge);
    assert!(words(&out.local.to_string()).contains("fail_mode secure"));
    assert_eq!(out.diagnostics, ["Integration bridge fail-mode changed to 'secure'."]);
}

#[test]
fn the_bridge_has_a_datapath_type() {
    for (setting, have, wanted) in [
        (None, "", Some("system")),
        (None, "netdev", None),
        (Some("netdev"), "system", Some("netdev")),
        (Some("netdev"), "netdev", None),
    ] {
        let mut bed = with_schema(true, 0);
        bed.bridge.fail_mode = Some("secure".into());
        bed.bridge.datapath_type = have.into();
        bed.bridge_changed();
        if let Some(setting) = setting {
            bed.setting("ovn-bridge-datapath-type", setting);
        }
        let changes = local(&bed, WriteKey::IntegrationBridge);
        let expected = wanted.map_or_else(String::new, |kind| format!("datapath_type {kind}"));
        assert_eq!(changes.contains("datapath_type"), wanted.is_some(), "{setting:?}, {have}: {changes}");
        assert!(changes.contains(&expected), "{setting:?}, {have}: {changes}");
    }
}

#[test]
fn zones_are_persisted_once_their_connections_are_flushed() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "p", "", |_| {});
    bed.vif("p");
    let persist = |bed: &mut Testbed, zones: &[(&str, &str)]| {
        bed.bridge.external_ids = map(zones);
        bed.bridge_changed();
    };
    let flushed = |bed: &mut Testbed, pairs: &[(&str, u16)]| {
        let pairs = pairs.iter().map(|(user, zone)| (Str::from(*user), *zone)).collect();
        bed.agent.set_external(|external| external.flushed_zones = Arc::new(pairs));
    };
    let old = format!("ct-zone-{ls}_dnat");
    // dnat is known by its old name, snat is new, p has zone 3, gone has 4 and nothing else.
    persist(&mut bed, &[(&old, "2"), ("ct-zone-p", "3"), ("ct-zone-gone", "4"), ("ct-zone-odd", "x"), ("other", "5")]);
    let wanted = local(&bed, WriteKey::Zones);
    let (delete, insert) = (format!("delete set {old} ct-zone-ls_dnat ct-zone-odd"), "insert map ct-zone-ls_dnat 2");
    let has = |words: &str, part: &str| part.split(' ').all(|word| words.split(' ').any(|w| w == word));
    assert!(has(&wanted, &delete) && wanted.contains(insert), "renamed without a flush: {wanted}");
    assert!(!wanted.contains("gone") && !wanted.contains("snat"), "these wait: {wanted}");
    flushed(&mut bed, &[("gone", 4), ("ls_snat", 1)]);
    let wanted = local(&bed, WriteKey::Zones);
    assert!(wanted.contains("ct-zone-gone") && wanted.contains("ct-zone-ls_snat 1"), "{wanted}");
    persist(&mut bed, &[("ct-zone-ls_dnat", "2"), ("ct-zone-p", "3"), ("ct-zone-ls_snat", "1")]);
    assert_eq!(local(&bed, WriteKey::Zones), "");
    // A zone that changes waits for both.
    bed.setting("ct-zone-range", "10-20");
    flushed(&mut bed, &[("p", 12), ("ls_dnat", 2)]);
    assert_eq!(local(&bed, WriteKey::Zones), "");
    flushed(&mut bed, &[("p", 12), ("p", 3)]);
    assert!(local(&bed, WriteKey::Zones).contains("insert map ct-zone-p 12"));
    bed.setting("ct-zone-range", "10-11");
    let said = bed.agent.write(&WriteKey::Zones).diagnostics;
    assert_eq!(said, ["exhausted all ct zones: 1 ports and datapaths have none"]);
}

/// Zone limits of a testbed with ls_dnat, ls_snat, p and q in zones 1 to 4.
fn limits(bed: &Testbed) -> String {
    local(bed, WriteKey::ZoneLimits)
}

#[test]
fn limits_of_connections_in_zones() {
    let mut bed = with_schema(true, 0);
    let (datapath, ls) = (bed.uuid(), bed.datapath("ls", 1));
    let (_, _) = bed.port(ls, "p", "", |_| {});
    let (q, _) = bed.port(ls, "q", "", |_| {});
    bed.vif("p");
    bed.vif("q");
    let keys = ["ct-zone-ls_dnat", "ct-zone-ls_snat", "ct-zone-p", "ct-zone-q"];
    bed.bridge.external_ids = keys.iter().zip(["1", "2", "3", "4"]).map(|(k, v)| (Str::from(*k), v.into())).collect();
    bed.bridge_changed();
    assert_eq!(limits(&bed), "", "no Datapath row");
    bed.put_local(|u| &mut u.datapath, datapath, Datapath::default());
    bed.open_vswitch.datapaths = [(Str::from("system"), datapath)].into_iter().collect();
    bed.setting("any", "");
    assert_eq!(limits(&bed), "");
    let mut row = bed.agent.model().sb.datapath_binding.row_by_uuid(&ls).unwrap().clone();
    row.external_ids = map(&[("name", "ls"), ("ct-zone-limit", "50")]);
    bed.put(|u| &mut u.datapath_binding, ls, row);
    bed.change_port(q, |pb: &mut PortBinding| pb.options = map(&[("ct-zone-limit", "7")]));
    let wanted = limits(&bed);
    assert!(wanted.contains("limit 50") && wanted.contains("limit 7"), "{wanted}");
    let all =
        "ct_zones insert map 1 named-uuid ct_zone1 2 named-uuid ct_zone2 3 named-uuid ct_zone3 4 named-uuid ct_zone4";
    assert!(wanted.contains(all), "{wanted}");
    // 1 and 3 have a row, 9 is another's.
    let rows: Vec<Uuid> = (0..3).map(|_| bed.uuid()).collect();
    let zone = |limit, policy: bool| CtZone { limit, timeout_policy: policy.then_some(HV1), ..Default::default() };
    for (uuid, row) in rows.iter().zip([zone(Some(50), false), zone(None, true), zone(Some(6), false)]) {
        bed.put_local(|u| &mut u.ct_zone, *uuid, row);
    }
    let ct_zones: Map<i64, Uuid> = [1, 3, 9].into_iter().zip(rows.iter().copied()).collect();
    bed.put_local(|u| &mut u.datapath, datapath, Datapath { ct_zones, ..Default::default() });
    let wanted = limits(&bed);
    assert!(wanted.contains("insert map 2 named-uuid ct_zone2 4 named-uuid ct_zone4"), "{wanted}");
    assert!(wanted.contains(&format!("uuid {}", rows[1])) && !wanted.contains(&rows[0].to_string()), "{wanted}");
    // No limits any more: the row with a policy stays, the other's row stays.
    let mut row = bed.agent.model().sb.datapath_binding.row_by_uuid(&ls).unwrap().clone();
    row.external_ids = map(&[("name", "ls"), ("ct-zone-limit", "many")]);
    bed.put(|u| &mut u.datapath_binding, ls, row);
    bed.change_port(q, |pb: &mut PortBinding| pb.options = map(&[]));
    bed.put_local(|u| &mut u.ct_zone, rows[1], zone(Some(50), true));
    let wanted = limits(&bed);
    assert!(wanted.contains("ct_zones delete set 1") || wanted.contains("ct_zones delete 1"), "{wanted}");
    assert!(wanted.contains("limit set") && wanted.contains(&rows[1].to_string()), "{wanted}");
    let said = bed.agent.write(&WriteKey::ZoneLimits).diagnostics;
    assert_eq!(said, ["ct-zone-limit \"many\" of ls is not a number up to 4294967295"]);
    bed.agent.set_external(|external| external.local_schema.zone_limits = false);
    assert_eq!(limits(&bed), "", "the server has no such column");
}

#[test]
fn ovn_installed_goes_with_what_it_was_said_of() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let (port, _) = bed.port(ls, "p", "", |pb| pb.chassis = Some(HV1));
    let vif = bed.vif("p");
    let ids = |bed: &mut Testbed, ids: &[(&str, &str)]| bed.change_interface(vif, |row| row.external_ids = map(ids));
    let stray = |bed: &Testbed| local(bed, WriteKey::Interfaces);
    let is_removed =
        |text: &str| text.contains(&vif.to_string()) && text.ends_with("external_ids delete set ovn-installed");
    ids(&mut bed, &[("iface-id", "p"), ("ovn-installed", "true"), ("ovn-installed-ts", "1")]);
    assert_eq!(stray(&bed), "");
    ids(&mut bed, &[("ovn-installed", "true"), ("ovn-installed-ts", "1")]);
    let wanted = stray(&bed);
    assert!(is_removed(&wanted), "the time stays: {wanted}");
    ids(&mut bed, &[("iface-id", "nobody"), ("ovn-installed", "true")]);
    assert!(is_removed(&stray(&bed)));
    ids(&mut bed, &[("iface-id", "p"), ("ovn-installed", "true")]);
    bed.change_interface(vif, |row| row.ofport = Some(-1));
    assert!(is_removed(&stray(&bed)));
    bed.change_interface(vif, |row| row.ofport = Some(1));
    assert_eq!(stray(&bed), "");
    bed.delete(|u| &mut u.port_binding, port);
    assert!(is_removed(&stray(&bed)), "the logical port is gone");
}

/// A hypervisor with the physical network `phys` on br-phys, whose only port is eth0, and a VIF that asks for queue 7.
fn with_queues() -> (Testbed, Uuid, Uuid, Uuid) {
    let mut bed = Testbed::new();
    let (bridge, port, interface) = (bed.uuid(), bed.uuid(), bed.uuid());
    let eth0 = || Str::from("eth0");
    let row = Interface { name: eth0(), link_speed: Some(1_000), ..Default::default() };
    bed.put_local(|u| &mut u.interface, interface, row);
    bed.put_local(|u| &mut u.port, port, Port { name: eth0(), interfaces: set(&[interface]), ..Default::default() });
    let row = Bridge { name: "br-phys".into(), ports: set(&[port]), ..Default::default() };
    bed.put_local(|u| &mut u.bridge, bridge, row);
    bed.setting("ovn-bridge-mappings", "phys:br-phys");
    let ls = bed.datapath("ls", 1);
    let options = [("qdisc_queue_id", "7"), ("qos_max_rate", "9000"), ("qos_physical_network", "phys")];
    let (lport, _) = bed.port(ls, "p", "", |pb| pb.options = map(&options));
    bed.vif("p");
    (bed, port, interface, lport)
}

#[test]
fn a_rate_becomes_a_queue_of_the_interface_to_the_outside() {
    let (mut bed, port, interface, lport) = with_queues();
    let wanted = local(&bed, WriteKey::Qos);
    for part in [
        "table Queue uuid-name queue_",
        "other_config map burst 0 max-rate 9000 min-rate 0 external_ids map ovn_port p",
        "type linux-htb queues map 7 named-uuid queue_",
        "other_config map max-rate 1000 external_ids map ovn_qos true",
        &format!("table Port where _uuid == uuid {port} row qos named-uuid qos_"),
    ] {
        assert!(wanted.contains(part), "{part}: {wanted}");
    }
    // The speed of what is virtual means nothing.
    let mut row = bed.agent.model().local.interface.row_by_uuid(&interface).unwrap().clone();
    row.status = map(&[("driver_name", "veth")]);
    bed.put_local(|u| &mut u.interface, interface, row.clone());
    assert!(local(&bed, WriteKey::Qos).contains("max-rate 34359738360"));
    // An uplink that is somebody's VIF is none, a patch port only if it says so.
    row.r#type = "patch".into();
    bed.put_local(|u| &mut u.interface, interface, row.clone());
    assert_eq!(local(&bed, WriteKey::Qos), "");
    row.external_ids = map(&[("ovn-egress-iface", "true")]);
    bed.put_local(|u| &mut u.interface, interface, row.clone());
    assert!(local(&bed, WriteKey::Qos).contains("linux-htb"));
    for options in [
        &[("qdisc_queue_id", "0"), ("qos_max_rate", "9000"), ("qos_physical_network", "phys")],
        &[("qdisc_queue_id", "7"), ("qos_max_rate", "0"), ("qos_physical_network", "phys")],
        &[("qdisc_queue_id", "7"), ("qos_max_rate", "9000"), ("qos_physical_network", "other")],
    ] {
        bed.change_port(lport, |pb| pb.options = map(options));
        assert_eq!(local(&bed, WriteKey::Qos), "", "{options:?}");
    }
}

#[test]
fn queues_follow_their_ports_and_those_of_others_stay() {
    let (mut bed, port, _, lport) = with_queues();
    let [qos, ours, old, theirs] = [bed.uuid(), bed.uuid(), bed.uuid(), bed.uuid()];
    let queue = |lport: &str, rate: &str| Queue {
        other_config: map(&[("burst", "0"), ("max-rate", rate), ("min-rate", "0")]),
        external_ids: if lport.is_empty() { map(&[]) } else { map(&[("ovn_port", lport)]) },
        ..Default::default()
    };
    for (uuid, row) in [(ours, queue("p", "9000")), (old, queue("gone", "1")), (theirs, queue("", "5"))] {
        bed.put_local(|u| &mut u.queue, uuid, row);
    }
    let mut eth0 = bed.agent.model().local.port.row_by_uuid(&port).unwrap().clone();
    eth0.qos = Some(qos);
    bed.put_local(|u| &mut u.port, port, eth0);
    let put = |bed: &mut Testbed, mark: &str, queues: &[(i64, Uuid)]| {
        let external_ids = if mark.is_empty() { map(&[]) } else { map(&[(mark, "true")]) };
        let row = Qos {
            r#type: "linux-htb".into(),
            queues: queues.iter().copied().collect(),
            external_ids,
            ..Default::default()
        };
        bed.put_local(|u| &mut u.qos, qos, row);
    };
    put(&mut bed, "", &[(7, theirs)]);
    assert_eq!(local(&bed, WriteKey::Qos), "", "not our QoS");
    assert_eq!(bed.agent.write(&WriteKey::Qos).diagnostics, ["port eth0 has a QoS that is not OVN's: left alone"]);
    put(&mut bed, "ovn_qos", &[(7, ours)]);
    assert_eq!(local(&bed, WriteKey::Qos), "", "as it should be");
    put(&mut bed, "ovn_qos", &[(3, old), (7, ours), (9, theirs)]);
    let wanted = local(&bed, WriteKey::Qos);
    assert!(wanted.contains(&format!("delete table Queue where _uuid == uuid {old}")), "{wanted}");
    assert!(wanted.contains("queues delete set 3") && !wanted.contains(&theirs.to_string()), "{wanted}");
    // Another chassis on this host shares the uplink: its queue stays as long as it is there.
    let mut of_neighbour = queue("gone", "1");
    of_neighbour.external_ids = map(&[("ovn_port", "gone"), ("ovn_chassis", "hv2")]);
    bed.put_local(|u| &mut u.queue, old, of_neighbour);
    assert!(local(&bed, WriteKey::Qos).contains(&old.to_string()), "nobody on this host");
    bed.open_vswitch.other_config = map(&[("ovn-chassis-idx-hv2", "0")]);
    bed.setting("any", "");
    assert_eq!(local(&bed, WriteKey::Qos), "");
    put(&mut bed, "ovn_qos", &[(3, old)]);
    assert!(local(&bed, WriteKey::Qos).contains("external_ids map ovn_chassis hv1 ovn_port p"));
    bed.open_vswitch.other_config = map(&[]);
    bed.setting("other", "");
    // Another rate, another number.
    put(&mut bed, "ovn_qos", &[(7, ours)]);
    let options =
        |id: &str, rate: &str| map(&[("qdisc_queue_id", id), ("qos_max_rate", rate), ("qos_physical_network", "phys")]);
    bed.change_port(lport, |pb| pb.options = options("7", "8"));
    assert!(local(&bed, WriteKey::Qos).contains("max-rate 8"));
    bed.change_port(lport, |pb| pb.options = options("6", "8"));
    let wanted = local(&bed, WriteKey::Qos);
    assert!(wanted.contains("queues delete set 7 queues insert map 6 named-uuid queue_"), "{wanted}");
    // None any more: the row goes with the last queue, unless somebody else has one in it.
    bed.change_port(lport, |pb| pb.options = map(&[]));
    let wanted = local(&bed, WriteKey::Qos);
    for part in [format!("delete table QoS where _uuid == uuid {qos}"), format!("{port} row qos set")] {
        assert!(wanted.contains(&part), "{part}: {wanted}");
    }
    put(&mut bed, "ovn_qos", &[(7, ours), (9, theirs)]);
    let wanted = local(&bed, WriteKey::Qos);
    assert!(!wanted.contains("delete table QoS") && wanted.contains("queues delete set 7"), "{wanted}");
}

#[test]
fn mirrors_exist_where_their_ports_are() {
    let mut bed = Testbed::new();
    let [gre, local_sink] = [bed.uuid(), bed.uuid()];
    let mirror = |name: &str, kind: &str, filter: &str, sink: &str| southbound::Mirror {
        name: name.into(),
        r#type: kind.into(),
        filter: filter.into(),
        sink: sink.into(),
        index: 5,
        ..Default::default()
    };
    bed.put(|u| &mut u.mirror, gre, mirror("g", "erspan", "both", "fd00::1"));
    bed.put(|u| &mut u.mirror, local_sink, mirror("l", "local", "to-lport", "tap"));
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "far", "", |pb| pb.mirror_rules = set(&[gre]));
    assert_eq!(local(&bed, WriteKey::Mirrors), "", "the port is elsewhere");
    let (lport, _) = bed.port(ls, "p", "", |pb| pb.mirror_rules = set(&[gre, local_sink]));
    let vif = bed.vif("p");
    let port = bed.agent.model().local.port.by_interface(vif).next().unwrap();
    let port = bed.agent.model().local.port.uuid(port);
    let wanted = local(&bed, WriteKey::Mirrors);
    for part in [
        "name ovn-g type ip6erspan options map erspan_idx 5 erspan_ver 1 key 5 remote_ip fd00",
        "name ovn-g interfaces named-uuid mirror_if0 external_ids map ovn-owned true",
        &format!(
            "name g output_port named-uuid mirror_port0 select_src_port set uuid {port} select_dst_port set uuid {port}"
        ),
        "mirrors insert named-uuid mirror1",
    ] {
        assert!(wanted.contains(part), "{part}: {wanted}");
    }
    assert!(!wanted.contains("name l "), "no interface has mirror-id tap yet: {wanted}");
    let (sink, _) = bed.bridge_port("tap0", |_, interface| interface.external_ids = map(&[("mirror-id", "tap")]));
    let wanted = local(&bed, WriteKey::Mirrors);
    assert!(
        wanted.contains(&format!(
            "name l output_port set uuid {sink} select_src_port set select_dst_port set uuid {port}"
        )),
        "{wanted}"
    );

    // What exists is put right, and goes when its reason goes; somebody else's stays.
    let [ours, theirs] = [bed.uuid(), bed.uuid()];
    let output = bed.bridge_port("ovn-g", |port, interface| {
        port.external_ids = map(&[("ovn-owned", "true")]);
        interface.r#type = "gre".into();
    });
    let row = |owned: &str| LocalMirror {
        name: "g".into(),
        output_port: Some(output.0),
        select_src_port: set(&[port]),
        select_dst_port: set(&[port]),
        external_ids: map(&[("ovn-owned", owned)]),
        ..Default::default()
    };
    bed.put_local(|u| &mut u.mirror, ours, row("true"));
    bed.put_local(|u| &mut u.mirror, theirs, row("false"));
    bed.bridge.mirrors = set(&[ours, theirs]);
    bed.bridge_changed();
    bed.delete(|u| &mut u.mirror, local_sink);
    let wanted = local(&bed, WriteKey::Mirrors);
    assert!(wanted.contains(&format!("uuid {} row type ip6erspan options map", output.1)), "{wanted}");
    assert!(!wanted.contains("insert") && !wanted.contains("table Mirror"), "{wanted}");
    bed.change_port(lport, |pb| pb.mirror_rules = set(&[]));
    let wanted = local(&bed, WriteKey::Mirrors);
    assert!(wanted.ends_with(&format!("mirrors delete uuid {ours} ports delete uuid {}", output.0)), "{wanted}");
    bed.delete(|u| &mut u.mirror, gre);
    assert_eq!(local(&bed, WriteKey::Mirrors), wanted, "with the Southbound's row gone as well");
}
