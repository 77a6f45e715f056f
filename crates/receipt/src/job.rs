//! Jobs and shares: all that it takes to hash a share's header again.

use work::{BlockHash, Header, merkle, sha256d};

use crate::coding::{Cursor, Encoder};
use crate::tagged;

/// The longest coinbase half, in bytes (SV2's `B0_64K`).
pub const MAX_COINBASE_PART: usize = work::MAX_COINBASE_PART;
/// The longest merkle path.
pub const MAX_MERKLE_PATH: usize = work::MAX_MERKLE_PATH;
/// The longest extranonce, in bytes (SV2's `B0_32`).
pub const MAX_EXTRANONCE: usize = work::MAX_EXTRANONCE;

/// A job that shares refer to. All hashes are in internal order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// The header's version, before rolling.
    pub version: u32,
    /// The tip that it builds on.
    pub prev_hash: [u8; 32],
    /// The network's target in compact form.
    pub nbits: u32,
    /// The smallest `ntime`.
    pub min_ntime: u32,
    /// How many of the extranonce's first bytes the source fixed (its `extranonce_prefix`). A lease's tag follows them.
    pub prefix_length: u8,
    /// The coinbase up to the extranonce, without BIP 141's fields.
    pub coinbase_prefix: Vec<u8>,
    /// The coinbase after the extranonce.
    pub coinbase_suffix: Vec<u8>,
    /// The coinbase's merkle path, deepest first.
    pub merkle_path: Vec<[u8; 32]>,
}

/// A share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// When it came, Unix seconds, by the issuer's clock.
    pub at: u64,
    /// Everything between the coinbase's halves: the source's prefix, filler, the miner's own number, and what the miner
    /// chose.
    pub extranonce: Vec<u8>,
    /// The header's time.
    pub ntime: u32,
    /// The header's nonce.
    pub nonce: u32,
    /// The header's version, rolled.
    pub version: u32,
}

impl Job {
    /// What a share is hashed with.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let nodes = u8::try_from(self.merkle_path.len()).unwrap_or(u8::MAX);
        tagged::hash(
            tagged::JOB,
            &[
                &self.version.to_le_bytes(),
                &self.prev_hash,
                &self.nbits.to_le_bytes(),
                &self.min_ntime.to_le_bytes(),
                &[self.prefix_length],
                &length(&self.coinbase_prefix),
                &self.coinbase_prefix,
                &length(&self.coinbase_suffix),
                &self.coinbase_suffix,
                &[nodes],
                self.merkle_path.as_flattened(),
            ],
        )
    }

    /// Bytes of it, whole.
    #[must_use]
    pub fn len(&self) -> usize {
        self.coinbase_prefix.len() + self.coinbase_suffix.len() + 32 * self.merkle_path.len() + 45
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether everything is within its limit.
    pub(crate) fn is_writable(&self) -> bool {
        self.coinbase_prefix.len().max(self.coinbase_suffix.len()) <= MAX_COINBASE_PART
            && self.merkle_path.len() <= MAX_MERKLE_PATH
            && usize::from(self.prefix_length) <= MAX_EXTRANONCE
    }

    /// As it stands in a receipt, after the job `before`.
    pub(crate) fn encode(&self, before: &Self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.fixed(self.version);
        to.raw(&self.prev_hash);
        to.fixed(self.nbits);
        to.fixed(self.min_ntime);
        to.byte(self.prefix_length);
        encode_change(&mut to, &self.coinbase_prefix, &before.coinbase_prefix);
        encode_change(&mut to, &self.coinbase_suffix, &before.coinbase_suffix);
        to.number(self.merkle_path.len() as u64);
        to.raw(self.merkle_path.as_flattened());
        to.bytes
    }

    pub(crate) fn decode(bytes: &[u8], before: &Self) -> Option<Self> {
        let mut from = Cursor::new(bytes);
        let job = Self {
            version: from.fixed()?,
            prev_hash: from.array()?,
            nbits: from.fixed()?,
            min_ntime: from.fixed()?,
            prefix_length: from.byte()?,
            coinbase_prefix: decode_change(&mut from, &before.coinbase_prefix)?,
            coinbase_suffix: decode_change(&mut from, &before.coinbase_suffix)?,
            merkle_path: {
                let nodes = usize::try_from(from.number()?).ok().filter(|nodes| *nodes <= MAX_MERKLE_PATH)?;
                from.take(nodes * 32)?.as_chunks().0.to_vec()
            },
        };
        (from.is_empty() && job.is_writable()).then_some(job)
    }
}

