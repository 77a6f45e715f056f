//! Shares and their answers.

use sv2::extensions::{UserIdentity, WORKER_HASHRATE_TRACKING};

use super::super::*;
use super::world::{Terms, World, feed, setup};
use crate::books::RefuseCode;
use crate::miner::ReplyMode;
use crate::share::Answer;

#[test]
fn shares_that_come_together_are_answered_together() {
    let mut world = World::set_up(0);
    let channel = world.open_extended(4, Some(&feed(Terms::default())));
    let shares: Vec<_> = (0..20).map(|_| world.find_share(channel)).collect();
    world.heard.clear();
    world
        .step(|machine, io| {
            for share in &shares {
                let mut bytes = BytesMut::new();
                write_frame(&share.message(), &mut bytes);
                let (header, payload, _) = FrameHeader::split(&bytes).unwrap();
                machine.frame(&header, payload, io)?;
            }
            Ok(())
        })
        .unwrap();
    let successes = world.heard.iter().filter(|(name, _)| *name == "SubmitShares.Success").count();
    assert_eq!((successes, world.accepted.0), (1, 20));
    assert_eq!(world.forwarded().len(), 20);
    assert_eq!(world.books.totals().pending, 20);
}

#[test]
fn bad_shares_are_answered_with_the_specifications_codes() {
    let mut world = World::set_up(0);
    let channel = world.open_extended(4, Some(&feed(Terms::default())));
    let good = world.find_share(channel);
    assert!(world.submit(&good));
    let mut bad = |change: &dyn Fn(&mut super::world::SubmitSharesExtendedOwned)| {
        let mut share = world.find_share(channel);
        change(&mut share);
        assert!(!world.submit(&share));
        world.errors.remove(0)
    };
    assert_eq!(bad(&|share| share.nonce = good.nonce), "duplicate-share");
    assert_eq!(bad(&|share| share.job_id = 4_000), "invalid-job-id");
    assert_eq!(bad(&|share| share.channel_id = 4_000), "invalid-channel-id");
    assert_eq!(bad(&|share| share.extranonce.truncate(3)), "bad-extranonce-size");
    assert_eq!(bad(&|share| share.version ^= 1), "invalid-non-rollable-version-bit");
    assert_eq!(bad(&|share| share.ntime -= 1), "invalid-timestamp");
    assert_eq!(bad(&|share| share.ntime += 10_000), "invalid-timestamp");
    let (prefix, known) = (world.channels[&channel].prefix.clone(), world.books.totals());
    assert_eq!(known.rejected.iter().sum::<u64>(), 7);
    assert_eq!(known.submitted(), 8);
    // Another tip.
    let late = world.find_share(channel);
    world.feed(&feed(Terms { tip: 2, job: 2, ..Terms::default() }));
    assert!(!world.submit(&late));
    assert_eq!(world.errors, ["stale-share"]);
    assert_eq!(world.channels[&channel].prefix, prefix);
}

#[test]
fn too_easy_a_share_is_refused() {
    let mut world = World::set_up(0);
    let channel = world.open_extended(4, Some(&feed(Terms::default())));
    let mut share = world.find_share(channel);
    let ended = (0..1_000).find(|_| {
        share.nonce += 1;
        share.sequence_number += 1;
        !world.submit(&share)
    });
    assert!(ended.is_some());
    assert_eq!(world.errors, ["difficulty-too-low"]);
}

#[test]
fn a_share_goes_up_under_the_name_that_it_came_with() {
    let mut world = World::set_up(0);
    world.negotiate(&[7, WORKER_HASHRATE_TRACKING]);
    let channel = world.open_extended(4, Some(&feed(Terms::default())));
    let name = UserIdentity::new(b"farm.a.machine-17").unwrap();
    let share = world.find_share(channel);
    world.send_with(&share.message(), &[name.into()]).unwrap();
    let share = world.find_share(channel);
    world.send(&share.message()).unwrap();
    let names: Vec<_> = world.forwarded().iter().map(|share| share.worker.to_string()).collect();
    assert_eq!(names, ["farm.a.machine-17", "farm.a"]);
    assert_eq!(world.heard[1].0, "RequestExtensions.Success");
    world.negotiate(&[9]);
    assert_eq!(world.heard.last().unwrap().0, "RequestExtensions.Error");
}

#[test]
fn with_the_sources_answers_a_share_is_told_when_it_has_one() {
    let mut world = World::new(ReplyMode::Source);
    world.send(&setup(0)).unwrap();
    let channel = world.open_extended(4, Some(&feed(Terms::default())));
    let ends = [
        (Final::Acknowledged, None),
        (Final::Refused(RefuseCode::StaleShare), Some("stale-share")),
        (Final::Unknown, Some("answer-lost")),
    ];
    for (end, code) in ends {
        let share = world.find_share(channel);
        assert!(!world.submit(&share));
        let token = world.forwarded()[0].token.unwrap();
        let before = world.accepted.0;
        world
            .step(|machine, io| {
                machine.answer(Answer { token, end }, io.out);
                Ok(())
            })
            .unwrap();
        assert_eq!(world.accepted.0 - before, u32::from(code.is_none()));
        assert_eq!(world.errors.pop().as_deref(), code);
    }
}

#[test]
fn who_sends_no_messages_is_closed_and_what_is_unknown_is_ignored() {
    let mut world = World::set_up(0);
    let header = FrameHeader { extension_type: 0x0abc, channel_msg: true, msg_type: 1, length: 4 };
    world.step(|machine, io| machine.frame(&header, &[0; 4], io)).unwrap();
    let header = FrameHeader { extension_type: 0, channel_msg: false, msg_type: 0x13, length: 2 };
    let end = world.step(|machine, io| machine.frame(&header, &[0; 2], io));
    assert_eq!(end, Err(CloseReason::Garbage));
    let header = FrameHeader { extension_type: 0, channel_msg: true, msg_type: 0x1b, length: 2 };
    let end = world.step(|machine, io| machine.frame(&header, &[0; 2], io));
    assert_eq!(end, Err(CloseReason::Garbage));
    assert_eq!(world.books.totals().submitted(), 1);
}
