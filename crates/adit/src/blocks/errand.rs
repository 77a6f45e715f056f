//! One block, on its way to every node.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use engine::source::BlockOutcome;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use template::{Offered, Solution, Submitted};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use work::{BlockHash, Header};

use super::desk::{Finding, Lane, Shared};
use super::files::Ending;
use super::node::{Node, lacks_parent, may_change};
use crate::templates::ProviderNews;

/// The wait before a node is asked again, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A block that no node has after this long has lost its race for good; it stays on disk.
const GIVE_UP: Duration = Duration::from_secs(2 * 3600);

/// Blocks in a row that a node may have lost and gets again: on a real chain even one in the minutes between two of its
/// writes to the disk is rare.
const LOST: usize = 16;

/// A block that nobody has taken or refused is given up when the chain is this many blocks beyond it.
const HISTORY: u32 = 3;

/// Where a whole block comes from.
enum Whole {
    /// It is made, as soon as its template's transactions are there.
    Made { offered: Arc<Offered>, header: Header, coinbase: Vec<u8> },
    /// It was on disk, and is there still.
    OnDisk(Arc<[u8]>),
}

/// See the module.
pub(super) struct Errand<N> {
    shared: Arc<Shared<N>>,
    /// Its hash as people write it.
    hash: String,
    /// Of a block that was found just now, where its template says it.
    height: Option<u32>,
    /// Its file's name, without the ending.
    name: String,
    whole: Whole,
    /// For the provider with this number.
    solution: Option<(usize, Solution)>,
    outcome: Option<(u64, mpsc::Sender<(u64, BlockOutcome)>)>,
}

/// A node's last word.
enum Word {
    Taken,
    Refused(String),
    /// It was told, and does not answer.
    Sent,
    /// It could not be asked, until that did not matter any more.
    Never(String),
    /// The chain went on without it.
    Late,
}

impl<N: Node> Errand<N> {
    /// For a block that a miner has found just now.
    pub(super) fn of_finding(shared: Arc<Shared<N>>, finding: Finding) -> Self {
        let Finding { source, number, offered, header, coinbase, outcome } = finding;
        let hash = header.hash().to_string();
        let height = offered.template().coinbase.height();
        info!(source, block = hash, height, "block found");
        let solution =
            Solution { template_id: offered.template().template_id, header, coinbase: coinbase.clone() };
        Self {
            shared,
            name: format!("{}-{hash}", height.unwrap_or(header.ntime)),
            hash,
            height,
            solution: Some((offered.provider(), solution)),
            whole: Whole::Made { offered, header, coinbase },
            outcome: outcome.map(|outcome| (number, outcome)),
        }
    }

    /// For a block that an earlier run has left on disk.
    pub(super) fn of_file(shared: Arc<Shared<N>>, name: String, block: Arc<[u8]>) -> Self {
        let hash = name.rsplit('-').next().unwrap_or_default().to_owned();
        Self {
            shared,
            hash,
            // Its node says what it makes of it, however old it is.
            height: None,
            name,
            whole: Whole::OnDisk(block),
            solution: None,
            outcome: None,
        }
    }

