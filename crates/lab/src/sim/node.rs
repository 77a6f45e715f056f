//! The farm's own node: the templates that jobs are made of, and where found blocks go.

use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::hashes::{Hash, sha256d};
use engine::source::{BlockOutcome, FoundBlock};
use work::coinbase::{CoinbaseTemplate, Output};
use work::{CoinbaseConstraints, Template, TemplateParts, TemplateTransaction};

use super::faults::FaultKind;
use super::plan::{Declaring, NETWORK_BITS};
use super::planted::PlantedBug;
use super::pool::job::{NetTip, SOLO, read_template_script, template_script};
use super::rng::Rng;
use super::tally::Message;
use super::time::{MILLI, Micros, SECOND, unix};
use super::world::{Event, Task, World};

/// What a block's coinbase may pay.
pub(super) const REWARD: u64 = 312_500_000;

/// Something that the node does, or that it hears.
#[derive(Clone, Debug)]
pub(super) enum NodeTimer {
    /// A better template on the same tip.
    Better,
    /// It hears of the network's tip at this place.
    Tip(u32),
    /// Something reaches Adit.
    Reaches(NodeNews),
    /// Adit has asked for this much room.
    Asked(CoinbaseConstraints),
}

/// What the node tells Adit.
#[derive(Clone, Debug)]
pub(super) enum NodeNews {
    Template(Arc<Template>),
    /// The transactions of a template that came without.
    Completed(Arc<Template>, Arc<[TemplateTransaction]>),
    Lost,
    /// Solo mining: what became of a block.
    Verdict(u64, BlockOutcome),
}

/// A template as the node made it.
#[derive(Clone, Debug)]
pub(super) struct TemplateGiven {
    pub(super) template: Arc<Template>,
    pub(super) tip: NetTip,
    pub(super) at: Micros,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) plan: Declaring,
    tip: NetTip,
    tip_since: Micros,
    tip_place: u32,
    /// Every template, by its number.
    pub(super) templates: BTreeMap<u32, TemplateGiven>,
    /// The room that Adit asked for.
    asked: CoinbaseConstraints,
    /// It gives no templates.
    pub(super) gone: bool,
    /// Templates leave too little room.
    pub(super) small: bool,
    pub(super) late_tips: bool,
    /// Since when nothing is wrong with it.
    pub(super) well_since: Option<Micros>,
    pub(super) ill: u32,
    /// The tip that Adit was last told of, and when.
    pub(super) told: Option<([u8; 32], Micros)>,
}

impl Node {
    pub(super) fn new(plan: Declaring, tip: NetTip) -> Self {
        Self {
            plan,
            tip,
            tip_since: 0,
            tip_place: 0,
            templates: BTreeMap::new(),
            asked: solo_room(),
            gone: false,
            small: false,
            late_tips: false,
            well_since: Some(0),
            ill: 0,
            told: None,
        }
    }

    fn make(&mut self, now: Micros, rng: &mut Rng) -> Option<Arc<Template>> {
        let number = u32::try_from(self.templates.len() + 1).unwrap_or(u32::MAX);
        let transactions: Vec<TemplateTransaction> = (0..rng.index(7))
            .map(|_| {
                let len = 60 + rng.index(140);
                let bytes = rng.bytes(len);
                let id = sha256d::Hash::hash(&bytes).to_byte_array();
                TemplateTransaction { bytes: bytes.into(), txid: id, wtxid: id }
            })
            .collect();
        let constraints = if self.small { solo_room() } else { self.asked.max(solo_room()) };
        let parts = TemplateParts {
            template_id: u64::from(number),
            prev_hash: self.tip.hash,
            version: 0x2000_0000,
            min_ntime: unix(self.tip_since),
            nbits: NETWORK_BITS,
            coinbase: CoinbaseTemplate {
                tx_version: 2,
                prefix: template_script(self.tip.height + 1, number).into(),
                input_sequence: u32::MAX,
                value_remaining: REWARD,
                outputs: vec![Output { value: 0, script_pubkey: vec![0x6a; 38].into() }],
                locktime: rng.word() % 2,
                witness_reserved_value: Some([0; 32]),
            },
            merkle_path: None,
            transactions: Some(transactions.into()),
            constraints,
        };
        let template = Arc::new(Template::new(parts).ok()?);
        let given = TemplateGiven { template: Arc::clone(&template), tip: self.tip, at: now };
        self.templates.insert(number, given);
        Some(template)
    }

    fn newest(&self) -> Option<&TemplateGiven> {
        self.templates.values().next_back()
    }
}

/// Outputs of solo mining.
pub(super) fn solo_outputs() -> Vec<Output> {
    vec![Output { value: 0, script_pubkey: [&[0, 20][..], &[0x77; 20]].concat().into() }]
}

