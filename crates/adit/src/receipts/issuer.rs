//! Receipts that are issued by themselves: for each file of terms in a directory, as each of their periods is over.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::Reader;
use receipt::{MAX_TERMS, SecretKey, SignedTerms, Subject, Terms};
use tracing::{error, info, warn};

use super::counters::counters_in;
use super::drawn::{Choice, MakeError, make, running_root};
use super::files::{read_bounded, replace};
use super::key_file::read_key;
use crate::config::{Config, environment, state_directory};
use crate::ledger::ledger_directory;
use crate::snapshot::Shown;

/// Terms are looked at this often.
const EVERY: Duration = Duration::from_secs(5);
/// A receipt is made so many seconds after its period: what the ledger has of it is on the disk then.
const AFTER: u64 = 10;
/// Files of terms that are looked at.
pub(super) const TERMS_MAX: usize = 1_000;
/// Of each so many periods that are over: what an Adit that did not run has missed.
const PERIODS_MAX: u64 = 64;
/// What was said, and periods of which there is nothing, are forgotten when there are so many.
const REMEMBERED: usize = 10_000;

/// Where keys, terms and ledger are.
#[derive(Clone, Debug)]
pub(crate) struct IssuerSettings {
    pub(super) key_file: PathBuf,
    pub(super) directory: PathBuf,
    ledger: PathBuf,
    /// Seconds between two roots of a running period; 0: none.
    counter_every: u64,
}

impl IssuerSettings {
    /// As the configuration has it; nothing where no receipts are issued.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let key_file = config.receipts.key_file.clone()?;
        let Some(ledger) = ledger_directory(config, environment()) else {
            warn!(
                "receipts.key_file has no effect: no ledger is kept; set directory in [state], or in [ledger]"
            );
            return None;
        };
        let usual = || state_directory(&config.state, environment()).join("receipts");
        let directory = config.receipts.directory.clone().unwrap_or_else(usual);
        let counter_every = config.receipts.counter_every.as_secs();
        Some(Self { key_file, directory, ledger, counter_every })
    }

    /// Where receipts are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Begins to issue.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn issue(self, shown: Arc<Shown>) -> io::Result<Issuer> {
        let (stop, stopped) = sync_channel::<()>(0);
        let mut issuing = Issuing {
            settings: self,
            shown,
            said: BTreeMap::new(),
            nothing: BTreeSet::new(),
            roots: BTreeMap::new(),
        };
        std::thread::Builder::new().name("receipts".to_owned()).spawn(move || {
            while matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                issuing.look(since.as_secs());
            }
        })?;
        Ok(Issuer { _stop: stop })
    }
}

/// While it is there, receipts are issued.
#[derive(Debug)]
pub(crate) struct Issuer {
    _stop: SyncSender<()>,
}

struct Issuing {
    settings: IssuerSettings,
    shown: Arc<Shown>,
    /// What was last said of a file, so that it is said once.
    said: BTreeMap<PathBuf, String>,
    /// Receipts that there is nothing for.
    nothing: BTreeSet<PathBuf>,
    /// Roots of running periods, and of which moment they are.
    roots: BTreeMap<PathBuf, u64>,
}

impl Issuing {
    fn look(&mut self, now: u64) {
        if self.said.len() + self.nothing.len() + self.roots.len() > REMEMBERED {
            self.said.clear();
            self.nothing.clear();
            self.roots.clear();
        }
        let files = match terms_in(&self.settings.directory) {
            Ok(files) => files,
            Err(error) => return self.complain(self.settings.directory.clone(), &error),
        };
        if files.is_empty() {
            return;
        }
        let key = match read_key(&self.settings.key_file) {
            Ok(key) => key,
            Err(error) => return self.complain(self.settings.key_file.clone(), &error),
        };
        for file in files {
            match self.look_at(&file, &key, now) {
                Ok(()) => {
                    self.said.remove(&file);
                }
                Err(error) => self.complain(file, &error),
            }
        }
    }

    /// What is due of these terms.
    fn look_at(&mut self, file: &Path, key: &SecretKey, now: u64) -> Result<(), IssueError> {
        let signed = read_terms(file)?;
        let terms = &signed.terms;
        if terms.issuer != key.public() {
            return Err(IssueError::Issuer { terms: terms.issuer, key: key.public() });
        }
        for (number, from, to) in over(terms, now) {
            let receipt = beside(file, number, ".receipt");
            if !self.nothing.contains(&receipt) && !receipt.try_exists()? {
                self.issue(&receipt, &signed, (from, to), key, now)?;
                // It is of no use any more.
                let root = beside(file, number, ".root");
                let _ = std::fs::remove_file(&root);
                self.roots.remove(&root);
            }
        }
        if let Some(moment) = running(terms, self.settings.counter_every, now) {
            self.write_root(&beside(file, moment.number, ".root"), &signed, moment, key)?;
        }
        Ok(())
    }

