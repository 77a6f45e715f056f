//! A provider over a dev chain: what a Bitcoin node is to a farm, in one process.
//!
//! Whoever owns the chain stays its owner ([`DevNode`]); the provider asks it for templates and hands blocks back. It
//! has transactions of its own choice: of one chain, no two templates have the same set.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::BlockHash;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{debug, warn};
use work::coinbase::{CoinbaseTemplate, Output};
use work::{CoinbaseConstraints, Template, TemplateError, TemplateParts, TemplateTransaction};

use crate::dev_chain::{BlockAccepted, BlockRejected, DevTemplate};
use crate::provider::{
    COMMANDS, DEFAULT_CONSTRAINTS, EVENTS, ProviderCommand, ProviderEvent, ProviderHandle, ProviderOrders,
    Submitted,
};

/// Templates remembered, so that a solution can become a block.
const REMEMBERED: usize = 16;

/// Whoever owns a dev chain and knows what time it is.
pub trait DevNode: Send + Sync + 'static {
    /// The chain's tip, told at each change.
    fn tips(&self) -> watch::Receiver<BlockHash>;

    /// A new template on the tip.
    fn template(&self) -> Arc<DevTemplate>;

    /// Judges a consensus-serialised block.
    ///
    /// # Errors
    /// Why the chain does not take it.
    fn submit(&self, block: &[u8]) -> Result<BlockAccepted, BlockRejected>;
}

/// Starts a provider on the current runtime. A new tip is told at once, a new template on the same tip every
/// `refresh`, which must be more than 0.
#[must_use]
pub fn start(node: Arc<impl DevNode>, refresh: Duration) -> ProviderHandle {
    let (to, events) = mpsc::channel(EVENTS);
    let (orders, commands) = mpsc::channel(COMMANDS);
    let provider =
        Provider { node, constraints: DEFAULT_CONSTRAINTS, events: to, commands, told: VecDeque::new() };
    tokio::spawn(provider.run(refresh.max(Duration::from_millis(1))));
    ProviderHandle { events, orders: ProviderOrders(orders) }
}

struct Provider<N> {
    node: Arc<N>,
    constraints: CoinbaseConstraints,
    events: mpsc::Sender<ProviderEvent>,
    commands: mpsc::Receiver<ProviderCommand>,
    /// What was told, oldest first.
    told: VecDeque<Arc<Template>>,
}

/// Nobody listens any more.
struct Unheard;

impl<N: DevNode> Provider<N> {
    async fn run(mut self, refresh: Duration) {
        // Whoever drops the handle ends it; there is no other way to end.
        let _: Result<(), Unheard> = self.serve(refresh).await;
    }

