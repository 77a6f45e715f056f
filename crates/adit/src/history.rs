//! Takes the samples that the page's charts are drawn from, in a thread that waits for the disk and for nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use telemetry::history::{History, SAMPLE_EVERY};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Config, environment, state_directory};
use crate::snapshot::SnapshotMaker;

/// After a slot of time has begun its sample is taken so much later: a clock that is moved a little takes none twice.
const AFTER: Duration = Duration::from_secs(1);
/// A disk that does not take samples is logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(3_600);

/// Where the history is kept; nowhere for what is only tried out, and where the configuration says so.
pub(crate) fn directory(config: &Config, dev_mode: bool) -> Option<PathBuf> {
    let tried_out = dev_mode && config.state.directory.is_none();
    (config.state.history && !tried_out).then(|| state_directory(&config.state, environment()))
}

/// Takes samples until it is told to stop. Nothing that goes wrong with the disk is more than a line in the log.
pub(crate) async fn keep(
    history: History,
    directory: Option<PathBuf>,
    maker: Arc<SnapshotMaker>,
    stop: CancellationToken,
) {
    if let Some(directory) = directory {
        match history.keep_in(&directory) {
            Ok(None) => {}
            Ok(Some(aside)) => {
                warn!(
                    file = %aside.display(),
                    "the page's charts could not be read: they were set aside and begin anew"
                );
            }
            Err(error) => {
                info!(
                    %error,
                    "the page's charts end with this run: give Adit a directory of its own ([state] directory), or set \
                     history = false there"
                );
            }
        }
    }
    let mut logged: Option<Instant> = None;
    let mut told_full = false;
    while stop.run_until_cancelled(tokio::time::sleep(until_next())).await.is_some() {
        match history.record(&maker.snapshot()) {
            Ok(0) => {}
            Ok(left_out) => {
                if !std::mem::replace(&mut told_full, true) {
                    warn!(left_out, "there are more routes and sources than the page's charts have room for");
                }
            }
            Err(error) if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) => {
                logged = Some(Instant::now());
                warn!(%error, "the page's charts cannot be written: there will be a gap");
            }
            Err(_) => {}
        }
    }
}

/// From now to shortly after the next slot's begin.
fn until_next() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let every = SAMPLE_EVERY.as_millis();
    let into = now.saturating_sub(AFTER).as_millis() % every;
    Duration::from_millis(u64::try_from(every - into).unwrap_or(0))
}
