//! Blocks of Bitcoin's main chain, mined again: what the network took, this crate takes.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;

use bitcoin::hashes::Hash as _;
use work::{
    ChannelJob, ChannelTerms, Difficulty, ExtranonceSplit, Header, Job, JobParts, Limits, MinerId, Reject,
    Seconds, SourceId, Submission, Target, Validator, Verdict, coinbase, merkle,
};

const FILES: [(&str, &str); 5] = [
    ("genesis", include_str!("../../../protocol-fixtures/blocks/genesis.json")),
    ("2013-277647", include_str!("../../../protocol-fixtures/blocks/2013-277647.json")),
    ("2017-481815", include_str!("../../../protocol-fixtures/blocks/2017-481815.json")),
    ("segwit-481829", include_str!("../../../protocol-fixtures/blocks/segwit-481829.json")),
    ("version-rolled-702861", include_str!("../../../protocol-fixtures/blocks/version-rolled-702861.json")),
];

/// BIP 320's bits.
const MASK: u32 = 0x1fff_e000;

struct Block {
    name: &'static str,
    hash: String,
    raw_header: [u8; 80],
    header: Header,
    coinbase: Vec<u8>,
    merkle_path: Vec<[u8; 32]>,
}

fn blocks() -> impl Iterator<Item = Block> {
    FILES.into_iter().map(|(name, text)| {
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let bytes = |key: &str| hex::decode(file[key].as_str().unwrap()).unwrap();
        let raw_header: [u8; 80] = bytes("header").try_into().unwrap();
        let merkle_path = file["merkle_path"].as_array().unwrap().iter();
        assert!(file["source"]["repository"].as_str().is_some_and(|source| source.starts_with("https://")));
        Block {
            name,
            hash: file["hash"].as_str().unwrap().to_owned(),
            raw_header,
            header: Header::from_bytes(&raw_header),
            coinbase: bytes("coinbase"),
            merkle_path: merkle_path
                .map(|node| hex::decode(node.as_str().unwrap()).unwrap().try_into().unwrap())
                .collect(),
        }
    })
}

impl Block {
    /// The job that it could have been mined from, its coinbase cut around `len` bytes at `at`.
    fn job(&self, version: u32, at: usize, len: usize) -> Job {
        let parts = JobParts {
            id: 7,
            version,
            version_rolling_allowed: true,
            prev_hash: self.header.prev_hash,
            nbits: self.header.nbits,
            min_ntime: self.header.ntime - 100,
            merkle_path: self.merkle_path.clone().into(),
            coinbase_tx_prefix: self.coinbase[..at].into(),
            coinbase_tx_suffix: self.coinbase[at + len..].into(),
        };
        Job::new(parts, len).unwrap()
    }

    /// Where its `script_sig` is.
    fn script(&self) -> std::ops::Range<usize> {
        42..42 + usize::from(self.coinbase[41])
    }
}

fn terms<'a>(extranonce_prefix: &'a [u8], filler: &'a [u8]) -> ChannelTerms<'a> {
    ChannelTerms {
        source: SourceId(0),
        generation: 0,
        extranonce_prefix,
        filler,
        source_target: Target::DIFFICULTY_1,
        ntime_slack: 600,
        received_at: Seconds(0),
    }
}

#[test]
fn each_fixture_has_its_known_hash_and_its_proof_of_work() {
    for block in blocks() {
        let hash = block.header.hash();
        assert_eq!(hash.to_string(), block.hash, "{}", block.name);
        assert_eq!(block.header.to_bytes(), block.raw_header, "{}", block.name);
        assert!(hash.meets(&Target::from_compact(block.header.nbits).unwrap()), "{}", block.name);

        let reference: bitcoin::block::Header = bitcoin::consensus::deserialize(&block.raw_header).unwrap();
        assert_eq!(reference.validate_pow(reference.target()).unwrap().to_string(), block.hash);
    }
}

#[test]
fn each_coinbase_folds_to_the_headers_merkle_root() {
    for block in blocks() {
        let reference: bitcoin::Transaction = bitcoin::consensus::deserialize(&block.coinbase).unwrap();
        assert!(reference.is_coinbase());
        let txid = work::sha256d::hash(&block.coinbase);
        assert_eq!(txid, reference.compute_txid().to_byte_array(), "{}", block.name);
        assert_eq!(merkle::root(txid, &block.merkle_path), block.header.merkle_root, "{}", block.name);
    }
}

#[test]
fn each_coinbase_is_found_sound_wherever_the_extranonce_is_cut_out() {
    for block in blocks() {
        let script = block.script();
        for at in 0..=block.coinbase.len() {
            for len in [1, 4, 8, 32] {
                let (prefix, rest) = block.coinbase.split_at(at);
                let Some(suffix) = rest.get(len..) else { continue };
                let found = coinbase::check(prefix, len, suffix);
                let inside = script.contains(&at) && at + len <= script.end;
                assert_eq!(found.is_ok(), inside, "{} {at} {len}: {found:?}", block.name);
            }
        }
    }
}

