//! Job declarator clients below Adit: they select their work themselves, and need the pool's own extranonce prefix and
//! outputs for that. So each of their connections has one upstream of its own, and ends with it.
//!
//! A JDC has two. [`JdcMining`] is its mining connection with work selection: channels and custom jobs go to the pool one
//! to one, and every share is verified here before it goes on, and is in the books like any other. [`JdcDeclaring`] is its
//! connection of the Job Declaration Protocol, whose messages are passed on.
//!
//! Both are plain state machines of one shape, [`JdcConnection`]: the caller connects upstream when asked to, feeds frames
//! of both sides and time in, and sends out what was written.

mod channels;
mod declaring;
mod jobs;
mod mining;
mod shares;

use std::time::Duration;

use bytes::BytesMut;
use sv2::common::{PROTOCOL_JOB_DECLARATION, PROTOCOL_MINING, SetupConnection};
use sv2::job_declaration::DECLARE_TX_DATA;
use sv2::mining::{REQUIRES_VERSION_ROLLING, REQUIRES_WORK_SELECTION};
use sv2::{FrameHeader, Str0255, write_frame};

use super::{CloseReason, WorkerStanding};
use crate::now::Now;
use crate::source::{DownReason, LinkSecurity};

pub use declaring::{JdcDeclaring, JdsWay};
pub use mining::{JdcMining, PoolWay};

/// What a JDC asked for in its `SetupConnection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JdcSetup {
    /// Mining, with work selection.
    Mining,
    /// The Job Declaration Protocol; whether it reveals transactions.
    Declaring {
        /// `DECLARE_TX_DATA`.
        full_template: bool,
    },
}

impl JdcSetup {
    /// What a connection is for, if it is one of a JDC and asks for nothing that there is not. `rolls`: version bits may be
    /// rolled here.
    pub(super) fn of(setup: &SetupConnection<'_>, rolls: bool) -> Option<Self> {
        let rolling = if rolls { REQUIRES_VERSION_ROLLING } else { 0 };
        match setup.protocol {
            PROTOCOL_MINING
                if setup.flags & REQUIRES_WORK_SELECTION != 0
                    && setup.flags & !(REQUIRES_WORK_SELECTION | rolling) == 0 =>
            {
                Some(Self::Mining)
            }
            PROTOCOL_JOB_DECLARATION if setup.flags & !DECLARE_TX_DATA == 0 => {
                Some(Self::Declaring { full_template: setup.flags & DECLARE_TX_DATA != 0 })
            }
            _ => None,
        }
    }

    /// The flags that it came with, as far as a refusal has to name them.
    #[must_use]
    pub fn flags(self) -> u32 {
        match self {
            Self::Mining => REQUIRES_WORK_SELECTION,
            Self::Declaring { full_template } => u32::from(full_template) * DECLARE_TX_DATA,
        }
    }
}

/// A connection of a JDC, and the upstream that belongs to it alone.
///
/// Frames for the JDC are appended to `out`. An error is why both are to be closed, after what was written has been sent.
pub trait JdcConnection: Send {
    /// The caller should connect upstream now, and then call [`connected`](Self::connected) or
    /// [`disconnected`](Self::disconnected).
    fn wants_connection(&self) -> bool;

    /// The link upstream stands (TCP and Noise).
    ///
    /// # Errors
    /// Why the connection is to be closed.
    fn connected(&mut self, security: LinkSecurity, now: Now, out: &mut BytesMut) -> Result<(), CloseReason>;

    /// The link upstream could not be made, or has ended.
    ///
    /// # Errors
    /// Always.
    fn disconnected(&mut self, why: DownReason, now: Now, out: &mut BytesMut) -> Result<(), CloseReason>;

    /// A frame from the JDC.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    fn hear_jdc(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        out: &mut BytesMut,
    ) -> Result<(), CloseReason>;

    /// A frame from upstream.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    fn hear_upstream(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        out: &mut BytesMut,
    ) -> Result<(), CloseReason>;

    /// When [`timer`](Self::timer) is to be called.
    fn deadline(&self) -> Option<Duration>;

    /// A deadline has come.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    fn timer(&mut self, now: Now, out: &mut BytesMut) -> Result<(), CloseReason>;

    /// Frames for upstream, to be sent and cleared.
    fn upward(&mut self) -> &mut BytesMut;

    /// The longest payload that a JDC has a reason to send.
    fn max_payload(&self) -> usize;

    /// What went wrong upstream, if it has.
    fn why_down(&self) -> Option<&DownReason>;

    /// It has a channel; hashes per second that were announced for all; when the last good share came.
    fn standing(&self) -> (bool, f64, Duration);

    /// Everybody who mines over it.
    fn each_worker(&self, tell: &mut dyn FnMut(WorkerStanding)) {
        let _ = tell;
    }

    /// Tells how long each acknowledged share waited for upstream, since the last call.
    fn each_ack_latency(&mut self, tell: &mut dyn FnMut(Duration));

    /// Adit closes the connection: says so on every channel.
    fn tell(&self, reason: &str, out: &mut BytesMut);

    /// The JDC has gone. What upstream still has to answer is waited for, as far as [`is_settled`](Self::is_settled) says.
    fn leave(&mut self, now: Now);

    /// Nothing is left to wait for upstream.
    fn is_settled(&self) -> bool;
}

/// Refuses a JDC's connection.
pub fn refuse_setup(setup: JdcSetup, code: &str, out: &mut BytesMut) {
    let error =
        sv2::common::SetupConnectionError { flags: setup.flags(), error_code: Str0255::truncated(code) };
    write_frame(&error, out);
}

#[cfg(test)]
mod tests;
