//! What can go wrong between Adit and a template provider.

use std::time::Duration;

use link::LinkError;
use sv2::DecodeError;
use work::TemplateError;

/// Why a template provider gives no templates.
#[derive(Debug, thiserror::Error)]
pub enum TpError {
    /// No address, or nobody there.
    #[error("cannot connect to {address}: {why}")]
    Connect {
        /// Host and port.
        address: String,
        /// The reason.
        why: String,
    },
    /// No Noise session.
    #[error("no encrypted link to {address}: {why}")]
    Handshake {
        /// Host and port.
        address: String,
        /// The reason.
        why: String,
    },
    /// Nobody vouches for the server.
    #[error(
        "{address} is not asked for templates: its URL has no authority key, so anybody could give them; add the key, or \
         say that it may be insecure"
    )]
    NotAuthenticated {
        /// Host and port.
        address: String,
    },
    /// The link has ended.
    #[error("the link to the template provider has ended: {0}")]
    Link(#[from] LinkError),
    /// The server takes nothing.
    #[error("the template provider has not taken what was sent to it for {0:?}")]
    Deaf(Duration),
    /// `SetupConnection.Error`
    #[error("the template provider refuses the connection: {0}")]
    Refused(String),
    /// It wants us elsewhere.
    #[error(
        "the template provider sends us to another address ({host}, port {port}; empty and 0 mean the present ones)"
    )]
    Moved {
        /// Where to, empty: the present host.
        host: String,
        /// Where to, 0: the present port.
        port: u16,
    },
    /// No answer.
    #[error("the template provider gave no {step} within {waited:?}")]
    Silent {
        /// What was waited for.
        step: &'static str,
        /// How long.
        waited: Duration,
    },
    /// A message that cannot be read.
    #[error("a message of the template provider cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// A message that is not allowed here, or says what cannot be.
    #[error("{message} of the template provider: {found}")]
    Protocol {
        /// The message.
        message: &'static str,
        /// What is wrong with it.
        found: String,
    },
    /// The template itself.
    #[error("the template provider's template cannot be used: {0}")]
    Template(#[from] TemplateError),
}

/// A message that says what cannot be.
pub(super) fn protocol(message: &'static str, found: impl Into<String>) -> TpError {
    TpError::Protocol { message, found: found.into() }
}
