//! Tunnels as the settings want them: several addresses of one host and which of them a port uses, types of encapsulation, options of
//! either side, IPsec, transport zones. Ports stay and are changed in place.

use crate::common::packets::captured;
use crate::common::topology::{A1, B1, Port, Topology};
use crate::common::{Agent, Hypervisor, wait_until};

/// The second tunnel address of hv1.
const SECOND: [u8; 4] = [192, 168, 0, 129];
const FIRST: [u8; 4] = [192, 168, 0, 1];
const GENEVE: u16 = 6081;
const VXLAN: u16 = 4789;

/// Type and options of the tunnel ports by their names. One that goes meanwhile has none.
fn tunnels(hypervisor: &Hypervisor) -> Vec<(String, String)> {
    let interfaces = hypervisor.vsctl("--bare --columns=name list Interface");
    let mut tunnels: Vec<_> = interfaces
        .split_whitespace()
        .filter(|name| name.starts_with("ovn-"))
        .map(|name| {
            let of =
                |column: &str| hypervisor.vsctl(&format!("--if-exists get Interface {name} {column}")).replace('"', "");
            (name.to_owned(), format!("{} {}", of("type"), of("options")))
        })
        .collect();
    tunnels.sort();
    tunnels
}

fn wait_tunnels(hypervisor: &Hypervisor, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())).collect();
    wait_until(&format!("tunnels of {}: {expected:?}", hypervisor.name), || tunnels(hypervisor) == expected);
}

/// UUID and OpenFlow port of a tunnel.
fn identity(hypervisor: &Hypervisor, name: &str) -> [String; 2] {
    ["_uuid", "ofport"].map(|column| hypervisor.vsctl(&format!("get Interface {name} {column}")))
}

/// Sends datagrams until one arrives whose tunnel has these ends, seen on the sender's wire.
fn wait_way(topology: &Topology, (from, to): (Port, Port), ends: ([u8; 4], [u8; 4]), udp_port: u16, what: &str) {
    let sender = &topology.cloud.hypervisors[from.host - 1];
    let wire = sender.folder.join("wire.pcap");
    let mut tries = 0;
    wait_until(&format!("{what}: a packet from {:?} to {:?}", ends.0, ends.1), || {
        tries += 1;
        let seen = captured(&wire).len();
        topology.send(from, to, &format!("{what} {tries}"));
        captured(&wire)[seen..].iter().any(|frame| {
            frame.get(26..30) == Some(&ends.0)
                && frame.get(30..34) == Some(&ends.1)
                && frame.get(36..38) == Some(&udp_port.to_be_bytes())
        })
    });
}

/// Both directions between `a1` at this address of hv1 and `b1`.
fn wait_ways(topology: &Topology, address: [u8; 4], udp_port: u16, what: &str) {
    let far = [192, 168, 0, 2];
    wait_way(topology, (A1, B1), (address, far), udp_port, what);
    wait_way(topology, (B1, A1), (far, address), udp_port, what);
}

/// Column of the Encap row that the Southbound has for `a1`.
fn encap_of_a1(topology: &Topology) -> String {
    let uuid = topology.cloud.sb_find("encap", "Port_Binding", "logical_port=a1");
    if uuid.is_empty() { uuid } else { topology.cloud.sbctl(&format!("get Encap {uuid} ip")).replace('"', "") }
}

fn wait_encap(topology: &Topology, ip: &str) {
    wait_until(&format!("a1's encap {ip}"), || encap_of_a1(topology) == ip);
    topology.cloud.sync();
}

#[test]
fn which_way_a_tunnel_takes() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    let [first, second] = [0, 1].map(|at| &topology.cloud.hypervisors[at]);
    for (hypervisor, uplink) in [(first, "to-hv2"), (second, "up")] {
        let wire = hypervisor.folder.join("wire.pcap").display().to_string();
        hypervisor.vsctl(&format!("set Interface {uplink} options:tx_pcap={wire}"));
    }
    first.add_tunnel_address(SECOND);
    second.neighbour(SECOND, first);
    let to_hv2 = "geneve {csum=true, key=flow, local_ip=192.168.0.1, remote_ip=192.168.0.2}";
    wait_tunnels(first, &[("ovn-hv2-0", to_hv2)]);
    let kept = identity(first, "ovn-hv2-0");
    assert_eq!(encap_of_a1(&topology), "", "with one encap there is nothing to choose");

    several_addresses(&topology, first, second);
    options(&topology, first, second);
    types(&topology, first, second);
    flow_based(&topology, first, second);
    zones(&topology, first, second);
    wait_tunnels(first, &[("ovn-hv2-0", to_hv2)]);
    assert_eq!(identity(first, "ovn-hv2-0")[1], kept[1], "the OpenFlow port");
    for hypervisor in [first, second] {
        hypervisor.wait_translated(&topology.cloud.sb);
        assert_eq!(hypervisor.logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
    }
}

