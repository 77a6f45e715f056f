//! The promises of a JDC's mining connection.

use sv2::common::SetupConnectionError;
use sv2::mining::{
    CloseChannel, OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, OpenMiningChannelError,
    OpenStandardMiningChannel, REQUIRES_WORK_SELECTION, SetCustomMiningJobError, SetExtranoncePrefix,
    SetTarget, SubmitSharesError, SubmitSharesExtended, UpdateChannel, UpdateChannelError,
};
use sv2::{B032, FrameHeader, Message, Str0255, error_code};
use work::Target;

use super::world::{ABOVE, PREFIX, World, at, frame, outputs, target};
use crate::books::{Final, RefuseCode, RejectReason};
use crate::miner::CloseReason;
use crate::miner::jdc::JdcConnection;
use crate::source::{DownReason, LinkSecurity};

#[test]
fn the_jdc_is_set_up_when_the_pool_has_answered_and_refused_with_the_pools_words() {
    let _ = World::ready();
    let mut world = World::new();
    world.jdc.connected(LinkSecurity::Authenticated, at(0), &mut bytes::BytesMut::new()).unwrap();
    // It has to wait.
    let (header, payload) = frame(&CloseChannel { channel_id: 1, reason_code: Str0255::default() });
    assert_eq!(world.say_raw(&header, &payload, at(0)), Err(CloseReason::Garbage));
    let error = SetupConnectionError { flags: 2, error_code: Str0255::truncated("no-declarators-here") };
    assert_eq!(world.pool(&error, at(0)), Err(CloseReason::SetupRefused));
    let told = world.sent_below(SetupConnectionError::MSG_TYPE).expect("the JDC is told");
    let told = SetupConnectionError::decode(&told).unwrap();
    assert_eq!(
        (told.flags, told.error_code.as_bytes()),
        (REQUIRES_WORK_SELECTION, &b"no-declarators-here"[..])
    );

    let mut world = World::new();
    assert_eq!(world.lose(at(1)), CloseReason::NoSource);
    assert!(matches!(world.jdc.why_down(), Some(DownReason::Lost(_))));
    assert!(!world.jdc.wants_connection(), "it ends with its connection");

    // Nobody vouches for the pool.
    let mut world = World::new();
    let mut out = bytes::BytesMut::new();
    let ended = world.jdc.connected(LinkSecurity::Unauthenticated, at(0), &mut out);
    assert_eq!(ended, Err(CloseReason::NoSource));

    // A silent one.
    let mut world = World::new();
    world.jdc.connected(LinkSecurity::Authenticated, at(0), &mut out).unwrap();
    let deadline = world.jdc.deadline().expect("one for the pool's answer");
    assert_eq!(world.timer(at(deadline.as_secs())), Err(CloseReason::NoSource));
}

#[test]
fn shares_are_verified_counted_passed_on_and_answered_as_the_pool_answers() {
    let (mut world, channel, job) = World::mining();
    let sent: Vec<_> = (0..3).map(|_| world.submit(channel, job, 1, at(3)).expect("passed on")).collect();
    assert!(sent.iter().all(|(_, job_id)| *job_id == 900), "by the pool's number of the job");
    assert_eq!((world.totals().pending, world.totals().submitted()), (3, 3));
    assert!(world.below.is_empty(), "nothing is said before the pool has");
    world.acknowledge(sent[1].0, 2, at(4));
    assert_eq!(world.share_success(), Some((2, 2)));
    let error_code = Str0255::truncated("stale-share");
    let error = SubmitSharesError { channel_id: ABOVE, sequence_number: sent[2].0, error_code };
    world.pool(&error, at(4)).unwrap();
    assert_eq!(world.share_error(), Some((3, "stale-share".to_owned())));
    let totals = world.totals();
    assert_eq!((totals.acknowledged, totals.count(Final::Refused(RefuseCode::StaleShare))), (2, 1));
    assert_eq!((totals.pending, totals.submitted()), (0, 3));
    assert!((totals.work_acknowledged - 2.0 * target().difficulty().get()).abs() < 1e-12);
    // By the pool's source, on the JDC's route.
    let (key, _) = world.books.all()[0].clone();
    assert_eq!((key.route, key.source), (1, Some(2)));
}

