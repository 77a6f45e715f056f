//! The desk in front of nodes that say what they are told to.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::source::BlockOutcome;
use template::{Offered, Solution, Submitted};
use tokio::sync::{mpsc, watch};
use work::coinbase::CoinbaseTemplate;
use work::{CoinbaseConstraints, Header, Template, TemplateParts};

use super::{BlockCounts, BlockDesk, BlockFigures, Finding, Node};
use crate::templates::ProviderNews;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at files and figures.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a node was asked: by which way.
type Call = (usize, &'static str);

/// A node that answers from a list, its last answer for ever; without any it never answers.
struct Fake {
    number: usize,
    answers: Mutex<VecDeque<Submitted>>,
    calls: mpsc::Sender<Call>,
    /// Calls that it works on now, and the most there were.
    open: AtomicUsize,
    most: Arc<AtomicUsize>,
}

impl Fake {
    async fn answer(&self, way: &'static str) -> Submitted {
        let open = self.open.fetch_add(1, Relaxed) + 1;
        self.most.fetch_max(open, Relaxed);
        self.calls.try_send((self.number, way)).expect("room for all calls of a test");
        let answer = {
            let mut answers = self.answers.lock().expect("no panic");
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        };
        let answer = match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        };
        self.open.fetch_sub(1, Relaxed);
        answer
    }
}

impl Node for Fake {
    async fn solution(&self, _: Solution) -> Submitted {
        self.answer("solution").await
    }

    async fn block(&self, _: Arc<[u8]>) -> Submitted {
        self.answer("block").await
    }
}

/// A desk, and everything around it.
struct Office {
    folder: PathBuf,
    desk: BlockDesk,
    figures: Arc<BlockFigures>,
    board: watch::Sender<Vec<ProviderNews>>,
    calls: mpsc::Receiver<Call>,
    outcome: mpsc::Sender<(u64, BlockOutcome)>,
    outcomes: mpsc::Receiver<(u64, BlockOutcome)>,
    most: Arc<AtomicUsize>,
}

/// In memory, where there is such a place: a disk under load was seen to take half a minute for a file, which is no matter
/// of these tests.
fn new_folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    place.join(format!("adit-desk-{:016x}", rand::random::<u64>()))
}

impl Office {
    /// A desk over nodes that answer so.
    fn open<const N: usize>(folder: PathBuf, answers: [&[Submitted]; N]) -> Self {
        let (to, calls) = mpsc::channel(1_000);
        let most = Arc::new(AtomicUsize::new(0));
        let node = |(number, answers): (usize, &[Submitted])| {
            let fake = Fake {
                number,
                answers: Mutex::new(answers.iter().cloned().collect()),
                calls: to.clone(),
                open: AtomicUsize::new(0),
                most: Arc::clone(&most),
            };
            (format!("node-{number}"), fake)
        };
        let nodes = answers.into_iter().enumerate().map(node).collect();
        let mut office = Self::over(folder, nodes);
        (office.calls, office.most) = (calls, most);
        office
    }

    /// A desk over these nodes, whose calls nobody hears.
    fn over<N: Node>(folder: PathBuf, nodes: Vec<(String, N)>) -> Self {
        let (_, calls) = mpsc::channel(1);
        let most = Arc::default();
        let (board, seen) = watch::channel(Vec::new());
        let figures = Arc::new(BlockFigures::default());
        let desk = BlockDesk::open(nodes, folder.clone(), seen, Arc::clone(&figures));
        let (outcome, outcomes) = mpsc::channel(64);
        Self { folder, desk, figures, board, calls, outcome, outcomes, most }
    }

    fn find(&self, number: u64, offered: &Arc<Offered>) -> Header {
        let template = offered.template();
        let nonce = u32::try_from(number).expect("few");
        let header = Header {
            version: template.version,
            prev_hash: template.prev_hash,
            merkle_root: [4; 32],
            ntime: template.min_ntime,
            nbits: template.nbits,
            nonce,
        };
        let finding = Finding {
            source: "solo".into(),
            number,
            offered: Arc::clone(offered),
            header,
            coinbase: vec![7; 100],
            outcome: Some(self.outcome.clone()),
        };
        self.desk.hand_in(finding).expect("the desk has room");
        header
    }

    async fn call(&mut self) -> Call {
        tokio::time::timeout(PATIENCE, self.calls.recv()).await.expect("a call in time").expect("nodes")
    }

    async fn outcome(&mut self) -> (u64, BlockOutcome) {
        tokio::time::timeout(PATIENCE, self.outcomes.recv())
            .await
            .expect("an outcome in time")
            .expect("a desk")
    }

