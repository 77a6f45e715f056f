//! Whom a pool's jobs pay: a coinbase is compared with what its miners were promised.

use thiserror::Error;

use super::check::{CoinbaseError, outputs};
use super::output::Output;

/// All of a coinbase, in the parts that a rule counts: a millionth each.
pub const WHOLE: u32 = 1_000_000;
/// How many outputs a mismatch shows.
const SHOWN: usize = 4;
/// How many bytes of a script it shows.
const SCRIPT_SHOWN: usize = 40;

/// What a coinbase must pay at least, and whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutRule {
    /// The output script that must be paid.
    pub script: Box<[u8]>,
    /// The least share of all that the coinbase pays, in parts of [`WHOLE`]. Fractions of a satoshi are the payer's.
    pub least_parts: u32,
}

impl PayoutRule {
    /// Holds a coinbase in its two parts (SV2 5.3.15) against the rule. Several outputs to the script count together, and
    /// there must be one even where the coinbase pays nothing at all.
    ///
    /// # Errors
    /// The coinbase is none that a node would take, or it pays the script too little.
    pub fn check(&self, prefix: &[u8], extranonce_len: usize, suffix: &[u8]) -> Result<(), PayoutError> {
        let outputs = outputs(prefix, extranonce_len, suffix)?;
        let sum = |sum: u64, output: &Output| sum.saturating_add(output.value);
        let total = outputs.iter().fold(0, sum);
        let ours = outputs.iter().filter(|output| output.script_pubkey == self.script);
        let paid = ours.clone().next().map(|_| ours.fold(0, sum));
        let least = share(total, self.least_parts.min(WHOLE));
        match paid {
            Some(paid) if paid >= least => Ok(()),
            paid => Err(PayoutError::Mismatch(Box::new(PayoutMismatch {
                rule: self.clone(),
                paid: paid.unwrap_or(0),
                total,
                pays: shown(outputs),
            }))),
        }
    }
}

/// `parts` of [`WHOLE`] of a value, rounded down.
fn share(value: u64, parts: u32) -> u64 {
    let share = u128::from(value) * u128::from(parts) / u128::from(WHOLE);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// The outputs that pay, the largest first, no more than are shown.
fn shown(mut outputs: Vec<Output>) -> Vec<Output> {
    outputs.retain(|output| output.value > 0);
    outputs.sort_by_key(|output| std::cmp::Reverse(output.value));
    outputs.truncate(SHOWN);
    outputs
}

/// Why a coinbase does not keep to a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PayoutError {
    /// It is no coinbase.
    #[error(transparent)]
    Unsound(#[from] CoinbaseError),
    /// It pays others.
    #[error("{0}")]
    Mismatch(Box<PayoutMismatch>),
}

/// What a coinbase pays instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutMismatch {
    /// What was expected.
    pub rule: PayoutRule,
    /// What the script is paid, satoshi.
    pub paid: u64,
    /// What all outputs pay, satoshi.
    pub total: u64,
    /// The outputs that pay most.
    pub pays: Vec<Output>,
}

impl std::fmt::Display for PayoutMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |parts: u128| {
            let (whole, rest) = (parts / 10_000, parts % 10_000);
            format!("{whole}.{rest:04}").trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let parts = match self.total {
            0 => 0,
            total => u128::from(self.paid) * u128::from(WHOLE) / u128::from(total),
        };
        write!(
            f,
            "expected at least {} % to {}, and its coinbase pays {} of {} satoshi there ({} %)",
            percent(self.rule.least_parts.into()),
            Hex(&self.rule.script),
            self.paid,
            self.total,
            percent(parts),
        )?;
        for (at, output) in self.pays.iter().enumerate() {
            let before = if at == 0 { "; most goes to" } else { "," };
            write!(f, "{before} {} ({})", Hex(&output.script_pubkey), output.value)?;
        }
        Ok(())
    }
}

