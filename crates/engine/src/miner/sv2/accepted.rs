//! A channel's accepted shares that whoever is below has not been told of.

use sv2::mining::SubmitSharesSuccess;

/// How many, the last one's number, and the sum of their difficulties with what remained of earlier ones.
#[derive(Debug, Default)]
pub(in crate::miner) struct Accepted {
    count: u32,
    last_sequence: u32,
    sum: f64,
}

impl Accepted {
    pub(in crate::miner) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One more.
    pub(in crate::miner) fn add(&mut self, sequence_number: u32, difficulty: f64) {
        self.count = self.count.saturating_add(1);
        self.last_sequence = sequence_number;
        self.sum += difficulty;
    }

    /// The message that tells of all of them, if there are any (specification, section 5.3.13). Its sum is whole: the rest is
    /// kept for the next one.
    pub(in crate::miner) fn tell(&mut self, channel_id: u32) -> Option<SubmitSharesSuccess> {
        if self.is_empty() {
            return None;
        }
        let whole = self.sum.floor();
        self.sum -= whole;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        let new_shares_sum = whole as u64;
        Some(SubmitSharesSuccess {
            channel_id,
            last_sequence_number: self.last_sequence,
            new_submits_accepted_count: std::mem::take(&mut self.count),
            new_shares_sum,
        })
    }
}
