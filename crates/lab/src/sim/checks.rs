//! The invariants, looked at while the run goes on and at its end.

use engine::books::Totals;
use engine::miner::{CloseReason, ReplyMode};
use engine::source::DownReason;

use super::adit::{Closing, Connection};
use super::peers::BLOCK_DUE;
use super::plan::EASIEST;
use super::pool::job::JobTag;
use super::time::{Micros, SECOND, micros, unix};
use super::world::{Event, World};

/// With a pool that is well for this long, every miner has work again.
pub(super) const HEALED: Micros = 90 * SECOND;
/// With the first pool well for this long, all mine for it: its return takes 90 s at most in these runs.
const PRIMARY: Micros = 240 * SECOND;
/// Workers that are gone are forgotten after this: soon, so that they come back as new ones.
const FORGET: std::time::Duration = std::time::Duration::from_secs(60);
/// A fault's consequences are over after this.
const LONG_AGO: Micros = 45 * SECOND;
/// So many tips within [`LATELY`] are a storm.
pub(super) const STORM: usize = 5;
/// See [`STORM`].
pub(super) const LATELY: Micros = 20 * SECOND;
/// Tokens are used for so long.
const TOKEN_AGE: Micros = 60 * SECOND;
/// A job comes this much after its time, an answer after its share, at the latest.
const COMPANY: Micros = 5 * SECOND;
/// Vardiff has found a miner's difficulty after this.
const SETTLED: Micros = 600 * SECOND;
/// And is off by no more than this factor.
const OFF: f64 = 3.0;
/// A tip is with every miner within this.
const TIP_REACHES: Micros = 5 * SECOND;
/// A miner has work within this of its connection, when all is well.
const FIRST_WORK: Micros = 30 * SECOND;

impl World {
    // ---- I1, I2: the books ----

    /// The books of a source against what was seen on its wire, if anything was.
    pub(super) fn check_source(&mut self, at: usize) {
        let source = &mut self.adit.sources[at];
        let ledger = &source.ledger;
        let counted = ledger.queued + ledger.sent + ledger.acknowledged + ledger.refused + ledger.unknown;
        if std::mem::replace(&mut source.checked, counted) == counted {
            return;
        }
        self.hold_source(at);
    }

    fn hold_source(&mut self, at: usize) {
        let id = u16::try_from(at).ok();
        let mut totals = Totals::default();
        for (key, part) in self.adit.books.all() {
            if key.source == id {
                totals.add(&part);
            }
        }
        let source = &self.adit.sources[at];
        let (ledger, waiting) = (&source.ledger, source.queue_len() as u64);
        let held = source.machine.held();
        if held > 0 && !ledger.has_channels() {
            return self.broken("held", format!("source {at} holds {held} shares, and has no channel"));
        }
        let seen = [
            ("held", totals.held, held),
            ("acknowledged", totals.acknowledged, ledger.acknowledged),
            ("refused", totals.refused_sum(), ledger.refused),
            ("unknown", totals.unknown, ledger.unknown),
            ("pending", totals.pending, ledger.open() + waiting),
        ];
        for (what, books, seen) in seen {
            if books != seen {
                self.broken("I1", format!("source {at}: the books have {books} {what}, {seen} were seen"));
                return;
            }
        }
    }

    /// What is counted by worker comes to what is counted by source.
    fn check_workers(&mut self) {
        self.adit.books.forget_gone(std::time::Duration::from_micros(self.now), FORGET);
        let mut accounts = self.adit.books.all();
        accounts.sort_by_key(|(key, _)| *key);
        for ((key, account), (of, workers)) in accounts.iter().zip(self.adit.books.all_by_workers()) {
            // Sums of the same numbers in another order are as good as equal.
            let (work, by_workers) = (account.work_verified, workers.work_verified);
            let agrees = *key == of
                && (work - by_workers).abs() <= work * 1e-9
                && account.counts() == workers.counts();
            if !agrees {
                let text = format!("{key:?}: {account:?}, but by workers {of:?}: {workers:?}");
                return self.broken("I1", text);
            }
        }
    }

