//! Makes the flows of a bridge those of a file, with one atomic bundle of the differences, as `ovs-ofctl replace-flows` does.
//! The file has one flow per line in the text form of `ovs-ofctl`; empty lines and lines that start with `#` do not count.
//!
//! ```text
//! cargo run -p ofproto-client --example replace_flows -- unix:/run/openvswitch/br-int.mgmt flows.txt
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::HashMap;
use std::error::Error;
use std::fs;

use ofproto_client::connection::Config;
use ofproto_client::message::{FlowStatsRequest, MultipartReplyBody, MultipartRequest};
use ofproto_client::transport::{Target, connect};
use ofproto_client::{Flow, FlowMod, FlowModCommand, Match};

/// What makes a flow the same flow.
type Key = (u8, u16, Match);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, file] = &arguments[..] else {
        return Err("usage: replace_flows unix:PATH|tcp:HOST[:PORT] FILE".into());
    };
    let wanted = read_file(file)?;
    let target: Target = target.parse()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(replace(&target, &wanted))
}

fn read_file(file: &str) -> Result<HashMap<Key, Flow>, Box<dyn Error>> {
    let mut flows = HashMap::new();
    for (n, line) in fs::read_to_string(file)?.lines().enumerate() {
        if !line.trim().is_empty() && !line.starts_with('#') {
            let flow: Flow = line.parse().map_err(|error| format!("{file}:{}: {error}", n + 1))?;
            flows.insert(key(&flow), flow);
        }
    }
    Ok(flows)
}

fn key(flow: &Flow) -> Key {
    (flow.table, flow.priority, flow.match_.clone())
}

async fn replace(target: &Target, wanted: &HashMap<Key, Flow>) -> Result<(), Box<dyn Error>> {
    let mut link = connect(target, Config::default()).await?;
    let everything = MultipartRequest::Flows(FlowStatsRequest::default());
    let MultipartReplyBody::Flows { flows, rejected } = link.multipart(everything).await? else {
        return Err("the switch answered something else".into());
    };
    if let Some(flow) = rejected.first() {
        return Err(format!("a flow of table {} cannot be compared: {}", flow.table, flow.error).into());
    }
    let installed: HashMap<Key, Flow> = flows.into_iter().map(|stats| (key(&stats.flow), stats.flow)).collect();

    let mods = differences(&installed, wanted);
    let mut bundle = link.connection().bundle();
    for flow_mod in &mods {
        bundle.add_flow_mod(flow_mod)?;
    }
    let Some(xids) = bundle.commit() else {
        println!("no differences");
        return Ok(());
    };
    let outcome = link.outcome(xids).await?;
    for (index, error) in &outcome.refused {
        if let Some(flow_mod) = mods.get(*index as usize) {
            println!("{error}: table={}, priority={},{}", flow_mod.table, flow_mod.priority, flow_mod.match_);
        }
    }
    if !outcome.applied {
        return Err("nothing was changed".into());
    }
    println!("{} flow mods, {} of them refused", mods.len(), outcome.refused.len());
    Ok(())
}

/// Deletions first, then changes and additions, each in a fixed order.
fn differences(installed: &HashMap<Key, Flow>, wanted: &HashMap<Key, Flow>) -> Vec<FlowMod> {
    let gone = installed.iter().filter(|(key, _)| !wanted.contains_key(*key));
    let changed = wanted.iter().filter(|(key, flow)| installed.get(*key) != Some(*flow));
    let mut mods: Vec<FlowMod> = gone
        .map(|(_, flow)| FlowMod::new(FlowModCommand::DeleteStrict, flow))
        .chain(changed.map(|(_, flow)| FlowMod::new(FlowModCommand::Add, flow)))
        .collect();
    mods.sort_by(|a, b| {
        let order = |m: &FlowMod| (m.command == FlowModCommand::Add, m.table, m.priority);
        order(a).cmp(&order(b)).then_with(|| a.match_.cmp(&b.match_))
    });
    mods
}
