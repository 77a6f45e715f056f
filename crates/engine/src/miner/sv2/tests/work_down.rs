//! Jobs and targets.

use sv2::mining::{REQUIRES_STANDARD_JOBS, REQUIRES_VERSION_ROLLING};
use work::{Difficulty, Target};

use super::world::{DIFFICULTY, Terms, World, feed};

fn names(world: &World) -> Vec<&'static str> {
    world.heard.iter().map(|(name, _)| *name).collect()
}

#[test]
fn a_first_job_is_a_future_one_that_set_new_prev_hash_activates() {
    for flags in [0, REQUIRES_STANDARD_JOBS] {
        let mut world = World::set_up(flags);
        world.heard.clear();
        let channel = world.open_standard(Some(&feed(Terms::default())));
        assert_eq!(names(&world), ["OpenStandardMiningChannel.Success", "NewMiningJob", "SetNewPrevHash"]);
        let job = &world.channels[&channel].jobs[0];
        assert!(job.ntime.is_none() && job.root.is_some());
        let share = world.find_share(channel);
        assert!(world.submit(&share), "{:?}", world.errors);
    }
    let mut world = World::set_up(0);
    world.heard.clear();
    let channel = world.open_extended(4, Some(&feed(Terms::default())));
    assert_eq!(
        names(&world),
        ["OpenExtendedMiningChannel.Success", "NewExtendedMiningJob", "SetNewPrevHash"]
    );
    assert_eq!(world.channels[&channel].prefix.len(), 4);
    let share = world.find_share(channel);
    assert!(world.submit(&share), "{:?}", world.errors);
}

#[test]
fn a_group_gets_one_job_and_each_member_mines_it_with_its_own_extranonce() {
    let mut world = World::set_up(0);
    let first = feed(Terms::default());
    let ids = [
        world.open_standard(Some(&first)),
        world.open_extended(2, Some(&first)),
        world.open_standard(Some(&first)),
    ];
    let group = world.channels[&ids[0]].group;
    assert!(ids.iter().all(|id| world.channels[id].group == group) && !ids.contains(&group));
    // The same tip, then another one.
    for (terms, expected) in [
        (Terms { job: 2, ..Terms::default() }, &["NewExtendedMiningJob"][..]),
        (Terms { job: 3, tip: 2, ..Terms::default() }, &["NewExtendedMiningJob", "SetNewPrevHash"]),
    ] {
        world.heard.clear();
        world.feed(&feed(terms));
        assert_eq!(names(&world), expected);
        assert!(world.heard.iter().all(|(_, id)| *id == group));
        for id in ids {
            let share = world.find_share(id);
            assert!(world.submit(&share), "{:?}", world.errors);
        }
        assert_eq!(world.forwarded().len(), 3);
    }
}

#[test]
fn who_takes_standard_jobs_only_gets_one_for_each_channel() {
    let mut world = World::set_up(REQUIRES_STANDARD_JOBS);
    let first = feed(Terms::default());
    let ids = [world.open_standard(Some(&first)), world.open_standard(Some(&first))];
    world.heard.clear();
    world.feed(&feed(Terms { job: 2, tip: 2, ..Terms::default() }));
    assert_eq!(
        world.heard,
        [
            ("NewMiningJob", ids[0]),
            ("SetNewPrevHash", ids[0]),
            ("NewMiningJob", ids[1]),
            ("SetNewPrevHash", ids[1]),
        ]
    );
    let roots: Vec<_> = ids.iter().map(|id| world.channels[id].jobs.last().unwrap().root).collect();
    assert_ne!(roots[0], roots[1], "each searches a space of its own");
}

#[test]
fn another_upstream_is_one_more_job_and_the_extranonce_stays() {
    for lost in [true, false] {
        another_upstream(lost);
    }
}