    /// The figures, once nothing is worked on: a file is put aside a moment before they say so.
    async fn at_rest(&self) -> BlockCounts {
        let at_rest = until(|| {
            let counts = self.figures.read();
            if counts.in_work == 0 { Ok(counts) } else { Err(counts) }
        });
        at_rest.await.unwrap_or_else(|counts| panic!("still worked on: {counts:?}"))
    }

    /// The endings of the files, once there are as many as asked for and they are as asked for.
    async fn files(&self, endings: &[&str]) {
        let as_asked_for = until(|| {
            let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
            let names: Vec<String> =
                entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            let mut found: Vec<&str> =
                names.iter().filter_map(|name| Some(name.rsplit_once('.')?.1)).collect();
            found.sort_unstable();
            if found == endings { Ok(()) } else { Err(names) }
        });
        as_asked_for.await.unwrap_or_else(|names| panic!("files {names:?}, not {endings:?}"));
    }
}

/// Looks until it is as wanted; what was seen last if it never is. Neither files nor figures wake anybody.
async fn until<T, E>(mut look: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if seen.is_ok() || tokio::time::Instant::now() >= deadline {
            return seen;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A template of provider 0, for height 5.
fn offered(tip: u8, with_transactions: bool) -> Arc<Offered> {
    offered_on([tip; 32], 5, with_transactions)
}

fn offered_on(prev_hash: [u8; 32], height: u8, with_transactions: bool) -> Arc<Offered> {
    let parts = TemplateParts {
        template_id: 1,
        prev_hash,
        version: 0x2000_0000,
        min_ntime: 1_700_000_000,
        nbits: 0x207f_ffff,
        coinbase: CoinbaseTemplate {
            tx_version: 2,
            prefix: vec![1, height].into(),
            input_sequence: u32::MAX,
            value_remaining: 50,
            outputs: Vec::new(),
            locktime: 0,
            witness_reserved_value: None,
        },
        merkle_path: Some(Box::default()),
        transactions: with_transactions.then(|| Arc::new([]) as _),
        constraints: CoinbaseConstraints::default(),
    };
    Arc::new(Offered::new(0, Arc::new(Template::new(parts).expect("a template"))))
}

fn refused(reason: &str) -> Submitted {
    Submitted::Refused(reason.to_owned())
}

fn away() -> Submitted {
    Submitted::NotPossible("the node is away".to_owned())
}

#[tokio::test]
async fn a_block_goes_to_every_node_and_its_file_says_what_became_of_it() {
    let mut office = Office::open(new_folder(), [&[Submitted::Taken], &[Submitted::Taken]]);
    office.find(9, &offered(1, true));
    assert_eq!(office.outcome().await, (9, BlockOutcome::Taken));
    let mut calls = [office.call().await, office.call().await];
    calls.sort_unstable();
    assert_eq!(calls, [(0, "solution"), (1, "block")], "by the template's own node as a solution");
    office.files(&["taken"]).await;
    let counts = office.at_rest().await;
    assert_eq!((counts.found, counts.taken, counts.waiting), (1, 1, 0));
}

#[tokio::test]
async fn before_the_transactions_come_a_block_goes_as_a_solution_and_then_whole() {
    let mut office = Office::open(new_folder(), [&[away()], &[Submitted::Taken]]);
    let template = offered(1, false);
    office.find(1, &template);
    assert_eq!(office.call().await, (0, "solution"));
    template.fill(Arc::new([]));
    office.board.send_modify(|_| ());
    while office.call().await != (1, "block") {}
    assert_eq!(office.outcome().await, (1, BlockOutcome::Taken));
    office.files(&["taken"]).await;
}

#[tokio::test]
async fn a_no_that_may_change_is_asked_again_and_a_last_word_is_told() {
    let early = [refused("prev-blk-not-found"), refused("prev-blk-not-found"), Submitted::Taken];
    let mut office = Office::open(new_folder(), [&early]);
    office.find(1, &offered(1, true));
    assert_eq!(office.outcome().await, (1, BlockOutcome::Taken));
    drop(office);

    let mut office = Office::open(new_folder(), [&[refused("bad-cb-amount")], &[refused("bad-cb-amount")]]);
    office.find(2, &offered(1, true));
    assert_eq!(office.outcome().await, (2, BlockOutcome::Refused));
    office.files(&["refused"]).await;
    assert_eq!(office.at_rest().await.refused, 1);
}

#[test]
fn what_no_node_took_in_one_run_is_handed_in_by_the_next() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = new_folder();
    let first = runtime();
    first.block_on(async {
        let mut office = Office::open(folder.clone(), [&[away()]]);
        office.find(1, &offered(1, true));
        let _ = office.call().await;
        office.files(&["block"]).await;
        // The folder outlives this run.
        office.folder = new_folder();
    });
    drop(first);
    runtime().block_on(async {
        let mut office = Office::open(folder, [&[away(), away(), Submitted::Taken]]);
        for _ in 0..3 {
            assert_eq!(office.call().await, (0, "block"));
        }
        office.files(&["taken"]).await;
        let counts = office.at_rest().await;
        assert_eq!((counts.taken, counts.waiting), (1, 0));
    });
}

/// A node that knows what it was given, until it forgets it; its chain begins at `[1; 32]`.
#[derive(Clone, Default)]
struct Forgetful(Arc<Mutex<Vec<[u8; 32]>>>);

impl Node for Forgetful {
    async fn solution(&self, _: Solution) -> Submitted {
        away()
    }

    async fn block(&self, block: Arc<[u8]>) -> Submitted {
        let header = Header::from_bytes(block[..80].try_into().expect("a header"));
        let mut known = self.0.lock().expect("no panic");
        if header.prev_hash != [1; 32] && !known.contains(&header.prev_hash) {
            return refused("prev-blk-not-found");
        }
        known.push(header.hash().to_bytes());
        Submitted::Taken
    }
}

#[tokio::test]
async fn a_node_that_has_lost_what_a_block_builds_on_is_handed_that_first() {
    let node = Forgetful::default();
    let mut office = Office::over(new_folder(), vec![("forgetful".to_owned(), node.clone())]);
    let mut tip = [1; 32];
    let mut found = Vec::new();
    for number in 1..=4 {
        if number == 4 {
            // Killed before anything was on its disk.
            node.0.lock().expect("no panic").clear();
        }
        let height = u8::try_from(number).expect("few");
        tip = office.find(number, &offered_on(tip, height, true)).hash().to_bytes();
        found.push(tip);
        assert_eq!(office.outcome().await, (number, BlockOutcome::Taken));
    }
    assert_eq!(
        *node.0.lock().expect("no panic"),
        found,
        "the three that it had lost, in their order, and the fourth"
    );
    office.files(&["taken"; 4]).await;
}

#[tokio::test]
async fn of_a_storm_on_one_tip_a_few_are_worked_on_one_at_a_time_and_the_rest_is_counted() {
    let mut office = Office::open(new_folder(), [&[]]);
    let (storm, next) = (offered(1, true), offered(2, true));
    for number in 1..=20 {
        office.find(number, &storm);
    }
    for number in 9..=20 {
        assert_eq!(office.outcome().await, (number, BlockOutcome::NotAsked));
    }
    office.find(21, &next);
    // All are on disk, whatever the node does: those of the storm that are worked on, and that of the next tip.
    office.files(&["block"; 9]).await;
    let counts = office.figures.read();
    assert_eq!((counts.found, counts.passed_over, counts.in_work), (21, 12, 9));
    assert_eq!(office.most.load(Relaxed), 1, "a node gets one after the other");
}

#[tokio::test]
async fn a_node_that_gives_no_answer_has_a_block_when_its_next_template_stands_on_it() {
    let mut office = Office::open(new_folder(), [&[Submitted::Sent]]);
    let header = office.find(1, &offered(1, true));
    assert_eq!(office.call().await, (0, "solution"));
    let on_it = |tip: [u8; 32], height: u8| ProviderNews {
        newest: Some(offered_on(tip, height, true)),
        ..ProviderNews::default()
    };
    office.board.send_replace(vec![on_it(header.hash().to_bytes(), 6)]);
    assert_eq!(office.outcome().await, (1, BlockOutcome::Taken));
    office.files(&["taken"]).await;

    // And it has not when the chain goes on without it.
    office.find(2, &offered(1, true));
    while office.call().await != (0, "solution") {}
    office.board.send_replace(vec![on_it([8; 32], 9)]);
    assert_eq!(office.outcome().await, (2, BlockOutcome::Refused));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_keeps_no_block_from_a_node() {
    let folder = new_folder();
    std::fs::write(&folder, "not a folder").expect("the temporary folder can be written");
    let mut office = Office::open(folder.clone(), [&[away(), Submitted::Taken]]);
    office.find(1, &offered(1, true));
    assert_eq!(office.outcome().await, (1, BlockOutcome::Taken));
    // The disk is tried beside the node.
    let counted = until(|| {
        let counts = office.figures.read();
        if counts.disk_errors > 0 { Ok(()) } else { Err(counts) }
    });
    counted.await.unwrap_or_else(|counts| panic!("{counts:?}"));
    std::fs::remove_file(folder).expect("it is there");
}
