//! Leases' tags: which source's shares are whose, by the terms that are signed (docs/receipts.md, "Tags").
//!
//! The files of terms are looked at every few seconds, and at each moment at which one begins or ends. What follows from
//! them is told to the sources, which write it into their fillers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::SourceId;
use receipt::{AgreementError, MAX_TERMS, PublicKey, SignedTerms, Subject};
use tokio::sync::mpsc;
use tracing::{info, warn};
use work::LeaseTag;

use super::files::read_bounded;
use super::issuer::{IssuerSettings, terms_in};
use super::key_file::read_key;
use crate::snapshot::{Shown, Views};
use crate::upstream::RouterMessage;

/// Terms are looked at this often, and when one of them begins or ends.
const EVERY: Duration = Duration::from_secs(5);
/// A tag is in the shares so many seconds before its terms begin: what miners send then was found with it. A lease that is
/// on until then keeps the place.
const AHEAD: u64 = 10;
/// What was said is forgotten when there is so much of it.
const REMEMBERED: usize = 10_000;

/// What is to be said of a file or a source: why it gets no tag.
type Remarks = BTreeMap<String, String>;

impl IssuerSettings {
    /// Begins to tell sources their tags.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn tag(
        &self,
        shown: Arc<Shown>,
        router: mpsc::Sender<RouterMessage>,
    ) -> io::Result<TagKeeper> {
        let (stop, stopped) = sync_channel::<()>(0);
        let (directory, key_file) = (self.directory.clone(), self.key_file.clone());
        let mut tagging =
            Tagging { directory, key_file, shown, router, told: BTreeMap::new(), said: BTreeMap::new() };
        std::thread::Builder::new().name("lease tags".to_owned()).spawn(move || {
            let mut wait = Duration::ZERO;
            while matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                wait = tagging.look(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
            }
        })?;
        Ok(TagKeeper { _stop: stop })
    }
}

/// While it is there, sources have their leases' tags.
#[derive(Debug)]
pub(crate) struct TagKeeper {
    _stop: SyncSender<()>,
}

struct Tagging {
    directory: PathBuf,
    key_file: PathBuf,
    shown: Arc<Shown>,
    router: mpsc::Sender<RouterMessage>,
    /// What each source was told last; none was told anything at first.
    told: BTreeMap<SourceId, LeaseTag>,
    /// What was last said of a file or a source, so that it is said once.
    said: Remarks,
}

impl Tagging {
    /// Tells every source what its tag is now, and gives how long nothing will change.
    fn look(&mut self, now: Duration) -> Duration {
        if self.said.len() > REMEMBERED {
            self.said.clear();
        }
        let (terms, mut remarks) = match self.read() {
            Ok(read) => read,
            // What was told stays so: a directory that is away for a moment ends no lease.
            Err(why) => {
                self.say(why);
                return EVERY;
            }
        };
        let tags = {
            let shown = self.shown.lock();
            let tags = wanted(&terms, &Places::of(&shown), now.as_secs(), &mut remarks);
            lacking_room(&shown, &mut remarks);
            tags
        };
        self.say(remarks);
        self.tell(&tags);
        until_change(&terms, now).min(EVERY)
    }

    /// The terms that want a tag and that the issuer has signed, in the order of their files, and what is to be said of the
    /// others.
    fn read(&self) -> Result<(Vec<Tagged>, Remarks), Remarks> {
        let shown = |path: &Path| path.display().to_string();
        let of =
            |path: &Path, error: &dyn std::fmt::Display| Remarks::from([(shown(path), error.to_string())]);
        let files = terms_in(&self.directory).map_err(|error| of(&self.directory, &error))?;
        let mut terms = Vec::new();
        let mut remarks = BTreeMap::new();
        if files.is_empty() {
            return Ok((terms, remarks));
        }
        let key = read_key(&self.key_file).map_err(|error| of(&self.key_file, &error))?;
        for file in files {
            match Tagged::read(&file, &key.public()) {
                Ok(found) => terms.extend(found),
                Err(error) => {
                    remarks.insert(shown(&file), error.to_string());
                }
            }
        }
        Ok((terms, remarks))
    }

