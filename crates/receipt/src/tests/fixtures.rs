//! `protocol-fixtures/receipts`: receipts, honest and forged, and what verifying each comes to. The reader in Python that
//! `integration-tests/run --receipts` runs is held against the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::draft::Draft;
use super::forgeries::{Inputs, forgeries, verified};
use crate::fixture::{FROM, chain_file, forger, header, issuer, receiver, signed, terms};
use crate::key::hex;
use crate::{
    COUNTER_MAGIC, CounterSignature, CounterSignedRoot, Ending, FindingKind, Merger, ROOT_MAGIC, RunningRoot,
    SecretKey, SignedRoot, Verified, sampling,
};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../protocol-fixtures/receipts"))
}

/// All files, by their names, and whether headers are given.
fn files() -> BTreeMap<String, (Vec<u8>, bool)> {
    let mut files = BTreeMap::new();
    for forgery in forgeries() {
        let name: String = forgery.name.chars().filter(|c| *c != '\'' && *c != ',').collect();
        let headers = matches!(forgery.inputs, Inputs::Headers | Inputs::Node);
        files.insert(format!("{}.receipt", name.replace(' ', "-")), ((forgery.file)(), headers));
    }
    let honest = Draft::honest().file();
    let mut other = terms();
    (other.ending, other.note) = (Ending::Shares { count: 60 }, "until the sixtieth share".into());
    let mut counted = Draft::under(&other);
    counted.header.to = counted.shares[59].1.at;
    let counted = counted.file();
    let mut none = Draft::honest();
    none.shares.clear();
    none.counters.clear();
    let mut merger = Merger::new(Vec::new()).unwrap();
    for file in [&honest, &counted, &none.file()] {
        merger.add(file).unwrap();
    }
    let (merged, _) = merger.finish().unwrap();
    for (name, file) in
        [("honest", honest), ("counted", counted), ("no-shares", none.file()), ("merged", merged)]
    {
        files.insert(format!("{name}.receipt"), (file, true));
    }
    files.extend(roots().into_iter().map(|(name, file)| (name.to_owned(), (file, false))));
    files
}

/// Roots of the honest receipt after thirty shares, counter-signed and not, honest and forged.
fn roots() -> [(&'static str, Vec<u8>); 8] {
    let mut tree = RunningRoot::default();
    Draft::honest().shares[..30].iter().for_each(|(job, share)| tree.push(share.leaf(&job.hash())));
    let (terms, at) = (terms(), FROM + 1_800);
    let so_far = (tree.leaves(), tree.root());
    let root = SignedRoot::sign(&signed(&terms), &header(&terms), so_far, at, &issuer()).unwrap();
    let changed = |change: fn(&mut SignedRoot), key: Option<SecretKey>| {
        let mut root = root.clone();
        change(&mut root);
        if let Some(key) = key {
            root.signature = key.sign(root.message());
        }
        root.to_file()
    };
    let countered = |at, change: fn(&mut CounterSignature)| {
        let (shares, digest) = so_far;
        let mut counter = CounterSignature::sign(terms.hash(), shares, digest, at, &receiver());
        change(&mut counter);
        CounterSignedRoot { root: root.clone(), counter }.to_file()
    };
    [
        ("running.root", root.to_file()),
        ("running-with-more-shares.root", changed(|root| root.shares += 1, None)),
        ("running-by-a-stranger.root", changed(|_| (), Some(forger()))),
        ("running-in-another-period.root", changed(|root| root.from += 1, Some(issuer()))),
        ("running-at-an-easier-difficulty.root", changed(|root| root.exponent -= 1, Some(issuer()))),
        ("running.counter", countered(at + 30, |_| ())),
        ("running-signed-before.counter", countered(at - 601, |_| ())),
        ("running-with-another-time.counter", countered(at + 30, |counter| counter.at += 1)),
    ]
}

/// What reading a root comes to.
fn root_comes_to(file: &[u8], headers: bool) -> Option<Value> {
    let read = match *file.first_chunk()? {
        ROOT_MAGIC => SignedRoot::from_file(file),
        COUNTER_MAGIC => CounterSignedRoot::from_file(file).map(|signed| signed.root),
        _ => return None,
    };
    let read = read.ok();
    let hashes = |root: &SignedRoot| sampling::hashes(root.exponent) * u128::from(root.shares);
    Some(json!({
        "headers": headers, "outcome": if read.is_some() { "holds" } else { "unreadable" },
        "id": read.as_ref().map(|root| hex(&root.root)), "findings": [], "shares": read.as_ref().map(|root| root.shares),
        "hashes": read.as_ref().map(|root| crate::claim::float(hashes(root))), "low": null, "high": null,
    }))
}

/// What verifying comes to, as both readers say it.
fn come_to(file: &[u8], headers: bool) -> Value {
    if let Some(found) = root_comes_to(file, headers) {
        return found;
    }
    let kinds = |findings: &[crate::Finding]| findings.iter().map(|finding| finding.kind).collect::<Vec<_>>();
    let sorted = |mut kinds: Vec<FindingKind>| {
        let name = |kind| serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned();
        kinds.sort();
        kinds.dedup();
        let mut names: Vec<String> = kinds.into_iter().map(name).collect();
        names.sort();
        names
    };
    match verified(file, if headers { Inputs::Headers } else { Inputs::File }) {
        Verified::One(report) => json!({
            "headers": headers, "outcome": report.outcome, "id": report.id, "findings": sorted(kinds(&report.findings)),
            "shares": report.counted.map(|it| it.shares), "hashes": report.counted.map(|it| crate::claim::float(it.hashes)),
            "low": report.counted.map(|it| it.low), "high": report.counted.map(|it| it.high),
        }),
        Verified::Merged(report) => {
            let parts = report.receipts.iter().flat_map(|part| kinds(&part.findings));
            json!({
                "headers": headers, "outcome": report.outcome,
                "findings": sorted(kinds(&report.findings).into_iter().chain(parts).collect()),
                "shares": report.sum.map(|it| it.shares), "hashes": report.sum.map(|it| crate::claim::float(it.hashes)),
                "low": report.sum.map(|it| it.low), "high": report.sum.map(|it| it.high),
            })
        }
    }
}

#[test]
fn the_fixtures_are_verified_as_they_say() {
    let expected = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Value> = serde_json::from_str(&expected).unwrap();
    for (name, expected) in &expected {
        let file = std::fs::read(folder().join(name)).unwrap();
        let found = come_to(&file, expected["headers"] == true);
        let near = |word: &str| match (found[word].as_f64(), expected[word].as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs(),
            (a, b) => a == b,
        };
        let same = ["outcome", "id", "findings", "shares", "hashes"]
            .iter()
            .all(|word| found[word] == expected[word]);
        assert!(same && near("low") && near("high"), "{name}: {found}, expected {expected}");
    }
    // None is missing, and the headers are those of the tests.
    assert!(files().keys().eq(expected.keys()));
    assert_eq!(std::fs::read(folder().join("chain.headers")).unwrap(), chain_file());
}

/// Makes them anew, after a change of the format.
#[test]
#[ignore = "writes the fixtures"]
fn write_the_fixtures() {
    let mut expected = BTreeMap::new();
    for (name, (file, headers)) in files() {
        std::fs::write(folder().join(&name), &file).unwrap();
        expected.insert(name, come_to(&file, headers));
    }
    std::fs::write(folder().join("chain.headers"), chain_file()).unwrap();
    std::fs::write(folder().join("expected.json"), serde_json::to_string_pretty(&expected).unwrap() + "\n")
        .unwrap();
}
