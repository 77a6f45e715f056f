//! Waking the event loop when a share is due, finer than the millisecond that `epoll` counts in.

use std::io;
use std::time::Duration;

use mio::{Interest, Registry, Token};

/// A timer among the sockets. Linux has one (`timerfd`); elsewhere the loop's own timeout has to do.
#[derive(Debug)]
pub(super) struct Ticker {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Ticker {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Ticker> {
        use std::os::fd::AsRawFd;

        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let source = timer.as_raw_fd();
        registry.register(&mut mio::unix::SourceFd(&source), token, Interest::READABLE)?;
        Ok(Ticker { timer })
    }

    /// Wakes the loop once, after this time. Never read: every expiry is a new edge.
    pub(super) fn wake_after(&self, after: Duration) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let after = after.max(Duration::from_nanos(1));
        let time = Timespec {
            tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(after.subsec_nanos()),
        };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: never, it_value: time };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }

    /// The loop's own timeout while the timer runs: only a safety net.
    pub(super) fn timeout(&self, _after: Duration) -> Duration {
        Duration::from_millis(100)
    }
}

#[cfg(not(target_os = "linux"))]
impl Ticker {
    pub(super) fn new(_registry: &Registry, _token: Token) -> io::Result<Ticker> {
        let _ = Interest::READABLE;
        Ok(Ticker {})
    }

    /// Nothing to set: see [`Ticker::timeout`].
    pub(super) fn wake_after(&self, _after: Duration) -> io::Result<()> {
        Ok(())
    }

    /// The loop's own timeout.
    pub(super) fn timeout(&self, after: Duration) -> Duration {
        after
    }
}
