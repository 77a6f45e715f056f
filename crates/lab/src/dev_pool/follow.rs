//! A pool whose chain is a node's: tip, difficulty and templates come from a template provider, blocks go to it.

use std::sync::Arc;

use bitcoin::Wtxid;
use bitcoin::hashes::Hash;
use template::dev_chain::DevTemplate;
use template::{ProviderEvent, ProviderHandle};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{DevPoolError, Shared};

/// Waits for the node's first template.
pub(super) async fn first_template(node: &mut ProviderHandle) -> Result<Arc<DevTemplate>, DevPoolError> {
    loop {
        match node.events.recv().await {
            Some(ProviderEvent::Template(template)) => match DevTemplate::from_node(&template) {
                Some(template) => return Ok(Arc::new(template)),
                None => warn!("a template of the node cannot be read"),
            },
            Some(ProviderEvent::Down { why, again_in }) => {
                warn!(why, ?again_in, "the node gives no templates yet: the pool waits for it");
            }
            Some(ProviderEvent::Up { what }) => info!(what, "the pool follows a node"),
            Some(ProviderEvent::Transactions { .. }) => {}
            None => return Err(DevPoolError::NodeEnded),
        }
    }
}

/// Follows the node for ever: each of its templates makes a job. Whatever the pool's own chain would say is not asked.
pub(super) async fn follow(mut events: mpsc::Receiver<ProviderEvent>, shared: Arc<Shared>) {
    while let Some(event) = events.recv().await {
        match event {
            ProviderEvent::Template(template) => match DevTemplate::from_node(&template) {
                Some(template) => {
                    // The order of templates is that of the chain's lock.
                    let _chain = shared.chain();
                    shared.publish_template(Arc::new(template));
                }
                None => warn!("a template of the node cannot be read"),
            },
            // Where they come after the template, the pool's own job does without: its solutions go by the template's
            // number.
            ProviderEvent::Transactions { transactions, .. } => {
                if let Some(jds) = &shared.jds {
                    jds.learn_bytes(
                        transactions.iter().map(|tx| (Wtxid::from_byte_array(tx.wtxid), &*tx.bytes)),
                    );
                }
            }
            ProviderEvent::Down { why, again_in } => {
                warn!(why, ?again_in, "the node gives no templates: the last job goes on");
            }
            ProviderEvent::Up { what } => info!(what, "the node gives templates again"),
        }
    }
    warn!("the template provider has ended: the last job goes on");
}
