//! What a forger may try, and by what each is found out. `docs/receipts.md` has the same table; the last test holds it against
//! this one.

mod content;
mod sample;
mod word;

use std::fmt::Write as _;

use super::draft::{Draft, Record, unpack};
use crate::fixture::{FROM, chain_file, forger, issuer, job, receiver, share, terms};
use crate::records::MERGED_MAGIC;
use crate::{
    Block, FindingKind as Kind, HeaderSource, HeaderSourceError, Headers, NotProven, Outcome, Terms,
    Verified, Writer, verify_file,
};

/// By what something is found out.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    /// A finding, with that outcome.
    Finding(Kind, Outcome),
    /// It is no lie, but verify says that it does not prove this.
    NotProven(NotProven),
}

/// What is given to `verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inputs {
    /// The file alone.
    File,
    /// The file, and a file of headers.
    Headers,
    /// The file, and a node.
    Node,
    /// A file of merged receipts.
    Merged,
}

pub(super) struct Forgery {
    pub(super) name: &'static str,
    pub(super) inputs: Inputs,
    pub(super) by: By,
    /// What verify says, or a part of it.
    pub(super) reason: &'static str,
    pub(super) file: fn() -> Vec<u8>,
}

const fn row(
    name: &'static str,
    inputs: Inputs,
    kind: Kind,
    outcome: Outcome,
    reason: &'static str,
    file: fn() -> Vec<u8>,
) -> Forgery {
    Forgery { name, inputs, by: By::Finding(kind, outcome), reason, file }
}

/// Found in the file alone, and refused.
const fn refused(name: &'static str, kind: Kind, reason: &'static str, file: fn() -> Vec<u8>) -> Forgery {
    row(name, Inputs::File, kind, Outcome::Refused, reason, file)
}

const fn unreadable(name: &'static str, reason: &'static str, file: fn() -> Vec<u8>) -> Forgery {
    row(name, Inputs::File, Kind::Unreadable, Outcome::Unreadable, reason, file)
}

const fn unproven(
    name: &'static str,
    what: NotProven,
    reason: &'static str,
    file: fn() -> Vec<u8>,
) -> Forgery {
    Forgery { name, inputs: Inputs::File, by: By::NotProven(what), reason, file }
}

/// A draft with something done before it is signed.
fn drafted(change: impl FnOnce(&mut Draft)) -> Vec<u8> {
    let mut draft = Draft::honest();
    change(&mut draft);
    draft.file()
}

/// The honest file with something done after it was signed.
fn tampered(change: impl FnOnce(&mut Vec<Record>)) -> Vec<u8> {
    Draft::honest().tampered(change)
}

/// Replaces share 11 of a draft by one that is found anew for what was done to its job.
fn mine_again(draft: &mut Draft, change: impl FnOnce(&mut crate::Job)) {
    draft.counters.clear();
    let (mut job, at) = (draft.shares[10].0.clone(), draft.shares[10].1.at);
    change(&mut job);
    let share = share(&draft.terms.terms, &draft.header, &job, at, 77);
    draft.shares[10] = (job, share);
}

fn other_terms(change: impl FnOnce(&mut Terms)) -> Terms {
    let mut terms = terms();
    change(&mut terms);
    terms
}

fn merged(files: &[Vec<u8>]) -> Vec<u8> {
    let mut all = MERGED_MAGIC.to_vec();
    for file in files {
        let mut length = crate::coding::Encoder::default();
        length.number(file.len() as u64);
        all.extend_from_slice(&length.bytes);
        all.extend_from_slice(file);
    }
    all.push(0);
    all
}

/// All of them.
pub(super) fn forgeries() -> impl Iterator<Item = &'static Forgery> {
    [sample::FORGERIES, content::FORGERIES, word::FORGERIES].into_iter().flatten()
}

const ORPHAN: [u8; 32] = [5; 32];

/// A node that knows an orphan besides its chain.
struct Node(Headers);

impl HeaderSource for Node {
    fn find(&mut self, hash: &[u8; 32]) -> Result<Block, HeaderSourceError> {
        if *hash == ORPHAN { Ok(Block::Off) } else { self.0.find(hash) }
    }
}

pub(super) fn verified(file: &[u8], inputs: Inputs) -> Verified {
    let mut headers = Headers::read(&chain_file()).expect("a file of headers");
    match inputs {
        Inputs::File | Inputs::Merged => verify_file(file, None),
        Inputs::Headers => verify_file(file, Some(&mut headers)),
        Inputs::Node => verify_file(file, Some(&mut Node(headers))),
    }
}

