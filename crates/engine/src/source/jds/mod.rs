//! A connection to a job declarator server, in full-template mode or for tokens alone (specification section 6).
//!
//! A plain state machine like the sources: the caller connects when [`JobDeclarator::wants_connection`] says so, feeds
//! frames and time in, and sends out what [`JdsEffects`] holds. It keeps tokens in stock, declares templates, gives
//! the transactions that the server lacks, and passes solutions on. What follows from an answer, or from none, is for
//! whoever declares to decide.

mod declaration;
mod event;
mod tokens;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sv2::{FrameHeader, Message};
use work::coinbase::read_outputs;

pub use declaration::{Declaration, MAX_MISSING_REQUESTS};
pub use event::{DeclareFailure, JdsEffects, JdsEvent, PushedSolution};

use super::backoff::Backoff;
use super::event::DownReason;
use super::sv2_pool::{LinkSecurity, parse, protocol, shown};
use crate::now::{Now, earliest};
use declaration::InFlight;
use tokens::{TOKEN_DEADLINE, Token, Tokens};

/// SetupConnection is answered within this.
const SETUP_DEADLINE: Duration = Duration::from_secs(10);
/// A declaration is answered within this; asking for missing transactions begins it anew.
pub const DECLARE_DEADLINE: Duration = Duration::from_secs(5);
/// Declarations under way at once.
const MAX_IN_FLIGHT: usize = 8;

/// How a server is used.
#[derive(Clone, Debug)]
pub struct JdsSettings {
    /// For `SetupConnection.endpoint_host`.
    pub host: String,
    /// For `SetupConnection.endpoint_port`.
    pub port: u16,
    /// Who asks for tokens, as the pool knows them.
    pub user_identifier: Arc<str>,
    /// Nobody needs to vouch for the server.
    pub insecure: bool,
    /// Templates are declared with their transactions; otherwise the connection gives tokens only.
    pub full_template: bool,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JdsState {
    /// Not wanted.
    Off,
    /// Waits to try again.
    Waiting {
        /// When it will.
        until: Duration,
    },
    /// The caller connects and shakes hands.
    Dialling,
    /// Waits for SetupConnection.Success.
    SettingUp {
        /// The last moment for it.
        deadline: Duration,
    },
    /// Tokens can be had.
    Ready,
}

/// See the module.
#[derive(Debug)]
pub struct JobDeclarator {
    settings: JdsSettings,
    state: JdsState,
    backoff: Backoff,
    tokens: Tokens,
    in_flight: VecDeque<InFlight>,
    next_request: u32,
    stray_answers: u64,
    unknown_messages: u64,
}

impl JobDeclarator {
    /// A connection that is off. `seed` decides jitter.
    #[must_use]
    pub fn new(settings: JdsSettings, seed: u64) -> Self {
        Self {
            settings,
            state: JdsState::Off,
            backoff: Backoff::new(seed),
            tokens: Tokens::default(),
            in_flight: VecDeque::new(),
            next_request: 0,
            stray_answers: 0,
            unknown_messages: 0,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> JdsState {
        self.state
    }

    /// It is connected, and there is a token in stock.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.state == JdsState::Ready && self.tokens.has_any()
    }

    /// A job can be declared at once: there is a token, and not too many declarations wait for an answer.
    #[must_use]
    pub fn can_declare(&self) -> bool {
        self.has_token() && self.in_flight.len() < MAX_IN_FLIGHT
    }

    /// Answers to nothing that is open, ignored.
    #[must_use]
    pub fn stray_answers(&self) -> u64 {
        self.stray_answers
    }

    /// Messages that Adit does not know, ignored.
    #[must_use]
    pub fn unknown_messages(&self) -> u64 {
        self.unknown_messages
    }

    /// The caller should connect now, and then call [`connected`](Self::connected) or
    /// [`disconnected`](Self::disconnected).
    #[must_use]
    pub fn wants_connection(&self) -> bool {
        self.state == JdsState::Dialling
    }

    /// The caller should keep its connection.
    #[must_use]
    pub fn has_connection(&self) -> bool {
        matches!(self.state, JdsState::SettingUp { .. } | JdsState::Ready)
    }

    /// Connect, and stay connected.
    pub fn start(&mut self) {
        if self.state == JdsState::Off {
            self.state = JdsState::Dialling;
        }
    }

    /// Disconnect, and stay away.
    pub fn stop(&mut self, fx: &mut JdsEffects) {
        if self.state != JdsState::Off {
            self.drop_link(DownReason::NotStarted, fx);
            self.state = JdsState::Off;
        }
    }

    /// When [`timer`](Self::timer) must be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            JdsState::Waiting { until } => Some(until),
            JdsState::SettingUp { deadline } => Some(deadline),
            JdsState::Off | JdsState::Dialling => None,
            JdsState::Ready => {
                let declarations = self.in_flight.iter().map(|declaration| declaration.deadline).min();
                earliest(self.tokens.deadline(), declarations)
            }
        }
    }

