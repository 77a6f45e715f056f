//! A JDC's connection of the Job Declaration Protocol (specification, section 6): passed on, message by message.
//!
//! Nothing is added or kept: tokens and outputs are the pool's, declarations and transactions the JDC's. What does not
//! belong to the protocol is not passed on, and who asks for tokens is the account that the pool knows.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sv2::common::{
    PROTOCOL_JOB_DECLARATION, PROTOCOL_VERSION, SetupConnection, SetupConnectionError, SetupConnectionSuccess,
};
use sv2::job_declaration::{AllocateMiningJobToken, DECLARE_TX_DATA};
use sv2::{
    AnyMessage, CommonMessage, DecodeError, FrameHeader, JobDeclarationMessage, Str0255, U24, write_frame,
};

use super::{JdcConnection, JdcSetup, refuse_setup};
use crate::miner::policy::CloseReason;
use crate::miner::strikes::Strikes;
use crate::now::Now;
use crate::source::sv2_pool::shown;
use crate::source::{DownReason, LinkSecurity};

/// The server answers `SetupConnection` within this.
const SETUP_DEADLINE: Duration = Duration::from_secs(10);

/// The way to a pool's job declarator server.
#[derive(Clone, Debug)]
pub struct JdsWay {
    /// For `SetupConnection.endpoint_host`.
    pub host: String,
    /// For `SetupConnection.endpoint_port`.
    pub port: u16,
    /// Nobody needs to vouch for the server.
    pub insecure: bool,
    /// Who asks for tokens, as the pool knows them; `None`: who the JDC says.
    pub user_identifier: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Dialling,
    SettingUp { deadline: Duration },
    Ready,
    Over,
}

/// See the module.
#[derive(Debug)]
pub struct JdcDeclaring {
    way: JdsWay,
    full_template: bool,
    state: State,
    upward: BytesMut,
    strikes: Strikes,
    why_down: Option<DownReason>,
    since: Duration,
}

impl JdcDeclaring {
    /// A connection whose `SetupConnection` has come: it is answered with the server's own answer.
    #[must_use]
    pub fn new(way: JdsWay, full_template: bool, now: Now) -> Self {
        Self {
            way,
            full_template,
            state: State::Dialling,
            upward: BytesMut::new(),
            strikes: Strikes::default(),
            why_down: None,
            since: now.mono,
        }
    }

    fn setup(&self) -> JdcSetup {
        JdcSetup::Declaring { full_template: self.full_template }
    }

    fn fail(&mut self, why: DownReason, out: &mut BytesMut) -> CloseReason {
        let reason = match (self.state, &why) {
            (State::Ready | State::Over, _) => CloseReason::PoolChanged,
            (_, DownReason::RefusedByDeclarator(code)) => {
                refuse_setup(self.setup(), code, out);
                CloseReason::SetupRefused
            }
            _ => {
                refuse_setup(self.setup(), "no-source", out);
                CloseReason::NoSource
            }
        };
        self.state = State::Over;
        self.why_down = Some(why);
        reason
    }

    fn broken(&mut self, what: &str, out: &mut BytesMut) -> CloseReason {
        self.fail(DownReason::Protocol(what.to_owned()), out)
    }
}

/// Appends a frame as it came.
fn pass_on(header: &FrameHeader, payload: &[u8], out: &mut BytesMut) {
    debug_assert!(payload.len() <= U24::MAX as usize, "it came in a frame");
    header.write(out);
    out.extend_from_slice(payload);
}

impl JdcConnection for JdcDeclaring {
    fn wants_connection(&self) -> bool {
        self.state == State::Dialling
    }

    fn connected(&mut self, security: LinkSecurity, now: Now, out: &mut BytesMut) -> Result<(), CloseReason> {
        if security != LinkSecurity::Authenticated && !self.way.insecure {
            return Err(self.fail(DownReason::NotAuthenticated, out));
        }
        let text = Str0255::truncated;
        let setup = SetupConnection {
            protocol: PROTOCOL_JOB_DECLARATION,
            min_version: PROTOCOL_VERSION,
            max_version: PROTOCOL_VERSION,
            flags: if self.full_template { DECLARE_TX_DATA } else { 0 },
            endpoint_host: text(&self.way.host),
            endpoint_port: self.way.port,
            vendor: text("Adit"),
            hardware_version: text("proxy"),
            firmware: text(concat!("adit/", env!("CARGO_PKG_VERSION"))),
            device_id: text(""),
        };
        write_frame(&setup, &mut self.upward);
        self.state = State::SettingUp { deadline: now.mono + SETUP_DEADLINE };
        Ok(())
    }

    fn disconnected(&mut self, why: DownReason, _: Now, out: &mut BytesMut) -> Result<(), CloseReason> {
        Err(self.fail(why, out))
    }

