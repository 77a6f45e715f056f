//! What a farm writes into its blocks.

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted, quoted_short};

/// The most bytes that a template may put before the signature (SV2 7.2: the height, and little else).
const TEMPLATE_PREFIX_MAX: usize = 8;
/// The longest signature, in bytes: with the template's beginning, the longest extranonce, and before each of the two
/// the byte that pushes it, `script_sig` keeps to its 100 bytes.
pub const SIGNATURE_MAX: usize =
    work::coinbase::MAX_SCRIPT_SIG - TEMPLATE_PREFIX_MAX - 1 - 1 - work::MAX_EXTRANONCE;

/// Text for the coinbase; it may be empty.
pub(crate) struct Signature;

impl Kind for Signature {
    type Value = String;

    fn expected(&self) -> String {
        format!("printable ASCII, at most {SIGNATURE_MAX} bytes, such as \"/my farm/\"")
    }

    fn read(&self, given: &Given) -> Result<String, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        let printable = |c: char| c == ' ' || c.is_ascii_graphic();
        if !text.chars().all(printable) {
            let meant: String = text.chars().filter(|c| printable(*c)).take(SIGNATURE_MAX).collect();
            return Err(Refusal::value(quoted(&meant)));
        }
        if text.len() > SIGNATURE_MAX {
            return Err(Refusal {
                found: Some(format!("{} bytes: {}", text.len(), quoted_short(text))),
                ..Refusal::value(quoted(&text[..SIGNATURE_MAX]))
            });
        }
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Option<String> {
        Some(quoted(value))
    }
}

/// What comes after the height in `script_sig` for a signature: a push of it, or nothing.
#[must_use]
pub fn signature_push(signature: &str) -> Vec<u8> {
    match u8::try_from(signature.len()) {
        Ok(0) | Err(_) => Vec::new(),
        // Up to 75 bytes the opcode of a push is the number of its bytes.
        Ok(len) => [&[len], signature.as_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use work::coinbase::{Coinbase, CoinbaseTemplate, Output};

    use super::*;

    #[test]
    fn the_longest_signature_fits_the_longest_beginning_and_the_longest_extranonce() {
        let template = CoinbaseTemplate {
            tx_version: 2,
            prefix: vec![0x51; TEMPLATE_PREFIX_MAX].into(),
            input_sequence: u32::MAX,
            value_remaining: 5_000,
            outputs: Vec::new(),
            locktime: 0,
            witness_reserved_value: None,
        };
        let payout = [Output { value: 5_000, script_pubkey: vec![0x51].into() }];
        let extranonce_len = u8::try_from(work::MAX_EXTRANONCE).unwrap();
        let of =
            |len: usize| Coinbase::new(&template, &signature_push(&"x".repeat(len)), extranonce_len, &payout);
        let coinbase = of(SIGNATURE_MAX).unwrap();
        assert_eq!(coinbase.script_sig_head().len() + work::MAX_EXTRANONCE, work::coinbase::MAX_SCRIPT_SIG);
        assert!(of(SIGNATURE_MAX + 1).is_err());
    }
}
