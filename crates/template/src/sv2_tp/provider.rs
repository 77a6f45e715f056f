//! The provider: the link to a server, on a thread of its own, since a block's transactions take a while to hash.

use std::sync::Arc;
use std::time::Duration;

use link::{Link, Resolver};
use noise::PoolUrl;
use sv2::FrameHeader;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{info, warn};

use super::client::{TpClient, TpOutput};
use super::error::TpError;
use crate::provider::{
    COMMANDS, EVENTS, ProviderCommand, ProviderEvent, ProviderHandle, ProviderOrders, Submitted,
};

/// The wait before the first new try, doubled up to the last; each less up to a half, so that many who lost the same
/// server do not come back at once.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// The longest payload: a whole block's transactions come in one frame. The buffer grows with what has come.
const MAX_PAYLOAD: usize = 0xff_ffff;
/// A server that takes nothing of what is to be sent for this long is gone.
const WRITE_STALL: Duration = Duration::from_secs(20);
/// Solutions that wait to be written out; more wait in the queue of commands.
const SOLUTIONS: usize = 64;

/// How a template provider is used.
#[derive(Clone)]
pub struct TpSettings {
    /// Where it is, with its authority key.
    pub url: PoolUrl,
    /// Nobody needs to vouch for it. A key that is in the URL is verified all the same.
    pub insecure: bool,
    /// Finds its addresses.
    pub resolver: Arc<Resolver>,
    /// A TCP connection stands within this.
    pub connect_timeout: Duration,
    /// The Noise handshake is done within this.
    pub handshake_timeout: Duration,
    /// How wrong clocks may be when its certificate is judged.
    pub certificate_leeway: Duration,
}

