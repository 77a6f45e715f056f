//! Finding shares cheaply: the header's midstate is kept, nonces are rolled.

use sha2::{Digest, Sha256};

use super::job_cache::ConnectionJob;
use crate::pow::{HeaderFields, HeaderHasher, Target, merkle_root};
use crate::sv1_wire::{decode_hex, push_hex};

/// Version bits that are set when version rolling was granted, if the mask allows.
const ROLLED_BITS: u32 = 0x0000_2000;

/// Nonces tried for one share before it is given up: many times [`super::MAX_HASHES_PER_SHARE`].
const MAX_TRIES: u32 = 10_000_000;

/// Hashes that a share of this difficulty takes on average.
pub(super) fn hashes_per_share(difficulty: f64) -> f64 {
    (difficulty * 4_294_967_296.0).max(1.0)
}

/// Where a connection stands in its search space. Nonces run on from job to job, so no header comes twice even
/// if the same job comes again under another name.
#[derive(Debug)]
pub(super) struct ShareMaker {
    pub(super) extranonce1: Box<[u8]>,
    pub(super) extranonce2_size: usize,
    /// Bits that are rolled; `None`: version rolling was not granted.
    pub(super) version_mask: Option<u32>,
    hasher: Option<HeaderHasher>,
    extranonce2: u64,
    nonce: u32,
}

impl ShareMaker {
    pub(super) fn new(
        extranonce1: Vec<u8>,
        extranonce2_size: usize,
        version_mask: Option<u32>,
    ) -> ShareMaker {
        ShareMaker {
            extranonce1: extranonce1.into(),
            extranonce2_size,
            version_mask,
            hasher: None,
            extranonce2: 0,
            nonce: 0,
        }
    }

    /// Forgets the header: the job or the extranonce is another.
    pub(super) fn job_changed(&mut self) {
        self.hasher = None;
    }

    /// Finds the next share of a job; its nonce. `None`: not within [`MAX_TRIES`].
    pub(super) fn find(&mut self, job: &ConnectionJob, target: &Target) -> Option<u32> {
        for _ in 0..MAX_TRIES {
            let hasher = match &self.hasher {
                Some(hasher) => hasher,
                None => {
                    let (size, bytes) = extranonce2(self.extranonce2, self.extranonce2_size);
                    let hasher = prepare(job, &self.extranonce1, &bytes[..size], self.version_mask);
                    self.hasher.insert(hasher)
                }
            };
            let nonce = self.nonce;
            let found = hasher.hash(nonce).meets(target);
            self.nonce = nonce.wrapping_add(1);
            if self.nonce == 0 {
                self.extranonce2 += 1;
                self.hasher = None;
                if found {
                    // The share belongs to the extranonce2 before; leave it.
                    continue;
                }
            }
            if found {
                return Some(nonce);
            }
        }
        None
    }

    /// Appends the end of a submit line's parameters, from the job id's closing quote on.
    pub(super) fn push_params(&self, job: &ConnectionJob, nonce: u32, out: &mut Vec<u8>) {
        let (size, bytes) = extranonce2(self.extranonce2, self.extranonce2_size);
        out.extend_from_slice(b"\",\"");
        push_hex(out, &bytes[..size]);
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(&job.ntime);
        out.extend_from_slice(b"\",\"");
        push_hex(out, &nonce.to_be_bytes());
        if let Some(mask) = self.version_mask {
            out.extend_from_slice(b"\",\"");
            push_hex(out, &(ROLLED_BITS & mask).to_be_bytes());
        }
        out.push(b'"');
    }
}

/// `extranonce2` as bytes, big-endian with leading zeros; at most [`crate::sv1_wire::MAX_EXTRANONCE`].
fn extranonce2(value: u64, size: usize) -> (usize, [u8; 64]) {
    let mut bytes = [0; 64];
    let size = size.min(64);
    let value = value.to_be_bytes();
    let used = size.min(8);
    bytes[size - used..size].copy_from_slice(&value[8 - used..]);
    (size, bytes)
}

/// Hashes coinbase and merkle path of a job and compresses the header's first half.
///
/// A job whose first coinbase half is not hexadecimal gives shares that the server will refuse, and count so.
fn prepare(
    job: &ConnectionJob,
    extranonce1: &[u8],
    extranonce2: &[u8],
    version_mask: Option<u32>,
) -> HeaderHasher {
    let common = &job.common.job;
    let mut coinb1 = vec![0; job.coinb1.len() / 2];
    let _ = decode_hex(&job.coinb1, &mut coinb1);
    let mut coinbase = Sha256::new();
    for part in [&coinb1, extranonce1, extranonce2, &common.coinb2] {
        coinbase.update(part);
    }
    let txid = Sha256::digest(coinbase.finalize()).into();
    let ntime = std::str::from_utf8(&job.ntime).ok().and_then(|text| u32::from_str_radix(text, 16).ok());
    HeaderHasher::new(&HeaderFields {
        version: version_mask.map_or(common.version, |mask| common.version & !mask | ROLLED_BITS & mask),
        prev_hash: common.prev_hash,
        merkle_root: merkle_root(txid, &common.merkle_path),
        ntime: ntime.unwrap_or(common.ntime),
        nbits: common.nbits,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::load::job_cache::JobCache;

    fn job(id: &str) -> ConnectionJob {
        let line = format!(
            r#"{{"method":"mining.notify","params":["{id}","{}","0102","03",["{}"],"20000000","1d00ffff","65000000",true]}}"#,
            "11".repeat(32),
            "22".repeat(32)
        );
        JobCache::default().read(line.as_bytes(), None).unwrap().0
    }

    #[test]
    fn shares_meet_the_target_and_never_repeat_even_when_a_job_does() {
        let target = Target::from_difficulty(1e-8);
        let mut maker = ShareMaker::new(vec![7; 4], 4, Some(0x1fff_e000));
        let mut seen = HashSet::new();
        for id in ["a", "b"] {
            let job = job(id);
            maker.job_changed();
            for _ in 0..200 {
                let nonce = maker.find(&job, &target).unwrap();
                let mut header = job.common.job.header(&[7; 4], &[0; 4]);
                header.version |= ROLLED_BITS;
                let hash = HeaderHasher::new(&header).hash(nonce);
                assert!(hash.meets(&target));
                assert!(seen.insert(hash.to_bytes()));
            }
        }
        let mut line = Vec::new();
        maker.push_params(&job("a"), 0xff, &mut line);
        assert_eq!(line, br#"","00000000","65000000","000000ff","00002000""#);
    }

    #[test]
    fn the_next_extranonce2_follows_the_last_nonce() {
        let job = job("a");
        let mut maker = ShareMaker::new(vec![7; 4], 2, None);
        maker.nonce = u32::MAX;
        assert_eq!(maker.find(&job, &Target::MAX), Some(0));
        let hasher = HeaderHasher::new(&job.common.job.header(&[7; 4], &[0, 1]));
        assert_eq!(maker.hasher.unwrap().hash(0), hasher.hash(0));
        assert_eq!(extranonce2(0x0102_0304, 2).1[..2], [3, 4]);
        assert_eq!(extranonce2(1, 10).1[..10], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
