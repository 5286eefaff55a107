//! SHA-1 (FIPS 180-4), the checksum of records in OVSDB log files. It guards against damage only, so a dependency is not worth it.

/// The digest of `data` as the 40 hexadecimal digits of a record header.
pub(super) fn hex_digest(data: &[u8]) -> String {
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut blocks = data.chunks_exact(64);
    for block in &mut blocks {
        compress(&mut state, block);
    }
    let mut tail = blocks.remainder().to_vec();
    tail.push(0x80);
    while tail.len() % 64 != 56 {
        tail.push(0);
    }
    tail.extend_from_slice(&(data.len() as u64).wrapping_mul(8).to_be_bytes());
    for block in tail.chunks_exact(64) {
        compress(&mut state, block);
    }
    state.map(|word| format!("{word:08x}")).concat()
}

/// Mixes one block of 64 bytes into the state.
fn compress(state: &mut [u32; 5], block: &[u8]) {
    let mut words = [0u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte));
    }
    for at in 16..80 {
        words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (round, word) in words.into_iter().enumerate() {
        let (mix, constant) = match round {
            0..20 => (b & c | !b & d, 0x5a82_7999u32),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (held, mixed) in state.iter_mut().zip([a, b, c, d, e]) {
        *held = held.wrapping_add(mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::hex_digest;

    #[test]
    fn known_digests() {
        for (data, digest) in [
            (String::new(), "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc".to_owned(), "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("a".repeat(1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
            ("x".repeat(55), &sha1_of_x(55)),
            ("x".repeat(56), &sha1_of_x(56)),
            ("x".repeat(64), &sha1_of_x(64)),
        ] {
            assert_eq!(hex_digest(data.as_bytes()), digest, "{} bytes", data.len());
        }
    }

    /// From `printf 'x%.0s' $(seq N) | sha1sum`: lengths at which the padding takes another block.
    fn sha1_of_x(length: usize) -> String {
        match length {
            55 => "cef734ba81a024479e09eb5a75b6ddae62e6abf1",
            56 => "901305367c259952f4e7af8323f480d59f81335b",
            _ => "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163",
        }
        .to_owned()
    }
}
