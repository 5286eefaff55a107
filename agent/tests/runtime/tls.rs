//! The Southbound over TLS, with the role that a secured deployment gives its hypervisors.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::common::process::run;
use crate::common::topology::{A1, Topology};
use crate::common::{Agent, wait_until};

/// A CA with a certificate for each hypervisor, by its name: the role looks at that.
fn pki(folder: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&folder).unwrap();
    let pki = format!("--dir={}", folder.join("pki").display());
    let log = format!("--log={}", folder.join("log").display());
    let ovs_pki = |arguments: &[&str]| {
        let script = format!("cd {} && exec ovs-pki \"$@\"", folder.display());
        run("sh", &folder, &[&["-c", &script, "sh", "-k", "rsa", &log, &pki], arguments].concat());
    };
    ovs_pki(&["init"]);
    for name in ["sb", "hv1", "hv2"] {
        ovs_pki(&["-u", "req+sign", name, "switch"]);
    }
    folder
}

fn ca(pki: &Path) -> String {
    pki.join("pki/switchca/cacert.pem").display().to_string()
}

fn file(pki: &Path, name: &str, kind: &str) -> String {
    pki.join(format!("{name}-{kind}.pem")).display().to_string()
}

#[test]
fn the_role_of_a_hypervisor_is_enough() {
    let mut topology = Topology::start_idle(&[Agent::Ours, Agent::Ours]);
    let folder = topology.cloud.hv(1).folder.parent().unwrap().to_owned();
    let keys = pki(folder.join("keys"));
    let cloud = &mut topology.cloud;
    cloud.sb.arguments = vec![
        format!("--private-key={}", file(&keys, "sb", "privkey")),
        format!("--certificate={}", file(&keys, "sb", "cert")),
        format!("--ca-cert={}", ca(&keys)),
        "--remote=db:OVN_Southbound,SB_Global,connections".to_owned(),
    ];
    cloud.sb.restart();
    let port = || std::net::TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let (four, six) = (port(), port());
    let role = "role=ovn-controller";
    cloud.sbctl(&format!("set-connection {role} pssl:{four}:127.0.0.1 {role} pssl:{six}:[::1]"));
    cloud.hv(1).vsctl(&format!(
        "set-ssl {} {} {} -- set Open_vSwitch . external_ids:ovn-remote=ssl:127.0.0.1:{four}",
        file(&keys, "hv1", "privkey"),
        file(&keys, "hv1", "cert"),
        ca(&keys)
    ));
    cloud.hv(2).vsctl(&format!("set Open_vSwitch . external_ids:ovn-remote=ssl:[::1]:{six}"));
    cloud.hv(2).agent_arguments = vec![
        format!("--private-key={}", file(&keys, "hv2", "privkey")),
        format!("--certificate={}", file(&keys, "hv2", "cert")),
        format!("--ca-cert={}", ca(&keys)),
        "--ssl-protocols=TLSv1.2-TLSv1.3".to_owned(),
    ];
    topology.begin();
    topology.check_traffic("under a role");
    // Released and claimed again, and the acknowledgement of a configuration.
    topology.unplug(A1);
    wait_until("a1 released", || topology.cloud.sb_find("chassis", "Port_Binding", "logical_port=a1").is_empty());
    topology.plug(A1);
    topology.converge();

    // Other keys, of another CA, in the places of the old ones: nobody is restarted but the server.
    let others = pki(folder.join("others"));
    for kind in ["privkey", "cert"] {
        for name in ["sb", "hv1", "hv2"] {
            std::fs::copy(file(&others, name, kind), file(&keys, name, kind)).unwrap();
        }
    }
    std::fs::copy(ca(&others), ca(&keys)).unwrap();
    topology.cloud.sync();
    let start = Instant::now();
    topology.cloud.sb.restart();
    topology.cloud.sync();
    println!("acknowledged with other keys {} ms after the server's restart", start.elapsed().as_millis());

    // The SSL row leads nowhere: named, and mended without restart.
    let hv1 = &topology.cloud.hypervisors[0];
    hv1.vsctl(&format!("set-ssl /none/key.pem {} {}", file(&keys, "hv1", "cert"), ca(&keys)));
    topology.cloud.sb.restart();
    let hv1 = &topology.cloud.hypervisors[0];
    wait_until("a word about the key", || !hv1.logged(&["private key /none/key.pem: ", "No such file"]).is_empty());
    hv1.vsctl(&format!("set-ssl {} {} {}", file(&keys, "hv1", "privkey"), file(&keys, "hv1", "cert"), ca(&keys)));
    topology.cloud.sync();
    // The switch over TLS, too, with the same keys on both sides. It has a loopback device of its own.
    let (openflow, remote) = (port(), topology.cloud.sb.remote());
    let hv1 = topology.cloud.hv(1);
    hv1.agent_appctl(&["exit", "--restart"]).unwrap();
    hv1.vsctl(&format!(
        "set-controller br-int pssl:{openflow}:127.0.0.1 -- set Open_vSwitch . external_ids:ovn-remote={remote} \
         external_ids:ovn-bridge-remote=ssl:127.0.0.1:{openflow}"
    ));
    hv1.start_agent_in_namespace();
    let connected = format!("ssl:127.0.0.1:{openflow}: connected");
    wait_until("OpenFlow over TLS", || !hv1.logged(&["|rconn|", &connected]).is_empty());
    topology.unplug(A1);
    topology.plug(A1);
    topology.converge();
    topology.check_traffic("with OpenFlow over TLS");
    for hypervisor in &topology.cloud.hypervisors {
        let refused = hypervisor.logged(&["transaction failed"]);
        assert!(refused.is_empty(), "{refused:#?}");
    }
    // The clean-up is within the role, too.
    topology.cloud.hv(1).agent_appctl(&["exit"]).unwrap();
    assert_eq!(topology.cloud.sb_find("name", "Chassis", "name=hv1"), "");
}
