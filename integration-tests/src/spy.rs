//! A middleman who changes nothing and keeps every frame that goes up: shows what reaches the pool where the pool
//! itself does not say.

use std::sync::{Arc, Mutex, PoisonError};

use crate::middleman::{self, Middleman, Offer, Way};

/// `SubmitSharesExtended`.
const SUBMIT_SHARES_EXTENDED: u8 = 0x1b;
/// Bytes of `SubmitSharesExtended` before its extranonce: six U32.
const BEFORE_EXTRANONCE: usize = 24;

/// A frame as it went up.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its message type.
    pub message: u8,
    /// Its payload with its TLVs.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The worker name (extension 0x0002, field 0x01) behind a `SubmitSharesExtended`, laid out as `pool_sv2`
    /// reads it: type U16, field U8, length U16, all little-endian.
    #[must_use]
    pub fn worker_name(&self) -> Option<String> {
        if self.message != SUBMIT_SHARES_EXTENDED {
            return None;
        }
        let extranonce = usize::from(*self.payload.get(BEFORE_EXTRANONCE)?);
        let tlv = self.payload.get(BEFORE_EXTRANONCE + 1 + extranonce..)?;
        let (head, name) = tlv.split_at_checked(5)?;
        let length = usize::from(u16::from_le_bytes([head[3], head[4]]));
        (head[..3] == [2, 0, 1] && name.len() == length).then(|| String::from_utf8_lossy(name).into_owned())
    }

    /// It is a `SubmitSharesExtended`.
    #[must_use]
    pub fn is_share(&self) -> bool {
        self.message == SUBMIT_SHARES_EXTENDED
    }
}

/// A spy in front of a pool. It has an authority key of its own, for the proxy to be told.
#[derive(Debug)]
pub struct Spy {
    middleman: Middleman,
    upward: Arc<Mutex<Vec<Frame>>>,
}

impl Spy {
    /// Starts a spy in front of the pool on `port` that has the authority key `key`.
    ///
    /// # Panics
    /// When no port can be had, or `key` is none.
    #[must_use]
    pub fn start(port: u16, key: &str) -> Self {
        let upward = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&upward);
        let keep = move |way: Way, frame: middleman::Frame| {
            if way == Way::Up {
                let kept = Frame { message: frame.header[2], payload: frame.payload.clone() };
                record.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
            }
            vec![frame]
        };
        let url = format!("stratum2+tcp://127.0.0.1:{port}/{key}");
        Self { middleman: Middleman::start(&url, Offer::default(), Box::new(keep)), upward }
    }

    /// How Adit is told to reach the pool by way of the spy.
    #[must_use]
    pub fn url(&self) -> String {
        self.middleman.url()
    }

    /// Every frame that went up so far.
    #[must_use]
    pub fn upward(&self) -> Vec<Frame> {
        self.upward.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