    /// The books against what miners were answered.
    pub(super) fn check_miners(&mut self) {
        self.check_workers();
        let totals = self.adit.books.totals();
        let ledger = &self.adit.miners_ledger;
        let mut unsent = ledger.unsent;
        let mut lost = 0;
        // Shares that turned out to be too easy for the target that the pool took their job with.
        let easier = totals.local.saturating_sub(ledger.taken);
        for source in &self.adit.sources {
            let of = &source.ledger;
            let gone = of.sent + source.queue_len() as u64 + source.machine.held();
            let mut dropped = of.queued.saturating_sub(gone);
            if of.is_custom && of.harder > 0 {
                dropped = dropped.saturating_sub(easier);
            }
            unsent += dropped;
            lost += dropped + of.refused + of.unknown;
        }
        let ended = lost;
        if self.adit.policy.reply == ReplyMode::Source {
            lost = 0;
        }
        let acknowledged: u64 = self.adit.sources.iter().map(|source| source.ledger.acknowledged).sum();
        if ledger.for_dead_channels > 0 {
            self.broken("I2", "a share was taken for a channel that Adit knew to be gone".into());
            return;
        }
        let harder = self.adit.sources.iter().any(|source| source.ledger.harder > 0);
        let easier = if harder { easier } else { 0 };
        if ledger.later_taken > acknowledged + easier || ledger.later_refused > ended {
            let text = format!("{ledger:?}: {acknowledged} acknowledged, {ended} ended otherwise");
            self.broken("I2", format!("answers that waited for the source's are not the source's: {text}"));
            return;
        }
        let seen = [
            ("submitted", totals.submitted(), ledger.submitted),
            ("rejected", totals.rejected_sum(), ledger.rejected),
            ("local", totals.local - easier, ledger.taken),
            ("unsent", totals.unsent_sum(), unsent),
            ("told true and lost", totals.told_true_lost, lost),
        ];
        for (what, books, seen) in seen {
            if books != seen {
                self.broken("I1", format!("the books have {books} {what}, {seen} were seen"));
                return;
            }
        }
    }

    /// The books against what the pools know.
    fn check_pools(&mut self) {
        for at in 0..self.pools.len() {
            let (truth, ledger) = (&self.pools[at].truth, &self.adit.sources[at].ledger);
            let seen = truth.accepted + truth.refused_sum() + truth.orphans;
            let wrong = if truth.received != seen {
                Some("the pool's own count is wrong")
            } else if ledger.acknowledged > truth.accepted {
                Some("more acknowledged than the pool accepted")
            } else if ledger.refused > truth.refused_sum() {
                Some("more refused than the pool refused")
            } else if truth.received > ledger.sent {
                Some("the pool got more than was sent")
            } else {
                None
            };
            if let Some(what) = wrong {
                let text = format!("pool {at}: {what}: {truth:?} {ledger:?}");
                self.broken("I1", text);
            }
        }
    }

    // ---- I3, I7, I10 and the prefix: what a miner is given ----

