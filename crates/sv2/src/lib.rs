//! Stratum V2 (SV2) data types, frames and every message of the common, mining, job declaration and
//! template distribution protocols, and of extensions 0x0001 (extensions negotiation) and 0x0002
//! (worker-specific hashrate tracking), as the specification of 2026-08 has them.
//!
//! * Reading borrows: a decoded message points into the payload it came from. Nothing is allocated,
//!   and no length that a peer declares is trusted before the bytes are there.
//! * Writing appends a whole frame to a [`bytes::BytesMut`] in one pass: [`write_frame`].
//! * Every message is declared once, in a table that reads like the specification's: see
//!   [`common`], [`mining`], [`job_declaration`], [`template_distribution`] and [`extensions`].
//! * Errors name the message and the field: [`DecodeError`].
//!
//! The crate knows nothing of sockets, encryption, clocks or negotiation: whoever holds a
//! connection decides which protocol's messages, which frame sizes and which extensions it takes.
//!
//! # What is strict and what is lenient
//! `decode` (of a message or of a protocol's enum) is strict: the `channel_msg` bit has to be the
//! specification's and no byte may be left over. `decode_lenient` is the **one place** that forgives
//! what real peers do, and lets the caller count it:
//! * a wrong `channel_msg` bit. The reference implementation's releases before mid-2026 sent
//!   `NewMiningJob` and the three `SetCustomMiningJob` messages without the bit and `PushSolution`
//!   with it (so did the specification until 2026-05), and to this day it ignores the bit when
//!   it reads. Found out by comparing `header.channel_msg` with `message.channel_msg()`.
//! * TLV fields of extensions that were not negotiated, which a receiver has to ignore (extension
//!   0x0002, section 1.3). Found out by [`Tlvs::unexpected`].
//!
//! Bytes at the end that are no TLV fields are refused by both.
//!
//! # Example
//! ```
//! use bytes::BytesMut;
//! use sv2::{B032, FrameHeader, MiningMessage, mining::SubmitSharesExtended};
//!
//! let extranonce = [0, 1, 2, 3];
//! let share = SubmitSharesExtended {
//!     channel_id: 1,
//!     sequence_number: 42,
//!     job_id: 7,
//!     nonce: 0x1234_5678,
//!     ntime: 1_790_000_000,
//!     version: 0x2000_0000,
//!     extranonce: B032::new(&extranonce)?,
//! };
//! let mut out = BytesMut::new();
//! sv2::write_frame(&share, &mut out);
//!
//! let (header, payload, _) = FrameHeader::split(&out).expect("a whole frame");
//! match MiningMessage::decode(&header, payload)? {
//!     MiningMessage::SubmitSharesExtended(read) => assert_eq!(read.extranonce.as_slice(), extranonce),
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// First, so that the messages' modules below it can use its macros.
#[macro_use]
mod message_table;

mod any;
pub mod common;
pub mod data_types;
mod error;
pub mod error_code;
pub mod extensions;
mod frame;
pub mod job_declaration;
mod message;
pub mod mining;
pub mod template_distribution;
pub mod tlv;

pub use any::AnyMessage;
pub use common::CommonMessage;
pub use data_types::{
    B016M, B032, B064K, B0255, DataType, LengthError, Mac, PubKey, Seq064K, Seq0255, SeqIter, Signature,
    Str0255, U24, U256,
};
pub use error::{DecodeError, FieldError};
pub use extensions::{ExtensionsMessage, UserIdentity, write_share_with_worker};
pub use frame::FrameHeader;
pub use job_declaration::JobDeclarationMessage;
pub use message::{Message, write_frame, write_frame_with_tlvs};
pub use mining::MiningMessage;
pub use template_distribution::TemplateDistributionMessage;
pub use tlv::{Tlv, TlvByteOrder, TlvError, Tlvs};