fn found_out(forgery: &Forgery) -> Result<(), String> {
    let file = (forgery.file)();
    let verified = verified(&file, forgery.inputs);
    let (findings, not_proven) = match &verified {
        Verified::One(report) => (report.findings.clone(), report.not_proven.clone()),
        Verified::Merged(report) => {
            let parts = report.receipts.iter().flat_map(|part| part.findings.clone());
            (report.findings.iter().cloned().chain(parts).collect(), Vec::new())
        }
    };
    let holds = match forgery.by {
        By::Finding(kind, outcome) => {
            verified.outcome() == outcome
                && findings
                    .iter()
                    .any(|finding| finding.kind == kind && finding.text.contains(forgery.reason))
        }
        By::NotProven(what) => {
            verified.outcome() == Outcome::Holds
                && not_proven.iter().any(|said| said.what == what && said.text.contains(forgery.reason))
        }
    };
    if holds { Ok(()) } else { Err(format!("{}: {verified:#?}", forgery.name)) }
}

#[test]
fn every_forgery_is_found_out() {
    let missed: Vec<String> = forgeries().filter_map(|forgery| found_out(forgery).err()).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(forgeries().count() >= 20);
}

#[test]
fn an_honest_receipt_holds() {
    let file = Draft::honest().file();
    for inputs in [Inputs::File, Inputs::Headers, Inputs::Node] {
        let Verified::One(report) = verified(&file, inputs) else { unreachable!("it is one") };
        assert_eq!((report.outcome, report.findings.len()), (Outcome::Holds, 0), "{report:#?}");
        assert_eq!(report.counted.map(|figures| figures.shares), Some(60));
    }
    // The forger's way of writing is the honest one's.
    let draft = Draft::honest();
    let mut writer = Writer::new(Vec::new(), &draft.terms, draft.header).unwrap();
    for (n, (job, share)) in draft.shares.iter().enumerate() {
        if n == 30 {
            writer.counter_signature(&draft.counters[0].1).unwrap();
        }
        writer.share(job, share).unwrap();
    }
    let (written, _) = writer.finish(draft.header.to + 60, &issuer()).unwrap();
    assert!(unpack(&written) == draft.records());
}

#[test]
fn what_others_counter_sign_later_does_not_hide_what_the_receiver_saw() {
    let mut draft = Draft::honest();
    for (key, at) in [(forger(), FROM + 3_599), (issuer(), FROM + 3_600)] {
        draft.counter_sign_by(60, at, &key);
    }
    let Verified::One(report) = verified(&draft.file(), Inputs::File) else { unreachable!("it is one") };
    assert_eq!(report.outcome, Outcome::Holds, "{report:#?}");
    let seen = report.counter_signed.unwrap();
    assert_eq!((seen.shares, seen.key), (30, receiver().public()));
    assert!(report.not_proven.iter().any(|said| said.text.contains("the last 30 shares")), "{report:#?}");
}

/// The rows of the table in `docs/receipts.md`.
fn table() -> String {
    let mut table = String::new();
    for Forgery { name, inputs, by, reason, .. } in forgeries() {
        let inputs = match inputs {
            Inputs::File => "the file",
            Inputs::Headers => "the file, headers",
            Inputs::Node => "the file, a node",
            Inputs::Merged => "both files, merged",
        };
        let word = |value: serde_json::Result<serde_json::Value>| {
            value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let by = match by {
            By::Finding(kind, outcome) => {
                format!("{}: `{}`", word(serde_json::to_value(outcome)), word(serde_json::to_value(kind)))
            }
            By::NotProven(what) => format!("not proven: `{}`", word(serde_json::to_value(what))),
        };
        writeln!(table, "| {name} | {inputs} | {by} | ...{reason}... |").expect("memory");
    }
    table
}

#[test]
fn the_table_of_forgeries_is_the_documentations() {
    let docs =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/receipts.md")).unwrap();
    assert!(docs.contains(&table()), "docs/receipts.md must have these rows:\n{}", table());
}

/// Jobs and shares for others' tests: a job's number is where its tip is from.
#[test]
fn the_chain_of_the_tests_is_one() {
    assert!(Headers::read(&chain_file()).is_ok());
    assert!(job(0).prev_hash != job(14).prev_hash);
}