    pub(super) fn check_job(
        &mut self,
        miner: usize,
        tag: Option<JobTag>,
        prefix_at: &[u8],
        prev_hash: [u8; 32],
        ntime: u32,
        difficulty: f64,
    ) {
        if let Some(tag) = tag.filter(|tag| self.is_template(*tag)) {
            return self.check_template_job(miner, tag, prefix_at, (prev_hash, ntime, difficulty));
        }
        let Some((tag, pool)) = tag.and_then(|tag| Some((tag, self.pools.get(usize::from(tag.pool))?)))
        else {
            return self.broken("job", format!("miner {miner} got a job of no pool"));
        };
        let prefix = prefix_at.get(..pool.plan.prefix_len).unwrap_or_default().to_vec();
        // Who is moved between two goals' channels on one connection gets each one's newest.
        let channel = if self.plan.weights.is_some() { prefix.clone() } else { Vec::new() };
        let Some(given) = pool.given.get(&(tag.connection, tag.job_id, prefix)).copied() else {
            return self
                .broken("prefix", format!("miner {miner} got {tag:?} with a prefix that it never had"));
        };
        if !given.authenticated && !pool.plan.insecure {
            self.broken("I7", format!("miner {miner} got {tag:?} from a pool that nobody vouches for"));
        }
        if given.tip.hash != prev_hash {
            self.broken("job", format!("miner {miner} got {tag:?} on another tip than the pool's"));
        }
        if ntime < given.min_ntime || ntime > unix(self.now) + 1 {
            let text = format!("miner {miner} got {tag:?} with time {ntime}, it is {}", unix(self.now));
            self.broken("ntime", text);
        }
        let order = ((tag.pool, tag.connection, channel), given.at);
        let last = &mut self.miners[miner].last_given;
        let is_older = last.as_ref().is_some_and(|last| last.0 == order.0 && last.1 > order.1);
        *last = Some(order);
        if is_older {
            self.broken("order", format!("miner {miner} got {tag:?} after a newer job of that connection"));
        }
        if difficulty > given.difficulty * (1.0 + 1e-9) {
            let text = format!(
                "miner {miner} has {difficulty:e} for {tag:?}, whose difficulty is {:e}",
                given.difficulty
            );
            self.broken("I10", text);
        }
    }

    /// A source went down: not for something that the pool did right.
    pub(super) fn judge_down(&mut self, at: usize, why: &DownReason) {
        let well_since = match self.pools.get(at) {
            _ if self.declares() == Some(at) => self.preferred_well_since(),
            Some(pool) => pool.well_since,
            None => self.solo_well_since(),
        };
        let is_ours = !matches!(why, DownReason::NotStarted | DownReason::Reconnect);
        // What a declarator server gave is used for a while after.
        let ago = if self.declares() == Some(at) { LONG_AGO + TOKEN_AGE } else { LONG_AGO };
        // Tips that come faster than acknowledgements leave nothing to acknowledge.
        let storm = matches!(why, DownReason::Unacknowledged(_))
            && self.pools[0].last_storm().is_some_and(|t| t + LATELY > self.now);
        // At the end of a run the tips stand still, wherever they have come to.
        let judged = is_ours && !storm && !(self.winding_down && self.node.is_some());
        if judged && well_since.is_some_and(|t| self.now > t + ago) {
            self.broken("down", format!("source {at} gave up a pool that did nothing wrong: {why}"));
        }
    }

    /// The miners' estimates add up to the route's.
    fn check_hashrate(&mut self) {
        let mut sum = 0.0;
        for connection in self.adit.connections.iter().flatten() {
            if connection.is_joining() {
                return;
            }
            sum += connection.machine.hashrate();
        }
        let told = self.adit.router.hashrate(engine::RouteId(0));
        let idle = self.adit.is_router_idle();
        if idle && (told - sum).abs() > 1e-6 * (1.0 + sum) {
            self.broken("I6", format!("the route has {told:e} H/s, its miners {sum:e}"));
        }
    }

    // ---- I5 and the rest: now and then ----

    pub(super) fn look(&mut self) {
        self.check_work();
        self.check_company();
        self.check_caps();
        self.check_declaring();
        if let Some(text) = self.adit.searched_twice(&self.plan) {
            self.broken("I3", text);
        }
        if self.now % (60 * SECOND) < SECOND {
            for at in 0..self.adit.sources.len() {
                self.hold_source(at);
            }
            self.check_miners();
            self.check_pools();
            self.check_hashrate();
        }
        if !self.winding_down {
            self.events.at(self.now + SECOND, Event::Look);
        }
    }

