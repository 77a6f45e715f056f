//! Job declaration in a run: what its faults do, and the invariants that only such runs have.

use super::apply::DEAD_PEER;
use super::faults::FaultKind;
use super::link::{End, LinkId};
use super::node::is_of_template;
use super::pool::job::{JobTag, SOLO};
use super::time::{MILLI, Micros, SECOND, unix};
use super::world::{Event, Owner, World};

/// Miners work on jobs that nobody has acknowledged for no longer than this: the engine's bound, and the second that a
/// look may come late.
const UNACKNOWLEDGED: Micros = 17 * SECOND;
/// A target may be on its way to Adit for so long.
const TARGET_UNDER_WAY: Micros = 45 * SECOND;
/// Bytes of the extranonce prefix of solo mining.
pub(super) const SOLO_PREFIX: usize = 8;

impl World {
    // ---- faults ----

    fn jds_link(&self, at: usize) -> Option<LinkId> {
        self.pools[at].jds.connections.last().map(|c| c.link)
    }

    /// Blocks are found right when something goes wrong, and a while later: they must go out whatever it is.
    pub(super) fn draw_luck(&mut self, at: usize) {
        if self.node.is_none() || at != 0 {
            return;
        }
        for latest in [300 * MILLI, 20 * SECOND] {
            let miner = self.rng.index(self.miners.len());
            let after = self.rng.range(0, latest);
            self.events.at(self.now + after, Event::Lucky { miner });
        }
    }

    /// The connection to a pool's declarator server is reset, if there is one.
    pub(super) fn reset_jds(&mut self, at: usize) -> bool {
        let link = self.jds_link(at);
        if let Some(link) = link {
            self.reset_link(link);
        }
        link.is_some()
    }

    /// True: it has occurred. Most have only with the message that they spoil, and are counted there.
    pub(super) fn begin_declaration(&mut self, kind: FaultKind, at: usize) -> bool {
        self.node_falls_ill(kind);
        let link = self.jds_link(at);
        let pool = &mut self.pools[at];
        let (mood, jds) = (&mut pool.mood, &mut pool.jds.mood);
        match kind {
            FaultKind::JdsGone => {
                jds.gone = true;
                let Some(link) = link else { return false };
                self.pools[at].forget(link, self.now);
                self.close_link(link, End::Peer);
                return true;
            }
            FaultKind::JdsReset => return self.reset_jds(at),
            FaultKind::JdsHalfOpen => {
                let Some(link) = link else { return false };
                if let Some(l) = self.links.get_mut(link) {
                    l.fall_silent();
                }
                let dead = self.rng.range(20 * SECOND, DEAD_PEER);
                self.events.at(self.now + dead, Event::Broken(link, End::Adit));
                self.events.at(self.now + dead + 10 * SECOND, Event::Broken(link, End::Peer));
                return true;
            }
            FaultKind::JdsSilentSetup => {
                jds.silent_setup = true;
                self.reset_jds(at);
            }
            FaultKind::JdsSilentToken => jds.silent_token = true,
            FaultKind::JdsSilentDeclare => jds.silent_declare = true,
            FaultKind::JdsSilentMissing => jds.silent_missing = true,
            FaultKind::JdsStale => jds.stale = true,
            FaultKind::JdsRefuses => jds.refuses = true,
            FaultKind::JdsTwice => jds.twice = true,
            FaultKind::TokenReused => jds.token_twice = true,
            FaultKind::TokenExpired => jds.forgets = true,
            FaultKind::OutputsChange => {
                pool.jds.outputs_version = pool.jds.outputs_version.wrapping_add(1);
                return true;
            }
            FaultKind::CustomStale => mood.custom_stale = true,
            FaultKind::CustomRefused => mood.custom_refused = true,
            FaultKind::CustomSilent => mood.custom_silent = true,
            FaultKind::CustomShares => {
                mood.refuse_all = Some("invalid-share");
                return true;
            }
            FaultKind::PrefixFirst => mood.prefix_first = true,
            FaultKind::TargetFirst => mood.target_first = true,
            FaultKind::PoolTipsLate => mood.late_tips = true,
            FaultKind::NodeTipsLate => self.set_node(|node| node.late_tips = true),
            FaultKind::NodeSmall => self.set_node(|node| node.small = true),
            FaultKind::NodeGone => {
                self.node_goes(true);
                return true;
            }
            _ => mood.tip_at = Some(kind),
        }
        false
    }

    pub(super) fn end_declaration(&mut self, kind: FaultKind, at: usize) {
        self.node_recovers(kind);
        let pool = &mut self.pools[at];
        let (mood, jds) = (&mut pool.mood, &mut pool.jds.mood);
        match kind {
            FaultKind::JdsGone => jds.gone = false,
            FaultKind::JdsHalfOpen => self.speak_again(Owner::Jds(at)),
            FaultKind::JdsSilentSetup => jds.silent_setup = false,
            FaultKind::JdsSilentToken => jds.silent_token = false,
            FaultKind::JdsSilentDeclare => jds.silent_declare = false,
            FaultKind::JdsSilentMissing => jds.silent_missing = false,
            FaultKind::JdsStale => jds.stale = false,
            FaultKind::JdsRefuses => jds.refuses = false,
            FaultKind::JdsTwice => jds.twice = false,
            FaultKind::TokenReused => jds.token_twice = false,
            FaultKind::TokenExpired => jds.forgets = false,
            FaultKind::CustomStale => mood.custom_stale = false,
            FaultKind::CustomRefused => mood.custom_refused = false,
            FaultKind::CustomSilent => mood.custom_silent = false,
            FaultKind::CustomShares => mood.refuse_all = None,
            FaultKind::PrefixFirst => mood.prefix_first = false,
            FaultKind::TargetFirst => mood.target_first = false,
            FaultKind::PoolTipsLate => mood.late_tips = false,
            FaultKind::NodeTipsLate => self.set_node(|node| node.late_tips = false),
            FaultKind::NodeSmall => self.set_node(|node| node.small = false),
            FaultKind::NodeGone => self.node_goes(false),
            kind => {
                mood.tip_at.take_if(|at| *at == kind);
            }
        }
    }

