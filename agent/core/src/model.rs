//! [`Model`]: everything the agent has observed and nothing it has derived. Nodes read it through a
//! [`Reader`](crate::reader::Reader) only.

use ovsdb::{Local, Southbound, Str, Uuid};
use std::collections::BTreeMap;

use crate::kernel::Kernel;
use crate::zones::UserZones;

/// What was observed.
#[derive(Default)]
pub struct Model {
    /// Replica of the Southbound.
    pub sb: Southbound,
    /// Replica of the local Open_vSwitch database.
    pub local: Local,
    /// What comes from neither database.
    pub external: External,
    /// Neighbour tables of the kernel.
    pub kernel: Kernel,
}

/// Observations that come from neither database. Each field has a number, [`ExternalKey`], under which reads of it are
/// recorded; the installed ports are recorded one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct External {
    /// Given on the command line or read from a file; fixed for the life of the process.
    pub config: Config,
    /// What the switch was found able to do.
    pub features: SwitchFeatures,
    /// n of the tun_metadata field that carries OVN's Geneve option, once negotiated. Offline: 0.
    pub geneve_option: Option<u8>,
    /// The `nb_cfg` whose flows the switch has acknowledged with a barrier.
    pub acknowledged_nb_cfg: i64,
    /// Logical ports whose flows the switch has acknowledged, each with the interface that these flows are for.
    pub installed_ports: std::sync::Arc<BTreeMap<Str, Plug>>,
    /// The conntrack zones that the flows in the switch were made with. They stay as they are even before they are persisted.
    pub zones_in_use: UserZones,
    /// Users and zones whose tracked connections were forgotten because the zone was given or taken, which the database does
    /// not reflect yet.
    pub flushed_zones: std::sync::Arc<std::collections::BTreeSet<(Str, u16)>>,
    /// Open_vSwitch.next_cfg is to be at least this, so that the switch looks at its configuration again.
    pub wanted_next_cfg: i64,
    /// The name that this chassis had in this process before system-id was changed, until its rows are gone.
    pub former_name: Option<Str>,
    /// What the local database's server can store.
    pub local_schema: LocalSchema,
    /// The devices that stand for functions of network cards.
    pub representors: std::sync::Arc<crate::plug::Representors>,
    /// There was a connection to the switch, and there cannot be another one now.
    pub switch_lost: bool,
    /// Wall-clock milliseconds for timestamps that are written to a database. Not recorded as a read: a later time alone
    /// is no reason to write anything.
    pub wall_clock_ms: i64,
}

/// What a logical port is plugged into.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Plug {
    /// Row in Interface.
    pub interface: Uuid,
    /// Its OpenFlow port.
    pub ofport: u16,
}

/// Settings that no database holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Chassis name that wins over the database's system-id (`-n`, or the system-id-override file).
    pub chassis_name: Option<Str>,
    /// Host name, for Chassis.hostname when external_ids has none.
    pub hostname: Str,
    /// Wall-clock milliseconds at which the process started; 0: unknown.
    pub started_ms: i64,
    /// The provider `dummy` of VIF plugging is there (`--enable-dummy-vif-plug`).
    pub dummy_vif_plug: bool,
    /// The provider `representor` is there: [`External::representors`] is kept up to date.
    pub representors: bool,
    /// Nothing may be written to a database: the offline translator.
    pub read_only: bool,
}

/// Columns of the local database that not every Open vSwitch has. Without a server there are none.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSchema {
    /// CT_Zone.limit exists.
    pub zone_limits: bool,
    /// The most members that Flow_Table.prefixes may have.
    pub flow_table_prefixes: u32,
}

/// What the switch was found able to do. Sheet 02 section 6.8.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SwitchFeatures {
    /// The probes have been answered (or we are offline).
    pub known: bool,
    /// Largest number of meters; 0: meters unsupported.
    pub max_meters: u32,
    /// Largest number of select groups.
    pub max_groups: u32,
    /// sample() takes its domain and point from registers.
    pub sample_with_registers: bool,
    /// Conntrack entries can be flushed by label.
    pub ct_label_flush: bool,
}

/// The numbers under which reads of [`External`] are recorded.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExternalKey {
    /// [`External::config`].
    Config = 0,
    /// [`External::features`].
    Features = 1,
    /// [`External::geneve_option`].
    GeneveOption = 2,
    /// [`External::acknowledged_nb_cfg`].
    AcknowledgedNbCfg = 3,
    /// Which meters the flows refer to: not an observation, but an allocation that outlives the units' runs.
    MetersInUse = 5,
    /// [`External::zones_in_use`] of local datapaths.
    NatZonesInUse = 6,
    /// The same of ports.
    PortZonesInUse = 4,
    /// [`External::flushed_zones`].
    FlushedZones = 7,
    /// [`External::local_schema`].
    LocalSchema = 8,
    /// [`External::wanted_next_cfg`].
    WantedNextCfg = 11,
    /// [`External::former_name`].
    FormerName = 12,
    /// [`External::switch_lost`].
    SwitchLost = 9,
    /// [`External::representors`].
    Representors = 10,
}
