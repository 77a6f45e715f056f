//! A pool's jobs, and its own judgement of shares: with the header hash and the targets of crate `bitcoin`, from its
//! own record of what it sent.

use std::rc::Rc;

use bitcoin::block::{Header, Version};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, CompactTarget, Target, TxMerkleNode};

use crate::sim::plan::NETWORK_BITS;
use crate::sim::rng::Rng;

/// Bytes of the script before the tag: the height.
const HEIGHT: usize = 4;
/// What a coinbase says of its origin: a mark, pool, connection, job.
pub(in crate::sim) const TAG: usize = 4 + 1 + 4 + 4;
const MARK: [u8; 4] = *b"/sim";
/// Where the script begins: version, input count, outpoint, script length.
const SCRIPT_AT: usize = 4 + 1 + 36 + 1;
/// Where the extranonce prefix begins.
pub(in crate::sim) const EXTRANONCE_AT: usize = SCRIPT_AT + HEIGHT + TAG;

/// In the place of the pool: the job was made from a template of the farm's own node.
const TEMPLATES: u8 = 0xfd;
/// Solo mining, in the place of the pool; so begin its extranonce prefixes.
pub(in crate::sim) const SOLO: u8 = 0xee;

/// What the script of a template's coinbase begins with: the height, and which template it is.
pub(in crate::sim) fn template_script(height: u32, template: u32) -> Vec<u8> {
    let mut script = vec![3];
    script.extend_from_slice(&height.to_le_bytes()[..3]);
    script.extend_from_slice(&MARK);
    script.push(TEMPLATES);
    // One byte less than a pool's tag has: the extranonce's push takes it.
    script.extend_from_slice(&[0; 3]);
    script.extend_from_slice(&template.to_be_bytes());
    script
}

/// Height and template that a script of a template's coinbase begins with.
pub(in crate::sim) fn read_template_script(script: &[u8]) -> Option<(u32, u32)> {
    let height = script.get(1..4)?;
    let template = script.get(HEIGHT + 8..HEIGHT + 12)?.try_into().map(u32::from_be_bytes).ok()?;
    let is_ours = script.get(HEIGHT..HEIGHT + 4)? == MARK && script.get(HEIGHT + 4) == Some(&TEMPLATES);
    is_ours.then_some((u32::from_le_bytes([height[0], height[1], height[2], 0]), template))
}

/// The bits of the version that may be rolled (BIP 323, less what BIP 310's usual mask leaves out).
pub(in crate::sim) const VERSION_MASK: u32 = 0x1fff_e000;
/// How far a share's time may lie ahead of the pool's clock, seconds.
const MAX_AHEAD: u32 = 7_200;

/// The tip of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) struct NetTip {
    pub(in crate::sim) hash: [u8; 32],
    pub(in crate::sim) height: u32,
}

/// What makes a job, apart from tip and extranonce.
#[derive(Debug)]
pub(in crate::sim) struct Body {
    pub(in crate::sim) version: u32,
    pub(in crate::sim) merkle_path: Vec<[u8; 32]>,
    pub(in crate::sim) prefix: Vec<u8>,
    pub(in crate::sim) suffix: Vec<u8>,
}

/// Who made a job, as its coinbase says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) struct JobTag {
    pub(in crate::sim) pool: u8,
    pub(in crate::sim) connection: u32,
    pub(in crate::sim) job_id: u32,
}

impl JobTag {
    /// Reads the tag in the first half of a coinbase.
    pub(in crate::sim) fn read(coinbase: &[u8]) -> Option<Self> {
        let tag = coinbase.get(SCRIPT_AT + HEIGHT..EXTRANONCE_AT)?;
        let number = |at: usize| tag[at..at + 4].try_into().map(u32::from_be_bytes).ok();
        if tag[..4] != MARK {
            return None;
        }
        let read = Self { pool: tag[4], connection: number(5)?, job_id: number(9)? };
        if read.pool != TEMPLATES {
            return Some(read);
        }
        let job_id = number(8)?;
        // A template of the farm's own node: the extranonce prefix says who is mined for.
        let prefix = coinbase.get(EXTRANONCE_AT..EXTRANONCE_AT + 3)?;
        let connection = u32::from(prefix[1]) << 8 | u32::from(prefix[2]);
        Some(match prefix[0] {
            SOLO => Self { pool: SOLO, connection: 0, job_id },
            pool => Self { pool, connection, job_id },
        })
    }
}

