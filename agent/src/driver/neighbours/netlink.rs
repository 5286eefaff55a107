//! rtnetlink: reading a neighbour table of a device, and hearing that one may have changed. controller/neighbor-exchange-netlink.c
//! and controller/host-if-monitor.c, OVN 26.03; sheet 03 section 9.3.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, Socket, SocketAddr, TokioSocket};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use ovn_core::kernel::{Neighbour, NeighbourTable};
use std::io;
use std::net::IpAddr;

/// Multicast groups of NETLINK_ROUTE: RTNLGRP_LINK, RTNLGRP_NEIGH.
const GROUPS: [u32; 2] = [1, 3];
/// NUD_NOARP and NUD_PERMANENT.
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
/// Room for notifications; the kernel caps it. When it is full everything is read again.
const NOTIFICATION_ROOM: i32 = 1 << 20;
/// Room for one datagram; the kernel makes them no larger than 32 KB.
const DATAGRAM: usize = 64 * 1024;
/// A table that changes while it is read is read again, so often.
const ATTEMPTS: usize = 4;

/// The kernel, asked for its tables.
pub struct Kernel {
    asking: Socket,
    sequence: u32,
}

/// The socket that hears of changes.
pub struct Changes(TokioSocket);

impl Changes {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        // A smaller one only means reading again more often.
        let _ = socket.socket_ref().set_rx_buf_sz(NOTIFICATION_ROOM);
        socket.socket_mut().bind_auto()?;
        for group in GROUPS {
            socket.socket_ref().add_membership(group)?;
        }
        Ok(Self(socket))
    }

    /// The next notifications. A caller may stop waiting without losing any.
    pub async fn next(&mut self) -> io::Result<Vec<Notification>> {
        let mut datagram = Vec::with_capacity(DATAGRAM);
        self.0.recv(&mut datagram).await?;
        Ok(notifications(&datagram).collect())
    }
}

/// What a notification is about.
#[derive(Debug, PartialEq, Eq)]
pub enum Notification {
    /// A neighbour of the device with this index.
    Neighbour(u32),
    /// The device with this index, and its name.
    Device(u32, Option<String>),
    /// It is not understood: anything may have changed.
    Anything,
}

impl Kernel {
    /// Opens a socket for questions.
    pub fn open() -> io::Result<Self> {
        let mut asking = Socket::new(NETLINK_ROUTE)?;
        asking.bind_auto()?;
        asking.connect(&SocketAddr::new(0, 0))?;
        // Lets the kernel leave out other devices; older ones than 4.20 cannot, and send them all.
        let _ = asking.set_netlink_get_strict_chk(true);
        Ok(Self { asking, sequence: 0 })
    }

    /// The index and the entries of a device; `None` when there is no such device.
    pub fn read(&mut self, device: &str, table: NeighbourTable) -> io::Result<Option<(u32, Vec<Neighbour>)>> {
        let index = match if_nametoindex(device) {
            Ok(index) => index,
            Err(Errno::ENODEV | Errno::ENXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let families: &[AddressFamily] = match table {
            NeighbourTable::Fdb => &[AddressFamily::Bridge],
            NeighbourTable::Ip => &[AddressFamily::Inet, AddressFamily::Inet6],
        };
        let mut entries = Vec::new();
        for &family in families {
            let mut attempts = 0;
            while !self.dump(index, family, &mut entries)? {
                attempts += 1;
                if attempts == ATTEMPTS {
                    return Err(io::Error::other("the table changes faster than it can be read"));
                }
            }
        }
        Ok(Some((index, entries)))
    }

    /// Appends the entries of one family. `false`: they changed meanwhile, and nothing was appended.
    fn dump(&mut self, index: u32, family: AddressFamily, entries: &mut Vec<Neighbour>) -> io::Result<bool> {
        self.sequence += 1;
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        message.attributes.push(NeighbourAttribute::IfIndex(index));
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        header.sequence_number = self.sequence;
        let payload = NetlinkPayload::from(RouteNetlinkMessage::GetNeighbour(message));
        let mut request = NetlinkMessage::new(header, payload);
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.asking.send(&bytes, 0)?;

        let (before, mut consistent) = (entries.len(), true);
        let mut datagram = Vec::with_capacity(DATAGRAM);
        loop {
            datagram.clear();
            self.asking.recv(&mut datagram, 0)?;
            for message in Messages(&datagram) {
                let Ok(message) = message else { continue };
                if message.header.sequence_number != self.sequence {
                    // Left over from a question that failed in the middle.
                    continue;
                }
                consistent &= message.header.flags & NLM_F_DUMP_INTR == 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry))
                        if entry.header.ifindex == index && entry.header.family == family =>
                    {
                        entries.extend(neighbour(&entry));
                    }
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Done(_) => {
                        if !consistent {
                            entries.truncate(before);
                        }
                        return Ok(consistent);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What a datagram of notifications is about.
fn notifications(datagram: &[u8]) -> impl Iterator<Item = Notification> + '_ {
    Messages(datagram).filter_map(|message| match message.map(|message| message.payload) {
        Ok(NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewNeighbour(entry) | RouteNetlinkMessage::DelNeighbour(entry),
        )) => Some(Notification::Neighbour(entry.header.ifindex)),
        Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link))) => {
            let name = link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            });
            Some(Notification::Device(link.header.index, name))
        }
        Ok(_) => None,
        Err(()) => Some(Notification::Anything),
    })
}

