//! What lies in the directory is told, whatever it is, and nothing else is given.

use std::time::{Duration, SystemTime};

use receipt::{Basis, Ending, Network, Payout, SecretKey, Terms};

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-shelf-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(Some(self.0.clone()))
    }

    /// Puts a fixture there, so old.
    fn put(&self, fixture: &str, name: &str, old: u64) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol-fixtures/receipts");
        self.write(&std::fs::read(fixtures.join(fixture)).unwrap(), name, old);
    }

    fn write(&self, bytes: &[u8], name: &str, old: u64) {
        std::fs::write(self.0.join(name), bytes).unwrap();
        let file = File::options().write(true).open(self.0.join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 - old)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn names(listed: &ReceiptsSnapshot) -> Vec<&str> {
    listed.receipts.iter().map(|receipt| &*receipt.name).collect()
}

#[test]
fn receipts_are_listed_newest_first_and_one_that_cannot_be_read_says_why() {
    let folder = Folder::new("listed");
    folder.put("honest.receipt", "b.receipt", 20);
    folder.put("honest.receipt", "a.receipt", 10);
    folder.put("a-byte-damaged.receipt", "damaged.receipt", 30);
    folder.put("merged.receipt", "merged.receipt", 40);
    folder.write(b"text", "other.txt", 0);
    let shelf = folder.shelf();
    let listed = shelf.list(0, 100);
    assert_eq!((listed.issues, listed.total), (true, 4));
    assert_eq!(names(&listed), ["a.receipt", "b.receipt", "damaged.receipt", "merged.receipt"]);
    let ReceiptSnapshot { subject, shares, hashes, hashes_low, hashes_high, issued, to, .. } =
        &listed.receipts[0];
    assert_eq!((&**subject, *shares), ("lease", 60), "{listed:?}");
    assert!(*hashes_low < *hashes && *hashes < *hashes_high && *issued >= *to, "{listed:?}");
    let problem = |at: usize| listed.receipts[at].problem.clone().unwrap_or_default();
    assert!(problem(2).contains("damaged") && problem(3).contains("merged"), "{listed:?}");

    let part = shelf.list(1, 2);
    assert_eq!((names(&part), part.total), (vec!["b.receipt", "damaged.receipt"], 4));
    assert_eq!(shelf.list(4, 2).receipts, []);
    folder.put("honest.receipt", "damaged.receipt", 5);
    assert_eq!(shelf.list(0, 1).receipts[0].problem, None, "it was put right");
    assert_eq!(Shelf::new(None).list(0, 100), ReceiptsSnapshot::default());
}

#[test]
fn terms_are_told_until_they_are_over_with_who_signed_and_when_a_receipt_is_due() {
    let folder = Folder::new("terms");
    let [issuer, receiver] = [7, 8].map(|byte| SecretKey::from_bytes([byte; 32]).unwrap());
    let terms = |from: u64, receiver| Terms {
        network: Network::Regtest,
        subject: Subject::Lease("friend".into()),
        from,
        to: from + 250,
        every: 100,
        hashrate: 1_000,
        basis: Basis::Agreed,
        ending: Ending::Period,
        issuer: issuer.public(),
        receiver,
        payout: Payout::default(),
        pool_tag: "".into(),
        tag_length: 0,
        salt: [0; 16],
        note: "".into(),
    };
    let mut both = SignedTerms::new(terms(2_000, Some(receiver.public()))).unwrap();
    both.sign(1_000, &issuer).unwrap();
    both.sign(1_000, &receiver).unwrap();
    folder.write(&both.to_file(), "both.terms", 0);
    folder.write(&SignedTerms::new(terms(1_000, None)).unwrap().to_file(), "early.terms", 0);
    let mut one = SignedTerms::new(terms(3_000, Some(receiver.public()))).unwrap();
    one.sign(1_000, &issuer).unwrap();
    folder.write(&one.to_file(), "one.terms", 0);
    folder.write(b"text", "text.terms", 0);

    let shelf = folder.shelf();
    let at = |now| shelf.list_at(now, 0, 100).terms;
    let told = |now| -> Vec<(String, Option<u64>)> {
        at(now).into_iter().map(|terms| (terms.name, terms.due)).collect()
    };
    let text = ("text.terms".to_owned(), None);
    let one = ("one.terms".to_owned(), None);
    assert_eq!(
        told(1_249),
        [text.clone(), ("early.terms".to_owned(), Some(1_250)), ("both.terms".to_owned(), None), one.clone()]
    );
    assert_eq!(told(2_000), [text.clone(), ("both.terms".to_owned(), Some(2_100)), one.clone()]);
    assert_eq!(told(2_100)[1].1, Some(2_200));
    assert_eq!(told(2_249)[1].1, Some(2_250), "the last may be shorter");
    assert_eq!(told(2_250), [text, one]);
    let signed: Vec<_> =
        at(0).iter().map(|terms| (terms.issuer_signed, terms.receiver_signed)).skip(1).collect();
    assert_eq!(signed, [(false, None), (true, Some(true)), (true, Some(false))]);
    assert!(at(0)[0].problem.is_some());
}

#[test]
fn only_receipts_of_the_directory_are_given() {
    let folder = Folder::new("given");
    folder.put("honest.receipt", "a.receipt", 0);
    folder.write(b"secret", "farm.key", 0);
    std::fs::create_dir(folder.0.join("inner.receipt")).unwrap();
    let shelf = folder.shelf();
    assert_eq!(shelf.file("a.receipt").unwrap(), std::fs::read(folder.0.join("a.receipt")).unwrap());
    let outside = folder.0.with_extension("receipt");
    std::fs::write(&outside, "outside").unwrap();
    let up = format!("../{}", outside.file_name().unwrap().to_str().unwrap());
    let whole = folder.0.join("a.receipt");
    let dotted = ["./a.receipt", "a.receipt/", "..", ".", "", "/", "farm.key", "inner.receipt", "b.receipt"];
    for name in dotted.into_iter().chain([&*up, whole.to_str().unwrap()]) {
        assert_eq!(shelf.file(name), None, "{name}");
    }
    std::fs::remove_file(outside).unwrap();
}
