//! What the API says besides the snapshot: states' history, jobs, the configuration in force.

use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::hex::DisplayHex as _;
use engine::Feed;
use telemetry::{Details, JobOutput, JobSnapshot, StateChange};
use tokio::sync::watch;
use work::Target;

use crate::clock::Clock;
use crate::config::{Chain, Config};
use crate::proxy::RouteControl;
use crate::snapshot::{Shown, Views};
use crate::upstream::{JobBoard, RouterStatus};

/// Outputs of a coinbase that are shown.
const OUTPUTS_SHOWN: usize = 32;
/// Bytes of an output's script that are shown.
const SCRIPT_SHOWN: usize = 80;

/// Characters in a row that are text, and no accident.
const TEXT_MIN: usize = 4;
/// No test chain's jobs have been as hard for years.
const MAIN_DIFFICULTY_MIN: f64 = 1e12;

/// Where it is looked up.
pub(crate) struct Inside {
    pub(crate) clock: Clock,
    pub(crate) shown: Arc<Shown>,
    pub(crate) jobs: Arc<JobBoard>,
    pub(crate) router: watch::Receiver<RouterStatus>,
    pub(crate) control: Arc<RouteControl>,
    pub(crate) config: Arc<RunningConfig>,
}

/// The configuration in force, goals apart: those the [`RouteControl`] knows.
#[derive(Debug)]
pub struct RunningConfig(Mutex<Config>);

impl RunningConfig {
    /// At the start.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Mutex::new(config))
    }

    /// Another is in force.
    pub fn replace(&self, config: Config) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// The one of the templates.
    fn chain(&self) -> Option<Chain> {
        let config = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        config.templates.values().next().map(|template| template.network)
    }

    fn read(&self) -> Config {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Details for Inside {
    fn history(&self, source: &str) -> Vec<StateChange> {
        let shown = self.shown.lock();
        // Of several with one name the newest is shown.
        let view = shown.sources.iter().rev().find(|view| view.name == source);
        view.map(|view| view.history.read()).unwrap_or_default()
    }

    fn jobs(&self) -> Vec<JobSnapshot> {
        let chain = self.config.chain();
        let now = self.clock.now().mono;
        let status = self.router.borrow().clone();
        let shown = self.shown.lock();
        let of = |(route, feed): (engine::RouteId, Arc<Feed>)| {
            let at = usize::from(route.0);
            let source = feed.source();
            let goals = shown.routes.get(at)?.goals.iter();
            let of_goal = goals
                .filter_map(|goal| status.goals.get(goal.at))
                .any(|(goal, _)| goal.active == Some(source));
            let of_route = status.routes.get(at).and_then(|route| route.active) == Some(source);
            let age = now.saturating_sub(feed.received).as_secs_f64();
            job(&shown, (at, usize::from(source.0)), (&feed, chain), of_goal || of_route, age)
        };
        self.jobs.read().into_iter().filter_map(of).collect()
    }

    fn config(&self) -> serde_json::Value {
        let config = Config { goals: self.control.goals(), ..self.config.read() };
        config.effective_json()
    }
}

fn job(
    shown: &Views,
    (route, source): (usize, usize),
    (feed, chain): (&Feed, Option<Chain>),
    active: bool,
    age: f64,
) -> Option<JobSnapshot> {
    let job = &feed.job.job;
    let view = shown.sources.get(source)?;
    let (prefix, suffix) = (&job.coinbase_tx_prefix, &job.coinbase_tx_suffix);
    // It was checked when it came.
    let outputs =
        work::coinbase::outputs(prefix, usize::from(job.extranonce_len), suffix).unwrap_or_default();
    let mut prev_hash = job.prev_hash;
    prev_hash.reverse();
    let hex = |target: Target| target.to_be_bytes().to_lower_hex_string();
    let hard = job.network_target.difficulty().get() >= MAIN_DIFFICULTY_MIN;
    let chain = chain.or(hard.then_some(Chain::Main));
    let output = |output: &work::coinbase::Output| {
        let script = &output.script_pubkey;
        let script_pubkey = script[..script.len().min(SCRIPT_SHOWN)].to_lower_hex_string();
        let address = chain.and_then(|chain| {
            bitcoin::Address::from_script(bitcoin::Script::from_bytes(script), chain.network()).ok()
        });
        JobOutput {
            value_sat: output.value,
            script_pubkey,
            address: address.map(|address| address.to_string()),
        }
    };
    Some(JobSnapshot {
        route: shown.routes.get(route)?.name.clone(),
        source: view.name.clone(),
        kind: view.kind,
        active,
        job_id: job.id,
        channel_id: feed.channel.key.channel_id,
        height: work::coinbase::height(work::coinbase::script_sig_head(prefix)),
        prev_hash: prev_hash.to_lower_hex_string(),
        version: format!("{:08x}", job.version),
        version_rolling: job.version_rolling_allowed,
        nbits: format!("{:08x}", job.nbits),
        network_difficulty: job.network_target.difficulty().get(),
        difficulty: feed.job.source_difficulty.get(),
        target: hex(feed.job.source_target),
        min_ntime: job.min_ntime,
        merkle_steps: job.merkle_path.len(),
        age_seconds: age,
        value_sat: (!outputs.is_empty()).then(|| outputs.iter().map(|output| output.value).sum()),
        outputs: outputs.iter().take(OUTPUTS_SHOWN).map(output).collect(),
        outputs_total: outputs.len(),
        coinbase_text: coinbase_text(prefix, usize::from(job.extranonce_len), suffix),
    })
}

/// The runs of printable characters in a coinbase's script: after the height, and after the extranonce. A script has 100 bytes
/// at most.
fn coinbase_text(prefix: &[u8], extranonce: usize, suffix: &[u8]) -> Vec<String> {
    let head = work::coinbase::script_sig_head(prefix);
    // It was checked when it came: the script's length stands before it, in one byte.
    let length = prefix.len().checked_sub(head.len() + 1).and_then(|at| prefix.get(at)).copied();
    let behind = usize::from(length.unwrap_or_default()).saturating_sub(head.len() + extranonce);
    let after_height = head.first().map_or(head, |push| head.get(1 + usize::from(*push)..).unwrap_or(head));
    let runs = [after_height, suffix.get(..behind).unwrap_or_default()];
    let runs = runs.into_iter().flat_map(|part| part.split(|byte| !matches!(byte, b' '..=b'~')));
    let text = |run: &[u8]| String::from_utf8_lossy(run).trim().to_owned();
    runs.map(text).filter(|text| text.len() >= TEXT_MIN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Up to the script: version, one input, no output before it.
    fn prefix(length: u8, head: &[u8]) -> Vec<u8> {
        [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[length], head].concat()
    }

    #[test]
    fn what_can_be_read_in_a_coinbase_is_told_wherever_it_stands_and_nothing_else() {
        let head = [&[3, b'a', b'b', b'c'][..], b"\x0c/Pool name/\x01\xffab\x08"].concat();
        let suffix = [&b"\x00tail: \xe2\x82\xac100\n<b>"[..], b"no script any more"].concat();
        let length = head.len() + 8 + 17;
        let text = coinbase_text(&prefix(u8::try_from(length).unwrap(), &head), 8, &suffix);
        assert_eq!(text, ["/Pool name/", "tail:"]);
        for odd in [&b""[..], b"\xff", b"\x03a"] {
            assert!(coinbase_text(&prefix(200, odd), 8, b"").is_empty());
            assert!(coinbase_text(odd, 8, b"").is_empty());
        }
    }
}
