//! PushSolution (6.4.9): the block is put together from what was declared, and goes into the chain.

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Target};
use sv2::job_declaration::PushSolution;
use tracing::info;

use super::connection::Declarator;
use super::declared::Solved;
use crate::dev_pool::blocks::{Found, Route};

impl Declarator {
    pub(super) fn on_solution(&self, solution: &PushSolution<'_>) {
        self.jds.counters.count(|stats| stats.solutions += 1);
        let solved = Solved {
            version: solution.version,
            ntime: solution.ntime,
            nonce: solution.nonce,
            extranonce: solution.extranonce.as_slice(),
        };
        let prev_hash = BlockHash::from_byte_array(solution.prev_hash);
        // The last declared job is nearly always the one, but solutions of those before it are blocks, too.
        let block = self
            .declared
            .iter()
            .rev()
            .filter(|job| job.prev_hash == prev_hash && job.nbits.to_consensus() == solution.nbits)
            .filter_map(|job| job.block(&solved))
            .find(|block| Target::from_compact(block.header.bits).is_met_by(block.block_hash()));
        match block {
            Some(block) => self.shared.found(Route::PushSolution, block.block_hash(), Found::Block(block)),
            None => {
                self.jds.counters.count(|stats| stats.solutions_useless += 1);
                info!("a solution belongs to no job that was declared");
            }
        }
    }
}
