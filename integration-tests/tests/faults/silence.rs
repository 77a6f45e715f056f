//! Row 4: a pool that takes the connection and then does not answer, at each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::fault_pipe::FaultPipe;
use integration_tests::folder::Folder;
use integration_tests::middleman::{Frame, Middleman, Offer, Way};
use integration_tests::proxy::Settings;
use integration_tests::{load, promise, wait};
use sv2::Message;
use sv2::common::SetupConnectionSuccess;
use sv2::mining::{
    NewExtendedMiningJob, OpenExtendedMiningChannelSuccess, SetNewPrevHash, SubmitSharesSuccess,
};

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

/// No step is waited for longer than this, whatever it is.
const LONGEST_STEP: Duration = Duration::from_secs(35);

/// What the pool does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silent {
    Handshake,
    SetupConnection,
    OpenChannel,
    Job,
}

impl Silent {
    fn keeps_back(self, frame: &Frame) -> bool {
        let of = |types: &[u8]| frame.message().is_some_and(|message| types.contains(&message));
        match self {
            Self::Handshake => true,
            Self::SetupConnection => of(&[SetupConnectionSuccess::MSG_TYPE]),
            Self::OpenChannel => of(&[OpenExtendedMiningChannelSuccess::MSG_TYPE]),
            Self::Job => of(&[NewExtendedMiningJob::MSG_TYPE, SetNewPrevHash::MSG_TYPE]),
        }
    }
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_pool_that_is_silent_at_any_step_costs_a_deadline_and_is_tried_again() {
    each_step(false);
}

#[test]
#[ignore = "needs the release build: integration-tests/run --long"]
fn long_a_pool_that_was_silent_at_any_step_is_used_again_when_it_speaks() {
    each_step(true);
}

/// All steps at once, each with an Adit of its own. A pool that opened a channel and gave no work is left alone for
/// half a minute: whether it is used again then takes `to_the_end`.
fn each_step(to_the_end: bool) {
    let steps = [Silent::Handshake, Silent::SetupConnection, Silent::OpenChannel, Silent::Job];
    std::thread::scope(|scope| {
        let tests = steps.iter().map(|step| {
            let used_again = to_the_end || matches!(step, Silent::Handshake | Silent::SetupConnection);
            scope.spawn(move || silent_at(*step, used_again))
        });
        let tests: Vec<_> = tests.collect();
        for test in tests {
            test.join().expect("each step's promise is kept");
        }
    });
}

fn silent_at(step: Silent, used_again: bool) {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let silent = Arc::new(AtomicBool::new(true));
    let ordered = Arc::clone(&silent);
    let rule = move |way: Way, frame: Frame| {
        let kept_back = way == Way::Down && ordered.load(SeqCst) && step.keeps_back(&frame);
        if kept_back { Vec::new() } else { vec![frame] }
    };
    let middleman = Middleman::start(&a.url(), Offer::default(), Box::new(rule));
    let port = middleman.url().rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok());
    let pipe = FaultPipe::start(port.expect("the URL has a port"), 4);
    if step == Silent::Handshake {
        pipe.hold(Way::Down);
    }
    let began = Instant::now();
    let farm = Farm::start_with(folder, &pipe.url(&middleman.url()), Settings::for_cpus(), "b");
    let others_mine = began.elapsed();

    // It is given up within a deadline, with a reason, and tried again.
    let reason = wait::until(&format!("the reason is shown ({step:?})"), LONGEST_STEP, || {
        let status = farm.adit.route();
        let source = status["sources"].as_array()?.iter().find(|source| source["name"] == "a")?.clone();
        source["reason"]
            .as_str()
            .filter(|reason| reason.contains("no ") || reason.contains("not answer"))
            .map(str::to_owned)
    });
    let given_up = began.elapsed();
    assert_eq!(farm.adit.active().as_deref(), Some("b"), "{step:?}");
    let mut after = String::new();
    if used_again {
        silent.store(false, SeqCst);
        pipe.release(Way::Down);
        farm.wait_active("a");
        after = format!(", used {:?} after it spoke", began.elapsed() - given_up);
        farm.wait_acknowledged("a", 5);
    } else {
        farm.wait_acknowledged("b", 5);
    }
    let attempts = pipe.connections().len();
    let rest = farm.finish(30);
    promise::figure(
        "4",
        &format!(
            "silent at {step:?}: miners of the standby had acknowledged shares {others_mine:?} after the start, {reason:?} \
             shown after {given_up:?}, {attempts} connections{after}; {rest}"
        ),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn long_a_pool_that_answers_no_share_is_given_up() {
    let folder = Folder::new();
    // It wants every share: the bound on open ones (4,096) is soon reached.
    let a = DevPool::start("pool-a", folder.path(), &["--shares-per-minute", "60000"]);
    let silent = Arc::new(AtomicBool::new(false));
    let ordered = Arc::clone(&silent);
    let rule = move |way: Way, frame: Frame| {
        let is_answer = way == Way::Down && frame.message() == Some(SubmitSharesSuccess::MSG_TYPE);
        if is_answer && ordered.load(SeqCst) { Vec::new() } else { vec![frame] }
    };
    let middleman = Middleman::start(&a.url(), Offer::default(), Box::new(rule));
    let farm = Farm::start(folder, &middleman.url());
    let args = ["--miners", "50", "--shares-per-second", "400", "--seconds", "60"];
    let others = load::start(&farm.adit, &args);
    silent.store(true, SeqCst);
    let at = Instant::now();
    farm.wait_active("b");
    let left_after = at.elapsed();
    farm.wait_acknowledged("b", 5);
    drop(others);
    silent.store(false, SeqCst);
    farm.adit.wait_books("no share stays open", PATIENCE, |books| books.unknown > 0);
    let rest = farm.finish(20);
    promise::figure("4", &format!("no share answered: left after {left_after:?}; {rest}"));
}
