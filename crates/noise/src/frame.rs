//! Sizes of an encrypted frame (section 4.6): the header is one AEAD message, the payload one per block.

/// Bytes of a frame header: extension type U16, message type U8, payload length U24, all little-endian.
pub const HEADER_LEN: usize = 6;
/// Bytes that each AEAD message adds.
pub const MAC_LEN: usize = 16;
/// Bytes of an encrypted header.
pub const SEALED_HEADER_LEN: usize = HEADER_LEN + MAC_LEN;
/// Most bytes of one Noise message.
pub const BLOCK_CIPHERTEXT_MAX: usize = 65_535;
/// Most payload bytes in one block.
pub const BLOCK_PLAINTEXT_MAX: usize = BLOCK_CIPHERTEXT_MAX - MAC_LEN;
/// Most payload bytes that a header can declare (U24).
pub const PAYLOAD_LEN_MAX: usize = 0xff_ffff;

/// Encrypted length of a payload of `payload_len` bytes (the specification's `pt_len_to_ct_len`). An empty
/// payload has no block and no MAC: 0 bytes.
///
/// ```
/// assert_eq!(noise::sealed_payload_len(0), 0);
/// assert_eq!(noise::sealed_payload_len(65_519), 65_535);
/// assert_eq!(noise::sealed_payload_len(65_520), 65_535 + 17);
/// ```
#[must_use]
pub const fn sealed_payload_len(payload_len: usize) -> usize {
    payload_len + payload_len.div_ceil(BLOCK_PLAINTEXT_MAX) * MAC_LEN
}

/// The payload length that a plaintext header declares.
pub(crate) const fn declared_payload_len(header: &[u8; HEADER_LEN]) -> usize {
    u32::from_le_bytes([header[3], header[4], header[5], 0]) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own C function.
    fn pt_len_to_ct_len(pt_len: usize) -> usize {
        let mut remainder = pt_len % BLOCK_PLAINTEXT_MAX;
        if remainder > 0 {
            remainder += MAC_LEN;
        }
        pt_len / BLOCK_PLAINTEXT_MAX * BLOCK_CIPHERTEXT_MAX + remainder
    }

    #[test]
    fn lengths_are_the_specifications() {
        let edges = (0..4).flat_map(|blocks| {
            let at = blocks * BLOCK_PLAINTEXT_MAX;
            [at.saturating_sub(1), at, at + 1]
        });
        for len in edges.chain([200_000, PAYLOAD_LEN_MAX]) {
            assert_eq!(sealed_payload_len(len), pt_len_to_ct_len(len), "{len}");
        }
    }

    #[test]
    fn the_declared_length_is_a_little_endian_u24() {
        assert_eq!(declared_payload_len(&[0xff, 0xff, 0xff, 0x01, 0x02, 0x03]), 0x03_02_01);
        assert_eq!(declared_payload_len(&[0, 0, 0, 0xff, 0xff, 0xff]), PAYLOAD_LEN_MAX);
    }
}