/// The messages of a datagram; `Err` for one that is not understood, which does not harm the others.
struct Messages<'a>(&'a [u8]);

impl Iterator for Messages<'_> {
    type Item = Result<NetlinkMessage<RouteNetlinkMessage>, ()>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = u32::from_ne_bytes(*self.0.first_chunk()?) as usize;
        let Some(message) = self.0.get(..length).filter(|message| message.len() >= HEADER) else {
            self.0 = &[];
            return Some(Err(()));
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(NetlinkMessage::deserialize(message).map_err(drop))
    }
}

/// Size of a netlink header.
const HEADER: usize = 16;

/// An entry in the core's words; `None` for one that is not about Ethernet.
fn neighbour(entry: &NeighbourMessage) -> Option<Neighbour> {
    let state = u16::from(entry.header.state);
    let mut neighbour = Neighbour {
        noarp: state & NUD_NOARP != 0,
        permanent: state & NUD_PERMANENT != 0,
        extern_learned: entry.header.flags.contains(NeighbourFlags::ExtLearned),
        ..Neighbour::default()
    };
    for attribute in &entry.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                let [a, b, c, d, e, f] = *<&[u8; 6]>::try_from(bytes.as_slice()).ok()?;
                neighbour.mac = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
            }
            NeighbourAttribute::Destination(address) => neighbour.ip = Some(ip(address)?),
            NeighbourAttribute::Port(port) => neighbour.port = *port,
            NeighbourAttribute::Vlan(vlan) => neighbour.vlan = *vlan,
            _ => {}
        }
    }
    Some(neighbour)
}

/// Forwarding databases have addresses of either family, told apart by their length.
fn ip(address: &NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        NeighbourAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        NeighbourAddress::Other(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes.as_slice()).ok().map(IpAddr::from),
            16 => <[u8; 16]>::try_from(bytes.as_slice()).ok().map(IpAddr::from),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RTM_NEWNEIGH as the kernel sends it for `bridge fdb append 00:00:00:00:00:00 dev vx dst 169.0.0.10 static permanent`.
    fn fdb_entry(destination: &[u8], port: Option<u16>) -> Vec<u8> {
        let mut body = vec![7, 0, 0, 0];
        body.extend(9u32.to_ne_bytes());
        body.extend((NUD_NOARP | NUD_PERMANENT).to_ne_bytes());
        body.extend([2, 0]);
        let mut attribute = |kind: u16, value: &[u8]| {
            body.extend((4 + value.len() as u16).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        };
        attribute(2, &[0; 6]);
        attribute(1, destination);
        if let Some(port) = port {
            attribute(6, &port.to_be_bytes());
        }
        // One that nobody knows.
        attribute(99, &[1, 2, 3, 4]);
        let mut message = (HEADER as u32 + body.len() as u32).to_ne_bytes().to_vec();
        message.extend(28u16.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    fn entries(datagram: &[u8]) -> Vec<Option<Neighbour>> {
        Messages(datagram)
            .filter_map(|message| match message.ok()?.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry)) => Some(neighbour(&entry)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn entries_of_both_families_are_read() {
        let mut datagram = fdb_entry(&[169, 0, 0, 10], None);
        datagram.extend(fdb_entry(&std::net::Ipv6Addr::LOCALHOST.octets(), Some(4790)));
        let permanent = Neighbour { noarp: true, permanent: true, ..Neighbour::default() };
        let expected = [
            Neighbour { ip: "169.0.0.10".parse().ok(), ..permanent },
            Neighbour { ip: "::1".parse().ok(), port: 4790, ..permanent },
        ];
        assert_eq!(entries(&datagram), expected.map(Some));
        assert_eq!(
            notifications(&datagram).collect::<Vec<_>>(),
            [Notification::Neighbour(9), Notification::Neighbour(9)]
        );
    }

    #[test]
    fn what_is_not_understood_harms_nothing_else() {
        let good = fdb_entry(&[169, 0, 0, 10], None);
        let mut datagram = fdb_entry(&[1, 2, 3], None);
        datagram.extend(&good);
        let read = entries(&datagram);
        assert_eq!((read.len(), read[0], read[1].is_some()), (2, None, true));
        for cut in 0..good.len() {
            let heard: Vec<Notification> = notifications(&good[..cut]).collect();
            assert!(heard.is_empty() || heard == [Notification::Anything], "{cut}: {heard:?}");
        }
    }
}