#[test]
fn a_bad_share_goes_no_further() {
    let (mut world, channel, job) = World::mining();
    let good = world.share(channel, job, 1, true);
    let bad = world.share(channel, job, 1, false);
    let unknown_job = SubmitSharesExtended { job_id: job + 7, ..good };
    let unknown_channel = SubmitSharesExtended { channel_id: 12_345, ..good };
    let short = SubmitSharesExtended { extranonce: B032::new(&[1; 4]).unwrap(), ..good };
    let version = SubmitSharesExtended { version: good.version | 1, ..good };
    let early = SubmitSharesExtended { ntime: 1, ..good };
    let late = SubmitSharesExtended { ntime: good.ntime + 8_000, ..good };
    world.say(&good, at(3)).unwrap();
    assert!(world.sent_above(SubmitSharesExtended::MSG_TYPE).is_some());
    let mut check = |share: &SubmitSharesExtended<'_>, code: &str, why| {
        world.say(share, at(3)).unwrap();
        assert_eq!(world.share_error().expect(code).1, code);
        assert!(world.sent_above(SubmitSharesExtended::MSG_TYPE).is_none(), "{code}");
        assert_eq!(world.totals().count(Final::Rejected(why)), 1, "{code}");
    };
    check(&bad, error_code::DIFFICULTY_TOO_LOW, RejectReason::AboveTarget);
    check(&good, error_code::DUPLICATE_SHARE, RejectReason::Duplicate);
    check(&unknown_job, error_code::INVALID_JOB_ID, RejectReason::UnknownJob);
    check(&unknown_channel, error_code::INVALID_CHANNEL_ID, RejectReason::UnknownChannel);
    check(&short, error_code::BAD_EXTRANONCE_SIZE, RejectReason::Extranonce2Size);
    check(&version, error_code::INVALID_NON_ROLLABLE_VERSION_BIT, RejectReason::VersionBits);
    check(&early, error_code::INVALID_TIMESTAMP, RejectReason::NtimeOutOfRange);
    world.say(&late, at(3)).unwrap();
    assert_eq!(world.share_error().unwrap().1, error_code::INVALID_TIMESTAMP);
    assert_eq!((world.totals().submitted(), world.totals().pending), (9, 1));
}

#[test]
fn a_new_tip_makes_shares_of_jobs_before_it_stale() {
    let (mut world, channel, first) = World::mining();
    let second = world.take_job(channel, 1, 901, at(3));
    assert!(world.submit(channel, first, 1, at(3)).is_some(), "the same tip");
    let third = world.take_job(channel, 2, 902, at(4));
    assert_eq!(world.submit(channel, second, 1, at(4)), None);
    assert_eq!(world.share_error().unwrap().1, error_code::STALE_SHARE);
    assert_eq!(world.submit(channel, third, 2, at(4)).map(|(_, job)| job), Some(902));
}

#[test]
fn when_the_pool_is_lost_the_channels_end_and_every_share_has_its_state() {
    let (mut world, channel, job) = World::mining();
    for _ in 0..4 {
        world.submit(channel, job, 1, at(3));
    }
    assert_eq!(world.lose(at(4)), CloseReason::PoolChanged);
    assert_eq!((world.totals().unknown, world.totals().pending, world.totals().submitted()), (4, 0, 4));
    let mut out = bytes::BytesMut::new();
    world.jdc.tell(CloseReason::PoolChanged.as_str(), &mut out);
    let told = super::world::take(&mut out);
    let closed = CloseChannel::decode(&told[0].1).unwrap();
    assert_eq!((closed.channel_id, closed.reason_code.as_bytes()), (channel, &b"pool_changed"[..]));
}

#[test]
fn what_a_jdc_that_leaves_has_sent_is_waited_for() {
    let (mut world, channel, job) = World::mining();
    let (sequence, _) = world.submit(channel, job, 1, at(3)).unwrap();
    world.jdc.leave(at(4));
    assert!(!world.jdc.is_settled());
    world.acknowledge(sequence, 1, at(5));
    assert!(world.jdc.is_settled());
    assert_eq!((world.totals().acknowledged, world.totals().pending), (1, 0));
    assert_eq!(world.share_success(), None, "there is no channel any more");
    // One without open shares has nothing to wait for.
    let (mut idle, _) = World::with_channel();
    idle.jdc.leave(at(4));
    assert!(idle.jdc.is_settled());
}