fn solo_room() -> CoinbaseConstraints {
    CoinbaseConstraints::of(&solo_outputs())
}

impl World {
    /// The place of the source that declares.
    pub(super) fn declares(&self) -> Option<usize> {
        self.node.as_ref().map(|_| 0)
    }

    /// The place of the source that mines solo.
    pub(super) fn solo(&self) -> Option<usize> {
        self.node.as_ref().map(|_| self.pools.len())
    }

    /// The first template is on its way.
    pub(super) fn begin_templates(&mut self) {
        if self.node.is_some() {
            self.node_template();
            self.next_better();
        }
    }

    fn next_better(&mut self) {
        let Some(node) = &self.node else { return };
        let every = node.plan.template_every;
        let after = self.rng.range(every / 2, every + every / 2);
        self.events.at(self.now + after, Event::Node(NodeTimer::Better));
    }

    /// The node hears of a tip, too.
    pub(super) fn spread_to_node(&mut self, place: u32, after: Micros) {
        let Some(node) = &self.node else { return };
        let mut more = self.rng.range(0, 300 * MILLI + node.plan.node_lag);
        if node.late_tips {
            more += self.rng.range(SECOND, 8 * SECOND);
            self.tally.fault(FaultKind::NodeTipsLate);
        }
        self.events.at(self.now + after + more, Event::Node(NodeTimer::Tip(place)));
    }

    pub(super) fn node_timer(&mut self, timer: NodeTimer) {
        let (now, winding_down) = (self.now, self.winding_down);
        let Some(node) = &mut self.node else { return };
        match timer {
            NodeTimer::Better => {
                if !winding_down {
                    self.node_template();
                    self.next_better();
                }
            }
            NodeTimer::Tip(place) => {
                if winding_down || place < node.tip_place {
                    return;
                }
                let Some(tip) = self.tips.get(place as usize).copied() else { return };
                node.tip_place = place;
                node.tip = tip;
                node.tip_since = now;
                self.trace(|| format!("node has tip {:02x?} at {}", &tip.hash[..4], tip.height));
                self.node_template();
            }
            NodeTimer::Asked(room) => {
                node.asked = room;
                let holds = node.newest().is_none_or(|given| given.template.constraints.hold(room));
                if !holds {
                    self.node_template();
                }
            }
            NodeTimer::Reaches(news) => self.node_reaches(news),
        }
    }

    /// A template, unless the node is gone; with its transactions, or those later.
    fn node_template(&mut self) {
        let Some(node) = self.node.as_mut().filter(|node| !node.gone) else { return };
        let last = node.newest().map(|given| given.tip);
        let Some(whole) = node.make(self.now, &mut self.rng) else { return };
        self.tally.message(if last == Some(node.tip) {
            Message::TemplateBetter
        } else {
            Message::TemplateNew
        });
        if node.small {
            self.tally.fault(FaultKind::NodeSmall);
        }
        let arrives = self.now + node.plan.node_latency;
        let late = self.rng.chance(node.plan.late_transactions);
        if !late {
            self.events.at(arrives, Event::Node(NodeTimer::Reaches(NodeNews::Template(whole))));
            return;
        }
        let mut bare = Template::clone(&whole);
        bare.transactions = None;
        let (bare, transactions) = (Arc::new(bare), whole.transactions.clone().unwrap_or_default());
        let after = self.rng.range(0, 3 * SECOND);
        self.events.at(arrives, Event::Node(NodeTimer::Reaches(NodeNews::Template(Arc::clone(&bare)))));
        self.events
            .at(arrives + after, Event::Node(NodeTimer::Reaches(NodeNews::Completed(bare, transactions))));
    }

    /// The node goes away, or comes back.
    pub(super) fn node_goes(&mut self, gone: bool) {
        let Some(node) = &mut self.node else { return };
        node.gone = gone;
        if gone {
            let arrives = self.now + node.plan.node_latency;
            self.events.at(arrives, Event::Node(NodeTimer::Reaches(NodeNews::Lost)));
        } else {
            self.node_template();
        }
    }

    /// Something reaches Adit's tasks.
    fn node_reaches(&mut self, news: NodeNews) {
        let (Some(declares), Some(solo), Some(node)) = (self.declares(), self.solo(), &mut self.node) else {
            return;
        };
        match &news {
            NodeNews::Template(template) => {
                if node.told.is_none_or(|(tip, _)| tip != template.prev_hash) {
                    node.told = Some((template.prev_hash, self.now));
                }
            }
            NodeNews::Completed(..) => self.tally.message(Message::TemplateCompleted),
            NodeNews::Lost => self.tally.message(Message::TemplatesLost),
            NodeNews::Verdict(..) => {
                self.adit.sources[solo].templates.push_back(news);
                self.wake(Task::Source(solo));
                return;
            }
        }
        for at in [declares, solo] {
            self.adit.sources[at].templates.push_back(news.clone());
            self.wake(Task::Source(at));
        }
    }

