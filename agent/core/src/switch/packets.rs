//! The part of [`Session`] that hands packets to the switch: [`Session::send_packet`].

use ofproto_client::message::{Message, PacketOut, SwitchError, Xid};
use std::collections::VecDeque;

use super::session::{Notice, Session};

/// Of so many packets it is remembered that they were ones, should the switch refuse them.
const REMEMBERED: usize = 64;

/// Packets that the switch may still refuse.
#[derive(Debug, Default)]
pub(super) struct Packets(VecDeque<Xid>);

impl Packets {
    /// A new connection knows nothing of what was sent on the one before.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Session {
    /// Whether the switch was read back and takes packets.
    pub fn takes_packets(&self) -> bool {
        self.is_ready()
    }

    /// Hands the switch a packet and what to do with it, at once: it goes between the messages of a bundle, and through the flows that there are. Says
    /// whether there is a switch that takes it. One that refuses it is spoken of ([`Notice::Remark`]), and nothing else comes of that.
    pub fn send_packet(&mut self, packet: PacketOut) -> bool {
        if !self.is_ready() {
            return false;
        }
        let Some(connection) = &mut self.connection else { return false };
        let Ok(xid) = connection.send(&Message::PacketOut(Box::new(packet))) else { return false };
        // What is not confirmed by a barrier keeps flows back.
        connection.send_barrier();
        self.packets.0.push_back(xid);
        if self.packets.0.len() > REMEMBERED {
            self.packets.0.pop_front();
        }
        true
    }

    /// If the message with this xid was a packet: the switch refused it. Says whether it was one.
    pub(super) fn packet_refused(&mut self, xid: Xid, error: &SwitchError) -> bool {
        let Some(at) = self.packets.0.iter().position(|packet| *packet == xid) else { return false };
        self.packets.0.remove(at);
        self.notices.push_back(Notice::Remark(format!("the switch refused a packet: {error}")));
        true
    }
}
