//! Which of a route's goals each miner mines for, so that the work comes out in the goals' proportions.
//!
//! Each miner has an account of time with each goal: what it owes it (its weight's part of the time that it has
//! mined) less what it gave. That alone, miner by miner, meets the weights whatever the miners' hashrates are, and
//! treats all alike. It is not enough for being right at every moment, so the farm has such an account too: the sum
//! of the miners' accounts, each times its hashrate as its shares show it. A miner goes where the two together, the
//! farm's and its own, say that most is owed.
//!
//! How long a miner stays is decided by its size: no move is for less than some seconds of the whole farm's work (see
//! [`SLICE`]). So a lone miner is sliced in time, and of five thousand each changes every ten minutes at most.

mod effective;
mod pace;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

pub use effective::Share;
use effective::effective;
use pace::Pace;

use crate::feed::GroupMeter;
use crate::ids::MinerRef;

/// Work that a move is made for, in seconds of the whole farm: the smallest goal's part of this, ...
pub const SLICE: f64 = 60.0;
/// ... within these bounds. An hour is then right to a hundredth of the smallest goal's part, and a lone miner changes
/// two or three times a minute between two goals.
pub const SLICES: (f64, f64) = (3.0, 20.0);
/// No miner has to stay for longer, however small it is.
pub const STAY_MAX: f64 = 600.0;
/// The farm's needs are looked at so far ahead.
const AHEAD: f64 = 60.0;
/// Of all miners, at most this part is moved in a minute (unless their goal is gone): each move is a notify, and one
/// comes every thirty seconds anyway.
pub const MOVED_A_MINUTE: f64 = 0.15;
/// Never fewer than this in a second.
const MOVED_A_SECOND: f64 = 1.0;
/// A miner owes a goal at most this much of its time, in seconds, and so does the farm: what could not be
/// given for longer is not paid back.
pub const DEBT_MAX: f64 = 900.0;
/// What the farm owes counts so many times as much as a miner's own account, ...
const FARM: f64 = 3.0;
/// ... and no more than so many slices of it count.
const URGENCY: f64 = 4.0;
/// After a goal came or went or was given another weight, miners need not have stayed: each may be moved once more
/// within this time, in seconds, ...
const REARRANGED_WITHIN: f64 = 60.0;
/// ... and all of them within this.
const ALL_WITHIN: f64 = 8.0;
/// Where a goal is owed more than a quarter of a slice, miners that have stayed for this long, in seconds, may be moved ...
const STAY_OWED: f64 = 60.0;
/// ... if they gain so much.
const GAIN_OWED: f64 = 1.0;
/// A gain below this is not worth a notify.
const GAIN: f64 = 0.02;

/// A miner is to mine for another goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Who.
    pub miner: MinerRef,
    /// The goal's place among the route's.
    pub to: usize,
}

/// How a goal is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// The part of the work that it should have now.
    pub wanted: f64,
    /// Hashes per second of the miners that mine for it and are shared out, as their shares show them.
    pub hashrate: f64,
    /// Miners that mine for it.
    pub miners: usize,
    /// What it is owed, hashes.
    pub owed: f64,
}

#[derive(Clone, Debug)]
struct Goal {
    share: Share,
    present: bool,
    /// It was taken away.
    gone: bool,
    wanted: f64,
    /// What those that have left owed it, hashes.
    left_owing: f64,
    /// Of those that mine for it or are on their way there.
    hashrate: f64,
    owed: f64,
}

impl Goal {
    fn new(share: Share) -> Self {
        Self { share, present: false, gone: false, wanted: 0.0, left_owing: 0.0, hashrate: 0.0, owed: 0.0 }
    }
}

#[derive(Debug)]
struct Member {
    miner: MinerRef,
    goal: usize,
    /// On its way there.
    target: Option<usize>,
    pinned: Option<usize>,
    since: Duration,
    pace: Pace,
    /// By goal: seconds that it owes.
    owes: Box<[f64]>,
}

/// See the module.
#[derive(Debug)]
pub struct ShareOut {
    goals: Vec<Goal>,
    members: Vec<Member>,
    places: HashMap<MinerRef, usize, foldhash::fast::FixedState>,
    at: Duration,
    allowance: f64,
    /// See [`SLICE`].
    slice: f64,
    /// When goals last came or went or were changed.
    rearranged: Option<Duration>,
}

