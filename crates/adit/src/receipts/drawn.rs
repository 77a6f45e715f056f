//! A receipt from a ledger: who is included, what held for them, and their shares above the receipt difficulty.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use ledger::record::{Entry, Gap, Threshold};
use ledger::{Damage, Highest, Reader, RowKey, Stream};
use receipt::records::MAX_SHARES;
use receipt::sampling::{MIN_EXPONENT, exponent_above, target};
use receipt::{
    Claim, CounterSignature, Header, Job, RootError, SecretKey, Share, SignedRoot, SignedTerms, WriteError,
    Writer, Written,
};
use work::{Difficulty, Target};

/// A day.
const DAY_MS: u64 = 86_400_000;

/// Whose shares are meant. What is empty is everybody's.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Of this worker.
    pub worker: Option<String>,
    /// On this route.
    pub route: Option<String>,
    /// For one of these sources.
    pub sources: BTreeSet<String>,
    /// None of these workers'.
    pub without: BTreeSet<String>,
}

impl Choice {
    fn has(&self, key: &RowKey) -> bool {
        self.worker.as_deref().is_none_or(|worker| worker == &*key.worker)
            && self.route.as_deref().is_none_or(|route| route == &*key.route)
            && (self.sources.is_empty() || self.sources.contains(&*key.source))
    }

    fn leaves_out(&self, key: &RowKey) -> bool {
        self.without.contains(&*key.worker)
    }
}

/// A receipt that was made.
#[derive(Debug)]
pub struct Made {
    /// The file.
    pub file: Vec<u8>,
    /// Its header.
    pub header: Header,
    /// Its claim.
    pub claim: Claim,
    /// How it came about.
    pub drawn: Drawn,
}

/// What whoever makes a receipt should know.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// Shares whose header's time is too far from when they came: they cannot be in it.
    pub odd_times: u64,
    /// Shares that would be in it, without the tag that the terms want.
    pub untagged: u64,
    /// Workers that no share was kept of, since their hashrate was not known yet: nothing of theirs is claimed.
    pub not_kept: Vec<String>,
    /// Who had the highest difficulty.
    pub highest: Option<String>,
    /// Shares that the ledger lost in gaps that reach into the period.
    pub lost: u64,
    /// Evidence of the period that was evicted: it begins only then, Unix milliseconds.
    pub evicted_until_ms: Option<u64>,
    /// Counter-signatures that it carries.
    pub counter_signed: u64,
    /// Those that do not fit the shares before their places, and are not in it.
    pub misfits: Vec<CounterSignature>,
    /// What cannot be read.
    pub damages: Vec<Damage>,
}

/// Makes a receipt. `from` and `to` are Unix seconds; `counters` are put in where they fit; `at` is now.
///
/// # Errors
/// The ledger cannot be read, or there is nothing to be claimed in this way.
pub fn make(
    ledger: &Reader,
    terms: &SignedTerms,
    (from, to): (u64, u64),
    choice: &Choice,
    counters: &[CounterSignature],
    (at, key): (u64, &SecretKey),
) -> Result<Made, MakeError> {
    let Begun { writer, header, mut drawn } = begin(ledger, terms, (from, to), to, choice, counters)?;
    look_for_gaps(ledger, (from.saturating_mul(1_000), to.saturating_mul(1_000)), &mut drawn)?;
    let (file, claim) = writer.finish(at, key)?;
    Ok(Made { file, header, claim, drawn })
}

/// What can be counter-signed of a period that still runs: the root over the shares that came before `until`, Unix seconds. In the
/// receipt the same shares come first, in the same order: it is made in the same way.
///
/// # Errors
/// As [`make`].
pub(super) fn running_root(
    ledger: &Reader,
    terms: &SignedTerms,
    period: (u64, u64),
    until: u64,
    choice: &Choice,
    key: &SecretKey,
) -> Result<SignedRoot, MakeError> {
    let Begun { writer, header, .. } = begin(ledger, terms, period, until, choice, &[])?;
    Ok(SignedRoot::sign(terms, &header, writer.root(), until, key)?)
}

/// A receipt but for its claim.
struct Begun {
    writer: Writer<Vec<u8>>,
    header: Header,
    drawn: Drawn,
}