    /// Tells what has changed. Where the router is too busy it is tried again the next time.
    fn tell(&mut self, tags: &BTreeMap<SourceId, LeaseTag>) {
        let before = |source: &SourceId| self.told.get(source).copied().unwrap_or_default();
        let gone = self.told.keys().filter(|source| !tags.contains_key(source));
        let gone = gone.map(|source| (*source, LeaseTag::NONE));
        let all = tags.iter().map(|(source, tag)| (*source, *tag)).chain(gone);
        let changed: Vec<_> = all.filter(|(source, tag)| before(source) != *tag).collect();
        if changed.is_empty() || self.router.try_send(RouterMessage::Tags(changed.clone())).is_err() {
            return;
        }
        let shown = self.shown.lock();
        for (source, tag) in changed {
            let source_name = shown.sources.get(usize::from(source.0)).map_or("", |view| &view.name);
            if tag.is_empty() {
                info!(source = source_name, "shares carry no lease's tag from now on");
            } else {
                info!(source = source_name, %tag, "shares carry a lease's tag from now on");
            }
            self.told.insert(source, tag);
        }
    }

    /// Says what was not said before.
    fn say(&mut self, remarks: Remarks) {
        self.said.retain(|what, _| remarks.contains_key(what));
        for (what, why) in remarks {
            if self.said.get(&what) != Some(&why) {
                warn!(of = what, reason = why, "no lease's tag is written");
                self.said.insert(what, why);
            }
        }
    }
}

/// Terms that want a tag.
#[derive(Clone, Debug)]
struct Tagged {
    /// The file, for people.
    file: String,
    subject: Subject,
    from: u64,
    to: u64,
    tag: LeaseTag,
}

impl Tagged {
    /// Nothing for terms that want none.
    fn read(file: &Path, issuer: &PublicKey) -> Result<Option<Self>, TermsFileError> {
        let signed = SignedTerms::from_file(&read_bounded(file, 2 * MAX_TERMS as u64)?)?;
        let terms = &signed.terms;
        if terms.tag_length == 0 {
            return Ok(None);
        }
        if terms.issuer != *issuer || signed.agreed(issuer).is_none() {
            return Err(TermsFileError::NotSigned { key: *issuer });
        }
        if let Subject::Worker(name) = &terms.subject {
            return Err(TermsFileError::Worker { name: name.to_string() });
        }
        let tag = LeaseTag::new(&terms.tag())?;
        let (subject, from, to) = (terms.subject.clone(), terms.from, terms.to);
        Ok(Some(Self { file: file.display().to_string(), subject, from, to, tag }))
    }
}

/// Where the work of goals and routes goes.
#[derive(Debug, Default)]
struct Places {
    /// The sources of each goal.
    goals: BTreeMap<String, Vec<SourceId>>,
    /// The sources of each route, each with whether no other route has it.
    routes: BTreeMap<String, Vec<(SourceId, bool)>>,
    /// Names of sources.
    names: BTreeMap<SourceId, String>,
}

impl Places {
    fn of(shown: &Views) -> Self {
        let mut places = Self::default();
        let id = |at: &usize| {
            let view = shown.sources.get(*at).filter(|view| !view.removed)?;
            Some((SourceId(u16::try_from(*at).ok()?), view.name.clone()))
        };
        for route in &shown.routes {
            let others = || shown.routes.iter().filter(|other| other.name != route.name);
            let mut sources = Vec::new();
            for at in &route.sources {
                let Some((source, name)) = id(at) else { continue };
                places.names.insert(source, name);
                sources.push((source, !others().any(|other| other.sources.contains(at))));
            }
            places.routes.insert(route.name.clone(), sources);
            for goal in &route.goals {
                let sources = goal.sources.iter().filter_map(id).map(|(source, _)| source).collect();
                places.goals.insert(goal.name.clone(), sources);
            }
        }
        places
    }

    fn name(&self, source: SourceId) -> &str {
        self.names.get(&source).map_or("", String::as_str)
    }

    /// The sources whose shares are the subject's.
    fn sources_of(&self, terms: &Tagged, remarks: &mut Remarks) -> Vec<SourceId> {
        let mut no_such = |what| {
            let why = format!("it is for the {what} {:?}: there is none of that name", terms.subject.name());
            remarks.insert(terms.file.clone(), why);
            Vec::new()
        };
        match &terms.subject {
            Subject::Lease(name) => {
                self.goals.get(&**name).cloned().unwrap_or_else(|| no_such("lease, which is a goal,"))
            }
            Subject::Route(name) => {
                let Some(sources) = self.routes.get(&**name) else { return no_such("route") };
                for (source, _) in sources.iter().filter(|(_, alone)| !alone) {
                    let name = self.name(*source);
                    let why = format!(
                        "its shares are not the route's alone, which {} wants a tag for: other routes have it too",
                        terms.file
                    );
                    remarks.insert(format!("source {name}"), why);
                }
                sources.iter().filter(|(_, alone)| *alone).map(|(source, _)| *source).collect()
            }
            // No source's shares are one worker's.
            Subject::Worker(_) => Vec::new(),
        }
    }
}