impl ShareOut {
    /// A route with these goals and no miners; no goal is present yet.
    #[must_use]
    pub fn new(shares: &[Share], seed: u64, now: Duration) -> Self {
        Self {
            goals: shares.iter().copied().map(Goal::new).collect(),
            members: Vec::new(),
            places: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
            at: now,
            allowance: 0.0,
            slice: SLICES.1,
            rearranged: None,
        }
    }

    /// The goal for a miner that comes now: the one that the farm owes most.
    #[must_use]
    pub fn place(&self, pinned: Option<usize>) -> usize {
        if let Some(pinned) = pinned.filter(|goal| self.goals.get(*goal).is_some_and(|g| g.present)) {
            return pinned;
        }
        let total = self.total().max(1.0);
        let need = |goal: &Goal| {
            if !goal.present {
                return f64::NEG_INFINITY;
            }
            goal.owed / total + AHEAD * (goal.wanted - goal.hashrate / total)
        };
        let weight = |goal: &Goal| (need(goal), goal.share.weight);
        let best = (0..self.goals.len()).filter(|at| !self.goals[*at].gone).max_by(|a, b| {
            let (a, b) = (weight(&self.goals[*a]), weight(&self.goals[*b]));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        best.unwrap_or(0)
    }

    /// A miner has come and mines for `goal`; `guess` is its hashrate until its shares show it.
    pub fn join(
        &mut self,
        miner: MinerRef,
        goal: usize,
        pinned: Option<usize>,
        meter: Arc<GroupMeter>,
        guess: f64,
        now: Duration,
    ) {
        debug_assert!(!self.places.contains_key(&miner), "a miner is there once");
        let owes = vec![0.0; self.goals.len()].into();
        let pace = Pace::new(meter, guess, now);
        self.places.insert(miner, self.members.len());
        self.members.push(Member { miner, goal, target: None, pinned, since: now, pace, owes });
        if pinned != Some(goal) {
            self.goals[goal].hashrate += guess;
        }
        self.weigh();
    }

    /// A miner has gone. What it owed the farm goes on owing.
    pub fn leave(&mut self, miner: MinerRef) {
        let Some(at) = self.places.remove(&miner) else { return };
        let member = self.members.swap_remove(at);
        if let Some(moved) = self.members.get(at) {
            self.places.insert(moved.miner, at);
        }
        let rate = member.pace.rate();
        let heads_for = member.target.unwrap_or(member.goal);
        for (goal, owes) in self.goals.iter_mut().zip(&member.owes) {
            goal.left_owing += *owes * rate;
        }
        if self.is_free(&member) {
            self.goals[heads_for].hashrate = (self.goals[heads_for].hashrate - rate).max(0.0);
        }
        if self.members.is_empty() {
            for goal in &mut self.goals {
                (goal.hashrate, goal.left_owing, goal.owed) = (0.0, 0.0, 0.0);
            }
        }
    }

    /// A miner mines for another goal from now on, and is measured there.
    pub fn moved(&mut self, miner: MinerRef, goal: usize, meter: Arc<GroupMeter>, now: Duration) {
        self.advance(now);
        let Some(member) = self.places.get(&miner).and_then(|at| self.members.get_mut(*at)) else { return };
        member.goal = goal;
        member.target = None;
        member.since = now;
        member.pace.goes_on(meter);
    }

    /// A move cannot be made: the miner stays where it is, and is not tried again at once.
    pub fn not_moved(&mut self, miner: MinerRef, now: Duration) {
        let Some(member) = self.places.get(&miner).and_then(|at| self.members.get_mut(*at)) else { return };
        member.target = None;
        member.since = now;
    }

    /// One more goal, behind the others; it is not present yet.
    pub fn add(&mut self, share: Share, now: Duration) {
        self.advance(now);
        self.goals.push(Goal::new(share));
        for member in &mut self.members {
            member.owes = member.owes.iter().copied().chain([0.0]).collect();
        }
        self.weigh();
    }

    /// A goal is taken away: its miners go to the others at once, and nothing is owed to it. It keeps its place.
    pub fn remove(&mut self, goal: usize, now: Duration) {
        self.set_present(goal, false, now);
        let of = &mut self.goals[goal];
        (of.gone, of.left_owing, of.owed) = (true, 0.0, 0.0);
        for member in &mut self.members {
            member.owes[goal] = 0.0;
        }
    }

    /// A miner is bound to this goal from now on, or shared out.
    pub fn bind(&mut self, miner: MinerRef, goal: Option<usize>) {
        if let Some(member) = self.places.get(&miner).and_then(|at| self.members.get_mut(*at)) {
            member.pinned = goal;
        }
    }

    /// Another weight or cap, which holds at once; a goal that was taken away is back. What is owed stays owed.
    pub fn change(&mut self, goal: usize, share: Share) {
        self.goals[goal].share = share;
        self.goals[goal].gone = false;
        self.rearranged = Some(self.at);
        self.weigh();
    }

    /// A goal has a source and may have work, or not. What one that goes has at that moment too much or too little is made
    /// good when it comes back; what it misses meanwhile is not.
    pub fn set_present(&mut self, goal: usize, present: bool, now: Duration) {
        if self.goals[goal].present == present {
            return;
        }
        self.advance(now);
        self.goals[goal].present = present;
        self.rearranged = Some(now);
        self.weigh();
    }

    /// Whether a goal may have work.
    #[must_use]
    pub fn is_present(&self, goal: usize) -> bool {
        self.goals.get(goal).is_some_and(|goal| goal.present)
    }

    /// How many miners are there.
    #[must_use]
    pub fn miners(&self) -> usize {
        self.members.len()
    }

    /// No miner is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How a goal is doing.
    #[must_use]
    pub fn standing(&self, goal: usize) -> Standing {
        let Some(of) = self.goals.get(goal) else { return Standing::default() };
        let there = self.members.iter().filter(|m| m.goal == goal);
        Standing { wanted: of.wanted, hashrate: of.hashrate, miners: there.count(), owed: of.owed }
    }

    /// Time has passed: who is to move now. Call about once a second; each move is to be answered with
    /// [`moved`](Self::moved) or [`not_moved`](Self::not_moved).
    pub fn tick(&mut self, now: Duration) -> Vec<Move> {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.advance(now);
        self.measure(now);
        self.weigh();
        let part = if self.is_rearranging(now) { 1.0 / ALL_WITHIN } else { MOVED_A_MINUTE / 60.0 };
        let most = (self.members.len() as f64 * part).max(MOVED_A_SECOND);
        self.allowance = (self.allowance + most * seconds).min(2.0 * most);
        let mut moves = Vec::new();
        self.move_from_where_nothing_is(&mut moves, now);
        self.move_to_where_more_is_owed(&mut moves, now);
        moves
    }

    fn is_rearranging(&self, now: Duration) -> bool {
        self.rearranged.is_some_and(|since| now.saturating_sub(since).as_secs_f64() < REARRANGED_WITHIN)
    }

    /// Whether a miner is shared out, and not bound to one goal.
    fn is_free(&self, member: &Member) -> bool {
        member.pinned.is_none_or(|goal| !self.is_present(goal))
    }

    fn total(&self) -> f64 {
        self.goals.iter().map(|goal| goal.hashrate).sum()
    }

    /// Keeps the accounts of time.
    fn advance(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        if seconds <= 0.0 {
            return;
        }
        let goals: Vec<(bool, f64)> = self.goals.iter().map(|g| (g.present, g.wanted)).collect();
        for member in &mut self.members {
            let bound_to = member.pinned.is_some_and(|goal| goals.get(goal).is_some_and(|g| g.0));
            // In a goal without source it works for nobody.
            if bound_to || !goals.get(member.goal).is_some_and(|g| g.0) {
                continue;
            }
            for (at, (owes, (_, wanted))) in member.owes.iter_mut().zip(&goals).enumerate() {
                let gave = if at == member.goal { seconds } else { 0.0 };
                *owes = (*owes + wanted * seconds - gave).clamp(-DEBT_MAX, DEBT_MAX);
            }
        }
    }

    /// Reads the miners' meters, and makes up the farm's accounts.
    fn measure(&mut self, now: Duration) {
        let mut hashrate = vec![0.0; self.goals.len()];
        let mut owed: Vec<f64> = self.goals.iter().map(|goal| goal.left_owing).collect();
        for at in 0..self.members.len() {
            self.members[at].pace.look(now);
            let member = &self.members[at];
            if !self.is_free(member) {
                continue;
            }
            let rate = member.pace.rate();
            hashrate[member.target.unwrap_or(member.goal)] += rate;
            for (owed, owes) in owed.iter_mut().zip(&member.owes) {
                *owed += *owes * rate;
            }
        }
        let bound = DEBT_MAX * hashrate.iter().sum::<f64>();
        for ((goal, hashrate), owed) in self.goals.iter_mut().zip(hashrate).zip(owed) {
            goal.hashrate = hashrate;
            goal.owed = owed.clamp(-bound, bound);
            goal.left_owing += goal.owed - owed;
        }
    }

    /// Works out each goal's part.
    fn weigh(&mut self) {
        let total = self.total();
        let shares: Vec<_> = self.goals.iter().map(|goal| (goal.share, goal.present)).collect();
        for (goal, wanted) in self.goals.iter_mut().zip(effective(&shares, total)) {
            goal.wanted = wanted;
        }
        let parts = self.goals.iter().map(|goal| goal.wanted).filter(|part| *part > 0.0);
        self.slice = (parts.fold(1.0, f64::min) * SLICE).clamp(SLICES.0, SLICES.1);
    }

    /// How long a miner of this hashrate stays, in seconds.
    fn stay(&self, rate: f64) -> f64 {
        if rate <= 0.0 { STAY_MAX } else { (self.slice * self.total() / rate).clamp(self.slice, STAY_MAX) }
    }

    /// The goal where a miner is needed most, and how much more than where it is.
    fn best(&self, member: &Member) -> Option<(usize, f64)> {
        let total = self.total();
        let rate = member.pace.rate();
        let stay = self.stay(rate);
        let heads_for = member.target.unwrap_or(member.goal);
        let need = |at: usize| {
            let goal = &self.goals[at];
            let others = goal.hashrate - if at == heads_for { rate } else { 0.0 };
            let owed = goal.owed + AHEAD.min(stay) * (goal.wanted * total - others);
            let farm = (owed / (total.max(1.0) * self.slice)).clamp(-URGENCY, URGENCY);
            FARM * farm + member.owes[at] / stay + goal.wanted
        };
        let here = if self.is_present(heads_for) { need(heads_for) } else { f64::NEG_INFINITY };
        let others = (0..self.goals.len()).filter(|at| *at != heads_for && self.goals[*at].present);
        let best = others.map(|at| (at, need(at))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((best.0, best.1 - here))
    }

    fn send(&mut self, at: usize, to: usize, moves: &mut Vec<Move>) {
        let member = &mut self.members[at];
        let from = member.target.replace(to).unwrap_or(member.goal);
        let rate = member.pace.rate();
        moves.push(Move { miner: member.miner, to });
        if self.is_free(&self.members[at]) {
            self.goals[from].hashrate = (self.goals[from].hashrate - rate).max(0.0);
            self.goals[to].hashrate += rate;
        }
    }

    /// Those whose goal has no source any more, or that are bound to another, go at once.
    fn move_from_where_nothing_is(&mut self, moves: &mut Vec<Move>, _now: Duration) {
        for at in 0..self.members.len() {
            let member = &self.members[at];
            let heads_for = member.target.unwrap_or(member.goal);
            let pinned = member.pinned.filter(|goal| self.is_present(*goal));
            let to = match pinned {
                Some(pinned) if pinned != heads_for => Some(pinned),
                Some(_) => None,
                None if self.is_present(heads_for) => None,
                None => self.best(member).map(|(to, _)| to),
            };
            if let Some(to) = to {
                self.send(at, to, moves);
            }
        }
    }

    /// Those that have stayed long enough go where most is owed, the most urgent first.
    fn move_to_where_more_is_owed(&mut self, moves: &mut Vec<Move>, now: Duration) {
        if self.goals.iter().filter(|goal| goal.present).count() < 2 {
            return;
        }
        let rearranged = self.rearranged.filter(|_| self.is_rearranging(now));
        let mut wishes: Vec<(f64, usize)> = (0..self.members.len())
            .filter_map(|at| {
                let member = &self.members[at];
                let stayed = now.saturating_sub(member.since).as_secs_f64();
                if member.target.is_some() || !self.is_free(member) {
                    return None;
                }
                let may = stayed >= self.stay(member.pace.rate())
                    || rearranged.is_some_and(|since| member.since <= since);
                if !may && stayed < STAY_OWED {
                    return None;
                }
                let (to, gain) = self.best(member)?;
                let owed = || self.goals[to].owed > self.total() * self.slice / 4.0;
                let good = if may { gain > GAIN } else { gain > GAIN_OWED && owed() };
                good.then_some((gain, at))
            })
            .collect();
        wishes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, at) in wishes {
            if self.allowance < 1.0 {
                return;
            }
            // Others have moved since: it may be needed less now.
            if let Some((to, gain)) = self.best(&self.members[at])
                && gain > GAIN
            {
                self.allowance -= 1.0;
                self.send(at, to, moves);
            }
        }
    }
}
