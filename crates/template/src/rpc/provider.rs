//! The provider: a long poll for templates, and blocks beside it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;
use work::{CoinbaseConstraints, Template};

use super::client::{RpcError, RpcNode};
use super::template::{BlockTemplate, GbtError};
use crate::provider::{
    COMMANDS, DEFAULT_CONSTRAINTS, EVENTS, ProviderCommand, ProviderEvent, ProviderHandle, ProviderOrders,
    Submitted,
};

/// The wait before the first new try, doubled up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A template is there within this.
const TEMPLATE: Duration = Duration::from_secs(30);
/// A long poll without answer for this long belongs to a node that is gone: no tip stands for half a day.
const POLL: Duration = Duration::from_secs(12 * 3600);
/// The node is asked for better templates of the same tip no more often than this: it makes none within 5 s.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// `submitblock` is answered within this: the node checks the whole block first.
const SUBMIT: Duration = Duration::from_secs(120);
/// Templates remembered, so that a solution can become a block.
const REMEMBERED: usize = 16;

/// How a node's RPC is used.
#[derive(Clone, Debug)]
pub struct RpcSettings {
    /// The node.
    pub node: RpcNode,
    /// A template of the same tip is told only when the reward is higher by this, satoshi.
    pub fee_threshold: u64,
    /// And looked for no more often than this; a new tip is told at once.
    pub min_interval: Duration,
    /// The chain is a signet: the node wants to hear that we know.
    pub signet: bool,
}

/// Starts the provider on the current runtime.
#[must_use]
pub fn start(settings: RpcSettings) -> ProviderHandle {
    let (to, events) = mpsc::channel(EVENTS);
    let (orders, commands) = mpsc::channel(COMMANDS);
    let provider = Provider {
        settings,
        constraints: DEFAULT_CONSTRAINTS,
        events: to,
        commands,
        told: VecDeque::new(),
        next_id: 1,
    };
    tokio::spawn(provider.run());
    ProviderHandle { events, orders: ProviderOrders(orders) }
}

/// Hands a whole block to a node.
pub async fn submit_block(node: &RpcNode, block: &[u8]) -> Submitted {
    let hex = bitcoin::hex::DisplayHex::to_lower_hex_string(block);
    match node.call("submitblock", &format!("[\"{hex}\"]"), SUBMIT).await {
        Ok(answer) if answer.get() == "null" => Submitted::Taken,
        Ok(answer) => Submitted::by_reason(answer.get().trim_matches('"')),
        Err(error) => Submitted::NotPossible(error.to_string()),
    }
}

struct Provider {
    settings: RpcSettings,
    constraints: CoinbaseConstraints,
    events: mpsc::Sender<ProviderEvent>,
    commands: mpsc::Receiver<ProviderCommand>,
    /// What was told, oldest first.
    told: VecDeque<Arc<Template>>,
    next_id: u64,
}

/// Why asking is over.
enum Over {
    Unheard,
    Failed(String),
}

