//! `[nats]`, in the words of those who do it.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Config, Nats, WINDOW_MARGIN, WhenFull, environment};
use crate::ledger::ledger_directory;

/// What the kernel calls this machine.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";
/// A name is cut off after this.
const NAME_MAX: usize = 64;

/// Where and how the ledger is published.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NatsSettings {
    pub(super) servers: Vec<String>,
    pub(super) login: Login,
    pub(super) ca_file: Option<PathBuf>,
    /// What Adit proves itself with: certificates, and the private key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    /// What this Adit is called.
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) stream: StreamSettings,
    pub(super) sums: bool,
    pub(super) evidence: bool,
    pub(super) spool_age: Duration,
    pub(super) spool_max: u64,
}

/// How Adit logs in. Not shown.
#[derive(Clone, PartialEq)]
pub(super) enum Login {
    Nobody,
    User(String, String),
    Token(String),
    Credentials(PathBuf),
    NKey(PathBuf),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// What is made where there is no stream of that name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StreamSettings {
    pub(super) name: String,
    pub(super) replicas: usize,
    pub(super) age: Option<Duration>,
    pub(super) max_bytes: Option<u64>,
    pub(super) wait_when_full: bool,
}

impl NatsSettings {
    /// As the configuration has it; nothing where nothing is published.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let nats = &config.nats;
        nats.enabled().then(|| Self {
            servers: nats.servers.clone(),
            login: login(nats),
            ca_file: nats.ca_file.clone(),
            identity: nats.certificate_file.clone().zip(nats.private_key_file.clone()),
            name: nats
                .name
                .clone()
                .unwrap_or_else(|| subject_word(&std::fs::read_to_string(HOSTNAME).unwrap_or_default())),
            subject: nats.subject.clone(),
            stream: StreamSettings {
                name: nats.stream.clone(),
                replicas: nats.replicas as usize,
                age: nats.stream_age,
                max_bytes: nats.stream_max.map(|bytes| bytes as u64),
                wait_when_full: nats.when_full == WhenFull::Wait,
            },
            sums: nats.sums,
            evidence: nats.evidence,
            spool_age: nats.spool_age,
            spool_max: nats.spool_max as u64,
        })
    }

    /// Whether there is something to publish.
    ///
    /// # Errors
    /// No ledger is kept.
    pub(crate) fn check(config: &Config) -> Result<(), String> {
        if config.nats.enabled() && ledger_directory(config, environment()).is_none() {
            return Err(
                "nats.servers publishes the ledger, and none is kept: set directory in [state] or in [ledger]"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The same, and whether the files that it names can be used.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check_all(config: &Config) -> Result<(), String> {
        Self::check(config)?;
        match Self::of(config) {
            Some(settings) => super::broker::check_files(&settings).map_err(|trouble| trouble.to_string()),
            None => Ok(()),
        }
    }

    /// Connects, looks at the stream, makes none, and leaves: which server it is and what is there, or what is wrong. In front
    /// of it stands the configuration's name for it.
    pub(crate) async fn probe(&self) -> Result<String, String> {
        let found = super::broker::probe(self).await.map_err(|trouble| format!("nats  {trouble}"))?;
        Ok(format!("nats  {found}"))
    }

    /// A record may be sent again until it is `spool_age` old. A clock that is set back by as much does not let it be sent
    /// again after the window.
    pub(super) fn window(&self) -> Duration {
        self.spool_age * 2
    }

    /// A window that is shorter does not do.
    pub(super) fn window_min(&self) -> Duration {
        (self.spool_age + WINDOW_MARGIN).min(self.window())
    }

    /// Everything that is published goes to one of these.
    pub(super) fn subject_of(&self, kind: Subject) -> String {
        format!("{}.{}.{}", self.subject, kind.word(), self.name)
    }
}

/// What a subject's messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Sums,
    Evidence,
    Gaps,
}

impl Subject {
    pub(super) const ALL: [Self; 3] = [Self::Sums, Self::Evidence, Self::Gaps];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Sums => "sums",
            Self::Evidence => "evidence",
            Self::Gaps => "gaps",
        }
    }
}

fn login(nats: &Nats) -> Login {
    if let (Some(user), Some(password)) = (&nats.user, &nats.password) {
        return Login::User(user.clone(), password.reveal().to_owned());
    }
    if let Some(token) = &nats.token {
        return Login::Token(token.reveal().to_owned());
    }
    let nkey = || nats.nkey_file.clone().map_or(Login::Nobody, Login::NKey);
    nats.credentials_file.clone().map_or_else(nkey, Login::Credentials)
}

/// A machine's name as a word of a subject.
fn subject_word(name: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    let word: String = name.trim().chars().map(good).take(NAME_MAX).collect();
    if word.is_empty() { "adit".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_name_becomes_a_word_of_a_subject() {
        assert_eq!(subject_word("hall-2.farm.example\n"), "hall-2-farm-example");
        assert_eq!(subject_word("\n"), "adit");
        assert_eq!(subject_word(&"ä*>".repeat(40)).len(), NAME_MAX);
    }
}
