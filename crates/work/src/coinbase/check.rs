//! The coinbase transaction, as jobs carry it: a prefix and a suffix around the extranonce, without the fields
//! of BIP 141 (SV2 5.3.15).
//!
//! A job whose coinbase a node would refuse is work for nothing, so each is parsed once when it comes.

use thiserror::Error;

use super::output::Output;

/// Where the first input's script begins if the form is as it must be: version, input count, outpoint, length.
const SCRIPT_AT: usize = 4 + 1 + 36 + 1;

/// The longest `script_sig` of a coinbase, by consensus.
pub const MAX_SCRIPT_SIG: usize = 100;
/// The shortest.
pub const MIN_SCRIPT_SIG: usize = 2;
/// All the money there will be, in satoshi: no output and no sum of outputs may be above it.
pub const MAX_MONEY: u64 = 2_100_000_000_000_000;

/// What a checked coinbase says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Length of `script_sig`, the extranonce in it.
    pub script_sig_len: u8,
    /// How many outputs it has.
    pub outputs: u32,
    /// The sum of its outputs, in satoshi.
    pub value: u64,
}

/// Checks that `prefix`, an extranonce of `extranonce_len` bytes and `suffix` are together a coinbase
/// transaction that a node would take, whatever the extranonce's bytes are.
///
/// That is: serialised without BIP 141's fields, one input that spends the null outpoint, the extranonce whole
/// inside its `script_sig` of 2..=100 bytes, at least one output, no value out of range, nothing after the lock
/// time, every length in its shortest form. BIP 34's height and the amounts' justice are not judged here.
///
/// # Errors
/// The first thing that is wrong, with what came and what would be right.
pub fn check(prefix: &[u8], extranonce_len: usize, suffix: &[u8]) -> Result<Summary, CoinbaseError> {
    walk(prefix, extranonce_len, suffix, |_, _| ())
}

/// The outputs of a coinbase that [`check`] finds sound: whom it pays, and how much.
///
/// # Errors
/// As [`check`].
pub fn outputs(prefix: &[u8], extranonce_len: usize, suffix: &[u8]) -> Result<Vec<Output>, CoinbaseError> {
    let mut outputs = Vec::new();
    walk(prefix, extranonce_len, suffix, |value, script| {
        outputs.push(Output { value, script_pubkey: script.into() });
    })?;
    Ok(outputs)
}

/// The beginning of the `script_sig`, up to the extranonce, of a prefix that [`check`] finds sound; else nothing.
#[must_use]
pub fn script_sig_head(prefix: &[u8]) -> &[u8] {
    prefix.get(SCRIPT_AT..).unwrap_or_default()
}

/// Checks, and shows each output on the way.
fn walk<'a>(
    prefix: &'a [u8],
    extranonce_len: usize,
    suffix: &'a [u8],
    mut output: impl FnMut(u64, &'a [u8]),
) -> Result<Summary, CoinbaseError> {
    if let [_, _, _, _, 0, 1, ..] = prefix {
        return Err(CoinbaseError::SegwitForm);
    }
    if prefix.len() < SCRIPT_AT {
        return Err(CoinbaseError::PrefixTooShort { got: prefix.len() });
    }
    let mut prefix_reader = Reader { bytes: prefix };
    let _version: [u8; 4] = prefix_reader.array()?;
    match prefix_reader.compact_size()? {
        1 => {}
        got => return Err(CoinbaseError::InputCount { got }),
    }
    let outpoint: [u8; 36] = prefix_reader.array()?;
    if outpoint != NULL_OUTPOINT {
        return Err(CoinbaseError::NotNullOutpoint);
    }
    let script_len = prefix_reader.compact_size()?;
    let script_sig_len = match u8::try_from(script_len) {
        Ok(len) if (MIN_SCRIPT_SIG..=MAX_SCRIPT_SIG).contains(&usize::from(len)) => len,
        _ => return Err(CoinbaseError::ScriptSigLength { got: script_len }),
    };
    // What is left of the prefix is the script's beginning; its end is in the suffix.
    let before = prefix_reader.bytes.len();
    let Some(after) = usize::from(script_sig_len).checked_sub(before.saturating_add(extranonce_len)) else {
        return Err(CoinbaseError::ExtranonceOutsideScript { script_sig_len, before, extranonce_len });
    };
    let mut suffix_reader = Reader { bytes: suffix };
    suffix_reader.take(after)?;
    let _sequence: [u8; 4] = suffix_reader.array()?;
    let count = suffix_reader.compact_size()?;
    if count == 0 {
        return Err(CoinbaseError::NoOutputs);
    }
    let mut value = 0u64;
    // The count is a peer's word: nothing is allocated by it, and each round eats at least nine bytes.
    for _ in 0..count {
        let amount = u64::from_le_bytes(suffix_reader.array()?);
        value = value.saturating_add(amount);
        if value > MAX_MONEY {
            return Err(CoinbaseError::ValueOutOfRange { value });
        }
        let script = suffix_reader.compact_size()?;
        output(amount, suffix_reader.take(usize::try_from(script).unwrap_or(usize::MAX))?);
    }
    let _lock_time: [u8; 4] = suffix_reader.array()?;
    if suffix_reader.bytes.is_empty() {
        Ok(Summary { script_sig_len, outputs: u32::try_from(count).unwrap_or(u32::MAX), value })
    } else {
        Err(CoinbaseError::TrailingBytes { got: suffix_reader.bytes.len() })
    }
}

