//! Ordered atomic bundles: [`Bundle`] writes one, [`BundleXids`] tells afterwards which xids belong to it, and
//! [`BundleWatch`] collects what the switch says about it into a [`BundleOutcome`].
//!
//! The message order is that of `ofctrl_put` (OVN 23.03 and later): open, one `OFPT_BUNDLE_ADD_MESSAGE` per message with
//! the xid of the message inside it, commit. Open vSwitch refuses a message in one of two ways:
//!
//! - When the message is added, because it is malformed or cannot be right in any state of the switch (bad field, bad
//!   value, unknown port). There is an error with the message's xid, and the message is not in the bundle. The commit
//!   applies the others, so the bundle is atomic without it.
//! - When the bundle is committed, because the message does not fit the state of the switch (unknown group or meter). There
//!   is an error with the message's xid, for the first such message only, then `OFPBFC_MSG_FAILED` with the commit's xid,
//!   and nothing of the bundle is applied.

use smallvec::SmallVec;
use std::borrow::Borrow;

use super::{Connection, Event};
use crate::action::ActionList;
use crate::flow::FlowMod;
use crate::flow_match::Match;
use crate::group::GroupMod;
use crate::message::{
    BundleCommand, BundleControl, BundleFlags, EncodeError, Message, MessageType, SwitchError, Xid, framed,
};
use crate::message::{encode_flow_mod, encode_group_mod, put_bundle_add_header};

const FLAGS: BundleFlags = BundleFlags::ATOMIC_ORDERED;

/// An ordered atomic bundle that is being written. It is discarded if it is dropped without [`Bundle::commit`].
#[derive(Debug)]
pub struct Bundle<'a> {
    connection: &'a mut Connection,
    /// Set with the first message; an empty bundle is never sent.
    open: Option<BundleXids>,
}

/// A bundle whose writing was interrupted by [`Bundle::pause`]. Dropped, it is left to the switch, which forgets a bundle
/// that nothing was added to for 10 s.
#[derive(Clone, Debug, Default)]
pub struct PausedBundle(Option<BundleXids>);

/// The xids of a bundle that was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BundleXids {
    /// The bundle's number on this connection.
    pub bundle_id: u32,
    /// Of the request that opened it.
    pub open: Xid,
    /// Of the request that committed it. The reply to it says that the bundle is applied.
    pub commit: Xid,
    /// Of the messages: first xid and number of each run of xids without a gap. Gaps come from pauses only.
    messages: SmallVec<[(Xid, u32); 1]>,
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
    pub fn add_flow_mod<M: Borrow<Match>, A: Borrow<ActionList>>(
        &mut self,
        flow_mod: &FlowMod<M, A>,
    ) -> Result<Xid, EncodeError> {
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

    /// Interrupts the writing, so that the connection can send what there is. The bundle goes on with
    /// [`PausedBundle::resume`]: a bundle of a million flows need not be in memory at once.
    pub fn pause(mut self) -> PausedBundle {
        PausedBundle(self.open.take())
    }

    /// Number of messages so far.
    pub fn len(&self) -> usize {
        self.open.as_ref().map_or(0, BundleXids::n_messages)
    }

    /// True while nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes queued on the connection, for a caller who pauses when there are many.
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
        self.connection.flight.commits.push_back((xids.commit, u32::try_from(xids.n_messages()).unwrap_or(u32::MAX)));
        Some(xids)
    }

    pub(super) fn add_with(
        &mut self,
        name: &'static str,
        encode: impl FnOnce(Xid, &mut bytes::BytesMut) -> Result<(), EncodeError>,
    ) -> Result<Xid, EncodeError> {
        let connection = &mut *self.connection;
        let xids = self.open.get_or_insert_with(|| BundleXids::open(connection));
        let xid = connection.queue(|xid, out| {
            framed(MessageType::BUNDLE_ADD, name, xid, out, |out| {
                put_bundle_add_header(xids.bundle_id, FLAGS, out);
                encode(xid, out)
            })
        })?;
        xids.push(xid);
        Ok(xid)
    }

    fn control(&mut self, bundle_id: u32, command: BundleCommand) -> Xid {
        send_control(self.connection, bundle_id, command)
    }
}

