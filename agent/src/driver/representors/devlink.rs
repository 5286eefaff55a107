//! devlink(8) over generic netlink: the ports of network cards, and hearing that one may have changed. Attributes and commands are those of
//! linux/devlink.h and linux/genetlink.h.

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{AsyncSocket, AsyncSocketExt, Socket, SocketAddr, TokioSocket};
use std::io;

/// Room for one datagram; the kernel makes them no larger than 32 KB.
const DATAGRAM: usize = 64 * 1024;
/// Sizes of a netlink header, and of one with that of generic netlink.
const HEADER: usize = 16;
const GENERIC: usize = HEADER + 4;
/// Types of messages.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const GENL_ID_CTRL: u16 = 0x10;
/// Flags of requests: NLM_F_REQUEST, NLM_F_DUMP.
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
/// Commands: CTRL_CMD_GETFAMILY, DEVLINK_CMD_PORT_GET, DEVLINK_CMD_PORT_NEW.
const GET_FAMILY: u8 = 3;
const PORT_GET: u8 = 5;
const PORT_NEW: u8 = 7;

/// What a port of a card is, as far as it matters.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// The cable.
    Physical,
    /// Stands for a physical function.
    PhysicalFunction,
    /// Stands for a virtual function.
    VirtualFunction,
    /// Anything else.
    #[default]
    Other,
}

/// A devlink port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// `pci`, ...
    pub bus: String,
    /// The card on it.
    pub device: String,
    /// Name of the network device; empty: none.
    pub netdev: String,
    pub flavour: Flavour,
    /// Number of a physical port.
    pub number: u32,
    /// Numbers of the functions.
    pub pf: u16,
    pub vf: u16,
    /// MAC address of the function that it stands for.
    pub mac: Option<u64>,
}

/// The kernel's devlink.
pub struct Devlink {
    asking: Socket,
    changes: TokioSocket,
    /// Type of its messages.
    family: u16,
    sequence: u32,
}

impl Devlink {
    /// Opens sockets; `NotFound`: this kernel has no devlink.
    pub fn open() -> io::Result<Self> {
        let mut asking = Socket::new(NETLINK_GENERIC)?;
        asking.bind_auto()?;
        asking.connect(&SocketAddr::new(0, 0))?;
        let mut name = Vec::new();
        attribute(&mut name, 2, b"devlink\0");
        asking.send(&request(GENL_ID_CTRL, REQUEST, 1, (GET_FAMILY, 2), &name), 0)?;
        let mut datagram = Vec::with_capacity(DATAGRAM);
        asking.recv(&mut datagram, 0)?;
        let (family, group) = family(&datagram)?;
        let mut changes = TokioSocket::new(NETLINK_GENERIC)?;
        changes.socket_mut().bind_auto()?;
        changes.socket_ref().add_membership(group)?;
        Ok(Self { asking, changes, family, sequence: 1 })
    }

    /// All ports there are.
    pub fn ports(&mut self) -> io::Result<Vec<Port>> {
        self.sequence += 1;
        self.asking.send(&request(self.family, REQUEST | DUMP, self.sequence, (PORT_GET, 1), &[]), 0)?;
        let mut ports = Vec::new();
        let mut datagram = Vec::with_capacity(DATAGRAM);
        loop {
            datagram.clear();
            self.asking.recv(&mut datagram, 0)?;
            for message in Messages(&datagram).filter(|message| message.sequence == self.sequence) {
                match message.kind {
                    NLMSG_DONE => return Ok(ports),
                    NLMSG_ERROR => return Err(message.error()),
                    kind if kind == self.family && message.command() == Some(PORT_NEW) => {
                        ports.push(port(message.attributes()))
                    }
                    _ => {}
                }
            }
        }
    }

    /// Waits until something changes. A caller may stop waiting without losing anything.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut datagram = Vec::with_capacity(DATAGRAM);
        match self.changes.recv(&mut datagram).await {
            // Notifications were lost: anything may have changed.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn request(kind: u16, flags: u16, sequence: u32, (command, version): (u8, u8), attributes: &[u8]) -> Vec<u8> {
    let length = (GENERIC + attributes.len()) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]);
    message.extend([command, version, 0, 0]);
    message.extend(attributes);
    message
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend((4 + value.len() as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// A netlink message.
struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn command(&self) -> Option<u8> {
        self.body.first().copied()
    }

    fn attributes(&self) -> Attributes<'a> {
        Attributes(self.body.get(GENERIC - HEADER..).unwrap_or_default())
    }

    fn error(&self) -> io::Error {
        let code = self.body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
        io::Error::from_raw_os_error(code.saturating_neg())
    }
}

/// The messages of a datagram, up to one that is cut off.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (header, _) = self.0.split_first_chunk::<HEADER>()?;
        let [a, b, c, d, kind_a, kind_b, _, _, e, f, g, h, ..] = *header;
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        let body = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind: u16::from_ne_bytes([kind_a, kind_b]), sequence: u32::from_ne_bytes([e, f, g, h]), body })
    }
}

/// Attributes with their types, up to one that is cut off.
#[derive(Clone)]
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let [a, b, c, d] = *self.0.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two highest bits say how it is encoded.
        Some((u16::from_ne_bytes([c, d]) & 0x3fff, value))
    }
}

