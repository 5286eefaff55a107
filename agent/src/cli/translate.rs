//! `ovn-agent translate`: databases in, flows out. The same core as the daemon, driven by two files and no clock.

use anyhow::{Context, bail};
use clap::Args;
use ofproto_client::Flow;
use ovn_core::model::{Config, External, SwitchFeatures};
use ovn_core::{Agent, facts};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Arguments of `translate`.
#[derive(Debug, Args)]
#[command(after_help = "FILE may be the output of `ovsdb-client -f json dump` or `ovsdb-client backup`, or a database \
file, standalone or clustered.\n\nExample:\n  ovsdb-client -f json dump unix:/run/ovn/ovnsb_db.sock OVN_Southbound > sb.json\n  \
ovsdb-client -f json dump Open_vSwitch > ovs.json\n  ovn-agent translate --sb sb.json --ovs ovs.json --what flows")]
pub struct Translate {
    /// The Southbound database
    #[arg(long, value_name = "FILE")]
    sb: PathBuf,
    /// The hypervisor's local Open_vSwitch database
    #[arg(long, value_name = "FILE")]
    ovs: PathBuf,
    /// The hypervisor's chassis name [default: external_ids:system-id of the local database]
    #[arg(long, value_name = "NAME")]
    chassis: Option<String>,
    /// Write `flows`, `groups` and `meters` into this folder instead of printing them
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// What to print or write
    #[arg(long, value_delimiter = ',', default_values = ["flows", "groups", "meters"], value_name = "LIST")]
    what: Vec<What>,
    /// Print how long each phase took, to stderr
    #[arg(long)]
    timings: bool,
}

/// One kind of output.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// `ovs-ofctl -O OpenFlow15 dump-flows`
    Flows,
    /// `ovs-ofctl -O OpenFlow15 dump-groups`
    Groups,
    /// `ovs-ofctl -O OpenFlow15 dump-meters`
    Meters,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Flows => "flows",
            What::Groups => "groups",
            What::Meters => "meters",
        }
    }
}
