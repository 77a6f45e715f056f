//! One client of the server. No IO: frames in, frames out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bitcoin::consensus::serialize;
use bytes::BytesMut;
use sv2::common::{
    PROTOCOL_JOB_DECLARATION, PROTOCOL_VERSION, SetupConnection, SetupConnectionError, SetupConnectionSuccess,
};
use sv2::extensions::{EXTENSION_NEGOTIATION, RequestExtensionsError};
use sv2::job_declaration::{
    AllocateMiningJobToken, AllocateMiningJobTokenSuccess, DECLARE_TX_DATA, DeclareMiningJob,
    DeclareMiningJobError, DeclareMiningJobSuccess, ProvideMissingTransactions,
    ProvideMissingTransactionsSuccess,
};
use sv2::{
    AnyMessage, B064K, B0255, CommonMessage, ExtensionsMessage, FrameHeader, JobDeclarationMessage, Seq064K,
    Str0255, error_code, write_frame,
};
use tracing::{debug, info};

use super::declared::Proposal;
use super::missing::{Pending, read_wtxids};
use super::{AskFor, DeclaredJob, Jds, JdsFaults, JdsMode, Refused};
use crate::dev_pool::Shared;
use crate::dev_pool::client::Hangup;

/// Declarations of one connection that wait for transactions; a further one makes the server forget the oldest.
const MAX_PENDING: usize = 4;

/// Declared jobs of one connection that a solution may belong to.
pub(super) const MAX_DECLARED: usize = 4;

/// The state of one client.
pub(in crate::dev_pool) struct Declarator {
    pub(super) shared: Arc<Shared>,
    pub(super) jds: Arc<Jds>,
    /// Owns the connection's tokens.
    number: u64,
    is_set_up: bool,
    full_template: bool,
    /// It was told to end the connection.
    hangs_up: bool,
    pending: VecDeque<Pending>,
    /// The newest last.
    pub(super) declared: VecDeque<Arc<DeclaredJob>>,
}

impl Declarator {
    pub(in crate::dev_pool) fn new(shared: Arc<Shared>, jds: Arc<Jds>, number: u64) -> Declarator {
        Declarator {
            shared,
            jds,
            number,
            is_set_up: false,
            full_template: false,
            hangs_up: false,
            pending: VecDeque::new(),
            declared: VecDeque::new(),
        }
    }

    pub(super) fn is_set_up(&self) -> bool {
        self.is_set_up
    }