    /// The link stands (TCP and Noise): begins the set-up.
    pub fn connected(&mut self, security: LinkSecurity, now: Now, fx: &mut JdsEffects) {
        if self.state != JdsState::Dialling {
            fx.hang_up = true;
            return;
        }
        if security != LinkSecurity::Authenticated && !self.settings.insecure {
            self.fail(DownReason::NotAuthenticated, now, fx);
            return;
        }
        let text = sv2::Str0255::truncated;
        let flags = if self.settings.full_template { sv2::job_declaration::DECLARE_TX_DATA } else { 0 };
        let setup = sv2::common::SetupConnection {
            protocol: sv2::common::PROTOCOL_JOB_DECLARATION,
            min_version: sv2::common::PROTOCOL_VERSION,
            max_version: sv2::common::PROTOCOL_VERSION,
            flags,
            endpoint_host: text(&self.settings.host),
            endpoint_port: self.settings.port,
            vendor: text("Adit"),
            hardware_version: text("proxy"),
            firmware: text(concat!("adit/", env!("CARGO_PKG_VERSION"))),
            device_id: text(""),
        };
        sv2::write_frame(&setup, &mut fx.frames);
        self.state = JdsState::SettingUp { deadline: now.mono + SETUP_DEADLINE };
    }

    /// The link could not be made, or has ended.
    pub fn disconnected(&mut self, why: DownReason, now: Now, fx: &mut JdsEffects) {
        if self.state == JdsState::Dialling || self.has_connection() {
            self.fail(why, now, fx);
        }
    }

    /// A token and the outputs that the pool wants with it; `None`: there is none now, one is asked for. In full-template
    /// mode [`declare`](Self::declare) takes its own.
    pub fn take_token(&mut self, now: Now, fx: &mut JdsEffects) -> Option<Vec<u8>> {
        let token = self.tokens.take();
        self.stock_up(now, fx);
        token.map(|token| token.bytes)
    }

    /// A token was no good any more. Those in stock may be as old: new ones are asked for in their place.
    pub fn renew_tokens(&mut self, now: Now, fx: &mut JdsEffects) {
        self.tokens.clear_stock();
        self.stock_up(now, fx);
    }

    /// Declares a template. The answer comes as [`JdsEvent::Declared`] or [`JdsEvent::NotDeclared`] with its number. False:
    /// there is no token, no connection, or too much is under way; nothing was sent.
    pub fn declare(&mut self, declaration: Declaration, now: Now, fx: &mut JdsEffects) -> bool {
        let full = self.in_flight.len() >= MAX_IN_FLIGHT;
        if self.state != JdsState::Ready || !self.settings.full_template || full {
            return false;
        }
        let Some(token) = self.tokens.take() else {
            self.stock_up(now, fx);
            return false;
        };
        let request_id = self.request_id();
        declaration.write(request_id, &token.bytes, &mut fx.frames);
        self.in_flight.push_back(InFlight::new(request_id, declaration, now.mono + DECLARE_DEADLINE));
        self.stock_up(now, fx);
        true
    }

    /// A declaration is not wanted any more: its tip is gone. Answers to it are ignored.
    pub fn forget(&mut self, number: u64) {
        self.in_flight.retain(|known| known.declaration.number != number);
    }

    /// Tells the server of a block (6.4.9), so that it spreads it too.
    pub fn push_solution(&mut self, solution: &PushedSolution, fx: &mut JdsEffects) {
        if self.state != JdsState::Ready {
            return;
        }
        let Ok(extranonce) = sv2::B032::try_from(&*solution.extranonce) else { return };
        let header = &solution.header;
        let message = sv2::job_declaration::PushSolution {
            extranonce,
            prev_hash: header.prev_hash,
            nonce: header.nonce,
            ntime: header.ntime,
            nbits: header.nbits,
            version: header.version,
        };
        sv2::write_frame(&message, &mut fx.frames);
    }