/// The receipt of a period as far as its shares came before `until`.
fn begin(
    ledger: &Reader,
    terms: &SignedTerms,
    period: (u64, u64),
    until: u64,
    choice: &Choice,
    counters: &[CounterSignature],
) -> Result<Begun, MakeError> {
    let (from_ms, to_ms) = (period.0.saturating_mul(1_000), until.saturating_mul(1_000));
    let mut highest = Highest::of(from_ms, to_ms);
    let mut drawn = Drawn {
        damages: ledger.evidence(from_ms, to_ms, &mut |entry| highest.add(&entry))?,
        ..Drawn::default()
    };
    let header = header(terms, period, choice, highest.rows(), &mut drawn);
    if header.miners == 0 {
        return Err(MakeError::Nobody);
    }
    let wanted = Wanted { choice, target: target(header.exponent), tag: &terms.terms.tag() };
    let (mut shares, untagged) = collect(ledger, (from_ms, to_ms), &wanted)?;
    drawn.untagged = untagged;
    // They lie in the order in which the disk took them.
    shares.sort_by_key(|share| share.at_ms);
    let mut writer = Writer::new(Vec::new(), terms, header)?;
    let mut counters = Counters::of(counters);
    counters.put_in(&mut writer, &mut drawn);
    let mut jobs = Jobs::default();
    for share in &shares {
        let job = jobs.of(&share.job);
        let share = Share {
            at: share.at_ms / 1_000,
            extranonce: share.extranonce.clone(),
            ntime: share.ntime,
            nonce: share.nonce,
            version: share.version,
        };
        match writer.share(job, &share) {
            Ok(Written::Taken) => counters.put_in(&mut writer, &mut drawn),
            Ok(Written::Below | Written::Again) => {}
            Err(WriteError::Time(_)) => drawn.odd_times += 1,
            Err(error) => return Err(error.into()),
        }
    }
    drawn.misfits.extend(counters.0);
    Ok(Begun { writer, header, drawn })
}

/// Counter-signatures that wait for their places, the first one last.
struct Counters(Vec<CounterSignature>);

impl Counters {
    /// Of one key each root once: the earliest, which tells most.
    fn of(counters: &[CounterSignature]) -> Self {
        let mut sorted = counters.to_vec();
        sorted.sort_by_key(|counter| (counter.shares, counter.key.to_bytes(), counter.root, counter.at));
        sorted.dedup_by_key(|counter| (counter.shares, counter.key.to_bytes(), counter.root));
        sorted.reverse();
        Self(sorted)
    }

    /// Those whose place is here. What the writer does not take would have a verifier refuse the whole receipt.
    fn put_in(&mut self, writer: &mut Writer<Vec<u8>>, drawn: &mut Drawn) {
        if self.0.is_empty() {
            // The root is worked out anew each time.
            return;
        }
        let (here, _) = writer.root();
        while let Some(counter) = self.0.pop_if(|next| next.shares <= here) {
            match writer.counter_signature(&counter) {
                Ok(()) => drawn.counter_signed += 1,
                Err(_) => drawn.misfits.push(counter),
            }
        }
    }
}

/// The header, by what held for those who are included.
fn header(
    terms: &SignedTerms,
    (from, to): (u64, u64),
    choice: &Choice,
    held: &BTreeMap<Arc<RowKey>, Threshold>,
    drawn: &mut Drawn,
) -> Header {
    // A worker has several rows where it mined for several sources.
    let mut workers: BTreeMap<&str, Threshold> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    for (key, threshold) in held.iter().filter(|(key, _)| choice.has(key)) {
        if choice.leaves_out(key) {
            left_out.insert(&*key.worker);
        } else {
            let row = workers.entry(&key.worker).or_default();
            *row = row.max(*threshold);
        }
    }
    let mut highest = MIN_EXPONENT;
    let mut miners = 0_u32;
    for (worker, threshold) in workers {
        if threshold.kept_from <= 0.0 {
            drawn.not_kept.push(worker.to_owned());
            left_out.insert(worker);
            continue;
        }
        miners = miners.saturating_add(1);
        let difficulty = Difficulty::new(threshold.assigned.max(threshold.kept_from));
        let exponent = difficulty.map_or(MIN_EXPONENT, exponent_above);
        if exponent > highest || drawn.highest.is_none() {
            drawn.highest = Some(worker.to_owned());
        }
        highest = highest.max(exponent);
    }
    let left_out = u32::try_from(left_out.len()).unwrap_or(u32::MAX);
    Header::new(&terms.terms, from, to, highest, miners, left_out)
}

/// Which shares belong into a receipt.
struct Wanted<'a> {
    choice: &'a Choice,
    target: Target,
    /// Empty: none is wanted.
    tag: &'a [u8],
}

impl Wanted<'_> {
    /// Whether the lease's tag stands after the bytes that the source fixed. Where the ledger does not know how many those are
    /// nobody can say.
    fn has_tag(&self, share: &ledger::record::Share) -> bool {
        let behind = share.job.prefix_length.and_then(|prefix| share.extranonce.get(usize::from(prefix)..));
        self.tag.is_empty() || behind.is_some_and(|behind| behind.starts_with(self.tag))
    }
}

