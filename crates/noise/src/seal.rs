//! Encrypting frames (section 4.6).

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use thiserror::Error;

use crate::frame::{
    BLOCK_PLAINTEXT_MAX, HEADER_LEN, MAC_LEN, SEALED_HEADER_LEN, declared_payload_len, sealed_payload_len,
};
use crate::transport::Keys;

/// Why frames were not encrypted. Nothing was appended to the output.
#[derive(Debug, PartialEq, Error)]
pub enum SealError {
    /// The plaintext ends inside a frame; our own caller's mistake. The sealer stays usable.
    #[error(
        "the plaintext must be whole frames: the last one declares {expected} bytes with its header, {got} \
         are there"
    )]
    PartialFrame {
        /// Bytes that the last frame should have, header included.
        expected: usize,
        /// Bytes that are there.
        got: usize,
    },
    /// The plaintext for [`Sealer::seal_frame`] was not exactly one frame. The sealer stays usable.
    #[error("expected exactly one frame of {expected} bytes, got {got} bytes")]
    NotOneFrame {
        /// Bytes that the first frame has, header included.
        expected: usize,
        /// Bytes that are there.
        got: usize,
    },
    /// This direction has used up its 2^64 - 1 nonces: the connection must be closed. No later call
    /// succeeds.
    #[error("the link's nonces are used up: close the connection and dial again")]
    NonceExhausted,
    /// snow refused to encrypt, which cannot happen; a defect of ours. No later call succeeds.
    #[error("the noise library refused to encrypt: {0}; close the connection and dial again")]
    Library(snow::Error),
}

/// The encrypting half of a link.
pub struct Sealer {
    keys: Arc<Keys>,
    /// The next nonce. `u64::MAX` is reserved by Noise and means that none is left.
    nonce: u64,
}

