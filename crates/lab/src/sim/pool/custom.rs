//! Custom jobs at a simulated pool: what Adit selected itself, judged before it is acknowledged (5.3.18 to 5.3.20).

use std::rc::Rc;

use bitcoin::hashes::Hash;
use bitcoin::{Txid, merkle_tree};
use sv2::mining;

use super::job::Body;
use super::{Pool, PoolAct, PoolIo, say, text};
use crate::sim::faults::FaultKind;
use crate::sim::plan::NETWORK_BITS;
use crate::sim::tally::Message;
use crate::sim::time::Micros;

/// An extranonce prefix that a channel of a connection with work selection had.
#[derive(Clone, Debug)]
pub(in crate::sim) struct PrefixGiven {
    pub(in crate::sim) authenticated: bool,
    /// The channel's difficulties while it had the prefix, with the time from which each was in force.
    pub(in crate::sim) difficulties: Vec<(Micros, f64)>,
}

impl PrefixGiven {
    /// The hardest that was in force at `since` or later.
    pub(in crate::sim) fn hardest_since(&self, since: Micros) -> f64 {
        let before = self.difficulties.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        self.difficulties[before..].iter().map(|(_, difficulty)| *difficulty).fold(0.0, f64::max)
    }
}

impl Pool {
    /// Remembers prefix and target of a channel.
    pub(super) fn note_prefix(&mut self, at: usize, id: u32, now: Micros) {
        let connection = &self.connections[at];
        if !connection.work_selection {
            return;
        }
        let Some(channel) = connection.channels.get(&id) else { return };
        let given = self.prefixes.entry(channel.prefix.clone()).or_insert_with(|| PrefixGiven {
            authenticated: connection.authenticated,
            difficulties: Vec::new(),
        });
        given.difficulties.push((now, channel.difficulty));
    }

    pub(super) fn on_custom_job(
        &mut self,
        at: usize,
        message: &mining::SetCustomMiningJob<'_>,
        io: &mut PoolIo<'_>,
    ) {
        io.tally.message(Message::SetCustomJob);
        self.strike_at(FaultKind::TipAtCustom, io);
        let (channel_id, request_id) = (message.channel_id, message.request_id);
        let connection = &self.connections[at];
        if !connection.work_selection {
            io.acts.push(PoolAct::Complain("SetCustomMiningJob without work selection".into()));
            return;
        }
        if self.mood.custom_silent {
            io.tally.fault(FaultKind::CustomSilent);
            return;
        }
        if !connection.channels.contains_key(&channel_id) {
            if connection.left.contains(&channel_id) || !connection.was_opened(channel_id) {
                io.acts.push(PoolAct::Complain(format!("a custom job for channel {channel_id}")));
            }
            // It crossed our CloseChannel.
            return;
        }
        let refusal = self.refuses_custom(message, io);
        let connection = &mut self.connections[at];
        if let Some(code) = refusal {
            let error = mining::SetCustomMiningJobError { channel_id, request_id, error_code: text(code) };
            say(&mut connection.out, &error, Message::CustomError, io.tally);
            return;
        }
        if self.mood.prefix_first && io.rng.chance(0.5) {
            io.tally.fault(FaultKind::PrefixFirst);
            self.change_prefix(at, channel_id, io);
        }
        if self.mood.target_first {
            io.tally.fault(FaultKind::TargetFirst);
            let factor = *io.rng.pick(&[0.3, 2.0, 4.0]);
            self.set_target(at, channel_id, factor, io);
        }
        let tip = self.tip;
        let twice = self.jds.mood.twice;
        let connection = &mut self.connections[at];
        connection.next_job += 1;
        let job_id = connection.next_job;
        let Some(channel) = connection.channels.get_mut(&channel_id) else { return };
        let extranonce = channel.prefix.len() + usize::from(channel.extranonce_size);
        let body = Rc::new(body_of(message, extranonce));
        channel.activate(job_id, body, channel.prefix.clone(), (tip, message.min_ntime));
        let success = mining::SetCustomMiningJobSuccess { channel_id, request_id, job_id };
        say(&mut connection.out, &success, Message::CustomSuccess, io.tally);
        if twice {
            io.tally.fault(FaultKind::JdsTwice);
            say(&mut connection.out, &success, Message::CustomSuccess, io.tally);
        }
        self.strike_at(FaultKind::TipAtAcknowledged, io);
    }

