//! The side of the Adit that runs.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::TcpListener as StdListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{Word, message};

/// A successor has so long for its word: it connects to its pools meanwhile.
const WORD_WITHIN: Duration = Duration::from_secs(120);
/// The longest word.
const WORD_MAX: u64 = 16;

/// The ports that are open now: what is open at a listener is closed with its task.
#[derive(Debug, Default)]
pub(crate) struct OpenPorts(Mutex<Ports>);

#[derive(Debug, Default)]
struct Ports {
    listeners: BTreeMap<String, Weak<TcpListener>>,
    http: Option<StdListener>,
}

impl OpenPorts {
    /// A listener's port, in place of one that it had.
    pub(crate) fn add(&self, listener: &str, socket: &Arc<TcpListener>) {
        self.lock().listeners.insert(format!("listener.{listener}"), Arc::downgrade(socket));
    }

    /// A listener is not there any more.
    pub(crate) fn remove(&self, listener: &str) {
        self.lock().listeners.remove(&format!("listener.{listener}"));
    }

    /// HTTP's port, in place of one that it had.
    pub(crate) fn set_http(&self, socket: Option<StdListener>) {
        self.lock().http = socket;
    }

    /// Opens each a second time.
    fn again(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let ports = self.lock();
        let mut again = Vec::new();
        for (name, socket) in &ports.listeners {
            if let Some(socket) = socket.upgrade() {
                again.push((name.clone(), socket.as_fd().try_clone_to_owned()?));
            }
        }
        if let Some(http) = &ports.http {
            again.push(("http".to_owned(), http.as_fd().try_clone_to_owned()?));
        }
        Ok(again)
    }

    fn lock(&self) -> MutexGuard<'_, Ports> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A successor that has said its word. The link ends with the process that holds this.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) word: Word,
    _link: UnixStream,
}

/// A socket where a successor finds this Adit. It is taken away with this, unless a successor has its own there.
#[derive(Debug)]
pub(crate) struct Offer {
    path: PathBuf,
    said: mpsc::Receiver<Successor>,
}

impl Offer {
    /// Opens it, in a thread of its own.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(path: &Path, ports: Arc<OpenPorts>) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory)?;
        }
        // In one step, so that there always is somebody while Adit runs: another one's is there until it has let go.
        let new = path.with_extension("new");
        let _ = std::fs::remove_file(&new);
        let socket = UnixListener::bind(&new)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&new, path)?;
        let (to, said) = mpsc::channel(1);
        std::thread::Builder::new().name("handover".to_owned()).spawn(move || {
            for link in socket.incoming() {
                let Ok(link) = link else {
                    // No open file is left: it is tried again, but not at once.
                    std::thread::sleep(Duration::from_secs(1));
                    continue;
                };
                match hand_over(link, &ports) {
                    Ok(successor) => {
                        if to.blocking_send(successor).is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        warn!(%error, "an Adit that wanted to take over has not: everything stays as it is")
                    }
                }
            }
        })?;
        Ok(Self { path: path.to_owned(), said })
    }

    /// A successor has said its word.
    pub(crate) async fn successor(&mut self) -> Successor {
        match self.said.recv().await {
            Some(successor) => successor,
            None => std::future::pending().await,
        }
    }

    /// Takes the socket away: nobody is there any more.
    pub(crate) fn withdraw(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn hand_over(link: UnixStream, ports: &OpenPorts) -> io::Result<Successor> {
    let peer = rustix::net::sockopt::socket_peercred(&link)?;
    if peer.uid != rustix::process::geteuid() && !peer.uid.is_root() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is another user's"));
    }
    link.set_write_timeout(Some(WORD_WITHIN))?;
    link.set_read_timeout(Some(WORD_WITHIN))?;
    message::send(&link, &ports.again()?)?;
    info!(
        pid = peer.pid.as_raw_nonzero().get(),
        "another Adit was given the open ports: it takes over when it is ready"
    );
    let mut word = String::new();
    BufReader::new((&link).take(WORD_MAX)).read_line(&mut word)?;
    match Word::of_text(word.trim_end()) {
        Some(word) => Ok(Successor { word, _link: link }),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without a word")),
    }
}
