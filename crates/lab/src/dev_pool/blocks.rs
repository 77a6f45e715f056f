//! Found blocks on their way into the chain: the pool's own, or that of the node that it follows.

use std::sync::Arc;

use bitcoin::{Block, BlockHash};
use template::dev_chain::{BlockAccepted, BlockRejected, DevTemplate};
use template::{Solution, Submitted};
use tracing::info;

use super::{Shared, unix_now};

/// How the pool came by a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A share of one of the pool's own jobs.
    OwnJob,
    /// A share of a job whose transactions were declared.
    DeclaredJob,
    /// PushSolution.
    PushSolution,
    /// A share of a job that nobody was shown: the client spreads the block, the pool cannot.
    CoinbaseOnly,
    /// A farm's node ([`DevPool::template_provider`](super::DevPool::template_provider)).
    FarmNode,
}

impl Route {
    /// In the order of their numbers.
    pub(super) const ALL: [Route; 5] =
        [Route::OwnJob, Route::DeclaredJob, Route::PushSolution, Route::CoinbaseOnly, Route::FarmNode];

    pub(super) fn name(self) -> &'static str {
        match self {
            Route::OwnJob => "own-job",
            Route::DeclaredJob => "declared-job",
            Route::PushSolution => "push-solution",
            Route::CoinbaseOnly => "coinbase-only",
            Route::FarmNode => "farm-node",
        }
    }
}

/// A block, as far as the pool has it.
pub(super) enum Found {
    /// All of it.
    Block(Block),
    /// What differs from block to block of one template.
    Solution { template: Arc<DevTemplate>, version: u32, ntime: u32, nonce: u32, coinbase: Vec<u8> },
}

impl Shared {
    /// Hands a block in. What becomes of it is counted; one that came by another way first is not counted again.
    pub(super) fn found(self: &Arc<Self>, route: Route, hash: BlockHash, found: Found) {
        let Some(node) = self.node.clone() else {
            let result = match found {
                Found::Block(block) => self.submit_block(&bitcoin::consensus::serialize(&block)),
                Found::Solution { template, version, ntime, nonce, coinbase } => {
                    self.submit_solution(template.template_id, version, ntime, nonce, &coinbase)
                }
            };
            return self.count_block(route, hash, &result);
        };
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let submitted = match found {
                Found::Block(block) => node.submit_block(bitcoin::consensus::serialize(&block).into()).await,
                Found::Solution { template, version, ntime, nonce, coinbase } => {
                    let Ok(coinbase) = bitcoin::consensus::deserialize(&coinbase) else { return };
                    let block = template.assemble(version, ntime, nonce, coinbase);
                    let header = bitcoin::consensus::serialize(&block.header);
                    let Ok(header) = <[u8; 80]>::try_from(header) else { return };
                    let coinbase = bitcoin::consensus::serialize(&block.txdata[0]);
                    node.submit(Solution::from_bytes(template.template_id, &header, coinbase)).await
                }
            };
            let taken = submitted == Submitted::Taken;
            info!(%hash, ?submitted, route = route.name(), "a block went to the node");
            shared.stats.block(taken, &hash);
            if taken {
                shared.stats.route(route);
            }
        });
    }

    /// A block whose transactions nobody was shown: that it was found is all that the pool knows.
    pub(super) fn found_elsewhere(&self, hash: &BlockHash) {
        info!(%hash, "a block was found that its client has to spread");
        self.stats.route(Route::CoinbaseOnly);
    }

    pub(super) fn count_block(
        &self,
        route: Route,
        hash: BlockHash,
        result: &Result<BlockAccepted, BlockRejected>,
    ) {
        match result {
            Ok(block) => {
                info!(height = block.height, %hash, route = route.name(), "block found");
                self.stats.block(true, &hash);
                self.stats.route(route);
            }
            Err(BlockRejected::Duplicate { .. }) => {}
            Err(error) => {
                info!(%error, route = route.name(), "a block was refused");
                self.stats.block(false, &hash);
            }
        }
    }

    /// A share that is a block.
    fn submit_solution(
        &self,
        template_id: u64,
        version: u32,
        ntime: u32,
        nonce: u32,
        coinbase: &[u8],
    ) -> Result<BlockAccepted, BlockRejected> {
        let mut chain = self.chain();
        let accepted = chain.submit_solution(template_id, version, ntime, nonce, coinbase, unix_now())?;
        if accepted.new_tip {
            self.publish(&mut chain);
        }
        Ok(accepted)
    }

    pub(super) fn submit_block(&self, block: &[u8]) -> Result<BlockAccepted, BlockRejected> {
        let mut chain = self.chain();
        let accepted = chain.submit_block(block, unix_now())?;
        if accepted.new_tip {
            self.publish(&mut chain);
        }
        Ok(accepted)
    }
}