/// Each source's tag at this moment (Unix seconds), of terms in the order of their files. Those that are on come first, then
/// those that begin soon.
fn wanted(
    terms: &[Tagged],
    places: &Places,
    now: u64,
    remarks: &mut Remarks,
) -> BTreeMap<SourceId, LeaseTag> {
    let on = terms.iter().filter(|terms| (terms.from..terms.to).contains(&now));
    let soon = terms.iter().filter(|terms| terms.from > now && terms.from <= now.saturating_add(AHEAD));
    let mut tags = places.choose(on, remarks);
    let mut later = BTreeMap::new();
    for (source, tag) in places.choose(soon, &mut later) {
        tags.entry(source).or_insert(tag);
    }
    // What two want and neither gets is none, too.
    tags.retain(|_, tag| !tag.is_empty());
    tags
}

impl Places {
    /// Each source's tag, of terms that are on at the same time. Of two for one subject the first counts; a source that
    /// two subjects want a tag for gets an empty one.
    fn choose<'a>(
        &self,
        terms: impl Iterator<Item = &'a Tagged>,
        remarks: &mut Remarks,
    ) -> BTreeMap<SourceId, LeaseTag> {
        let mut of_subjects: Vec<&Tagged> = Vec::new();
        let mut claims: BTreeMap<SourceId, Vec<&Tagged>> = BTreeMap::new();
        for one in terms {
            if let Some(first) = of_subjects.iter().find(|first| first.subject == one.subject) {
                let why = format!("{} is for the same at the same time, and comes before it", first.file);
                remarks.insert(one.file.clone(), why);
                continue;
            }
            of_subjects.push(one);
            for source in self.sources_of(one, remarks) {
                claims.entry(source).or_default().push(one);
            }
        }
        let mut tags = BTreeMap::new();
        for (source, claims) in claims {
            let tag = match &claims[..] {
                [one] => one.tag,
                all => {
                    let files: Vec<&str> = all.iter().map(|terms| terms.file.as_str()).collect();
                    let why = format!("several terms want their tag in its shares: {}", files.join(", "));
                    remarks.insert(format!("source {}", self.name(source)), why);
                    LeaseTag::NONE
                }
            };
            tags.insert(source, tag);
        }
        tags
    }
}

/// Sources that have a tag and no room for it.
fn lacking_room(shown: &Views, remarks: &mut Remarks) {
    for view in shown.sources.iter().filter(|view| !view.removed) {
        let status = view.report.borrow().status.tag;
        if status.channels_without > 0 {
            let why = format!(
                "no room for the lease's tag in {} of its channels: {} bytes, {} wanted",
                status.channels_without,
                status.shortest,
                status.tag.len()
            );
            remarks.insert(format!("source {}", view.name), why);
        }
    }
}

/// How long until some terms begin, end, or are about to begin.
fn until_change(terms: &[Tagged], now: Duration) -> Duration {
    let moments = terms.iter().flat_map(|terms| [terms.from.saturating_sub(AHEAD), terms.from, terms.to]);
    let ahead = moments.map(Duration::from_secs).filter(|moment| *moment > now);
    ahead.min().map_or(Duration::MAX, |moment| moment.saturating_sub(now))
}