#[test]
fn targets_prefixes_and_closing_are_passed_on_both_ways() {
    let (mut world, channel, job) = World::mining();
    let maximum_target = Target::MAX.to_le_bytes();
    world.pool(&SetTarget { channel_id: ABOVE, maximum_target }, at(3)).unwrap();
    let told = world.sent_below(SetTarget::MSG_TYPE).unwrap();
    assert_eq!(SetTarget::decode(&told).unwrap().channel_id, channel);
    // The job that is mined keeps the target that it was taken with.
    let easy = world.share(channel, job, 1, false);
    world.say(&easy, at(3)).unwrap();
    assert_eq!(world.share_error().unwrap().1, error_code::DIFFICULTY_TOO_LOW);
    let next = world.take_job(channel, 1, 901, at(4));
    let easy = world.share(channel, next, 1, false);
    world.say(&easy, at(4)).unwrap();
    assert_eq!(world.share_error(), None);
    assert!(world.sent_above(SubmitSharesExtended::MSG_TYPE).is_some());

    let other = [9; PREFIX.len()];
    let extranonce_prefix = B032::new(&other).unwrap();
    world.pool(&SetExtranoncePrefix { channel_id: ABOVE, extranonce_prefix }, at(5)).unwrap();
    let told = world.sent_below(SetExtranoncePrefix::MSG_TYPE).unwrap();
    let told = SetExtranoncePrefix::decode(&told).unwrap();
    assert_eq!((told.channel_id, told.extranonce_prefix.as_slice()), (channel, &other[..]));
    assert!(world.submit(channel, next, 1, at(5)).is_some(), "a job keeps the prefix that it was taken with");

    let update = UpdateChannel { channel_id: channel, nominal_hash_rate: 5.0, maximum_target };
    world.say(&update, at(6)).unwrap();
    let told = world.sent_above(UpdateChannel::MSG_TYPE).unwrap();
    let told = UpdateChannel::decode(&told).unwrap();
    assert_eq!((told.channel_id, told.maximum_target), (ABOVE, maximum_target));
    assert_eq!(world.jdc.standing().1, 5.0);
    let error_code = Str0255::truncated("max-target-out-of-range");
    world.pool(&UpdateChannelError { channel_id: ABOVE, error_code }, at(6)).unwrap();
    let told = world.sent_below(UpdateChannelError::MSG_TYPE).unwrap();
    assert_eq!(UpdateChannelError::decode(&told).unwrap().channel_id, channel);

    let reason_code = Str0255::truncated("enough");
    world.pool(&CloseChannel { channel_id: ABOVE, reason_code }, at(7)).unwrap();
    let told = world.sent_below(CloseChannel::MSG_TYPE).unwrap();
    let told = CloseChannel::decode(&told).unwrap();
    assert_eq!((told.channel_id, told.reason_code.as_bytes()), (channel, &b"enough"[..]));
    assert_eq!(world.jdc.channels(), 0);
    assert_eq!((world.totals().pending, world.totals().unknown), (0, 2));
}

