//! Row 10: a miner that keeps to its first, easy job and follows no difficulty.

use std::time::{Duration, Instant};

use integration_tests::blockless_pool::BlocklessPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::Settings;
use integration_tests::sv1_client::Sv1Client;
use integration_tests::{promise, wait};
use lab::pow::{HeaderHasher, Target};
use lab::sv1_wire::{NotifiedJob, ServerLine, push_hex, read_server_line};
use serde_json::json;

use crate::PATIENCE;
use crate::farm::Farm;

/// Some thousand hashes a share.
const DIFFICULTY: f64 = 1e-6;
/// A share in ten seconds is wished for, one a second is put up with.
const LISTENER: &str = "difficulty_min = 1e-6\ndifficulty_start = 1e-6\nshares_per_minute = 6\n";
/// It hands in one each time that this has passed.
const SHARE_EVERY: Duration = Duration::from_millis(125);
/// More are put up with for so long.
const PUT_UP_WITH: Duration = Duration::from_secs(9);

/// The first job that a client was told.
fn first_job(client: &Sv1Client, since: Instant) -> NotifiedJob {
    let heard = client.wait_job("", since, PATIENCE);
    match read_server_line(heard.message.to_string().as_bytes()) {
        Ok(ServerLine::Notify(job)) => *job,
        other => panic!("a job: {other:?}"),
    }
}

/// Bytes of hex.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    push_hex(&mut text, bytes);
    String::from_utf8(text).expect("digits")
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_miner_that_follows_no_difficulty_is_paid_until_it_is_closed() {
    let folder = Folder::new();
    // A new tip would be an end to its first job.
    let a = BlocklessPool::start();
    let settings = Settings { listener: LISTENER.to_owned(), ..Settings::default() };
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let came = Instant::now();
    let mut stubborn = Sv1Client::connect(farm.adit.port(), "farm.stubborn");
    let (job, extranonce1) = (first_job(&stubborn, came), bytes(stubborn.extranonce1()));
    let subscribed = stubborn.heard().into_iter().find_map(|heard| heard.message["result"][2].as_u64());
    let size = usize::try_from(subscribed.expect("an extranonce2_size")).expect("a few bytes");
    let target = Target::from_difficulty(DIFFICULTY);
    let (began, mut taken) = (Instant::now(), 0_u32);
    while stubborn.closed().is_none() {
        assert!(began.elapsed() < PATIENCE, "it is not closed: {taken} shares");
        wait::until_so("it is time for a share", PATIENCE, || began.elapsed() >= SHARE_EVERY * taken);
        let number = u64::from(taken).to_be_bytes();
        let extranonce2 = &number[number.len() - size..];
        let hasher = HeaderHasher::new(&job.header(&extranonce1, extranonce2));
        let nonce = (0..u32::MAX).find(|nonce| hasher.hash(*nonce).meets(&target)).expect("a share");
        let share = json!([
            "farm.stubborn",
            job.job_id,
            hex(extranonce2),
            format!("{:08x}", job.ntime),
            format!("{nonce:08x}")
        ]);
        let Some(answer) = stubborn.call_or_end("mining.submit", &share) else { break };
        assert_eq!(answer["result"], true, "a share of a job that it was given: {answer}");
        taken += 1;
    }
    let closed = began.elapsed();
    wait::until_so("it counts as what it is", PATIENCE, || farm.adit.closed("too_fast") >= 1.0);
    assert!(closed >= PUT_UP_WITH, "{closed:?}: one second too fast is no reason");
    let told = stubborn.heard().into_iter().filter_map(|heard| {
        let difficulty = heard.message["params"][0].as_f64();
        difficulty.filter(|_| heard.method() == Some("mining.set_difficulty"))
    });
    let told = told.fold(0.0, f64::max);
    assert!(told > DIFFICULTY, "it was told a harder difficulty before: {told}");
    farm.wait_acknowledged("a", 3);
    let rest = farm.finish(10);
    promise::figure(
        "10",
        &format!(
            "a miner that keeps to difficulty 1e-6 where it was told up to {told:.1e}: {taken} shares taken in {closed:?}, then \
             closed; {rest}"
        ),
    );
}
