//! Chassis rows that share an endpoint: one tunnel port an endpoint, none to ourselves, and a line in the log for each.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

mod common;

use common::topology::Topology;
use common::{Agent, Cloud, wait_until};

/// Inserts Chassis rows that share one new Encap row (the schema allows one a type and address).
fn insert_chassis(cloud: &Cloud, names: &[&str], address: &str) {
    let encap = format!(
        r#"{{"op":"insert","table":"Encap","uuid-name":"e","row":{{"type":"geneve","ip":"{address}","chassis_name":"{}"}}}}"#,
        names[0]
    );
    let rows = names.iter().map(|name| chassis(name, r#"["named-uuid","e"]"#));
    let operations: Vec<String> = std::iter::once(encap).chain(rows).collect();
    cloud.sb.transact(&format!(r#"["OVN_Southbound",{}]"#, operations.join(",")));
}

fn chassis(name: &str, encap: &str) -> String {
    format!(r#"{{"op":"insert","table":"Chassis","row":{{"name":"{name}","hostname":"{name}","encaps":{encap}}}}}"#)
}

fn delete_chassis(cloud: &Cloud, name: &str) {
    cloud.sb.transact(&format!(
        r#"["OVN_Southbound",{{"op":"delete","table":"Chassis","where":[["name","==","{name}"]]}}]"#
    ));
}

#[test]
fn one_tunnel_an_endpoint() {
    let mut topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    topology.check_traffic("first");
    let cloud = &mut topology.cloud;
    let to = |cloud: &Cloud, address: &str| -> Vec<(String, String)> {
        let tunnels = cloud.hypervisors[0].tunnels();
        tunnels.into_iter().filter(|(_, remote, _)| remote == address).map(|(name, _, ofport)| (name, ofport)).collect()
    };
    let address = "192.168.0.77";
    for (first_to_go, last) in [("twin-a", "twin-b"), ("twin-b", "twin-a")] {
        let mark = cloud.hv(1).log_mark();
        insert_chassis(cloud, &["twin-a", "twin-b"], address);
        wait_until("tunnel to the twins", || matches!(to(cloud, address).as_slice(), [(_, port)] if port != "[]"));
        let tunnel = to(cloud, address);
        cloud.sync();
        assert_eq!(to(cloud, address), tunnel, "one tunnel");
        delete_chassis(cloud, first_to_go);
        cloud.sync();
        assert_eq!(to(cloud, address), tunnel, "{first_to_go} deleted: the same port leads to {last}");
        let lines: Vec<_> = cloud
            .hv(1)
            .agent_log_since(&mark)
            .lines()
            .filter(|line| line.contains(address))
            .map(str::to_owned)
            .collect();
        assert!(matches!(lines.as_slice(), [line] if line.contains("twin-a") && line.contains("twin-b")), "{lines:#?}");
        delete_chassis(cloud, last);
        wait_until("no tunnel to the twins", || to(cloud, address).is_empty());
    }

    // Our own address on another's row.
    let before = cloud.hv(1).tunnels();
    let encap = cloud.sb_find("_uuid", "Encap", "ip=192.168.0.1");
    cloud.sb.transact(&format!(r#"["OVN_Southbound",{}]"#, chassis("impostor", &format!(r#"["uuid","{encap}"]"#))));
    wait_until("a word about the impostor", || !cloud.hv(1).logged(&["impostor"]).is_empty());
    cloud.sync();
    assert_eq!(cloud.hv(1).tunnels(), before, "no tunnel to ourselves");
    let lines = cloud.hv(1).logged(&["impostor"]);
    assert!(matches!(lines.as_slice(), [line] if line.contains("192.168.0.1")), "{lines:#?}");
    assert_eq!(cloud.hv(2).tunnels().len(), 1, "the other hypervisor keeps its tunnel");
    topology.check_traffic("beside an impostor");
}