/// Null hash, index 2^32 - 1.
pub(super) const NULL_OUTPOINT: [u8; 36] = {
    let mut bytes = [0; 36];
    let mut at = 32;
    while at < 36 {
        bytes[at] = 0xff;
        at += 1;
    }
    bytes
};

pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], CoinbaseError> {
        let (head, rest) = self.bytes.split_at_checked(len).ok_or(CoinbaseError::Truncated)?;
        self.bytes = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CoinbaseError> {
        let (head, rest) = self.bytes.split_first_chunk().ok_or(CoinbaseError::Truncated)?;
        self.bytes = rest;
        Ok(*head)
    }

    /// Bitcoin's variable-length number. A node refuses one that is longer than it has to be.
    pub(super) fn compact_size(&mut self) -> Result<u64, CoinbaseError> {
        let [first] = self.array()?;
        let (number, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.array()?)), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if number < least { Err(CoinbaseError::LongForm { number }) } else { Ok(number) }
    }
}

/// Why a prefix and a suffix are no coinbase that a node would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CoinbaseError {
    /// Marker and flag of BIP 141 stand after the version.
    #[error("the coinbase has BIP 141's marker and flag: jobs carry it stripped (SV2 5.3.15)")]
    SegwitForm,
    /// The prefix does not reach the script.
    #[error("coinbase_tx_prefix has {got} bytes: it must reach into script_sig, at least {SCRIPT_AT}")]
    PrefixTooShort {
        /// The prefix's length.
        got: usize,
    },
    /// More or fewer inputs than one.
    #[error("the coinbase has {got} inputs instead of 1")]
    InputCount {
        /// What came.
        got: u64,
    },
    /// The input spends an output.
    #[error("the coinbase's input does not spend the null outpoint")]
    NotNullOutpoint,
    /// `script_sig` is too short or too long for consensus.
    #[error("script_sig has {got} bytes: consensus wants {MIN_SCRIPT_SIG} to {MAX_SCRIPT_SIG}")]
    ScriptSigLength {
        /// What came.
        got: u64,
    },
    /// The script ends before the extranonce does.
    #[error(
        "script_sig has {script_sig_len} bytes, of which the prefix takes {before}: an extranonce of \
         {extranonce_len} bytes does not fit"
    )]
    ExtranonceOutsideScript {
        /// Length of `script_sig`.
        script_sig_len: u8,
        /// Bytes of it in the prefix.
        before: usize,
        /// The extranonce's length.
        extranonce_len: usize,
    },
    /// No outputs.
    #[error("the coinbase has no outputs")]
    NoOutputs,
    /// An output or the sum of them is above all the money there will be.
    #[error("the coinbase pays {value} satoshi: more than {MAX_MONEY}")]
    ValueOutOfRange {
        /// The sum up to the output that is too much.
        value: u64,
    },
    /// A length in a longer form than it needs.
    #[error("the coinbase writes the number {number} in a longer form than it needs")]
    LongForm {
        /// The number.
        number: u64,
    },
    /// The transaction goes on after the suffix.
    #[error("the coinbase ends before it is whole: prefix, extranonce and suffix do not fit together")]
    Truncated,
    /// The suffix goes on after the transaction.
    #[error("{got} bytes follow the coinbase's lock time")]
    TrailingBytes {
        /// How many.
        got: usize,
    },
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, consensus};
    use proptest::prelude::*;

    use super::*;

    fn transaction(script: Vec<u8>, outputs: Vec<(u64, usize)>) -> Transaction {
        let input = TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(script),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let output = |(value, len): (u64, usize)| TxOut {
            value: Amount::from_sat(value),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51; len]),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: outputs.into_iter().map(output).collect(),
        }
    }

    /// A coinbase of 20 bytes of script with the extranonce in its last 8.
    fn sound() -> (Vec<u8>, Vec<u8>) {
        let bytes = consensus::serialize(&transaction(vec![1; 20], vec![(5_000, 22), (0, 38)]));
        (bytes[..54].to_vec(), bytes[62..].to_vec())
    }

    #[test]
    fn a_sound_coinbase_is_summed_up() {
        let (prefix, suffix) = sound();
        assert_eq!(check(&prefix, 8, &suffix), Ok(Summary { script_sig_len: 20, outputs: 2, value: 5_000 }));
    }

    #[test]
    fn each_fault_is_told_apart() {
        let (prefix, suffix) = sound();
        let with = |at: usize, byte: u8| {
            let mut changed = prefix.clone();
            changed[at] = byte;
            check(&changed, 8, &suffix)
        };
        assert_eq!(with(4, 2), Err(CoinbaseError::InputCount { got: 2 }));
        assert_eq!(with(4, 0), Err(CoinbaseError::InputCount { got: 0 }));
        assert_eq!(with(5, 1), Err(CoinbaseError::NotNullOutpoint));
        assert_eq!(with(40, 0), Err(CoinbaseError::NotNullOutpoint));
        assert_eq!(with(41, 1), Err(CoinbaseError::ScriptSigLength { got: 1 }));
        assert_eq!(with(41, 101), Err(CoinbaseError::ScriptSigLength { got: 101 }));
        let outside =
            CoinbaseError::ExtranonceOutsideScript { script_sig_len: 19, before: 12, extranonce_len: 8 };
        assert_eq!(with(41, 19), Err(outside));
        assert!(check(&prefix, usize::MAX, &suffix).is_err());
        assert_eq!(check(&prefix[..41], 8, &suffix), Err(CoinbaseError::PrefixTooShort { got: 41 }));
        assert!(check(&prefix, 7, &suffix).is_err());
        assert_eq!(check(&prefix, 8, &suffix[..suffix.len() - 1]), Err(CoinbaseError::Truncated));
        let trailing = [&*suffix, &[0]].concat();
        assert_eq!(check(&prefix, 8, &trailing), Err(CoinbaseError::TrailingBytes { got: 1 }));
        let marked = [&prefix[..4], &[0, 1], &prefix[4..]].concat();
        assert_eq!(check(&marked, 8, &suffix), Err(CoinbaseError::SegwitForm));
        // sequence, then the count of outputs
        let none = [&suffix[..4], &[0, 0, 0, 0, 0]].concat();
        assert_eq!(check(&prefix, 8, &none), Err(CoinbaseError::NoOutputs));
        let long = [&suffix[..4], &[0xfd, 2, 0], &suffix[5..]].concat();
        assert_eq!(check(&prefix, 8, &long), Err(CoinbaseError::LongForm { number: 2 }));
        let endless = [&suffix[..4], &[0xff; 9], &suffix[5..]].concat();
        assert_eq!(check(&prefix, 8, &endless), Err(CoinbaseError::Truncated));
    }

    #[test]
    fn money_that_cannot_be_is_refused_alone_and_summed() {
        for outputs in [vec![(u64::MAX, 1)], vec![(MAX_MONEY, 1), (1, 1)], vec![(MAX_MONEY + 1, 1)]] {
            let bytes = consensus::serialize(&transaction(vec![1; 10], outputs));
            assert!(matches!(
                check(&bytes[..44], 4, &bytes[48..]),
                Err(CoinbaseError::ValueOutOfRange { .. })
            ));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bitcoin_crate_writes_is_sound_where_the_script_is_cut(
            script in proptest::collection::vec(any::<u8>(), 2..=100),
            outputs in proptest::collection::vec((0u64..1_000_000_000, 0usize..300), 1..300),
            cut: (prop::sample::Index, prop::sample::Index),
        ) {
            let begin = 42 + cut.0.index(script.len());
            let len = cut.1.index(42 + script.len() - begin + 1);
            let value: u64 = outputs.iter().map(|(value, _)| value).sum();
            let summary = Summary {
                script_sig_len: u8::try_from(script.len()).unwrap(),
                outputs: u32::try_from(outputs.len()).unwrap(),
                value,
            };
            let bytes = consensus::serialize(&transaction(script, outputs));
            prop_assert_eq!(check(&bytes[..begin], len, &bytes[begin + len..]), Ok(summary));
        }

        #[test]
        fn what_is_found_sound_is_read_back_as_a_coinbase_whatever_the_extranonce(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            extranonce: [u8; 8],
        ) {
            let (mut prefix, mut suffix) = sound();
            for (at, byte) in changes {
                let at = at.index(prefix.len() + suffix.len());
                match at.checked_sub(prefix.len()) {
                    None => prefix[at] = byte,
                    Some(at) => suffix[at] = byte,
                }
            }
            let whole = [&*prefix, &extranonce, &*suffix].concat();
            let read = consensus::deserialize::<Transaction>(&whole);
            if check(&prefix, extranonce.len(), &suffix).is_ok() {
                let read = read.unwrap();
                prop_assert!(read.is_coinbase());
                prop_assert_eq!(consensus::serialize(&read), whole);
                prop_assert!(read.input[0].script_sig.as_bytes().windows(8).any(|window| window == extranonce));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(
            prefix in proptest::collection::vec(any::<u8>(), 0..80),
            extranonce_len: usize,
            suffix in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = check(&prefix, extranonce_len, &suffix);
        }
    }
}
