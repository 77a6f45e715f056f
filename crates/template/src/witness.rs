//! What BIP 141 says of a coinbase.

use work::coinbase::Output;

/// What begins the script of a witness commitment: `OP_RETURN`, a push of 36 bytes, the magic.
pub(crate) const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
/// The witness reserved value that all software uses.
pub(crate) const RESERVED_VALUE: [u8; 32] = [0; 32];

/// Bytes of a commitment's script at least: what begins it, and the hash.
const COMMITMENT_LEN: usize = COMMITMENT.len() + 32;

/// The output commits to the block's witnesses.
pub(crate) fn is_commitment(output: &Output) -> bool {
    output.script_pubkey.len() >= COMMITMENT_LEN && output.script_pubkey.starts_with(&COMMITMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_is_told_from_other_outputs_by_its_script() {
        let of = |script: Vec<u8>| is_commitment(&Output { value: 0, script_pubkey: script.into() });
        assert!(of([&COMMITMENT[..], &[7; 32]].concat()));
        assert!(of([&COMMITMENT[..], &[7; 40]].concat()), "BIP 141 lets more bytes follow");
        assert!(!of([&COMMITMENT[..], &[7; 31]].concat()) && !of(vec![0x51; 38]));
    }
}
