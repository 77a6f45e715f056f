//! Subscribe, authorise, configure and their relatives, in whatever order they come.

use std::sync::Arc;
use std::time::Duration;

use sv1::{Configure, ConfigureResult, ErrorCode, Id, Method, VersionRollingResult};
use work::vardiff::{Start, Vardiff};
use work::{Difficulty, Target, Validator};

use super::super::firmware::Firmware;
use super::{CloseReason, Io, MAX_WORKERS, Mining, Sv1Miner, Worker};
use crate::feed::{Feed, GroupMeter};
use crate::miner::cut;

/// Bytes that are kept of what a miner says that it is.
pub(in crate::miner) const USER_AGENT_KEPT: usize = 64;

/// What the miner said about itself.
#[derive(Debug, Default)]
pub(super) struct Setup {
    pub(super) subscribed: bool,
    /// What it calls itself, until somebody has taken it, at most [`USER_AGENT_KEPT`] bytes.
    pub(super) user_agent: Option<Box<str>>,
    /// Granted by `mining.configure`; without it the listener's mask judges.
    pub(super) mask: Option<u32>,
    pub(super) suggested: Option<f64>,
    pub(super) minimum: Option<f64>,
    pub(super) fixed: Option<f64>,
    pub(super) remembered: Option<f64>,
    /// What is known of its firmware.
    pub(super) firmware: Option<Arc<Firmware>>,
    /// The firmware cannot do the work that there is.
    pub(super) unfit: bool,
}

impl Sv1Miner {
    pub(super) fn set_up(
        &mut self,
        id: Id<'_>,
        method: Method<'_>,
        io: &mut Io<'_>,
    ) -> Result<(), CloseReason> {
        if self.strikes.request(io.now.mono) {
            return Err(CloseReason::Flood);
        }
        match method {
            Method::Configure(wish) => self.configure(id, &wish, io),
            Method::Subscribe(wish) => return self.subscribe(id, wish.user_agent.as_deref(), io),
            Method::Authorize { user, password } => self.authorize(id, &user, &password, io),
            Method::SuggestDifficulty(difficulty) => {
                sv1::write_true(io.out, id);
                self.suggest(difficulty, io);
            }
            Method::SuggestTarget(mut target) => {
                target.reverse();
                let target = Target::from_le_bytes(target);
                if target.is_zero() {
                    sv1::write_error(io.out, id, ErrorCode::Other, "A target of zero cannot be met");
                } else {
                    sv1::write_true(io.out, id);
                    self.suggest(target.difficulty().get(), io);
                }
            }
            // extranonce1 never changes here, so there is nothing to be told.
            Method::ExtranonceSubscribe => sv1::write_true(io.out, id),
            Method::Ping => sv1::write_pong(io.out, id),
            Method::MultiVersion => sv1::write_false(io.out, id),
            Method::GetTransactions => sv1::write_empty_list(io.out, id),
            Method::Unknown(name) => sv1::write_unknown_method(io.out, id, &name),
            Method::Pong | Method::Response { .. } => {}
            Method::Submit(_) => unreachable_submit(),
        }
        Ok(())
    }

    fn configure(&mut self, id: Id<'_>, wish: &Configure<'_>, io: &mut Io<'_>) {
        let version_rolling = wish.version_rolling.as_ref().map(|rolling| {
            let mask = rolling.mask & self.policy.version_mask & self.firmware_mask();
            if mask.count_ones() < u32::from(rolling.min_bit_count) {
                VersionRollingResult::Refused
            } else {
                self.setup.mask = Some(mask);
                VersionRollingResult::Granted { mask }
            }
        });
        if let Some(minimum) = wish.minimum_difficulty {
            self.setup.minimum = Some(minimum);
        }
        let result = ConfigureResult {
            version_rolling,
            minimum_difficulty: wish.minimum_difficulty.map(|_| true),
            // Granted and never used: extranonce1 does not change.
            subscribe_extranonce: wish.subscribe_extranonce.then_some(true),
            info: wish.info.as_ref().map(|_| true),
            unknown: &wish.unknown,
        };
        sv1::write_configure_result(io.out, id, &result);
    }

    fn subscribe(
        &mut self,
        id: Id<'_>,
        user_agent: Option<&str>,
        io: &mut Io<'_>,
    ) -> Result<(), CloseReason> {
        let firmware = user_agent.and_then(|agent| self.policy.firmware.find(agent));
        if self.policy.extranonce1_size == 0 && firmware.is_none_or(|firmware| !firmware.empty_extranonce1) {
            let text = "This port gives an empty extranonce1, and this firmware is not known to work with one: use \
                        another port, or set empty_extranonce1 = true in its [firmware] profile";
            sv1::write_error(io.out, id, ErrorCode::Other, text);
            return Err(CloseReason::Firmware);
        }
        if let Some(firmware) = firmware {
            let takes = firmware.extranonce2_min..=firmware.extranonce2_max;
            if !takes.contains(&self.policy.extranonce2_size) {
                let text = format!(
                    "{} works with {} to {} bytes of extranonce2, this port gives {}: use another port, or set \
                     extranonce2_size",
                    firmware.name,
                    firmware.extranonce2_min,
                    firmware.extranonce2_max,
                    self.policy.extranonce2_size
                );
                sv1::write_error(io.out, id, ErrorCode::Other, &text);
                return Err(CloseReason::Firmware);
            }
            self.setup.firmware = Some(Arc::clone(firmware));
        }
        let miner_id = match self.miner_id {
            // Asked again, it is told the same again.
            Some(miner_id) => miner_id,
            None => {
                let Some(miner_id) = io.ids.allocate(self.policy.extranonce1_size) else {
                    let text = format!(
                        "Full: every extranonce1 of {} bytes is taken, on every connection that there may be to the \
                         pool: use another port, or your backup pool",
                        self.policy.extranonce1_size
                    );
                    sv1::write_error(io.out, id, ErrorCode::Other, &text);
                    return Err(CloseReason::NoMinerId);
                };
                *self.miner_id.insert(miner_id)
            }
        };
        self.setup.subscribed = true;
        self.setup.user_agent = user_agent.map(|agent| cut(agent.trim(), USER_AGENT_KEPT).into());
        let session = session_text(miner_id.as_bytes());
        sv1::write_subscribe_result(io.out, id, &session, miner_id.as_bytes(), self.policy.extranonce2_size);
        self.narrow_mask(io);
        Ok(())
    }

