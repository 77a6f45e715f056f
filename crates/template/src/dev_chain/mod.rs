//! An embedded dev chain: a block chain in memory that hands out templates and judges blocks.
//!
//! It stands in for a Bitcoin node wherever none is wanted (the demo, tests, benches). Templates carry
//! dummy transactions so that merkle paths are not empty, and every block that comes back is judged as a
//! node would judge it, with the `bitcoin` crate: decoding, proof of work, merkle root, parent, time,
//! coinbase (BIP 34 height, size, value, witness commitment). What it does *not* check is that the
//! transactions spend something: they are made up.
//!
//! The chain's difficulty never changes: every block has [`DevChainOptions::nbits`]. Tips change at will
//! ([`DevChain::new_tip`], [`DevChain::reorganise`], [`DevChain::switch_to`]) with blocks that somebody
//! else is supposed to have found: such blocks carry no proof of work.
//!
//! Times are Unix seconds (`u32`, as in a block header) and always arguments.

mod block_check;
mod error;
mod from_node;
mod merkle;
mod template;
mod transactions;

use std::collections::VecDeque;
use std::sync::Arc;

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, CompactTarget, Target, Transaction, TxMerkleNode};

pub use block_check::{MAX_BLOCK_WEIGHT, MAX_FUTURE_BLOCK_TIME, SUBSIDY};
pub use error::{BlockRejected, OptionsError, UnknownBlock};
pub use merkle::{fold_merkle_path, merkle_path_of_coinbase};
pub use template::{CoinbaseHalves, CoinbaseTooLong, DevTemplate, MAX_SCRIPT_SIG};
pub use transactions::DUMMY_COIN;

/// Version of every header and template: BIP 9 top bits, no deployment signalled.
pub const BLOCK_VERSION: i32 = 0x2000_0000;

/// Most headers that a chain may be told to keep.
pub const MAX_HEADER_HISTORY: usize = 100_000;

/// Fewest headers that a chain keeps: the median time past needs eleven.
pub const MIN_HEADER_HISTORY: usize = 12;

/// Templates that stay open for solutions; the oldest goes first.
pub const TEMPLATE_HISTORY: usize = 16;

/// Most dummy transactions a template may carry (a merkle path of 12 needs 2,048).
pub const MAX_DUMMY_TRANSACTIONS: usize = 8_191;

/// Most that a template's dummy transactions may weigh together: what a node leaves by default, weight units.
pub const MAX_DUMMY_WEIGHT: u64 = MAX_BLOCK_WEIGHT - 8_000;

/// How a dev chain is made.
#[derive(Clone, Debug)]
pub struct DevChainOptions {
    /// Network target of every block, in compact form. The default, `0x1e00ffff`, is difficulty 0.0039:
    /// about 16.8 million hashes a block.
    pub nbits: u32,
    /// Dummy transactions in each template besides the coinbase. The merkle path has
    /// `ceil(log2(n + 1))` steps. Default 5.
    pub dummy_transactions: usize,
    /// Whether templates carry a BIP 141 witness commitment, so that the coinbase needs a witness.
    /// Default `false`.
    pub witness_commitment: bool,
    /// Whether dummy transactions pay fees, each more than the last: a later template on the same tip is worth more. The
    /// coins that they spend are supposed to hold [`DUMMY_COIN`]. Default `false`.
    pub fees: bool,
    /// Further bytes of witness in each dummy transaction, where templates have a witness commitment: so many and such
    /// transactions fill a block. Default 0.
    pub witness_padding: usize,
    /// Headers that are kept, side branches included. Default 288.
    pub header_history: usize,
    /// Time of the genesis block, Unix seconds.
    pub genesis_time: u32,
    /// Goes into the genesis coinbase: two chains with different seeds share no block. Also makes the
    /// dummy transactions differ.
    pub seed: u64,
}

impl Default for DevChainOptions {
    fn default() -> Self {
        DevChainOptions {
            nbits: 0x1e00_ffff,
            dummy_transactions: 5,
            witness_commitment: false,
            fees: false,
            witness_padding: 0,
            header_history: 288,
            genesis_time: 1_231_006_505,
            seed: 0,
        }
    }
}

/// A block as the chain remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Hash of the block.
    pub hash: BlockHash,
    /// Hash of its parent.
    pub prev_hash: BlockHash,
    /// Blocks before it: the genesis block has 0.
    pub height: u32,
    /// Time in its header, Unix seconds.
    pub time: u32,
}

/// What became of a block that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockAccepted {
    /// Hash of the block.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Whether it is the tip now. `false`: it extends a branch that is not the longest.
    pub new_tip: bool,
}

/// The chain itself. See the [module's page](self).
#[derive(Debug)]
pub struct DevChain {
    options: DevChainOptions,
    target: Target,
    genesis: Block,
    /// Blocks in the order of arrival, side branches included; at most `options.header_history`.
    blocks: VecDeque<Tip>,
    tip: Tip,
    templates: VecDeque<Arc<DevTemplate>>,
    next_template_id: u64,
    pool: transactions::DummyPool,
    /// Distinguishes blocks that the chain makes itself.
    made: u64,
}

