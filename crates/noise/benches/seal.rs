//! What encryption costs: one share's frame (70 bytes) and a long one each way, and a whole handshake.
//! `cargo bench -p adit-noise`.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use noise::{
    AuthoritySecretKey, Certificate, DEFAULT_LEEWAY_S, Initiator, Opener, PAYLOAD_LEN_MAX, Responder, Sealer,
    StaticKeypair,
};

/// A `SubmitSharesExtended` with an 8-byte extranonce has 39 bytes; 64 leave room for a worker's name.
const SHARE_PAYLOAD: usize = 64;
const BATCH: usize = 64;

struct Keys {
    authority: AuthoritySecretKey,
    server: StaticKeypair,
    certificate: Certificate,
}

fn keys() -> Keys {
    let authority = AuthoritySecretKey::from_bytes([1; 32]).expect("in range");
    let server = StaticKeypair::from_secret_bytes([2; 32]).expect("in range");
    let certificate = Certificate::issue(&authority, &server, 0, u32::MAX, [3; 32]);
    Keys { authority, server, certificate }
}

fn link(keys: &Keys) -> (Sealer, Opener) {
    let (initiator, act1) = Initiator::new(Some(keys.authority.public()), [4; 32]);
    let (act2, server) = Responder::new(&keys.server, keys.certificate, [5; 32])
        .respond(&act1)
        .expect("any act 1 is answered");
    let client = initiator.finish(&act2, 1, DEFAULT_LEEWAY_S).expect("the certificate is good");
    (client.split().0, server.split().1)
}

fn frame(payload_len: usize) -> Vec<u8> {
    let len = u32::try_from(payload_len).expect("fits a U24").to_le_bytes();
    let mut frame = vec![0, 0x80, 0x1b, len[0], len[1], len[2]];
    frame.resize(6 + payload_len, 0xa5);
    frame
}

fn sealing(c: &mut Criterion) {
    let keys = keys();
    let share = frame(SHARE_PAYLOAD);
    let mut group = c.benchmark_group("seal");

    let (mut sealer, _) = link(&keys);
    let mut wire = BytesMut::with_capacity(1 << 16);
    group.bench_function("one_70_byte_frame", |b| {
        b.iter(|| {
            wire.clear();
            sealer.seal_frame(black_box(&share), &mut wire)
        });
    });

    let batch = share.repeat(BATCH);
    let mut frames = BytesMut::with_capacity(batch.len());
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("batch_of_64_70_byte_frames", |b| {
        b.iter(|| {
            wire.clear();
            frames.extend_from_slice(&batch);
            sealer.seal(black_box(&mut frames), &mut wire)
        });
    });

    let long = frame(200_000);
    let mut wire = BytesMut::with_capacity(1 << 18);
    group.throughput(Throughput::Bytes(200_000));
    group.bench_function("one_200_kB_frame", |b| {
        b.iter(|| {
            wire.clear();
            sealer.seal_frame(black_box(&long), &mut wire)
        });
    });
    group.finish();
}

/// Ciphertext cannot be opened twice: each run opens what was sealed for it, out of the timing.
fn opening(c: &mut Criterion) {
    let keys = keys();
    let mut group = c.benchmark_group("open");
    for (name, payload_len, frames) in
        [("70_byte_frames", SHARE_PAYLOAD, 10_000), ("200_kB_frames", 200_000, 20)]
    {
        let plain = frame(payload_len);
        group.throughput(Throughput::Elements(frames));
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    let (mut sealer, opener) = link(&keys);
                    let mut wire = BytesMut::new();
                    for _ in 0..frames {
                        sealer.seal_frame(&plain, &mut wire).expect("one whole frame");
                    }
                    (opener, wire)
                },
                |(mut opener, mut wire)| {
                    while let Some(frame) = opener.open(&mut wire, PAYLOAD_LEN_MAX).expect("authentic") {
                        black_box(&frame.payload);
                    }
                    assert!(wire.is_empty(), "everything was opened");
                    (opener, wire)
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn handshake(c: &mut Criterion) {
    let keys = keys();
    let authority = keys.authority.public();
    let mut group = c.benchmark_group("handshake");
    group
        .bench_function("initiator_act1", |b| b.iter(|| Initiator::new(Some(authority), black_box([4; 32]))));
    let (_, act1) = Initiator::new(Some(authority), [4; 32]);
    group.bench_function("responder", |b| {
        b.iter(|| Responder::new(&keys.server, keys.certificate, [5; 32]).respond(black_box(&act1)));
    });
    let (act2, _) = Responder::new(&keys.server, keys.certificate, [5; 32])
        .respond(&act1)
        .expect("any act 1 is answered");
    group.bench_function("initiator_finish", |b| {
        b.iter_batched(
            || Initiator::new(Some(authority), [4; 32]).0,
            |initiator| initiator.finish(black_box(&act2), 1, DEFAULT_LEEWAY_S),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("issue_certificate", |b| {
        b.iter(|| Certificate::issue(&keys.authority, &keys.server, 0, black_box(1), [3; 32]));
    });
    group.finish();
}

criterion_group!(benches, sealing, opening, handshake);
criterion_main!(benches);
