//! Receipts add up, and no share counts twice.

use super::draft::Draft;
use crate::fixture::{FROM, receiver, signed, terms};
use crate::{
    Block, FindingKind, HeaderSource, HeaderSourceError, Headers, MergeError, Merger, NotProven, Outcome,
    Proven, Verified, in_words, verify_file,
};

fn other() -> Draft {
    let mut terms = terms();
    terms.note = "another".into();
    Draft::under(&terms)
}

fn merge(files: &[Vec<u8>]) -> Result<Vec<u8>, MergeError> {
    let mut merger = Merger::new(Vec::new())?;
    files.iter().try_for_each(|file| merger.add(file))?;
    Ok(merger.finish()?.0)
}

#[test]
fn merged_receipts_add_up_and_keep_their_signatures() {
    let (a, b) = (Draft::honest().file(), other().file());
    let merged = merge(&[a.clone(), b]).unwrap();
    let Verified::Merged(report) = verify_file(&merged[..], None) else { unreachable!("it is merged") };
    assert_eq!(report.outcome, Outcome::Holds, "{report:#?}");
    let sum = report.sum.unwrap();
    assert_eq!((sum.receipts, sum.shares, sum.hashes), (2, 120, 120 * 128));
    assert!(sum.low < 120.0 * 128.0 && sum.high > 120.0 * 128.0);
    assert!(report.receipts.iter().all(|part| part.proven.iter().any(|said| said.what == Proven::Terms)));
    // What is merged is merged again, part by part.
    assert_eq!(merge(std::slice::from_ref(&merged)).unwrap(), merged);
    assert!(matches!(merge(&[a, merged]), Err(MergeError::Same { .. })));
}

#[test]
fn a_share_is_merged_once() {
    let mut half = Draft::honest();
    half.shares.truncate(30);
    assert!(matches!(
        merge(&[Draft::honest().file(), half.file()]),
        Err(MergeError::Refused(report)) if report.findings[0].kind == FindingKind::Duplicate
    ));
    assert!(matches!(merge(&[b"something else".to_vec()]), Err(MergeError::Refused(_))));
}

/// A node that is not there.
struct Nobody;

impl HeaderSource for Nobody {
    fn find(&mut self, _: &[u8; 32]) -> Result<Block, HeaderSourceError> {
        Err(HeaderSourceError("connection refused".to_owned()))
    }
}

#[test]
fn a_node_that_does_not_answer_leaves_blocks_unproven() {
    let Verified::One(report) = verify_file(&Draft::honest().file()[..], Some(&mut Nobody)) else {
        unreachable!("it is one")
    };
    assert_eq!(report.outcome, Outcome::Holds);
    assert_eq!(report.findings[0].kind, FindingKind::NoAnswer);
    assert!(report.not_proven.iter().any(|said| said.what == NotProven::Blocks));
    assert!(report.proven.iter().all(|said| said.what != Proven::Blocks));
}

#[test]
fn where_no_share_counts_nothing_is_said_to_build_on_the_best_chain() {
    let mut none = Headers::default();
    let Verified::One(report) = verify_file(&Draft::honest().file()[..], Some(&mut none)) else {
        unreachable!("it is one")
    };
    assert_eq!(report.outcome, Outcome::Partly);
    assert_eq!(report.counted.map(|counted| counted.shares), Some(0));
    assert!(report.not_proven.iter().any(|said| said.what == NotProven::Blocks));
    assert!(report.proven.iter().all(|said| said.what != Proven::Blocks));
}

#[test]
fn an_honest_report_says_in_words_what_is_proven() {
    let Verified::One(report) = verify_file(&Draft::honest().file()[..], None) else {
        unreachable!("it is one")
    };
    let said: Vec<&str> = report.proven.iter().map(|said| said.text.as_str()).collect();
    assert!(
        said[0].starts_with("60 shares of difficulty 2^-25: 7.68 k hashes were done, with 95 % confidence"),
        "{said:?}"
    );
    assert!(said.iter().any(|text| text.contains("agreed to these terms")), "{said:?}");
    assert!(
        said.iter()
            .any(|text| text.starts_with("The first 30 of 60 shares were there at 2027-01-15 08:30:00 UTC"))
    );
    let counted = report.counted.unwrap();
    assert_eq!((in_words(counted.hashes), counted.shares), ("7.68 k".to_owned(), 60));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["outcome"], &json["counted"]["hashes"]), (&"holds".into(), &7_680.0.into()));
    assert_eq!(json["terms"]["subject"], serde_json::json!({ "kind": "lease", "name": "lease-1" }));
}

#[test]
fn what_the_receiver_signs_is_what_it_agreed_to() {
    let mut late = Draft::honest();
    late.terms = signed(&terms());
    late.terms.sign(FROM + 1, &receiver()).unwrap();
    let Verified::One(report) = verify_file(&late.file()[..], None) else { unreachable!("it is one") };
    assert!(report.proven.iter().all(|said| said.what != Proven::Terms));
    assert!(report.not_proven.iter().any(|said| said.what == NotProven::ChosenByIssuer));
}

#[test]
fn one_of_several_periods_says_nothing_of_the_others() {
    let mut terms = terms();
    terms.to = FROM + 4 * 3_600;
    let mut draft = Draft::under(&terms);
    draft.header.to = FROM + 3_600;
    let Verified::One(report) = verify_file(&draft.file()[..], None) else { unreachable!("it is one") };
    assert_eq!(report.outcome, Outcome::Holds, "{report:#?}");
    let said: Vec<NotProven> = report.not_proven.iter().map(|said| said.what).collect();
    assert!(
        said.contains(&NotProven::OtherPeriods) && !said.contains(&NotProven::ChosenByIssuer),
        "{said:?}"
    );
}
