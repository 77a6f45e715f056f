//! Why a proxy cannot start.

use std::net::SocketAddr;

use crate::downstream::CertificateError;
use crate::state::StateError;

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error("cannot listen on {address} ({what}): {error}")]
    Bind {
        /// What for.
        what: String,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A listener's certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A thread cannot be had.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Nobody can vouch for a pool.
    #[error("{key}: {file}: {why}")]
    Authorities {
        /// The key that names the file.
        key: String,
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// There is nothing to publish.
    #[error("{0}")]
    Nats(String),
    /// The HTTP server cannot be made.
    #[error("cannot make the HTTP server: {0}")]
    Http(String),
}
