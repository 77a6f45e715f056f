//! `mining.notify`, put together from pieces that are rendered once per job.
//!
//! ```text
//! {"id":null,"method":"mining.notify","params":["<job id>","<prev_hash>","<coinb1>","<coinb2>",[<merkle path>],
//!  "<version>","<nbits>","<ntime>",<clean_jobs>]}
//! ```
//! Of these only the job id, the end of `coinb1` (the source's extranonce prefix and filler bytes), `ntime` and
//! `clean_jobs` can differ between the miners of one job; all the rest is copied.

use crate::hex;

/// The constant beginning of the line, up to the job id.
const HEAD: &[u8] = br#"{"id":null,"method":"mining.notify","params":[""#;

/// One job's notify, rendered but for what varies. Cheap to share (`Arc`) between miners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyParts {
    /// From after the job id to the end of the hex of `coinbase_tx_prefix`.
    front: Box<[u8]>,
    /// From after the hex of the bytes that follow the prefix, to before `ntime`.
    back: Box<[u8]>,
}

/// Renders what is the same for every miner of a job.
///
/// `prev_hash` and `merkle_path` are in internal order, as SV2 carries them; the line has `prev_hash` with the
/// bytes of each 4-byte word reversed, as SV1 wants it. The coinbase transaction that the miner hashes is
/// `coinbase_tx_prefix | coinb1_extra | extranonce1 | extranonce2 | coinbase_tx_suffix`, serialised without
/// witness.
#[must_use]
pub fn render_job(
    prev_hash: &[u8; 32],
    coinbase_tx_prefix: &[u8],
    coinbase_tx_suffix: &[u8],
    merkle_path: &[[u8; 32]],
    version: u32,
    nbits: u32,
) -> NotifyParts {
    // Quotes and commas around the hex: 3 + 64 + 3, and a quote, a comma, two brackets, "version", "nbits".
    let mut front = Vec::with_capacity(70 + 2 * coinbase_tx_prefix.len());
    front.extend_from_slice(b"\",\"");
    for word in prev_hash.chunks_exact(4) {
        hex::push(&mut front, &[word[3], word[2], word[1], word[0]]);
    }
    front.extend_from_slice(b"\",\"");
    hex::push(&mut front, coinbase_tx_prefix);

    let mut back = Vec::with_capacity(32 + 2 * coinbase_tx_suffix.len() + 67 * merkle_path.len());
    back.extend_from_slice(b"\",\"");
    hex::push(&mut back, coinbase_tx_suffix);
    back.extend_from_slice(b"\",[");
    for (index, hash) in merkle_path.iter().enumerate() {
        back.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        hex::push(&mut back, hash);
        back.push(b'"');
    }
    back.extend_from_slice(b"],\"");
    hex::push_u32(&mut back, version);
    back.extend_from_slice(b"\",\"");
    hex::push_u32(&mut back, nbits);
    back.extend_from_slice(b"\",\"");
    NotifyParts { front: front.into_boxed_slice(), back: back.into_boxed_slice() }
}

impl NotifyParts {
    /// Appends the whole line.
    ///
    /// `coinb1_extra` are the bytes between `coinbase_tx_prefix` and the miner's `extranonce1`; `ntime` is in
    /// Unix seconds. The job id is written in hex without leading zeros, as [`crate::JobId`] reads it.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, job_id: u32, coinb1_extra: &[u8], ntime: u32, clean_jobs: bool) {
        out.reserve(self.max_len(coinb1_extra.len()));
        out.extend_from_slice(HEAD);
        hex::push_u32_short(out, job_id);
        out.extend_from_slice(&self.front);
        hex::push(out, coinb1_extra);
        out.extend_from_slice(&self.back);
        hex::push_u32(out, ntime);
        out.extend_from_slice(if clean_jobs { b"\",true]}\n" } else { b"\",false]}\n" });
    }

    /// The most bytes that [`Self::write`] appends with `coinb1_extra` bytes of that length.
    #[must_use]
    pub const fn max_len(&self, coinb1_extra: usize) -> usize {
        // An eight-digit job id, an eight-digit ntime, `",false]}` and the line feed.
        HEAD.len() + 8 + self.front.len() + 2 * coinb1_extra + self.back.len() + 8 + 10
    }

    /// Bytes held on the heap, for the books of memory.
    #[must_use]
    pub const fn heap_size(&self) -> usize {
        self.front.len() + self.back.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ServerMessage, parse_message};
    use proptest::prelude::*;

    #[test]
    fn the_line_is_what_miners_have_always_been_sent() {
        let mut prev_hash = [0; 32];
        prev_hash[..4].copy_from_slice(&[1, 2, 3, 4]);
        let parts = render_job(
            &prev_hash,
            &[0xaa],
            &[0xbb, 0xcc],
            &[[0x11; 32], [0x22; 32]],
            0x2000_0000,
            0x1d00_ffff,
        );
        let mut line = Vec::new();
        parts.write(&mut line, 0x1f, &[0xde, 0xad], 0x5f00_0001, true);
        let expected = format!(
            "{{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"1f\",\"04030201{}\",\"aadead\",\"bbcc\",\
             [\"{}\",\"{}\"],\"20000000\",\"1d00ffff\",\"5f000001\",true]}}\n",
            "0".repeat(56),
            "11".repeat(32),
            "22".repeat(32),
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back_by_the_client(
            prev_hash: [u8; 32],
            prefix in prop::collection::vec(any::<u8>(), 0..80),
            suffix in prop::collection::vec(any::<u8>(), 0..80),
            merkle_path in prop::collection::vec(any::<[u8; 32]>(), 0..14),
            version: u32, nbits: u32, ntime: u32, job_id: u32, clean_jobs: bool,
            extra in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let parts = render_job(&prev_hash, &prefix, &suffix, &merkle_path, version, nbits);
            let mut line = Vec::new();
            parts.write(&mut line, job_id, &extra, ntime, clean_jobs);
            prop_assert!(line.len() <= parts.max_len(extra.len()));
            prop_assert_eq!(line.pop(), Some(b'\n'));
            let ServerMessage::Notify(notify) = parse_message(&line).unwrap() else { panic!("no notify") };
            prop_assert_eq!(&*notify.job_id, format!("{job_id:x}"));
            prop_assert_eq!(notify.prev_hash, prev_hash);
            prop_assert_eq!(notify.coinb1, [prefix, extra].concat());
            prop_assert_eq!(notify.coinb2, suffix);
            prop_assert_eq!(notify.merkle_path, merkle_path);
            prop_assert_eq!((notify.version, notify.nbits, notify.ntime), (version, nbits, ntime));
            prop_assert_eq!(notify.clean_jobs, clean_jobs);
        }
    }
}
