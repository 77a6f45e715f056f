//! Coinbases of templates and declared jobs: lists of outputs as peers send them, and whole blocks.
//!
//! Input: an even first byte, then a list of outputs; or an odd one, then what a template says of its coinbase, the
//! outputs that are added, a tag, and how many transactions the block has.
//!
//! Promises:
//! - a list of outputs is taken if and only if crate `bitcoin` reads it whole and it pays no more than there is; written
//!   again it is the same bytes;
//! - a pool's outputs are paid once, and only where it left them at 0;
//! - a coinbase that is built is what crate `bitcoin` reads from each of its encodings, pays no more than the template
//!   leaves, and makes a job where SV2's fields can hold it; a solution of that job makes a block whose merkle root is
//!   right.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use bitcoin::hashes::Hash as _;
use bitcoin::{Block, Transaction, TxOut, consensus};
use work::coinbase::{self, Coinbase, CoinbaseTemplate, MAX_MONEY, Output};
use work::{Template, TemplateParts, TemplateTransaction};

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the last output of a list pays one satoshi more when it is written again.
pub(crate) fn check(data: &[u8], planted: bool) {
    match data {
        [kind, list @ ..] if kind % 2 == 0 => outputs(list, planted),
        // Too little data for an input is no fault.
        [_, rest @ ..] => build(&mut Unstructured::new(rest)).unwrap_or(()),
        [] => {}
    }
}

fn outputs(list: &[u8], planted: bool) {
    let theirs = consensus::deserialize::<Vec<TxOut>>(list).ok().filter(|outputs| {
        outputs.iter().fold(0_u64, |sum, output| sum.saturating_add(output.value.to_sat())) <= MAX_MONEY
    });
    let ours = coinbase::read_outputs(list);
    assert_eq!(ours.is_ok(), theirs.is_some(), "{ours:?}, but {theirs:?}");
    let (Ok(mut ours), Some(theirs)) = (ours, theirs) else { return };
    assert_eq!(ours.len(), theirs.len());
    for (our, their) in ours.iter().zip(&theirs) {
        assert_eq!((our.value, &*our.script_pubkey), (their.value.to_sat(), their.script_pubkey.as_bytes()));
        assert_eq!(our.len(), consensus::serialize(their).len());
    }
    if let Ok(count) = u32::try_from(ours.len())
        && let Some(bare) = list.get(consensus::serialize(&bitcoin::VarInt(u64::from(count))).len()..)
    {
        assert_eq!(coinbase::read_counted_outputs(bare, count).as_ref(), Ok(&ours));
        assert!(coinbase::read_counted_outputs(bare, count + 1).is_err(), "an output more than there are");
    }
    if planted && let Some(last) = ours.last_mut() {
        last.value += 1;
    }
    assert_eq!(coinbase::write_outputs(&ours), list, "the list is written in another way");
    let free = !ours.is_empty() && ours.iter().all(|output| output.value == 0);
    let paid = coinbase::pay_first(ours.clone(), 1_234);
    assert_eq!(paid.is_ok(), free, "{paid:?}");
    if let Ok(paid) = paid {
        assert_eq!((paid[0].value, &paid[1..]), (1_234, &ours[1..]));
    }
}

fn build(u: &mut Unstructured<'_>) -> Result<()> {
    let template = CoinbaseTemplate {
        tx_version: u.arbitrary()?,
        prefix: vec![0x51; usize::from(u.arbitrary::<u8>()? % 12)].into(),
        input_sequence: u.arbitrary()?,
        value_remaining: some_value(u)?,
        outputs: some_outputs(u)?,
        locktime: u.arbitrary()?,
        witness_reserved_value: u.arbitrary()?,
    };
    let tag = vec![0x6a; usize::from(u.arbitrary::<u8>()? % 100)];
    let extranonce_len = u.arbitrary::<u8>()? % 34;
    let added = some_outputs(u)?;
    let count = u.arbitrary::<u8>()? % 7;
    let built = Coinbase::new(&template, &tag, extranonce_len, &added);

    let push = usize::from(extranonce_len > 0);
    let script = template.prefix.len() + tag.len() + push + usize::from(extranonce_len);
    let sum = |outputs: &[Output]| outputs.iter().fold(0_u64, |sum, output| sum.saturating_add(output.value));
    let (paid, all) = (sum(&added), sum(&added).saturating_add(sum(&template.outputs)));
    let outputs = added.len() + template.outputs.len();
    let sound =
        (2..=100).contains(&script) && paid <= template.value_remaining && all <= MAX_MONEY && outputs > 0;
    assert_eq!(built.is_ok(), sound, "{built:?}");
    let Ok(built) = built else { return Ok(()) };

    let extranonce = vec![0xe7; usize::from(extranonce_len)];
    let whole = built.transaction(&extranonce).expect("an extranonce of this length");
    let stripped = [&*built.prefix(), &extranonce, &*built.suffix()].concat();
    let read: Transaction = consensus::deserialize(&whole).expect("a node can read it");
    assert!(read.is_coinbase());
    assert_eq!(consensus::serialize(&read), whole, "a node writes it in another way");
    let without: Transaction =
        consensus::deserialize(&stripped).expect("a node can read it without its witness");
    assert_eq!(without.compute_txid(), read.compute_txid(), "what is declared and what is mined differ");
    assert_eq!(
        bitcoin::hashes::sha256d::Hash::hash(&stripped).to_byte_array(),
        read.compute_txid().to_byte_array()
    );
    let last = read.input[0].script_sig.instructions().last().and_then(Result::ok);
    let pushed = last.as_ref().and_then(|last| last.push_bytes()).map(|bytes| bytes.as_bytes());
    assert!(
        extranonce.is_empty() || pushed == Some(&*extranonce),
        "what miners roll is read as a script: {pushed:?}"
    );
    assert_eq!(read.input[0].script_sig.as_bytes(), [built.script_sig_head(), &extranonce].concat());
    assert_eq!(
        (read.input[0].sequence.0, read.lock_time.to_consensus_u32()),
        (built.input_sequence(), built.locktime())
    );
    assert_eq!(read.version.0.cast_unsigned(), built.tx_version());
    assert_eq!(
        consensus::serialize(&read.output),
        built.output_list(),
        "SetCustomMiningJob has other outputs"
    );
    let listed = coinbase::outputs(&built.prefix(), usize::from(extranonce_len), &built.suffix());
    assert_eq!(listed.as_deref(), Ok(built.outputs()), "the job's outputs read as others");
    assert_eq!(built.transaction(&[0; 40]), None, "an extranonce of another length");
    block(template, &built, &extranonce, count);
    Ok(())
}

