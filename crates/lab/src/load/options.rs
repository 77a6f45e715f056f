//! What a load run is told.

use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use crate::sv1_miner::ServerAddress;

/// How a server that speaks SV2 is met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sv2Options {
    /// Whom it must prove to be; `None`: anybody will do.
    pub authority: Option<noise::AuthorityPublicKey>,
    /// Each connection opens a standard channel and insists on standard jobs; else an extended one.
    pub standard: bool,
}

/// Most connections of a run: as many as 20,000 open files allow with a reserve.
pub const MAX_MINERS: usize = 19_500;

/// Most shares per second that a run may be asked for.
const MAX_RATE: f64 = 10_000_000.0;

/// Most times that all connections come back.
const MAX_STORMS: usize = 1_000;

/// Longest run.
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What the connections do once all of them have work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All send shares at the given rate together.
    Rate,
    /// The first sends shares as fast as the server takes them; the others send at the given rate together,
    /// which may be 0.
    Flood,
    /// Nobody sends anything.
    Idle,
}

/// How a run goes. [`Options::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server under test.
    pub server: ServerAddress,
    /// It speaks SV2; `None`: SV1.
    pub sv2: Option<Sv2Options>,
    /// Connections, 1 to 19,500.
    pub miners: usize,
    /// Shares per second of all connections together.
    pub shares_per_second: f64,
    /// How long shares are sent (or connections held).
    pub duration: Duration,
    /// Connections are begun evenly over this time; zero: as fast as the server answers.
    pub connect_over: Duration,
    /// Times that all connections, once all of them have work, are closed at once and come back, over as long as they came
    /// the first time.
    pub storms: usize,
    /// Connections that have no work after this time, from the start of their own dialling, are given up.
    pub connect_timeout: Duration,
    /// Connections that may wait for their first answer at one time, so that the server's backlog of
    /// connections never overflows (an overflow costs a second each).
    pub connect_window: usize,
    /// Quiet time between the last connection's first job and the first share.
    pub settle: Duration,
    /// How long answers are awaited after the last share.
    pub drain: Duration,
    /// What the connections do.
    pub mode: Mode,
    /// User names are this, a dot and the number of the connection.
    pub user: String,
    /// Password of every connection; `d=1e-8` asks many servers for that difficulty.
    pub password: String,
    /// Sends `mining.configure` first and the version bits with every share.
    pub version_rolling: bool,
    /// Event loops, each in its own thread, 1 to 64. One does for more than 50,000 shares/s.
    pub threads: usize,
    /// Shares that one connection may have unanswered; more that become due are counted as not sent.
    pub max_unanswered: usize,
    /// A process whose CPU time and memory are reported along: the server under test. Linux only.
    pub observe_pid: Option<u32>,
}

/// An option that is out of its range.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{option} is {got}, expected {expected}")]
pub struct OptionsError {
    /// Which option.
    pub option: &'static str,
    /// What it is.
    pub got: String,
    /// What it may be.
    pub expected: &'static str,
}

impl Options {
    /// `miners` connections that send `shares_per_second` together for ten seconds.
    pub fn new(server: ServerAddress, miners: usize, shares_per_second: f64) -> Options {
        Options {
            server,
            sv2: None,
            miners,
            shares_per_second,
            duration: Duration::from_secs(10),
            connect_over: Duration::ZERO,
            storms: 0,
            connect_timeout: Duration::from_secs(60),
            connect_window: 512,
            settle: Duration::from_millis(500),
            // A server that answers all ends it at once; a busy machine may take its time.
            drain: Duration::from_secs(30),
            mode: Mode::Rate,
            user: "load".to_owned(),
            password: "x".to_owned(),
            version_rolling: false,
            threads: 1,
            max_unanswered: 4_096,
            observe_pid: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), OptionsError> {
        let error = |option, got: &dyn ToString, expected| {
            Err(OptionsError { option, got: got.to_string(), expected })
        };
        if !(1..=MAX_MINERS).contains(&self.miners) {
            return error("miners", &self.miners, "1 to 19500");
        }
        if !(0.0..=MAX_RATE).contains(&self.shares_per_second) {
            return error("shares_per_second", &self.shares_per_second, "0 to 10000000");
        }
        if self.mode == Mode::Rate && self.shares_per_second == 0.0 {
            return error("shares_per_second", &0, "more than 0 (or mode idle)");
        }
        for (option, time) in [
            ("duration", self.duration),
            ("connect_over", self.connect_over),
            ("connect_timeout", self.connect_timeout),
            ("settle", self.settle),
            ("drain", self.drain),
        ] {
            if time > MAX_DURATION {
                return error(option, &format!("{} s", time.as_secs()), "at most a week");
            }
        }
        if self.storms > MAX_STORMS {
            return error("storms", &self.storms, "at most 1000");
        }
        if !(1..=64).contains(&self.threads) || self.threads > self.miners {
            return error("threads", &self.threads, "1 to 64, not more than miners");
        }
        if self.connect_window == 0 {
            return error("connect_window", &0, "at least 1");
        }
        if self.max_unanswered == 0 {
            return error("max_unanswered", &0, "at least 1");
        }
        for (option, text) in [("user", &self.user), ("password", &self.password)] {
            let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
            if text.len() > 128 || !text.chars().all(plain) {
                return error(
                    option,
                    text,
                    "up to 128 printable ASCII characters without quote and backslash",
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_options_are_refused_by_name() {
        let good = Options::new("127.0.0.1:1".parse().unwrap(), 10, 100.0);
        assert_eq!(good.check(), Ok(()));
        let refused = |change: fn(&mut Options)| {
            let mut options = good.clone();
            change(&mut options);
            options.check().unwrap_err().option
        };
        assert_eq!(refused(|options| options.miners = 0), "miners");
        assert_eq!(refused(|options| options.miners = 20_000), "miners");
        assert_eq!(refused(|options| options.shares_per_second = f64::NAN), "shares_per_second");
        assert_eq!(refused(|options| options.shares_per_second = 0.0), "shares_per_second");
        assert_eq!(refused(|options| options.duration = Duration::MAX), "duration");
        assert_eq!(refused(|options| options.storms = 1_001), "storms");
        assert_eq!(refused(|options| options.threads = 11), "threads");
        assert_eq!(refused(|options| options.user = "a\"b".to_owned()), "user");
    }
}
