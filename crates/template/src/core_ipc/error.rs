//! What can go wrong between Adit and Core's IPC socket.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use work::TemplateError;

/// Why the node's IPC interface gives no templates.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// No socket, or nobody behind it.
    #[error(
        "cannot connect to {}: {error}; the node must run as `bitcoin-node` (or `bitcoin -m node`) with -ipcbind=unix, and its \
         socket must be readable by this user",
        path.display()
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A call failed, or the connection ended.
    #[error("{call}: {error}")]
    Call {
        /// Which.
        call: &'static str,
        /// Cap'n Proto's or Core's reason.
        error: capnp::Error,
    },
    /// No answer.
    #[error("{call}: no answer within {waited:?}")]
    Silent {
        /// Which.
        call: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// What was to be in an answer is not.
    #[error("{call} gave {got} instead of {expected}")]
    Answer {
        /// Which call.
        call: &'static str,
        /// What came.
        got: String,
        /// What should have.
        expected: &'static str,
    },
    /// The interface is numbered otherwise than thought.
    #[error(
        "the node does not speak the interface of Core {schema}: {found}. With a crossed interface a found block would be \
         lost, so no work is taken from it; name its version in the configuration, or use RPC"
    )]
    Schema {
        /// The one that was tried.
        schema: &'static str,
        /// What did not agree.
        found: String,
    },
    /// None of the known numberings fits.
    #[error("the node speaks none of the interfaces that Adit knows (Core 30, 31, 31.99, 32): {0}")]
    NoSchema(String),
    /// The template itself.
    #[error("the node's template cannot be used: {0}")]
    Template(#[from] TemplateError),
}

/// Says which call an error of Cap'n Proto belongs to.
pub(super) fn during(call: &'static str) -> impl FnOnce(capnp::Error) -> IpcError {
    move |error| IpcError::Call { call, error }
}