    /// To the end: a node has it, none wants it, or it is too late.
    pub(super) async fn run(self) {
        let Self { shared, hash, height, name, whole, solution, outcome } = self;
        shared.figures.in_work.fetch_add(1, Relaxed);
        let began = Instant::now();
        let decided = CancellationToken::new();
        let (made, seen) = watch::channel(None);
        let saving = tokio::spawn(save(Arc::clone(&shared), name.clone(), whole, made, decided.clone()));
        let mut lanes: FuturesUnordered<_> = (0..shared.nodes.len())
            .map(|at| {
                let own =
                    solution.as_ref().filter(|(provider, _)| *provider == at).map(|(_, own)| own.clone());
                let (shared, seen, decided) = (Arc::clone(&shared), seen.clone(), decided.clone());
                async move { (at, hand_in(&shared, at, own, seen, &decided).await) }.boxed()
            })
            .collect();
        let (of, board, until) = (hash.clone(), shared.board.clone(), decided.clone());
        lanes.push(async move { (usize::MAX, built_on(&of, height, board, &until).await) }.boxed());
        let mut refused = None;
        let mut taken = false;
        // Where nobody answers, only the next tip can tell.
        let (mut open, mut sent) = (shared.nodes.len(), false);
        let deadline = began + GIVE_UP;
        while let Ok(Some((at, word))) = tokio::time::timeout_at(deadline, lanes.next()).await {
            let node = shared.nodes.get(at).map_or("a template builds on it", |lane| lane.name.as_str());
            match word {
                Word::Taken => {
                    info!(block = hash, node, after = ?began.elapsed(), "a node has the block");
                    taken = true;
                    break;
                }
                Word::Refused(reason) => {
                    warn!(block = hash, node, reason, "a node does not want the block");
                    refused = Some(reason);
                }
                Word::Sent => {
                    info!(block = hash, node, "the block was sent; nobody answers there");
                    sent = true;
                }
                Word::Never(reason) => warn!(block = hash, node, reason, "a node cannot take the block"),
                Word::Late => {
                    warn!(block = hash, "the chain went on without the block");
                    // Whoever was sent it has not taken it.
                    refused = refused.or_else(|| sent.then(|| "the chain went on without it".to_owned()));
                    break;
                }
            }
            open = open.saturating_sub(1);
            if open == 0 && !sent {
                break;
            }
        }
        let ending = match (taken, &refused) {
            (true, _) => BlockOutcome::Taken,
            (false, Some(_)) => BlockOutcome::Refused,
            (false, None) => BlockOutcome::NotAsked,
        };
        match ending {
            BlockOutcome::Taken => shared.figures.taken.fetch_add(1, Relaxed),
            BlockOutcome::Refused => shared.figures.refused.fetch_add(1, Relaxed),
            BlockOutcome::NotAsked => {
                error!(block = hash, "no node could take the block; it is handed in again at the next start");
                0
            }
        };
        let put_aside = async {
            if let Some((number, outcome)) = outcome {
                // A source that has ended needs to know nothing.
                let _ = outcome.send((number, ending)).await;
            }
            decided.cancel();
            let saved = saving.await.unwrap_or(false);
            let ending = match ending {
                BlockOutcome::Taken => Some(Ending::Taken),
                BlockOutcome::Refused => Some(Ending::Refused),
                BlockOutcome::NotAsked => None,
            };
            if let Some(ending) = ending.filter(|_| saved) {
                settle(&shared, name, ending).await;
            }
            shared.figures.in_work.fetch_sub(1, Relaxed);
        };
        // What is under way to other nodes gets there, too. Meanwhile: a lane whose turn has come keeps that node's other
        // blocks waiting, and a disk may take its time.
        let others =
            async { while let Ok(Some(_)) = tokio::time::timeout_at(deadline, lanes.next()).await {} };
        tokio::join!(put_aside, others);
    }
}

/// Makes the block whole, shows it, and brings it to the disk. Gives whether it is there.
async fn save<N: Node>(
    shared: Arc<Shared<N>>,
    name: String,
    whole: Whole,
    made: watch::Sender<Option<Arc<[u8]>>>,
    decided: CancellationToken,
) -> bool {
    let (offered, header, coinbase) = match whole {
        Whole::OnDisk(block) => {
            made.send_replace(Some(block));
            // Kept until nobody waits for it any more.
            decided.cancelled().await;
            return true;
        }
        Whole::Made { offered, header, coinbase } => (offered, header, coinbase),
    };
    if offered.transactions().is_none() {
        let mut board = shared.board.clone();
        let come = board.wait_for(|_| offered.transactions().is_some());
        if decided.run_until_cancelled(come).await.is_none() {
            return false;
        }
    }
    let making = tokio::task::spawn_blocking(move || offered.block(&header, &coinbase));
    let Ok(Some(block)) = making.await else {
        error!(block = name, "the template's transactions are not its own: the block goes to its node only");
        return false;
    };
    let block: Arc<[u8]> = block.into();
    made.send_replace(Some(Arc::clone(&block)));
    let (files, on_disk) = (shared.files.clone(), name.clone());
    let saved = tokio::task::spawn_blocking(move || files.save(&on_disk, &block)).await;
    let saved = match saved {
        Ok(Ok(())) => {
            shared.figures.waiting.fetch_add(1, Relaxed);
            true
        }
        Ok(Err(error)) => {
            shared.figures.disk_errors.fetch_add(1, Relaxed);
            error!(block = name, %error, "the block cannot be written to the disk; if Adit ends before a node has it, it is lost");
            false
        }
        Err(_) => false,
    };
    decided.cancelled().await;
    saved
}

