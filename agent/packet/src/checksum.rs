//! Checksums of packets: the Internet's ([`Internet`], RFC 1071) and SCTP's ([`crc32c`], RFC 9260 appendix A).

/// The Internet checksum over several pieces, such as a pseudo header and what follows it.
///
/// Every piece but the last has to have an even number of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Internet(u64);

impl Internet {
    /// Over nothing yet.
    pub fn new() -> Internet {
        Internet::default()
    }

    /// Takes another piece in.
    #[must_use]
    pub fn over(self, bytes: &[u8]) -> Internet {
        let (pairs, odd) = bytes.as_chunks::<2>();
        let last = odd.first().map_or(0, |&byte| u64::from(byte) << 8);
        let sum: u64 = pairs.iter().map(|&pair| u64::from(u16::from_be_bytes(pair))).sum();
        Internet(self.0 + sum + last)
    }

    /// What goes into the checksum field, if that was 0 meanwhile. Over a packet that has its checksum it gives 0.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

/// The CRC of SCTP, as it goes into the (until then zero) checksum field, first byte first.
pub fn crc32c(bytes: &[u8]) -> [u8; 4] {
    // Bit by bit: SCTP packets are made one at a time, and short.
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    });
    (!crc).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internet() {
        // The example of RFC 1071, section 3: the sum is ddf2.
        let example = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Internet::new().over(&example).finish(), !0xddf2);
        assert_eq!(Internet::new().over(&example[..4]).over(&example[4..]).finish(), !0xddf2);
        // An odd byte counts as if a zero followed.
        assert_eq!(Internet::new().over(&[1, 2, 3]).finish(), !0x0402);
        assert_eq!(Internet::new().finish(), 0xffff);
        assert_eq!(Internet::new().over(&[0xff; 1 << 17]).finish(), 0);
    }

    #[test]
    fn crc() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and counting up.
        assert_eq!(crc32c(&[0; 32]), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(crc32c(&[0xff; 32]), [0x43, 0xab, 0xa8, 0x62]);
        assert_eq!(crc32c(&std::array::from_fn::<u8, 32, _>(|i| i as u8)), [0x4e, 0x79, 0xdd, 0x46]);
    }
}
