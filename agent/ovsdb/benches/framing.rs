//! How fast a large monitor reply goes through a session: `cargo bench -p ovsdb --profile fast --bench framing`.
//!
//! A reply as `ovsdb-server` writes it for logical flows, 70 MB by default (`-- MEGABYTES`), arrives in reads of 128 KiB.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails where it stands")]

use std::fmt::Write as _;

use ovsdb::Time;
use ovsdb::condition::{MonitorRequest, MonitorTable};
use ovsdb::frame::Framer;
use ovsdb::session::{Event, Session, SessionConfig};

fn main() {
    let megabytes: usize = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(70);
    let reply = reply(megabytes << 20);
    for _ in 0..3 {
        let start = processor_time();
        let mut framer = Framer::default();
        let mut frames = 0;
        for piece in reply.as_bytes().chunks(128 * 1024) {
            framer.push(piece);
            while framer.next_frame().unwrap().is_some() {
                frames += 1;
            }
        }
        report("framer", &reply, start, frames);

        let mut session = session();
        let start = processor_time();
        let mut payload = 0;
        for piece in reply.as_bytes().chunks(128 * 1024) {
            session.handle_bytes(Time(0), piece);
            while let Some(event) = session.poll_event() {
                if let Event::InitialData { payload: text, .. } = event {
                    payload += text.as_str().len();
                }
            }
        }
        report("session", &reply, start, payload);
    }
}

/// Processor time of this thread in seconds, so that other work on the machine does not count (Linux).
fn processor_time() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn report(what: &str, reply: &str, start: f64, result: usize) {
    let seconds = processor_time() - start;
    println!(
        "{what}: {:.0} MB/s ({seconds:.3} s of processor time, result {result})",
        reply.len() as f64 / seconds / 1e6
    );
}

/// A session that waits for the answer to request 3.
fn session() -> Session {
    let monitor = MonitorRequest { tables: vec![MonitorTable { name: "Logical_Flow", columns: vec!["match"] }] };
    let mut session = Session::new(SessionConfig { monitor, ..SessionConfig::new("D") });
    session.handle_connected(Time(0));
    session.handle_bytes(
        Time(0),
        br#"{"id":2,"error":null,"result":{"name":"D","tables":{"Logical_Flow":{"columns":{"match":{"type":"string"}}}}}}"#,
    );
    session
}

fn reply(size: usize) -> String {
    let zeros = "00000000-0000-0000-0000-000000000000";
    let mut text = format!(r#"{{"id":3,"result":[false,"{zeros}",{{"Logical_Flow":{{"#);
    for row in 0.. {
        if text.len() > size {
            break;
        }
        let comma = if row > 0 { "," } else { "" };
        let _ = write!(
            text,
            concat!(
                r#"{}"{:08x}-58cc-4372-a567-0e02b2c3d479":{{"initial":{{"actions":"reg0 = 10.0.{}.1; eth.dst = 0a:00:00:00:00:01; outport = \"lrp-{}\"; next;","#,
                r#""controller_meter":["set",[]],"external_ids":["map",[["source","northd.c:{}"],["stage-name","lr_in_ip_routing"]]],"#,
                r#""logical_datapath":["uuid","3b1c10b5-cc58-7243-a567-0e02b2c3d479"],"match":"ip4.dst == 10.0.{}.0/24 && inport == \"lrp-{}\"","#,
                r#""pipeline":"ingress","priority":74,"table_id":13,"tags":["map",[]]}}}}"#
            ),
            comma,
            row,
            row % 256,
            row,
            row % 20000,
            row % 256,
            row
        );
    }
    text.push_str("}}],\"error\":null}");
    text
}
