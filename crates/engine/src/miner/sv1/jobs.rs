//! Jobs and difficulty, down to the miner.

use std::sync::Arc;

use work::vardiff::is_urgent;

use super::setup::target_of;
use super::{Io, Mining, Sv1Miner, Worker};
use crate::feed::{Feed, GroupMeter};

/// The difficulty that the miner should have, as it is written.
fn written_wish(mining: &Mining, max: f64) -> Option<f64> {
    mining.wish(max).map(sv1::written_difficulty)
}

impl Sv1Miner {
    /// The group has new work: one `mining.set_difficulty` if it differs, and one `mining.notify`.
    pub fn feed(&mut self, feed: &Arc<Feed>, io: &mut Io<'_>) {
        if self.too_long_a_coinbase(feed, io) {
            return;
        }
        let Some(mining) = &mut self.mining else { return };
        let clean = mining.would_be_clean(feed);
        mining.take_feed(feed);
        // Such firmware applies a new difficulty to jobs that it has: where those go on, a wish can wait, the
        // source's own difficulty cannot.
        let waits = !clean && self.difficulty_needs_clean_jobs();
        if waits && !self.above_source() {
            self.send_job(io, false);
        } else {
            let changed = self.send_difficulty(io);
            self.send_job(io, waits && changed);
        }
    }

    fn difficulty_needs_clean_jobs(&self) -> bool {
        self.setup.firmware.as_ref().is_some_and(|firmware| firmware.difficulty_with_clean_jobs)
    }

    /// Whether the miner was told a difficulty above that of the source's newest job.
    fn above_source(&self) -> bool {
        let highest = |mining: &Mining| Some(mining.feed.as_ref()?.job.source_difficulty.get());
        let Some(mining) = &self.mining else { return false };
        highest(mining).is_some_and(|source| sv1::written_difficulty(source) < mining.told)
    }

    /// The firmware would hash a coinbase cut short, and all its shares would be worth nothing: it is told so and
    /// closed, so that it goes on to a pool of its own list.
    fn too_long_a_coinbase(&mut self, feed: &Feed, io: &mut Io<'_>) -> bool {
        let Some(firmware) = &self.setup.firmware else { return false };
        let Some(most) = firmware.coinbase_max else { return false };
        let job = &feed.job.job;
        let long =
            job.coinbase_tx_prefix.len() + usize::from(job.extranonce_len) + job.coinbase_tx_suffix.len();
        if long <= most as usize {
            return false;
        }
        let text = format!(
            "This pool's coinbase has {long} bytes, {} hashes at most {most}: use another pool for it",
            firmware.name
        );
        self.tell(&text, io.out);
        self.setup.unfit = true;
        true
    }

    /// The miner is in another group from now on, counted by `meter`; that group's newest work is to follow at once: to
    /// the miner that is one more `mining.notify`. What it still submits of the work that it had is judged and sent as
    /// before.
    pub fn moved(&mut self, meter: Arc<GroupMeter>) {
        if let Some(mining) = &mut self.mining {
            mining.move_to(meter);
        }
    }

    /// Vardiff wishes another difficulty. Firmware reads it with the next job: one that is far off goes out at
    /// once, with the current job under a new id; the rest rides on the next job.
    pub(super) fn retarget(&mut self, io: &mut Io<'_>) {
        let Some(mining) = &mut self.mining else { return };
        let guess = mining.guess(self.policy.vardiff.shares_per_minute);
        mining.meter_hashrate(guess, io.now.mono);
        let Some(wish) = written_wish(mining, self.policy.vardiff.max) else { return };
        if is_urgent(mining.told, wish) && self.send_difficulty(io) {
            self.send_job(io, self.difficulty_needs_clean_jobs());
        }
    }

    /// Writes `mining.set_difficulty` if what the miner should have differs from what it was told. The job that
    /// it holds for must follow.
    fn send_difficulty(&mut self, io: &mut Io<'_>) -> bool {
        let Some(mining) = &mut self.mining else {
            return false;
        };
        let Some(wish) = written_wish(mining, self.policy.vardiff.max) else { return false };
        if wish == mining.told {
            return false;
        }
        let before = std::mem::replace(&mut mining.told, sv1::write_set_difficulty(io.out, wish));
        self.policy.retargets.count(before, mining.told);
        self.workers.iter().filter_map(Worker::known).for_each(|known| known.told(mining.told));
        mining.vardiff.set_in_force(mining.told, io.now.mono);
        true
    }

    /// `clean`: earlier jobs are to be dropped, though their shares would still be good.
    fn send_job(&mut self, io: &mut Io<'_>, clean: bool) {
        let Some(mining) = &mut self.mining else { return };
        let Some(feed) = &mining.feed else { return };
        let job = Arc::clone(&feed.job);
        // Groups are made per split and no target told is zero, so this cannot fail; if it did, the miner
        // would keep what it has.
        let Ok(told) = mining.validator.advertise(job, target_of(mining.told), io.now.seconds()) else {
            debug_assert!(false, "a job of another split, or a target of zero");
            return;
        };
        let extra = feed.job.constant_extranonce();
        feed.notify.write(io.out, told.job_id, extra, told.ntime, told.clean_jobs || clean);
    }
}