    fn issue(
        &mut self,
        receipt: &Path,
        signed: &SignedTerms,
        (from, to): (u64, u64),
        key: &SecretKey,
        now: u64,
    ) -> Result<(), IssueError> {
        let choice = self.choice(&signed.terms.subject)?;
        let ledger = Reader::open(&self.settings.ledger)?;
        let kept = counters_in(&self.settings.directory, (signed.terms.hash(), from), now)?;
        let counters: Vec<_> = kept.iter().map(|(_, counter)| *counter).collect();
        match make(&ledger, signed, (from, to), &choice, &counters, (now, key)) {
            Ok(made) => {
                replace(receipt, &made.file)?;
                let remarks = made.drawn.remarks().join("; ");
                info!(
                    file = %receipt.display(), shares = made.claim.shares, hashrate = made.claim.hashrate,
                    counter_signatures = made.drawn.counter_signed, remarks, "a receipt was issued"
                );
                for (path, _) in kept.iter().filter(|(_, counter)| !made.drawn.misfits.contains(counter)) {
                    // The receipt has it.
                    let _ = std::fs::remove_file(path);
                }
            }
            Err(MakeError::Nobody) => {
                info!(file = %receipt.display(), "no receipt: nobody delivered anything in this period");
                self.nothing.insert(receipt.to_owned());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Writes what can be counter-signed by now.
    fn write_root(
        &mut self,
        path: &Path,
        signed: &SignedTerms,
        moment: Moment,
        key: &SecretKey,
    ) -> Result<(), IssueError> {
        if self.roots.get(path) == Some(&moment.until) {
            return Ok(());
        }
        let choice = self.choice(&signed.terms.subject)?;
        let ledger = Reader::open(&self.settings.ledger)?;
        match running_root(&ledger, signed, (moment.from, moment.to), moment.until, &choice, key) {
            // A root over nothing tells nobody anything.
            Ok(root) if root.shares == 0 => {}
            Ok(root) => {
                replace(path, &root.to_file())?;
                info!(file = %path.display(), shares = root.shares, "a root waits to be counter-signed");
            }
            Err(MakeError::Nobody) => {}
            Err(error) => return Err(error.into()),
        }
        self.roots.insert(path.to_owned(), moment.until);
        Ok(())
    }

    /// Whose shares are meant. A lease is a goal.
    fn choice(&self, subject: &Subject) -> Result<Choice, IssueError> {
        Ok(match subject {
            Subject::Route(name) => Choice { route: Some(name.to_string()), ..Choice::default() },
            Subject::Worker(name) => Choice { worker: Some(name.to_string()), ..Choice::default() },
            Subject::Lease(name) => {
                let shown = self.shown.lock();
                let goals =
                    shown.routes.iter().flat_map(|route| route.goals.iter().map(move |goal| (route, goal)));
                let (route, goal) = goals
                    .into_iter()
                    .find(|(_, goal)| goal.name == **name)
                    .ok_or_else(|| IssueError::Goal { name: name.to_string() })?;
                let sources = goal.sources.iter().filter_map(|at| shown.sources.get(*at));
                Choice {
                    route: Some(route.name.clone()),
                    sources: sources.map(|source| source.name.clone()).collect(),
                    ..Choice::default()
                }
            }
        })
    }

    fn complain(&mut self, file: PathBuf, why: &dyn std::fmt::Display) {
        let why = why.to_string();
        if self.said.get(&file) != Some(&why) {
            error!(file = %file.display(), reason = why, "no receipts are issued for this");
            self.said.insert(file, why);
        }
    }
}

/// Reads a file of terms.
pub(super) fn read_terms(file: &Path) -> Result<SignedTerms, IssueError> {
    Ok(SignedTerms::from_file(&read_bounded(file, 2 * MAX_TERMS as u64)?)?)
}

/// What belongs to a period of terms, in a file beside theirs: for `friends.terms`, `friends-1` and this end.
pub(super) fn beside(terms: &Path, number: u64, end: &str) -> PathBuf {
    let mut name = terms.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}{end}"));
    terms.with_file_name(name)
}

/// The files of terms, in the order of their names. Makes the directory if there is none.
pub(super) fn terms_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory)?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "terms") {
            files.push(path);
        }
    }
    files.sort_unstable();
    files.truncate(TERMS_MAX);
    Ok(files)
}