    fn hear_jdc(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        _: &mut BytesMut,
    ) -> Result<(), CloseReason> {
        if self.strikes.request(now.mono) {
            return Err(CloseReason::Flood);
        }
        // It has to wait for the answer to its set-up.
        if self.state != State::Ready {
            return Err(CloseReason::Garbage);
        }
        let message = match AnyMessage::decode_lenient(header, payload, &[]) {
            Ok((AnyMessage::JobDeclaration(message), _)) => message,
            Err(DecodeError::UnknownExtension { .. } | DecodeError::UnknownMessageType { .. }) => {
                return Ok(());
            }
            Ok(_) if !self.strikes.bad_line() => return Ok(()),
            Ok(_) | Err(_) => return Err(CloseReason::Garbage),
        };
        match message {
            JobDeclarationMessage::AllocateMiningJobToken(asked) => {
                let user_identifier = match &self.way.user_identifier {
                    Some(identifier) => Str0255::truncated(identifier),
                    None => asked.user_identifier,
                };
                let request_id = asked.request_id;
                write_frame(&AllocateMiningJobToken { user_identifier, request_id }, &mut self.upward);
            }
            JobDeclarationMessage::DeclareMiningJob(_)
            | JobDeclarationMessage::ProvideMissingTransactionsSuccess(_)
            | JobDeclarationMessage::PushSolution(_) => pass_on(header, payload, &mut self.upward),
            _ if self.strikes.bad_line() => return Err(CloseReason::Garbage),
            _ => {}
        }
        Ok(())
    }

    fn hear_upstream(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        _: Now,
        out: &mut BytesMut,
    ) -> Result<(), CloseReason> {
        let message = match AnyMessage::decode_lenient(header, payload, &[]) {
            Ok((message, _)) => message,
            Err(DecodeError::UnknownExtension { .. } | DecodeError::UnknownMessageType { .. }) => {
                return Ok(());
            }
            Err(error) => return Err(self.broken(&error.to_string(), out)),
        };
        match (message, self.state) {
            (AnyMessage::Common(CommonMessage::SetupConnectionSuccess(success)), State::SettingUp { .. }) => {
                if success.used_version != PROTOCOL_VERSION {
                    let what = format!("protocol version {} (Adit speaks 2)", success.used_version);
                    return Err(self.broken(&what, out));
                }
                self.state = State::Ready;
                let (used_version, flags) = (success.used_version, success.flags);
                write_frame(&SetupConnectionSuccess { used_version, flags }, out);
                Ok(())
            }
            (AnyMessage::Common(CommonMessage::SetupConnectionError(error)), State::SettingUp { .. }) => {
                let SetupConnectionError { error_code, .. } = error;
                Err(self.fail(DownReason::RefusedByDeclarator(shown(error_code.as_bytes())), out))
            }
            (AnyMessage::Common(CommonMessage::Reconnect(_)), _) => {
                Err(self.fail(DownReason::Reconnect, out))
            }
            (
                AnyMessage::JobDeclaration(
                    JobDeclarationMessage::AllocateMiningJobTokenSuccess(_)
                    | JobDeclarationMessage::ProvideMissingTransactions(_)
                    | JobDeclarationMessage::DeclareMiningJobSuccess(_)
                    | JobDeclarationMessage::DeclareMiningJobError(_),
                ),
                State::Ready,
            ) => {
                pass_on(header, payload, out);
                Ok(())
            }
            (_, State::Ready) => Ok(()),
            _ => Err(self.broken("a message before the set-up was done", out)),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::SettingUp { deadline } => Some(deadline),
            _ => None,
        }
    }

    fn timer(&mut self, now: Now, out: &mut BytesMut) -> Result<(), CloseReason> {
        match self.state {
            State::SettingUp { deadline } if now.reached(deadline) => {
                Err(self.fail(DownReason::Silent("SetupConnection"), out))
            }
            _ => Ok(()),
        }
    }

    fn upward(&mut self) -> &mut BytesMut {
        &mut self.upward
    }

    fn max_payload(&self) -> usize {
        // A block's transactions may all be missing.
        U24::MAX as usize
    }

    fn why_down(&self) -> Option<&DownReason> {
        self.why_down.as_ref()
    }

    fn standing(&self) -> (bool, f64, Duration) {
        (false, 0.0, self.since)
    }

    fn each_ack_latency(&mut self, _: &mut dyn FnMut(Duration)) {}

    fn tell(&self, _: &str, _: &mut BytesMut) {}

    fn leave(&mut self, _: Now) {
        self.state = State::Over;
    }

    fn is_settled(&self) -> bool {
        self.state == State::Over
    }
}
