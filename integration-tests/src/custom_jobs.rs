//! When jobs are declared and acknowledged, as somebody between the declarer and its pool sees it: the same clock and the
//! same place for whoever declares.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sv2::Message as _;
use sv2::job_declaration::{DeclareMiningJob, DeclareMiningJobSuccess};
use sv2::mining::{SetCustomMiningJob, SetCustomMiningJobError, SetCustomMiningJobSuccess};

use crate::middleman::{Frame, Middleman, Offer, Way};
use crate::pool::{Pool, hex};

/// A `SetCustomMiningJob` that passed.
#[derive(Clone, Debug)]
pub struct CustomJob {
    channel_id: u32,
    request_id: u32,
    /// The tip that it builds on, as hashes are written.
    pub prev_hash: String,
    /// Hashes of its merkle path: 0 if it has no transactions.
    pub merkle_path: usize,
    /// When it went up, Unix time, seconds.
    pub asked: f64,
    /// When its `.Success` came down, Unix time, seconds.
    pub acknowledged: Option<f64>,
    /// The code of its `.Error`.
    pub refused: Option<String>,
}

/// A `DeclareMiningJob` that passed.
#[derive(Clone, Copy, Debug)]
pub struct DeclaredJob {
    request_id: u32,
    /// When it went up, Unix time, seconds.
    pub declared: f64,
    /// When its `.Success` came down, Unix time, seconds.
    pub taken: Option<f64>,
}

#[derive(Debug, Default)]
struct Seen {
    custom: Vec<CustomJob>,
    declared: Vec<DeclaredJob>,
}

/// Stands between declarers and a pool and its job declarator server, with the pool's own key.
#[derive(Debug)]
pub struct CustomJobs {
    pool: Middleman,
    jds: Middleman,
    seen: Arc<Mutex<Seen>>,
}

impl CustomJobs {
    /// Starts to watch who connects to the pool by [`pool`](Self::pool), and to its server by [`jds`](Self::jds).
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn watch(pool: &Pool) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let watch = |url: &str| {
            let noted = Arc::clone(&seen);
            let rule = move |way, frame: Frame| {
                note(&mut noted.lock().unwrap_or_else(PoisonError::into_inner), way, &frame);
                vec![frame]
            };
            Middleman::start_as(pool.authority(), url, Offer::default(), Box::new(rule))
        };
        let (pool, jds) = (watch(&pool.url()), watch(&pool.jds_url()));
        Self { pool, jds, seen }
    }

    /// Where declarers connect instead of to the pool.
    #[must_use]
    pub fn pool(&self) -> &Middleman {
        &self.pool
    }

    /// Where declarers connect instead of to its job declarator server.
    #[must_use]
    pub fn jds(&self) -> &Middleman {
        &self.jds
    }

    /// All that passed since this was last asked, in their order.
    #[must_use]
    pub fn take(&self) -> (Vec<CustomJob>, Vec<DeclaredJob>) {
        let Seen { custom, declared } =
            std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        (custom, declared)
    }

    /// How many of those that would be taken were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.custom.iter().filter(|job| job.acknowledged.is_some()).count()
    }
}

fn note(seen: &mut Seen, way: Way, frame: &Frame) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    let Some(message) = frame.message() else { return };
    match (way, message) {
        (Way::Up, SetCustomMiningJob::MSG_TYPE) => {
            let Ok(job) = SetCustomMiningJob::decode(&frame.payload) else { return };
            let mut prev_hash = job.prev_hash;
            prev_hash.reverse();
            seen.custom.push(CustomJob {
                channel_id: job.channel_id,
                request_id: job.request_id,
                prev_hash: hex(&prev_hash),
                merkle_path: job.merkle_path.len(),
                asked: now,
                acknowledged: None,
                refused: None,
            });
        }
        (Way::Down, SetCustomMiningJobSuccess::MSG_TYPE) => {
            let Ok(answer) = SetCustomMiningJobSuccess::decode(&frame.payload) else { return };
            if let Some(job) = asked(&mut seen.custom, answer.channel_id, answer.request_id) {
                job.acknowledged = Some(now);
            }
        }
        (Way::Down, SetCustomMiningJobError::MSG_TYPE) => {
            let Ok(answer) = SetCustomMiningJobError::decode(&frame.payload) else { return };
            if let Some(job) = asked(&mut seen.custom, answer.channel_id, answer.request_id) {
                job.refused = Some(answer.error_code.to_string());
            }
        }
        (Way::Up, DeclareMiningJob::MSG_TYPE) => {
            let Ok(job) = DeclareMiningJob::decode(&frame.payload) else { return };
            seen.declared.push(DeclaredJob { request_id: job.request_id, declared: now, taken: None });
        }
        (Way::Down, DeclareMiningJobSuccess::MSG_TYPE) => {
            let Ok(answer) = DeclareMiningJobSuccess::decode(&frame.payload) else { return };
            let asked = seen.declared.iter_mut().rev().find(|job| job.request_id == answer.request_id);
            if let Some(job) = asked {
                job.taken = Some(now);
            }
        }
        _ => {}
    }
}

/// The newest request with these numbers: declarers that follow each other may use the same ones.
fn asked(seen: &mut [CustomJob], channel_id: u32, request_id: u32) -> Option<&mut CustomJob> {
    seen.iter_mut().rev().find(|job| (job.channel_id, job.request_id) == (channel_id, request_id))
}
