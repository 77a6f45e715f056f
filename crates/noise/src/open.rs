//! Decrypting frames as they arrive (section 4.6).

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use thiserror::Error;

use crate::frame::{BLOCK_PLAINTEXT_MAX, HEADER_LEN, MAC_LEN, SEALED_HEADER_LEN, declared_payload_len};
use crate::transport::Keys;

/// Encrypted payloads up to this many bytes are decrypted inside the input buffer, by way of the stack;
/// larger ones get a buffer of their own. Shares and their answers are well below it.
const IN_PLACE_MAX: usize = 512;

/// One decrypted frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedFrame {
    /// Extension type U16, message type U8, payload length U24, all little-endian.
    pub header: [u8; HEADER_LEN],
    /// As many bytes as the header declares.
    pub payload: BytesMut,
}

/// Why a link cannot be read any further. The connection must be closed: every later call gives
/// [`OpenError::Closed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// A message was altered, repeated, left out or put in another order on its way, or was encrypted with
    /// other keys.
    #[error(
        "a message failed authentication: it was altered, repeated or lost on its way; close the \
         connection and dial again"
    )]
    NotAuthentic,
    /// The header declares more than the caller allows. Found before any of the payload is waited for.
    #[error("the peer announces a payload of {declared} bytes, the limit is {limit}")]
    TooLong {
        /// Payload bytes that the header declares.
        declared: usize,
        /// Payload bytes that the caller allows.
        limit: usize,
    },
    /// This direction has used up its 2^64 - 1 nonces.
    #[error("the link's nonces are used up: close the connection and dial again")]
    NonceExhausted,
    /// An earlier call failed.
    #[error("this link failed before and must be closed")]
    Closed,
}

enum State {
    /// The next bytes are an encrypted header.
    Header,
    /// A header was decrypted; `opened` holds the payload's blocks so far, `remaining` plaintext bytes
    /// are to come.
    Payload {
        header: [u8; HEADER_LEN],
        opened: BytesMut,
        remaining: usize,
    },
    Closed,
}

/// The decrypting half of a link. It holds no buffer of its own while it waits for a frame of one block;
/// for a longer one it holds the blocks that have arrived, never room for those that have not.
pub struct Opener {
    keys: Arc<Keys>,
    /// The next nonce. `u64::MAX` is reserved by Noise and means that none is left.
    nonce: u64,
    state: State,
}

impl Opener {
    pub(crate) fn new(keys: Arc<Keys>) -> Self {
        Self {
            keys,
            nonce: 0,
            state: State::Header,
        }
    }

    /// Takes the next frame out of `input`, which holds whatever ciphertext has arrived, in pieces of any
    /// size; `None` when more must arrive first. Encrypted headers, and whole blocks of long payloads, are
    /// taken out of `input` as soon as they are there. `max_payload` is the most payload bytes that a frame
    /// may declare.
    ///
    /// A payload of up to some hundred bytes is decrypted in place and split off `input` without a copy:
    /// drop or copy it soon if `input` is to be reused without an allocation.
    ///
    /// # Errors
    /// [`OpenError`]; the connection must then be closed.
    pub fn open(
        &mut self,
        input: &mut BytesMut,
        max_payload: usize,
    ) -> Result<Option<OpenedFrame>, OpenError> {
        let opened = self.step(input, max_payload);
        if opened.is_err() {
            self.state = State::Closed;
        }
        opened
    }

    /// How many more bytes must arrive before [`Opener::open`] can do something, given that `buffered`
    /// bytes of `input` are there: at most one block, whatever a peer declares. 0 after a failure.
    #[must_use]
    pub fn missing(&self, buffered: usize) -> usize {
        let wanted = match &self.state {
            State::Header => SEALED_HEADER_LEN,
            State::Payload { remaining, .. } => (*remaining).min(BLOCK_PLAINTEXT_MAX) + MAC_LEN,
            State::Closed => 0,
        };
        wanted.saturating_sub(buffered)
    }

    fn step(&mut self, input: &mut BytesMut, max_payload: usize) -> Result<Option<OpenedFrame>, OpenError> {
        if matches!(self.state, State::Header) {
            let Some(header) = self.open_header(input)? else {
                return Ok(None);
            };
            let declared = declared_payload_len(&header);
            if declared > max_payload {
                return Err(OpenError::TooLong {
                    declared,
                    limit: max_payload,
                });
            }
            self.state = State::Payload {
                header,
                opened: BytesMut::new(),
                remaining: declared,
            };
        }
        let State::Payload {
            header,
            mut opened,
            mut remaining,
        } = std::mem::replace(&mut self.state, State::Header)
        else {
            return Err(OpenError::Closed);
        };
        while remaining > 0 {
            let plain_len = remaining.min(BLOCK_PLAINTEXT_MAX);
            let sealed_len = plain_len + MAC_LEN;
            if input.len() < sealed_len {
                self.state = State::Payload {
                    header,
                    opened,
                    remaining,
                };
                return Ok(None);
            }
            if sealed_len <= IN_PLACE_MAX && opened.is_empty() {
                opened = self.open_in_place(input, sealed_len)?;
            } else {
                let start = opened.len();
                opened.resize(start + sealed_len, 0);
                self.decrypt(&input[..sealed_len], &mut opened[start..])?;
                opened.truncate(start + plain_len);
                input.advance(sealed_len);
            }
            remaining -= plain_len;
        }
        Ok(Some(OpenedFrame {
            header,
            payload: opened,
        }))
    }

    fn open_header(&mut self, input: &mut BytesMut) -> Result<Option<[u8; HEADER_LEN]>, OpenError> {
        let Some(sealed) = input.first_chunk::<SEALED_HEADER_LEN>() else {
            return Ok(None);
        };
        let mut plain = [0; SEALED_HEADER_LEN];
        self.decrypt(sealed, &mut plain)?;
        input.advance(SEALED_HEADER_LEN);
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&plain[..HEADER_LEN]);
        Ok(Some(header))
    }

    /// Decrypts the first `sealed_len` bytes of `input` where they stand and splits them off.
    fn open_in_place(&mut self, input: &mut BytesMut, sealed_len: usize) -> Result<BytesMut, OpenError> {
        // snow reads from one place and writes to another: the ciphertext moves to the stack.
        let mut sealed = [0; IN_PLACE_MAX];
        let sealed = &mut sealed[..sealed_len];
        sealed.copy_from_slice(&input[..sealed_len]);
        self.decrypt(sealed, &mut input[..sealed_len])?;
        let mut plain = input.split_to(sealed_len);
        plain.truncate(sealed_len - MAC_LEN);
        Ok(plain)
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) -> Result<(), OpenError> {
        if self.nonce == u64::MAX {
            return Err(OpenError::NonceExhausted);
        }
        self.keys
            .open(self.nonce, sealed, out)
            .map_err(|_| OpenError::NotAuthentic)?;
        self.nonce += 1;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn set_nonce(&mut self, nonce: u64) {
        self.nonce = nonce;
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("nonce", &self.nonce)
            .finish_non_exhaustive()
    }
}
