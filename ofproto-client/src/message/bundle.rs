//! Bundle messages (OpenFlow 1.5.1, 7.3.9): [`BundleControl`]. The message inside a bundle is
//! [`super::Message::BundleAdd`]; [`crate::connection::Bundle`] writes a whole bundle.

use bytes::{BufMut, BytesMut};

use super::wire::{DecodeError, Reader};

/// How the messages of a bundle are applied, `OFPBF_*`.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct BundleFlags(pub u16);

impl BundleFlags {
    /// All or nothing.
    pub const ATOMIC: BundleFlags = BundleFlags(1);
    /// In the order in which they were added.
    pub const ORDERED: BundleFlags = BundleFlags(2);
    /// What the agent uses: all or nothing, in order (`ofctrl_put`, OVN 23.03 and later).
    pub const ATOMIC_ORDERED: BundleFlags = BundleFlags(3);
}

/// What a [`BundleControl`] asks for or answers.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum BundleCommand {
    /// Open a bundle.
    OpenRequest,
    /// It is open.
    OpenReply,
    /// Take no more messages.
    CloseRequest,
    /// It is closed.
    CloseReply,
    /// Apply it.
    CommitRequest,
    /// It is applied.
    CommitReply,
    /// Forget it.
    DiscardRequest,
    /// It is forgotten.
    DiscardReply,
}

const COMMANDS: [BundleCommand; 8] = [
    BundleCommand::OpenRequest,
    BundleCommand::OpenReply,
    BundleCommand::CloseRequest,
    BundleCommand::CloseReply,
    BundleCommand::CommitRequest,
    BundleCommand::CommitReply,
    BundleCommand::DiscardRequest,
    BundleCommand::DiscardReply,
];

/// `OFPT_BUNDLE_CONTROL`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct BundleControl {
    /// The bundle's number, chosen by the controller, unique per connection.
    pub bundle_id: u32,
    /// What to do.
    pub command: BundleCommand,
    /// The same in every message of the bundle.
    pub flags: BundleFlags,
}

impl BundleControl {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<BundleControl, DecodeError> {
        let bundle_id = r.u32()?;
        let number = r.u16()?;
        let command = *COMMANDS.get(usize::from(number)).ok_or_else(|| r.bad_value("bundle control type", number))?;
        Ok(BundleControl { bundle_id, command, flags: BundleFlags(r.u16()?) })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u32(self.bundle_id);
        out.put_u16(COMMANDS.iter().position(|&c| c == self.command).unwrap_or(0) as u16);
        out.put_u16(self.flags.0);
    }
}

/// Writes what is between the two headers of an `OFPT_BUNDLE_ADD_MESSAGE`.
pub(crate) fn put_add_header(bundle_id: u32, flags: BundleFlags, out: &mut BytesMut) {
    out.put_u32(bundle_id);
    out.put_u16(0);
    out.put_u16(flags.0);
}
