//! Set-up, opening, updating, closing.

use std::time::Duration;

use sv2::Str0255;
use sv2::common::SetupConnection;
use sv2::mining::{
    CloseChannel, OpenExtendedMiningChannel, REQUIRES_STANDARD_JOBS, REQUIRES_WORK_SELECTION, UpdateChannel,
};
use work::{Difficulty, Target};

use super::super::*;
use super::world::{DIFFICULTY, GROUP, Terms, World, extended, feed, setup};
use crate::miner::ReplyMode;

#[test]
fn what_adit_does_not_do_is_refused_with_the_specifications_words() {
    let refused = |setup: SetupConnection<'_>| {
        let mut world = World::new(ReplyMode::Local);
        assert_eq!(world.send(&setup), Err(CloseReason::SetupRefused));
        world.errors.remove(0)
    };
    assert_eq!(refused(setup(REQUIRES_WORK_SELECTION)), "unsupported-feature-flags 2");
    assert_eq!(refused(setup(1 << 9 | 1)), "unsupported-feature-flags 512");
    assert_eq!(refused(SetupConnection { protocol: 1, ..setup(0) }), "unsupported-protocol 0");
    assert_eq!(
        refused(SetupConnection { min_version: 3, max_version: 9, ..setup(0) }),
        "protocol-version-mismatch 0"
    );
    let mut world = World::new(ReplyMode::Local);
    assert_eq!(world.send(&extended(4)), Err(CloseReason::Garbage), "nothing comes before SetupConnection");
}

#[test]
fn channels_that_cannot_be_opened_are_refused_and_the_connection_stays() {
    let mut world = World::set_up(0);
    world.send(&extended(5)).unwrap();
    for open in [
        OpenExtendedMiningChannel { nominal_hash_rate: f32::NAN, ..extended(4) },
        OpenExtendedMiningChannel { nominal_hash_rate: -1.0, ..extended(4) },
        OpenExtendedMiningChannel { max_target: [0; 32], ..extended(4) },
        // Harder than the listener's highest difficulty.
        OpenExtendedMiningChannel { max_target: Target::MIN.to_le_bytes(), ..extended(4) },
    ] {
        world.send(&open).unwrap();
    }
    assert_eq!(
        world.errors,
        [
            "min-extranonce-size-too-large",
            "invalid-nominal-hashrate",
            "invalid-nominal-hashrate",
            "max-target-out-of-range",
            "max-target-out-of-range"
        ]
    );
    assert_eq!(world.machine.take_refused(), 5);
    let mut world = World::set_up(REQUIRES_STANDARD_JOBS);
    world.send(&extended(4)).unwrap();
    assert_eq!(world.errors, ["extended-channels-not-supported-for-standard-jobs"]);
}

#[test]
fn there_are_so_many_channels_and_no_more() {
    let mut world = World::set_up(0);
    for _ in 0..MAX_CHANNELS {
        world.send(&extended(4)).unwrap();
    }
    world.send(&extended(4)).unwrap();
    assert_eq!(world.errors, ["channel-capacity-exhausted"]);
    world
        .step(|machine, io| {
            machine.not_joined("no-source", io);
            Ok(())
        })
        .unwrap();
    assert_eq!(world.machine.take_left().len(), 1, "its id is given back");
    world.send(&extended(4)).unwrap();
    assert_eq!(world.errors.len(), 2);
}

/// A hashrate as it is sent.
#[expect(clippy::cast_possible_truncation, reason = "the wire has no more digits")]
fn narrow(hashrate: f64) -> f32 {
    hashrate as f32
}

