//! Receipts as a forger writes them: nothing is checked, and everything can be changed, before it is signed and after.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::coding::{Cursor, Encoder};
use crate::fixture::{FROM, header, issuer, job, receiver, share, signed, terms};
use crate::records::{MAGIC, kind};
use crate::{
    Claim, CounterSignature, Figures, Header, Job, RunningRoot, SecretKey, Share, Signature, SignedTerms,
    Terms,
};

/// A record: kind and body.
pub(super) type Record = (u8, Vec<u8>);

/// A receipt that is to be.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) terms: SignedTerms,
    pub(super) header: Header,
    pub(super) shares: Vec<(Job, Share)>,
    /// After how many shares, and what.
    pub(super) counters: Vec<(usize, CounterSignature)>,
    pub(super) key: SecretKey,
    /// What is changed in the claim before it is signed.
    pub(super) claim: fn(&mut Claim),
}

impl Draft {
    /// An honest receipt of 60 shares, one a minute, counter-signed after 30.
    pub(super) fn honest() -> Self {
        Self::under(&terms())
    }

    pub(super) fn under(terms: &Terms) -> Self {
        let header = header(terms);
        let shares: Vec<_> = (0..60_u32)
            .map(|n| {
                let job = job(n / 4);
                let share = share(terms, &header, &job, FROM + 60 * u64::from(n), n << 16);
                (job, share)
            })
            .collect();
        let mut draft =
            Self { terms: signed(terms), header, shares, counters: Vec::new(), key: issuer(), claim: |_| () };
        draft.counter_sign(30, FROM + 1_800);
        draft
    }

    /// The receiver counter-signs the first so many shares.
    pub(super) fn counter_sign(&mut self, shares: usize, at: u64) {
        self.counter_sign_by(shares, at, &receiver());
    }

    /// Somebody does.
    pub(super) fn counter_sign_by(&mut self, shares: usize, at: u64, key: &SecretKey) {
        let mut tree = RunningRoot::default();
        self.shares[..shares].iter().for_each(|(job, share)| tree.push(share.leaf(&job.hash())));
        let terms = self.terms.terms.hash();
        let signature = CounterSignature::sign(terms, tree.leaves(), tree.root(), at, key);
        self.counters.push((shares, signature));
    }

    /// Its records.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records = vec![(kind::TERMS, self.terms.encode()), (kind::HEADER, self.header.encode())];
        let mut tree = RunningRoot::default();
        let mut before: Option<&Job> = None;
        let mut last = self.header.from;
        for (n, (job, share)) in self.shares.iter().enumerate() {
            self.counters_at(n, &mut records);
            if before != Some(job) {
                records.push((kind::JOB, job.encode(before.unwrap_or(&Job::default()))));
                before = Some(job);
            }
            records.push((kind::SHARE, share.encode(0, last)));
            last = share.at;
            tree.push(share.leaf(&job.hash()));
        }
        self.counters_at(self.shares.len(), &mut records);
        let terms = &self.terms.terms;
        let Figures { shares, hashes, low, high, hashrate, .. } =
            Figures::of(tree.leaves(), terms, &self.header);
        let (root, at, signature) = (tree.root(), self.header.to + 60, Signature([0; 64]));
        let mut claim = Claim { root, at, shares, hashes, low, high, hashrate, signature };
        (self.claim)(&mut claim);
        claim.signature = self.key.sign(claim.message(terms.hash(), self.header.hash()));
        records.push((kind::CLAIM, claim.encode()));
        records
    }

    fn counters_at(&self, shares: usize, records: &mut Vec<Record>) {
        let here = self.counters.iter().filter(|(after, _)| *after == shares);
        records.extend(here.map(|(_, signature)| (kind::COUNTER, signature.encode())));
    }

    /// Its file.
    pub(super) fn file(&self) -> Vec<u8> {
        pack(&self.records())
    }

    /// Its file, with something done to the records after it was signed.
    pub(super) fn tampered(&self, change: impl FnOnce(&mut Vec<Record>)) -> Vec<u8> {
        let mut records = self.records();
        change(&mut records);
        pack(&records)
    }
}

/// Records as a file.
pub(super) fn pack(records: &[Record]) -> Vec<u8> {
    let mut stream = Encoder::default();
    for (kind, body) in records {
        stream.byte(*kind);
        stream.string(body);
    }
    pack_bytes(&stream.bytes)
}

/// A stream's bytes as a file.
pub(super) fn pack_bytes(stream: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(MAGIC.to_vec(), Compression::best());
    packed.write_all(stream).expect("memory");
    packed.finish().expect("memory")
}

/// A file's records again.
pub(super) fn unpack(file: &[u8]) -> Vec<Record> {
    let mut stream = Vec::new();
    ZlibDecoder::new(&file[MAGIC.len()..]).read_to_end(&mut stream).expect("a stream");
    let mut cursor = Cursor::new(&stream);
    let mut records = Vec::new();
    while let Some(kind) = cursor.byte() {
        records.push((kind, cursor.string(1 << 20).expect("a body").to_vec()));
    }
    records
}

/// Where the so-manieth record of a kind stands, from 0 on.
pub(super) fn nth(records: &[Record], wanted: u8, n: usize) -> usize {
    let mut places = (0..).zip(records).filter(|(_, (kind, _))| *kind == wanted).map(|(place, _)| place);
    places.nth(n).expect("so many")
}
