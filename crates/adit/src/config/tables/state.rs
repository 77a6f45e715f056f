//! `[state]`

use std::path::{Path, PathBuf};

use crate::config::kind::{FilePath, Flag, Maybe};
use crate::config::table::table;

/// Where state is kept when nothing says where, not even `HOME`.
const LAST_RESORT: &str = "/var/lib/adit";

table! {
    /// What Adit keeps between its runs.
    pub struct State {
        /// Directory of what must outlive a restart: the number that tells this Adit from others that mine on the
        /// same node, the blocks that were found, and the page's charts. `[solo.NAME]`, `[declared.NAME]` and
        /// `work_max` need it; so does `[ledger]`.
        directory: Option<PathBuf> = Maybe(FilePath("/var/lib/adit")), default None,
            says "not set: `$STATE_DIRECTORY` (a service's), else `$XDG_STATE_HOME/adit`, else `$HOME/.local/state/adit`, else `/var/lib/adit`";
        /// Keep the page's charts of the last 31 days there, in one file of 7 MB; without it they end with each run.
        history: bool = Flag, default true;
        /// A socket where a new Adit takes over from this one (`adit run --take-over`), so that no connection is refused.
        /// Only Adit's own user can use it.
        handover_socket: Option<PathBuf> = Maybe(FilePath("/run/adit/handover")), default None,
            says "not set: no other Adit can take over";
    }
}

impl Default for State {
    fn default() -> Self {
        Self { directory: None, history: true, handover_socket: None }
    }
}

/// The directory that holds: the configured one, or what the variables of the environment say. Service managers may
/// give several in `STATE_DIRECTORY`, with colons between them: the first is taken.
#[must_use]
pub fn state_directory(state: &State, env: impl Iterator<Item = (String, String)>) -> PathBuf {
    if let Some(directory) = &state.directory {
        return directory.clone();
    }
    let (mut of_service, mut of_user, mut of_home) = (None, None, None);
    for (name, value) in env {
        match name.as_str() {
            "STATE_DIRECTORY" => {
                of_service = value.split(':').find(|path| !path.is_empty()).map(PathBuf::from)
            }
            // The base directory specification: a relative path there counts as not set.
            "XDG_STATE_HOME" if Path::new(&value).is_absolute() => {
                of_user = Some(Path::new(&value).join("adit"))
            }
            "HOME" if !value.is_empty() => of_home = Some(Path::new(&value).join(".local/state/adit")),
            _ => {}
        }
    }
    of_service.or(of_user).or(of_home).unwrap_or_else(|| PathBuf::from(LAST_RESORT))
}
