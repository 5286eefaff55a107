//! Clean-up at the end: `ovn-appctl exit` without `--restart`. `controller_cleanup` of controller/ovn-controller.c, OVN 26.03;
//! sheet 01 section 1.4. Flows, the integration bridge, patch ports and conntrack zones stay.

use ovsdb::datum::Datum;
use ovsdb::transaction::{Mutator, Transaction};
use ovsdb::{Str, Uuid};

use crate::agent::Agent;
use crate::facts::{ChassisName, IntegrationBridge};
use crate::view::peers::INDEX;

/// What is left to clean up, in the Southbound and in the local database.
pub fn transactions(agent: &Agent) -> (Transaction, Transaction) {
    let Some(name) = agent.ask(ChassisName) else { return Default::default() };
    (southbound(agent, &name), local(agent, &name))
}

fn southbound(agent: &Agent, name: &Str) -> Transaction {
    let sb = &agent.model().sb;
    let mut transaction = Transaction::new();
    let ours: Vec<_> = sb.chassis.by_name(name).collect();
    if let Some(us) = ours.first().map(|row| sb.chassis.uuid(*row)) {
        let encaps: Vec<Uuid> =
            ours.iter().filter_map(|row| sb.chassis.row(*row)).flat_map(|row| row.encaps.iter()).copied().collect();
        for (row, port) in sb.port_binding.iter() {
            let uuid = sb.port_binding.uuid(row);
            if port.chassis == Some(us) {
                transaction.update("Port_Binding", uuid, vec![("chassis", Datum::EMPTY), ("encap", Datum::EMPTY)]);
            }
            if port.additional_chassis.contains(&us) {
                let mine: Datum = encaps.iter().copied().collect();
                let remove = vec![
                    ("additional_chassis", Mutator::Delete, Datum::from(us)),
                    ("additional_encap", Mutator::Delete, mine),
                ];
                transaction.mutate("Port_Binding", uuid, remove);
            }
        }
    }
    for us in ours.iter().map(|row| sb.chassis.uuid(*row)) {
        for row in sb.igmp_group.by_chassis(us) {
            transaction.delete("IGMP_Group", sb.igmp_group.uuid(row));
        }
    }
    for row in sb.chassis_private.by_name(name) {
        transaction.delete("Chassis_Private", sb.chassis_private.uuid(row));
    }
    for row in ours {
        transaction.delete("Chassis", sb.chassis.uuid(row));
    }
    if !transaction.is_empty() {
        transaction.comment(format!("ovn-agent: unregistering chassis '{name}'"));
    }
    transaction
}

fn local(agent: &Agent, name: &Str) -> Transaction {
    let local = &agent.model().local;
    let mut transaction = Transaction::new();
    let index = format!("{INDEX}{name}");
    for (row, ovs) in local.open_vswitch.iter() {
        if ovs.other_config.get(index.as_str()).is_some() {
            let keys: Datum = [index.as_str()].into_iter().collect();
            transaction.mutate(
                "Open_vSwitch",
                local.open_vswitch.uuid(row),
                vec![("other_config", Mutator::Delete, keys)],
            );
        }
    }
    if let Some(row) = agent.ask(IntegrationBridge)
        && let Some(bridge) = local.bridge.row(row)
    {
        let tunnels: Vec<Uuid> = local
            .port
            .by_tunnel(true)
            .chain(local.port.by_evpn_tunnel(true))
            .map(|port| local.port.uuid(port))
            .filter(|uuid| bridge.ports.contains(uuid))
            .collect();
        if !tunnels.is_empty() {
            let ports: Datum = tunnels.into_iter().collect();
            transaction.mutate("Bridge", local.bridge.uuid(row), vec![("ports", Mutator::Delete, ports)]);
        }
    }
    if !transaction.is_empty() {
        transaction.comment(format!("ovn-agent: unregistering chassis index for '{name}'"));
    }
    transaction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testbed::{HV1, HV2, Testbed, map, set};
    use ovsdb::tables::southbound::IgmpGroup;

    #[test]
    fn what_is_ours_goes_and_nothing_else() {
        let mut bed = Testbed::new();
        let ls = bed.datapath("ls", 1);
        let [main, other, additional] =
            [(Some(HV1), None), (Some(HV2), None), (Some(HV2), Some(HV1))].map(|(chassis, more)| {
                let name = format!("p{}", bed.uuid());
                bed.port(ls, &name, "", |pb| {
                    pb.chassis = chassis;
                    pb.additional_chassis = set(more.as_slice());
                })
                .0
            });
        let [ours, theirs] = [HV1, HV2].map(|chassis| {
            let uuid = bed.uuid();
            let row = IgmpGroup { chassis: Some(chassis), ..IgmpGroup::default() };
            bed.put(|u| &mut u.igmp_group, uuid, row);
            uuid
        });
        bed.tunnel("hv2", "");
        bed.vif("vm");
        bed.open_vswitch.other_config = map(&[("ovn-chassis-idx-hv1", ""), ("ovn-chassis-idx-other", "0")]);
        bed.setting("any", "");
        let (southbound, local) = transactions(&bed.agent);
        let text = southbound.to_string();
        for uuid in [main, additional, ours] {
            assert!(text.contains(&uuid.to_string()), "{uuid}: {text}");
        }
        assert!(
            text.contains(&format!(r#"{{"op":"delete","table":"Chassis","where":[["_uuid","==",["uuid","{HV1}"]]]}}"#))
        );
        assert!(![other, theirs].iter().any(|uuid| text.contains(&uuid.to_string())), "{text}");
        let text = local.to_string();
        let tunnels: Vec<Uuid> = {
            let table = &bed.agent.model().local.port;
            table.by_tunnel(true).map(|row| table.uuid(row)).collect()
        };
        let ports = format!(r#"[["ports","delete",["set",[["uuid","{}"]]]]]"#, tunnels[0]);
        assert!(text.contains(&ports) && tunnels.len() == 1, "{text}");
        assert!(text.contains("ovn-chassis-idx-hv1") && !text.contains("idx-other"), "{text}");
    }
}