    async fn serve(&mut self, refresh: Duration) -> Result<(), Unheard> {
        let mut tips = self.node.tips();
        tips.mark_unchanged();
        self.tell(ProviderEvent::Up { what: "the dev chain".to_owned() }).await?;
        self.offer().await?;
        let mut tick = interval_at(Instant::now() + refresh, refresh);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let events = self.events.clone();
            tokio::select! {
                biased;
                () = events.closed() => return Err(Unheard),
                Ok(()) = tips.changed() => self.offer().await?,
                command = self.commands.recv() => match command {
                    None => return Err(Unheard),
                    Some(command) => if self.obey(command) {
                        self.offer().await?;
                    },
                },
                _ = tick.tick() => self.offer().await?,
            }
        }
    }

    async fn offer(&mut self) -> Result<(), Unheard> {
        let made = self.node.template();
        // The smallest time stays while the tip does.
        let min_ntime = self
            .told
            .back()
            .filter(|last| last.prev_hash == made.prev_hash.to_byte_array())
            .map_or(made.header_timestamp, |last| last.min_ntime);
        let template = match read(&made, min_ntime, self.constraints) {
            Ok(template) => Arc::new(template),
            Err(error) => {
                warn!(%error, "a template of the dev chain cannot be used");
                return Ok(());
            }
        };
        if self.told.len() == REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back(Arc::clone(&template));
        self.tell(ProviderEvent::Template(template)).await
    }

    /// True: templates from now on leave more room.
    fn obey(&mut self, command: ProviderCommand) -> bool {
        // Whoever asked and went away needs no answer.
        match command {
            ProviderCommand::Constraints(constraints) => {
                let changed = !self.constraints.hold(constraints);
                self.constraints = self.constraints.max(constraints);
                return changed;
            }
            ProviderCommand::Solution(solution, reply) => {
                let template = self.told.iter().find(|told| told.template_id == solution.template_id);
                let block =
                    template.and_then(|template| template.block_with(&solution.header, &solution.coinbase));
                let _ = reply.send(match block {
                    Some(block) => self.submit(&block),
                    None => {
                        let id = solution.template_id;
                        Submitted::NotPossible(format!("template {id} is not known any more"))
                    }
                });
            }
            ProviderCommand::Block(block, reply) => {
                let _ = reply.send(self.submit(&block));
            }
        }
        false
    }

    fn submit(&self, block: &[u8]) -> Submitted {
        match self.node.submit(block) {
            Ok(block) => {
                debug!(height = block.height, hash = %block.hash, "the dev chain took a block");
                Submitted::Taken
            }
            // It came by another way.
            Err(BlockRejected::Duplicate { .. }) => Submitted::Taken,
            Err(error) => {
                warn!(%error, "the dev chain did not take a block");
                Submitted::Refused(error.code().to_owned())
            }
        }
    }

    async fn tell(&self, event: ProviderEvent) -> Result<(), Unheard> {
        self.events.send(event).await.map_err(|_| Unheard)
    }
}