    /// The error code that a custom job deserves, or gets without.
    fn refuses_custom(
        &mut self,
        message: &mining::SetCustomMiningJob<'_>,
        io: &mut PoolIo<'_>,
    ) -> Option<&'static str> {
        let mut complain =
            |text: String| io.acts.push(PoolAct::Complain(format!("SetCustomMiningJob: {text}")));
        let token = message.mining_job_token.as_slice();
        if let Some(declared) = self.jds.declared.get_mut(token) {
            declared.used += 1;
            if declared.used > 1 {
                complain("its token was used before".into());
                return Some("invalid-mining-job-token");
            }
            let mut ids = vec![Txid::all_zeros()];
            ids.extend(declared.txids.iter().map(|id| Txid::from_byte_array(*id)));
            let root = merkle_tree::calculate_root(ids.into_iter()).map(|root| root.to_byte_array());
            let folded = fold([0; 32], message.merkle_path.iter());
            if root != Some(folded) || message.version != declared.version {
                complain("its transactions are not those that were declared".into());
            }
            let coinbase = &declared.coinbase;
            let outputs = bitcoin::consensus::serialize(&coinbase.output);
            let script = coinbase.input[0].script_sig.as_bytes();
            if message.coinbase_tx_outputs.as_slice() != outputs
                || !script.starts_with(message.coinbase_prefix.as_slice())
                || message.coinbase_tx_version != coinbase.version.0.cast_unsigned()
                || message.coinbase_tx_locktime != coinbase.lock_time.to_consensus_u32()
                || message.coinbase_tx_input_n_sequence != coinbase.input[0].sequence.0
            {
                complain("its coinbase is not the one that was declared".into());
            }
        } else {
            let outputs = message.coinbase_tx_outputs.as_slice();
            match bitcoin::consensus::deserialize::<Vec<bitcoin::TxOut>>(outputs) {
                Ok(outputs) => {
                    if let Err(code) = self.jds.spend(token, &outputs, io) {
                        return Some(code);
                    }
                }
                Err(error) => complain(format!("its outputs are none: {error}")),
            }
        }
        if message.nbits != NETWORK_BITS {
            io.acts.push(PoolAct::Complain("a custom job for another network".into()));
        }
        if self.mood.custom_refused {
            io.tally.fault(FaultKind::CustomRefused);
            return Some(io.rng.pick::<&str>(&[
                "invalid-job-param-value-coinbase_tx_outputs",
                "jd-not-supported",
                "\u{7}",
            ]));
        }
        if self.mood.custom_stale {
            io.tally.fault(FaultKind::CustomStale);
            return Some("stale-chain-tip");
        }
        (message.prev_hash != self.tip.hash).then_some("stale-chain-tip")
    }

    /// The network finds a block at this step, if that is the fault that is on.
    pub(super) fn strike_at(&mut self, step: FaultKind, io: &mut PoolIo<'_>) {
        if self.mood.tip_at == Some(step) {
            self.mood.tip_at = None;
            io.acts.push(PoolAct::TipNow(step));
        }
    }
}

/// A merkle path from its deepest step to the root.
fn fold(first: [u8; 32], path: impl Iterator<Item = [u8; 32]>) -> [u8; 32] {
    path.fold(first, |node, step| {
        let mut pair = [0; 64];
        pair[..32].copy_from_slice(&node);
        pair[32..].copy_from_slice(&step);
        bitcoin::hashes::sha256d::Hash::hash(&pair).to_byte_array()
    })
}

/// The coinbase that the message describes, around `extranonce` bytes.
fn body_of(message: &mining::SetCustomMiningJob<'_>, extranonce: usize) -> Body {
    let head = message.coinbase_prefix.as_slice();
    let mut prefix = Vec::with_capacity(64);
    prefix.extend_from_slice(&message.coinbase_tx_version.to_le_bytes());
    prefix.push(1);
    prefix.extend_from_slice(&[0; 32]);
    prefix.extend_from_slice(&[0xff; 4]);
    prefix.push(u8::try_from(head.len() + extranonce).unwrap_or(u8::MAX));
    prefix.extend_from_slice(head);
    let mut suffix = message.coinbase_tx_input_n_sequence.to_le_bytes().to_vec();
    suffix.extend_from_slice(message.coinbase_tx_outputs.as_slice());
    suffix.extend_from_slice(&message.coinbase_tx_locktime.to_le_bytes());
    Body { version: message.version, merkle_path: message.merkle_path.iter().collect(), prefix, suffix }
}
