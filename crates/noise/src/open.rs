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
        Self { keys, nonce: 0, state: State::Header }
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
                return Err(OpenError::TooLong { declared, limit: max_payload });
            }
            self.state = State::Payload { header, opened: BytesMut::new(), remaining: declared };
        }
        let State::Payload { header, mut opened, mut remaining } =
            std::mem::replace(&mut self.state, State::Header)
        else {
            return Err(OpenError::Closed);
        };
        while remaining > 0 {
            let plain_len = remaining.min(BLOCK_PLAINTEXT_MAX);
            let sealed_len = plain_len + MAC_LEN;
            if input.len() < sealed_len {
                self.state = State::Payload { header, opened, remaining };
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
        Ok(Some(OpenedFrame { header, payload: opened }))
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
        self.keys.open(self.nonce, sealed, out).map_err(|_| OpenError::NotAuthentic)?;
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
        f.debug_struct("Opener").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BLOCK_CIPHERTEXT_MAX, PAYLOAD_LEN_MAX};
    use crate::seal::Sealer;
    use crate::transport::tests::link;

    fn halves() -> (Sealer, Opener) {
        let (client, server) = link(1);
        (client.split().0, server.split().1)
    }

    fn sealed(sealer: &mut Sealer, payload_len: usize) -> BytesMut {
        let len = u32::try_from(payload_len).unwrap().to_le_bytes();
        let mut frame = vec![0, 0, 1, len[0], len[1], len[2]];
        frame.resize(HEADER_LEN + payload_len, 7);
        let mut wire = BytesMut::new();
        sealer.seal_frame(&frame, &mut wire).unwrap();
        wire
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_the_payload_is_awaited() {
        let (mut sealer, mut opener) = halves();
        let mut input = sealed(&mut sealer, 1_001);
        input.truncate(SEALED_HEADER_LEN);
        assert_eq!(opener.open(&mut input, 1_000), Err(OpenError::TooLong { declared: 1_001, limit: 1_000 }));
        assert_eq!(opener.open(&mut input, PAYLOAD_LEN_MAX), Err(OpenError::Closed));
    }

    #[test]
    fn memory_follows_what_arrived_never_what_was_declared() {
        let (mut sealer, mut opener) = halves();
        let wire = sealed(&mut sealer, PAYLOAD_LEN_MAX);
        let held = |opener: &Opener| match &opener.state {
            State::Payload { opened, .. } => opened.capacity(),
            _ => 0,
        };
        let mut input = BytesMut::from(&wire[..SEALED_HEADER_LEN]);
        let mut arrived = input.len();
        assert_eq!(opener.open(&mut input, PAYLOAD_LEN_MAX), Ok(None));
        assert_eq!(held(&opener), 0);
        for part in wire[SEALED_HEADER_LEN..].chunks(50_000) {
            assert!(opener.missing(input.len()) <= BLOCK_CIPHERTEXT_MAX);
            input.extend_from_slice(part);
            arrived += part.len();
            if let Some(frame) = opener.open(&mut input, PAYLOAD_LEN_MAX).unwrap() {
                assert_eq!(frame.payload.len(), PAYLOAD_LEN_MAX);
                assert_eq!(arrived, wire.len());
            }
            assert!(input.len() < BLOCK_CIPHERTEXT_MAX);
            assert!(held(&opener) <= 2 * arrived, "{} held of {arrived}", held(&opener));
        }
        assert!(matches!(opener.state, State::Header));
    }

    #[test]
    fn missing_is_exactly_what_the_next_step_needs() {
        for payload_len in [0, 1, 500, BLOCK_PLAINTEXT_MAX, BLOCK_PLAINTEXT_MAX + 1] {
            let (mut sealer, mut opener) = halves();
            let mut wire = sealed(&mut sealer, payload_len);
            let mut input = BytesMut::new();
            loop {
                let missing = opener.missing(input.len());
                input.extend_from_slice(&wire.split_to(missing - 1));
                assert_eq!(opener.open(&mut input, PAYLOAD_LEN_MAX), Ok(None));
                input.extend_from_slice(&wire.split_to(1));
                if opener.open(&mut input, PAYLOAD_LEN_MAX).unwrap().is_some() {
                    break;
                }
            }
            assert!(wire.is_empty() && input.is_empty());
        }
    }

    #[test]
    fn after_any_failure_nothing_is_opened_any_more() {
        for at in [0, SEALED_HEADER_LEN] {
            let (mut sealer, mut opener) = halves();
            let mut bad = sealed(&mut sealer, 40);
            let mut good = sealed(&mut sealer, 40);
            bad[at] ^= 1;
            assert_eq!(opener.open(&mut bad, 40), Err(OpenError::NotAuthentic));
            assert_eq!(opener.open(&mut good, 40), Err(OpenError::Closed));
            assert_eq!(opener.missing(0), 0);
        }
    }

    #[test]
    fn the_reserved_nonce_is_never_used() {
        let (mut sealer, mut opener) = halves();
        let mut wire = sealed(&mut sealer, 1);
        opener.set_nonce(u64::MAX);
        assert_eq!(opener.open(&mut wire, 1), Err(OpenError::NonceExhausted));
        assert_eq!(opener.open(&mut wire, 1), Err(OpenError::Closed));
    }

    #[test]
    fn a_steady_stream_of_shares_reuses_one_input_buffer() {
        let (mut sealer, mut opener) = halves();
        let mut input = BytesMut::with_capacity(4_096);
        for _ in 0..5_000 {
            input.extend_from_slice(&sealed(&mut sealer, 64));
            assert_eq!(opener.open(&mut input, 64).unwrap().unwrap().payload, [7; 64][..]);
            assert!(input.is_empty() && input.capacity() <= 4_096);
        }
    }
}
