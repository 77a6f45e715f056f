//! What is written is what is read, and nothing else is.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::fixture::{FROM, header, issuer, job, key, receiver, share, signed, terms};
use crate::records::MAGIC;
use crate::{
    AgreementError, CounterSignature, Job, Part, ReadError, Reader, RunningRoot, Share, SignedTerms, Terms,
    WriteError, Writer, Written,
};

/// 40 shares of 12 jobs, one that is used again after others, and a counter-signature after 20 shares.
fn written() -> (Vec<u8>, Vec<(Share, Job)>) {
    let terms = terms();
    let header = header(&terms);
    let mut writer = Writer::new(Vec::new(), &signed(&terms), header).unwrap();
    let mut shares = Vec::new();
    let mut tree = RunningRoot::default();
    for n in 0..40_u32 {
        let job = job(if n == 30 { 2 } else { n / 4 });
        let share = share(&terms, &header, &job, FROM + 60 * u64::from(n), n << 16);
        assert_eq!(writer.share(&job, &share).unwrap(), Written::Taken);
        assert_eq!(writer.share(&job, &share).unwrap(), Written::Again);
        tree.push(share.leaf(&job.hash()));
        assert_eq!(writer.root(), (tree.leaves(), tree.root()));
        shares.push((share, job));
        if n == 19 {
            let root = tree.root();
            let counter = CounterSignature::sign(terms.hash(), 20, root, FROM + 1_200, &receiver());
            assert_eq!(CounterSignature::decode(&counter.encode()), Some(counter));
            writer.counter_signature(&counter).unwrap();
        }
    }
    let (file, claim) = writer.finish(FROM + 3_700, &issuer()).unwrap();
    assert_eq!((claim.shares, claim.root), (40, tree.root()));
    assert!(terms.issuer.verifies(claim.message(terms.hash(), header.hash()), &claim.signature));
    (file, shares)
}

#[test]
fn what_is_written_is_read() {
    let (file, shares) = written();
    let mut reader = Reader::new(&file[..]).unwrap();
    assert_eq!(*reader.terms(), signed(&terms()));
    assert_eq!(*reader.header(), header(&terms()));
    let (mut read, mut counters, mut claims) = (Vec::new(), 0, 0);
    while let Some(part) = reader.next_part().unwrap() {
        match part {
            Part::Share(share, job) => {
                assert_eq!(job.hash, job.job.hash());
                read.push((share, job.job.clone()));
            }
            Part::Counter(counter) => {
                assert_eq!(read.len(), 20);
                assert!(counter.holds(terms().hash()) && !counter.holds([0; 32]));
                counters += 1;
            }
            Part::Claim(claim) => {
                assert_eq!(claim.shares, 40);
                claims += 1;
            }
        }
    }
    assert!(read == shares && (counters, claims) == (1, 1));
    assert!(matches!(reader.next_part(), Ok(None)));
}

