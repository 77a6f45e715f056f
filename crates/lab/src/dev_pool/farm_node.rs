//! The pool's dev chain as a farm's node: declared templates come from the chain that the pool is on.

use std::sync::Arc;

use bitcoin::{Block, BlockHash};
use template::dev_chain::{BlockAccepted, BlockRejected, DevTemplate};
use template::dev_node::DevNode;
use tokio::sync::watch;

use super::blocks::Route;
use super::{Shared, unix_now};

impl DevNode for Shared {
    fn tips(&self) -> watch::Receiver<BlockHash> {
        self.tip.subscribe()
    }

    fn template(&self) -> Arc<DevTemplate> {
        self.chain().detached_template(unix_now())
    }

    fn submit(&self, block: &[u8]) -> Result<BlockAccepted, BlockRejected> {
        let result = self.submit_block(block);
        if let Ok(Block { header, .. }) = bitcoin::consensus::deserialize(block) {
            self.count_block(Route::FarmNode, header.block_hash(), &result);
        }
        result
    }
}
