//! What a template leaves room for in its coinbase.

use crate::coinbase::Output;

/// Outputs that will be added to a template's coinbase: what `CoinbaseOutputConstraints` (7.1) asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoinbaseConstraints {
    /// Bytes of the outputs that will be added to the coinbase.
    pub additional_size: u32,
    /// Their signature operations.
    pub additional_sigops: u16,
}

impl CoinbaseConstraints {
    /// Weight of header, transaction count and everything of a coinbase but the outputs that are added, at most (7.1).
    const FRAME: u64 = 1_168;
    /// No node reserves less.
    const FLOOR: u64 = 2_000;

    /// Weight to keep free for header, transaction count and a coinbase of the greatest size (7.1).
    #[must_use]
    pub fn reserved_weight(self) -> u64 {
        (Self::FRAME + 4 * u64::from(self.additional_size)).max(Self::FLOOR)
    }

    /// What these outputs take, `script_pubkey`s and all. Each script counts as many signature operations as it could
    /// have: consensus counts them in coinbases, too.
    #[must_use]
    pub fn of(outputs: &[Output]) -> Self {
        let size = outputs.iter().fold(0_usize, |sum, output| sum.saturating_add(output.len()));
        let sigops = outputs.iter().fold(0_usize, |sum, output| {
            sum.saturating_add(legacy_sigops(&output.script_pubkey).saturating_mul(4))
        });
        Self {
            additional_size: u32::try_from(size).unwrap_or(u32::MAX),
            additional_sigops: u16::try_from(sigops).unwrap_or(u16::MAX),
        }
    }

    /// Both at once.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            additional_size: self.additional_size.max(other.additional_size),
            additional_sigops: self.additional_sigops.max(other.additional_sigops),
        }
    }

    /// Outputs that need `other` fit where there is room for these.
    #[must_use]
    pub fn hold(self, other: Self) -> bool {
        self.max(other) == self
    }
}

/// Signature operations of a script as consensus counts them without looking at what it spends (`GetSigOpCount`,
/// not accurate): one for each CHECKSIG, twenty for each CHECKMULTISIG.
fn legacy_sigops(script: &[u8]) -> usize {
    const CHECKSIG: u8 = 0xac;
    const CHECKMULTISIGVERIFY: u8 = 0xaf;
    let (mut at, mut count) = (0, 0);
    while let Some(&opcode) = script.get(at) {
        at += 1;
        let little = |len: usize| {
            let bytes = script.get(at..at + len)?;
            Some(bytes.iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)) + len)
        };
        let pushed = match opcode {
            0x01..=0x4b => Some(usize::from(opcode)),
            0x4c => little(1),
            0x4d => little(2),
            0x4e => little(4),
            _ => Some(0),
        };
        match opcode {
            CHECKSIG | 0xad => count += 1,
            0xae | CHECKMULTISIGVERIFY => count += 20,
            _ => {}
        }
        // A push that is cut off ends the count, as it ends the script.
        let Some(pushed) = pushed else { break };
        at = at.saturating_add(pushed);
    }
    count
}

#[cfg(test)]
mod tests {
    use bitcoin::Script;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn room_is_kept_as_the_specification_counts_it() {
        let of =
            |additional_size| CoinbaseConstraints { additional_size, additional_sigops: 0 }.reserved_weight();
        assert_eq!((of(0), of(208), of(209), of(1_000)), (2_000, 2_000, 2_004, 5_168));
        assert_eq!(of(u32::MAX), 1_168 + 4 * u64::from(u32::MAX));
    }

    proptest! {
        #[test]
        fn signature_operations_are_those_of_the_bitcoin_crate(
            script in proptest::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 0x4c, 0x4d, 0x4e, 0x51, 0xac, 0xad, 0xae, 0xaf]), 0..40),
        ) {
            prop_assert_eq!(legacy_sigops(&script), Script::from_bytes(&script).count_sigops_legacy());
        }
    }

    #[test]
    fn what_outputs_take_is_summed_and_compared_both_ways() {
        let p2pk = Output { value: 1, script_pubkey: vec![1, 7, 0xac].into() };
        let some = CoinbaseConstraints::of(&[p2pk.clone(), p2pk]);
        assert_eq!(some, CoinbaseConstraints { additional_size: 24, additional_sigops: 8 });
        let wide = CoinbaseConstraints { additional_size: 25, additional_sigops: 0 };
        assert!(!wide.hold(some) && !some.hold(wide) && some.max(wide).hold(some));
    }
}