fn send_control(connection: &mut Connection, bundle_id: u32, command: BundleCommand) -> Xid {
    connection.queue_small(Message::BundleControl(BundleControl { bundle_id, command, flags: FLAGS }))
}

impl PausedBundle {
    /// What has been sent of it; its `commit` means nothing yet. `None`: nothing.
    pub fn xids(&self) -> Option<&BundleXids> {
        self.0.as_ref()
    }

    /// Goes on with the bundle, on the connection it was started on.
    pub fn resume(self, connection: &mut Connection) -> Bundle<'_> {
        Bundle { connection, open: self.0 }
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        if let Some(xids) = self.open.take() {
            self.control(xids.bundle_id, BundleCommand::DiscardRequest);
        }
    }
}

impl BundleXids {
    /// Which part of the bundle `xid` belongs to, if any.
    pub fn part(&self, xid: Xid) -> Option<BundlePart> {
        if xid == self.open {
            return Some(BundlePart::Open);
        }
        if xid == self.commit {
            return Some(BundlePart::Commit);
        }
        let mut before = 0;
        for &(first, n) in &self.messages {
            let ahead = xid.0.wrapping_sub(first.0);
            if ahead < n {
                return Some(BundlePart::Message(before + ahead));
            }
            before += n;
        }
        None
    }

    /// Number of messages.
    pub fn n_messages(&self) -> usize {
        self.messages.iter().map(|&(_, n)| n as usize).sum()
    }

    fn open(connection: &mut Connection) -> BundleXids {
        let bundle_id = connection.next_bundle_id;
        connection.next_bundle_id = bundle_id.wrapping_add(1);
        let open = send_control(connection, bundle_id, BundleCommand::OpenRequest);
        BundleXids { bundle_id, open, commit: open, messages: SmallVec::new() }
    }

    fn push(&mut self, xid: Xid) {
        match self.messages.last_mut() {
            Some((first, n)) if first.0.wrapping_add(*n) == xid.0 => *n += 1,
            _ => self.messages.push((xid, 1)),
        }
    }
}

/// What became of a bundle.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BundleOutcome {
    /// True if the bundle was applied, without the refused messages; false if nothing of it was.
    pub applied: bool,
    /// The messages that were refused, by their index in the bundle, in the order of the errors.
    pub refused: Vec<(u32, SwitchError)>,
    /// Why opening or committing it failed. [`crate::message::ErrorCode::BUNDLE_MESSAGE_FAILED`] if that is due to a
    /// refused message.
    pub error: Option<SwitchError>,
}

/// Waits for the outcome of a bundle.
#[derive(Clone, Debug)]
pub struct BundleWatch {
    xids: BundleXids,
    outcome: BundleOutcome,
}

impl BundleWatch {
    /// For a bundle that was committed.
    pub fn new(xids: BundleXids) -> BundleWatch {
        BundleWatch { xids, outcome: BundleOutcome::default() }
    }

    /// The bundle's xids.
    pub fn xids(&self) -> &BundleXids {
        &self.xids
    }

    /// Takes an event of the connection, of which those that do not concern the bundle are ignored. Says the outcome once,
    /// with the answer to the commit, which is the last.
    pub fn handle(&mut self, event: &Event) -> Option<BundleOutcome> {
        match event {
            Event::Error { xid, error } => match self.xids.part(*xid)? {
                BundlePart::Message(index) => self.outcome.refused.push((index, error.clone())),
                BundlePart::Open => self.outcome.error = Some(error.clone()),
                BundlePart::Commit => {
                    self.outcome.error = Some(error.clone());
                    return Some(std::mem::take(&mut self.outcome));
                }
            },
            Event::Message { xid, message: Message::BundleControl(control) }
                if *xid == self.xids.commit && control.command == BundleCommand::CommitReply =>
            {
                self.outcome.applied = true;
                return Some(std::mem::take(&mut self.outcome));
            }
            _ => {}
        }
        None
    }
}
