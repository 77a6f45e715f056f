//! Stratum V1 JSON lines: what firmware sends, read liberally; what Adit sends, written strictly.
//!
//! Stratum V1 ("SV1") has no normative document. What is here follows the original description of the
//! protocol, BIP 310 (`mining.configure`), and above all the source code and the recorded lines of the
//! programs that speak it; `protocol-fixtures/sv1` holds those lines with their sources, and the tests
//! replay them.
//!
//! The crate does no IO, reads no clock and keeps no state but [`LineReader`]'s carry buffer:
//!
//! - bytes to lines: [`LineReader`];
//! - a miner's line to a typed request: [`parse_request`]; `mining.submit`, the hot path, is parsed in
//!   place and allocates nothing;
//! - replies and notifications to a miner: the `write_*` functions; `mining.notify` from pieces that are
//!   rendered once per job: [`notify`];
//! - difficulty hints in passwords: [`password`];
//! - the other side of the wire, for our own miner, the load generator and SV1 pools: [`client`].
//!
//! # Bad input
//! No line can panic, recurse deeply or make an allocation that is not bounded by the length of the line
//! itself. A line that is not understood is an error that keeps the request's `id`, so that the peer gets
//! a JSON-RPC error and stays connected ([`write_request_error`]); what to do with a peer that sends many
//! of them is the caller's decision.
//!
//! # Byte order
//! Hex text for `version`, `ntime`, `nonce`, `nbits` and masks is the number written big-endian. Hashes in
//! this crate's types are in *internal* order (as they are hashed and as SV2 carries them); SV1's word-swapped
//! `prev_hash` exists only on the wire ([`notify::render_job`], [`client::Notify`]).

pub mod client;
pub mod notify;
pub mod password;

mod configure;
mod difficulty;
mod envelope;
mod error;
mod extranonce;
mod hex;
mod id;
mod json;
mod line;
mod request;
mod submit;
mod subscribe;
mod write;

pub use configure::{
    Configure, ConfigureResult, Info, MAX_UNKNOWN_EXTENSIONS, VersionRolling, VersionRollingResult,
};
pub use difficulty::{INTEGER_DIFFICULTY_FROM, MAX_DIFFICULTY, MIN_DIFFICULTY, written_difficulty};
pub use error::{ErrorCode, RequestError, RequestErrorKind};
pub use extranonce::{Extranonce, MAX_EXTRANONCE};
pub use id::{Id, IdBuf, MAX_ID};
pub use line::{LineError, LineReader, MAX_LINE};
pub use request::{Method, Request, parse_request, parse_request_general};
pub use submit::{JobId, Submit};
pub use subscribe::Subscribe;
pub use write::{
    MAX_ECHOED_NAME, write_configure_result, write_empty_list, write_error, write_false, write_pong,
    write_request_error, write_set_difficulty, write_set_version_mask, write_show_message,
    write_subscribe_result, write_true, write_unknown_method,
};
