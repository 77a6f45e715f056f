//! The desk itself: takes blocks in, as many as can be worked on, and starts an errand for each.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use engine::source::BlockOutcome;
use template::Offered;
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{error, info, warn};
use work::Header;

use super::errand::Errand;
use super::figures::BlockFigures;
use super::files::{BlockFiles, Left};
use super::node::Node;
use crate::templates::ProviderNews;

/// Blocks that wait for the desk.
const QUEUE: usize = 64;
/// Blocks of one tip that are worked on. On a real chain one is much; on a test chain nearly every share is one.
const PER_TIP: u32 = 8;
/// Tips whose blocks are counted.
const TIPS: usize = 8;
/// Blocks that are worked on at once.
const IN_WORK: usize = 64;

/// A block that was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The source whose miner found it, for the log.
    pub source: String,
    /// The source's number for it.
    pub number: u64,
    /// Its template.
    pub offered: Arc<Offered>,
    /// Its header.
    pub header: Header,
    /// Its whole coinbase, with the witness.
    pub coinbase: Vec<u8>,
    /// Where it is told what became of it, with the number; a pool's share has its answer from the pool.
    pub outcome: Option<mpsc::Sender<(u64, BlockOutcome)>>,
}

/// The way to the desk.
#[derive(Clone, Debug)]
pub struct BlockDesk(mpsc::Sender<Finding>);

impl BlockDesk {
    /// Opens the desk on the current runtime, over these nodes by their providers' numbers. What an earlier run has left
    /// in `folder` is handed in at once.
    #[must_use]
    pub fn open<N: Node>(
        nodes: Vec<(String, N)>,
        folder: PathBuf,
        board: watch::Receiver<Vec<ProviderNews>>,
        figures: Arc<BlockFigures>,
    ) -> Self {
        let (to, findings) = mpsc::channel(QUEUE);
        let nodes = nodes.into_iter().map(|(name, node)| Lane { name, node, free: Semaphore::new(1) });
        let shared = Shared { nodes: nodes.collect(), files: BlockFiles::new(folder), board, figures };
        tokio::spawn(run(Arc::new(shared), findings));
        Self(to)
    }

    /// Hands a block in. Never waits.
    ///
    /// # Errors
    /// Gives the block back when there are too many.
    pub fn hand_in(&self, finding: Finding) -> Result<(), Box<Finding>> {
        self.0.try_send(finding).map_err(|refused| Box::new(refused.into_inner()))
    }
}

/// A node, which gets one block after the other: several at once have been seen to end a node.
pub(super) struct Lane<N> {
    pub(super) name: String,
    pub(super) node: N,
    pub(super) free: Semaphore,
}

/// What all errands use.
pub(super) struct Shared<N> {
    pub(super) nodes: Vec<Lane<N>>,
    pub(super) files: BlockFiles,
    /// Tells when transactions come, and when a node is back.
    pub(super) board: watch::Receiver<Vec<ProviderNews>>,
    pub(super) figures: Arc<BlockFigures>,
}

async fn run<N: Node>(shared: Arc<Shared<N>>, mut findings: mpsc::Receiver<Finding>) {
    let places = Arc::new(Semaphore::new(IN_WORK));
    // Beside the first findings: they do not wait for the disk.
    tokio::spawn(hand_in_what_is_left(Arc::clone(&shared), Arc::clone(&places)));
    let mut tips: VecDeque<([u8; 32], u32)> = VecDeque::new();
    while let Some(finding) = findings.recv().await {
        shared.figures.found.fetch_add(1, Relaxed);
        let nth = count(&mut tips, finding.header.prev_hash);
        let place = Arc::clone(&places).try_acquire_owned().ok().filter(|_| nth <= PER_TIP);
        let Some(place) = place else {
            shared.figures.passed_over.fetch_add(1, Relaxed);
            // A source that has ended needs to know nothing.
            if let Some(outcome) = finding.outcome {
                let _ = outcome.try_send((finding.number, BlockOutcome::NotAsked));
            }
            continue;
        };
        let errand = Errand::of_finding(Arc::clone(&shared), finding);
        tokio::spawn(async move {
            errand.run().await;
            drop(place);
        });
    }
}

/// How many blocks of this tip there were, with this one.
fn count(tips: &mut VecDeque<([u8; 32], u32)>, tip: [u8; 32]) -> u32 {
    if let Some((_, count)) = tips.iter_mut().find(|(of, _)| *of == tip) {
        *count += 1;
        return *count;
    }
    if tips.len() == TIPS {
        tips.pop_front();
    }
    tips.push_back((tip, 1));
    1
}

async fn hand_in_what_is_left<N: Node>(shared: Arc<Shared<N>>, places: Arc<Semaphore>) {
    let files = shared.files.clone();
    let left = tokio::task::spawn_blocking(move || files.left()).await;
    let Left { blocks, all } = match left {
        Ok(Ok(left)) => left,
        Ok(Err(error)) => {
            shared.figures.disk_errors.fetch_add(1, Relaxed);
            warn!(%error, "blocks of an earlier run cannot be read");
            return;
        }
        Err(_) => {
            error!("reading the blocks of an earlier run ended by a mistake of Adit: please report it");
            return;
        }
    };
    if all > 0 {
        info!(
            blocks = all,
            read = blocks.len(),
            "blocks of an earlier run that no node had are handed in again"
        );
    }
    shared.figures.waiting.fetch_add(all as u64, Relaxed);
    for (name, block) in blocks {
        // They are half as many as there are places: new blocks find one.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let errand = Errand::of_file(Arc::clone(&shared), name, block.into());
        tokio::spawn(async move {
            errand.run().await;
            drop(place);
        });
    }
}
