//! Where a ledger is: a directory that one Adit writes to at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::{Directory, Storage};

use crate::config::{Config, state_directory};
use crate::state::LEDGER;

/// Held by the Adit that writes it.
const LOCK: &str = "lock";

/// Where a configuration has its ledger; nothing where it keeps none.
#[must_use]
pub fn ledger_directory(config: &Config, env: impl Iterator<Item = (String, String)>) -> Option<PathBuf> {
    let env: Vec<_> = env.collect();
    let of_service = env.iter().any(|(name, value)| name == "STATE_DIRECTORY" && !value.is_empty());
    let usual = config.state.directory.is_some() || config.ledger.directory.is_some() || of_service;
    config.ledger.enabled.unwrap_or(usual).then(|| match &config.ledger.directory {
        Some(directory) => directory.clone(),
        None => state_directory(&config.state, env.into_iter()).join(LEDGER),
    })
}

/// Why a ledger cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The system does not let us.
    #[error(
        "cannot write the ledger in {}: {error}; check that Adit's user may write there, or set directory in [ledger]",
        path.display()
    )]
    Directory {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another Adit has it.
    #[error(
        "the ledger in {} is written by another Adit: give each a place of its own (directory in [ledger])",
        path.display()
    )]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ledger::LedgerError),
}

/// A directory that no other Adit writes to meanwhile.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) storage: Arc<dyn Storage + Sync>,
    /// The system gives it back when it is closed, however the process ends.
    _lock: File,
}

impl Place {
    pub(super) fn take(path: &Path) -> Result<Self, PlaceError> {
        let failed = |error| PlaceError::Directory { path: path.to_owned(), error };
        let directory = Directory::make(path).map_err(failed)?;
        let mut lock = OpenOptions::new();
        let lock = lock.write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { storage: Arc::new(directory), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PlaceError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(extra: &str, env: &[(&str, &str)]) -> Option<PathBuf> {
        let text = format!(
            "version = 1\n{extra}\n[listener.l]\n[source.s]\nurl = \"stratum2+tcp://pool.example:3333\"\ninsecure = true\nuser_identity = \"u\"\n[route.r]\nlisteners = [\"l\"]\nsources = [\"s\"]\n"
        );
        let config = Config::from_str_named("test", &text).unwrap().config;
        ledger_directory(&config, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn it_is_kept_where_state_has_a_place() {
        assert_eq!(directory("", &[("HOME", "/home/a")]), None);
        assert_eq!(directory("", &[("STATE_DIRECTORY", "/s")]), Some("/s/ledger".into()));
        assert_eq!(directory("[state]\ndirectory = \"/st\"", &[]), Some("/st/ledger".into()));
        assert_eq!(directory("[ledger]\ndirectory = \"/led\"", &[]), Some("/led".into()));
        assert_eq!(directory("[ledger]\nenabled = false", &[("STATE_DIRECTORY", "/s")]), None);
        let of_home = Some("/home/a/.local/state/adit/ledger".into());
        assert_eq!(directory("[ledger]\nenabled = true", &[("HOME", "/home/a")]), of_home);
    }

    #[test]
    fn it_serves_one_adit_at_a_time() {
        let path = std::env::temp_dir().join(format!("adit-ledger-lock-{}", std::process::id()));
        let first = Place::take(&path).unwrap();
        let error = Place::take(&path).unwrap_err();
        assert!(matches!(error, PlaceError::InUse { .. }), "{error}");
        drop(first);
        assert!(Place::take(&path).is_ok());
        let _ = std::fs::remove_dir_all(&path);
    }
}