impl Sealer {
    pub(crate) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, nonce: 0 }
    }

    /// Encrypts one or more whole plaintext frames (6-byte header with the payload's U24 length, payload),
    /// appends the ciphertext to `out` and empties `frames`. Many frames in one call cost one reservation.
    ///
    /// # Errors
    /// [`SealError`]; then `frames` and `out` are as they were.
    pub fn seal(&mut self, frames: &mut BytesMut, out: &mut BytesMut) -> Result<(), SealError> {
        self.seal_all(frames, out)?;
        frames.clear();
        Ok(())
    }

    /// Encrypts exactly one plaintext frame, header and payload in one slice, and appends it to `out`.
    ///
    /// # Errors
    /// [`SealError`]; then `out` is as it was.
    pub fn seal_frame(&mut self, frame: &[u8], out: &mut BytesMut) -> Result<(), SealError> {
        let expected = first_frame_len(frame)?;
        if frame.len() != expected {
            return Err(SealError::NotOneFrame { expected, got: frame.len() });
        }
        self.seal_all(frame, out)
    }

    fn seal_all(&mut self, frames: &[u8], out: &mut BytesMut) -> Result<(), SealError> {
        // First everything that can be refused, so that a refusal leaves no half of anything behind.
        let (mut messages, mut sealed_len, mut rest) = (0_u64, 0, frames);
        while !rest.is_empty() {
            let frame_len = first_frame_len(rest)?;
            let payload_len = frame_len - HEADER_LEN;
            messages += 1 + payload_len.div_ceil(BLOCK_PLAINTEXT_MAX) as u64;
            sealed_len += SEALED_HEADER_LEN + sealed_payload_len(payload_len);
            rest = &rest[frame_len..];
        }
        if messages > u64::MAX - self.nonce {
            self.nonce = u64::MAX;
            return Err(SealError::NonceExhausted);
        }

        let start = out.len();
        out.resize(start + sealed_len, 0);
        let sealed = self.write(frames, &mut out[start..]);
        if sealed.is_err() {
            out.truncate(start);
            self.nonce = u64::MAX;
        }
        sealed
    }

    /// Writes the ciphertext of whole frames over `out`, which has exactly its length.
    fn write(&mut self, mut frames: &[u8], mut out: &mut [u8]) -> Result<(), SealError> {
        while !frames.is_empty() {
            let frame_len = first_frame_len(frames)?;
            let (frame, later) = frames.split_at(frame_len);
            let (header, payload) = frame.split_at(HEADER_LEN);
            for block in std::iter::once(header).chain(payload.chunks(BLOCK_PLAINTEXT_MAX)) {
                let (sealed, free) = out.split_at_mut(block.len() + MAC_LEN);
                self.keys.seal(self.nonce, block, sealed).map_err(SealError::Library)?;
                self.nonce += 1;
                out = free;
            }
            frames = later;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn set_nonce(&mut self, nonce: u64) {
        self.nonce = nonce;
    }
}

/// Length of the first frame, header included, if all of it is there.
fn first_frame_len(frames: &[u8]) -> Result<usize, SealError> {
    let header = frames
        .first_chunk::<HEADER_LEN>()
        .ok_or(SealError::PartialFrame { expected: HEADER_LEN, got: frames.len() })?;
    let expected = HEADER_LEN + declared_payload_len(header);
    if frames.len() < expected {
        return Err(SealError::PartialFrame { expected, got: frames.len() });
    }
    Ok(expected)
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::tests::link;

    const EMPTY: [u8; 6] = [0, 0, 1, 0, 0, 0];
    const ONE: [u8; 7] = [0, 0, 2, 1, 0, 0, 0xaa];

    #[test]
    fn a_batch_is_sealed_like_its_frames_one_by_one() {
        let ((mut batch, _), (mut single, _)) = (link(1).0.split(), link(1).0.split());
        let mut frames = BytesMut::from(&[&EMPTY[..], &ONE, &EMPTY].concat()[..]);
        let (mut together, mut apart) = (BytesMut::new(), BytesMut::new());
        batch.seal(&mut frames, &mut together).unwrap();
        for frame in [&EMPTY[..], &ONE, &EMPTY] {
            single.seal_frame(frame, &mut apart).unwrap();
        }
        assert_eq!(together, apart);
        assert_eq!(together.len(), 22 + 22 + 17 + 22);
        assert!(frames.is_empty());
    }

    #[test]
    fn what_is_not_whole_frames_is_refused_and_changes_nothing() {
        let (mut sealer, _) = link(1).0.split();
        let mut out = BytesMut::from(&b"before"[..]);
        for (plain, expected, got) in [(&ONE[..6], 7, 6), (&ONE[..3], 6, 3)] {
            let mut frames = BytesMut::from(&[&EMPTY[..], plain].concat()[..]);
            let kept = frames.clone();
            assert_eq!(sealer.seal(&mut frames, &mut out), Err(SealError::PartialFrame { expected, got }));
            assert_eq!(frames, kept);
        }
        let two = [&EMPTY[..], &ONE].concat();
        assert_eq!(sealer.seal_frame(&two, &mut out), Err(SealError::NotOneFrame { expected: 6, got: 13 }));
        assert_eq!(sealer.seal_frame(&[], &mut out), Err(SealError::PartialFrame { expected: 6, got: 0 }));
        assert_eq!((&out[..], sealer.nonce), (&b"before"[..], 0));
        assert_eq!(sealer.seal(&mut BytesMut::new(), &mut out), Ok(()));
        assert_eq!(out, b"before"[..]);
    }

    #[test]
    fn the_last_nonce_is_used_and_the_reserved_one_never() {
        let (mut sealer, mut opener) = {
            let (client, server) = link(1);
            (client.split().0, server.split().1)
        };
        sealer.set_nonce(u64::MAX - 2);
        opener.set_nonce(u64::MAX - 2);
        let mut wire = BytesMut::new();
        sealer.seal_frame(&ONE, &mut wire).unwrap();
        assert_eq!(opener.open(&mut wire, 1).unwrap().unwrap().payload, [0xaa][..]);
        assert_eq!(sealer.seal_frame(&EMPTY, &mut wire), Err(SealError::NonceExhausted));
        assert!(wire.is_empty());

        // What would need one nonce more than there is leaves no half frame behind, and ends the link even
        // for a frame that would still fit: the one before it was lost.
        sealer.set_nonce(u64::MAX - 1);
        assert_eq!(sealer.seal_frame(&ONE, &mut wire), Err(SealError::NonceExhausted));
        assert_eq!(sealer.seal_frame(&EMPTY, &mut wire), Err(SealError::NonceExhausted));
        assert!(wire.is_empty());
    }
}
