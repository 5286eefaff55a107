//! Numbers as text without the formatting machinery: a dump of a hundred thousand flows is mostly small numbers and hexadecimal bytes.

use std::fmt::{self, Write};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// `0x` and the digits.
pub(crate) fn write_0x(f: &mut impl Write, mut value: u128) -> fmt::Result {
    let mut text = [b'0'; 34];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = HEX[(value & 15) as usize];
        value >>= 4;
        if value == 0 {
            break;
        }
    }
    text[at - 1] = b'x';
    write_ascii(f, &text[at - 2..])
}

/// Decimal.
pub(crate) fn write_dec(f: &mut impl Write, value: u128) -> fmt::Result {
    let Ok(mut value) = u64::try_from(value) else { return write!(f, "{value}") };
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    write_ascii(f, &text[at..])
}

/// Two hexadecimal digits a byte, with `separator` between bytes.
pub(crate) fn write_bytes(f: &mut impl Write, bytes: &[u8], separator: u8) -> fmt::Result {
    let mut text = [separator; 96];
    for (nth, chunk) in bytes.chunks(text.len() / 3).enumerate() {
        for (&byte, place) in chunk.iter().zip(text.chunks_exact_mut(3)) {
            place[1] = HEX[usize::from(byte >> 4)];
            place[2] = HEX[usize::from(byte & 15)];
        }
        let from = usize::from(nth == 0);
        write_ascii(f, &text[from..chunk.len() * 3])?;
    }
    Ok(())
}

fn write_ascii(f: &mut impl Write, text: &[u8]) -> fmt::Result {
    f.write_str(std::str::from_utf8(text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
        let mut text = String::new();
        write(&mut text).unwrap();
        text
    }

    #[test]
    fn numbers_are_as_the_formatting_machinery_writes_them() {
        for value in [0, 1, 9, 10, 15, 16, 255, 4096, 1 << 63, u128::from(u64::MAX), 1 << 64, u128::MAX] {
            assert_eq!(written(|f| write_0x(f, value)), format!("{value:#x}"));
            assert_eq!(written(|f| write_dec(f, value)), format!("{value}"));
        }
    }

    #[test]
    fn bytes_of_any_number() {
        for n in [0, 1, 6, 31, 32, 33, 64, 100] {
            let bytes: Vec<u8> = (0..n).map(|i| (i * 7) as u8).collect();
            let expected: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(written(|f| write_bytes(f, &bytes, b'.')), expected.join("."));
        }
    }
}