async fn settle<N: Node>(shared: &Shared<N>, name: String, ending: Ending) {
    let (files, of) = (shared.files.clone(), name.clone());
    match tokio::task::spawn_blocking(move || files.settle(&of, ending)).await {
        Ok(Ok(())) => {
            shared.figures.waiting.fetch_sub(1, Relaxed);
        }
        Ok(Err(error)) => {
            shared.figures.disk_errors.fetch_add(1, Relaxed);
            warn!(block = name, %error, "the block's file cannot be put aside: it is handed in again at the next start");
        }
        Err(_) => {}
    }
}

/// Hands the block in to one node, again and again, until it has it, does not want it, or another node has it.
async fn hand_in<N: Node>(
    shared: &Shared<N>,
    at: usize,
    own: Option<Solution>,
    mut whole: watch::Receiver<Option<Arc<[u8]>>>,
    decided: &CancellationToken,
) -> Word {
    let Some(lane) = shared.nodes.get(at) else { return Word::Never("there is no such node".to_owned()) };
    if own.is_none() {
        // Another node's template: nothing to say before the block is whole. It is told once, though a node has it
        // already: that one may be alone.
        if whole.wait_for(Option::is_some).await.is_err() {
            return Word::Never("the block was not made whole".to_owned());
        }
    }
    let mut wait = FIRST_WAIT;
    loop {
        let said = {
            let Ok(_turn) = lane.free.acquire().await else {
                return Word::Never("the desk is closed".to_owned());
            };
            attempt(&lane.node, own.as_ref(), &whole).await
        };
        let why = match said {
            Submitted::Taken => return Word::Taken,
            Submitted::Sent => return Word::Sent,
            Submitted::Refused(reason) if !may_change(&reason) => return Word::Refused(reason),
            Submitted::Refused(reason) | Submitted::NotPossible(reason) => reason,
        };
        if wait == FIRST_WAIT {
            warn!(node = lane.name, reason = why, "a block is not taken at once; the node is asked again");
        } else {
            debug!(node = lane.name, reason = why, again_in = ?wait, "a block is not taken yet");
        }
        if lacks_parent(&why) && hand_in_parents(shared, lane, &whole).await {
            wait = FIRST_WAIT;
        }
        let was_up = is_up(&shared.board.borrow(), at);
        let mut board = shared.board.clone();
        tokio::select! {
            () = decided.cancelled() => return Word::Never(why),
            () = tokio::time::sleep(wait) => {}
            // A node that is back is asked at once.
            Ok(_) = board.wait_for(|board| is_up(board, at)), if !was_up => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Hands in again what this block builds on, as far as those blocks are of ours and a node had them: a node that is killed
/// forgets what it has not brought to the disk, and may be the only one that had it. True: it has them again.
async fn hand_in_parents<N: Node>(
    shared: &Shared<N>,
    lane: &Lane<N>,
    whole: &watch::Receiver<Option<Arc<[u8]>>>,
) -> bool {
    let Some(mut child) = whole.borrow().clone() else { return false };
    // The newest first; by their hashes, since each may have megabytes.
    let mut lost: Vec<String> = Vec::new();
    loop {
        let Some(hash) = parent_of(&child).filter(|_| lost.len() < LOST) else { return false };
        let Some(parent) = taken_before(shared, &hash).await else { return false };
        lost.push(hash);
        match hand_in_whole(lane, Arc::clone(&parent)).await {
            Submitted::Taken => break,
            Submitted::Refused(reason) if lacks_parent(&reason) => child = parent,
            _ => return false,
        }
    }
    warn!(node = lane.name, blocks = ?lost, "a node has lost blocks that it had: they are handed in again");
    // The earliest has just been taken.
    let _ = lost.pop();
    for hash in lost.iter().rev() {
        let Some(block) = taken_before(shared, hash).await else { return false };
        if hand_in_whole(lane, block).await != Submitted::Taken {
            return false;
        }
    }
    true
}

/// The hash of the block that a block builds on, as people write it.
fn parent_of(block: &[u8]) -> Option<String> {
    let prev_hash: [u8; 32] = block.get(4..36)?.try_into().ok()?;
    Some(BlockHash::from_bytes(prev_hash).to_string())
}

/// A block that a node had once, from the disk.
async fn taken_before<N: Node>(shared: &Shared<N>, hash: &str) -> Option<Arc<[u8]>> {
    let (files, of) = (shared.files.clone(), hash.to_owned());
    match tokio::task::spawn_blocking(move || files.taken(&of)).await {
        Ok(Ok(block)) => block.map(Arc::from),
        Ok(Err(error)) => {
            shared.figures.disk_errors.fetch_add(1, Relaxed);
            warn!(block = hash, %error, "the block before cannot be read from the disk");
            None
        }
        Err(_) => None,
    }
}

async fn hand_in_whole<N: Node>(lane: &Lane<N>, block: Arc<[u8]>) -> Submitted {
    match lane.free.acquire().await {
        Ok(_turn) => lane.node.block(block).await,
        Err(_) => Submitted::NotPossible("the desk is closed".to_owned()),
    }
}

/// Waits until some provider's template builds on the block: a node has it then, whatever was said. Or until the chain is
/// far beyond it.
async fn built_on(
    hash: &str,
    height: Option<u32>,
    mut board: watch::Receiver<Vec<ProviderNews>>,
    decided: &CancellationToken,
) -> Word {
    let word = |news: &ProviderNews| {
        let newest = news.newest.as_ref()?.template();
        if BlockHash::from_bytes(newest.prev_hash).to_string() == hash {
            return Some(Word::Taken);
        }
        let (height, next) = (height?, newest.coinbase.height()?);
        (next > height.saturating_add(HISTORY)).then_some(Word::Late)
    };
    let mut said = None;
    let seen = board.wait_for(|board| {
        said = board.iter().find_map(word);
        said.is_some()
    });
    let ended = decided.run_until_cancelled(seen).await.is_none_or(|seen| seen.is_err());
    said.filter(|_| !ended).unwrap_or_else(|| Word::Never("nobody looks any more".to_owned()))
}

fn is_up(board: &[ProviderNews], at: usize) -> bool {
    board.get(at).is_some_and(|news| news.up.is_some())
}

/// By the template's own provider first, then whole.
async fn attempt<N: Node>(
    node: &N,
    own: Option<&Solution>,
    whole: &watch::Receiver<Option<Arc<[u8]>>>,
) -> Submitted {
    let by_solution = match own {
        Some(solution) => Some(node.solution(solution.clone()).await),
        None => None,
    };
    if let Some(said @ (Submitted::Taken | Submitted::Sent)) = by_solution {
        return said;
    }
    let block = whole.borrow().clone();
    let by_block = match block {
        Some(block) => node.block(block).await,
        None => Submitted::NotPossible("its transactions are not there yet".to_owned()),
    };
    match (by_solution, by_block) {
        // The node's own word counts for more than that there is no second way.
        (Some(Submitted::Refused(reason)), Submitted::NotPossible(_)) => Submitted::Refused(reason),
        (Some(Submitted::NotPossible(first)), Submitted::NotPossible(second)) => {
            Submitted::NotPossible(format!("{first}; whole: {second}"))
        }
        (_, by_block) => by_block,
    }
}