impl From<RpcError> for Over {
    fn from(error: RpcError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<GbtError> for Over {
    fn from(error: GbtError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The long poll that is under way, which is never given up: the node keeps one of its few threads for it until the tip
/// changes, whether anybody listens or not.
struct LongPoll(JoinHandle<Result<Box<RawValue>, RpcError>>);

impl Drop for LongPoll {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Provider {
    async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        loop {
            let began = Instant::now();
            let why = match self.serve().await {
                Err(Over::Unheard) | Ok(()) => return,
                Err(Over::Failed(why)) => why,
            };
            if began.elapsed() > LONGEST_WAIT {
                wait = FIRST_WAIT;
            }
            if self.events.send(ProviderEvent::Down { why, again_in: wait }).await.is_err() {
                return;
            }
            let again = Instant::now() + wait;
            wait = (wait * 2).min(LONGEST_WAIT);
            while let Ok(command) = tokio::time::timeout_at(again, self.commands.recv()).await {
                match command {
                    None => return,
                    Some(command) => {
                        self.obey(command);
                    }
                }
            }
        }
    }

    async fn serve(&mut self) -> Result<(), Over> {
        let mut newest = read(&self.call(None).await?)?;
        let what = format!("a node's RPC at {}", self.settings.node.address);
        self.tell(ProviderEvent::Up { what }).await?;
        self.offer(&newest, true).await?;
        let mut poll = self.long_poll(&newest)?;
        // The node answers a long poll for better fees after a minute at the earliest, so it is asked beside it.
        let every = self.settings.min_interval.max(LOOK_AT_MOST_EVERY);
        let mut look = tokio::time::interval_at(Instant::now() + every, every);
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    None => return Ok(()),
                    Some(command) => if self.obey(command) {
                        // What the node said last, with another room for the coinbase.
                        self.offer(&newest, true).await?;
                    },
                },
                answer = &mut poll.0 => {
                    let answer = answer.map_err(|error| Over::Failed(format!("getblocktemplate: {error}")))?;
                    newest = read(&answer?)?;
                    self.offer(&newest, false).await?;
                    poll = self.long_poll(&newest)?;
                }
                _ = look.tick() => {
                    newest = read(&self.call(None).await?)?;
                    self.offer(&newest, false).await?;
                }
            }
        }
    }

    /// Tells a template, if it is on another tip, or better by enough, or `anyway`.
    async fn offer(&mut self, answer: &BlockTemplate, anyway: bool) -> Result<(), Over> {
        let mut template = answer.read(self.next_id, self.constraints)?;
        if let Some(last) = self.told.back()
            && last.prev_hash == template.prev_hash
        {
            // The smallest time stays while the tip does.
            template.min_ntime = last.min_ntime;
            let gained = template.coinbase.value_remaining.saturating_sub(last.coinbase.value_remaining);
            if !anyway && gained < self.settings.fee_threshold.max(1) {
                return Ok(());
            }
        }
        self.next_id += 1;
        let template = Arc::new(template);
        if self.told.len() == REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back(Arc::clone(&template));
        self.tell(ProviderEvent::Template(template)).await
    }

    fn long_poll(&self, after: &BlockTemplate) -> Result<LongPoll, Over> {
        let id = after.longpollid.as_deref().ok_or_else(|| {
            Over::Failed("getblocktemplate gives no longpollid: long polling is needed".to_owned())
        })?;
        let (node, params) = (self.settings.node.clone(), self.params(Some(id)));
        let poll = async move { node.call("getblocktemplate", &params, POLL).await };
        Ok(LongPoll(tokio::spawn(poll)))
    }

    async fn call(&self, poll: Option<&str>) -> Result<Box<RawValue>, RpcError> {
        self.settings.node.call("getblocktemplate", &self.params(poll), TEMPLATE).await
    }

    fn params(&self, poll: Option<&str>) -> String {
        let rules = if self.settings.signet { "\"segwit\",\"signet\"" } else { "\"segwit\"" };
        match poll {
            None => format!("[{{\"rules\":[{rules}]}}]"),
            Some(id) => format!("[{{\"rules\":[{rules}],\"longpollid\":{}}}]", serde_json::Value::from(id)),
        }
    }

    /// True: templates from now on leave more room.
    fn obey(&mut self, command: ProviderCommand) -> bool {
        match command {
            ProviderCommand::Constraints(constraints) => {
                let changed = !self.constraints.hold(constraints);
                self.constraints = self.constraints.max(constraints);
                return changed;
            }
            ProviderCommand::Solution(solution, reply) => {
                let template = self.told.iter().find(|told| told.template_id == solution.template_id);
                match template.and_then(|template| template.block_with(&solution.header, &solution.coinbase))
                {
                    Some(block) => self.submit(block.into(), reply),
                    None => {
                        let why = format!("template {} is not known any more", solution.template_id);
                        // Whoever asked and went away needs no answer.
                        let _ = reply.send(Submitted::NotPossible(why));
                    }
                }
            }
            ProviderCommand::Block(block, reply) => self.submit(block, reply),
        }
        false
    }

    /// Beside all else: a block waits for nothing.
    fn submit(&self, block: Arc<[u8]>, reply: tokio::sync::oneshot::Sender<Submitted>) {
        let node = self.settings.node.clone();
        tokio::spawn(async move {
            let submitted = submit_block(&node, &block).await;
            if submitted != Submitted::Taken {
                warn!(?submitted, node = node.address, "a block was not taken");
            }
            let _ = reply.send(submitted);
        });
    }

    async fn tell(&self, event: ProviderEvent) -> Result<(), Over> {
        self.events.send(event).await.map_err(|_| Over::Unheard)
    }
}

fn read(answer: &RawValue) -> Result<BlockTemplate, Over> {
    serde_json::from_str(answer.get()).map_err(|error| Over::Failed(format!("getblocktemplate: {error}")))
}