/// A dev chain's template as a provider gives it, with this smallest time and room.
///
/// # Errors
/// When its transactions leave less room than that.
pub fn read(
    made: &DevTemplate,
    min_ntime: u32,
    constraints: CoinbaseConstraints,
) -> Result<Template, TemplateError> {
    let outputs = made.coinbase_tx_outputs.iter().map(|output| Output {
        value: output.value.to_sat(),
        script_pubkey: output.script_pubkey.as_bytes().into(),
    });
    let outputs: Vec<Output> = outputs.collect();
    let transactions = made.transactions.iter().map(|transaction| TemplateTransaction {
        bytes: serialize(transaction).into(),
        txid: transaction.compute_txid().to_byte_array(),
        wtxid: transaction.compute_wtxid().to_byte_array(),
    });
    Template::new(TemplateParts {
        template_id: made.template_id,
        prev_hash: made.prev_hash.to_byte_array(),
        version: made.version,
        min_ntime,
        nbits: made.nbits.to_consensus(),
        coinbase: CoinbaseTemplate {
            tx_version: 2,
            prefix: made.coinbase_prefix.as_slice().into(),
            input_sequence: u32::MAX,
            value_remaining: made.coinbase_tx_value_remaining,
            witness_reserved_value: (!outputs.is_empty()).then_some([0; 32]),
            outputs,
            locktime: 0,
        },
        merkle_path: Some(made.merkle_path.as_slice().into()),
        transactions: Some(transactions.collect()),
        constraints,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use work::coinbase::pay_first;

    use super::*;
    use crate::dev_chain::{DevChain, DevChainOptions};

    const NOW: u32 = 1_800_000_000;

    struct Owner {
        chain: Mutex<DevChain>,
        tips: watch::Sender<BlockHash>,
    }

    impl Owner {
        fn new() -> Arc<Owner> {
            let options = DevChainOptions {
                nbits: 0x207f_ffff,
                genesis_time: NOW - 600,
                witness_commitment: true,
                fees: true,
                ..Default::default()
            };
            let chain = DevChain::new(options).unwrap();
            let tips = watch::Sender::new(chain.tip().hash);
            Arc::new(Owner { chain: Mutex::new(chain), tips })
        }
    }

    impl DevNode for Owner {
        fn tips(&self) -> watch::Receiver<BlockHash> {
            self.tips.subscribe()
        }

        fn template(&self) -> Arc<DevTemplate> {
            self.chain.lock().unwrap().detached_template(NOW)
        }

        fn submit(&self, block: &[u8]) -> Result<BlockAccepted, BlockRejected> {
            let taken = self.chain.lock().unwrap().submit_block(block, NOW)?;
            self.tips.send_replace(taken.hash);
            Ok(taken)
        }
    }

    async fn template(handle: &mut ProviderHandle) -> Arc<Template> {
        loop {
            match handle.events.recv().await.expect("it runs") {
                ProviderEvent::Template(template) => return template,
                ProviderEvent::Up { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// A block of this template, mined.
    fn mine(template: &Template) -> (work::Header, Vec<u8>) {
        let payout = Output { value: 0, script_pubkey: vec![0x51].into() };
        let outputs = pay_first(vec![payout], template.coinbase.value_remaining).unwrap();
        let coinbase = template.coinbase(b"", 8, &outputs).unwrap();
        let job = Arc::new(template.job(1, &coinbase).unwrap());
        let terms = work::ChannelTerms {
            source: work::SourceId(1),
            generation: 1,
            extranonce_prefix: &[1; 4],
            filler: &[],
            source_target: template.network_target,
            ntime_slack: 0,
            received_at: work::Seconds(0),
        };
        let job = work::ChannelJob::new(job, terms).unwrap();
        let header = (0..)
            .map(|nonce| job.header(&[&[2; 4]], template.version, template.min_ntime, nonce))
            .find(|header| header.hash().meets(&template.network_target))
            .unwrap();
        (header, coinbase.transaction(&[1, 1, 1, 1, 2, 2, 2, 2]).unwrap())
    }

    #[tokio::test]
    async fn solutions_and_whole_blocks_move_the_chain_and_a_new_template_comes_at_once() {
        let owner = Owner::new();
        let mut handle = start(Arc::clone(&owner), Duration::from_secs(3_600));
        let mut last = template(&mut handle).await;
        for height in 1..20 {
            let (header, coinbase) = mine(&last);
            if height % 2 == 0 {
                let block = last.block_with(&header, &coinbase).unwrap();
                assert_eq!(handle.orders.submit_block(block.clone().into()).await, Submitted::Taken);
                // A second way is no error.
                assert_eq!(handle.orders.submit_block(block.into()).await, Submitted::Taken);
            } else {
                let solution = crate::Solution { template_id: last.template_id, header, coinbase };
                assert_eq!(handle.orders.submit(solution).await, Submitted::Taken);
            }
            assert_eq!(owner.chain.lock().unwrap().tip().height, height);
            let next = template(&mut handle).await;
            assert_eq!(next.prev_hash, header.hash().to_bytes());
            last = next;
        }
    }

    #[tokio::test]
    async fn later_templates_on_a_tip_are_worth_more_and_more_room_is_given_when_asked_for() {
        let mut handle = start(Owner::new(), Duration::from_millis(1));
        let first = template(&mut handle).await;
        let second = template(&mut handle).await;
        assert!(second.coinbase.value_remaining > first.coinbase.value_remaining);
        assert_eq!((second.prev_hash, second.min_ntime), (first.prev_hash, first.min_ntime));
        let wanted = CoinbaseConstraints { additional_size: 5_000, additional_sigops: 400 };
        handle.orders.constrain(wanted);
        while !template(&mut handle).await.constraints.hold(wanted) {}
    }

    #[tokio::test]
    async fn a_block_that_is_none_and_an_unknown_template_are_told_apart() {
        let mut handle = start(Owner::new(), Duration::from_secs(3_600));
        let template = template(&mut handle).await;
        let (header, coinbase) = mine(&template);
        let solution = crate::Solution { template_id: 999, header, coinbase: coinbase.clone() };
        assert!(matches!(handle.orders.submit(solution).await, Submitted::NotPossible(_)));
        let header = work::Header { nbits: 1, ..header };
        let solution = crate::Solution { template_id: template.template_id, header, coinbase };
        assert_eq!(handle.orders.submit(solution).await, Submitted::Refused("bad-diffbits".to_owned()));
    }
}
