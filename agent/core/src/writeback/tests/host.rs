//! What of the Open_vSwitch row is ours, and of queues what hangs on a VIF: sheet 01 sections 2.5 and 6.9.

use super::{local, with_queues};
use crate::view::testbed::{Testbed, map};
use crate::writeback::WriteKey;

#[test]
fn only_a_wait_that_ovn_began_is_ended() {
    for (mark, wait, ended) in
        [("true", Some("true"), true), ("true", Some("false"), true), ("true", None, false), ("", Some("true"), false)]
    {
        let mut bed = Testbed::new();
        let config: Vec<_> = [("vlan-limit", "0"), ("ovn-chassis-idx-hv1", "")]
            .into_iter()
            .chain(wait.map(|wait| ("flow-restore-wait", wait)))
            .collect();
        bed.open_vswitch.other_config = map(&config);
        bed.setting("ovn-managed-flow-restore-wait", mark);
        let wanted = local(&bed, WriteKey::Host);
        let expected =
            "other_config delete set flow-restore-wait external_ids delete set ovn-managed-flow-restore-wait";
        assert_eq!(wanted.contains(expected), ended, "{mark} {wait:?}: {wanted}");
        assert_eq!(wanted.contains("flow-restore-wait"), ended, "{mark} {wait:?}: {wanted}");
    }
}

#[test]
fn ports_that_hang_on_a_vif_have_queues_of_their_own() {
    let (mut bed, ..) = with_queues();
    let ls = bed.agent.model().sb.port_binding.iter().map(|(_, pb)| pb.datapath).next().unwrap();
    let options = [("qdisc_queue_id", "8"), ("qos_min_rate", "5"), ("qos_physical_network", "phys")];
    bed.port(ls, "child", "", |pb| {
        (pb.parent_port, pb.tag) = (Some("p".into()), Some(1));
        pb.options = map(&options);
    });
    let wanted = local(&bed, WriteKey::Qos);
    assert!(
        wanted.contains("other_config map burst 0 max-rate 0 min-rate 5 external_ids map ovn_port child"),
        "{wanted}"
    );
    assert!(wanted.contains("queues map 8 named-uuid") || wanted.contains(" 8 named-uuid queue_"), "{wanted}");
    // Queues of ports of a localnet port's network follow the same rule.
    let options = [("qdisc_queue_id", "9"), ("qos_burst", "5"), ("qos_physical_network", "phys")];
    bed.port(ls, "ln", "localnet", |pb| pb.options = map(&options));
    assert!(local(&bed, WriteKey::Qos).contains("ovn_port ln"));
}
