//! Outputs of a coinbase, one by one and as messages carry them.

use thiserror::Error;

use super::Reader;
use super::check::{CoinbaseError, MAX_MONEY};

/// A transaction output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it pays, satoshi.
    pub value: u64,
    /// Whom.
    pub script_pubkey: Box<[u8]>,
}

impl Output {
    /// Writes it as consensus does: value, length of the script, script.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.value.to_le_bytes());
        write_compact_size(self.script_pubkey.len(), to);
        to.extend_from_slice(&self.script_pubkey);
    }

    /// Bytes that [`write`](Self::write) writes.
    #[must_use]
    pub fn len(&self) -> usize {
        let script = self.script_pubkey.len();
        8_usize.saturating_add(compact_size_len(script)).saturating_add(script)
    }

    /// Never: an output has at least nine bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Reads a list of outputs with its number in front, as `AllocateMiningJobToken.Success.coinbase_tx_outputs` (6.4.3) and
/// `SetCustomMiningJob.coinbase_tx_outputs` (5.3.18) are.
///
/// # Errors
/// The list is cut off, goes on after its last output, or pays more than there is.
pub fn read_outputs(list: &[u8]) -> Result<Vec<Output>, OutputsError> {
    let mut reader = Reader { bytes: list };
    let count = reader.compact_size()?;
    read(&mut reader, count)
}

/// Reads `count` outputs without a number in front, as `NewTemplate.coinbase_tx_outputs` (7.2) is.
///
/// # Errors
/// As [`read_outputs`].
pub fn read_counted_outputs(bytes: &[u8], count: u32) -> Result<Vec<Output>, OutputsError> {
    read(&mut Reader { bytes }, u64::from(count))
}

fn read(reader: &mut Reader<'_>, count: u64) -> Result<Vec<Output>, OutputsError> {
    // The count is a peer's word: nothing is allocated by it, and each round eats at least nine bytes.
    let mut outputs = Vec::new();
    let mut sum = 0_u64;
    for _ in 0..count {
        let value = u64::from_le_bytes(reader.array()?);
        sum = sum.saturating_add(value);
        if sum > MAX_MONEY {
            return Err(CoinbaseError::ValueOutOfRange { value: sum }.into());
        }
        let len = reader.compact_size()?;
        let script = reader.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        outputs.push(Output { value, script_pubkey: script.into() });
    }
    match reader.bytes.len() {
        0 => Ok(outputs),
        got => Err(OutputsError::Trailing { count, got }),
    }
}

/// Writes outputs with their number in front.
#[must_use]
pub fn write_outputs(outputs: &[Output]) -> Vec<u8> {
    let mut list = Vec::new();
    write_compact_size(outputs.len(), &mut list);
    outputs.iter().for_each(|output| output.write(&mut list));
    list
}

/// Gives `value` to the first of the pool's outputs, its payout (6.4.3); the others stay as they came.
///
/// # Errors
/// There is no output, or one has a value already: the pool must leave them at 0.
pub fn pay_first(mut outputs: Vec<Output>, value: u64) -> Result<Vec<Output>, OutputsError> {
    if let Some(at) = outputs.iter().position(|output| output.value != 0) {
        return Err(OutputsError::Valued { at, value: outputs[at].value });
    }
    let payout = outputs.first_mut().ok_or(OutputsError::NoPayout)?;
    payout.value = value;
    Ok(outputs)
}

/// Why a pool's outputs cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OutputsError {
    /// It cannot be read.
    #[error("the list of outputs: {0}")]
    Read(#[from] CoinbaseError),
    /// Bytes are left.
    #[error("{got} bytes follow the {count} outputs of the list")]
    Trailing {
        /// Outputs that the list said it has.
        count: u64,
        /// Bytes after them.
        got: usize,
    },
    /// An empty list.
    #[error("the pool names no output: the first one is its payout")]
    NoPayout,
    /// An output that pays already.
    #[error("output {at} of the pool pays {value} satoshi: it must be 0, as the client allots the reward")]
    Valued {
        /// Which, from 0.
        at: usize,
        /// What it pays.
        value: u64,
    },
}

/// Bitcoin's variable-length number, in its shortest form.
pub(crate) fn write_compact_size(number: usize, to: &mut Vec<u8>) {
    match (u8::try_from(number), u16::try_from(number), u32::try_from(number)) {
        (Ok(small), ..) if small < 0xfd => to.push(small),
        (_, Ok(two), _) => {
            to.push(0xfd);
            to.extend_from_slice(&two.to_le_bytes());
        }
        (_, _, Ok(four)) => {
            to.push(0xfe);
            to.extend_from_slice(&four.to_le_bytes());
        }
        _ => {
            to.push(0xff);
            to.extend_from_slice(&(number as u64).to_le_bytes());
        }
    }
}

fn compact_size_len(number: usize) -> usize {
    match number {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::{Amount, ScriptBuf, TxOut, consensus};
    use proptest::prelude::*;

    use super::*;

    fn output(value: u64, len: usize) -> Output {
        Output { value, script_pubkey: vec![0x51; len].into() }
    }

    proptest! {
        #[test]
        fn lists_are_those_of_the_bitcoin_crate(
            outputs in proptest::collection::vec((0_u64..1_000_000, 0_usize..70_000), 0..4),
            small in 0_usize..300,
        ) {
            let mut ours: Vec<Output> = outputs.iter().map(|(value, len)| output(*value, *len)).collect();
            // The number in front grows with the 253rd.
            ours.extend((0..small).map(|_| output(0, 1)));
            let tx_out = |output: &Output| TxOut {
                value: Amount::from_sat(output.value),
                script_pubkey: ScriptBuf::from_bytes(output.script_pubkey.to_vec()),
            };
            let theirs: Vec<TxOut> = ours.iter().map(tx_out).collect();
            let list = write_outputs(&ours);
            prop_assert_eq!(&list, &consensus::serialize(&theirs));
            let sizes: usize = ours.iter().map(Output::len).sum();
            prop_assert_eq!(theirs.iter().map(|output| consensus::serialize(output).len()).sum::<usize>(), sizes);
            prop_assert_eq!(read_outputs(&list).unwrap(), ours);
        }

        #[test]
        fn no_bytes_make_reading_panic(list in proptest::collection::vec(any::<u8>(), 0..100), count: u32) {
            let _ = read_outputs(&list);
            let _ = read_counted_outputs(&list, count);
        }
    }

    #[test]
    fn the_first_output_gets_the_reward_and_the_pool_may_not_value_any() {
        let pool = vec![output(0, 22), output(0, 40)];
        assert_eq!(pay_first(pool, 7).unwrap(), [output(7, 22), output(0, 40)]);
        assert_eq!(pay_first(Vec::new(), 7), Err(OutputsError::NoPayout));
        let valued = vec![output(0, 22), output(3, 1)];
        assert_eq!(pay_first(valued, 7), Err(OutputsError::Valued { at: 1, value: 3 }));
    }

    #[test]
    fn what_follows_the_list_and_money_that_cannot_be_are_refused() {
        let list = write_outputs(&[output(1, 1)]);
        let longer = [&*list, &[0]].concat();
        assert_eq!(read_outputs(&longer), Err(OutputsError::Trailing { count: 1, got: 1 }));
        assert_eq!(read_outputs(&list[..list.len() - 1]), Err(CoinbaseError::Truncated.into()));
        let much = write_outputs(&[output(MAX_MONEY, 1), output(1, 1)]);
        assert!(matches!(
            read_outputs(&much),
            Err(OutputsError::Read(CoinbaseError::ValueOutOfRange { .. }))
        ));
    }
}