impl Body {
    /// A coinbase that a node would take, with `extranonce` bytes left out in its script.
    pub(in crate::sim) fn new(tag: JobTag, height: u32, extranonce: usize, rng: &mut Rng) -> Self {
        let tail = rng.index(4);
        let script = HEIGHT + TAG + extranonce + tail;
        let mut prefix = Vec::with_capacity(EXTRANONCE_AT);
        prefix.extend_from_slice(&2u32.to_le_bytes());
        prefix.push(1);
        prefix.extend_from_slice(&[0; 32]);
        prefix.extend_from_slice(&[0xff; 4]);
        prefix.push(u8::try_from(script).unwrap_or(100));
        prefix.push(3);
        prefix.extend_from_slice(&height.to_le_bytes()[..3]);
        prefix.extend_from_slice(&MARK);
        prefix.push(tag.pool);
        prefix.extend_from_slice(&tag.connection.to_be_bytes());
        prefix.extend_from_slice(&tag.job_id.to_be_bytes());
        let mut suffix = rng.bytes(tail);
        suffix.extend_from_slice(&[0xff; 4]);
        suffix.push(1);
        suffix.extend_from_slice(&312_500_000u64.to_le_bytes());
        suffix.push(22);
        suffix.extend_from_slice(&[0, 20]);
        suffix.extend(rng.bytes(20));
        suffix.extend_from_slice(&[0; 4]);
        let version = 0x2000_0000;
        let merkle_path = (0..rng.index(4)).map(|_| rng.hash()).collect();
        Self { version, merkle_path, prefix, suffix }
    }
}

/// A job as the pool remembers it for one channel.
#[derive(Clone, Debug)]
pub(in crate::sim) struct JobRecord {
    pub(in crate::sim) body: Rc<Body>,
    /// The channel's prefix when the job was sent: it holds for this job.
    pub(in crate::sim) prefix: Vec<u8>,
    pub(in crate::sim) tip: NetTip,
    pub(in crate::sim) min_ntime: u32,
    /// In force when the job became active, least significant byte first.
    pub(in crate::sim) target: [u8; 32],
    pub(in crate::sim) difficulty: f64,
    /// Another tip came since.
    pub(in crate::sim) stale: bool,
}

/// A share as it came.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Share<'a> {
    pub(in crate::sim) nonce: u32,
    pub(in crate::sim) ntime: u32,
    pub(in crate::sim) version: u32,
    pub(in crate::sim) extranonce: &'a [u8],
}

/// What the pool thinks of a share.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Judgement {
    pub(in crate::sim) hash: [u8; 32],
    pub(in crate::sim) is_block: bool,
    /// The error code, if it is not good.
    pub(in crate::sim) fault: Option<&'static str>,
}

impl JobRecord {
    /// Judges a share of this job. Duplicates are the caller's.
    pub(in crate::sim) fn judge(&self, share: &Share<'_>, extranonce_size: usize, unix: u32) -> Judgement {
        let header = self.header(share);
        let hash = header.block_hash();
        let network = Target::from_compact(CompactTarget::from_consensus(NETWORK_BITS));
        let fault = if share.extranonce.len() != extranonce_size {
            Some("bad-extranonce-size")
        } else if self.stale {
            Some("stale-share")
        } else if share.ntime < self.min_ntime || share.ntime > unix.saturating_add(MAX_AHEAD) {
            Some("invalid-timestamp")
        } else if (share.version ^ self.body.version) & !VERSION_MASK != 0 {
            Some("version-rolling-not-allowed")
        } else if !Target::from_le_bytes(self.target).is_met_by(hash) {
            Some("difficulty-too-low")
        } else {
            None
        };
        Judgement { hash: hash.to_byte_array(), is_block: network.is_met_by(hash), fault }
    }

    fn header(&self, share: &Share<'_>) -> Header {
        let coinbase = [&self.body.prefix, &self.prefix, share.extranonce, &self.body.suffix].concat();
        let mut root = sha256d::Hash::hash(&coinbase).to_byte_array();
        for step in &self.body.merkle_path {
            let mut pair = [0; 64];
            pair[..32].copy_from_slice(&root);
            pair[32..].copy_from_slice(step);
            root = sha256d::Hash::hash(&pair).to_byte_array();
        }
        Header {
            version: Version::from_consensus(share.version.cast_signed()),
            prev_blockhash: BlockHash::from_byte_array(self.tip.hash),
            merkle_root: TxMerkleNode::from_byte_array(root),
            time: share.ntime,
            bits: CompactTarget::from_consensus(NETWORK_BITS),
            nonce: share.nonce,
        }
    }
}