    fn set_node(&mut self, set: impl FnOnce(&mut super::node::Node)) {
        if let Some(node) = &mut self.node {
            set(node);
        }
    }

    fn node_falls_ill(&mut self, kind: FaultKind) {
        if is_of_node(kind) {
            self.set_node(|node| {
                node.ill += 1;
                node.well_since = None;
            });
        }
    }

    fn node_recovers(&mut self, kind: FaultKind) {
        let now = self.now;
        if is_of_node(kind) {
            self.set_node(|node| {
                node.ill -= 1;
                if node.ill == 0 {
                    node.well_since = Some(now);
                }
            });
        }
    }

    // ---- invariants ----

    /// A job that was made from a template: the node made it, the prefix is the channel's, the difficulty not above its
    /// target.
    pub(super) fn check_template_job(
        &mut self,
        miner: usize,
        tag: JobTag,
        prefix_at: &[u8],
        (prev_hash, ntime, difficulty): ([u8; 32], u32, f64),
    ) {
        let given = self.node.as_ref().and_then(|node| node.templates.get(&tag.job_id));
        let Some(given) = given.cloned() else {
            return self.broken("job", format!("miner {miner} got {tag:?}, whose template nobody made"));
        };
        if given.tip.hash != prev_hash {
            self.broken("job", format!("miner {miner} got {tag:?} on another tip than its template's"));
        }
        if ntime < given.template.min_ntime || ntime > unix(self.now) + 1 {
            let text = format!("miner {miner} got {tag:?} with time {ntime}, it is {}", unix(self.now));
            self.broken("ntime", text);
        }
        let hardest = match self.hardest(tag, prefix_at, given.at.saturating_sub(TARGET_UNDER_WAY)) {
            Ok(hardest) => hardest,
            Err(text) => return self.broken("prefix", format!("miner {miner} got {tag:?} {text}")),
        };
        if difficulty > hardest * (1.0 + 1e-9) {
            let text =
                format!("miner {miner} has {difficulty:e} for {tag:?}, whose difficulty is {hardest:e}");
            self.broken("I10", text);
        }
    }

    /// The hardest difficulty that a job made from a template can have.
    fn hardest(&self, tag: JobTag, prefix_at: &[u8], since: Micros) -> Result<f64, String> {
        if tag.pool == SOLO {
            let network = bitcoin::CompactTarget::from_consensus(super::plan::NETWORK_BITS);
            return Ok(bitcoin::Target::from_compact(network).difficulty_float());
        }
        let pool = &self.pools[usize::from(tag.pool)];
        let prefix = prefix_at.get(..pool.plan.prefix_len).unwrap_or_default();
        let given = pool.prefixes.get(prefix).ok_or("with a prefix that no channel ever had")?;
        if !given.authenticated && !pool.plan.insecure {
            return Err("from a pool that nobody vouches for".to_owned());
        }
        Ok(given.hardest_since(since))
    }

    /// The difficulty of a template's job at its source now.
    pub(super) fn template_difficulty(&self, tag: JobTag, coinb1: &[u8]) -> f64 {
        let prefix_at = coinb1.get(super::pool::job::EXTRANONCE_AT..).unwrap_or_default();
        self.hardest(tag, prefix_at, self.now).unwrap_or(f64::MAX)
    }

    pub(super) fn is_template(&self, tag: JobTag) -> bool {
        is_of_template(tag, self.node.is_some())
    }

    /// Since when everything is well that the preferred source needs.
    ///
    /// Tips that come faster than acknowledgements leave nothing to acknowledge: a declared job needs the time after
    /// the last such storm.
    pub(super) fn preferred_well_since(&self) -> Option<Micros> {
        let pool = self.pools[0].well_since?;
        match &self.node {
            Some(node) => {
                node.well_since.map(|node| node.max(pool).max(self.pools[0].last_storm().unwrap_or(0)))
            }
            None => Some(pool),
        }
    }

    /// Since when there are templates to mine solo on.
    pub(super) fn solo_well_since(&self) -> Option<Micros> {
        self.node.as_ref()?.well_since
    }

    /// Nobody works for long for what nobody has promised to pay, and what is held is what the machine holds.
    pub(super) fn check_declaring(&mut self) {
        let Some(at) = self.declares() else { return };
        let now = self.now;
        let source = &mut self.adit.sources[at];
        if !source.ready {
            return;
        }
        if let Some((channel, since)) = source.ledger.longest_unacknowledged(now)
            && now > since + UNACKNOWLEDGED
        {
            let text = format!(
                "source {at}: nothing of channel {channel} was acknowledged for {} s",
                (now - since) / SECOND
            );
            self.broken("unacknowledged", text);
        }
    }

    /// A block of a template's job has been handed to the nodes.
    pub(super) fn template_block_due(&mut self, number: usize, excused: bool) {
        let block = &self.blocks[number];
        if block.handed_out == 0 && !excused {
            let text = format!("a block of {:?} (nonce {:08x}) reached no node", block.tag, block.nonce);
            self.broken("I8", text);
        }
    }
}

/// Whether it is the farm's own node that is ill.
fn is_of_node(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::NodeTipsLate | FaultKind::NodeSmall | FaultKind::NodeGone)
}
