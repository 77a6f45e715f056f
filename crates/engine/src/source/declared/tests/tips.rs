//! Changes of tip at every step of a declaration.

use super::*;
use crate::books::UnsentReason;

/// Shares that ended `unsent` for a reason.
fn unsent(world: &World, why: UnsentReason) -> u64 {
    world.books.totals().unsent[why as usize]
}

/// A world whose first job has come so far: waits for the server, for the pool, or is acknowledged; with a share of it.
fn at_step(step: u8) -> (World, Feed) {
    let mut world = World::mining(true);
    let feed = world.newest();
    world.share(&feed, at(1.1));
    if step > 0 {
        let request = world.declared().unwrap();
        world.accept_declaration(request, at(1.2));
    }
    if step > 1 {
        let request = world.custom_job().unwrap();
        world.accept_job(request, 1, at(1.3));
        assert_eq!(world.shares_sent(), [1]);
    }
    world.give_tokens(at(1.4));
    (world, feed)
}

#[test]
fn a_new_tip_ends_what_is_in_flight_and_the_new_job_goes_its_way() {
    for step in 0..3 {
        let (mut world, old) = at_step(step);
        let stale = world.declared();
        let asked = world.custom_job();
        world.template(template(2, 2), at(2.0));
        let new = world.newest();
        assert_ne!(old.generation, new.generation);
        assert_eq!(unsent(&world, UnsentReason::StaleInQueue), u64::from(step < 2), "step {step}");
        world.share(&old, at(2.1));
        assert!(world.shares_sent().is_empty(), "shares of the old tip are not sent");
        // Late answers for the old job change nothing.
        if let Some(request) = stale {
            world.accept_declaration(request, at(2.2));
            assert!(world.custom_job().is_none());
        }
        if let Some(request) = asked {
            world.accept_job(request, 1, at(2.2));
        }
        world.share(&new, at(2.3));
        assert_eq!(world.books.totals().held, 1);
        world.acknowledge(2, at(2.4));
        assert_eq!(world.shares_sent(), [2]);
        assert!(world.down().is_none());
    }
}

#[test]
fn a_server_whose_node_hears_of_the_tip_later_is_asked_again_and_never_left_for_that() {
    let mut world = World::mining(true);
    let feed = world.newest();
    world.share(&feed, at(1.0));
    let mut now = 1.1;
    for _ in 0..6 {
        let request = world.declared().expect("once more");
        world.refuse_declaration(request, "stale-chain-tip", at(now));
        world.give_tokens(at(now));
        assert!(world.declared().is_none(), "after a moment");
        let again = world.source.deadline().unwrap();
        assert!(again > at(now).mono && again <= at(now + 2.0).mono, "{again:?} at {now}");
        now = again.as_secs_f64();
        world.timer(at(now));
    }
    assert!(world.down().is_none());
    let request = world.declared().unwrap();
    world.accept_declaration(request, at(now));
    // The pool's own node may be late as well.
    let request = world.custom_job().unwrap();
    world.refuse_job(request, "stale-chain-tip", at(now));
    now = world.source.deadline().unwrap().as_secs_f64();
    world.give_tokens(at(now));
    world.timer(at(now));
    world.acknowledge(4, at(now));
    assert_eq!(world.shares_sent(), [4], "the share was held all the while");
    assert!(world.down().is_none());
}

#[test]
fn nobody_works_for_nothing_longer_than_the_bound() {
    let mut world = World::mining(true);
    let feed = world.newest();
    world.share(&feed, at(1.0));
    let mut now = 1.0;
    while world.down().is_none() {
        while let Some(request) = world.declared() {
            world.refuse_declaration(request, "stale-chain-tip", at(now));
        }
        world.give_tokens(at(now));
        now = world.source.deadline().expect("something is always to be done").as_secs_f64();
        assert!(now <= 1.0 + UNACKNOWLEDGED_AT_MOST.as_secs_f64());
        world.timer(at(now));
    }
    assert_eq!(world.down(), Some(&DownReason::Unacknowledged(UNACKNOWLEDGED_AT_MOST)));
    assert_eq!((world.books.totals().held, unsent(&world, UnsentReason::JobRefused)), (0, 1));
}

#[test]
fn tips_that_follow_each_other_fast_do_not_stretch_the_bound() {
    let mut world = World::mining(true);
    let mut now = 1.0;
    let mut tip = 1;
    while world.down().is_none() {
        now += 5.0;
        assert!(now <= 1.0 + UNACKNOWLEDGED_AT_MOST.as_secs_f64(), "nothing was acknowledged since 1 s");
        while let Some(request) = world.declared() {
            world.refuse_declaration(request, "stale-chain-tip", at(now));
        }
        world.give_tokens(at(now));
        tip += 1;
        world.template(template(u64::from(tip), tip), at(now));
        world.timer(at(now));
    }
    assert_eq!(world.down(), Some(&DownReason::Unacknowledged(UNACKNOWLEDGED_AT_MOST)));
}