    /// A deadline has come.
    pub fn timer(&mut self, now: Now, fx: &mut JdsEffects) {
        match self.state {
            JdsState::Waiting { until } if now.reached(until) => self.state = JdsState::Dialling,
            JdsState::SettingUp { deadline } if now.reached(deadline) => {
                self.fail(DownReason::Silent("SetupConnection"), now, fx);
            }
            JdsState::Ready => {
                if self.tokens.is_overdue(now.mono) {
                    self.fail(DownReason::Silent("AllocateMiningJobToken"), now, fx);
                    return;
                }
                self.tokens.forget_aged(now.mono);
                let silent = |known: &InFlight| now.reached(known.deadline);
                for late in self.in_flight.iter().filter(|known| silent(known)) {
                    let number = late.declaration.number;
                    fx.events.push(JdsEvent::NotDeclared { number, why: DeclareFailure::Silent });
                }
                self.in_flight.retain(|known| !silent(known));
                self.stock_up(now, fx);
            }
            _ => {}
        }
    }

    /// Takes one frame from the server.
    pub fn frame(&mut self, header: &FrameHeader, payload: &[u8], now: Now, fx: &mut JdsEffects) {
        if !self.has_connection() {
            return;
        }
        if let Err(why) = self.read(header, payload, now, fx) {
            self.fail(why, now, fx);
        }
    }

    fn read(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        fx: &mut JdsEffects,
    ) -> Result<(), DownReason> {
        use sv2::{common, job_declaration as jd};
        if header.extension_type != 0 {
            self.unknown_messages += 1;
            return Ok(());
        }
        match header.msg_type {
            common::SetupConnectionSuccess::MSG_TYPE => {
                let message: common::SetupConnectionSuccess = parse(payload)?;
                if !matches!(self.state, JdsState::SettingUp { .. }) {
                    return Err(protocol("SetupConnection.Success twice"));
                }
                if message.used_version != sv2::common::PROTOCOL_VERSION {
                    return Err(protocol(format!("protocol version {}", message.used_version)));
                }
                self.state = JdsState::Ready;
                self.stock_up(now, fx);
                Ok(())
            }
            common::SetupConnectionError::MSG_TYPE => {
                let error: common::SetupConnectionError<'_> = parse(payload)?;
                Err(refused(&error))
            }
            common::Reconnect::MSG_TYPE => {
                let message: common::Reconnect<'_> = parse(payload)?;
                fx.reconnect_to = Some((shown(message.new_host.as_bytes()), message.new_port));
                Err(DownReason::Reconnect)
            }
            _ if self.state != JdsState::Ready => {
                Err(protocol(format!("message 0x{:02x} before the set-up was done", header.msg_type)))
            }
            jd::AllocateMiningJobTokenSuccess::MSG_TYPE => self.on_token(&parse(payload)?, now, fx),
            jd::ProvideMissingTransactions::MSG_TYPE => self.on_missing(&parse(payload)?, now, fx),
            jd::DeclareMiningJobSuccess::MSG_TYPE => {
                let message: jd::DeclareMiningJobSuccess<'_> = parse(payload)?;
                if let Some(known) = self.finish(message.request_id) {
                    let token = message.new_mining_job_token.as_slice().to_vec();
                    self.backoff.reset();
                    fx.events.push(JdsEvent::Declared { number: known.declaration.number, token });
                }
                Ok(())
            }
            jd::DeclareMiningJobError::MSG_TYPE => {
                let message: jd::DeclareMiningJobError<'_> = parse(payload)?;
                if let Some(known) = self.finish(message.request_id) {
                    let code = shown(message.error_code.as_bytes());
                    let details = shown(message.error_details.as_slice());
                    let why = DeclareFailure::Refused { code, details };
                    fx.events.push(JdsEvent::NotDeclared { number: known.declaration.number, why });
                }
                Ok(())
            }
            _ => {
                self.unknown_messages += 1;
                Ok(())
            }
        }
    }