#[test]
fn a_file_that_is_cut_off_or_goes_on_is_refused() {
    let (file, _) = written();
    let read = |file: &[u8]| {
        let mut reader = Reader::new(file)?;
        let mut parts = format!("{:?}", (reader.terms(), reader.header()));
        while let Some(part) = reader.next_part()? {
            parts += &format!("{part:?}");
        }
        Ok::<String, ReadError>(parts)
    };
    let whole = read(&file).unwrap();
    for cut in 0..file.len() {
        assert!(read(&file[..cut]).is_err(), "cut at {cut}");
    }
    assert!(matches!(read(&[&file[..], &[0]].concat()), Err(ReadError::Trailing)));
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        // Some bits only choose among ways to write the same.
        assert!(read(&damaged).is_ok_and(|read| read == whole) || read(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused_on_the_way() {
    let mut bomb = MAGIC.to_vec();
    let mut stream = ZlibEncoder::new(&mut bomb, Compression::best());
    // Terms that say they are as long as a record may be, and nothing but zeros.
    stream.write_all(&[1, 0x80, 0x80, 0x0a]).unwrap();
    let zeros = vec![0; 1 << 16];
    for _ in 0..1_024 {
        stream.write_all(&zeros).unwrap();
    }
    stream.finish().unwrap();
    assert!(bomb.len() < 100_000);
    assert!(matches!(Reader::new(&bomb[..]), Err(ReadError::Terms(_))));
}

#[test]
fn what_cannot_stand_in_a_receipt_is_refused_before_it_is_written() {
    let terms = terms();
    let header = header(&terms);
    let mut other = header;
    other.exponent += 1;
    assert!(matches!(
        Writer::new(Vec::new(), &signed(&terms), other),
        Err(WriteError::Exponent { right, .. }) if right == header.exponent
    ));
    other = header;
    other.to += 1;
    assert!(matches!(Writer::new(Vec::new(), &signed(&terms), other), Err(WriteError::Period { .. })));

    let mut writer = Writer::new(Vec::new(), &signed(&terms), header).unwrap();
    let job = job(0);
    let good = share(&terms, &header, &job, FROM + 100, 0);
    let easy = (0..).map(|nonce| Share { nonce, ..good.clone() });
    let target = crate::sampling::target(header.exponent);
    let easy = easy.into_iter().find(|share| !share.block_hash(&job).meets(&target)).unwrap();
    assert_eq!(writer.share(&job, &easy).unwrap(), Written::Below);
    assert_eq!(writer.share(&job, &good).unwrap(), Written::Taken);
    let early = share(&terms, &header, &job, FROM + 99, 0);
    assert!(matches!(writer.share(&job, &early), Err(WriteError::Order { .. })));
    let late = share(&terms, &header, &job, terms.to + 1, 0);
    assert!(matches!(writer.share(&job, &late), Err(WriteError::Time(_))));
    let seen = CounterSignature::sign(terms.hash(), 1, [0; 32], FROM, &receiver());
    assert!(matches!(writer.counter_signature(&seen), Err(WriteError::CounterShares { .. })));
    assert!(matches!(writer.finish(FROM, &key(5)), Err(WriteError::Issuer { .. })));
}

#[test]
fn terms_are_signed_by_their_parties_and_read_back() {
    let mut signed = SignedTerms::new(terms()).unwrap();
    assert!(signed.sign(1, &key(9)).is_err(), "no party");
    signed.sign(1, &receiver()).unwrap();
    signed.sign(2, &receiver()).unwrap();
    signed.sign(3, &issuer()).unwrap();
    assert_eq!(signed.agreements.len(), 2);
    assert_eq!(signed.agreed(&receiver().public()).map(|agreement| agreement.at), Some(2));
    let file = signed.to_file();
    assert_eq!(SignedTerms::from_file(&file), Ok(signed.clone()));
    signed.terms.note = "21 sat".into();
    assert_eq!(signed.agreed(&receiver().public()), None, "other terms");
    assert!(SignedTerms::from_file(&file[..file.len() - 1]).is_err());
}

#[test]
fn the_receiver_draws_the_salt_before_anybody_signs() {
    let mut signed = SignedTerms::new(terms()).unwrap();
    let before = signed.clone();
    let drawn = signed.draw_salt([9; 16], &issuer().public());
    assert_eq!(drawn, Err(AgreementError::NoReceiver { key: issuer().public() }));
    signed.sign(1, &issuer()).unwrap();
    assert_eq!(signed.draw_salt([9; 16], &receiver().public()), Err(AgreementError::SignedAlready));
    let mut signed = before.clone();
    signed.draw_salt([9; 16], &receiver().public()).unwrap();
    signed.sign(2, &receiver()).unwrap();
    assert_eq!(signed.terms, Terms { salt: [9; 16], ..before.terms });
    assert!(signed.agreed(&receiver().public()).is_some());
}
