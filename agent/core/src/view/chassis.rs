//! This chassis: its name, its settings, its Chassis row, its bridge, and northd's options.

use ovsdb::tables::{Table, Tracked};
use ovsdb::{RowId, Str};

use crate::facts::{Capability, ChassisName, CollectorSet, IntegrationBridge, NorthdOption, Setting};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Bridge, Chassis, Datapath, FlowSampleCollectorSet, OpenVSwitch, SbGlobal};
use crate::view::is_true;

/// The type of datapath that a bridge without one has.
pub const DEFAULT_DATAPATH: &str = "system";

/// What a dropped packet does when drop debugging is on: SB_Global.options debug_drop_collector_set and
/// debug_drop_domain_id (physical.c `put_drop`, OVN 26.03).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct DropSampling {
    /// Flow_Sample_Collector_Set id, known to exist here.
    pub collector_set: u32,
    /// Observation domain: the configured id shifted left by 24.
    pub domain: u32,
}

/// See [`ChassisName`].
pub fn chassis_name(r: &Reader<'_>) -> Option<Str> {
    if let Some(forced) = &r.config().chassis_name {
        return Some(forced.clone());
    }
    external_id(r, "system-id").filter(|name| !name.is_empty())
}

/// See [`Setting`].
pub fn setting(r: &Reader<'_>, key: &'static str) -> Option<Str> {
    let own = r.fact(ChassisName).and_then(|name| external_id(r, &format!("{key}-{name}")));
    own.or_else(|| external_id(r, key))
}

/// See [`crate::facts::ThisChassis`].
pub fn this_chassis(r: &Reader<'_>) -> Option<RowId> {
    let name = r.fact(ChassisName)?;
    r.lookup_one(|table: &Table<Chassis>| table.by_name(&name))
}

/// See [`NorthdOption`].
pub fn northd_option(r: &Reader<'_>, key: &'static str) -> Option<Str> {
    r.only::<SbGlobal>()?.options().get(key).cloned()
}

/// See [`IntegrationBridge`].
pub fn integration_bridge(r: &Reader<'_>) -> Option<RowId> {
    let name = r.fact(Setting("ovn-bridge"));
    let name = name.as_deref().unwrap_or("br-int");
    r.lookup_one(|table: &Table<Bridge>| table.by_name(name))
}

/// See [`crate::facts::BridgeName`].
pub fn bridge_name(r: &Reader<'_>, bridge: RowId) -> Option<Str> {
    Some(r.row::<Bridge>(bridge)?.name().clone())
}

/// See [`crate::facts::Capability`].
pub fn capability(r: &Reader<'_>, key: &'static str) -> Option<Str> {
    datapath_row(r)?.capabilities().get(key).cloned()
}

/// The type of the integration bridge's datapath.
pub fn datapath_type(r: &Reader<'_>) -> Option<Str> {
    let bridge = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row))?;
    let kind = bridge.datapath_type();
    Some(if kind.is_empty() { DEFAULT_DATAPATH.into() } else { kind.clone() })
}

/// The Datapath row of the integration bridge's type, if it is there already.
pub fn datapath_row<'r, 'a>(r: &'r Reader<'a>) -> Option<Tracked<'r, Datapath, Reader<'a>>> {
    let kind = datapath_type(r)?;
    let ovs = r.only::<OpenVSwitch>()?;
    let row = ovs.datapaths().get(&kind)?;
    r.find::<Datapath>(row)
}

/// See [`crate::facts::BridgeMappings`]. Reading stops at the first malformed item, and an item whose bridge does not exist
/// is left out (patch.c `add_ovs_bridge_mappings`, OVN 26.03).
pub fn bridge_mappings(r: &Reader<'_>) -> List<(Str, Str)> {
    let text = r.fact(Setting("ovn-bridge-mappings")).unwrap_or_default();
    let mut mappings: Vec<(Str, Str)> = Vec::new();
    for item in text.split(',') {
        let Some((network, bridge)) = item.split_once(':') else { break };
        if network.is_empty() || bridge.is_empty() {
            break;
        }
        let exists = r.lookup_one(|table: &Table<Bridge>| table.by_name(bridge)).is_some();
        if exists && !mappings.iter().any(|(known, _)| known == network) {
            mappings.push((Str::from(network), Str::from(bridge)));
        }
    }
    mappings.into()
}

/// See [`crate::facts::EncapIps`].
pub fn encap_ips(r: &Reader<'_>) -> List<Str> {
    let text = r.fact(Setting("ovn-encap-ip")).unwrap_or_default();
    let mut ips: Vec<Str> = text.split(',').filter(|ip| !ip.is_empty()).map(Str::from).collect();
    ips.sort();
    ips.dedup();
    if let Some(default) = r.fact(Setting("ovn-encap-ip-default"))
        && let Some(at) = ips.iter().position(|ip| *ip == default)
    {
        ips.swap(0, at);
    }
    ips.into()
}

/// See [`CollectorSet`].
pub fn collector_set(r: &Reader<'_>, id: i64) -> bool {
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return false };
    r.lookup(|table: &Table<FlowSampleCollectorSet>| table.by_id(id))
        .into_iter()
        .filter_map(|row| r.row::<FlowSampleCollectorSet>(row))
        .any(|set| set.bridge() == bridge.uuid())
}

/// See [`crate::facts::DropSampling`].
pub fn drop_sampling(r: &Reader<'_>) -> Option<DropSampling> {
    let number = |key| r.fact(NorthdOption(key)).and_then(|text| text.trim_start().parse::<u32>().ok()).unwrap_or(0);
    let collector_set = number("debug_drop_collector_set");
    if collector_set == 0 || !r.fact(CollectorSet(i64::from(collector_set))) {
        return None;
    }
    Some(DropSampling { collector_set, domain: number("debug_drop_domain_id") << 24 })
}

/// Open_vSwitch.external_ids:KEY.
fn external_id(r: &Reader<'_>, key: &str) -> Option<Str> {
    r.only::<OpenVSwitch>()?.external_ids().get(key).cloned()
}

/// What is the same for the logical actions of all lflows. One fact, because every lflow asks for all of it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodingOptions {
    /// Capability `ct_zero_snat`.
    pub ct_zero_snat: bool,
    /// Capability `max_hash_alg` = 1: the switch can select a bucket by a symmetric layer 4 hash.
    pub dp_hash_l4_symmetric: bool,
    /// SB_Global.options:arp_ns_explicit_output.
    pub explicit_arp_ns_output: bool,
    /// SB_Global.options:register_consolidation.
    pub register_consolidation: bool,
    /// Whether the switch has meters.
    pub meters_supported: bool,
}

/// See [`crate::facts::EncodingOptions`].
pub fn encoding_options(r: &Reader<'_>) -> EncodingOptions {
    let northd = |key| is_true(r.fact(NorthdOption(key)).as_ref());
    let capability = |key, value: &str| r.fact(Capability(key)).is_some_and(|have| have.as_str() == value);
    EncodingOptions {
        ct_zero_snat: capability("ct_zero_snat", "true"),
        dp_hash_l4_symmetric: capability("max_hash_alg", "1"),
        explicit_arp_ns_output: northd("arp_ns_explicit_output"),
        register_consolidation: northd("register_consolidation"),
        meters_supported: r.features().max_meters > 0,
    }
}
