//! The planted mistakes that corrupt what passes between the machines and the wire.

use std::sync::Arc;

use engine::{Feed, OutgoingShare};
use work::{ChannelJob, ChannelTerms, Difficulty, Extranonce};

use crate::sim::planted::PlantedBug;
use crate::sim::world::World;

/// The share with its first rollable byte changed.
pub(super) fn other_filler(share: &OutgoingShare) -> Option<OutgoingShare> {
    let mut bytes = share.extranonce.as_slice().to_vec();
    *bytes.first_mut()? ^= 1;
    Some(OutgoingShare { extranonce: Extranonce::concat(&[&bytes])?, ..share.clone() })
}

impl World {
    /// Whether a planted mistake is to be made this time: once in `rarity` times.
    pub(in crate::sim) fn planted(&mut self, bug: PlantedBug, rarity: u64) -> bool {
        self.is_planted(bug) && self.mistakes.below(rarity) == 0
    }

    pub(super) fn corrupt_feed(&mut self, feed: Arc<Feed>) -> Arc<Feed> {
        if self.is_planted(PlantedBug::ChannelNotEnded) {
            let channel = Arc::new(engine::ChannelState::new(feed.channel.key));
            return Arc::new(Feed { channel, ..(*feed).clone() });
        }
        if self.is_planted(PlantedBug::DifficultyAboveSource) {
            let job = &feed.job;
            let Ok(harder) = Difficulty::new(job.source_difficulty.get() * 4.0) else {
                return feed;
            };
            let terms = ChannelTerms {
                source: job.source,
                generation: job.generation,
                extranonce_prefix: job.extranonce_prefix(),
                filler: job.filler(),
                source_target: harder.target(),
                ntime_slack: job.ntime_slack,
                received_at: job.received_at,
            };
            if let Ok(job) = ChannelJob::new(Arc::clone(&job.job), terms) {
                return Arc::new(Feed { job: Arc::new(job), ..(*feed).clone() });
            }
        }
        feed
    }

    /// Lines on their way to a miner, if they are to be corrupted.
    pub(super) fn corrupt_lines(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.planted(PlantedBug::WrongCleanFlag, 10) {
            let text = String::from_utf8(bytes.to_vec()).ok()?;
            return Some(text.replace("\",true]}", "\",false]}").into_bytes());
        }
        if self.planted(PlantedBug::ExtranonceChanges, 50) {
            let line = b"{\"id\":null,\"method\":\"mining.set_extranonce\",\"params\":[\"0102\",4]}\n";
            return Some([bytes, line].concat());
        }
        None
    }
}