    /// Most firmware asks for version rolling before it says what it is.
    fn narrow_mask(&mut self, io: &mut Io<'_>) {
        let allowed = self.firmware_mask();
        if let Some(mask) = &mut self.setup.mask
            && *mask & !allowed != 0
        {
            *mask &= allowed;
            sv1::write_set_version_mask(io.out, *mask);
        }
    }

    fn firmware_mask(&self) -> u32 {
        self.setup.firmware.as_ref().map_or(u32::MAX, |firmware| firmware.version_mask)
    }

    fn authorize(&mut self, id: Id<'_>, user: &str, password: &str, io: &mut Io<'_>) {
        let worker = Worker::new(user.trim(), &self.policy.identity);
        if !self.workers.iter().any(|w| w.given == worker.given) {
            if self.workers.len() == MAX_WORKERS {
                let text = "Too many workers on one connection";
                sv1::write_error(io.out, id, ErrorCode::Unauthorized, text);
                return;
            }
            // Most connections have one.
            self.workers.reserve_exact(1);
            self.workers.push(worker);
        }
        let hints = sv1::password::PasswordHints::parse(password);
        self.setup.suggested = hints.start.or(self.setup.suggested);
        self.setup.minimum = hints.minimum.or(self.setup.minimum);
        self.setup.fixed = hints.fixed.or(self.setup.fixed);
        sv1::write_true(io.out, id);
    }

    /// What the same worker's vardiff had learnt the last time: a better guess than the listener's.
    pub fn remember(&mut self, difficulty: f64) {
        self.setup.remembered = Some(difficulty);
    }

    fn suggest(&mut self, difficulty: f64, io: &mut Io<'_>) {
        self.setup.suggested = Some(difficulty);
        let vardiff = self.vardiff(io.now.mono);
        if let Some(mining) = &mut self.mining
            && self.last_share == self.since
        {
            // Before the first share nothing better is known.
            mining.vardiff = vardiff;
            self.retarget(io);
        }
    }

    fn start(&self) -> Start {
        let lowest = self.setup.firmware.as_ref().and_then(|firmware| firmware.difficulty_min);
        Start {
            suggested: self.setup.suggested,
            minimum: match (self.setup.minimum, lowest) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            },
            fixed: self.setup.fixed,
            remembered: self.setup.remembered,
            default_guess: self.policy.difficulty_start,
        }
    }

    /// A vardiff that begins at `now`. Where the listener has none, its difficulty stays where it began.
    fn vardiff(&self, now: Duration) -> Vardiff {
        let vardiff = Vardiff::new(&self.policy.vardiff, &self.start(), now);
        if self.policy.vardiff_enabled { vardiff } else { vardiff.held() }
    }

    /// A first guess of the miner's hashrate, hashes per second, for the group that it joins.
    #[must_use]
    pub fn first_hashrate(&self) -> f64 {
        let vardiff = self.vardiff(Duration::ZERO);
        vardiff.difficulty() * work::hashrate::HASHES_PER_DIFFICULTY * self.policy.vardiff.shares_per_minute
            / 60.0
    }

    /// The miner is in a group, which has `metered` of its hashrate in its sum: it gets work from now on,
    /// beginning with `feed` if there is any.
    pub fn joined(&mut self, meter: Arc<GroupMeter>, metered: f64, feed: Option<Arc<Feed>>, io: &mut Io<'_>) {
        let Some(miner_id) = self.miner_id else { return };
        let vardiff = self.vardiff(io.now.mono);
        let (size, seed) = (self.policy.extranonce2_size, self.policy.hash_seed);
        let validator = Validator::new(miner_id, size, seed, work::Limits::default());
        self.since = io.now.mono;
        self.last_share = io.now.mono;
        self.mining = Some(Box::new(Mining::new(validator, vardiff, meter, metered, io.now.mono)));
        if let Some(feed) = feed {
            self.feed(&feed, io);
        }
    }

    /// The mask that a share's version bits are judged by.
    pub(super) fn mask(&self) -> u32 {
        self.setup.mask.unwrap_or(self.policy.version_mask & self.firmware_mask())
    }
}

/// The line is dispatched before; a share can only come here by a mistake of ours, and costs nothing then.
fn unreachable_submit() {
    debug_assert!(false, "submits are dispatched before");
}

fn session_text(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// The target of a difficulty as it was written.
pub(super) fn target_of(difficulty: f64) -> Target {
    Difficulty::new(difficulty).map_or(Target::MAX, Target::from_difficulty)
}