/// The whole mesh of addresses, and which of them a port uses: the interface's encap-ip, else the default.
fn several_addresses(topology: &Topology, first: &Hypervisor, second: &Hypervisor) {
    let kept = [identity(first, "ovn-hv2-0"), identity(second, "ovn-hv1-0")];
    first.vsctl("set Open_vSwitch . external_ids:ovn-encap-ip=\"192.168.0.1,192.168.0.129\"");
    let tunnel = |local: u8, remote: u8| {
        format!("geneve {{csum=true, key=flow, local_ip=192.168.0.{local}, remote_ip=192.168.0.{remote}}}")
    };
    wait_tunnels(first, &[("ovn-hv2-0", &tunnel(1, 2)), ("ovn-hv2-1", &tunnel(129, 2))]);
    wait_tunnels(second, &[("ovn-hv1-0", &tunnel(2, 1)), ("ovn-hv1-1", &tunnel(2, 129))]);
    let ids = second.vsctl("get Port ovn-hv1-1 external_ids");
    assert_eq!(ids, "{ovn-chassis-id=\"hv1@192.168.0.129%192.168.0.2\"}");
    for (address, text) in [(SECOND, "192.168.0.129"), (FIRST, "192.168.0.1")] {
        first.vsctl(&format!("set Interface a1 external_ids:encap-ip=\"{text}\""));
        wait_encap(topology, text);
        wait_ways(topology, address, GENEVE, &format!("encap-ip {text}"));
    }
    first.vsctl("set Interface a1 external_ids:encap-ip=\"10.9.9.9\"");
    wait_encap(topology, "");
    first.vsctl(
        "remove Interface a1 external_ids encap-ip -- set Open_vSwitch . external_ids:ovn-encap-ip-default=192.168.0.129",
    );
    wait_encap(topology, "192.168.0.129");
    wait_ways(topology, SECOND, GENEVE, "the default");
    let marked = topology.cloud.sb_find("ip", "Encap", "options:is_default=true");
    assert_eq!(marked, "192.168.0.129");
    first.vsctl(
        "remove Open_vSwitch . external_ids ovn-encap-ip-default -- set Open_vSwitch . external_ids:ovn-encap-ip=192.168.0.1",
    );
    wait_tunnels(first, &[("ovn-hv2-0", &tunnel(1, 2))]);
    wait_tunnels(second, &[("ovn-hv1-0", &tunnel(2, 1))]);
    wait_encap(topology, "");
    assert_eq!(
        [identity(first, "ovn-hv2-0"), identity(second, "ovn-hv1-0")],
        kept,
        "the first tunnels stay as they are"
    );
}

/// tos and df_default are ours to choose, csum and dst_port the peer's; remote_name is for IPsec.
fn options(topology: &Topology, first: &Hypervisor, second: &Hypervisor) {
    let kept = [identity(first, "ovn-hv2-0"), identity(second, "ovn-hv1-0")];
    first.vsctl(
        "set Open_vSwitch . external_ids:ovn-encap-tos=inherit external_ids:ovn-encap-df_default=false \
         external_ids:ovn-encap-csum=false",
    );
    topology.cloud.nbctl("set NB_Global . ipsec=true options:ipsec_encapsulation=true");
    let of_first = "geneve {csum=true, df_default=false, ipsec_encapsulation=yes, key=flow, local_ip=192.168.0.1, \
                    remote_ip=192.168.0.2, remote_name=hv2, tos=inherit}";
    let of_second = "geneve {csum=false, ipsec_encapsulation=yes, key=flow, local_ip=192.168.0.2, \
                     remote_ip=192.168.0.1, remote_name=hv1}";
    wait_tunnels(first, &[("ovn-hv2-0", of_first)]);
    wait_tunnels(second, &[("ovn-hv1-0", of_second)]);
    topology.cloud.nbctl("set NB_Global . ipsec=false -- remove NB_Global . options ipsec_encapsulation");
    for key in ["ovn-encap-tos", "ovn-encap-df_default", "ovn-encap-csum"] {
        first.vsctl(&format!("remove Open_vSwitch . external_ids {key}"));
    }
    wait_tunnels(second, &[("ovn-hv1-0", "geneve {csum=true, key=flow, local_ip=192.168.0.2, remote_ip=192.168.0.1}")]);
    assert_eq!([identity(first, "ovn-hv2-0"), identity(second, "ovn-hv1-0")], kept, "changed in place");
    topology.check_traffic("with the options as they were");
}

