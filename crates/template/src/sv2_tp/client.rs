//! The client's side of Template Distribution, without IO and clock.
//!
//! A template that is told always stands on the tip of the last SetNewPrevHash: a future template is kept until one
//! names it. Templates are told under numbers of our own, since a server's numbers may come again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sv2::common::{self, SetupConnection};
use sv2::template_distribution as td;
use sv2::{FrameHeader, Message};
use tracing::debug;
use work::{CoinbaseConstraints, Template};

use super::error::{TpError, protocol};
use super::message::{self, Head, Tip};
use crate::provider::{DEFAULT_CONSTRAINTS, ProviderEvent, Solution};

/// SetupConnection is answered within this.
pub(super) const SETUP: Duration = Duration::from_secs(10);
/// After it, there is a template to work on within this: the server must give one at once (7).
pub(super) const FIRST_TEMPLATE: Duration = Duration::from_secs(30);
/// A request for transactions that is not answered for this long does not keep the next one.
pub(super) const TRANSACTIONS: Duration = Duration::from_secs(30);
/// Future templates that are kept for a SetNewPrevHash; the oldest goes for a further one.
pub(super) const FUTURE: usize = 16;
/// Templates remembered for solutions.
pub(super) const TOLD: usize = 16;

/// What is to be done after a call.
#[derive(Debug, Default)]
pub struct TpOutput {
    /// To be sent.
    pub frames: BytesMut,
    /// To be told.
    pub events: VecDeque<ProviderEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No link.
    Down,
    /// Waits for SetupConnection.Success.
    SettingUp { deadline: Duration },
    /// Waits for a first template and its tip.
    Waiting { deadline: Duration },
    /// Templates were told.
    Up,
}

/// A template that was told on this connection.
#[derive(Debug)]
struct Told {
    server_id: u64,
    template: Arc<Template>,
}

/// The request for transactions that is open: one at a time, whatever the server's pace.
#[derive(Clone, Copy, Debug)]
struct Asked {
    server_id: u64,
    /// Our number: the server's may have come again.
    template_id: u64,
    since: Duration,
}

/// The client's side of Template Distribution: what a server says goes in, what is to be said and told comes out.
#[derive(Debug)]
pub struct TpClient {
    /// For SetupConnection.
    host: String,
    port: u16,
    phase: Phase,
    constraints: CoinbaseConstraints,
    /// Of the last SetNewPrevHash of this connection.
    tip: Option<Tip>,
    /// Of the last one ever: while the tip stands, its smallest time does, also when the connection does not.
    last_tip: Option<Tip>,
    /// Oldest first.
    future: VecDeque<Head>,
    /// Oldest first.
    told: VecDeque<Told>,
    next_id: u64,
    asked: Option<Asked>,
    /// The newest template's transactions are wanted, and not asked for yet.
    wants_transactions: bool,
}

impl TpClient {
    /// Without a link.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is made once for each provider")]
    pub fn new() -> Self {
        Self {
            host: String::new(),
            port: 0,
            phase: Phase::Down,
            constraints: DEFAULT_CONSTRAINTS,
            tip: None,
            last_tip: None,
            future: VecDeque::new(),
            told: VecDeque::new(),
            next_id: 1,
            asked: None,
            wants_transactions: false,
        }
    }

    /// A link stands (TCP and Noise) to this address: begins anew.
    pub fn connected(&mut self, host: &str, port: u16, now: Duration, out: &mut TpOutput) {
        self.disconnected();
        (self.host, self.port) = (host.to_owned(), port);
        self.phase = Phase::SettingUp { deadline: now + SETUP };
        let text = sv2::Str0255::truncated;
        let setup = SetupConnection {
            protocol: common::PROTOCOL_TEMPLATE_DISTRIBUTION,
            min_version: common::PROTOCOL_VERSION,
            max_version: common::PROTOCOL_VERSION,
            flags: 0,
            endpoint_host: text(&self.host),
            endpoint_port: self.port,
            vendor: text("Adit"),
            hardware_version: text("proxy"),
            firmware: text(concat!("adit/", env!("CARGO_PKG_VERSION"))),
            device_id: text(""),
        };
        sv2::write_frame(&setup, &mut out.frames);
    }