#[test]
fn a_custom_job_that_cannot_be_mined_or_is_refused_is_told_so() {
    let (mut world, channel) = World::with_channel();
    assert_eq!(world.set_job_with(channel, 1, &[], at(2)), None);
    assert_eq!(world.refused_job().as_deref(), Some(error_code::INVALID_COINBASE_TX));
    let lying = [vec![200], outputs()[1..].to_vec()].concat();
    assert_eq!(world.set_job_with(channel, 1, &lying, at(2)), None);
    assert_eq!(world.refused_job().as_deref(), Some(error_code::INVALID_COINBASE_TX));
    assert_eq!(world.set_job(channel + 5, 1, at(2)), None);
    assert_eq!(world.refused_job().as_deref(), Some(error_code::INVALID_CHANNEL_ID));
    let request_id = world.set_job(channel, 1, at(2)).expect("passed on");
    let error_code = Str0255::truncated(error_code::STALE_CHAIN_TIP);
    let error = SetCustomMiningJobError { channel_id: ABOVE, request_id, error_code };
    world.pool(&error, at(2)).unwrap();
    assert_eq!(world.refused_job().as_deref(), Some(error_code::STALE_CHAIN_TIP));
    // Silence has an end, and what is open at a time is bounded.
    world.set_job(channel, 1, at(3)).expect("passed on");
    assert!(world.jdc.deadline().is_some());
    world.timer(at(32)).unwrap();
    assert_eq!(world.refused_job(), None);
    world.timer(at(33)).unwrap();
    assert_eq!(world.refused_job().as_deref(), Some("no-answer"));
    let taken = (0..100).take_while(|_| world.set_job(channel, 1, at(40)).is_some()).count();
    assert_eq!(taken, 16);
    assert_eq!(world.refused_job().as_deref(), Some("too-many-open-requests"));
}

#[test]
fn channels_are_bounded_and_what_cannot_be_had_is_refused() {
    let mut world = World::ready();
    let standard = OpenStandardMiningChannel {
        request_id: 1,
        user_identity: Str0255::truncated("a"),
        nominal_hash_rate: 1.0,
        max_target: Target::MAX.to_le_bytes(),
    };
    let extended = OpenExtendedMiningChannel {
        request_id: 1,
        user_identity: Str0255::truncated("a"),
        nominal_hash_rate: 1.0,
        max_target: Target::MAX.to_le_bytes(),
        min_extranonce_size: 8,
    };
    let refused = |world: &mut World| {
        let payload = world.sent_below(OpenMiningChannelError::MSG_TYPE)?;
        Some(OpenMiningChannelError::decode(&payload).unwrap().error_code.to_string())
    };
    world.say(&standard, at(1)).unwrap();
    let code = error_code::STANDARD_CHANNELS_NOT_SUPPORTED_FOR_CUSTOM_WORK;
    assert_eq!(refused(&mut world).as_deref(), Some(code));
    for (open, code) in [
        (
            OpenExtendedMiningChannel { nominal_hash_rate: f32::NAN, ..extended },
            error_code::INVALID_NOMINAL_HASHRATE,
        ),
        (OpenExtendedMiningChannel { max_target: [0; 32], ..extended }, error_code::MAX_TARGET_OUT_OF_RANGE),
        (
            OpenExtendedMiningChannel { min_extranonce_size: 33, ..extended },
            error_code::MIN_EXTRANONCE_SIZE_TOO_LARGE,
        ),
    ] {
        world.say(&open, at(1)).unwrap();
        assert_eq!(refused(&mut world).as_deref(), Some(code));
    }
    assert!(world.above.iter().all(|(kind, _)| *kind != OpenExtendedMiningChannel::MSG_TYPE));
    for _ in 0..20 {
        world.say(&extended, at(1)).unwrap();
    }
    let asked = world.above.iter().filter(|(kind, _)| *kind == OpenExtendedMiningChannel::MSG_TYPE).count();
    assert_eq!(asked, 16);
    assert_eq!(refused(&mut world).as_deref(), Some(error_code::CHANNEL_CAPACITY_EXHAUSTED));
    // The pool says no, and then nothing.
    let payload = world.sent_above(OpenExtendedMiningChannel::MSG_TYPE).unwrap();
    let request_id = OpenExtendedMiningChannel::decode(&payload).unwrap().request_id;
    world.below.clear();
    let error_code = Str0255::truncated("unknown-user");
    world.pool(&OpenMiningChannelError { request_id, error_code }, at(1)).unwrap();
    assert_eq!(refused(&mut world).as_deref(), Some("unknown-user"));
    world.timer(at(100)).unwrap();
    assert_eq!(refused(&mut world).as_deref(), Some("no-answer"));
}

