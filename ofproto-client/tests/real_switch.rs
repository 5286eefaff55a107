//! The connection against a real Open vSwitch.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::io::Write;
use std::os::unix::net::UnixListener;

use common::{Peer, Switch, block_on};
use ofproto_client::connection::{Config, ConnectionError, Event};
use ofproto_client::message::{
    ErrorCode, Message, MultipartReplyBody, MultipartRequest, TlvMap, TlvTable, TlvTableCommand, TlvTableMod,
};
use ofproto_client::transport::{Target, connect};

#[test]
fn handshake_and_descriptions() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow13,OpenFlow15", 2);
        let mut peer = switch.connect("br-int").await;

        let xid = peer.send(&Message::FeaturesRequest).unwrap();
        let event = peer.event().await;
        let Event::Message { xid: of, message: Message::FeaturesReply(features) } = event else { panic!("{event:?}") };
        assert_eq!(of, xid);
        let datapath_id = switch.vsctl("get bridge br-int datapath_id");
        assert_eq!(format!("\"{:016x}\"\n", features.datapath_id), datapath_id);
        assert_eq!(features.n_tables, 254);

        let MultipartReplyBody::Desc(desc) = peer.multipart(MultipartRequest::Desc).await else { panic!() };
        assert_eq!(desc.hardware, "Open vSwitch");
        let MultipartReplyBody::GroupFeatures(groups) = peer.multipart(MultipartRequest::GroupFeatures).await else {
            panic!()
        };
        assert_eq!(groups.max_groups[1], 0xffff_ff00);
        let MultipartReplyBody::MeterFeatures(meters) = peer.multipart(MultipartRequest::MeterFeatures).await else {
            panic!()
        };
        assert!(meters.max_meters > 0);
        let MultipartReplyBody::Ports(ports) = peer.multipart(MultipartRequest::PortDesc(0xffff_ffff)).await else {
            panic!()
        };
        let mut ports: Vec<_> = ports.iter().map(|port| (port.port_no, port.name.as_str())).collect();
        ports.sort_unstable();
        assert_eq!(ports, [(1, "p1"), (2, "p2"), (0xffff_fffe, "br-int")]);
    });
}

#[test]
fn tlv_table() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 0);
        let mut peer = switch.connect("br-int").await;
        assert_eq!(tlv_table_of(&mut peer).await.maps, []);

        let map = TlvMap { option_class: 0x102, option_type: 0x80, option_len: 4, index: 0 };
        let add = Message::TlvTableMod(TlvTableMod { command: TlvTableCommand::Add, maps: vec![map] });
        peer.send(&add).unwrap();
        assert_eq!(peer.until_barrier().await, []);
        let table = tlv_table_of(&mut peer).await;
        assert_eq!((table.maps, table.max_fields), (vec![map], 64));

        let xid = peer.send(&add).unwrap();
        match &peer.until_barrier().await[..] {
            [Event::Error { xid: of, error }] => {
                assert_eq!((*of, error.code), (xid, ErrorCode::TLV_ALREADY_MAPPED));
                assert_eq!(error.to_string(), "NXTTMFC_ALREADY_MAPPED for OFPT_EXPERIMENTER");
            }
            events => panic!("{events:?}"),
        }
    });
}

async fn tlv_table_of(peer: &mut Peer) -> TlvTable {
    peer.send(&Message::TlvTableRequest).unwrap();
    match peer.event().await {
        Event::Message { message: Message::TlvTableReply(table), .. } => table,
        event => panic!("{event:?}"),
    }
}

#[test]
fn protocols_without_openflow15_are_named() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow10", 0);
        switch.add_bridge("br-ext", "OpenFlow10,OpenFlow13", 0);
        for (bridge, offered) in [("br-int", "OpenFlow 1.0"), ("br-ext", "OpenFlow 1.0, 1.3")] {
            let config = Config { bridge: bridge.to_owned(), ..Config::default() };
            let mut link = connect(&switch.target(bridge), config).await.unwrap();
            let error = link.event().await.unwrap_err();
            let command = format!("ovs-vsctl set bridge {bridge} protocols=OpenFlow15");
            assert_eq!(error.to_string(), format!("switch offers {offered}; needs OpenFlow15: {command}"));
            assert_eq!(link.event().await.unwrap_err(), error, "and it stays that way");
            // The advice is good.
            switch.vsctl(command.strip_prefix("ovs-vsctl ").unwrap());
            switch.connect(bridge).await;
        }
    });
}

#[test]
fn a_peer_that_is_no_switch() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let target = Target::Unix(path.clone());

        let mut link = connect(&target, Config::default()).await.unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        assert_eq!(
            link.event().await.unwrap_err().to_string(),
            "peer does not speak OpenFlow: its first bytes are \
             53 53 48 2d 32 2e 30 2d 4f 70 65 6e 53 53 48 5f (\"SSH-2.0-OpenSSH_\")"
        );

        let mut link = connect(&target, Config::default()).await.unwrap();
        drop(listener.accept().unwrap());
        // Our hello was not read, so the kernel may report a reset instead of an end.
        let error = link.event().await.unwrap_err();
        assert!(matches!(error, ConnectionError::ClosedInHandshake | ConnectionError::Socket(_)), "{error}");

        // Not by closing the listener: a process that another test is starting may hold a copy of it for a moment.
        std::fs::remove_file(&path).unwrap();
        assert!(connect(&target, Config::default()).await.is_err());
    });
}

#[test]
fn a_switch_that_dies_is_noticed() {
    block_on(async {
        let switch = Switch::start();
        switch.add_bridge("br-int", "OpenFlow15", 0);
        let mut peer = switch.connect("br-int").await;
        switch.vsctl("del-br br-int");
        assert_eq!(peer.link.event().await.unwrap_err(), ConnectionError::ClosedByPeer);
    });
}
