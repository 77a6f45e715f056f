//! The provider: a thread of its own, since Cap'n Proto's runtime is not for several.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, warn};
use work::CoinbaseConstraints;

use super::error::IpcError;
use super::node::{Node, NodeTemplate, TemplateOptions};
use super::read;
use super::schema::Schema;
use crate::provider::{
    COMMANDS, DEFAULT_CONSTRAINTS, EVENTS, ProviderCommand, ProviderEvent, ProviderHandle, ProviderOrders,
    Solution, Submitted,
};

/// The wait before the first new try, doubled up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A superseded template is held this long, for late blocks, and then released: the node keeps all its transactions.
const GRACE: Duration = Duration::from_secs(10);
/// Templates held at most, whatever the grace: each may cost the node megabytes.
const HELD: usize = 16;

/// How Core's IPC interface is used.
#[derive(Clone, Debug)]
pub struct CoreIpcSettings {
    /// The socket: `node.sock` in the node's data folder.
    pub path: PathBuf,
    /// The interface's version; `None`: found out.
    pub schema: Option<Schema>,
    /// A template of the same tip counts as better when its fees are higher by this, satoshi.
    pub fee_threshold: u64,
    /// Better templates of the same tip come no faster than this.
    pub min_interval: Duration,
    /// Wait while the node catches up with the chain; off on test chains.
    pub cooldown: bool,
}