    /// Handles a frame; what is to be sent is appended to `out`.
    pub(in crate::dev_pool) fn on_frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        if header.extension_type != 0 && header.extension_type != EXTENSION_NEGOTIATION {
            // Messages of unknown extensions are ignored (specification, section 3.4.1).
            return Ok(());
        }
        let (message, _) = AnyMessage::decode_lenient(header, payload, &[])?;
        match &message {
            AnyMessage::Common(CommonMessage::SetupConnection(setup)) if !self.is_set_up => {
                self.on_setup(setup, out)
            }
            _ if !self.is_set_up => Err(Hangup::OutOfPlace(message.name())),
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensions(request)) => {
                // There are none for job declaration.
                let refusal = RequestExtensionsError {
                    request_id: request.request_id,
                    unsupported_extensions: request.requested_extensions,
                    required_extensions: Seq064K::default(),
                };
                write_frame(&refusal, out);
                Ok(())
            }
            AnyMessage::JobDeclaration(JobDeclarationMessage::AllocateMiningJobToken(request)) => {
                self.on_allocate(request, now, out);
                Ok(())
            }
            // It belongs to full-template mode alone (6.4.9), but the reference's client sends it coinbase-only, too. It
            // does no harm: there is no declared job to make a block of.
            AnyMessage::JobDeclaration(JobDeclarationMessage::PushSolution(solution)) => {
                self.on_solution(solution);
                Ok(())
            }
            AnyMessage::JobDeclaration(declaration) if self.full_template => match declaration {
                JobDeclarationMessage::DeclareMiningJob(job) => {
                    self.on_declare(job, now, out);
                    self.goes_on()
                }
                JobDeclarationMessage::ProvideMissingTransactionsSuccess(answer) => {
                    self.on_transactions(answer, now, out);
                    self.goes_on()
                }
                _ => Err(Hangup::OutOfPlace(message.name())),
            },
            _ => Err(Hangup::OutOfPlace(message.name())),
        }
    }

    fn on_setup(&mut self, setup: &SetupConnection<'_>, out: &mut BytesMut) -> Result<(), Hangup> {
        let full_template = setup.flags & DECLARE_TX_DATA != 0;
        let mut unsupported = setup.flags & !DECLARE_TX_DATA;
        if self.jds.options.mode == JdsMode::CoinbaseOnly {
            unsupported |= setup.flags & DECLARE_TX_DATA;
        }
        let versions = setup.min_version..=setup.max_version;
        let error = if setup.protocol != PROTOCOL_JOB_DECLARATION {
            Some(error_code::UNSUPPORTED_PROTOCOL)
        } else if !versions.contains(&PROTOCOL_VERSION) {
            Some(error_code::PROTOCOL_VERSION_MISMATCH)
        } else if unsupported != 0 {
            Some(error_code::UNSUPPORTED_FEATURE_FLAGS)
        } else if self.jds.options.mode == JdsMode::FullTemplate && !full_template {
            Some(error_code::MISSING_DECLARE_TX_DATA_FLAG)
        } else {
            None
        };
        if let Some(code) = error {
            let flags = if code == error_code::UNSUPPORTED_FEATURE_FLAGS { unsupported } else { 0 };
            write_frame(&SetupConnectionError { flags, error_code: Str0255::truncated(code) }, out);
            return Err(Hangup::SetupRefused(code));
        }
        if self.jds.faults().silent_setup {
            return Ok(());
        }
        self.is_set_up = true;
        self.full_template = full_template;
        write_frame(&SetupConnectionSuccess { used_version: PROTOCOL_VERSION, flags: 0 }, out);
        debug!(vendor = %setup.vendor, full_template, "declarator set up");
        Ok(())
    }

    fn on_allocate(&self, request: &AllocateMiningJobToken<'_>, now: Instant, out: &mut BytesMut) {
        if self.jds.faults().silent_token {
            return;
        }
        let outputs = self.jds.outputs();
        let list = serialize(&outputs.to_vec());
        let token =
            self.jds.tokens().allocate(self.number, self.full_template, outputs, &self.jds.options, now);
        self.jds.counters.count(|stats| stats.tokens += 1);
        write_frame(
            &AllocateMiningJobTokenSuccess {
                request_id: request.request_id,
                mining_job_token: B0255::new(&token).unwrap_or_default(),
                // The options see to it that they fit.
                coinbase_tx_outputs: B064K::new(&list).unwrap_or_default(),
            },
            out,
        );
    }

    fn on_declare(&mut self, job: &DeclareMiningJob<'_>, now: Instant, out: &mut BytesMut) {
        self.jds.counters.count(|stats| stats.declarations += 1);
        let faults = self.jds.faults();
        let request_id = job.request_id;
        let token = job.mining_job_token.as_slice();
        let Some((token, demanded)) = self.jds.tokens().declare(self.number, token, &self.jds.options, now)
        else {
            return self.refuse(
                request_id,
                &Refused::new(error_code::INVALID_MINING_JOB_TOKEN, ""),
                &faults,
                out,
            );
        };
        if faults.silent_declaration {
            return;
        }
        let work = Arc::clone(&self.shared.work.borrow());
        let options = &self.shared.options;
        let proposal = Proposal {
            version: job.version,
            coinbase_tx_prefix: job.coinbase_tx_prefix.as_slice().to_vec(),
            coinbase_tx_suffix: job.coinbase_tx_suffix.as_slice().to_vec(),
            demanded,
            extranonce_size: usize::from(options.extranonce_prefix_size)
                + usize::from(options.extranonce_size),
        };
        let checked = proposal.check(&work).and_then(|_coinbase| read_wtxids(job.wtxid_list.iter()));
        let wtxids = match checked {
            Ok(wtxids) => wtxids,
            Err(refused) => {
                self.jds.tokens().give_up(self.number, token);
                return self.refuse(request_id, &refused, &faults, out);
            }
        };
        let mut pending = Pending {
            request_id,
            token,
            proposal,
            tip_number: work.tip_number,
            wtxids,
            transactions: Vec::new(),
            asked: Vec::new(),
        };
        pending.look_up(&self.jds.known());
        self.ask_or_judge(pending, &faults, now, out);
    }

    fn ask_or_judge(&mut self, mut pending: Pending, faults: &JdsFaults, now: Instant, out: &mut BytesMut) {
        pending.ask(faults.ask_for);
        let asked = &pending.asked;
        if asked.is_empty() {
            return self.judge(pending, faults, now, out);
        }
        self.jds.counters.count(|stats| stats.transactions_asked += asked.len() as u64);
        write_frame(
            &ProvideMissingTransactions {
                request_id: pending.request_id,
                unknown_tx_position_list: Seq064K::from_slice(asked).unwrap_or_default(),
            },
            out,
        );
        if self.pending.len() == MAX_PENDING
            && let Some(forgotten) = self.pending.pop_front()
        {
            self.jds.tokens().give_up(self.number, forgotten.token);
        }
        self.pending.push_back(pending);
    }

    fn on_transactions(
        &mut self,
        answer: &ProvideMissingTransactionsSuccess<'_>,
        now: Instant,
        out: &mut BytesMut,
    ) {
        let at = self.pending.iter().position(|pending| pending.request_id == answer.request_id);
        let Some(mut pending) = at.and_then(|at| self.pending.remove(at)) else {
            self.jds.counters.count(|stats| stats.stray_answers += 1);
            return;
        };
        let faults = self.jds.faults();
        let count = answer.transaction_list.len() as u64;
        self.jds.counters.count(|stats| stats.transactions_provided += count);
        let provided = pending.provide(answer, &mut self.jds.known());
        if let Err(refused) = provided {
            self.jds.tokens().give_up(self.number, pending.token);
            return self.refuse(pending.request_id, &refused, &faults, out);
        }
        if faults.silent_missing_transactions {
            return;
        }
        if faults.ask_for == AskFor::Again {
            return self.ask_or_judge(pending, &faults, now, out);
        }
        self.judge(pending, &faults, now, out);
    }

    /// All transactions are there.
    fn judge(&mut self, pending: Pending, faults: &JdsFaults, now: Instant, out: &mut BytesMut) {
        let work = Arc::clone(&self.shared.work.borrow());
        let (request_id, token) = (pending.request_id, pending.token);
        let judged = if work.tip_number == pending.tip_number {
            pending.complete().and_then(|transactions| {
                let allowed = self.shared.allowed_value(&transactions);
                pending.proposal.judge(transactions, allowed, &work, &self.jds.options)
            })
        } else {
            Err(Refused::new(error_code::STALE_CHAIN_TIP, "the tip has changed meanwhile"))
        };
        let forced = faults.refuse_declarations.is_some();
        let job = match judged {
            Ok(job) if !forced => Arc::new(job),
            refused => {
                self.jds.tokens().give_up(self.number, token);
                let refused = refused.err().unwrap_or_else(|| Refused::new(error_code::INVALID_JOB, ""));
                return self.refuse(request_id, &refused, faults, out);
            }
        };
        if self.declared.len() == MAX_DECLARED {
            self.declared.pop_front();
        }
        self.declared.push_back(Arc::clone(&job));
        let token = self.jds.tokens().activate(self.number, token, job, now);
        self.jds.counters.count(|stats| stats.declared += 1);
        info!(request_id, height = work.job.template.height, "job declared");
        if faults.hang_up_after_declaration {
            self.hangs_up = true;
            self.jds.tokens().forget(self.number);
        }
        for _ in 0..1 + usize::from(faults.answer_twice) {
            write_frame(
                &DeclareMiningJobSuccess {
                    request_id,
                    new_mining_job_token: B0255::new(&token).unwrap_or_default(),
                },
                out,
            );
        }
    }

    fn goes_on(&self) -> Result<(), Hangup> {
        if self.hangs_up { Err(Hangup::Told) } else { Ok(()) }
    }

    fn refuse(&self, request_id: u32, refused: &Refused, faults: &JdsFaults, out: &mut BytesMut) {
        let code = faults.refuse_declarations.as_deref().unwrap_or(refused.code);
        self.jds.counters.count(|stats| {
            *stats.declarations_refused.entry(code.to_owned()).or_default() += 1;
        });
        info!(request_id, code, details = refused.details, "declaration refused");
        write_frame(
            &DeclareMiningJobError {
                request_id,
                error_code: Str0255::truncated(code),
                error_details: B064K::new(refused.details.as_bytes()).unwrap_or_default(),
            },
            out,
        );
    }
}

impl Drop for Declarator {
    fn drop(&mut self) {
        self.jds.tokens().forget(self.number);
    }
}