    fn check_work(&mut self) {
        let now = self.now;
        let well = |since: Option<Micros>| since.is_some_and(|t| now >= t + HEALED);
        let any = self.pools.iter().any(|pool| well(pool.well_since)) || well(self.solo_well_since());
        let all = self.pools.iter().all(|pool| well(pool.well_since)) && well(self.preferred_well_since());
        let well_for_long = self.preferred_well_since().is_some_and(|t| now >= t + PRIMARY);
        if !any || self.adit.draining {
            return;
        }
        let mut wrong = None;
        for miner in &self.miners {
            let is_there = miner.link.is_some() && !miner.silent && !miner.was_slow && !miner.misbehaved;
            let patience = if all { FIRST_WORK } else { HEALED };
            if !is_there || now < miner.connected_at + patience {
                continue;
            }
            let Some(job) = miner.jobs.back() else {
                wrong = Some(format!("miner {} has no job", miner.index));
                break;
            };
            let Some(tag) = job.tag else { continue };
            if well_for_long && tag.pool != 0 && self.plan.weights.is_none() {
                wrong = Some(format!("miner {} mines for pool {}, not for the first", miner.index, tag.pool));
                break;
            }
            if let Some((tip, since)) = self.node.as_ref().and_then(|node| node.told)
                && self.is_template(tag)
                && all
                && job.job.prev_hash != tip
                && now > since + TIP_REACHES
            {
                wrong = Some(format!("miner {} has not heard of the node's tip", miner.index));
                break;
            }
            let Some(pool) = self.pools.get(usize::from(tag.pool)) else { continue };
            if pool.ended.get(&tag.connection).is_some_and(|ended| now > ended + HEALED) {
                let text = "still has a job of a connection that ended long ago";
                wrong = Some(format!("miner {} {text}: {tag:?}", miner.index));
                break;
            }
            let is_pools = !self.is_template(tag);
            if all && is_pools && job.job.prev_hash != pool.tip.hash && now > pool.tip_since + TIP_REACHES {
                wrong = Some(format!("miner {} has not heard of the tip of pool {}", miner.index, tag.pool));
                break;
            }
        }
        if let Some(text) = wrong {
            self.broken("I5", text);
        }
    }

    /// Miners that read are kept company: by jobs, whatever happens upstream, and by answers.
    fn check_company(&mut self) {
        let keepalive = micros(self.plan.keepalive) + COMPANY;
        let is_local = self.adit.policy.reply == ReplyMode::Local;
        let mut wrong = None;
        for miner in &self.miners {
            if miner.link.is_none() || miner.was_slow || miner.misbehaved {
                continue;
            }
            if !miner.jobs.is_empty() && self.now > miner.notified_at + keepalive {
                let since = (self.now - miner.notified_at) / SECOND;
                wrong = Some(("keepalive", format!("miner {} got no job for {since} s", miner.index)));
            }
            let oldest = miner.submits.values().next();
            if is_local && let Some(sent) = oldest.filter(|sent| self.now > sent.at + COMPANY) {
                let since = (self.now - sent.at) / SECOND;
                wrong = Some((
                    "unanswered",
                    format!("miner {} waits for an answer since {since} s", miner.index),
                ));
            }
        }
        if let Some((code, text)) = wrong {
            self.broken(code, text);
        }
    }

    /// In the calm every miner has the difficulty that it should have, or its source's.
    fn check_vardiff(&mut self) {
        let mut wrong = None;
        for miner in &self.miners {
            let settled = self.now.saturating_sub(miner.unsettled_at.max(miner.connected_at)) > SETTLED;
            let fixed = miner.plan.password.starts_with("fd=") || miner.plan.password.starts_with("md=");
            let Some(job) = miner.jobs.back().filter(|_| settled && !fixed && miner.link.is_some()) else {
                continue;
            };
            let ideal = miner.hashrate() * 60.0 / self.plan.shares_per_minute / 4_294_967_296.0;
            let source = self.difficulty_of(job);
            let (low, high) = (ideal.min(source) / OFF, (ideal * OFF).max(2.0 * EASIEST));
            if !(low..=high).contains(&job.difficulty) {
                let text = format!(
                    "miner {} has {:e}, ideal is {ideal:e}, its source's {source:e}",
                    miner.index, job.difficulty
                );
                wrong = Some(text);
            }
        }
        if let Some(text) = wrong {
            self.broken("vardiff", text);
        }
    }

