//! What the connection to a declarator server tells.

use std::sync::Arc;

use bytes::BytesMut;
use work::Header;
use work::coinbase::Output;

use crate::source::event::DownReason;

/// What it tells whoever declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JdsEvent {
    /// The outputs that the pool wants in coinbases from now on: its payout first. Templates made for others leave too
    /// little room, or pay the wrong one.
    Outputs(Arc<[Output]>),
    /// There is a token where there was none.
    Token,
    /// The server took a declaration; this token names it to the pool.
    Declared {
        /// Which.
        number: u64,
        /// For `SetCustomMiningJob`.
        token: Vec<u8>,
    },
    /// The server did not take a declaration.
    NotDeclared {
        /// Which.
        number: u64,
        /// Why.
        why: DeclareFailure,
    },
    /// The connection is gone, and all tokens with it; it is made again by itself.
    Down(DownReason),
}

/// Why a declaration came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclareFailure {
    /// The server's word.
    #[error("the declarator server refuses the job: {code} {details}")]
    Refused {
        /// Its code.
        code: String,
        /// What it added, printable.
        details: String,
    },
    /// No answer in time.
    #[error("the declarator server did not answer DeclareMiningJob in time")]
    Silent,
    /// The connection ended first.
    #[error("the connection to the declarator server ended before its answer")]
    Lost,
}

impl DeclareFailure {
    /// The tip moved under the declaration: to be tried again with a newer template, and no reason to leave the pool.
    #[must_use]
    pub fn is_stale_tip(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "stale-chain-tip")
    }
}

/// A block, for `PushSolution` (6.4.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedSolution {
    /// The header.
    pub header: Header,
    /// The whole extranonce, prefix included.
    pub extranonce: Vec<u8>,
}

/// What comes out of the state machine; the caller empties it after each call.
#[derive(Debug, Default)]
pub struct JdsEffects {
    /// Whole plaintext frames to encrypt and send, in order.
    pub frames: BytesMut,
    /// For whoever declares.
    pub events: Vec<JdsEvent>,
    /// The connection must end (after `frames` went out).
    pub hang_up: bool,
    /// Connect here instead, next time (section 3.6.5): host and port, empty and 0 meaning the same as now.
    pub reconnect_to: Option<(String, u16)>,
}
