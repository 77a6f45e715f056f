//! What takes the source down, and how it comes up again.

use super::*;
use crate::source::jds::DECLARE_DEADLINE;

#[test]
fn it_is_ready_when_pool_server_and_template_are_there_in_whatever_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut world = World::new(true);
        world.source.command(SourceCommand::Start, at(0.0), &mut world.fx);
        assert!(world.fx.constraints.take().is_some(), "room is asked for from the start");
        for (n, step) in order.into_iter().enumerate() {
            assert!(!world.told.iter().any(|event| matches!(event, SourceEvent::Ready { .. })));
            let now = at(n as f64);
            match step {
                0 => world.connect_pool(now),
                1 => world.connect_jds(now),
                _ => world.template(template(1, 1), now),
            }
        }
        assert!(matches!(world.told[..], [SourceEvent::Ready { .. }]), "{order:?}: {:?}", world.told);
        assert_eq!(world.source.state(), DeclaredState::Ready);
    }
}

#[test]
fn silence_is_a_reason_to_go_at_the_declaration_and_at_the_custom_job() {
    let mut world = World::mining(true);
    world.declared().unwrap();
    world.timer(Now { mono: at(1.0).mono + DECLARE_DEADLINE, ..at(0.0) });
    assert_eq!(world.down(), Some(&DownReason::Silent("DeclareMiningJob")));

    let mut world = World::mining(true);
    let request = world.declared().unwrap();
    world.accept_declaration(request, at(1.5));
    assert_eq!(world.source.deadline(), Some(at(1.5).mono + SET_CUSTOM_JOB_DEADLINE));
    world.timer(Now { mono: at(1.5).mono + SET_CUSTOM_JOB_DEADLINE, ..at(0.0) });
    assert_eq!(world.down(), Some(&DownReason::Silent("SetCustomMiningJob")));
}

#[test]
fn after_a_fall_it_rests_and_rises_again_and_shares_of_acknowledged_jobs_are_still_sent() {
    let mut world = World::mining(true);
    world.acknowledge(1, at(1.1));
    let good = world.newest();
    world.template(template(2, 1), at(60.0));
    let refused = world.newest();
    let request = world.declared().unwrap();
    world.refuse_declaration(request, "no-thanks", at(60.1));
    assert!(matches!(world.down(), Some(DownReason::JobRefused(_))));
    assert!(matches!(world.source.state(), DeclaredState::Resting { .. }));
    // Miners have not heard yet.
    world.share(&good, at(60.2));
    world.share(&refused, at(60.2));
    assert_eq!(world.shares_sent(), [1]);
    assert_eq!(world.books.totals().unsent_sum(), 1);

    let told = world.told.len();
    // A new tip makes them stale there too.
    world.template(template(9, 9), at(60.25));
    world.share(&good, at(60.26));
    assert!(world.shares_sent().is_empty());
    world.give_tokens(at(60.3));
    let until = match world.source.state() {
        DeclaredState::Resting { until } => until,
        state => panic!("{state:?}"),
    };
    world.template(template(3, 3), at(60.4));
    assert_eq!(world.told.len(), told, "not before it has rested");
    world.timer(Now { mono: until, ..at(0.0) });
    assert!(matches!(world.told.last(), Some(SourceEvent::Ready { .. })));
}

#[test]
fn without_its_server_an_acknowledged_job_is_mined_on_until_the_tip_changes() {
    let mut world = World::mining(true);
    world.acknowledge(1, at(1.1));
    let good = world.newest();
    world.template(template(2, 1), at(5.0));
    let open = world.newest();
    world.share(&open, at(5.1));
    world.source.jds_disconnected(DownReason::Lost("reset".to_owned()), at(5.2), &mut world.fx);
    world.look();
    assert!(world.down().is_none());
    assert_eq!(world.newest().job.job.id, good.job.job.id, "miners go back to what is paid");
    assert_eq!(world.books.totals().held, 0);
    world.template(template(3, 1), at(6.0));
    assert_eq!(world.newest().job.job.id, good.job.job.id, "nobody could declare it");
    world.share(&good, at(6.1));
    assert_eq!(world.shares_sent(), [1]);

    // The server is back: the newest template is declared.
    let again = world.source.jds().deadline().unwrap();
    world.timer(Now { mono: again, ..at(0.0) });
    world.connect_jds(Now { mono: again, ..at(0.0) });
    assert!(world.declared().is_some());
    assert_ne!(world.newest().job.job.id, good.job.job.id);

    // Gone again, and the tip changes.
    let now = again.as_secs_f64() + 1.0;
    world.source.jds_disconnected(DownReason::Lost("reset".to_owned()), at(now), &mut world.fx);
    world.template(template(4, 4), at(now + 1.0));
    assert!(matches!(world.down(), Some(DownReason::NoDeclarator(why)) if why.contains("reset")));
}

