//! Accepts miners.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::admission::Admission;
use super::conditions::Conditions;
use super::opening;

/// The wait after an error of accept, doubled up to [`LONGEST_WAIT`]: with no file descriptor left, trying
/// again at once would burn a core.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Accepts connections until `stop`. Each runs in a task of its own on the current runtime; `tasks` knows
/// them.
pub async fn run_listener(
    listener: Arc<TcpListener>,
    conditions: Arc<Conditions>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let context = conditions.current();
    let (about, until) = (Arc::clone(&context), stop.clone());
    tokio::spawn(async move { about.say_left_out(until).await });
    let mut wait = FIRST_WAIT;
    loop {
        // The permit first: a connection that has no room is not even accepted.
        let room = tokio::select! {
            () = stop.cancelled() => return,
            room = context.admission.room() => room,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if is_of_the_connection(&error) {
                    continue;
                }
                context.figures.accept_errors.fetch_add(1, Relaxed);
                if context.quiet.may_log(None) {
                    warn!(listener = context.name, %error, "cannot accept");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(LONGEST_WAIT);
                continue;
            }
        };
        wait = FIRST_WAIT;
        // What holds from now on.
        let context = conditions.current();
        let place = Admission::admit(room, Some(&context.cap)).and_then(|mut place| {
            // Of a load balancer's connection only its header says whose it is.
            if !context.is_proxy(address.ip()) {
                context.let_in(&mut place, address.ip())?;
            }
            Ok(place)
        });
        let place = match place {
            Ok(place) => place,
            Err(refused) => {
                context.say_refused(address, refused);
                continue;
            }
        };
        if let Err(error) = link::prepare(&stream) {
            debug!(listener = context.name, %address, %error, "connection broke at once");
            continue;
        }
        context.figures.accepted.fetch_add(1, Relaxed);
        tasks.spawn(opening::open(stream, address, place, context));
    }
}

/// The peer gave up before it was accepted: nothing is wrong here.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