/// Starts the provider.
///
/// # Errors
/// The system's, when there can be no thread.
pub fn start(settings: CoreIpcSettings) -> std::io::Result<ProviderHandle> {
    let (to, events) = mpsc::channel(EVENTS);
    let (orders, commands) = mpsc::channel(COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("core-ipc".to_owned()).spawn(move || {
        let provider = Provider {
            settings,
            options: TemplateOptions::default(),
            constraints: DEFAULT_CONSTRAINTS,
            events: to,
            commands,
            held: VecDeque::new(),
            next_id: 1,
            told: None,
        };
        tokio::task::LocalSet::new().block_on(&runtime, provider.run());
    })?;
    Ok(ProviderHandle { events, orders: ProviderOrders(orders) })
}

struct Held {
    id: u64,
    template: NodeTemplate,
    /// When it was superseded; `None`: it is the newest.
    superseded: Option<Instant>,
}

struct Provider {
    settings: CoreIpcSettings,
    options: TemplateOptions,
    /// What the options leave room for.
    constraints: CoinbaseConstraints,
    events: mpsc::Sender<ProviderEvent>,
    commands: mpsc::Receiver<ProviderCommand>,
    /// Oldest first.
    held: VecDeque<Held>,
    next_id: u64,
    /// What was told last.
    told: Option<Told>,
}

/// A template that was told, as far as the next one is compared with it.
#[derive(Clone, Copy)]
struct Told {
    prev_hash: [u8; 32],
    /// The smallest time told for this tip, which must not change while the tip stands.
    min_ntime: u32,
    nbits: u32,
    value: u64,
}

/// What became of a template of the node's.
enum HandedOut {
    /// It was told: on another tip than the last one, or on the same.
    Told { same_tip: bool },
    /// It is not worth a job. On test chains whose tip is old the node makes a new one every second.
    NoBetter,
}

/// Nobody listens any more.
struct Unheard;

/// Why a connection's time is over.
enum Over {
    Unheard,
    Failed(IpcError),
}

impl From<IpcError> for Over {
    fn from(error: IpcError) -> Self {
        Self::Failed(error)
    }
}

impl From<Unheard> for Over {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl Provider {
    async fn run(mut self) {
        self.options.cooldown = self.settings.cooldown;
        let mut wait = FIRST_WAIT;
        loop {
            let began = Instant::now();
            let failed = match self.serve().await {
                Ok(()) | Err(Over::Unheard) => return,
                Err(Over::Failed(error)) => error,
            };
            self.held.clear();
            if began.elapsed() > LONGEST_WAIT {
                wait = FIRST_WAIT;
            }
            let why = failed.to_string();
            if self.events.send(ProviderEvent::Down { why, again_in: wait }).await.is_err() {
                return;
            }
            let again = Instant::now() + wait;
            wait = (wait * 2).min(LONGEST_WAIT);
            while let Ok(command) = tokio::time::timeout_at(again, self.commands.recv()).await {
                match command {
                    None => return,
                    Some(ProviderCommand::Constraints(constraints)) => {
                        self.constrain(constraints);
                    }
                    Some(ProviderCommand::Solution(_, reply) | ProviderCommand::Block(_, reply)) => {
                        // Whoever asked and went away needs no answer.
                        let _ = reply.send(Submitted::NotPossible("the node is not connected".to_owned()));
                    }
                }
            }
        }
    }

    /// One connection, to its end.
    async fn serve(&mut self) -> Result<(), Over> {
        let (node, mut newest) = self.connect().await?;
        let what = format!("Bitcoin Core by IPC, interface {}", node.schema.name);
        self.tell(ProviderEvent::Up { what }).await?;
        self.hand_out(&node, newest.clone(), true).await?;
        loop {
            let fee_threshold = i64::try_from(self.settings.fee_threshold).unwrap_or(i64::MAX);
            let mut since = Instant::now();
            let mut anyway = false;
            let last = newest.clone();
            let next = node.wait_next(&last, fee_threshold);
            tokio::pin!(next);
            let found = loop {
                let release = self.next_release();
                tokio::select! {
                    biased;
                    command = self.commands.recv() => match command {
                        None => return Ok(()),
                        Some(ProviderCommand::Constraints(constraints)) => {
                            if self.constrain(constraints) {
                                // Templates with too little room must not be mined: a new one at once.
                                node.interrupt(&newest);
                                since = Instant::now() - self.settings.min_interval;
                                anyway = true;
                                break node.create(self.options).await?;
                            }
                        }
                        Some(ProviderCommand::Solution(solution, reply)) => {
                            let _ = reply.send(self.submit(&node, &solution).await);
                        }
                        Some(ProviderCommand::Block(block, reply)) => {
                            let _ = reply.send(submit_block(&node, &block).await);
                        }
                    },
                    found = &mut next => break found?,
                    () = tokio::time::sleep_until(release.unwrap_or_else(Instant::now)), if release.is_some() => {
                        self.release();
                    }
                }
            };
            let Some(found) = found else { continue };
            let handed_out = self.hand_out(&node, found.clone(), anyway).await?;
            if !matches!(handed_out, HandedOut::NoBetter) {
                newest = found;
            }
            if !matches!(handed_out, HandedOut::Told { same_tip: false }) {
                // Fees may grow faster than miners want new jobs. A new tip ends the next wait at once.
                self.rest(&node, &newest, since + self.settings.min_interval).await?;
            }
        }
    }

    /// Connects, finds out the version, and proves it on a first template.
    async fn connect(&self) -> Result<(Node, NodeTemplate), IpcError> {
        let tried = match self.settings.schema {
            Some(schema) => vec![schema],
            None => Schema::TRIED.to_vec(),
        };
        let mut failed = Vec::new();
        for schema in tried {
            let attempt = async {
                let node = Node::connect(&self.settings.path, schema).await?;
                let template = self.create(&node).await?;
                let head = read::head(&node, &template, 0, self.constraints).await?;
                read::prove(&node, &template, &head).await?;
                read::prove_submit(&node, &self.create(&node).await?).await?;
                Ok((node, template))
            };
            match attempt.await {
                Ok(found) => return Ok(found),
                Err(error @ IpcError::Connect { .. }) => return Err(error),
                Err(error) => {
                    debug!(schema = schema.name, %error, "not this interface");
                    failed.push(error);
                }
            }
        }
        if failed.len() == 1
            && let Some(only) = failed.pop()
        {
            return Err(only);
        }
        let reasons: Vec<String> = failed.iter().map(IpcError::to_string).collect();
        Err(IpcError::NoSchema(reasons.join("; ")))
    }

    async fn create(&self, node: &Node) -> Result<NodeTemplate, IpcError> {
        node.create(self.options).await?.ok_or(IpcError::Answer {
            call: "createNewBlock",
            got: "nothing".to_owned(),
            expected: "a template: is the node shutting down?",
        })
    }

    /// Reads a template and, if it is on another tip, better by enough, or `anyway`, tells it, and then its transactions.
    async fn hand_out(
        &mut self,
        node: &Node,
        template: NodeTemplate,
        anyway: bool,
    ) -> Result<HandedOut, Over> {
        let id = self.next_id;
        // The transactions are asked for in the same breath: declaring waits for them.
        let transactions = read::transactions(node, &template);
        tokio::pin!(transactions);
        let mut early = None;
        let mut head = {
            let head = read::head(node, &template, id, self.constraints);
            tokio::pin!(head);
            loop {
                tokio::select! {
                    biased;
                    head = &mut head => break head?,
                    read = &mut transactions, if early.is_none() => early = Some(read),
                }
            }
        };
        let value = head.coinbase.value_remaining;
        let last = self.told.filter(|last| last.prev_hash == head.prev_hash);
        if let Some(last) = last {
            let gained = value.saturating_sub(last.value);
            if !anyway && head.nbits == last.nbits && gained < self.settings.fee_threshold.max(1) {
                return Ok(HandedOut::NoBetter);
            }
            head.min_ntime = last.min_ntime;
        }
        self.next_id += 1;
        self.told =
            Some(Told { prev_hash: head.prev_hash, min_ntime: head.min_ntime, nbits: head.nbits, value });
        let now = Instant::now();
        self.held.iter_mut().for_each(|held| {
            held.superseded.get_or_insert(now);
        });
        self.held.push_back(Held { id, template: template.clone(), superseded: None });
        self.release();
        let is_whole = head.transactions.is_some();
        self.tell(ProviderEvent::Template(Arc::new(head))).await?;
        if !is_whole {
            let transactions = match early {
                Some(read) => read?,
                None => transactions.await?,
            };
            self.tell(ProviderEvent::Transactions { template_id: id, transactions }).await?;
        }
        Ok(HandedOut::Told { same_tip: last.is_some() })
    }

    /// Waits until `until`, but not longer than the tip stands; solutions are handed in meanwhile.
    async fn rest(&mut self, node: &Node, newest: &NodeTemplate, until: Instant) -> Result<(), Over> {
        // Only a new tip counts here: no fees are this high.
        const NEVER: i64 = 2_100_000_000_000_000;
        let tip = node.wait_next(newest, NEVER);
        tokio::pin!(tip);
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => {
                    node.interrupt(newest);
                    return Ok(());
                }
                found = &mut tip => {
                    // The next wait finds it again, at once.
                    found?;
                    return Ok(());
                }
                command = self.commands.recv() => match command {
                    None => return Err(Over::Unheard),
                    Some(ProviderCommand::Constraints(constraints)) => {
                        if self.constrain(constraints) {
                            node.interrupt(newest);
                            if let Some(found) = node.create(self.options).await? {
                                self.hand_out(node, found, true).await?;
                            }
                            return Ok(());
                        }
                    }
                    Some(ProviderCommand::Solution(solution, reply)) => {
                        let _ = reply.send(self.submit(node, &solution).await);
                    }
                    Some(ProviderCommand::Block(block, reply)) => {
                        let _ = reply.send(submit_block(node, &block).await);
                    }
                },
            }
        }
    }

    /// True: templates from before leave too little room.
    fn constrain(&mut self, constraints: CoinbaseConstraints) -> bool {
        if self.constraints.hold(constraints) {
            return false;
        }
        self.constraints = self.constraints.max(constraints);
        self.options = TemplateOptions {
            reserved_weight: self.constraints.reserved_weight(),
            reserved_sigops: u64::from(self.constraints.additional_sigops),
            ..self.options
        };
        true
    }

    async fn submit(&self, node: &Node, solution: &Solution) -> Submitted {
        let Some(held) = self.held.iter().find(|held| held.id == solution.template_id) else {
            return Submitted::NotPossible(format!(
                "template {} is no longer held by the node",
                solution.template_id
            ));
        };
        let header = &solution.header;
        let submitted = node
            .submit_solution(&held.template, header.version, header.ntime, header.nonce, &solution.coinbase)
            .await;
        // What the node keeps may be found invalid when it is connected, for its amounts for one: `submitSolution` says
        // yes all the same. A block that is taken is the tip.
        let connected = match submitted {
            Ok(answer) if answer.taken => {
                node.tip().await.map(|tip| (answer, tip == Some(header.hash().to_bytes())))
            }
            Ok(answer) => Ok((answer, false)),
            Err(error) => Err(error),
        };
        match connected {
            Ok((_, true)) => Submitted::Taken,
            Ok((answer, false)) if answer.taken => Submitted::Refused(
                "inconclusive: the node keeps the block, but it is not the tip: it is invalid, or another one of its \
                 height came first; the node's log has the reason"
                    .to_owned(),
            ),
            Ok((answer, false)) if answer.reason.is_empty() => {
                Submitted::Refused("submitSolution says no; the node's log has the reason".to_owned())
            }
            Ok((answer, false)) => Submitted::by_reason(&answer.reason),
            Err(error) => {
                warn!(%error, "a block could not be handed in by IPC");
                Submitted::NotPossible(error.to_string())
            }
        }
    }

    fn next_release(&self) -> Option<Instant> {
        self.held.front().and_then(|held| held.superseded).map(|since| since + GRACE)
    }

    fn release(&mut self) {
        let now = Instant::now();
        while self.held.len() > HELD
            || self.held.front().is_some_and(|held| held.superseded.is_some_and(|since| now >= since + GRACE))
        {
            self.held.pop_front();
        }
    }

    async fn tell(&self, event: ProviderEvent) -> Result<(), Unheard> {
        self.events.send(event).await.map_err(|_| Unheard)
    }
}

async fn submit_block(node: &Node, block: &[u8]) -> Submitted {
    match node.submit_block(block).await {
        None => Submitted::NotPossible(format!("interface {} has no submitBlock", node.schema.name)),
        Some(Ok(None)) => Submitted::Taken,
        Some(Ok(Some(reason))) => Submitted::by_reason(&reason),
        Some(Err(error)) => Submitted::NotPossible(error.to_string()),
    }
}