/// Why terms that want a tag get none.
#[derive(Debug, thiserror::Error)]
enum TermsFileError {
    #[error("the terms want a tag, and are not signed with the key of receipts.key_file, {key}")]
    NotSigned { key: PublicKey },
    #[error(
        "the terms want a tag for the worker {name:?}: a worker's shares carry none, since a source's are not its alone"
    )]
    Worker { name: String },
    #[error(transparent)]
    Tag(#[from] work::LeaseTagError),
    #[error(transparent)]
    Terms(#[from] AgreementError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(file: &str, subject: Subject, (from, to): (u64, u64), tag: u8) -> Tagged {
        Tagged { file: file.to_owned(), subject, from, to, tag: LeaseTag::new(&[tag; 8]).unwrap() }
    }

    fn lease(name: &str) -> Subject {
        Subject::Lease(name.into())
    }

    /// Goals `a` and `b` of the route `main` share source 1; source 3 is the route `other`'s, too.
    fn places() -> Places {
        let ids = |ids: &[u16]| ids.iter().map(|id| SourceId(*id)).collect::<Vec<_>>();
        let alone = |ids: &[u16], shared: u16| {
            ids.iter().map(|id| (SourceId(*id), *id != shared)).collect::<Vec<_>>()
        };
        Places {
            goals: [("a".into(), ids(&[0, 1])), ("b".into(), ids(&[1, 2]))].into(),
            routes: [("main".into(), alone(&[0, 1, 2, 3], 3)), ("other".into(), alone(&[3], 3))].into(),
            names: (0..4).map(|id| (SourceId(id), format!("s{id}"))).collect(),
        }
    }

    fn tags_at(all: &[Tagged], now: u64) -> (Vec<(u16, u8)>, Vec<String>) {
        let mut remarks = BTreeMap::new();
        let tags = wanted(all, &places(), now, &mut remarks);
        let tags = tags.iter().map(|(source, tag)| (source.0, tag.as_slice()[0])).collect();
        (tags, remarks.into_keys().collect())
    }

    #[test]
    fn a_lease_has_its_tag_from_a_little_before_its_beginning_until_its_end() {
        let all = [terms("a.terms", lease("a"), (1_000, 2_000), 7)];
        for (now, on) in
            [(999 - AHEAD, false), (1_000 - AHEAD, true), (1_000, true), (1_999, true), (2_000, false)]
        {
            let expected: &[(u16, u8)] = if on { &[(0, 7), (1, 7)] } else { &[] };
            assert_eq!(tags_at(&all, now), (expected.to_vec(), vec![]), "{now}");
        }
    }

    #[test]
    fn of_leases_that_follow_each_other_each_has_its_time() {
        let all = [
            terms("a.terms", lease("a"), (1_000, 2_000), 7),
            terms("b.terms", lease("b"), (2_000, 3_000), 8),
        ];
        assert_eq!(tags_at(&all, 1_999), (vec![(0, 7), (1, 7), (2, 8)], vec![]));
        assert_eq!(tags_at(&all, 2_000), (vec![(1, 8), (2, 8)], vec![]));
        let waits = [0, 1_500, 1_995].map(|now| until_change(&all, Duration::from_secs(now)).as_secs());
        assert_eq!(waits, [1_000 - AHEAD, 500 - AHEAD, 5]);
        assert_eq!(until_change(&all, Duration::from_secs(3_000)), Duration::MAX);
    }

    #[test]
    fn a_source_that_two_leases_want_a_tag_in_gets_neither() {
        let all = [
            terms("a.terms", lease("a"), (1_000, 2_000), 7),
            terms("b.terms", lease("b"), (1_000, 2_000), 8),
        ];
        assert_eq!(tags_at(&all, 1_500), (vec![(0, 7), (2, 8)], vec!["source s1".to_owned()]));
    }

    #[test]
    fn of_two_terms_for_one_lease_the_first_by_name_counts() {
        let all = [
            terms("1.terms", lease("a"), (1_000, 2_000), 7),
            terms("2.terms", lease("a"), (1_000, 3_000), 8),
        ];
        assert_eq!(tags_at(&all, 1_500), (vec![(0, 7), (1, 7)], vec!["2.terms".to_owned()]));
        assert_eq!(tags_at(&all, 2_000), (vec![(0, 8), (1, 8)], vec![]));
    }

    #[test]
    fn a_route_has_its_tag_in_the_sources_that_are_its_alone() {
        let route = |name: &str| Subject::Route(name.into());
        let all = [terms("r.terms", route("main"), (1_000, 2_000), 7)];
        assert_eq!(tags_at(&all, 1_500), (vec![(0, 7), (1, 7), (2, 7)], vec!["source s3".to_owned()]));
        let nobody = [
            terms("x.terms", route("x"), (1_000, 2_000), 7),
            terms("y.terms", lease("y"), (1_000, 2_000), 7),
        ];
        assert_eq!(tags_at(&nobody, 1_500), (vec![], vec!["x.terms".to_owned(), "y.terms".to_owned()]));
    }
}