#[test]
fn a_hashrate_becomes_the_first_target_and_its_sum_the_groups() {
    let mut world = World::set_up(0);
    let rate: f64 = 8.0 * DIFFICULTY * work::hashrate::HASHES_PER_DIFFICULTY * 20.0 / 60.0;
    let nominal_hash_rate = narrow(rate);
    world.send(&OpenExtendedMiningChannel { nominal_hash_rate, ..extended(4) }).unwrap();
    world.join(Some(&feed(Terms { difficulty: 1.0, ..Terms::default() })));
    let told: Vec<f64> = world.machine.difficulties().collect();
    assert!((told[0] / (8.0 * DIFFICULTY) - 1.0).abs() < 1e-3, "{told:?}");
    assert!((world.meter.hashrate() / rate - 1.0).abs() < 1e-3);
    // More comes, and it says so.
    let channel_id = world.machine.next_channel_id;
    let update =
        UpdateChannel { channel_id, nominal_hash_rate: narrow(rate * 10.0), maximum_target: [0xff; 32] };
    world.heard.clear();
    world.send(&update).unwrap();
    assert_eq!(world.heard, [("SetTarget", channel_id), ("NewExtendedMiningJob", channel_id)]);
    assert!((world.meter.hashrate() / rate / 10.0 - 1.0).abs() < 1e-3);
    // All leave.
    world.send(&UpdateChannel { nominal_hash_rate: 0.0, ..update }).unwrap();
    assert_eq!(world.meter.hashrate(), 0.0);
    world.now.mono = Duration::from_secs(100_000);
    world.step(|machine, io| machine.timer(io)).unwrap();
    world.send(&UpdateChannel { nominal_hash_rate: f32::INFINITY, ..update }).unwrap();
    world.send(&UpdateChannel { channel_id: 99, ..update }).unwrap();
    assert_eq!(world.errors, ["invalid-nominal-hashrate", "invalid-channel-id"]);
}

#[test]
fn no_target_is_easier_than_the_miner_asked_for() {
    let mut world = World::set_up(0);
    let hard = Target::from_difficulty(Difficulty::new(DIFFICULTY * 64.0).unwrap());
    world.send(&OpenExtendedMiningChannel { max_target: hard.to_le_bytes(), ..extended(4) }).unwrap();
    world.join(Some(&feed(Terms::default())));
    let channel_id = world.machine.next_channel_id;
    assert_eq!(world.channels[&channel_id].target, hard.to_le_bytes());
    let harder = Target::from_difficulty(Difficulty::new(DIFFICULTY * 65.0).unwrap());
    world.heard.clear();
    let maximum_target = harder.to_le_bytes();
    world.send(&UpdateChannel { channel_id, nominal_hash_rate: 1.0, maximum_target }).unwrap();
    assert_eq!(world.heard[0].0, "SetTarget", "however little harder it is");
    assert_eq!(world.channels[&channel_id].target, maximum_target);
}

#[test]
fn a_closed_channel_leaves_its_id_and_its_hashrate_and_a_group_all_of_its_members() {
    let mut world = World::set_up(0);
    let work = feed(Terms::default());
    let ids = [
        world.open_extended(4, Some(&work)),
        world.open_standard(Some(&work)),
        world.open_extended(4, Some(&work)),
    ];
    let reason_code = Str0255::EMPTY;
    let share = world.find_share(ids[0]);
    world.send(&CloseChannel { channel_id: ids[0], reason_code }).unwrap();
    let left = world.machine.take_left();
    assert_eq!((left.len(), left[0].place), (1, Some((MinerRef(0), GROUP))));
    assert_eq!(left[0].miner_id.as_bytes(), world.channels[&ids[0]].prefix);
    assert!(!world.submit(&share));
    assert_eq!(world.errors, ["invalid-channel-id"]);
    let group = world.channels[&ids[1]].group;
    world.send(&CloseChannel { channel_id: group, reason_code }).unwrap();
    assert_eq!(world.machine.take_left().len(), 2);
    assert!(!world.machine.is_mining());
    assert_eq!(world.machine.groups().count(), 0);
    assert!(world.meter.hashrate().abs() < 1e-9);
    world.feed(&feed(Terms { job: 2, ..Terms::default() }));
    let totals = world.books.totals();
    assert_eq!((totals.submitted(), totals.rejected.iter().sum::<u64>()), (1, 1));
}

#[test]
fn who_is_not_set_up_or_brings_nothing_is_closed_in_time() {
    let mut world = World::new(ReplyMode::Local);
    world.now.mono = world.machine.deadline().unwrap();
    assert_eq!(world.step(|machine, io| machine.timer(io)), Err(CloseReason::SetupDeadline));
    let mut world = World::set_up(0);
    world.open_extended(4, None);
    world.now.mono = Duration::from_secs(7_200);
    assert_eq!(world.step(|machine, io| machine.timer(io)), Err(CloseReason::Idle));
}

#[test]
fn what_only_a_server_says_is_forgiven_a_few_times() {
    let mut world = World::set_up(0);
    let message = SetTargetToServer { channel_id: 1, maximum_target: [1; 32] };
    let end = (0..10).find_map(|_| world.send(&message).err());
    assert_eq!(end, Some(CloseReason::Garbage));
}

use sv2::mining::SetTarget as SetTargetToServer;