    /// The difficulty of a miner's job at its pool.
    fn difficulty_of(&self, job: &super::miner::ClientJob) -> f64 {
        let Some(tag) = job.tag else { return f64::MAX };
        if self.is_template(tag) {
            return self.template_difficulty(tag, &job.job.coinb1);
        }
        let pool = &self.pools[usize::from(tag.pool)];
        let at = super::pool::job::EXTRANONCE_AT;
        let prefix = job.job.coinb1.get(at..at + pool.plan.prefix_len).unwrap_or_default().to_vec();
        pool.given.get(&(tag.connection, tag.job_id, prefix)).map_or(f64::MAX, |given| given.difficulty)
    }

    fn check_caps(&mut self) {
        for at in 0..self.adit.sources.len() {
            let source = &self.adit.sources[at];
            let open = source.machine.open_shares();
            // Blocks go out whatever the bound says; a miner that is a hundred times too fast finds a few.
            if let Some(most) = self.plan.pools.get(at).and_then(|pool| pool.unsettled_max)
                && open > most + 32
            {
                self.broken("I4", format!("source {at} has {open} open shares, at most {most} were allowed"));
            }
        }
        // Where work is shared out, each goal keeps its groups for a while after their miners have gone to another.
        let goals = self.plan.weights.map_or(1, <[f64]>::len);
        if self.adit.groups > self.adit.live * goals + 64 {
            let text = format!("{} groups for {} connections", self.adit.groups, self.adit.live);
            self.broken("I4", text);
        }
    }

    /// I8: a block that a miner found has reached its pool, if that was possible.
    pub(super) fn block_due(&mut self, number: usize) {
        let block = &self.blocks[number];
        // Whoever does not read is not read from either, and whoever broke off may have done so in mid-word.
        let miner = &self.miners[block.miner];
        let excused =
            self.winding_down || miner.was_slow || miner.session != block.session || miner.link.is_none();
        if self.is_template(block.tag) {
            return self.template_block_due(number, excused);
        }
        let pool = &self.pools[usize::from(block.tag.pool)];
        let well = pool.well_since.is_some_and(|t| self.now > t + 10 * SECOND);
        let connection = pool.connections.iter().find(|c| c.number == block.tag.connection);
        let lives =
            connection.is_some_and(|c| c.channels.values().any(|channel| channel.prefix == block.prefix));
        if !block.seen && well && lives && !excused {
            let given = pool.given.get(&(block.tag.connection, block.tag.job_id, block.prefix.clone()));
            let since = given.map_or(0, |given| given.at);
            let found_at = self.now - BLOCK_DUE;
            let tips = pool.tip_times.iter().filter(|t| **t > since && **t < found_at + SECOND).count();
            let age = if tips > 1 { ", two tips back or more," } else { "" };
            let text =
                format!("a block of {:?}{age} (nonce {:08x}) never reached its pool", block.tag, block.nonce);
            self.broken("I8", text);
        }
    }

    /// Whether a connection ended for a reason that Adit may have.
    pub(super) fn judge_end(&mut self, connection: &Connection, why: Closing) {
        let Closing::By(reason) = why else { return };
        let at = connection.miner;
        let miner = &mut self.miners[at];
        miner.turned_away_at = Some(self.now);
        let grace = self.adit.grace(&self.plan);
        let without = self.now.saturating_sub(self.adit.active_at);
        let fine = match reason {
            CloseReason::SetupDeadline => {
                miner.silent || miner.was_slow || miner.misbehaved || miner.link != Some(connection.link)
            }
            CloseReason::Idle => {
                self.now >= miner.found_at.max(connection.opened_at) + micros(self.plan.idle)
            }
            CloseReason::Garbage
            | CloseReason::LineTooLong
            | CloseReason::BadShares
            | CloseReason::TooFast
            | CloseReason::Flood => miner.misbehaved,
            CloseReason::NoMinerId => self.plan.extranonce1_size == 1,
            CloseReason::NoSource => without + 2 * SECOND >= grace || self.adit.draining,
            CloseReason::SlowReader => miner.was_slow || miner.link != Some(connection.link),
            // Decided outside the state machines.
            CloseReason::Overload
            | CloseReason::ListenerGone
            | CloseReason::Handshake
            | CloseReason::NotAuthentic
            | CloseReason::WrongProtocol
            | CloseReason::ProxyHeader
            | CloseReason::Tls => false,
            // The simulator's miners are of no known firmware, and ask for nothing that there is not.
            CloseReason::Firmware | CloseReason::SetupRefused => false,
            // Nor does anybody below choose the work.
            CloseReason::PoolChanged => false,
            CloseReason::ShuttingDown => self.adit.draining,
        };
        if !fine {
            let text =
                format!("miner {at} was closed: {reason} (no source since {:.1} s)", without as f64 / 1e6);
            self.broken("closed", text);
        }
    }

