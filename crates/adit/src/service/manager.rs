//! Messages to the service manager.

use sd_notify::NotifyState;
use tracing::debug;

/// The service manager, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manager {
    is_there: bool,
}

impl Manager {
    /// The one that has started this process.
    pub(crate) fn find() -> Self {
        Self { is_there: std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty()) }
    }

    pub(crate) fn is_there(self) -> bool {
        self.is_there
    }

    /// Miners are served, or it is time to say so.
    pub(crate) fn ready(self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The configuration is read anew. [`ready`](Self::ready) must follow.
    pub(crate) fn reloading(self) {
        // From systemd 253 on it wants to know since when; those before pass that over.
        match NotifyState::monotonic_usec_now() {
            Ok(since) => self.tell(&[NotifyState::Reloading, since]),
            Err(error) => debug!(%error, "no monotonic clock"),
        }
    }

    /// It was told to end.
    pub(crate) fn stopping(self, status: &str) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// What it does, in a line.
    pub(crate) fn status(self, status: &str) {
        self.tell(&[NotifyState::Status(status)]);
    }

    /// A sign of life.
    pub(crate) fn alive(self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    fn tell(self, state: &[NotifyState<'_>]) {
        if self.is_there
            && let Err(error) = sd_notify::notify(false, state)
        {
            debug!(%error, "the service manager cannot be told");
        }
    }
}
