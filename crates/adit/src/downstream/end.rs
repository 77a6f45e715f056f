//! Why a connection has ended.

use std::io;

use engine::miner::CloseReason;

/// See the module.
pub(super) enum End {
    /// Whoever is below left.
    Left,
    /// Adit closes it.
    Close(CloseReason),
}

impl From<CloseReason> for End {
    fn from(why: CloseReason) -> Self {
        Self::Close(why)
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}