/// Geneve where both have it, else VXLAN, else nothing.
fn types(topology: &Topology, first: &Hypervisor, second: &Hypervisor) {
    first.vsctl("set Open_vSwitch . external_ids:ovn-encap-type=geneve,vxlan");
    topology.cloud.sync();
    let to_hv2 = |kind: &str| format!("{kind} {{csum=true, key=flow, local_ip=192.168.0.1, remote_ip=192.168.0.2}}");
    wait_tunnels(first, &[("ovn-hv2-0", &to_hv2("geneve"))]);
    second.vsctl("set Open_vSwitch . external_ids:ovn-encap-type=vxlan");
    wait_tunnels(first, &[("ovn-hv2-0", &to_hv2("vxlan"))]);
    topology.cloud.sync();
    wait_ways(topology, FIRST, VXLAN, "VXLAN");
    first.vsctl("set Open_vSwitch . external_ids:ovn-encap-type=geneve");
    wait_tunnels(first, &[]);
    wait_until("a word about it", || !first.logged(&["No supported encaps for 'hv2'"]).is_empty());
    second.vsctl("set Open_vSwitch . external_ids:ovn-encap-type=geneve");
    wait_tunnels(first, &[("ovn-hv2-0", &to_hv2("geneve"))]);
    topology.wait_path(A1, B1);
    topology.wait_path(B1, A1);
    topology.check_traffic("Geneve again");
}

/// One port for all, whose flows say where a packet goes; and back.
fn flow_based(topology: &Topology, first: &Hypervisor, second: &Hypervisor) {
    for hypervisor in [first, second] {
        hypervisor.vsctl("set Open_vSwitch . external_ids:ovn-enable-flow-based-tunnels=true");
    }
    for hypervisor in [first, second] {
        wait_tunnels(hypervisor, &[("ovn-geneve", "geneve {key=flow, local_ip=flow, remote_ip=flow}")]);
    }
    topology.wait_path(A1, B1);
    topology.wait_path(B1, A1);
    wait_ways(topology, FIRST, GENEVE, "flow-based");
    topology.check_traffic("in flow-based tunnels");
    for hypervisor in [first, second] {
        hypervisor.wait_translated(&topology.cloud.sb);
        hypervisor.vsctl("remove Open_vSwitch . external_ids ovn-enable-flow-based-tunnels");
    }
    wait_until("a port for each peer again", || {
        [(first, "ovn-hv2-0"), (second, "ovn-hv1-0")]
            .iter()
            .all(|(hypervisor, name)| matches!(tunnels(hypervisor).as_slice(), [(only, _)] if only == name))
    });
}

/// Tunnels lead to chassis in a common transport zone only.
fn zones(topology: &Topology, first: &Hypervisor, second: &Hypervisor) {
    first.vsctl("set Open_vSwitch . external_ids:ovn-transport-zones=east,west");
    wait_tunnels(first, &[]);
    wait_tunnels(second, &[]);
    second.vsctl("set Open_vSwitch . external_ids:ovn-transport-zones=west");
    wait_until("tunnels in the common zone", || tunnels(first).len() == 1 && tunnels(second).len() == 1);
    for hypervisor in [first, second] {
        hypervisor.vsctl("remove Open_vSwitch . external_ids ovn-transport-zones");
    }
    // First one is in no zone, then both are: the tunnels go and come.
    wait_until("no zones", || topology.cloud.sb_find("transport_zones", "Chassis", "").trim().is_empty());
    topology.cloud.sync();
    wait_until("tunnels again", || tunnels(first).len() == 1 && tunnels(second).len() == 1);
    topology.wait_path(A1, B1);
    topology.wait_path(B1, A1);
    topology.check_traffic("in no zone");
}
