//! Prints the meters, groups and flows of a bridge in the text form of `ovs-ofctl`, flows sorted by table and priority.
//!
//! ```text
//! cargo run -p ofproto-client --example dump_flows -- unix:/run/openvswitch/br-int.mgmt
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;

use ofproto_client::Flow;
use ofproto_client::connection::Config;
use ofproto_client::group::GROUP_ALL;
use ofproto_client::message::{FlowStatsRequest, MultipartReplyBody, MultipartRequest};
use ofproto_client::meter::METER_ALL;
use ofproto_client::transport::{Target, connect};

fn main() -> Result<(), Box<dyn Error>> {
    let target: Target = std::env::args().nth(1).ok_or("usage: dump_flows unix:PATH|tcp:HOST[:PORT]")?.parse()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(dump(&target))
}

async fn dump(target: &Target) -> Result<(), Box<dyn Error>> {
    let mut link = connect(target, Config::default()).await?;
    if let MultipartReplyBody::Meters { meters, .. } = link.multipart(MultipartRequest::MeterConfig(METER_ALL)).await? {
        meters.iter().for_each(|meter| println!("{meter}"));
    }
    if let MultipartReplyBody::Groups { groups, .. } = link.multipart(MultipartRequest::GroupDesc(GROUP_ALL)).await? {
        groups.iter().for_each(|group| println!("{group}"));
    }
    let everything = FlowStatsRequest::default();
    if let MultipartReplyBody::Flows { flows, rejected } = link.multipart(MultipartRequest::Flows(everything)).await? {
        let mut flows: Vec<Flow> = flows.into_iter().map(|stats| stats.flow).collect();
        flows.sort_by(|a, b| (a.table, b.priority, &a.match_).cmp(&(b.table, a.priority, &b.match_)));
        flows.iter().for_each(|flow| println!("{flow}"));
        for flow in rejected {
            println!("# table={}, priority={}, cookie={:#x}: {}", flow.table, flow.priority, flow.cookie, flow.error);
        }
    }
    Ok(())
}