/// The first one was lost, or only left: then what was found for it still goes there.
fn another_upstream(lost: bool) {
    let mut world = World::set_up(0);
    let left = feed(Terms::default());
    let channel = world.open_extended(4, Some(&left));
    let before = world.channels[&channel].prefix.clone();
    let first = world.find_share(channel);
    world.heard.clear();
    if lost {
        left.channel.end();
    }
    // Another source, another prefix of another length, the same tip.
    world.feed(&feed(Terms { source: 1, prefix: &[0xbb; 9], job: 77, ..Terms::default() }));
    assert_eq!(names(&world), ["NewExtendedMiningJob", "SetNewPrevHash"]);
    assert_eq!(world.channels[&channel].prefix, before);
    let share = world.find_share(channel);
    assert!(world.submit(&share), "{:?}", world.errors);
    let sent = world.forwarded();
    assert_eq!((sent[0].channel.source.0, sent[0].job_id), (1, 77));
    assert_eq!(world.submit(&first), !lost, "{:?}", world.errors);
    if lost {
        assert_eq!(world.errors, ["stale-share"]);
    } else {
        assert_eq!(world.forwarded().last().map(|share| share.channel.source.0), Some(0));
    }
}

#[test]
fn a_channel_opened_without_work_gets_it_when_there_is_some() {
    let mut world = World::set_up(0);
    let channel = world.open_extended(4, None);
    assert!(world.channels[&channel].jobs.is_empty());
    // So easy a source that the first target was harder than it: the channel is told before the job.
    world.feed(&feed(Terms { difficulty: DIFFICULTY / 3.0, ..Terms::default() }));
    assert_eq!(names(&world)[2..], ["SetTarget", "NewExtendedMiningJob", "SetNewPrevHash"]);
    let target = Target::from_le_bytes(world.channels[&channel].target);
    let source = Target::from_difficulty(Difficulty::new(DIFFICULTY / 3.0).unwrap());
    assert_eq!(target, source, "no harder than the source's");
}

#[test]
fn a_miner_that_must_roll_versions_gets_no_job_that_forbids_it() {
    let mut world = World::set_up(REQUIRES_VERSION_ROLLING);
    assert_eq!(world.setup_flags, Some(0));
    let channel = world.open_extended(4, Some(&feed(Terms { rolling: false, ..Terms::default() })));
    assert!(world.channels[&channel].jobs.is_empty());
    world.feed(&feed(Terms { job: 2, ..Terms::default() }));
    assert_eq!(world.channels[&channel].jobs.len(), 1);
}

#[test]
fn a_job_that_is_sent_again_has_another_id_and_a_later_ntime() {
    let mut world = World::set_up(0);
    let first = feed(Terms::default());
    let channel = world.open_extended(4, Some(&first));
    world.now.mono = std::time::Duration::from_secs(30);
    world.feed(&std::sync::Arc::new((*first).clone()));
    let jobs = &world.channels[&channel].jobs;
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[1].ntime, Some(1_700_000_030));
}

#[test]
fn a_channel_that_the_router_moves_keeps_its_extranonce_and_hears_with_its_new_group() {
    let mut world = World::set_up(0);
    let first = feed(Terms::default());
    let ids = [0, 1, 2].map(|_| world.open_extended(4, Some(&first)));
    let prefix = world.channels[&ids[1]].prefix.clone();
    let hashrate = world.meter.hashrate();
    let (meter, other) = (std::sync::Arc::new(crate::GroupMeter::default()), crate::GroupId(8));
    let second = feed(Terms { source: 1, job: 5, prefix: &[0xcc; 3], ..Terms::default() });
    world.heard.clear();
    world
        .step(|machine, io| {
            machine.moved(crate::MinerRef(1), other, std::sync::Arc::clone(&meter), Some(&second), io);
            Ok(())
        })
        .unwrap();
    assert_eq!(names(&world), ["SetGroupChannel", "NewExtendedMiningJob", "SetNewPrevHash"]);
    assert_ne!(world.channels[&ids[1]].group, world.channels[&ids[0]].group);
    assert!((meter.hashrate() + world.meter.hashrate() - hashrate).abs() < 1e-9 && meter.hashrate() > 0.0);
    // Its old group's work is not for it.
    world.heard.clear();
    world.feed(&feed(Terms { job: 2, ..Terms::default() }));
    assert_eq!(world.heard, [("NewExtendedMiningJob", world.channels[&ids[0]].group)]);
    let share = world.find_share(ids[1]);
    assert!(world.submit(&share), "{:?}", world.errors);
    assert_eq!(world.forwarded()[0].channel.source.0, 1);
    assert_eq!(world.channels[&ids[1]].prefix, prefix);
}