#[test]
fn a_refusal_just_after_a_new_tip_is_tried_again_once() {
    for by_pool in [false, true] {
        let mut world = World::mining(true);
        let refuse = |world: &mut World, now: f64| {
            let request = world.declared().expect("a declaration");
            if by_pool {
                world.accept_declaration(request, at(now));
                let request = world.custom_job().unwrap();
                world.refuse_job(request, "invalid-coinbase-tx", at(now));
            } else {
                world.refuse_declaration(request, "invalid-coinbase-tx", at(now));
            }
        };
        refuse(&mut world, 1.5);
        assert!(world.down().is_none());
        world.give_tokens(at(1.6));
        world.timer(at(1.9));
        refuse(&mut world, 2.0);
        assert!(
            matches!(world.down(), Some(DownReason::JobRefused(why)) if why.contains("invalid-coinbase-tx"))
        );

        // Long after a tip once is enough.
        let mut world = World::mining(true);
        world.acknowledge(1, at(1.1));
        world.give_tokens(at(2.0));
        world.template(template(2, 1), at(60.0));
        refuse(&mut world, 60.1);
        assert!(world.down().is_some());
    }
}

#[test]
fn the_smallest_time_of_a_tip_never_changes() {
    let mut world = World::mining(true);
    let mut later = Template::clone(&template(2, 1));
    later.min_ntime += 30;
    world.template(Arc::new(later), at(2.0));
    let times: Vec<u32> = world.feeds.iter().map(|feed| feed.job.job.min_ntime).collect();
    assert_eq!(times, [1_700_000_001, 1_700_000_001]);
}

#[test]
fn another_prefix_before_the_pool_has_taken_the_job_makes_the_job_anew() {
    for step in 0..3 {
        let (mut world, old) = at_step(step);
        world.set_prefix(0xff, at(2.0));
        let new = world.newest();
        if step == 2 {
            assert_eq!(new.job.job.id, old.job.job.id, "the pool keeps a job's prefix once it has it");
            world.share(&old, at(2.1));
            assert_eq!(world.shares_sent(), [1]);
            // The next one has the new prefix.
            world.template(template(2, 1), at(3.0));
            assert_eq!(world.newest().job.extranonce_prefix()[5], 0xff);
            continue;
        }
        assert_eq!(new.job.extranonce_prefix()[5], 0xff);
        assert_eq!(unsent(&world, UnsentReason::PrefixChanged), 1);
        let late = world.declared();
        let asked = world.custom_job();
        if let (0, Some(request)) = (step, late) {
            world.accept_declaration(request, at(2.1));
            assert!(world.custom_job().is_none(), "the old one is not set");
        }
        if let Some(request) = asked {
            world.accept_job(request, 1, at(2.1));
        }
        world.share(&old, at(2.2));
        assert!(world.shares_sent().is_empty(), "hashed with a prefix that the pool does not have");
        world.share(&new, at(2.2));
        if step == 1 {
            let request = late.expect("the new job's");
            world.accept_declaration(request, at(2.3));
        } else {
            let request = world.declared().expect("the new job's");
            world.accept_declaration(request, at(2.3));
        }
        let request = world.custom_job().unwrap();
        world.accept_job(request, 2, at(2.4));
        assert_eq!(world.shares_sent(), [2]);
    }
}

#[test]
fn shares_of_a_job_that_can_never_be_declared_are_held_no_longer_than_the_bound() {
    let mut world = World::connected(true);
    world.template(without_transactions(&template(1, 1)), at(1.0));
    world.open(at(1.0));
    let feed = world.newest();
    world.share(&feed, at(1.1));
    // A better template comes before the first one's transactions, which nobody asks for any more.
    world.template(template(2, 1), at(2.0));
    world.acknowledge(1, at(2.1));
    world.give_tokens(at(2.2));
    let good = world.newest();
    assert_eq!(world.books.totals().held, 1);
    let bound = at(1.0).mono + UNACKNOWLEDGED_AT_MOST;
    while let Some(deadline) = world.source.deadline().filter(|deadline| *deadline < bound) {
        world.timer(Now { mono: deadline, ..at(0.0) });
        assert_eq!(world.books.totals().held, 1);
    }
    assert_eq!(world.source.deadline(), Some(bound));
    world.timer(Now { mono: bound, ..at(0.0) });
    assert_eq!((world.books.totals().held, unsent(&world, UnsentReason::JobRefused)), (0, 1));
    assert!(world.down().is_none());
    assert_eq!(world.newest().job.job.id, good.job.job.id, "miners stay on what is paid");
}
