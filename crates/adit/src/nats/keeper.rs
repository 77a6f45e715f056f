//! The thread that publishes.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::cursor::CursorFile;
use super::figures::NatsFigures;
use super::session::{Publisher, unix_ms};
use super::settings::NatsSettings;

/// The ledger's directory is made by the ledger's own thread, and an Adit before this one may still publish.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// What is published, and who does it.
#[derive(Debug)]
pub(crate) struct NatsKeeper {
    figures: Arc<NatsFigures>,
    settings: Arc<watch::Sender<Option<Arc<NatsSettings>>>>,
    end: CancellationToken,
    thread: JoinHandle<()>,
}

/// Changes what is published.
#[derive(Clone, Debug)]
pub(crate) struct NatsControl(Arc<watch::Sender<Option<Arc<NatsSettings>>>>);

impl NatsControl {
    /// From now on.
    pub(crate) fn apply(&self, settings: Option<NatsSettings>) {
        self.0.send_replace(settings.map(Arc::new));
    }
}

impl NatsKeeper {
    /// Begins to publish the ledger of a directory, once there is something to publish it to.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn start(directory: PathBuf, settings: Option<NatsSettings>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let figures = Arc::new(NatsFigures::default());
        let (settings, seen) = watch::channel(settings.map(Arc::new));
        let end = CancellationToken::new();
        let (shown, ended) = (Arc::clone(&figures), end.clone());
        let thread = std::thread::Builder::new()
            .name("nats".to_owned())
            .spawn(move || runtime.block_on(publish(directory, seen, shown, ended)))?;
        Ok(Self { figures, settings: Arc::new(settings), end, thread })
    }

    pub(crate) fn figures(&self) -> Arc<NatsFigures> {
        Arc::clone(&self.figures)
    }

    pub(crate) fn control(&self) -> NatsControl {
        NatsControl(Arc::clone(&self.settings))
    }

    /// Publishes the last of a ledger that has ended, as far as that goes in a moment.
    pub(crate) fn end(self) {
        self.end.cancel();
        let _ = self.thread.join();
    }
}

async fn publish(
    directory: PathBuf,
    mut settings: watch::Receiver<Option<Arc<NatsSettings>>>,
    figures: Arc<NatsFigures>,
    end: CancellationToken,
) {
    while !end.is_cancelled() {
        let now = settings.borrow_and_update().clone();
        let Some(now) = now else {
            figures.begin(&[], "");
            if !matches!(end.run_until_cancelled(settings.changed()).await, Some(Ok(()))) {
                return;
            }
            continue;
        };
        let publishing = async {
            let Some(cursor) = cursor(&directory, &end).await else { return };
            info!(
                servers = now.servers.join(", "),
                stream = now.stream.name,
                name = now.name,
                "the ledger is published to NATS"
            );
            let mut publisher =
                Publisher::new(&directory, Arc::clone(&now), cursor, Arc::clone(&figures), unix_ms());
            publisher.run(&end).await;
        };
        tokio::select! {
            () = publishing => return,
            changed = settings.changed() => {
                // What was under way is sent again, and known again.
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Waits until this Adit alone publishes the ledger.
async fn cursor(directory: &std::path::Path, end: &CancellationToken) -> Option<CursorFile> {
    let mut told = false;
    loop {
        match CursorFile::take(directory) {
            Ok(Some(cursor)) => return Some(cursor),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound && !told => {
                warn!(%error, directory = %directory.display(), "the ledger cannot be published");
                told = true;
            }
            _ => {}
        }
        end.run_until_cancelled(tokio::time::sleep(TRY_EVERY)).await?;
    }
}