impl DevChain {
    /// Makes a chain that consists of its genesis block.
    ///
    /// # Errors
    /// When an option is out of its range; the error says which.
    pub fn new(options: DevChainOptions) -> Result<DevChain, OptionsError> {
        if options.dummy_transactions > MAX_DUMMY_TRANSACTIONS {
            return Err(OptionsError::TooManyTransactions { got: options.dummy_transactions });
        }
        if !(MIN_HEADER_HISTORY..=MAX_HEADER_HISTORY).contains(&options.header_history) {
            return Err(OptionsError::HeaderHistory { got: options.header_history });
        }
        let bits = CompactTarget::from_consensus(options.nbits);
        let target = Target::from_compact(bits);
        // A negative or overflowing compact target reads as zero or does not survive the way back.
        if target == Target::ZERO || target.to_compact_lossy() != bits {
            return Err(OptionsError::Bits { got: options.nbits });
        }
        let coinbase = transactions::genesis_coinbase(options.seed);
        let genesis = Block {
            header: Header {
                version: Version::from_consensus(BLOCK_VERSION),
                prev_blockhash: BlockHash::all_zeros(),
                merkle_root: TxMerkleNode::from_byte_array(coinbase.compute_txid().to_byte_array()),
                time: options.genesis_time,
                bits,
                nonce: 0,
            },
            txdata: vec![coinbase],
        };
        let tip = Tip {
            hash: genesis.block_hash(),
            prev_hash: BlockHash::all_zeros(),
            height: 0,
            time: options.genesis_time,
        };
        let pool = transactions::DummyPool::new(&options);
        let weight = pool.weight();
        if weight > MAX_DUMMY_WEIGHT {
            return Err(OptionsError::TooHeavy { got: weight });
        }
        Ok(DevChain {
            options,
            target,
            genesis,
            blocks: VecDeque::from([tip]),
            tip,
            templates: VecDeque::new(),
            next_template_id: 1,
            pool,
            made: 0,
        })
    }

    /// The first block. It has no proof of work: it is valid by definition.
    pub fn genesis(&self) -> &Block {
        &self.genesis
    }

    /// The block that templates extend.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// The network target: a header hash at or below it is a block.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The network target in compact form, as it stands in headers.
    pub fn nbits(&self) -> CompactTarget {
        CompactTarget::from_consensus(self.options.nbits)
    }

    /// The block with this hash, if the chain still remembers it.
    pub fn block(&self, hash: &BlockHash) -> Option<Tip> {
        // Newest first: what is asked for is nearly always near the tip.
        self.blocks.iter().rev().find(|block| block.hash == *hash).copied()
    }

    /// Headers remembered at present.
    pub fn blocks_kept(&self) -> usize {
        self.blocks.len()
    }

    /// Makes a new template on the tip. Each has another id and, if there are dummy transactions at all,
    /// another set of them, as after a change in a node's mempool.
    ///
    /// `now` is the header time to start with unless the median time past is later.
    pub fn template(&mut self, now: u32) -> Arc<DevTemplate> {
        let template = self.detached_template(now);
        while self.templates.len() >= TEMPLATE_HISTORY {
            self.templates.pop_front();
        }
        self.templates.push_back(Arc::clone(&template));
        template
    }

    /// As [`template`](Self::template), but the chain does not remember it: whoever asked hands in whole blocks
    /// ([`submit_block`](Self::submit_block)).
    pub fn detached_template(&mut self, now: u32) -> Arc<DevTemplate> {
        let transactions = self.pool.next_set(self.tip.hash);
        let template = Arc::new(DevTemplate::new(template::Parts {
            template_id: self.next_template_id,
            height: self.tip.height.saturating_add(1),
            prev_hash: self.tip.hash,
            min_time: self.median_time_past(self.tip).saturating_add(1),
            now,
            nbits: self.nbits(),
            target: self.target,
            witness_commitment: self.options.witness_commitment,
            value: self.allowed_value(transactions.iter()),
            transactions,
        }));
        self.next_template_id += 1;
        template
    }