    // ---- the end ----

    /// Takes the farm down and looks at what is left.
    pub(super) fn wind_down(&mut self) {
        self.check_channels();
        self.check_vardiff();
        self.winding_down = true;
        for miner in &mut self.miners {
            miner.mischief = None;
        }
        self.run_until(self.now + 60 * SECOND);
        if !self.witness.violations.is_empty() {
            return;
        }
        for at in 0..self.adit.sources.len() {
            self.hold_source(at);
        }
        self.check_miners();
        self.check_pools();
        self.check_credit();
        for at in 0..self.miners.len() {
            self.miner_leaves(at);
        }
        self.run_until(self.now + 60 * SECOND);
        self.check_leaks();
        self.stop_sources();
        self.run_until(self.now + 10 * SECOND);
        for at in 0..self.adit.sources.len() {
            self.hold_source(at);
        }
        self.check_miners();
        let totals = self.adit.books.totals();
        let pending = totals.pending + totals.held;
        if pending > 0 {
            self.broken("I6", format!("{pending} shares are pending or held for ever"));
        }
    }

    /// In the calm no pool has more channels than there are groups to mine on them.
    fn check_channels(&mut self) {
        for at in 0..self.pools.len() {
            let most = 2 * self.adit.groups + 2;
            let channels = self.pools[at].connections.last().map_or(0, |c| c.channels.len());
            if channels > most {
                let text = format!("pool {at} has {channels} channels for {} groups", self.adit.groups);
                self.broken("I4", text);
            }
        }
    }

    /// With no link lost and no answer outstanding the work credited is the work booked.
    fn check_credit(&mut self) {
        for at in 0..self.pools.len() {
            let id = u16::try_from(at).ok();
            let mut totals = Totals::default();
            for (key, part) in self.adit.books.all() {
                if key.source == id {
                    totals.add(&part);
                }
            }
            let truth = &self.pools[at].truth;
            if totals.acknowledged == truth.accepted && truth.refused_sum() == 0 && totals.acknowledged > 0 {
                let ratio = totals.work_acknowledged / truth.accepted_work;
                if !(0.999_999..1.000_001).contains(&ratio) {
                    let text = format!(
                        "pool {at} credits {:e}, the books have {:e}",
                        truth.accepted_work, totals.work_acknowledged
                    );
                    self.broken("I1", text);
                }
            }
        }
        let accepted: u64 = self.pools.iter().map(|pool| pool.truth.received).sum();
        if accepted == 0 && self.plan.duration >= 600 * SECOND {
            self.broken("I5", "not one share reached a pool in the whole run".into());
        }
    }

    fn check_leaks(&mut self) {
        let ids = self.adit.ids.live();
        let hashrate = self.adit.router.hashrate(engine::RouteId(0));
        let (groups, live) = (self.adit.groups, self.adit.live);
        let cells = self.route_of_cells();
        let found = [
            (live > 0, format!("{live} connections are left")),
            (groups > 0 || cells > 0, format!("{groups} groups are left")),
            (ids > 0, format!("{ids} miner ids are taken")),
            (hashrate != 0.0, format!("a hashrate of {hashrate:e} is left")),
        ];
        for (is_wrong, text) in found {
            if is_wrong {
                self.broken("I6", text);
            }
        }
    }
}