    /// The link has ended: what the server said belongs to it.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Down;
        self.tip = None;
        self.future.clear();
        self.told.clear();
        self.asked = None;
        self.wants_transactions = false;
    }

    /// Templates were told on this connection.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Templates from now on must leave this much room. True: those of this connection do not. The protocol has no word
    /// for which templates were made with which room, so that a new connection is needed, which begins with it.
    pub fn constrain(&mut self, constraints: CoinbaseConstraints) -> bool {
        if self.constraints.hold(constraints) {
            return false;
        }
        self.constraints = self.constraints.max(constraints);
        matches!(self.phase, Phase::Waiting { .. } | Phase::Up)
    }

    /// Hands in a solution.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn submit(&self, solution: &Solution, out: &mut TpOutput) -> Result<(), String> {
        let told = self.told.iter().rev().find(|told| told.template.template_id == solution.template_id);
        let told = told.ok_or_else(|| {
            format!("template {} is not one of this connection's last {TOLD}", solution.template_id)
        })?;
        let coinbase_tx = sv2::B064K::new(&solution.coinbase)
            .map_err(|error| format!("the coinbase does not fit SubmitSolution: {error}"))?;
        let header = &solution.header;
        let message = td::SubmitSolution {
            template_id: told.server_id,
            version: header.version,
            header_timestamp: header.ntime,
            header_nonce: header.nonce,
            coinbase_tx,
        };
        sv2::write_frame(&message, &mut out.frames);
        Ok(())
    }

    /// When [`timer`](Self::timer) must be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::SettingUp { deadline } | Phase::Waiting { deadline } => Some(deadline),
            Phase::Down | Phase::Up => None,
        }
    }

    /// A deadline may have come.
    ///
    /// # Errors
    /// The server is too late: the link must be given up.
    pub fn timer(&mut self, now: Duration) -> Result<(), TpError> {
        match self.phase {
            Phase::SettingUp { deadline } if now >= deadline => {
                Err(TpError::Silent { step: "SetupConnection.Success", waited: SETUP })
            }
            Phase::Waiting { deadline } if now >= deadline => {
                let step =
                    if self.future.is_empty() { "NewTemplate" } else { "SetNewPrevHash for its template" };
                Err(TpError::Silent { step, waited: FIRST_TEMPLATE })
            }
            _ => Ok(()),
        }
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// The link must be given up.
    pub fn frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Duration,
        out: &mut TpOutput,
    ) -> Result<(), TpError> {
        if header.extension_type != 0 {
            debug!(
                extension = header.extension_type,
                "a message of an extension that was not asked for is ignored"
            );
            return Ok(());
        }
        if header.channel_msg {
            return Err(protocol("A message", "it is for a channel, and this protocol has none"));
        }
        let set_up = matches!(self.phase, Phase::Waiting { .. } | Phase::Up);
        match header.msg_type {
            common::SetupConnectionSuccess::MSG_TYPE => {
                self.on_set_up(&common::SetupConnectionSuccess::decode(payload)?, now, out)
            }
            common::SetupConnectionError::MSG_TYPE => {
                let message = common::SetupConnectionError::decode(payload)?;
                Err(TpError::Refused(shown(message.error_code.as_bytes())))
            }
            common::Reconnect::MSG_TYPE => {
                let message = common::Reconnect::decode(payload)?;
                Err(TpError::Moved { host: shown(message.new_host.as_bytes()), port: message.new_port })
            }
            _ if !set_up => Err(protocol(
                "A message",
                format!("0x{:02x} before SetupConnection.Success", header.msg_type),
            )),
            td::NewTemplate::MSG_TYPE => self.on_template(&td::NewTemplate::decode(payload)?, now, out),
            td::SetNewPrevHash::MSG_TYPE => self.on_tip(&td::SetNewPrevHash::decode(payload)?, now, out),
            td::RequestTransactionDataSuccess::MSG_TYPE => {
                let message = td::RequestTransactionDataSuccess::decode(payload)?;
                if let Some(template) = self.answered(message.template_id) {
                    let transactions = message::transactions(&message, &template)?;
                    let template_id = template.template_id;
                    out.events.push_back(ProviderEvent::Transactions { template_id, transactions });
                }
                self.ask(now, out);
                Ok(())
            }
            td::RequestTransactionDataError::MSG_TYPE => {
                let message = td::RequestTransactionDataError::decode(payload)?;
                let code = shown(message.error_code.as_bytes());
                // The template can be mined, and its blocks handed in, without.
                debug!(template_id = message.template_id, code, "no transactions of a template");
                self.answered(message.template_id);
                self.ask(now, out);
                Ok(())
            }
            unknown => {
                debug!(msg_type = unknown, "a message that a template provider does not send is ignored");
                Ok(())
            }
        }
    }

    fn on_set_up(
        &mut self,
        message: &common::SetupConnectionSuccess,
        now: Duration,
        out: &mut TpOutput,
    ) -> Result<(), TpError> {
        const NAME: &str = "SetupConnection.Success";
        if !matches!(self.phase, Phase::SettingUp { .. }) {
            return Err(protocol(NAME, "it came before"));
        }
        if message.used_version != common::PROTOCOL_VERSION {
            return Err(protocol(
                NAME,
                format!("protocol version {}, asked for was 2", message.used_version),
            ));
        }
        let constraints = td::CoinbaseOutputConstraints {
            coinbase_output_max_additional_size: self.constraints.additional_size,
            coinbase_output_max_additional_sigops: self.constraints.additional_sigops,
        };
        sv2::write_frame(&constraints, &mut out.frames);
        self.phase = Phase::Waiting { deadline: now + FIRST_TEMPLATE };
        Ok(())
    }

    fn on_template(
        &mut self,
        message: &td::NewTemplate<'_>,
        now: Duration,
        out: &mut TpOutput,
    ) -> Result<(), TpError> {
        let head = Head::read(message)?;
        // A number that comes again means the newer one.
        self.future.retain(|known| known.server_id != head.server_id);
        if message.future_template {
            if self.future.len() == FUTURE {
                self.future.pop_front();
            }
            self.future.push_back(head);
            return Ok(());
        }
        let tip = self.tip.ok_or_else(|| {
            protocol("NewTemplate", "it is not for the future, and no SetNewPrevHash named a tip before")
        })?;
        self.tell(head, &tip, now, out)
    }

    fn on_tip(
        &mut self,
        message: &td::SetNewPrevHash,
        now: Duration,
        out: &mut TpOutput,
    ) -> Result<(), TpError> {
        let id = message.template_id;
        let head = match self.future.iter().position(|known| known.server_id == id) {
            Some(at) => self.future.remove(at),
            // A tip that comes back may do so with the template that was told for it.
            None => {
                let told = self.told.iter().rev().find(|told| told.server_id == id);
                let told = told.filter(|told| told.template.prev_hash == message.prev_hash);
                let newest = self.told.back().map(|newest| newest.template.template_id);
                if let Some(told) = told
                    && newest == Some(told.template.template_id)
                    && told.template.nbits == message.n_bits
                {
                    // Said twice.
                    return Ok(());
                }
                told.map(|told| Head::of(id, &told.template))
            }
        };
        let head = head.ok_or_else(|| {
            protocol(
                "SetNewPrevHash",
                format!("template {id} was not given for the future, or is on another tip"),
            )
        })?;
        let named =
            Tip { prev_hash: message.prev_hash, nbits: message.n_bits, min_ntime: message.header_timestamp };
        let same = |last: &Tip| last.prev_hash == named.prev_hash && last.nbits == named.nbits;
        let tip = self.last_tip.filter(same).unwrap_or(named);
        self.tip = Some(tip);
        self.last_tip = Some(tip);
        // The others were for the same tip, and this one is what the server wants mined.
        self.future.clear();
        self.tell(head, &tip, now, out)
    }

    fn tell(&mut self, head: Head, tip: &Tip, now: Duration, out: &mut TpOutput) -> Result<(), TpError> {
        let server_id = head.server_id;
        let template = Arc::new(head.on(tip, self.next_id, self.constraints)?);
        self.next_id += 1;
        if self.phase != Phase::Up {
            self.phase = Phase::Up;
            let what = format!("a template provider at {}, port {}", self.host, self.port);
            out.events.push_back(ProviderEvent::Up { what });
        }
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back(Told { server_id, template: Arc::clone(&template) });
        let template_id = template.template_id;
        // Without a path the coinbase is alone.
        self.wants_transactions = !template.merkle_path.is_empty();
        out.events.push_back(ProviderEvent::Template(template));
        if self.wants_transactions {
            self.ask(now, out);
        } else {
            out.events.push_back(ProviderEvent::Transactions { template_id, transactions: Arc::new([]) });
        }
        Ok(())
    }

    /// Asks for the newest template's transactions, if they are wanted and no other request is open.
    fn ask(&mut self, now: Duration, out: &mut TpOutput) {
        let busy = self.asked.is_some_and(|asked| now < asked.since + TRANSACTIONS);
        let Some(newest) = self.told.back().filter(|_| self.wants_transactions && !busy) else { return };
        let (server_id, template_id) = (newest.server_id, newest.template.template_id);
        sv2::write_frame(&td::RequestTransactionData { template_id: server_id }, &mut out.frames);
        self.asked = Some(Asked { server_id, template_id, since: now });
        self.wants_transactions = false;
    }

    /// The open request is answered. Gives its template, if that is still kept: one that is not the newest any more
    /// may be mined on still.
    fn answered(&mut self, server_id: u64) -> Option<Arc<Template>> {
        let asked = self.asked.take_if(|asked| asked.server_id == server_id)?;
        // A number that has come again since means the newer template: whose transactions these are cannot be said.
        let named = self.told.iter().rev().find(|told| told.server_id == server_id)?;
        (named.template.template_id == asked.template_id).then(|| Arc::clone(&named.template))
    }

    /// Templates that are kept: future ones, and those that were told.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.future.len(), self.told.len())
    }
}

/// A server's text, fit for a log line: printable, at most 100 characters.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(100).collect()
}