#[test]
fn a_channel_job_hashes_to_the_block_at_every_cut() {
    for block in blocks() {
        let script = block.script();
        for at in script.clone() {
            for (prefix, filler, rolled) in
                [(0, 0, 1), (4, 0, 8), (3, 5, 8), (8, 4, 12), (20, 0, 12), (0, 31, 1)]
            {
                let len = prefix + filler + rolled;
                if at + len > script.end {
                    continue;
                }
                let extranonce = &block.coinbase[at..at + len];
                let (constant, rolled) = extranonce.split_at(prefix + filler);
                let (prefix, filler) = constant.split_at(prefix);
                let job = Arc::new(block.job(block.header.version, at, len));
                let job = ChannelJob::new(job, terms(prefix, filler)).unwrap();

                let Header { version, ntime, nonce, .. } = block.header;
                assert_eq!(job.header_hash(rolled, version, ntime, nonce).to_string(), block.hash);
                assert_eq!(job.header(&[rolled], version, ntime, nonce).to_bytes(), block.raw_header);
                assert_eq!(job.coinbase(rolled), block.coinbase);
                assert_eq!(job.extranonce(rolled).unwrap().as_slice(), [filler, rolled].concat());
                assert_eq!(job.extranonce_prefix(), prefix);
            }
        }
    }
}

#[test]
fn a_miner_that_finds_the_block_is_told_so_and_a_bit_more_or_less_is_no_share() {
    for block in blocks() {
        let script = block.script();
        let split = ExtranonceSplit::for_space(10, 4, 4).unwrap();
        let (prefix_len, len) = (6, 16);
        let at = script.end - len;
        let extranonce = &block.coinbase[at..at + len];
        let (prefix, rollable) = extranonce.split_at(prefix_len);
        let (filler, rolled) = rollable.split_at(usize::from(split.filler));
        let (miner_id, extranonce2) = rolled.split_at(usize::from(split.miner_id));

        // As a pool sends it: the bits that were rolled are not set.
        let job = Arc::new(block.job(block.header.version & !MASK, at, len));
        let job = Arc::new(ChannelJob::new(job, terms(prefix, filler)).unwrap());
        let difficulty_1 = Target::from_difficulty(Difficulty::ONE);
        let mut validator =
            Validator::new(MinerId::from_bytes(miner_id).unwrap(), split.extranonce2, 1, Limits::default());
        let advertised = validator.advertise(job, difficulty_1, Seconds(0)).unwrap();
        let submission = Submission {
            job_id: advertised.job_id,
            extranonce2,
            ntime: block.header.ntime,
            nonce: block.header.nonce,
            version_bits: Some(block.header.version & MASK),
        };
        let wrong_nonce = Submission { nonce: block.header.nonce ^ 1, ..submission };
        let Verdict::Rejected { reason: Reject::AboveTarget { .. }, solution: None } =
            validator.judge(&wrong_nonce, MASK, Seconds(0))
        else {
            panic!("{}: another nonce is no share", block.name)
        };
        match validator.judge(&submission, MASK, Seconds(0)) {
            Verdict::Valid(share) => {
                assert!(share.is_block && share.meets_source && share.on_live_tip);
                assert_eq!(share.hash.to_string(), block.hash);
                assert_eq!(share.header, block.header);
                assert_eq!(share.extranonce.as_slice(), rollable);
                assert_eq!(share.difficulty, Difficulty::ONE);
            }
            Verdict::Rejected { reason, .. } => panic!("{}: {reason}", block.name),
        }
        let Verdict::Rejected { reason: Reject::Duplicate, solution: None } =
            validator.judge(&submission, MASK, Seconds(0))
        else {
            panic!("{}: a block counts once", block.name)
        };
    }
}

#[test]
fn difficulties_of_the_chain_are_those_of_the_bitcoin_crate() {
    for block in blocks() {
        let ours = Target::from_compact(block.header.nbits).unwrap().difficulty().get();
        let theirs = bitcoin::CompactTarget::from_consensus(block.header.nbits);
        let theirs = bitcoin::Target::from_compact(theirs).difficulty_float();
        assert!((ours / theirs - 1.0).abs() < 1e-12, "{}: {ours} {theirs}", block.name);
    }
}

#[test]
fn the_genesis_fixture_is_the_bitcoin_crates_genesis() {
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin);
    let fixture = blocks().next().unwrap();
    assert_eq!(bitcoin::consensus::serialize(&genesis.header), fixture.raw_header);
    assert_eq!(bitcoin::consensus::serialize(&genesis.txdata[0]), fixture.coinbase);
}