    /// What the coinbase of a block with these other transactions may claim, satoshi.
    pub fn allowed_value<'a>(&self, transactions: impl IntoIterator<Item = &'a Transaction>) -> u64 {
        let fees = transactions.into_iter().map(transactions::fee);
        let fees = if self.options.fees { fees.fold(0, u64::saturating_add) } else { 0 };
        SUBSIDY.to_sat().saturating_add(fees)
    }

    /// The template with this id, if it is among the last [`TEMPLATE_HISTORY`].
    pub fn find_template(&self, template_id: u64) -> Option<&Arc<DevTemplate>> {
        self.templates.iter().rev().find(|template| template.template_id == template_id)
    }

    /// Judges a consensus-serialised block and takes it if it is good.
    ///
    /// # Errors
    /// Why the block was refused; the chain is unchanged then.
    pub fn submit_block(&mut self, block: &[u8], now: u32) -> Result<BlockAccepted, BlockRejected> {
        let block: Block = bitcoin::consensus::deserialize(block)
            .map_err(|error| BlockRejected::Undecodable { what: "block", error: error.to_string() })?;
        self.take(&block, now)
    }

    /// Judges a solution of a template: what differs from block to block, the rest is the template's.
    ///
    /// `coinbase_tx` is consensus-serialised, with or without its witness: a missing witness is added when
    /// the template commits to one (as Bitcoin Core's RPC does).
    ///
    /// # Errors
    /// Why the solution was refused; the chain is unchanged then.
    pub fn submit_solution(
        &mut self,
        template_id: u64,
        version: u32,
        header_timestamp: u32,
        nonce: u32,
        coinbase_tx: &[u8],
        now: u32,
    ) -> Result<BlockAccepted, BlockRejected> {
        let template = Arc::clone(
            self.find_template(template_id).ok_or(BlockRejected::UnknownTemplate { template_id })?,
        );
        let coinbase: Transaction = bitcoin::consensus::deserialize(coinbase_tx)
            .map_err(|error| BlockRejected::Undecodable { what: "coinbase", error: error.to_string() })?;
        let block = template.assemble(version, header_timestamp, nonce, coinbase);
        self.take(&block, now)
    }

    /// Makes a block on the tip as if somebody else had found it: no proof of work. Returns the new tip.
    pub fn new_tip(&mut self, now: u32) -> Tip {
        let parent = self.tip;
        let block = self.make_block(parent, now);
        self.remember(block);
        self.tip = block;
        block
    }

    /// Replaces the last `depth` blocks by `depth + 1` others. Returns the new tip.
    ///
    /// # Errors
    /// When the chain is shorter than that or no longer remembers the block to start from.
    pub fn reorganise(&mut self, depth: u32, now: u32) -> Result<Tip, UnknownBlock> {
        let mut base = self.tip;
        for _ in 0..depth {
            base = self.block(&base.prev_hash).ok_or(UnknownBlock { hash: base.prev_hash })?;
        }
        for _ in 0..=depth {
            base = self.make_block(base, now);
            self.remember(base);
        }
        self.tip = base;
        Ok(base)
    }

    /// Makes a remembered block the tip, whatever its height, as `invalidateblock` can do to a node.
    ///
    /// # Errors
    /// When the chain does not remember the block.
    pub fn switch_to(&mut self, hash: &BlockHash) -> Result<Tip, UnknownBlock> {
        self.tip = self.block(hash).ok_or(UnknownBlock { hash: *hash })?;
        Ok(self.tip)
    }

    /// Median of the times of a block and the ten before it: a child must be later.
    fn median_time_past(&self, block: Tip) -> u32 {
        let mut times = [0_u32; 11];
        let mut count = 0;
        let mut next = Some(block);
        for (slot, time) in times.iter_mut().enumerate() {
            let Some(current) = next else { break };
            *time = current.time;
            count = slot + 1;
            next = self.block(&current.prev_hash);
        }
        let times = &mut times[..count];
        times.sort_unstable();
        times[count / 2]
    }

    fn take(&mut self, block: &Block, now: u32) -> Result<BlockAccepted, BlockRejected> {
        let hash = block.block_hash();
        if self.block(&hash).is_some() {
            return Err(BlockRejected::Duplicate { hash });
        }
        let prev_hash = block.header.prev_blockhash;
        let parent = self.block(&prev_hash).ok_or(BlockRejected::UnknownParent { prev_hash })?;
        let height = parent.height.saturating_add(1);
        block_check::check(
            block,
            &block_check::Rules {
                height,
                nbits: self.nbits(),
                target: self.target,
                after: self.median_time_past(parent),
                now,
                allowed_value: self.allowed_value(block.txdata.iter().skip(1)),
            },
        )?;
        let block = Tip { hash, prev_hash, height, time: block.header.time };
        self.remember(block);
        let new_tip = height > self.tip.height;
        if new_tip {
            self.tip = block;
        }
        Ok(BlockAccepted { hash, height, new_tip })
    }

    /// A header on `parent` that nobody has ground: only its hash, height and time matter.
    fn make_block(&mut self, parent: Tip, now: u32) -> Tip {
        self.made += 1;
        let height = parent.height.saturating_add(1);
        let mut marker = [0_u8; 32];
        marker[..8].copy_from_slice(&self.made.to_le_bytes());
        marker[8..16].copy_from_slice(&self.options.seed.to_le_bytes());
        let header = Header {
            version: Version::from_consensus(BLOCK_VERSION),
            prev_blockhash: parent.hash,
            // Stands for a coinbase that nobody will ever ask for.
            merkle_root: TxMerkleNode::from_byte_array(marker),
            time: now.max(self.median_time_past(parent).saturating_add(1)),
            bits: self.nbits(),
            nonce: 0,
        };
        Tip { hash: header.block_hash(), prev_hash: parent.hash, height, time: header.time }
    }

    fn remember(&mut self, block: Tip) {
        while self.blocks.len() >= self.options.header_history {
            self.blocks.pop_front();
        }
        self.blocks.push_back(block);
    }
}

#[cfg(test)]
mod tests;
