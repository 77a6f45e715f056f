//! Jobs and difficulty, down to the miner.

use std::sync::Arc;

use work::vardiff::is_urgent;

use super::setup::target_of;
use super::{Io, Mining, Sv1Miner};
use crate::feed::Feed;

/// The difficulty that the miner should have, as it is written.
fn written_wish(mining: &Mining, max: f64) -> Option<f64> {
    mining.wish(max).map(sv1::written_difficulty)
}

impl Sv1Miner {
    /// The group has new work: one `mining.set_difficulty` if it differs, and one `mining.notify`.
    pub fn feed(&mut self, feed: &Arc<Feed>, io: &mut Io<'_>) {
        let Some(mining) = &mut self.mining else { return };
        mining.take_feed(feed);
        self.send_difficulty(io);
        self.send_job(io);
    }

    /// Vardiff wishes another difficulty. Firmware reads it with the next job: one that is far off goes out at
    /// once, with the current job under a new id; the rest rides on the next job.
    pub(super) fn retarget(&mut self, io: &mut Io<'_>) {
        let Some(mining) = &mut self.mining else { return };
        let guess = mining.guess(self.policy.vardiff.shares_per_minute);
        mining.meter_hashrate(guess, io.now.mono);
        let Some(wish) = written_wish(mining, self.policy.vardiff.max) else { return };
        if is_urgent(mining.told, wish) && self.send_difficulty(io) {
            self.send_job(io);
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
        mining.told = sv1::write_set_difficulty(io.out, wish);
        mining.vardiff.set_in_force(mining.told, io.now.mono);
        true
    }

    fn send_job(&mut self, io: &mut Io<'_>) {
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
        feed.notify.write(io.out, told.job_id, extra, told.ntime, told.clean_jobs);
    }
}