    /// A block was handed out by a source: it must be one that a miner found, whole, and handed out once.
    pub(super) fn block_handed_out(&mut self, at: usize, found: &FoundBlock) {
        let is_solo = self.solo() == Some(at);
        self.tally.message(if is_solo { Message::SoloBlock } else { Message::DeclaredBlock });
        let twice = !is_solo && self.is_planted(PlantedBug::BlockHandedOutTwice);
        let hash = match self.check_block(found) {
            Ok(hash) => hash,
            Err(text) => return self.broken("I8", format!("source {at} hands out a bad block: {text}")),
        };
        let Some(block) = self.blocks.iter_mut().rev().find(|block| block.hash == hash) else {
            return self.broken("I8", format!("source {at} hands out a block that no miner found"));
        };
        block.handed_out += 1 + u32::from(twice);
        if block.handed_out > 1 {
            let text = format!("a block of {:?} was handed out {} times", block.tag, block.handed_out);
            return self.broken("I8", text);
        }
        self.trace(|| format!("source {at} hands out a block {:02x?}", &hash[..4]));
        let Some(node) = &self.node else { return };
        let is_next = found.template.prev_hash == node.tip.hash;
        let outcome = match (node.gone, is_next) {
            (true, _) => BlockOutcome::NotAsked,
            (false, true) => BlockOutcome::Taken,
            (false, false) => BlockOutcome::Refused,
        };
        let latency = node.plan.node_latency;
        if outcome == BlockOutcome::Taken {
            let after = self.rng.range(0, 200 * MILLI);
            self.events.at(self.now + after, Event::Block);
        }
        if is_solo {
            let verdict = NodeNews::Verdict(found.number, outcome);
            self.events.at(self.now + 2 * latency, Event::Node(NodeTimer::Reaches(verdict)));
        }
    }

    /// What a node looks at: proof of work, merkle root, coinbase. Gives the block's hash.
    fn check_block(&self, found: &FoundBlock) -> Result<[u8; 32], String> {
        let header: bitcoin::block::Header = bitcoin::consensus::deserialize(&found.header.to_bytes())
            .map_err(|error| format!("its header: {error}"))?;
        let target = bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(NETWORK_BITS));
        let hash = header.validate_pow(target).map_err(|error| error.to_string())?;
        let coinbase: bitcoin::Transaction = bitcoin::consensus::deserialize(&found.coinbase)
            .map_err(|error| format!("its coinbase: {error}"))?;
        let script = coinbase.input[0].script_sig.as_bytes();
        let (_, number) = read_template_script(script).ok_or("its coinbase names no template")?;
        let given = self.node.as_ref().and_then(|node| node.templates.get(&number));
        let given = given.ok_or("nobody made its template")?;
        let whole = &given.template;
        let txids =
            whole.transactions.iter().flat_map(|list| list.iter()).map(|transaction| transaction.txid);
        let ids = std::iter::once(coinbase.compute_txid().to_byte_array()).chain(txids);
        let ids: Vec<bitcoin::Txid> = ids.map(bitcoin::Txid::from_byte_array).collect();
        let root = bitcoin::merkle_tree::calculate_root(ids.into_iter()).map(|root| root.to_byte_array());
        if root != Some(header.merkle_root.to_byte_array()) {
            return Err("its merkle root is not that of its coinbase and transactions".to_owned());
        }
        if header.prev_blockhash.to_byte_array() != given.tip.hash {
            return Err("it is on another tip than its template".to_owned());
        }
        let paid: u64 = coinbase.output.iter().map(|output| output.value.to_sat()).sum();
        if paid != REWARD {
            return Err(format!("it pays {paid} of {REWARD}"));
        }
        let added: usize = coinbase.output.iter().map(bitcoin::TxOut::size).sum::<usize>()
            - whole.coinbase.outputs.iter().map(Output::len).sum::<usize>();
        if added as u64 > u64::from(whole.constraints.additional_size) {
            let room = whole.constraints.additional_size;
            return Err(format!("its outputs take {added} bytes, its template leaves {room}"));
        }
        Ok(hash.to_byte_array())
    }
}

/// Whether a job of this tag was made from a template.
pub(super) fn is_of_template(tag: super::pool::job::JobTag, declares: bool) -> bool {
    tag.pool == SOLO || declares && tag.pool == 0
}