impl<'a> Attributes<'a> {
    /// The value of the first of that type.
    fn of(&self, wanted: u16) -> Option<&'a [u8]> {
        self.clone().find_map(|(kind, value)| (kind == wanted).then_some(value))
    }
}

/// Number of the family and of its group `config`, from the answer to a question for it.
fn family(datagram: &[u8]) -> io::Result<(u16, u32)> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the kernel does not say what devlink's numbers are");
    let message = Messages(datagram).next().ok_or_else(bad)?;
    if message.kind == NLMSG_ERROR {
        return Err(message.error());
    }
    let attributes = message.attributes();
    let id = attributes.of(1).and_then(number).ok_or_else(bad)?;
    let groups = attributes.of(7).map(Attributes).into_iter().flatten();
    let config =
        groups.map(|(_, group)| Attributes(group)).find(|group| group.of(1).is_some_and(|name| text(name) == "config"));
    let group = config.and_then(|group| group.of(2)).and_then(number).ok_or_else(bad)?;
    Ok((u16::try_from(id).map_err(|_| bad())?, group))
}

fn port(attributes: Attributes<'_>) -> Port {
    let small = |value: &[u8]| number(value).and_then(|number| u16::try_from(number).ok()).unwrap_or_default();
    let mut port = Port::default();
    for (kind, value) in attributes {
        match kind {
            1 => port.bus = text(value),
            2 => port.device = text(value),
            7 => port.netdev = text(value),
            77 => {
                port.flavour = match number(value) {
                    Some(0) => Flavour::Physical,
                    Some(3) => Flavour::PhysicalFunction,
                    Some(4) => Flavour::VirtualFunction,
                    _ => Flavour::Other,
                }
            }
            78 => port.number = number(value).unwrap_or_default(),
            127 => port.pf = small(value),
            128 => port.vf = small(value),
            145 => {
                port.mac = Attributes(value).of(1).and_then(|mac| {
                    let [a, b, c, d, e, f] = *<&[u8; 6]>::try_from(mac).ok()?;
                    Some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
                });
            }
            _ => {}
        }
    }
    port
}

/// A number of two or four bytes.
fn number(value: &[u8]) -> Option<u32> {
    match *value {
        [a, b] => Some(u32::from(u16::from_ne_bytes([a, b]))),
        [a, b, c, d] => Some(u32::from_ne_bytes([a, b, c, d])),
        _ => None,
    }
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(all: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        all.iter().for_each(|(kind, value)| attribute(&mut out, *kind, value));
        out
    }

    /// DEVLINK_CMD_PORT_NEW as the kernel sends it for virtual function 3 of physical function 1.
    fn representor() -> Vec<u8> {
        let function = attributes(&[(1, &[2, 0, 0, 0, 0, 9])]);
        attributes(&[
            (1, b"pci\0"),
            (2, b"0000:03:00.0\0"),
            (3, &7u32.to_ne_bytes()),
            (4, &2u16.to_ne_bytes()),
            (6, &12u32.to_ne_bytes()),
            (7, b"pf1vf3\0"),
            (77, &4u16.to_ne_bytes()),
            (127, &1u16.to_ne_bytes()),
            (128, &3u16.to_ne_bytes()),
            (145 | 0x8000, &function),
            (9999, &[1, 2, 3]),
        ])
    }

    #[test]
    fn a_port_is_read_from_its_attributes() {
        let bytes = representor();
        let expected = Port {
            bus: "pci".to_owned(),
            device: "0000:03:00.0".to_owned(),
            netdev: "pf1vf3".to_owned(),
            flavour: Flavour::VirtualFunction,
            number: 0,
            pf: 1,
            vf: 3,
            mac: Some(0x0200_0000_0009),
        };
        assert_eq!(port(Attributes(&bytes)), expected);
        for cut in 0..bytes.len() {
            let _ = port(Attributes(&bytes[..cut]));
        }
    }

    #[test]
    fn the_numbers_of_the_family_are_asked_for() {
        let group = |name: &[u8], id: u32| attributes(&[(1, name), (2, &id.to_ne_bytes())]);
        let groups = attributes(&[(1, &group(b"other\0", 3)), (2, &group(b"config\0", 9))]);
        let answer = attributes(&[(2, b"devlink\0"), (1, &21u16.to_ne_bytes()), (7, &groups)]);
        let datagram = request(GENL_ID_CTRL, 0, 1, (1, 2), &answer);
        assert_eq!(family(&datagram).unwrap(), (21, 9));
        for cut in 0..datagram.len() {
            assert!(family(&datagram[..cut]).is_err(), "{cut}");
        }
        let mut error = request(NLMSG_ERROR, 0, 1, (0, 0), &[]);
        error[HEADER..].copy_from_slice(&(-2i32).to_ne_bytes());
        assert_eq!(family(&error).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// What this kernel says; most test machines have no such card, and some no devlink.
    #[tokio::test]
    async fn this_kernel_answers() {
        match Devlink::open() {
            Ok(mut kernel) => drop(kernel.ports().unwrap()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
        }
    }
}
