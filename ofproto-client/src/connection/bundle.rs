//! Ordered atomic bundles: [`Bundle`] writes one, [`BundleXids`] tells afterwards which xids belong to it.
//!
//! The message order is that of `ofctrl_put` (OVN 23.03 and later): open, one `OFPT_BUNDLE_ADD_MESSAGE` per message with
//! the xid of the message inside it, commit. When a message fails, Open vSwitch sends an error with that message's xid,
//! then `OFPBFC_MSG_FAILED` with the commit's xid, and nothing of the bundle is installed.

use super::Connection;
use crate::flow::FlowMod;
use crate::group::GroupMod;
use crate::message::{BundleCommand, BundleControl, BundleFlags, EncodeError, Message, MessageType, Xid, framed};
use crate::message::{encode_flow_mod, encode_group_mod, put_bundle_add_header};

const FLAGS: BundleFlags = BundleFlags::ATOMIC_ORDERED;

/// An ordered atomic bundle that is being written. It is discarded if it is dropped without [`Bundle::commit`].
#[derive(Debug)]
pub struct Bundle<'a> {
    connection: &'a mut Connection,
    /// Set with the first message; an empty bundle is never sent.
    open: Option<BundleXids>,
}

/// The xids of a bundle that was sent. They follow one another: open, messages, commit.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct BundleXids {
    /// The bundle's number on this connection.
    pub bundle_id: u32,
    /// Of the request that opened it.
    pub open: Xid,
    /// Number of messages in it.
    pub n_messages: u32,
    /// Of the request that committed it. The reply to it says that the bundle is applied.
    pub commit: Xid,
}

/// Which part of a bundle an xid belongs to.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum BundlePart {
    /// The request that opened it.
    Open,
    /// The message with this index, counted from 0 in the order of [`Bundle::add`].
    Message(u32),
    /// The request that committed it.
    Commit,
}

impl<'a> Bundle<'a> {
    pub(super) fn new(connection: &'a mut Connection) -> Bundle<'a> {
        Bundle { connection, open: None }
    }

    /// Adds a message: a flow mod, a group mod or a packet-out; Open vSwitch takes no others in a bundle. After an error
    /// (the message is too big) the bundle is as it was.
    pub fn add(&mut self, message: &Message) -> Result<Xid, EncodeError> {
        self.add_with(message.name(), |xid, out| message.encode(xid, out))
    }

    /// Adds a flow mod, see [`Bundle::add`].
    pub fn add_flow_mod(&mut self, flow_mod: &FlowMod) -> Result<Xid, EncodeError> {
        self.add_with("OFPT_FLOW_MOD", |xid, out| {
            framed(MessageType::FLOW_MOD, "OFPT_FLOW_MOD", xid, out, |out| {
                encode_flow_mod(flow_mod, out);
                Ok(())
            })
        })
    }

    /// Adds a group mod, see [`Bundle::add`].
    pub fn add_group_mod(&mut self, group_mod: &GroupMod) -> Result<Xid, EncodeError> {
        self.add_with("OFPT_GROUP_MOD", |xid, out| {
            framed(MessageType::GROUP_MOD, "OFPT_GROUP_MOD", xid, out, |out| {
                encode_group_mod(group_mod, out);
                Ok(())
            })
        })
    }

    /// Number of messages so far.
    pub fn len(&self) -> usize {
        self.open.map_or(0, |xids| xids.n_messages as usize)
    }

    /// True while nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes queued on the connection, which this bundle has made grow.
    pub fn bytes_queued(&self) -> usize {
        self.connection.bytes_queued()
    }

    /// Commits the bundle. `None` if it is empty, then there is nothing to commit.
    pub fn commit(mut self) -> Option<BundleXids> {
        if self.is_empty() {
            return None;
        }
        let mut xids = self.open.take()?;
        xids.commit = self.control(xids.bundle_id, BundleCommand::CommitRequest);
        Some(xids)
    }

    pub(super) fn add_with(
        &mut self,
        name: &'static str,
        encode: impl FnOnce(Xid, &mut bytes::BytesMut) -> Result<(), EncodeError>,
    ) -> Result<Xid, EncodeError> {
        let mut xids = self.opened();
        let xid = self.connection.queue(|xid, out| {
            framed(MessageType::BUNDLE_ADD, name, xid, out, |out| {
                put_bundle_add_header(xids.bundle_id, FLAGS, out);
                encode(xid, out)
            })
        })?;
        xids.n_messages += 1;
        self.open = Some(xids);
        Ok(xid)
    }

    fn opened(&mut self) -> BundleXids {
        if let Some(xids) = self.open {
            return xids;
        }
        let bundle_id = self.connection.next_bundle_id;
        self.connection.next_bundle_id = bundle_id.wrapping_add(1);
        let open = self.control(bundle_id, BundleCommand::OpenRequest);
        let xids = BundleXids { bundle_id, open, n_messages: 0, commit: open };
        self.open = Some(xids);
        xids
    }

    fn control(&mut self, bundle_id: u32, command: BundleCommand) -> Xid {
        self.connection.queue_small(Message::BundleControl(BundleControl { bundle_id, command, flags: FLAGS }))
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        if let Some(xids) = self.open {
            self.control(xids.bundle_id, BundleCommand::DiscardRequest);
        }
    }
}

impl BundleXids {
    /// Which part of the bundle `xid` belongs to, if any.
    pub fn part(&self, xid: Xid) -> Option<BundlePart> {
        let ahead = xid.0.wrapping_sub(self.open.0);
        match ahead {
            0 => Some(BundlePart::Open),
            _ if xid == self.commit => Some(BundlePart::Commit),
            _ if ahead <= self.n_messages => Some(BundlePart::Message(ahead - 1)),
            _ => None,
        }
    }
}