#[test]
fn without_its_server_before_an_acknowledgement_the_pool_is_left_at_once() {
    let mut world = World::mining(true);
    world.source.jds_disconnected(DownReason::Lost("killed".to_owned()), at(1.5), &mut world.fx);
    world.look();
    assert!(matches!(world.down(), Some(DownReason::NoDeclarator(why)) if why.contains("killed")));
}

#[test]
fn a_pool_that_refuses_shares_of_a_job_that_it_acknowledged_is_left() {
    let mut world = World::mining(true);
    world.acknowledge(1, at(1.1));
    let feed = world.newest();
    let refuse = |world: &mut World, sequence_number| {
        let error_code = sv2::Str0255::truncated("invalid-job-id");
        world.pool(
            &sv2::mining::SubmitSharesError { channel_id: CHANNEL, sequence_number, error_code },
            at(2.1),
        );
    };
    (0..13).for_each(|_| world.share(&feed, at(2.0)));
    (0..9).for_each(|number| refuse(&mut world, number));
    assert_eq!(world.down(), None);
    refuse(&mut world, 9);
    assert_eq!(world.down(), Some(&DownReason::RefusesShares("invalid-job-id")));
    // Three were on their way then, and one is found before miners hear of it: the link stands, and says what becomes of them.
    world.share(&feed, at(2.05));
    (10..14).for_each(|number| refuse(&mut world, number));
    assert!(!world.fx.pool.hang_up);
    let totals = world.books.totals();
    assert_eq!((totals.refused_sum(), totals.unknown, totals.pending), (14, 0, 0));
    assert_eq!(world.told.iter().filter(|event| matches!(event, SourceEvent::Down(_))).count(), 1);
}

#[test]
fn a_pool_that_acknowledges_jobs_and_refuses_their_shares_is_tried_again_later_each_time() {
    let mut world = World::mining(true);
    let (mut now, mut sequence_number, mut waits) = (1.0, 0, Vec::new());
    for job_id in 1..6 {
        world.acknowledge(job_id, at(now));
        let feed = world.newest();
        for _ in 0..10 {
            world.share(&feed, at(now));
            let error_code = sv2::Str0255::truncated("invalid-share");
            world.pool(
                &sv2::mining::SubmitSharesError { channel_id: CHANNEL, sequence_number, error_code },
                at(now),
            );
            sequence_number += 1;
        }
        let DeclaredState::Resting { until } = world.source.state() else {
            panic!("{:?}", world.source.state())
        };
        waits.push(until.as_secs_f64() - now);
        // The channel that was left is closed meanwhile, and the next one begins anew.
        let close =
            sv2::mining::CloseChannel { channel_id: CHANNEL, reason_code: sv2::Str0255::truncated("") };
        world.pool(&close, at(now));
        now = until.as_secs_f64();
        world.template(template(u64::from(job_id) + 1, 1), at(now));
        world.timer(at(now));
        world.open(at(now));
        sequence_number = 0;
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0] * 0.99), "{waits:?}");
    assert!(waits[4] > waits[0] * 7.9, "{waits:?}");
}

#[test]
fn without_templates_the_route_goes_elsewhere_and_comes_back_with_the_first() {
    let mut world = World::mining(true);
    world.acknowledge(1, at(1.1));
    world.source.templates_lost("the node is gone", at(2.0), &mut world.fx);
    world.look();
    assert!(matches!(world.down(), Some(DownReason::NoTemplates(why)) if why.contains("gone")));
    world.give_tokens(at(3.0));
    world.template(template(9, 9), at(3.0));
    assert!(matches!(world.told.last(), Some(SourceEvent::Ready { .. })));
}