    fn on_token(
        &mut self,
        message: &sv2::job_declaration::AllocateMiningJobTokenSuccess<'_>,
        now: Now,
        fx: &mut JdsEffects,
    ) -> Result<(), DownReason> {
        if !self.tokens.answered(message.request_id) {
            self.stray_answers += 1;
            return Ok(());
        }
        let outputs = read_outputs(message.coinbase_tx_outputs.as_slice())
            .map_err(|error| protocol(format!("AllocateMiningJobToken.Success: {error}")))?;
        if outputs.is_empty() {
            return Err(protocol("AllocateMiningJobToken.Success without a payout output"));
        }
        let first = self.tokens.outputs().is_none();
        let changed = self.tokens.outputs() != Some(&*outputs);
        let bytes = message.mining_job_token.as_slice().to_vec();
        self.tokens.put(Token { bytes, since: now.mono }, outputs);
        if first || changed {
            fx.events.push(JdsEvent::Outputs(self.tokens.outputs().unwrap_or_default().into()));
        }
        if self.tokens.is_first_in_stock() {
            fx.events.push(JdsEvent::Token);
        }
        Ok(())
    }

    /// Gives what the server lacks, of what was declared and nothing else.
    fn on_missing(
        &mut self,
        message: &sv2::job_declaration::ProvideMissingTransactions<'_>,
        now: Now,
        fx: &mut JdsEffects,
    ) -> Result<(), DownReason> {
        let Some(known) = self.in_flight.iter_mut().find(|known| known.request_id == message.request_id)
        else {
            self.stray_answers += 1;
            return Ok(());
        };
        known.provide(message, &mut fx.frames)?;
        known.deadline = now.mono + DECLARE_DEADLINE;
        Ok(())
    }

    fn finish(&mut self, request_id: u32) -> Option<InFlight> {
        let at = self.in_flight.iter().position(|known| known.request_id == request_id);
        if at.is_none() {
            self.stray_answers += 1;
        }
        at.and_then(|at| self.in_flight.remove(at))
    }

    /// Asks for tokens until there are enough, or on their way.
    fn stock_up(&mut self, now: Now, fx: &mut JdsEffects) {
        while self.state == JdsState::Ready && self.tokens.wants_more() {
            let request_id = self.request_id();
            let message = sv2::job_declaration::AllocateMiningJobToken {
                user_identifier: sv2::Str0255::truncated(&self.settings.user_identifier),
                request_id,
            };
            sv2::write_frame(&message, &mut fx.frames);
            self.tokens.asked(request_id, now.mono + TOKEN_DEADLINE);
        }
    }

    fn request_id(&mut self) -> u32 {
        self.next_request = self.next_request.wrapping_add(1);
        self.next_request
    }

    fn fail(&mut self, why: DownReason, now: Now, fx: &mut JdsEffects) {
        let wait = if why == DownReason::Reconnect { Duration::ZERO } else { self.backoff.next_wait() };
        self.drop_link(why, fx);
        self.state = JdsState::Waiting { until: now.mono + wait };
    }

    fn drop_link(&mut self, why: DownReason, fx: &mut JdsEffects) {
        fx.hang_up = true;
        self.tokens = Tokens::default();
        for lost in self.in_flight.drain(..) {
            let number = lost.declaration.number;
            fx.events.push(JdsEvent::NotDeclared { number, why: DeclareFailure::Lost });
        }
        fx.events.push(JdsEvent::Down(why));
    }
}

/// Why the server does not take us; the mode is the likeliest reason, and the only one that the user can mend.
fn refused(error: &sv2::common::SetupConnectionError<'_>) -> DownReason {
    use sv2::error_code::{MISSING_DECLARE_TX_DATA_FLAG, UNSUPPORTED_FEATURE_FLAGS};
    let code = error.error_code.as_bytes();
    let flag = error.flags & sv2::job_declaration::DECLARE_TX_DATA != 0;
    if code == MISSING_DECLARE_TX_DATA_FLAG.as_bytes() {
        DownReason::WholeTemplatesOnly(MISSING_DECLARE_TX_DATA_FLAG)
    } else if code == UNSUPPORTED_FEATURE_FLAGS.as_bytes() && flag {
        DownReason::CoinbasesOnly(UNSUPPORTED_FEATURE_FLAGS)
    } else {
        DownReason::RefusedByDeclarator(shown(code))
    }
}

#[cfg(test)]
mod tests;