/// The shares that meet the target and carry the tag, and how many lack only that. Memory is bounded by what a receipt can
/// have.
fn collect(
    ledger: &Reader,
    (from_ms, to_ms): (u64, u64),
    wanted: &Wanted<'_>,
) -> Result<(Vec<ledger::record::Share>, u64), MakeError> {
    let mut shares = Vec::new();
    let (mut too_many, mut untagged) = (false, 0_u64);
    let choice = wanted.choice;
    ledger.evidence(from_ms, to_ms, &mut |entry| {
        if let Entry::Share(share) = entry
            && (from_ms..to_ms).contains(&share.at_ms)
            && choice.has(&share.key)
            && !choice.leaves_out(&share.key)
            && share.header().hash().meets(&wanted.target)
        {
            if !wanted.has_tag(&share) {
                untagged = untagged.saturating_add(1);
                return;
            }
            too_many |= shares.len() as u64 >= 2 * MAX_SHARES;
            if !too_many {
                shares.push(share);
            }
        }
    })?;
    if too_many { Err(WriteError::Full { shares: MAX_SHARES }.into()) } else { Ok((shares, untagged)) }
}

fn look_for_gaps(ledger: &Reader, (from_ms, to_ms): (u64, u64), drawn: &mut Drawn) -> io::Result<()> {
    ledger.entries(Stream::Notes, &mut |entry| {
        if let Entry::Gap(Gap { from_ms: from, to_ms: to, shares_lost, .. }) = entry
            && from < to_ms
            && to > from_ms
        {
            drawn.lost += shares_lost;
        }
    })?;
    let evicted = ledger.evicted()?.remove(&Stream::Evidence).map(|evicted| evicted.to_ms);
    drawn.evicted_until_ms = evicted.filter(|until| *until > from_ms);
    Ok(())
}

/// What was delivered on the day before a moment (Unix seconds), hashes per second; nothing where nothing was.
///
/// # Errors
/// The ledger cannot be read.
pub fn prior_day(ledger: &Reader, before: u64, choice: &Choice) -> io::Result<Option<u128>> {
    let to_ms = before.saturating_mul(1_000);
    let from_ms = to_ms.saturating_sub(DAY_MS);
    let (hashes, period) = ledger.sums(from_ms, to_ms, |sum: &mut i128, _, key, row| {
        if choice.has(key) && !choice.leaves_out(key) {
            let verified = row.cells.iter().filter(|(column, _)| &**column == "verified");
            *sum += verified.map(|(_, amount)| amount.hashes).sum::<i128>();
        }
    })?;
    let seconds = u128::from(period.to_ms.saturating_sub(period.from_ms) / 1_000).max(1);
    Ok(u128::try_from(hashes).ok().map(|hashes| hashes / seconds).filter(|rate| *rate > 0))
}

/// The newest of the ledger's jobs, as a receipt has them: many shares in a row are of one.
#[derive(Default)]
struct Jobs {
    made: Vec<(Arc<ledger::record::Job>, Job)>,
}

impl Jobs {
    /// So many are at hand.
    const KEPT: usize = 64;

    fn of(&mut self, job: &Arc<ledger::record::Job>) -> &Job {
        let at = self.made.iter().position(|(known, _)| Arc::ptr_eq(known, job) || known == job);
        let at = at.unwrap_or_else(|| {
            if self.made.len() >= Self::KEPT {
                self.made.remove(0);
            }
            let made = Job {
                version: job.version,
                prev_hash: job.prev_hash,
                nbits: job.nbits,
                min_ntime: job.min_ntime,
                // Only terms with a tag ask, and without it no share of theirs is here.
                prefix_length: job.prefix_length.unwrap_or(0),
                coinbase_prefix: job.coinbase_prefix.to_vec(),
                coinbase_suffix: job.coinbase_suffix.to_vec(),
                merkle_path: job.merkle_path.to_vec(),
            };
            self.made.push((Arc::clone(job), made));
            self.made.len() - 1
        });
        &self.made[at].1
    }
}

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Nobody is included.
    #[error(
        "the ledger has no evidence of anybody who is meant in this period: look at adit report for what it has, and at \
         [ledger] evidence"
    )]
    Nobody,
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// There is no root to be counter-signed.
    #[error("there is no running root: {0}")]
    Root(#[from] RootError),
    /// The ledger cannot be read.
    #[error("cannot read the ledger: {0}")]
    Io(#[from] io::Error),
}
