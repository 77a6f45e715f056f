//! The side of the Adit that comes.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Word, message};
use crate::service::Ports;

/// The ports have to come within this.
const PORTS_WITHIN: Duration = Duration::from_secs(10);
/// The longest that the end of the one before is waited for: the longest `shutdown_grace`, and a minute.
const END_WITHIN: Duration = Duration::from_secs(11 * 60);

/// Why nothing can be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandoverError {
    /// The system's, or what it sent makes no sense.
    #[error(
        "cannot take over from the Adit at {}: {error}; it goes on as before. Without --take-over this one starts by itself, \
         once that one has ended",
        path.display()
    )]
    Failed {
        /// Its socket.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
}

/// The Adit that runs.
#[derive(Debug)]
pub(crate) struct Predecessor {
    path: PathBuf,
    link: UnixStream,
    version: String,
}

impl Predecessor {
    /// Looks for it and takes its ports; nothing if nobody is there.
    ///
    /// # Errors
    /// Somebody is there, but nothing comes of it.
    pub(crate) fn find(path: &Path) -> Result<Option<(Self, Ports)>, HandoverError> {
        let failed = |error| HandoverError::Failed { path: path.to_owned(), error };
        let link = match UnixStream::connect(path) {
            Ok(link) => link,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        link.set_read_timeout(Some(PORTS_WITHIN)).map_err(failed)?;
        let (version, given) = message::receive(&link).map_err(failed)?;
        let mut ports = Ports::default();
        for (name, port) in given {
            ports.add(&name, port);
        }
        Ok(Some((Self { path: path.to_owned(), link, version }, ports)))
    }

    /// Its version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Says a word.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn say(&mut self, word: Word) -> Result<(), HandoverError> {
        let said = self.link.write_all(format!("{}\n", word.text()).as_bytes());
        said.map_err(|error| HandoverError::Failed { path: self.path.clone(), error })
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn ended(self) -> Result<(), HandoverError> {
        let Self { path, mut link, .. } = self;
        let waited = tokio::task::spawn_blocking(move || {
            link.set_read_timeout(Some(END_WITHIN))?;
            // It says nothing more. A reset is an end, too.
            match link.read(&mut [0; 16]) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    Err(io::Error::new(io::ErrorKind::TimedOut, "it does not end"))
                }
                _ => Ok(()),
            }
        });
        let waited = waited.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        waited.map_err(|error| HandoverError::Failed { path, error })
    }
}
