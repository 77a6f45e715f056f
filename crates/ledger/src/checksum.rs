//! CRC32C (Castagnoli), as iSCSI and ext4 have it: finds every burst of up to 32 bits, and any 3 flipped bits of a
//! record.

/// Bytes that are taken at once.
const STEP: usize = 8;

/// What each byte value does to the checksum when so many bytes come after it: with one table for each of eight bytes they
/// can be looked up side by side, several times faster than one after the other.
const TABLES: [[u32; 256]; STEP] = {
    let mut tables = [[0u32; 256]; STEP];
    let mut at = 0;
    while at < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][at] = crc;
        at += 1;
    }
    let mut after = 1;
    while after < STEP {
        let mut at = 0;
        while at < 256 {
            let before = tables[after - 1][at];
            tables[after][at] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            at += 1;
        }
        after += 1;
    }
    tables
};

/// The checksum of several pieces, one after the other.
#[must_use]
pub(crate) fn crc32c(pieces: &[&[u8]]) -> u32 {
    !pieces.iter().fold(!0, |crc, piece| more(crc, piece))
}

fn more(mut crc: u32, piece: &[u8]) -> u32 {
    let (steps, rest) = piece.as_chunks::<STEP>();
    for step in steps {
        let [a, b, c, d] = crc.to_le_bytes();
        let mixed = [step[0] ^ a, step[1] ^ b, step[2] ^ c, step[3] ^ d, step[4], step[5], step[6], step[7]];
        crc = 0;
        for (at, byte) in mixed.into_iter().enumerate() {
            crc ^= TABLES[STEP - 1 - at][usize::from(byte)];
        }
    }
    rest.iter().fold(crc, |crc, byte| TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_one() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(crc32c(&[&[0xff; 32]]), 0x62a8_ab43);
    }

    #[test]
    fn it_is_the_same_wherever_the_bytes_are_parted() {
        let bytes: Vec<u8> = (0..100).map(|n: u8| n.wrapping_mul(37)).collect();
        let whole = crc32c(&[&bytes]);
        for at in 0..bytes.len() {
            assert_eq!(crc32c(&[&bytes[..at], &bytes[at..]]), whole, "at {at}");
        }
    }
}
