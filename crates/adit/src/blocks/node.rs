//! A node, as far as the desk needs it.

use std::sync::Arc;

use template::{ProviderOrders, Solution, Submitted};

/// Takes blocks.
pub trait Node: Send + Sync + 'static {
    /// Takes a solution of one of its templates.
    fn solution(&self, solution: Solution) -> impl Future<Output = Submitted> + Send;
    /// Takes a whole block.
    fn block(&self, block: Arc<[u8]>) -> impl Future<Output = Submitted> + Send;
}

impl Node for ProviderOrders {
    async fn solution(&self, solution: Solution) -> Submitted {
        self.submit(solution).await
    }

    async fn block(&self, block: Arc<[u8]>) -> Submitted {
        self.submit_block(block).await
    }
}

/// A node's no that may become a yes: it does not know the block before, or its clock is behind.
#[must_use]
pub(super) fn may_change(reason: &str) -> bool {
    lacks_parent(reason) || reason.contains("time-too-new")
}

/// It does not know the block before.
#[must_use]
pub(super) fn lacks_parent(reason: &str) -> bool {
    reason.contains("prev-blk-not-found")
}