#[test]
fn a_hostile_jdc_ends_its_own_connection_and_nothing_else() {
    // What cannot be read.
    let (mut world, ..) = World::mining();
    let header = FrameHeader {
        extension_type: 0,
        channel_msg: true,
        msg_type: SubmitSharesExtended::MSG_TYPE,
        length: 3,
    };
    assert_eq!(world.say_raw(&header, &[1, 2, 3], at(3)), Err(CloseReason::Garbage));
    assert_eq!(world.totals().count(Final::Rejected(RejectReason::Malformed)), 1);
    // Far too many requests.
    let (mut world, channel, _) = World::mining();
    let update = UpdateChannel {
        channel_id: channel,
        nominal_hash_rate: 1.0,
        maximum_target: Target::MAX.to_le_bytes(),
    };
    let ended = (0..10_000).find_map(|_| world.say(&update, at(3)).err());
    assert_eq!(ended, Some(CloseReason::Flood));
    // Bad shares without end.
    let (mut world, channel, job) = World::mining();
    let bad = world.share(channel, job, 1, false);
    let ended = (0..10_000).find_map(|_| world.say(&bad, at(3)).err());
    assert_eq!(ended, Some(CloseReason::BadShares));
    // Messages of a pool.
    let (mut world, channel, _) = World::mining();
    let target = SetTarget { channel_id: channel, maximum_target: [0xff; 32] };
    let ended = (0..100).find_map(|_| world.say(&target, at(3)).err());
    assert_eq!(ended, Some(CloseReason::Garbage));
    // Unknown ones are passed over.
    let (mut world, ..) = World::mining();
    for (extension_type, msg_type) in [(0x77, 1), (0, 0xfe)] {
        let header = FrameHeader { extension_type, channel_msg: false, msg_type, length: 0 };
        world.say_raw(&header, &[], at(3)).unwrap();
    }
}

#[test]
fn a_hostile_pool_ends_the_connection_with_the_books_in_balance() {
    let zero = SetTarget { channel_id: ABOVE, maximum_target: [0; 32] };
    let longer = SetExtranoncePrefix { channel_id: ABOVE, extranonce_prefix: B032::new(&[1; 9]).unwrap() };
    for hostile in [frame(&zero), frame(&longer)] {
        let (mut world, channel, job) = World::mining();
        world.submit(channel, job, 1, at(3));
        let ended = world.jdc.hear_upstream(&hostile.0, &hostile.1, at(4), &mut bytes::BytesMut::new());
        assert_eq!(ended, Err(CloseReason::PoolChanged));
        assert_eq!((world.totals().unknown, world.totals().submitted()), (1, 1));
    }
    // A channel that leaves nothing to roll is none.
    let mut world = World::ready();
    let open = OpenExtendedMiningChannel {
        request_id: 5,
        user_identity: Str0255::truncated("jdc"),
        nominal_hash_rate: 1.0,
        max_target: Target::MAX.to_le_bytes(),
        min_extranonce_size: 12,
    };
    world.say(&open, at(1)).unwrap();
    let payload = world.sent_above(OpenExtendedMiningChannel::MSG_TYPE).unwrap();
    let message = OpenExtendedMiningChannelSuccess {
        request_id: OpenExtendedMiningChannel::decode(&payload).unwrap().request_id,
        channel_id: ABOVE,
        target: target().to_le_bytes(),
        extranonce_size: 3,
        extranonce_prefix: B032::new(&PREFIX).unwrap(),
        group_channel_id: 1,
    };
    world.pool(&message, at(1)).unwrap();
    let refused = world.sent_below(OpenMiningChannelError::MSG_TYPE).unwrap();
    let refused = OpenMiningChannelError::decode(&refused).unwrap();
    assert_eq!(refused.error_code.as_bytes(), error_code::UNSUPPORTED_MIN_EXTRANONCE_SIZE.as_bytes());
    // Answers to nothing that was asked.
    let (mut world, ..) = World::mining();
    world.acknowledge(u32::MAX, 1_000, at(3));
    let error_code = Str0255::truncated("x");
    world.pool(&SetCustomMiningJobError { channel_id: ABOVE, request_id: 9_999, error_code }, at(3)).unwrap();
    world.pool(&SubmitSharesError { channel_id: ABOVE, sequence_number: 5, error_code }, at(3)).unwrap();
    assert!(world.below.is_empty());
    assert_eq!(world.totals().submitted(), 0);
}
