//! One declaration, from `DeclareMiningJob` to its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sv2::job_declaration::{DeclareMiningJob, ProvideMissingTransactions, ProvideMissingTransactionsSuccess};
use work::TemplateTransaction;
use work::coinbase::Coinbase;

use crate::source::event::DownReason;
use crate::source::sv2_pool::protocol;

/// How often a server may ask for transactions of one declaration.
pub const MAX_MISSING_REQUESTS: u8 = 3;
/// Transactions of a template that can be declared: `SEQ0_64K`.
const MAX_TRANSACTIONS: usize = 65_535;

/// What is declared.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The declarer's number for it.
    pub number: u64,
    /// The header's version.
    pub version: u32,
    /// The coinbase that miners hash and the pool is told.
    pub coinbase: Arc<Coinbase>,
    /// The block's other transactions in their order.
    pub transactions: Arc<[TemplateTransaction]>,
    /// From the template provider, passed on as it is.
    pub excess_data: Arc<[u8]>,
}

impl Declaration {
    /// Whether the protocol can carry it.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.transactions.len() <= MAX_TRANSACTIONS && self.excess_data.len() <= 65_535
    }

    pub(super) fn write(&self, request_id: u32, token: &[u8], frames: &mut BytesMut) {
        let (prefix, suffix) = (self.coinbase.declared_prefix(), self.coinbase.declared_suffix());
        let wtxids: Vec<[u8; 32]> = self.transactions.iter().map(|transaction| transaction.wtxid).collect();
        let (
            Ok(mining_job_token),
            Ok(coinbase_tx_prefix),
            Ok(coinbase_tx_suffix),
            Ok(wtxid_list),
            Ok(excess_data),
        ) = (
            token.try_into(),
            (&*prefix).try_into(),
            (&*suffix).try_into(),
            sv2::Seq064K::from_slice(&wtxids),
            (&*self.excess_data).try_into(),
        )
        else {
            debug_assert!(false, "a declaration that does not fit must not be declared");
            return;
        };
        let message = DeclareMiningJob {
            request_id,
            mining_job_token,
            version: self.version,
            coinbase_tx_prefix,
            coinbase_tx_suffix,
            wtxid_list,
            excess_data,
        };
        sv2::write_frame(&message, frames);
    }
}

/// A declaration that waits for its answer.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) request_id: u32,
    pub(super) declaration: Declaration,
    pub(super) deadline: Duration,
    asked: u8,
}

impl InFlight {
    pub(super) fn new(request_id: u32, declaration: Declaration, deadline: Duration) -> Self {
        Self { request_id, declaration, deadline, asked: 0 }
    }

    /// Writes the transactions that the server asks for: each once, and only those that were declared, so that an answer
    /// is never larger than the block.
    pub(super) fn provide(
        &mut self,
        request: &ProvideMissingTransactions<'_>,
        frames: &mut BytesMut,
    ) -> Result<(), DownReason> {
        self.asked += 1;
        if self.asked > MAX_MISSING_REQUESTS {
            return Err(protocol(format!("asks for transactions more than {MAX_MISSING_REQUESTS} times")));
        }
        let transactions = &self.declaration.transactions;
        let mut given = vec![false; transactions.len()];
        let mut list = Vec::new();
        for position in request.unknown_tx_position_list.iter() {
            let at = usize::from(position);
            match given.get_mut(at) {
                Some(already @ false) => *already = true,
                Some(true) => return Err(protocol(format!("asks for transaction {at} twice"))),
                None => {
                    let of = transactions.len();
                    return Err(protocol(format!("asks for transaction {at} of {of} that were declared")));
                }
            }
            let Ok(bytes) = sv2::B016M::try_from(&*transactions[at].bytes) else {
                return Err(protocol("asks for a transaction that no message can carry"));
            };
            list.push(bytes);
        }
        let Ok(transaction_list) = sv2::Seq064K::from_slice(&list) else {
            return Err(protocol("asks for more transactions than a message can carry"));
        };
        let answer = ProvideMissingTransactionsSuccess { request_id: self.request_id, transaction_list };
        sv2::write_frame(&answer, frames);
        Ok(())
    }
}
