//! Flows. Entry types: [`Flow`], [`FlowMod`].

use crate::action::ActionList;
use crate::flow_match::Match;

mod text;

pub use text::FlowHead;

/// A flow without statistics. 72 bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct Flow {
    /// OpenFlow table.
    pub table: u8,
    /// Higher wins.
    pub priority: u16,
    /// Opaque.
    pub cookie: u64,
    /// Which packets.
    pub match_: Match,
    /// What to do with them.
    pub actions: ActionList,
}

/// What a [`FlowMod`] does.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum FlowModCommand {
    /// Add, or replace the flow of the same table, priority and match.
    Add,
    /// Change the actions of all flows that the match covers.
    Modify,
    /// Change the actions of the flow of the same priority and match.
    ModifyStrict,
    /// Delete all flows that the match covers.
    Delete,
    /// Delete the flow of the same priority and match.
    DeleteStrict,
}

/// `OFPTT_ALL`.
pub const TABLE_ALL: u8 = 0xff;
/// `OFPP_ANY`, 32 bits.
pub const PORT_ANY: u32 = 0xffff_ffff;
/// `OFPG_ANY`.
pub const GROUP_ANY: u32 = 0xffff_ffff;
/// `OFP_NO_BUFFER`.
pub const NO_BUFFER: u32 = 0xffff_ffff;

/// Body of a FLOW_MOD message. Match and actions may be kept elsewhere: see [`FlowModRef`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowMod<M = Match, A = ActionList> {
    /// What to do.
    pub command: FlowModCommand,
    /// OpenFlow table; [`TABLE_ALL`] for deletion from all.
    pub table: u8,
    /// Higher wins.
    pub priority: u16,
    /// Cookie to set, or to compare under the mask.
    pub cookie: u64,
    /// Which bits of the cookie restrict modification and deletion.
    pub cookie_mask: u64,
    /// Seconds, 0 is none.
    pub idle_timeout: u16,
    /// Seconds, 0 is none.
    pub hard_timeout: u16,
    /// `OFPFF_*`.
    pub flags: u16,
    /// For eviction.
    pub importance: u16,
    /// Restricts deletion; [`PORT_ANY`] does not.
    pub out_port: u32,
    /// Restricts deletion; [`GROUP_ANY`] does not.
    pub out_group: u32,
    /// Which packets.
    pub match_: M,
    /// What to do with them.
    pub actions: A,
}

/// A FLOW_MOD whose match and actions are kept elsewhere: sending many costs no copies.
pub type FlowModRef<'a> = FlowMod<&'a Match, &'a ActionList>;

impl<M, A> FlowMod<M, A> {
    /// `command` for the flow of this table, priority and match, without cookie, restrictions or timeouts.
    pub fn to(command: FlowModCommand, table: u8, priority: u16, match_: M, actions: A) -> FlowMod<M, A> {
        FlowMod {
            command,
            table,
            priority,
            cookie: 0,
            cookie_mask: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: 0,
            importance: 0,
            out_port: PORT_ANY,
            out_group: GROUP_ANY,
            match_,
            actions,
        }
    }
}

impl FlowMod {
    /// `command` for `flow`, without restrictions or timeouts.
    pub fn new(command: FlowModCommand, flow: Flow) -> FlowMod {
        let Flow { table, priority, cookie, match_, actions } = flow;
        FlowMod { cookie, ..FlowMod::to(command, table, priority, match_, actions) }
    }

    /// Deletes every flow of every table.
    pub fn delete_all() -> FlowMod {
        FlowMod { table: TABLE_ALL, ..FlowMod::new(FlowModCommand::Delete, Flow::default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size_of::<ActionList>(), 8);
        assert_eq!(size_of::<Flow>(), 72);
    }
}
