//! One coinbase, in every encoding that declaration needs.
//!
//! A declared job names its coinbase three times: with the fields of BIP 141 in `DeclareMiningJob` (6.4.4), field by
//! field in `SetCustomMiningJob` (5.3.18), and stripped in the job that miners hash. All come from one value here, so
//! that they cannot differ.

use thiserror::Error;

use super::check::{CoinbaseError, MAX_MONEY, MAX_SCRIPT_SIG, MIN_SCRIPT_SIG, NULL_OUTPOINT, check};
use super::output::{Output, write_compact_size, write_outputs};

/// What a template says of its coinbase, named as in `NewTemplate` (7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinbaseTemplate {
    /// The transaction's version.
    pub tx_version: u32,
    /// Begins `script_sig`: BIP 34's height.
    pub prefix: Box<[u8]>,
    /// The input's sequence.
    pub input_sequence: u32,
    /// What the outputs that are added may pay together, satoshi.
    pub value_remaining: u64,
    /// The last outputs: the witness commitment, as a rule.
    pub outputs: Vec<Output>,
    /// The transaction's lock time.
    pub locktime: u32,
    /// The input's only witness item (BIP 141's reserved value); `None`: the block commits to no witnesses.
    pub witness_reserved_value: Option<[u8; 32]>,
}

impl CoinbaseTemplate {
    /// The height of the block that it is for, as BIP 34 has it in `prefix`; `None` if that does not begin with a number.
    #[must_use]
    pub fn height(&self) -> Option<u32> {
        height(&self.prefix)
    }
}

/// The height that a coinbase's `script_sig` begins with (BIP 34); `None` if it does not begin with a number.
#[must_use]
pub fn height(script_sig: &[u8]) -> Option<u32> {
    // OP_1..OP_16 stand for small numbers, and a push of up to four bytes is a number, lowest byte first.
    const ZERO: u8 = 0x00;
    const BEFORE_ONE: u8 = 0x50;
    match *script_sig.first()? {
        ZERO => Some(0),
        opcode @ 0x51..=0x60 => Some(u32::from(opcode - BEFORE_ONE)),
        len @ 1..=4 => {
            let number = script_sig.get(1..=usize::from(len))?;
            // The highest bit is the sign: no height has it.
            let negative = number.last().is_some_and(|byte| byte & 0x80 != 0);
            let value = number.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            (!negative).then_some(value)
        }
        _ => None,
    }
}

/// A whole coinbase but for its extranonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coinbase {
    tx_version: u32,
    script_sig_head: Box<[u8]>,
    extranonce_len: u8,
    input_sequence: u32,
    outputs: Vec<Output>,
    locktime: u32,
    witness_reserved_value: Option<[u8; 32]>,
}

impl Coinbase {
    /// The template's coinbase with `outputs` before the template's own. `tag` comes after the height as it stands: a
    /// push of its own, or nothing. `extranonce_len` is the whole extranonce, which ends `script_sig`, in a push of its
    /// own: nodes count signature operations in a coinbase's `script_sig` too, and whatever miners roll must be none.
    ///
    /// # Errors
    /// The script is too short or too long, the outputs pay more than the template leaves, or there is none.
    pub fn new(
        template: &CoinbaseTemplate,
        tag: &[u8],
        extranonce_len: u8,
        outputs: &[Output],
    ) -> Result<Self, BuildError> {
        let push = opcode_of_push(extranonce_len);
        let script_sig_head = [&*template.prefix, tag, push.as_slice()].concat();
        let script = script_sig_head.len().saturating_add(usize::from(extranonce_len));
        if !(MIN_SCRIPT_SIG..=MAX_SCRIPT_SIG).contains(&script) {
            return Err(BuildError::ScriptSig {
                got: script,
                height: template.prefix.len(),
                tag: tag.len(),
                push: push.len(),
                extranonce_len,
            });
        }
        let paid = outputs.iter().fold(0_u64, |sum, output| sum.saturating_add(output.value));
        if paid > template.value_remaining || paid > MAX_MONEY {
            return Err(BuildError::PaysTooMuch { paid, remaining: template.value_remaining });
        }
        let outputs: Vec<Output> = outputs.iter().chain(&template.outputs).cloned().collect();
        let coinbase = Self {
            tx_version: template.tx_version,
            script_sig_head: script_sig_head.into(),
            extranonce_len,
            input_sequence: template.input_sequence,
            outputs,
            locktime: template.locktime,
            witness_reserved_value: template.witness_reserved_value,
        };
        // One more pair of eyes: what is declared and mined is what a node would take.
        check(&coinbase.prefix(), usize::from(extranonce_len), &coinbase.suffix())?;
        Ok(coinbase)
    }

    /// Up to the extranonce, without BIP 141's fields: for the job.
    #[must_use]
    pub fn prefix(&self) -> Vec<u8> {
        self.head(false)
    }

    /// After the extranonce, without BIP 141's fields: for the job.
    #[must_use]
    pub fn suffix(&self) -> Vec<u8> {
        self.tail(false)
    }