/// A block of this coinbase and `count` other transactions.
fn block(coinbase: CoinbaseTemplate, built: &Coinbase, extranonce: &[u8], count: u8) {
    let transactions: Arc<[TemplateTransaction]> = (0..count)
        .map(|number| {
            let transaction = Transaction {
                version: bitcoin::transaction::Version(i32::from(number)),
                lock_time: bitcoin::absolute::LockTime::ZERO,
                input: vec![bitcoin::TxIn {
                    sequence: bitcoin::Sequence(number.into()),
                    ..Default::default()
                }],
                output: vec![TxOut { value: bitcoin::Amount::ZERO, script_pubkey: Default::default() }],
            };
            TemplateTransaction {
                bytes: consensus::serialize(&transaction).into(),
                txid: transaction.compute_txid().to_byte_array(),
                wtxid: transaction.compute_wtxid().to_byte_array(),
            }
        })
        .collect();
    let parts = TemplateParts {
        template_id: 1,
        prev_hash: [3; 32],
        version: 0x2000_0000,
        min_ntime: 1_700_000_000,
        nbits: 0x207f_ffff,
        coinbase,
        merkle_path: None,
        transactions: Some(transactions),
        constraints: work::CoinbaseConstraints::default(),
    };
    let template = Template::new(parts).expect("a template of a few transactions");
    let job = template.job(1, built);
    let fits = built.extranonce_len() <= 32 && built.suffix().len() <= work::MAX_COINBASE_PART;
    assert_eq!(job.is_ok(), fits, "a job of a coinbase that was built: {:?}", job.err());
    let Ok(job) = job else { return };
    let stripped = [&*job.coinbase_tx_prefix, extranonce, &*job.coinbase_tx_suffix].concat();
    let mut header = work::Header {
        version: job.version,
        prev_hash: job.prev_hash,
        merkle_root: work::merkle::root(work::sha256d::hash(&stripped), &job.merkle_path),
        ntime: job.min_ntime,
        nbits: job.nbits,
        nonce: 0,
    };
    let bytes = template.block(&header, built, extranonce).expect("a solution of this very job");
    let block: Block = consensus::deserialize(&bytes).expect("a node can read the block");
    assert!(block.check_merkle_root(), "the block's merkle root");
    assert_eq!(block.txdata.len(), usize::from(count) + 1);
    assert_eq!(consensus::serialize(&block), bytes);
    header.merkle_root[0] ^= 1;
    assert!(template.block(&header, built, extranonce).is_err(), "a solution of another job makes a block");
}

/// Mostly an amount that can be.
fn some_value(u: &mut Unstructured<'_>) -> Result<u64> {
    let (kind, value): (u8, u32) = (u.arbitrary()?, u.arbitrary()?);
    Ok(match kind % 8 {
        0..5 => u64::from(value),
        5 => MAX_MONEY,
        6 => MAX_MONEY + u64::from(value),
        _ => u64::MAX - u64::from(value),
    })
}

fn some_outputs(u: &mut Unstructured<'_>) -> Result<Vec<Output>> {
    // Now and then so many that their number takes three bytes.
    let count = match u.arbitrary::<u8>()? {
        255 => 300,
        254 => 253,
        few => usize::from(few % 4),
    };
    let mut outputs = Vec::new();
    for _ in 0..count {
        let value = if outputs.len() < 4 { some_value(u)? } else { 0 };
        let script = match u.arbitrary::<u8>().unwrap_or(0) {
            255 => 70_000,
            254 => 253,
            len => usize::from(len),
        };
        outputs.push(Output {
            value,
            script_pubkey: vec![0x52; if outputs.len() < 4 { script } else { 1 }].into(),
        });
    }
    Ok(outputs)
}