/// Starts the provider.
///
/// # Errors
/// The system's, when there can be no thread.
pub fn start(settings: TpSettings) -> std::io::Result<ProviderHandle> {
    let (to, events) = mpsc::channel(EVENTS);
    let (orders, commands) = mpsc::channel(COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("sv2-tp".to_owned()).spawn(move || {
        let provider =
            Provider { settings, client: TpClient::new(), events: to, commands, began: Instant::now() };
        runtime.block_on(provider.run());
    })?;
    Ok(ProviderHandle { events, orders: ProviderOrders(orders) })
}

struct Provider {
    settings: TpSettings,
    client: TpClient,
    events: mpsc::Sender<ProviderEvent>,
    commands: mpsc::Receiver<ProviderCommand>,
    /// What the client's times count from.
    began: Instant,
}

/// Why a connection's time is over.
enum Over {
    /// Nobody listens any more.
    Unheard,
    /// A new one is needed at once, with more room for the coinbase.
    Again,
    Failed(TpError),
}

impl<E: Into<TpError>> From<E> for Over {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Those who wait to hear that their solution is on its way.
struct Waiting(Vec<oneshot::Sender<Submitted>>);

impl Waiting {
    /// All has been written.
    fn sent(&mut self) {
        for reply in self.0.drain(..) {
            // Whoever asked and went away needs no answer.
            let _ = reply.send(Submitted::Sent);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for reply in self.0.drain(..) {
            let why = "the link to the template provider ended before the solution was written";
            let _ = reply.send(Submitted::NotPossible(why.to_owned()));
        }
    }
}

impl Provider {
    async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        let mut url = self.settings.url.clone();
        loop {
            let ended = self.serve(&url).await;
            let was_up = self.client.is_up();
            self.client.disconnected();
            // A redirection holds for one attempt.
            url = self.settings.url.clone();
            let failed = match ended {
                Over::Unheard => return,
                Over::Again => continue,
                Over::Failed(error) => error,
            };
            if was_up {
                wait = FIRST_WAIT;
            }
            if let TpError::Moved { host, port } = &failed {
                url = self.moved(host, *port);
            }
            let again_in = wait.mul_f64(rand::random_range(0.5..=1.0));
            wait = (wait * 2).min(LONGEST_WAIT);
            let why = failed.to_string();
            if self.events.send(ProviderEvent::Down { why, again_in }).await.is_err() {
                return;
            }
            let again = Instant::now() + again_in;
            while let Ok(command) = tokio::time::timeout_at(again, self.commands.recv()).await {
                let Some(command) = command else { return };
                self.obey_without_link(command);
            }
        }
    }

    /// Where the server sent us, under the same authority key (3.6.5).
    fn moved(&self, host: &str, port: u16) -> PoolUrl {
        let ours = &self.settings.url;
        let host = if host.is_empty() { ours.host() } else { host };
        let port = if port == 0 { ours.port() } else { port };
        match PoolUrl::new(host, port, ours.authority().copied()) {
            Ok(url) => {
                info!(to = url.host_and_port(), "the template provider asked to reconnect");
                url
            }
            Err(error) => {
                warn!(%error, "the template provider asked to reconnect to a bad address");
                ours.clone()
            }
        }
    }

    fn obey_without_link(&mut self, command: ProviderCommand) {
        match command {
            ProviderCommand::Constraints(constraints) => {
                self.client.constrain(constraints);
            }
            ProviderCommand::Solution(_, reply) => {
                let why = "the template provider is not connected";
                let _ = reply.send(Submitted::NotPossible(why.to_owned()));
            }
            ProviderCommand::Block(_, reply) => no_block(reply),
        }
    }

    /// One connection, to its end.
    async fn serve(&mut self, url: &PoolUrl) -> Over {
        match self.dial(url).await {
            Ok(link) => self.run_link(link, url).await.err().unwrap_or(Over::Unheard),
            Err(over) => over,
        }
    }

    async fn dial(&mut self, url: &PoolUrl) -> Result<Link, Over> {
        let address = url.host_and_port();
        if url.authority().is_none() && !self.settings.insecure {
            return Err(TpError::NotAuthenticated { address }.into());
        }
        let settings = self.settings.clone();
        let dialling = link::dial(
            url,
            &settings.resolver,
            settings.connect_timeout,
            settings.handshake_timeout,
            settings.certificate_leeway,
        );
        tokio::pin!(dialling);
        let dialled = loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => self.obey_without_link(command),
                    None => return Err(Over::Unheard),
                },
                dialled = &mut dialling => break dialled,
            }
        };
        let link = dialled.map_err(|error| match error {
            link::DialError::Connect(why) => TpError::Connect { address: address.clone(), why },
            link::DialError::Handshake(why) => TpError::Handshake { address: address.clone(), why },
        })?;
        if link.certificate_until().is_none() && !self.settings.insecure {
            return Err(TpError::NotAuthenticated { address }.into());
        }
        Ok(link)
    }

    /// `Ok`: nobody gives commands any more.
    async fn run_link(&mut self, mut link: Link, url: &PoolUrl) -> Result<(), Over> {
        let mut out = TpOutput::default();
        let mut waiting = Waiting(Vec::new());
        let mut stalled = None;
        let events = self.events.clone();
        self.client.connected(url.host(), url.port(), self.began.elapsed(), &mut out);
        loop {
            if !out.frames.is_empty() {
                link.send(&mut out.frames)?;
            }
            link.flush()?;
            if link.outbox() == 0 {
                waiting.sent();
                stalled = None;
            } else {
                stalled.get_or_insert_with(Instant::now);
            }
            let write_until = stalled.map(|since| since + WRITE_STALL);
            if write_until.is_some_and(|until| Instant::now() >= until) {
                return Err(TpError::Deaf(WRITE_STALL).into());
            }
            let client_until = self.client.deadline().map(|deadline| self.began + deadline);
            let until = [write_until, client_until].into_iter().flatten().min();
            tokio::select! {
                biased;
                command = self.commands.recv(), if waiting.0.len() < SOLUTIONS => match command {
                    None => return Ok(()),
                    Some(ProviderCommand::Constraints(constraints)) => {
                        if self.client.constrain(constraints) {
                            return Err(Over::Again);
                        }
                    }
                    Some(ProviderCommand::Solution(solution, reply)) => {
                        match self.client.submit(&solution, &mut out) {
                            Ok(()) => waiting.0.push(reply),
                            Err(why) => {
                                let _ = reply.send(Submitted::NotPossible(why));
                            }
                        }
                    }
                    Some(ProviderCommand::Block(_, reply)) => no_block(reply),
                },
                () = events.closed() => return Err(Over::Unheard),
                room = events.reserve(), if !out.events.is_empty() => {
                    let Ok(room) = room else { return Err(Over::Unheard) };
                    if let Some(event) = out.events.pop_front() {
                        room.send(event);
                    }
                }
                // No more is read than is told.
                ready = link.ready(), if out.events.is_empty() => {
                    ready?;
                    self.read(&mut link, &mut out)?;
                }
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    self.client.timer(self.began.elapsed())?;
                }
            }
        }
    }

    fn read(&mut self, link: &mut Link, out: &mut TpOutput) -> Result<(), TpError> {
        // What came before the end counts: a server says why it leaves.
        let ended = link.read().err();
        while let Some(frame) = link.frame(MAX_PAYLOAD)? {
            let header = FrameHeader::parse(&frame.header);
            self.client.frame(&header, &frame.payload, self.began.elapsed(), out)?;
        }
        match ended {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

fn no_block(reply: oneshot::Sender<Submitted>) {
    let why = "Template Distribution takes solutions of its own templates, no whole blocks";
    let _ = reply.send(Submitted::NotPossible(why.to_owned()));
}