    /// `DeclareMiningJob.coinbase_tx_prefix` (6.4.4), with BIP 141's fields.
    #[must_use]
    pub fn declared_prefix(&self) -> Vec<u8> {
        self.head(self.witness_reserved_value.is_some())
    }

    /// `DeclareMiningJob.coinbase_tx_suffix` (6.4.4), with BIP 141's fields.
    #[must_use]
    pub fn declared_suffix(&self) -> Vec<u8> {
        self.tail(self.witness_reserved_value.is_some())
    }

    /// The transaction's version: `SetCustomMiningJob.coinbase_tx_version` (5.3.18).
    #[must_use]
    pub fn tx_version(&self) -> u32 {
        self.tx_version
    }

    /// What stands before the extranonce in `script_sig`: `SetCustomMiningJob.coinbase_prefix`.
    #[must_use]
    pub fn script_sig_head(&self) -> &[u8] {
        &self.script_sig_head
    }

    /// The whole extranonce's length.
    #[must_use]
    pub fn extranonce_len(&self) -> u8 {
        self.extranonce_len
    }

    /// `SetCustomMiningJob.coinbase_tx_input_nSequence`.
    #[must_use]
    pub fn input_sequence(&self) -> u32 {
        self.input_sequence
    }

    /// All outputs in their order.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// `SetCustomMiningJob.coinbase_tx_outputs`: all outputs with their number in front.
    #[must_use]
    pub fn output_list(&self) -> Vec<u8> {
        write_outputs(&self.outputs)
    }

    /// `SetCustomMiningJob.coinbase_tx_locktime`.
    #[must_use]
    pub fn locktime(&self) -> u32 {
        self.locktime
    }

    /// The whole transaction as it stands in a block, witness included; `None` if the extranonce has another length.
    #[must_use]
    pub fn transaction(&self, extranonce: &[u8]) -> Option<Vec<u8>> {
        (extranonce.len() == usize::from(self.extranonce_len))
            .then(|| [&*self.declared_prefix(), extranonce, &*self.declared_suffix()].concat())
    }

    fn head(&self, witness: bool) -> Vec<u8> {
        let mut bytes = self.tx_version.to_le_bytes().to_vec();
        if witness {
            bytes.extend_from_slice(&[0, 1]);
        }
        bytes.push(1);
        bytes.extend_from_slice(&NULL_OUTPOINT);
        write_compact_size(self.script_sig_head.len() + usize::from(self.extranonce_len), &mut bytes);
        bytes.extend_from_slice(&self.script_sig_head);
        bytes
    }

    fn tail(&self, witness: bool) -> Vec<u8> {
        let mut bytes = self.input_sequence.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.output_list());
        if let Some(item) = self.witness_reserved_value.filter(|_| witness) {
            // One item of 32 bytes.
            bytes.extend_from_slice(&[1, 32]);
            bytes.extend_from_slice(&item);
        }
        bytes.extend_from_slice(&self.locktime.to_le_bytes());
        bytes
    }
}

/// What pushes `len` bytes; nothing pushes none.
fn opcode_of_push(len: u8) -> Vec<u8> {
    const LONGEST_SHORT: u8 = 75;
    const PUSHDATA1: u8 = 0x4c;
    match len {
        0 => Vec::new(),
        1..=LONGEST_SHORT => vec![len],
        _ => vec![PUSHDATA1, len],
    }
}

/// Why a template's coinbase cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// `script_sig` is too short or too long.
    #[error(
        "script_sig would have {got} bytes (height {height}, tag {tag}, extranonce {extranonce_len} and {push} to push \
         it): consensus wants {MIN_SCRIPT_SIG} to {MAX_SCRIPT_SIG}; shorten the tag"
    )]
    ScriptSig {
        /// Bytes in all.
        got: usize,
        /// Of which the template's.
        height: usize,
        /// Of which the tag's.
        tag: usize,
        /// Of which the extranonce's push, less the extranonce.
        push: usize,
        /// Of which the extranonce's.
        extranonce_len: u8,
    },
    /// The outputs pay more than there is.
    #[error("the outputs pay {paid} satoshi: the template leaves {remaining}")]
    PaysTooMuch {
        /// What they pay.
        paid: u64,
        /// What there is.
        remaining: u64,
    },
    /// No node would take it.
    #[error(transparent)]
    Unsound(#[from] CoinbaseError),
}

#[cfg(test)]
mod tests {
    use bitcoin::{Transaction, consensus};
    use proptest::prelude::*;

    use super::super::read_outputs;
    use super::*;

    fn template(outputs: Vec<Output>, witness: bool) -> CoinbaseTemplate {
        CoinbaseTemplate {
            tx_version: 2,
            prefix: vec![3, 0x40, 0x0d, 0x0c].into(),
            input_sequence: 0xffff_fffe,
            value_remaining: 5_000,
            outputs,
            locktime: 799_999,
            witness_reserved_value: witness.then_some([0; 32]),
        }
    }

