//! Errors that the switch reports: [`SwitchError`].

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::error_names;
use super::header::{Header, MessageType};
use super::wire::{DecodeError, Reader};

/// `OFPT_ERROR`: a message was refused. Its xid, which the event carries, is that of the refused message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SwitchError {
    /// Which error.
    pub code: ErrorCode,
    /// The start of the refused message (64 bytes or more), or text for a failed hello.
    pub data: Bytes,
}

/// Which error (OpenFlow 1.5.1, 7.5.4).
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum ErrorCode {
    /// An error of the OpenFlow specification.
    Standard {
        /// `ofp_error_type`.
        error_type: u16,
        /// Code, its meaning depends on the type.
        code: u16,
    },
    /// A vendor's error.
    Experimenter {
        /// The vendor, 0x2320 for Open vSwitch's own.
        vendor: u32,
        /// Which of the vendor's errors.
        exp_type: u16,
    },
}

const EXPERIMENTER_TYPE: u16 = 0xffff;
const NICIRA: u32 = 0x2320;
/// Where the message inside an `OFPT_BUNDLE_ADD_MESSAGE` starts.
const BUNDLE_ADD_SIZE: usize = 16;

impl ErrorCode {
    /// The versions of the two hellos have nothing in common.
    pub const HELLO_INCOMPATIBLE: ErrorCode = ErrorCode::Standard { error_type: 0, code: 0 };
    /// A message of the bundle failed, which has an error of its own as well (`OFPBFC_MSG_FAILED`).
    pub const BUNDLE_MESSAGE_FAILED: ErrorCode = ErrorCode::Standard { error_type: 17, code: 13 };
    /// Nothing was added to a bundle for so long that the switch gave it up (`OFPBFC_TIMEOUT`).
    pub const BUNDLE_TIMEOUT: ErrorCode = ErrorCode::Standard { error_type: 17, code: 14 };
    /// The table has as many flows as it may have (`OFPFMFC_TABLE_FULL`).
    pub const TABLE_FULL: ErrorCode = ErrorCode::Standard { error_type: 5, code: 1 };
    /// A group was added that exists (`OFPGMFC_GROUP_EXISTS`).
    pub const GROUP_EXISTS: ErrorCode = ErrorCode::Standard { error_type: 6, code: 0 };
    /// A group was changed that does not exist (`OFPGMFC_UNKNOWN_GROUP`).
    pub const UNKNOWN_GROUP: ErrorCode = ErrorCode::Standard { error_type: 6, code: 8 };
    /// A meter was added that exists (`OFPMMFC_METER_EXISTS`).
    pub const METER_EXISTS: ErrorCode = ErrorCode::Standard { error_type: 12, code: 1 };
    /// A meter was changed that does not exist (`OFPMMFC_UNKNOWN_METER`).
    pub const UNKNOWN_METER: ErrorCode = ErrorCode::Standard { error_type: 12, code: 3 };
    /// A TLV mapping was added for an index that is mapped.
    pub const TLV_ALREADY_MAPPED: ErrorCode = ErrorCode::Experimenter { vendor: NICIRA, exp_type: 20 };
    /// A TLV mapping was added for an option that another index has.
    pub const TLV_DUPLICATE_ENTRY: ErrorCode = ErrorCode::Experimenter { vendor: NICIRA, exp_type: 21 };

    /// The name that `ovs-ofctl` prints, such as `OFPBAC_BAD_OUT_PORT`; `None` for an error this crate does not know.
    pub fn name(self) -> Option<&'static str> {
        match self {
            ErrorCode::Standard { error_type, code } => error_names::standard(error_type, code),
            ErrorCode::Experimenter { vendor: NICIRA, exp_type } => error_names::nicira(exp_type),
            ErrorCode::Experimenter { .. } => None,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self) {
            (Some(name), _) => f.write_str(name),
            (None, ErrorCode::Standard { error_type, code }) => write!(f, "error type {error_type} code {code}"),
            (None, ErrorCode::Experimenter { vendor, exp_type }) => write!(f, "error {exp_type} of vendor {vendor:#x}"),
        }
    }
}

impl SwitchError {
    /// Header of the message that was refused, if the switch sent it back. For a message of a bundle it is that message's,
    /// not that of the wrapper.
    pub fn refused(&self) -> Option<Header> {
        let outer = Header::peek(&self.data)?;
        let inner = self.data.get(BUNDLE_ADD_SIZE..).and_then(Header::peek);
        if outer.message_type == MessageType::BUNDLE_ADD.0 { inner.or(Some(outer)) } else { Some(outer) }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<SwitchError, DecodeError> {
        let error_type = r.u16()?;
        let code = r.u16()?;
        let code = if error_type == EXPERIMENTER_TYPE {
            ErrorCode::Experimenter { vendor: r.u32()?, exp_type: code }
        } else {
            ErrorCode::Standard { error_type, code }
        };
        Ok(SwitchError { code, data: Bytes::copy_from_slice(r.rest()) })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self.code {
            ErrorCode::Standard { error_type, code } => {
                out.put_u16(error_type);
                out.put_u16(code);
            }
            ErrorCode::Experimenter { vendor, exp_type } => {
                out.put_u16(EXPERIMENTER_TYPE);
                out.put_u16(exp_type);
                out.put_u32(vendor);
            }
        }
        out.put_slice(&self.data);
    }
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        match self.refused() {
            _ if self.code == ErrorCode::HELLO_INCOMPATIBLE => {
                write!(f, " ({})", String::from_utf8_lossy(&self.data))
            }
            Some(header) => write!(f, " for {}", MessageType(header.message_type)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let cases: &[(ErrorCode, &str)] = &[
            (ErrorCode::Standard { error_type: 2, code: 4 }, "OFPBAC_BAD_OUT_PORT"),
            (ErrorCode::Standard { error_type: 13, code: 2 }, "error type 13 code 2"),
            (ErrorCode::Standard { error_type: 99, code: 2 }, "error type 99 code 2"),
            (ErrorCode::TLV_ALREADY_MAPPED, "NXTTMFC_ALREADY_MAPPED"),
            (ErrorCode::TLV_DUPLICATE_ENTRY, "NXTTMFC_DUP_ENTRY"),
            (ErrorCode::BUNDLE_MESSAGE_FAILED, "OFPBFC_MSG_FAILED"),
            (ErrorCode::BUNDLE_TIMEOUT, "OFPBFC_TIMEOUT"),
            (ErrorCode::TABLE_FULL, "OFPFMFC_TABLE_FULL"),
            (ErrorCode::GROUP_EXISTS, "OFPGMFC_GROUP_EXISTS"),
            (ErrorCode::UNKNOWN_GROUP, "OFPGMFC_UNKNOWN_GROUP"),
            (ErrorCode::METER_EXISTS, "OFPMMFC_METER_EXISTS"),
            (ErrorCode::UNKNOWN_METER, "OFPMMFC_UNKNOWN_METER"),
            (ErrorCode::Experimenter { vendor: 1, exp_type: 20 }, "error 20 of vendor 0x1"),
        ];
        for (code, text) in cases {
            assert_eq!(code.to_string(), *text);
        }
    }

    #[test]
    fn names_the_refused_message() {
        let data = Bytes::from_static(&[6, 14, 0, 80, 0, 0, 0, 9]);
        let error = SwitchError { code: ErrorCode::Standard { error_type: 2, code: 4 }, data };
        assert_eq!(error.to_string(), "OFPBAC_BAD_OUT_PORT for OFPT_FLOW_MOD");
        assert_eq!(error.refused().unwrap().xid.get(), 9);
    }
}
