//! The integration bridge: made when it is missing, and kept as it has to be. Sheet 01 section 2.5.

use ovsdb::datum::Datum;
use ovsdb::transaction::Mutator;

use crate::facts::{ChassisName, IntegrationBridge, Setting};
use crate::pools::fnv1a;
use crate::reader::Reader;
use crate::rows::{Bridge, OpenVSwitch};
use crate::units::Output;

/// See [`super::WriteKey::IntegrationBridge`].
pub fn integration_bridge(r: &Reader<'_>, out: &mut Output) {
    let Some(ovs) = r.only::<OpenVSwitch>() else { return };
    let wanted_type = r.fact(Setting("ovn-bridge-datapath-type"));
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else {
        let name = r.fact(Setting("ovn-bridge")).unwrap_or_else(|| "br-int".into());
        // Any local unicast address will do, so long as it stays: the datapath id is made from it.
        let seed = r.fact(ChassisName).unwrap_or_default();
        create(&name, &hardware_address(&seed), wanted_type.as_deref(), ovs.uuid(), out);
        return;
    };
    let mut fix = Vec::new();
    if bridge.fail_mode().map(|mode| mode.as_str()) != Some("secure") {
        fix.push(("fail_mode", Datum::from("secure")));
    }
    if let Some(wanted) = wanted_type.filter(|wanted| wanted != bridge.datapath_type()) {
        fix.push(("datapath_type", Datum::from(wanted)));
    }
    if !fix.is_empty() {
        out.local.update("Bridge", bridge.uuid(), fix);
    }
}

fn create(name: &str, hwaddr: &str, datapath_type: Option<&str>, ovs: ovsdb::Uuid, out: &mut Output) {
    let local = &mut out.local;
    local.comment(format!("ovn-agent: creating integration bridge '{name}'"));
    local.insert_named("Interface", "br_interface", vec![("name", name.into()), ("type", "internal".into())]);
    local.insert_named("Port", "br_port", vec![("name", name.into()), ("interfaces", Datum::named("br_interface"))]);
    let other_config = [("disable-in-band", "true"), ("hwaddr", hwaddr)].into_iter().collect();
    let mut row = vec![
        ("name", name.into()),
        ("ports", Datum::named("br_port")),
        ("fail_mode", "secure".into()),
        ("other_config", other_config),
    ];
    row.extend(datapath_type.map(|kind| ("datapath_type", kind.into())));
    local.insert_named("Bridge", "br_bridge", row);
    let bridge = Datum::named("br_bridge");
    local.mutate("Open_vSwitch", ovs, vec![("bridges", Mutator::Insert, bridge)]);
}

/// A locally administered unicast Ethernet address made from a text.
fn hardware_address(seed: &str) -> String {
    let [_, _, a, b, c, d, e, f] = fnv1a(seed).to_be_bytes();
    format!("{:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}", (a & 0xfc) | 0x02)
}

#[cfg(test)]
mod tests {
    #[test]
    fn hardware_addresses_are_local_unicast_and_stay() {
        let first = super::hardware_address("hv1");
        assert_eq!(first, super::hardware_address("hv1"));
        assert_ne!(first, super::hardware_address("hv2"));
        assert_eq!(u8::from_str_radix(&first[..2], 16).unwrap() & 3, 2);
    }
}
