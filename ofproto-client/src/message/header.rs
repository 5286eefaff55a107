//! The 8 bytes before every OpenFlow message: [`Header`], [`Xid`], the protocol versions as [`Versions`], and the
//! message type numbers as [`MessageType`].

use std::fmt;

use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The only version this crate speaks after the handshake: OpenFlow 1.5.
pub const OFP15_VERSION: u8 = 0x06;

/// The header of every OpenFlow message (OpenFlow 1.5.1, 7.1.1).
#[derive(Copy, Clone, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Protocol version, 0x06 for OpenFlow 1.5.
    pub version: u8,
    /// A [`MessageType`].
    pub message_type: u8,
    /// Length of the whole message in bytes, this header included.
    pub length: U16,
    /// Transaction id; a reply or an error has the xid of what it answers.
    pub xid: U32,
}

impl Header {
    /// Size in bytes.
    pub const SIZE: usize = size_of::<Header>();

    /// The header at the start of `bytes`, if they are enough.
    pub fn peek(bytes: &[u8]) -> Option<Header> {
        Header::read_from_prefix(bytes).ok().map(|(header, _)| header)
    }
}

/// A transaction id, which pairs replies and errors with the message they answer.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Xid(pub u32);

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Number of a message (OpenFlow 1.5.1, 7.1.1, `ofp_type`).
        #[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
        pub struct MessageType(pub u8);

        impl MessageType {
            $($(#[$doc])* pub const $name: MessageType = MessageType($number);)*

            /// The name in the OpenFlow headers, `OFPT_?` for an unknown number.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "OFPT_?",
                }
            }
        }
    };
}

message_types! {
    /// Version negotiation.
    HELLO = 0, "OFPT_HELLO";
    /// Something failed.
    ERROR = 1, "OFPT_ERROR";
    /// Asks for an echo reply.
    ECHO_REQUEST = 2, "OFPT_ECHO_REQUEST";
    /// Answers an echo request.
    ECHO_REPLY = 3, "OFPT_ECHO_REPLY";
    /// A vendor's message.
    EXPERIMENTER = 4, "OFPT_EXPERIMENTER";
    /// Asks for the datapath id and capabilities.
    FEATURES_REQUEST = 5, "OFPT_FEATURES_REQUEST";
    /// Datapath id and capabilities.
    FEATURES_REPLY = 6, "OFPT_FEATURES_REPLY";
    /// Asks for the switch configuration.
    GET_CONFIG_REQUEST = 7, "OFPT_GET_CONFIG_REQUEST";
    /// The switch configuration.
    GET_CONFIG_REPLY = 8, "OFPT_GET_CONFIG_REPLY";
    /// Sets the switch configuration.
    SET_CONFIG = 9, "OFPT_SET_CONFIG";
    /// A packet for the controller, standard form (not used here).
    PACKET_IN = 10, "OFPT_PACKET_IN";
    /// A flow expired or was deleted.
    FLOW_REMOVED = 11, "OFPT_FLOW_REMOVED";
    /// A port came, changed or went.
    PORT_STATUS = 12, "OFPT_PORT_STATUS";
    /// A packet from the controller.
    PACKET_OUT = 13, "OFPT_PACKET_OUT";
    /// Changes flows.
    FLOW_MOD = 14, "OFPT_FLOW_MOD";
    /// Changes groups.
    GROUP_MOD = 15, "OFPT_GROUP_MOD";
    /// Statistics and description requests.
    MULTIPART_REQUEST = 18, "OFPT_MULTIPART_REQUEST";
    /// Statistics and descriptions.
    MULTIPART_REPLY = 19, "OFPT_MULTIPART_REPLY";
    /// Asks to be told when everything before is done.
    BARRIER_REQUEST = 20, "OFPT_BARRIER_REQUEST";
    /// Everything before is done.
    BARRIER_REPLY = 21, "OFPT_BARRIER_REPLY";
    /// Asks for a role.
    ROLE_REQUEST = 24, "OFPT_ROLE_REQUEST";
    /// The role now held.
    ROLE_REPLY = 25, "OFPT_ROLE_REPLY";
    /// Changes meters.
    METER_MOD = 29, "OFPT_METER_MOD";
    /// Opens, closes, commits or discards a bundle.
    BUNDLE_CONTROL = 33, "OFPT_BUNDLE_CONTROL";
    /// One message of a bundle.
    BUNDLE_ADD = 34, "OFPT_BUNDLE_ADD_MESSAGE";
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "OFPT_?" => write!(f, "OFPT_{}", self.0),
            name => f.write_str(name),
        }
    }
}

/// A set of OpenFlow versions, bit N for version number N (0x01 is OpenFlow 1.0, 0x06 is 1.5).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Versions(pub u32);

impl Versions {
    /// Only OpenFlow 1.5.
    pub const OFP15: Versions = Versions(1 << OFP15_VERSION);

    /// What a hello without a version bitmap offers: its own version and every earlier one.
    pub fn up_to(version: u8) -> Versions {
        let highest = version.min(31);
        Versions(((1u64 << (highest + 1)) - 2) as u32)
    }

    /// True if `version` is in the set.
    pub fn contains(self, version: u8) -> bool {
        version < 32 && self.0 & (1 << version) != 0
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "OpenFlow ";
        for version in (0u8..32).filter(|&v| self.contains(v)) {
            f.write_str(separator)?;
            separator = ", ";
            match version {
                1..=6 => write!(f, "1.{}", version - 1)?,
                _ => write!(f, "version {version:#04x}")?,
            }
        }
        if self.0 == 0 { f.write_str("no OpenFlow version") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_layout() {
        let bytes = [6, 14, 0, 80, 0, 0, 1, 2, 99];
        let header = Header::peek(&bytes).unwrap();
        assert_eq!((header.version, header.message_type, header.length.get(), header.xid.get()), (6, 14, 80, 0x102));
        assert_eq!(header.as_bytes(), &bytes[..8]);
        assert_eq!(Header::peek(&bytes[..7]), None);
    }

    #[test]
    fn versions_text() {
        assert_eq!(Versions(0x12).to_string(), "OpenFlow 1.0, 1.3");
        assert_eq!(Versions::up_to(1), Versions(2));
        assert_eq!(Versions::up_to(4).to_string(), "OpenFlow 1.0, 1.1, 1.2, 1.3");
        assert_eq!(Versions(0).to_string(), "no OpenFlow version");
        assert_eq!(Versions::up_to(255).0, 0xffff_fffe);
    }
}