    fn output(value: u64, len: usize) -> Output {
        Output { value, script_pubkey: vec![0x6a; len].into() }
    }

    proptest! {
        /// The three encodings are one transaction, and the `bitcoin` crate reads it as that one.
        #[test]
        fn all_encodings_are_the_same_transaction(
            tag in proptest::collection::vec(any::<u8>(), 0..=63),
            extranonce in proptest::collection::vec(any::<u8>(), 0..=32),
            ours in proptest::collection::vec((0_u64..100, 0_usize..300), 1..4),
            theirs in proptest::collection::vec(0_usize..60, 0..3),
            many in prop::sample::select(vec![0_usize, 0, 0, 250, 252, 253, 254]),
            witness: bool,
        ) {
            let template = template(theirs.iter().map(|len| output(0, *len)).collect(), witness);
            let mut added: Vec<Output> = ours.iter().map(|(value, len)| output(*value, *len)).collect();
            added.extend((0..many).map(|_| output(0, 1)));
            let len = u8::try_from(extranonce.len()).unwrap();
            let coinbase = Coinbase::new(&template, &tag, len, &added).unwrap();

            let whole = coinbase.transaction(&extranonce).unwrap();
            let read: Transaction = consensus::deserialize(&whole).unwrap();
            prop_assert!(read.is_coinbase());
            prop_assert_eq!(consensus::serialize(&read), whole);
            // The job's halves hash to its txid.
            let stripped = [&*coinbase.prefix(), &*extranonce, &*coinbase.suffix()].concat();
            let txid: [u8; 32] = *AsRef::<[u8; 32]>::as_ref(&read.compute_txid());
            prop_assert_eq!(crate::sha256d::hash(&stripped), txid);
            // The custom job's fields are its fields.
            prop_assert_eq!(read.version.0.cast_unsigned(), coinbase.tx_version());
            prop_assert_eq!(read.lock_time.to_consensus_u32(), coinbase.locktime());
            prop_assert_eq!(read.input[0].sequence.0, coinbase.input_sequence());
            let script = [coinbase.script_sig_head(), &extranonce].concat();
            prop_assert_eq!(read.input[0].script_sig.as_bytes(), &*script);
            prop_assert_eq!(consensus::serialize(&read.output), coinbase.output_list());
            prop_assert_eq!(read_outputs(&coinbase.output_list()).unwrap(), coinbase.outputs());
            prop_assert_eq!(read.input[0].witness.len(), usize::from(witness));
        }
    }

    proptest! {
        #[test]
        fn the_height_is_the_number_that_the_bitcoin_crate_writes(height in prop_oneof![0_u32..300, any::<u32>()]) {
            let script = bitcoin::script::Builder::new().push_int(i64::from(height)).into_script();
            let of = |prefix: &[u8]| CoinbaseTemplate { prefix: prefix.into(), ..template(Vec::new(), true) }.height();
            // Four bytes hold 31 bits: no chain gets there.
            prop_assert_eq!(of(script.as_bytes()), Some(height).filter(|height| *height < 1 << 31));
            prop_assert_eq!((of(&[]), of(&[2, 1]), of(&[0x6a])), (None, None, None));
        }

        #[test]
        fn no_extranonce_is_a_signature_operation(
            extranonce in proptest::collection::vec(prop::sample::select(vec![0x4c_u8, 0x4e, 0xac, 0xad, 0xae, 0xaf]), 0..=90),
        ) {
            let len = u8::try_from(extranonce.len()).unwrap();
            let coinbase = Coinbase::new(&template(Vec::new(), true), &[], len, &[output(1, 1)]).unwrap();
            let script = [coinbase.script_sig_head(), &extranonce].concat();
            let script = bitcoin::Script::from_bytes(&script);
            prop_assert_eq!(script.count_sigops_legacy(), 0);
            // It is the last push, whole.
            let last = script.instructions().last().unwrap().unwrap();
            let pushed = last.push_bytes().unwrap().as_bytes();
            prop_assert!(pushed == extranonce || extranonce.is_empty());
        }
    }

    #[test]
    fn what_consensus_refuses_is_not_built() {
        let of = |tag: usize, extranonce_len, paid| {
            Coinbase::new(&template(Vec::new(), true), &vec![1; tag], extranonce_len, &[output(paid, 22)])
        };
        assert!(of(63, 32, 5_000).is_ok());
        let long = BuildError::ScriptSig { got: 101, height: 4, tag: 64, push: 1, extranonce_len: 32 };
        assert_eq!(of(64, 32, 5_000), Err(long));
        assert_eq!(of(0, 8, 5_001), Err(BuildError::PaysTooMuch { paid: 5_001, remaining: 5_000 }));
        let none = Coinbase::new(&template(Vec::new(), true), &[], 8, &[]);
        assert_eq!(none, Err(CoinbaseError::NoOutputs.into()));
        assert_eq!(of(0, 8, 1).unwrap().transaction(&[0; 7]), None);
    }
}
