//! What the tests of this crate mine with: terms of a few hashes a share.

use work::{Header as BlockHeader, Target};

use crate::agreement::SignedTerms;
use crate::header::Header;
use crate::job::{Job, Share};
use crate::key::SecretKey;
use crate::sampling;
use crate::terms::{Basis, Ending, Network, Payout, Subject, Terms};

/// The period's beginning.
pub(crate) const FROM: u64 = 1_800_000_000;

pub(crate) fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes([n; 32]).expect("a key")
}

pub(crate) fn issuer() -> SecretKey {
    key(1)
}

pub(crate) fn receiver() -> SecretKey {
    key(2)
}

pub(crate) fn forger() -> SecretKey {
    key(3)
}

/// A script that is paid.
pub(crate) fn script() -> Box<[u8]> {
    [&[0x00, 0x14][..], &[0xab; 20]].concat().into()
}

/// An hour at 100 H/s: two to the power of 7 hashes a share.
pub(crate) fn terms() -> Terms {
    Terms {
        network: Network::Regtest,
        subject: Subject::Lease("lease-1".into()),
        from: FROM,
        to: FROM + 3_600,
        every: 3_600,
        hashrate: 100,
        basis: Basis::Agreed,
        ending: Ending::Period,
        issuer: issuer().public(),
        receiver: Some(receiver().public()),
        payout: Payout { scripts: vec![script()], least_parts: 980_000 },
        pool_tag: "/a pool/".into(),
        tag_length: 8,
        salt: [9; 16],
        note: "20 sat a PH/s and day".into(),
    }
}

pub(crate) fn signed(terms: &Terms) -> SignedTerms {
    let mut signed = SignedTerms::new(terms.clone()).expect("terms");
    signed.sign(FROM - 600, &receiver()).expect("a party");
    signed.sign(FROM - 300, &issuer()).expect("a party");
    signed
}

pub(crate) fn header(terms: &Terms) -> Header {
    Header::new(terms, terms.from, terms.to, sampling::MIN_EXPONENT, 1, 0)
}

/// Times of the chain's blocks, from the period's beginning on: two of hours before, then one every ten minutes.
const BLOCKS: [i64; 10] = [-10_000, -9_400, -300, 300, 900, 1_500, 2_100, 2_700, 3_300, 3_900];

/// A chain: work that takes a hash or two.
pub(crate) fn chain() -> Vec<BlockHeader> {
    let mut chain: Vec<BlockHeader> = Vec::new();
    let target = Target::from_compact(NBITS).expect("a target");
    for time in BLOCKS {
        let ntime = u32::try_from(FROM.strict_add_signed(time)).expect("before 2106");
        let prev_hash = chain.last().map_or([0; 32], |last| last.hash().to_bytes());
        let mut header =
            BlockHeader { version: 4, prev_hash, merkle_root: [1; 32], ntime, nbits: NBITS, nonce: 0 };
        while !header.hash().meets(&target) {
            header.nonce += 1;
        }
        chain.push(header);
    }
    chain
}

/// The chain as a file of headers.
pub(crate) fn chain_file() -> Vec<u8> {
    chain().iter().flat_map(BlockHeader::to_bytes).collect()
}

const NBITS: u32 = 0x207f_ffff;

/// A job of that number, four minutes after the one before it, whose coinbase pays [`script`] 99 %.
pub(crate) fn job(number: u32) -> Job {
    let at = FROM + 240 * u64::from(number);
    let chain = chain();
    let tip = chain.iter().rev().find(|block| u64::from(block.ntime) <= at).expect("a block before");
    let mut prefix = vec![1, 0, 0, 0, 1];
    prefix.extend([0; 32]);
    prefix.extend([0xff; 4]);
    // Height, the pool's tag, the extranonce of 20 bytes.
    prefix.push(4 + 8 + 20);
    prefix.extend([3, 1, 2, 3]);
    prefix.extend(b"/a pool/");
    let mut suffix = vec![0xff; 4];
    suffix.push(2);
    for (value, script) in [(99_u64, script()), (1, [0x51].into())] {
        suffix.extend(value.to_le_bytes());
        suffix.push(u8::try_from(script.len()).expect("short"));
        suffix.extend(&*script);
    }
    suffix.extend([0; 4]);
    Job {
        version: 0x2000_0000,
        prev_hash: tip.hash().to_bytes(),
        nbits: NBITS,
        min_ntime: 1_800_000_000 + number,
        prefix_length: 4,
        coinbase_prefix: prefix,
        coinbase_suffix: suffix,
        merkle_path: vec![[u8::try_from(number % 251).expect("small"); 32]; 3],
    }
}

/// A share of the job at that time that meets the receipt difficulty, found from the nonce on.
pub(crate) fn share(terms: &Terms, header: &Header, job: &Job, at: u64, nonce: u32) -> Share {
    let target = sampling::target(header.exponent);
    let ntime = u32::try_from(at).expect("before 2106").max(job.min_ntime);
    let mut tag = terms.tag();
    tag.resize(8, 0);
    let extranonce = [&[0xaa; 4][..], &tag, &[0, 0, 0, 1], &[0; 4]].concat();
    let mut share = Share { at, extranonce, ntime, nonce, version: job.version };
    while !share.block_hash(job).meets(&target) {
        share.nonce = share.nonce.wrapping_add(1);
    }
    share
}