#[test]
fn other_outputs_of_the_pool_mean_other_jobs_and_more_room_where_they_need_it() {
    let mut world = World::mining(true);
    world.acknowledge(1, at(1.1));
    let before = world.newest();
    // A token is used up; the next one comes with other outputs.
    world.outputs = vec![Output { value: 0, script_pubkey: vec![0x52; 30].into() }];
    world.template(template(2, 1), at(2.0));
    world.fx.constraints = None;
    world.give_tokens(at(2.1));
    let needed = world.fx.constraints.take().expect("told");
    assert_eq!(needed, CoinbaseConstraints::of(&world.outputs));
    let after = world.newest();
    assert_ne!(after.job.job.coinbase_tx_suffix, before.job.job.coinbase_tx_suffix);
    // Far larger ones: the template has no room for them, and its jobs are not mined with them.
    world.outputs = vec![Output { value: 0, script_pubkey: vec![0x53; 3_000].into() }];
    world.template(template(3, 1), at(3.0));
    world.give_tokens(at(3.1));
    let feeds = world.feeds.len();
    world.template(template(4, 1), at(4.0));
    assert_eq!(world.feeds.len(), feeds, "too little room");
    let mut roomy = Template::clone(&template(5, 1));
    roomy.constraints = world.fx.constraints.expect("told");
    world.template(Arc::new(roomy), at(5.0));
    assert_eq!(world.feeds.len(), feeds + 1);
}

#[test]
fn a_server_that_does_not_serve_the_mode_is_named_with_its_code_and_the_mode_that_it_takes() {
    for (full_template, code, remedy) in [
        (false, "missing-declare-tx-data-flag", "set `mode = \"full-template\"`"),
        (true, "unsupported-feature-flags", "set `mode = \"coinbase-only\"`"),
        (true, "unknown-user", "refused the connection"),
    ] {
        let mut world = World::new(full_template);
        world.source.command(SourceCommand::Start, at(0.0), &mut world.fx);
        world.connect_pool(at(0.0));
        world.source.jds_connected(LinkSecurity::Authenticated, at(0.0), &mut world.fx);
        let error = sv2::common::SetupConnectionError { flags: 1, error_code: sv2::Str0255::truncated(code) };
        world.jds(&error, at(0.1));
        let status = world.source.status().declared.unwrap();
        assert_eq!(status.state, DeclaredState::NoDeclarator);
        let why = status.jds_last_down.to_string();
        assert!(why.contains(code) && why.contains(remedy), "{why}");
    }
}

#[test]
fn stopped_it_says_so_and_wants_no_connection() {
    let mut world = World::mining(true);
    let feed = world.newest();
    world.share(&feed, at(1.1));
    world.source.command(SourceCommand::Stop, at(2.0), &mut world.fx);
    world.look();
    assert!(matches!(world.down(), Some(DownReason::NotStarted)));
    assert!(!world.source.pool().has_connection() && !world.source.jds().has_connection());
    assert_eq!((world.books.totals().held, world.books.totals().unsent_sum()), (0, 1));
    assert_eq!(world.source.state(), DeclaredState::Off);
}

#[test]
fn shares_are_not_held_for_a_channel_that_has_gone_and_nothing_is_set_on_it() {
    for by_pool in [true, false] {
        let mut world = World::mining(true);
        let feed = world.newest();
        world.share(&feed, at(1.1));
        let request = world.declared().unwrap();
        if by_pool {
            let reason_code = sv2::Str0255::truncated("maintenance");
            world.pool(&sv2::mining::CloseChannel { channel_id: CHANNEL, reason_code }, at(1.2));
        } else {
            world.source.command(SourceCommand::Close { channel_id: CHANNEL }, at(1.2), &mut world.fx);
            assert_eq!(world.books.totals().held, 1, "it may still be acknowledged");
            world.timer(at(4.5));
        }
        let totals = world.books.totals();
        assert_eq!((totals.held, totals.unsent_sum()), (0, 1));
        world.accept_declaration(request, at(4.6));
        world.give_tokens(at(4.6));
        world.timer(at(4.7));
        assert!(world.declared().is_none() && world.custom_job().is_none());
    }
}