/// A script for people: hex, as long as standard ones are.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.iter().take(SCRIPT_SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > SCRIPT_SHOWN { f.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, consensus};
    use proptest::prelude::*;

    use super::*;

    /// Where the extranonce begins in the coinbases of these tests, and its length.
    const AT: usize = 46;
    const LEN: usize = 8;

    /// A coinbase as the `bitcoin` crate writes it, cut around its extranonce.
    fn coinbase(outputs: &[(u64, u8)]) -> (Vec<u8>, Vec<u8>) {
        let output = |(value, script): &(u64, u8)| TxOut {
            value: Amount::from_sat(*value),
            script_pubkey: ScriptBuf::from_bytes(vec![*script; usize::from(*script)]),
        };
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::from_bytes(vec![3; 4 + LEN]),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: outputs.iter().map(output).collect(),
        };
        let bytes = consensus::serialize(&transaction);
        (bytes[..AT].to_vec(), bytes[AT + LEN..].to_vec())
    }

    fn rule(script: u8, least_parts: u32) -> PayoutRule {
        PayoutRule { script: vec![script; usize::from(script)].into(), least_parts }
    }

    fn check(rule: &PayoutRule, outputs: &[(u64, u8)]) -> Result<(), PayoutError> {
        let (prefix, suffix) = coinbase(outputs);
        rule.check(&prefix, LEN, &suffix)
    }

    proptest! {
        /// The verdict is that of the amounts as the `bitcoin` crate reads them back, whatever the outputs.
        #[test]
        fn a_coinbase_keeps_to_a_rule_when_the_amounts_say_so(
            outputs in proptest::collection::vec((0_u64..1_000_000_000_000, 1_u8..4), 1..8),
            least_parts in prop_oneof![0_u32..=WHOLE, Just(WHOLE), Just(1)],
        ) {
            let (prefix, suffix) = coinbase(&outputs);
            let whole = [&*prefix, &[7; LEN], &*suffix].concat();
            let read: Transaction = consensus::deserialize(&whole).unwrap();
            let rule = rule(1, least_parts);
            let (mut ours, mut total, mut is_there) = (0_u128, 0_u128, false);
            for output in &read.output {
                total += u128::from(output.value.to_sat());
                if output.script_pubkey.as_bytes() == &*rule.script {
                    is_there = true;
                    ours += u128::from(output.value.to_sat());
                }
            }
            // ours >= floor(total x parts / 1,000,000), without the division.
            let enough = (ours + 1) * u128::from(WHOLE) > total * u128::from(least_parts);
            prop_assert_eq!(rule.check(&prefix, LEN, &suffix).is_ok(), is_there && enough);
        }

        #[test]
        fn no_bytes_make_it_panic(
            prefix in proptest::collection::vec(any::<u8>(), 0..80),
            extranonce_len: usize,
            suffix in proptest::collection::vec(any::<u8>(), 0..80),
            script: Vec<u8>,
            least_parts: u32,
        ) {
            let rule = PayoutRule { script: script.into(), least_parts };
            let _ = rule.check(&prefix, extranonce_len, &suffix).map_err(|error| error.to_string());
        }
    }

    #[test]
    fn a_fee_is_within_the_rule_and_a_satoshi_more_is_not() {
        let two_percent = rule(1, 980_000);
        assert_eq!(check(&two_percent, &[(98, 1), (2, 2), (0, 3)]), Ok(()));
        assert!(check(&two_percent, &[(97, 1), (3, 2), (0, 3)]).is_err());
        // Fractions of a satoshi are the payer's: 98 % of 99 is 97.02.
        assert_eq!(check(&two_percent, &[(97, 1), (2, 2)]), Ok(()));
    }

    #[test]
    fn several_outputs_to_the_script_count_together() {
        assert_eq!(check(&rule(1, WHOLE), &[(40, 1), (0, 2), (60, 1)]), Ok(()));
    }

    #[test]
    fn a_coinbase_that_pays_nothing_must_still_name_the_script() {
        assert_eq!(check(&rule(1, WHOLE), &[(0, 1), (0, 2)]), Ok(()));
        assert!(check(&rule(1, 1), &[(0, 2)]).is_err());
    }

    #[test]
    fn a_mismatch_says_what_was_expected_and_what_came() {
        let error = check(&rule(2, 980_000), &[(312_000_000, 3), (500_000, 2), (0, 1), (1, 60)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "expected at least 98 % to 0202, and its coinbase pays 500000 of 312500001 satoshi there (0.1599 %); most \
                 goes to 030303 (312000000), 0202 (500000), {}... (1)",
                "3c".repeat(SCRIPT_SHOWN)
            )
        );
    }

    #[test]
    fn what_is_no_coinbase_is_told_as_such() {
        let rule = rule(1, WHOLE);
        assert!(matches!(rule.check(&[], LEN, &[]), Err(PayoutError::Unsound(_))));
    }
}
