//! Ethernet frames that tests send into ports, and the capture files in which they find them again.

use std::path::Path;

/// A UDP datagram over IPv4.
#[derive(Clone, Debug)]
pub struct Udp {
    pub from_mac: [u8; 6],
    pub to_mac: [u8; 6],
    pub from: [u8; 4],
    pub to: [u8; 4],
    pub from_port: u16,
    pub to_port: u16,
    pub ttl: u8,
    /// Tells one packet from the next.
    pub payload: String,
}

impl Udp {
    /// The whole frame, checksums included (UDP's is left out, which IPv4 allows).
    pub fn frame(&self) -> Vec<u8> {
        let udp_length = 8 + self.payload.len();
        let mut header = vec![0x45, 0];
        header.extend(u16::try_from(20 + udp_length).unwrap().to_be_bytes());
        header.extend([0, 0, 0x40, 0, self.ttl, 17, 0, 0]);
        header.extend(self.from);
        header.extend(self.to);
        let sum = internet_checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut frame = [&self.to_mac[..], &self.from_mac, &[0x08, 0x00], &header].concat();
        frame.extend(self.from_port.to_be_bytes());
        frame.extend(self.to_port.to_be_bytes());
        frame.extend(u16::try_from(udp_length).unwrap().to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(self.payload.as_bytes());
        frame
    }

    /// The same as an agent composes it: it may be fragmented, and UDP has its checksum. The payload has an even number of bytes.
    pub fn composed(&self) -> Vec<u8> {
        let mut frame = self.frame();
        frame[20] = 0;
        frame[24..26].fill(0);
        let sum = internet_checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        let length = u16::try_from(frame.len() - 34).unwrap().to_be_bytes();
        let covered = [&frame[26..34], &[0, 17], &length, &frame[34..]].concat();
        let sum = internet_checksum(&covered);
        frame[40..42].copy_from_slice(&sum.to_be_bytes());
        frame
    }
}

/// Of an even number of bytes.
fn internet_checksum(header: &[u8]) -> u16 {
    let mut sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// An ARP request from `mac`/`from` for `wanted`.
pub fn arp_request(mac: [u8; 6], from: [u8; 4], wanted: [u8; 4]) -> Vec<u8> {
    arp(1, mac, from, [0; 6], wanted, [0xff; 6])
}

/// The reply to [`arp_request`] by the owner of `wanted`.
pub fn arp_reply(owner: [u8; 6], wanted: [u8; 4], mac: [u8; 6], from: [u8; 4]) -> Vec<u8> {
    arp(2, owner, wanted, mac, from, mac)
}

fn arp(op: u8, sha: [u8; 6], spa: [u8; 4], tha: [u8; 6], tpa: [u8; 4], to: [u8; 6]) -> Vec<u8> {
    [&to[..], &sha, &[8, 6, 0, 1, 8, 0, 6, 4, 0, op], &sha, &spa, &tha, &tpa].concat()
}

/// The frames in a capture file, oldest first; none when the file is not there yet.
pub fn captured(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut frames = Vec::new();
    let mut rest = bytes.get(24..).unwrap_or_default();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let length = u32::from_ne_bytes(header[8..12].try_into().unwrap()) as usize;
        // The switch may be writing the last one.
        let Some(frame) = after.get(..length) else { break };
        frames.push(frame.to_vec());
        rest = &after[length..];
    }
    frames
}

/// As `ovs-appctl netdev-dummy/receive` wants it.
pub fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}