/// Bytes as they differ from those before: how many are the same at the beginning, how many at the end, and what stands
/// between. Coinbases differ in a height, a time and a value.
fn encode_change(to: &mut Encoder, bytes: &[u8], before: &[u8]) {
    let head = bytes.iter().zip(before).take_while(|(a, b)| a == b).count();
    let (rest, rest_before) = (&bytes[head..], &before[head..]);
    let tail = rest.iter().rev().zip(rest_before.iter().rev()).take_while(|(a, b)| a == b).count();
    to.number(head as u64);
    to.number(tail as u64);
    to.string(&rest[..rest.len() - tail]);
}

fn decode_change(from: &mut Cursor<'_>, before: &[u8]) -> Option<Vec<u8>> {
    let head = before.get(..usize::try_from(from.number()?).ok()?)?;
    let tail = before.len().checked_sub(usize::try_from(from.number()?).ok()?)?;
    let tail = before.get(tail..)?;
    let middle = from.string(MAX_COINBASE_PART)?;
    (head.len() + middle.len() + tail.len() <= MAX_COINBASE_PART).then(|| [head, middle, tail].concat())
}

impl Share {
    /// The header that was hashed.
    #[must_use]
    pub fn header(&self, job: &Job) -> Header {
        let mut coinbase = sha256d::Hasher::new();
        coinbase.update(&job.coinbase_prefix);
        coinbase.update(&self.extranonce);
        coinbase.update(&job.coinbase_suffix);
        Header {
            version: self.version,
            prev_hash: job.prev_hash,
            merkle_root: merkle::root(coinbase.finish(), &job.merkle_path),
            ntime: self.ntime,
            nbits: job.nbits,
            nonce: self.nonce,
        }
    }

    /// The header's hash.
    #[must_use]
    pub fn block_hash(&self, job: &Job) -> BlockHash {
        self.header(job).hash()
    }

    /// Its leaf in the tree, `job` being its job's [`Job::hash`].
    #[must_use]
    pub fn leaf(&self, job: &[u8; 32]) -> [u8; 32] {
        let length = u8::try_from(self.extranonce.len()).unwrap_or(u8::MAX);
        tagged::hash(
            tagged::LEAF,
            &[
                job,
                &self.at.to_le_bytes(),
                &self.ntime.to_le_bytes(),
                &self.nonce.to_le_bytes(),
                &self.version.to_le_bytes(),
                &[length],
                &self.extranonce,
            ],
        )
    }

    /// As it stands in a receipt: `back` jobs before the newest, after a share that came at `before`.
    pub(crate) fn encode(&self, back: usize, before: u64) -> Vec<u8> {
        let mut to = Encoder::default();
        to.number(self.at.saturating_sub(before));
        to.number(back as u64);
        to.string(&self.extranonce);
        for number in [self.ntime, self.nonce, self.version] {
            to.fixed(number);
        }
        to.bytes
    }

    /// The share, and how many jobs before the newest its job is.
    pub(crate) fn decode(bytes: &[u8], before: u64) -> Option<(Self, usize)> {
        let mut from = Cursor::new(bytes);
        let at = before.checked_add(from.number()?)?;
        let back = usize::try_from(from.number()?).ok()?;
        let share = Self {
            at,
            extranonce: from.string(MAX_EXTRANONCE)?.to_vec(),
            ntime: from.fixed()?,
            nonce: from.fixed()?,
            version: from.fixed()?,
        };
        from.is_empty().then_some((share, back))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0..3_u8, 0..60)
    }

    proptest! {
        #[test]
        fn what_changed_is_read_back(a in parts(), b in parts(), c in parts(), d in parts(), nodes in 0..5_usize) {
            let before = Job { coinbase_prefix: a, coinbase_suffix: b, ..Job::default() };
            let job = Job {
                coinbase_prefix: c, coinbase_suffix: d, merkle_path: vec![[7; 32]; nodes], prefix_length: 4, ..Job::default()
            };
            prop_assert_eq!(Job::decode(&job.encode(&before), &before), Some(job));
        }

        #[test]
        fn a_share_is_read_back(at in 0..u64::MAX, ahead in 0..1000_u64, extranonce in prop::collection::vec(any::<u8>(), 0..33)) {
            let at = at.saturating_add(ahead);
            let share = Share { at, extranonce, ntime: 1, nonce: 2, version: 3 };
            prop_assert_eq!(Share::decode(&share.encode(5, at - ahead.min(at)), at - ahead.min(at)), Some((share, 5)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Job::decode(&bytes, &Job::default());
            Share::decode(&bytes, 1);
        }
    }
}
