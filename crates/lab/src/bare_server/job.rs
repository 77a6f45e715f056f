//! The bare server's job: made up, but of the usual size, and hashed in full.

use std::io::Write;

use super::BareServerOptions;
use super::request::Request;
use crate::pow::{HeaderFields, HeaderHasher, Target, merkle_root, sha256d};
use crate::sv1_wire::push_hex;

/// Bytes that a client rolls.
pub(super) const EXTRANONCE2_SIZE: usize = 4;

/// Bytes of the coinbase before `extranonce1`.
const COINB1_SIZE: usize = 80;

/// Largest coinbase.
const MAX_COINBASE: usize = 1_024;

/// Version bits that every client may roll.
pub(super) const VERSION_MASK: u32 = 0x1fff_e000;

/// Why a share is refused: SV1's code and text.
pub(super) type Refusal = (u8, &'static str);

/// A job, ready to be sent and to judge shares by.
#[derive(Debug)]
pub(super) struct BareJob {
    /// The `mining.notify` line, newline included.
    pub(super) notify: Vec<u8>,
    /// The `mining.set_difficulty` line, newline included.
    pub(super) set_difficulty: Vec<u8>,
    job_id: Vec<u8>,
    coinbase: Vec<u8>,
    merkle_path: Vec<[u8; 32]>,
    prev_hash: [u8; 32],
    version: u32,
    nbits: u32,
    target: Target,
}

impl BareJob {
    pub(super) fn new(number: u64, options: &BareServerOptions) -> BareJob {
        let filler =
            |what: &[u8], index: u64| sha256d(&[what, &number.to_le_bytes(), &index.to_le_bytes()].concat());
        let size = options.coinbase_size.clamp(COINB1_SIZE + 40, MAX_COINBASE);
        let mut coinbase: Vec<u8> = (0..).flat_map(|index| filler(b"coinbase", index)).take(size).collect();
        coinbase[COINB1_SIZE..COINB1_SIZE + 4 + EXTRANONCE2_SIZE].fill(0);
        let merkle_path: Vec<[u8; 32]> =
            (0..options.merkle_steps.min(32) as u64).map(|index| filler(b"merkle", index)).collect();
        let mut job = BareJob {
            notify: Vec::new(),
            set_difficulty: Vec::new(),
            job_id: format!("{number:x}").into_bytes(),
            coinbase,
            merkle_path,
            prev_hash: filler(b"parent", 0),
            version: 0x2000_0000,
            nbits: 0x1702_8c61,
            target: Target::from_difficulty(options.difficulty),
        };
        let difficulty = options.difficulty;
        writeln!(
            job.set_difficulty,
            r#"{{"id":null,"method":"mining.set_difficulty","params":[{difficulty:e}]}}"#
        )
        .expect("a Vec takes every write");
        job.notify = job.notify_line(options.notify_size);
        job
    }

    fn notify_line(&self, size: usize) -> Vec<u8> {
        let mut line = br#"{"id":null,"method":"mining.notify","params":[""#.to_vec();
        line.extend_from_slice(&self.job_id);
        line.extend_from_slice(b"\",\"");
        for word in self.prev_hash.chunks_exact(4) {
            push_hex(&mut line, &[word[3], word[2], word[1], word[0]]);
        }
        line.extend_from_slice(b"\",\"");
        push_hex(&mut line, &self.coinbase[..COINB1_SIZE]);
        line.extend_from_slice(b"\",\"");
        push_hex(&mut line, &self.coinbase[COINB1_SIZE + 4 + EXTRANONCE2_SIZE..]);
        line.extend_from_slice(b"\",[");
        for (index, step) in self.merkle_path.iter().enumerate() {
            line.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            push_hex(&mut line, step);
            line.push(b'"');
        }
        write!(line, r#"],"{:08x}","{:08x}","{:08x}",true]}}"#, self.version, self.nbits, 1_700_000_000)
            .expect("a Vec takes every write");
        line.resize(line.len().max(size.saturating_sub(1)), b' ');
        line.push(b'\n');
        line
    }

    /// Hashes a share in full and judges it by the target.
    pub(super) fn judge(&self, extranonce1: [u8; 4], share: &Request<'_>) -> Result<(), Refusal> {
        let [_, job_id, extranonce2, ntime, nonce, ..] = share.params;
        if job_id != self.job_id {
            return Err((21, "Job not found"));
        }
        let (Some(extranonce2), Some(ntime), Some(nonce)) =
            (hex_u32(extranonce2), hex_u32(ntime), hex_u32(nonce))
        else {
            return Err((20, "Not hexadecimal"));
        };
        let version_bits = hex_u32(share.params[5]).unwrap_or(0) & VERSION_MASK;
        let mut coinbase = [0_u8; MAX_COINBASE];
        let coinbase = &mut coinbase[..self.coinbase.len()];
        coinbase.copy_from_slice(&self.coinbase);
        coinbase[COINB1_SIZE..COINB1_SIZE + 4].copy_from_slice(&extranonce1);
        coinbase[COINB1_SIZE + 4..COINB1_SIZE + 8].copy_from_slice(&extranonce2.to_be_bytes());
        let header = HeaderFields {
            version: self.version | version_bits,
            prev_hash: self.prev_hash,
            merkle_root: merkle_root(sha256d(coinbase), &self.merkle_path),
            ntime,
            nbits: self.nbits,
        };
        if HeaderHasher::new(&header).hash(nonce).meets(&self.target) {
            Ok(())
        } else {
            Err((23, "Low difficulty share"))
        }
    }
}

/// Eight hexadecimal digits.
fn hex_u32(text: &[u8]) -> Option<u32> {
    if text.len() != 8 {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}
