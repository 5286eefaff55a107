//! BFD of tunnel ports: sheet 01 section 7.4.

use super::local;
use crate::view::testbed::{HV1, HV2, Testbed, map};
use crate::writeback::WriteKey;

#[test]
fn tunnels_to_members_of_our_groups_have_bfd_and_others_have_not() {
    let mut bed = Testbed::new();
    let interfaces = ["hv2", "hv3"].map(|name| bed.tunnel(name, ""));
    let ports = ["ovn-hv2-0", "ovn-hv3-0"].map(|name| bed.agent.model().local.port.by_name(name).next().unwrap());
    let wants = |bed: &Testbed| ports.map(|port| local(bed, WriteKey::Bfd(port)));
    let update = |of: usize, bfd: &str| {
        format!("op update table Interface where _uuid == uuid {} row bfd map{bfd}", interfaces[of])
    };
    assert_eq!(wants(&bed), ["", ""]);
    bed.ha_group(&[(Some(HV1), 1), (Some(HV2), 2)], &[]);
    let set = |bed: &Testbed, of: usize, expected: &str| {
        let wanted = wants(bed)[of].clone();
        assert!(wanted.ends_with(&update(of, expected)), "{wanted}");
    };
    // Without an SB_Global row nothing is known of settings.
    set(&bed, 0, " enable true");
    assert_eq!(wants(&bed)[1], "");
    bed.northd(&[
        ("bfd-min-rx", "100"),
        ("bfd-decay-min-rx", "200"),
        ("bfd-min-tx", "300"),
        ("bfd-mult", "4"),
        ("x", "y"),
    ]);
    set(&bed, 0, " check_tnl_key true decay_min_rx 200 enable true min_rx 100 min_tx 300 mult 4");
    let bfd = [("check_tnl_key", "true"), ("enable", "true"), ("mult", "4")];
    bed.change_interface(interfaces[0], |row| row.bfd = map(&bfd));
    set(&bed, 0, " check_tnl_key true decay_min_rx 200 enable true min_rx 100 min_tx 300 mult 4");
    bed.northd(&[("bfd-mult", "4")]);
    assert_eq!(wants(&bed), ["", ""], "as it should be");
    // What somebody set by hand goes.
    bed.change_interface(interfaces[1], |row| row.bfd = map(&[("enable", "false")]));
    set(&bed, 1, "");
    // A port that is no tunnel of ours any more has no unit.
    let units = |bed: &Testbed| bed.agent.transactions().1.to_string().matches("bfd").count();
    assert_eq!(units(&bed), 1);
    let (uuid, mut row) = bed
        .agent
        .model()
        .local
        .port
        .iter()
        .map(|(id, row)| (bed.agent.model().local.port.uuid(id), row.clone()))
        .find(|(_, row)| row.name == "ovn-hv3-0")
        .unwrap();
    row.external_ids = map(&[]);
    bed.put_local(|u| &mut u.port, uuid, row);
    assert_eq!(units(&bed), 0);
}

#[test]
fn flow_based_tunnels_cannot_have_bfd() {
    let mut bed = Testbed::new();
    bed.setting("ovn-enable-flow-based-tunnels", "true");
    bed.bridge_port("ovn-geneve", |port, interface| {
        port.external_ids = map(&[("ovn-chassis-id", "flow"), ("ovn-tunnel-type", "geneve")]);
        interface.r#type = "geneve".into();
    });
    let port = bed.agent.model().local.port.by_name("ovn-geneve").next().unwrap();
    let says = |bed: &Testbed| bed.agent.write(&WriteKey::Bfd(port)).diagnostics.len();
    assert_eq!(says(&bed), 0);
    bed.ha_group(&[(Some(HV1), 1), (Some(HV2), 2)], &[]);
    assert_eq!(says(&bed), 1);
}
