//! `adit run --take-over`: from looking for the Adit that runs to the moment when its ports are this one's.

use std::time::Duration;

use tracing::{info, warn};

use crate::cli::RunArgs;
use crate::config::{self, Config};
use crate::handover::{HandoverError, Predecessor, Word};
use crate::proxy::{Proxy, uses_state};
use crate::service::Ports;

/// Work is waited for so long before miners are let in all the same.
const WORK_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether there is work.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The system may take so long to free what a process had that has ended.
const FREED_WITHIN: Duration = Duration::from_secs(10);

/// How the proxy is to be started.
#[derive(Debug, Default)]
pub(super) struct Taking {
    pub(super) ports: Ports,
    /// It lets nobody in before it has work.
    pub(super) closed: bool,
    /// Who serves until then.
    pub(super) predecessor: Option<Predecessor>,
}

/// Takes the ports over, if that is wanted. `ports` are the service manager's.
pub(super) async fn begin(args: &RunArgs, config: &Config, ports: Ports) -> Result<Taking, HandoverError> {
    let as_usual = |ports| Taking { ports, ..Taking::default() };
    if !args.take_over {
        return Ok(as_usual(ports));
    }
    let Some(path) = config.state.handover_socket.clone() else {
        warn!("there is no handover_socket in [state]: nothing is taken over, this is an ordinary start");
        return Ok(as_usual(ports));
    };
    let found =
        tokio::task::spawn_blocking(move || Predecessor::find(&path)).await.expect("it does not panic")?;
    let Some((mut predecessor, given)) = found else {
        info!("no Adit is there to take over from: this is an ordinary start");
        return Ok(as_usual(ports));
    };
    let version = predecessor.version().to_owned();
    if !uses_state(config) {
        info!(version, "taking over: the Adit that runs serves until this one has work");
        return Ok(Taking { ports: given, closed: true, predecessor: Some(predecessor) });
    }
    info!(
        version,
        "taking over: the Adit that runs ends first, since both need the state directory; miners wait meanwhile"
    );
    predecessor.say(Word::End)?;
    predecessor.ended().await?;
    let directory = config::state_directory(&config.state, config::environment());
    let freed = tokio::task::spawn_blocking(move || crate::state::wait_until_free(&directory, FREED_WITHIN));
    // Starting says what is wrong if it is not free even then.
    let _ = freed.await;
    Ok(as_usual(given))
}

/// Lets miners in as soon as there is work for them, and relieves the Adit that served them until now.
pub(super) async fn finish(mut predecessor: Predecessor, proxy: &Proxy) {
    let latest = tokio::time::Instant::now() + WORK_WITHIN;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    let mut ready = false;
    while !ready && tokio::time::Instant::now() < latest {
        tick.tick().await;
        ready = proxy.snapshot().readiness.ready;
    }
    if !ready {
        warn!("no pool has given work yet: miners are let in all the same");
    }
    proxy.let_in();
    match predecessor.say(Word::Serves) {
        Ok(()) => info!("taken over: miners come here now, and the Adit before parts with its own"),
        Err(error) => warn!(%error, "the Adit before has ended meanwhile"),
    }
}