/// The newest periods that are over, oldest first: number from 1 on, beginning and end.
fn over(terms: &Terms, now: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    let (from, to, every) = (terms.from, terms.to, terms.every.max(1));
    let until = now.saturating_sub(AFTER);
    let whole = until.min(to).saturating_sub(from) / every;
    let all = if until >= to { to.saturating_sub(from).div_ceil(every) } else { whole };
    (all.saturating_sub(PERIODS_MAX)..all).map(move |at| {
        let begins = from.saturating_add(at.saturating_mul(every));
        (at + 1, begins, begins.saturating_add(every).min(to))
    })
}

/// A moment of a period that still runs. Times are Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    /// The period's number, from 1 on.
    number: u64,
    /// Its beginning.
    from: u64,
    /// Its end.
    to: u64,
    /// Shares that came before this are meant.
    until: u64,
}

/// The newest moment of which there can be a root: each so many seconds after the beginning of the period that runs.
fn running(terms: &Terms, counter_every: u64, now: u64) -> Option<Moment> {
    let (from, to, every) = (terms.from, terms.to, terms.every.max(1));
    // What came before is on the disk.
    let until = now.checked_sub(AFTER).filter(|until| (from..to).contains(until))?;
    let at = (until - from) / every;
    let begins = from.saturating_add(at.saturating_mul(every));
    let whole = (until - begins).checked_div(counter_every)?;
    let moment = Moment {
        number: at + 1,
        from: begins,
        to: begins.saturating_add(every).min(to),
        until: begins.saturating_add(whole.saturating_mul(counter_every)),
    };
    (whole > 0).then_some(moment)
}

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error("the terms name {terms} as issuer; receipts.key_file holds the key {key}")]
    Issuer { terms: receipt::PublicKey, key: receipt::PublicKey },
    #[error("the terms are for the lease {name:?}: there is no goal of that name")]
    Goal { name: String },
    #[error(transparent)]
    Terms(#[from] receipt::AgreementError),
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use receipt::{Basis, Ending, Network, Payout};

    use super::*;

    /// Periods of 100 s from 1,000 on, and one of 50 s.
    fn terms() -> Terms {
        let key = SecretKey::from_bytes([7; 32]).unwrap();
        Terms {
            network: Network::Regtest,
            subject: Subject::Route("main".into()),
            from: 1_000,
            to: 1_250,
            every: 100,
            hashrate: 1,
            basis: Basis::Agreed,
            ending: Ending::Period,
            issuer: key.public(),
            receiver: None,
            payout: Payout::default(),
            pool_tag: "".into(),
            tag_length: 0,
            salt: [0; 16],
            note: "".into(),
        }
    }

    #[test]
    fn a_root_is_due_of_each_moment_within_a_period_and_none_when_there_are_to_be_none() {
        let terms = terms();
        let at = |now| running(&terms, 30, now + AFTER).map(|moment| (moment.number, moment.until));
        assert_eq!([at(0), at(999), at(1_000), at(1_029)], [None; 4]);
        assert_eq!([at(1_030), at(1_059), at(1_060)], [Some((1, 1_030)), Some((1, 1_030)), Some((1, 1_060))]);
        assert_eq!([at(1_099), at(1_100), at(1_130)], [Some((1, 1_090)), None, Some((2, 1_130))]);
        let last = running(&terms, 30, 1_249 + AFTER).unwrap();
        assert_eq!(last, Moment { number: 3, from: 1_200, to: 1_250, until: 1_230 });
        assert_eq!([at(1_250), at(9_999)], [None; 2]);
        assert_eq!(running(&terms, 0, 1_060 + AFTER), None);
        for moment in (990..1_260).filter_map(|now| running(&terms, 7, now)) {
            let period = receipt::Header::new(&terms, moment.from, moment.to, 0, 1, 0);
            assert!(period.is_fixed_by(&terms) && (moment.from..moment.to).contains(&moment.until));
        }
    }

    #[test]
    fn each_period_is_due_when_it_is_over_and_the_last_may_be_shorter() {
        let terms = terms();
        let at = |now| over(&terms, now).collect::<Vec<_>>();
        assert_eq!(at(0), []);
        assert_eq!(at(1_099 + AFTER), []);
        assert_eq!(at(1_100 + AFTER), [(1, 1_000, 1_100)]);
        assert_eq!(at(1_249 + AFTER), [(1, 1_000, 1_100), (2, 1_100, 1_200)]);
        assert_eq!(at(1_250 + AFTER).last(), Some(&(3, 1_200, 1_250)));
        let long = Terms { to: u64::from(u32::MAX), every: 1, ..terms };
        let due: Vec<_> = over(&long, 1_000_000).collect();
        assert_eq!((due.len() as u64, due.last().copied()), (PERIODS_MAX, Some((998_990, 999_989, 999_990))));
        for (_, from, to) in due {
            assert!(receipt::Header::new(&long, from, to, 0, 1, 0).is_fixed_by(&long));
        }
    }
}
