//! Solo by hand: templates in, a block out.

use work::coinbase::CoinbaseTemplate;
use work::{Extranonce, TemplateParts};

use super::*;
use crate::books::{AccountKey, Books};
use crate::ids::MinerRef;
use crate::source::tag::TagStatus;

pub(super) fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), unix: 1_700_000_000 }
}

fn template(id: u64, tip: u8) -> Arc<Template> {
    let parts = TemplateParts {
        template_id: id,
        prev_hash: [tip; 32],
        version: 0x2000_0000,
        min_ntime: 1_700_000_000,
        nbits: 0x207f_ffff,
        coinbase: CoinbaseTemplate {
            tx_version: 2,
            prefix: vec![1, 5].into(),
            input_sequence: u32::MAX,
            value_remaining: 5_000,
            outputs: vec![Output { value: 0, script_pubkey: vec![0x6a; 38].into() }],
            locktime: 0,
            witness_reserved_value: Some([0; 32]),
        },
        merkle_path: None,
        transactions: Some(Arc::new([])),
        constraints: work::CoinbaseConstraints { additional_size: 1_000, additional_sigops: 80 },
    };
    Arc::new(Template::new(parts).unwrap())
}

pub(super) fn solo(outputs: Vec<Output>) -> (Solo, Arc<Books>) {
    let settings = SoloSettings {
        id: SourceId(3),
        outputs,
        tag: b"\x04Adit".to_vec(),
        instance: vec![1, 2, 3, 4],
        ntime_slack: 600,
        tag_room: 0,
    };
    (Solo::new(settings, 1), Arc::new(Books::default()))
}

/// The same with so many bytes for a lease's tag.
fn solo_with_room(tag_room: u8) -> (Solo, Arc<Books>) {
    let (solo, books) = solo(payout());
    (Solo::new(SoloSettings { tag_room, ..solo.settings }, 1), books)
}

fn payout() -> Vec<Output> {
    vec![
        Output { value: 0, script_pubkey: vec![0x51].into() },
        Output { value: 700, script_pubkey: vec![0x52].into() },
    ]
}

pub(super) fn wish(request: u64) -> OpenChannel {
    OpenChannel {
        request,
        user_identity: "farm".into(),
        nominal_hashrate: 1.0,
        max_target: work::Target::MAX,
        miner_id_size: 4,
        extranonce2_size: 4,
        space: 0,
        standby: false,
    }
}

pub(super) fn feeds(fx: &mut Effects) -> Vec<Feed> {
    let works = |event| match event {
        SourceEvent::Work(feed) => Some(feed),
        _ => None,
    };
    fx.events.drain(..).filter_map(works).collect()
}

/// A block of this feed's job, as a miner's share.
fn block(feed: &Feed, books: &Books) -> (OutgoingShare, Header) {
    rolled_block(feed, books, 0, 0)
}

/// As [`block`], with these version bits flipped and its time so far after the smallest.
pub(super) fn rolled_block(feed: &Feed, books: &Books, bits: u32, later: u32) -> (OutgoingShare, Header) {
    let rolled: [&[u8]; 2] = [&[9; 4], &[7; 4]];
    let job = &feed.job;
    let header = |nonce| job.header(&rolled, job.job.version ^ bits, job.job.min_ntime + later, nonce);
    let header = (0..).map(header).find(|header| header.hash().meets(&job.job.network_target)).unwrap();
    let key = AccountKey { listener: 0, route: 0, source: Some(3) };
    let tally = books.tally(&Arc::from("farm.1"), key);
    tally.open(MinerRef(0));
    let share = OutgoingShare {
        channel: feed.channel.key,
        generation: feed.generation,
        job_id: job.job.id,
        nonce: header.nonce,
        ntime: header.ntime,
        version: header.version,
        extranonce: Extranonce::concat(&[job.filler(), rolled[0], rolled[1]]).unwrap(),
        difficulty: 1.0,
        is_block: true,
        tally,
        miner: MinerRef(0),
        worker: "farm.1".into(),
        told_true: true,
        token: None,
    };
    (share, header)
}

#[test]
fn a_block_that_a_miner_finds_goes_out_whole_and_ends_as_the_node_says() {
    let (mut solo, books) = solo(payout());
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    assert!(fx.events.is_empty(), "not before there is a template");
    solo.template(template(1, 7), at(1), &mut fx).unwrap();
    assert!(matches!(fx.events[..], [SourceEvent::Ready { .. }]));
    solo.command(SourceCommand::Open(wish(1)), at(1), &mut fx);
    solo.command(SourceCommand::Open(wish(2)), at(1), &mut fx);
    let feeds = feeds(&mut fx);
    let [first, second] = &feeds[..] else { panic!("{} feeds", feeds.len()) };
    assert_ne!(
        first.job.constant_extranonce(),
        second.job.constant_extranonce(),
        "each channel has its own space"
    );

    let (share, header) = block(first, &books);
    let found = solo.share(&share, at(2), &mut fx).unwrap();
    assert_eq!(found.header, header, "the block is the one that the miner hashed");
    let whole = found.template.block_with(&found.header, &found.coinbase).unwrap();
    assert_eq!(whole[..80], header.to_bytes());
    assert_eq!((books.totals().pending, solo.open_blocks()), (1, 1));
    solo.submitted(found.number, BlockOutcome::Taken, at(3), &mut fx);
    assert_eq!((books.totals().acknowledged, solo.open_blocks()), (1, 0));

    // A late one, of a channel that is closed, on a tip that is gone, goes out too; the node does not want it.
    let (late, header) = block(second, &books);
    solo.template(template(2, 8), at(4), &mut fx).unwrap();
    solo.command(SourceCommand::Close { channel_id: second.channel.key.channel_id }, at(4), &mut fx);
    let found = solo.share(&late, at(5), &mut fx).unwrap();
    assert_eq!(found.header, header);
    solo.submitted(found.number, BlockOutcome::Refused, at(5), &mut fx);
    assert_eq!(books.totals().refused_sum(), 1);
}

#[test]
fn the_first_output_gets_what_the_others_leave_and_the_commitment_comes_last() {
    let (mut solo, _) = solo(payout());
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    solo.template(template(1, 7), at(1), &mut fx).unwrap();
    solo.command(SourceCommand::Open(wish(1)), at(1), &mut fx);
    let feed = feeds(&mut fx).pop().unwrap();
    let job = &feed.job.job;
    let length = usize::from(job.extranonce_len);
    let outputs = work::coinbase::outputs(&job.coinbase_tx_prefix, length, &job.coinbase_tx_suffix).unwrap();
    let values: Vec<u64> = outputs.iter().map(|output| output.value).collect();
    assert_eq!(values, [4_300, 700, 0]);
}

#[test]
fn a_new_tip_makes_old_work_stale_and_a_better_template_does_not() {
    let (mut solo, _) = solo(payout());
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    solo.template(template(1, 7), at(1), &mut fx).unwrap();
    solo.command(SourceCommand::Open(wish(1)), at(1), &mut fx);
    solo.template(template(2, 7), at(2), &mut fx).unwrap();
    solo.template(template(3, 8), at(3), &mut fx).unwrap();
    let feeds = feeds(&mut fx);
    let generations: Vec<u32> = feeds.iter().map(|feed| feed.generation).collect();
    assert!(generations[0] == generations[1] && generations[1] != generations[2], "{generations:?}");
    let ids: Vec<u32> = feeds.iter().map(|feed| feed.job.job.id).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn a_coinbase_that_pays_too_much_gives_no_work_and_leaves_what_there_was() {
    let mut outputs = payout();
    outputs[1].value = 5_001;
    let (mut solo, _) = solo(outputs);
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    let error = solo.template(template(1, 7), at(1), &mut fx).unwrap_err();
    assert!(matches!(error, SoloError::Coinbase(BuildError::PaysTooMuch { paid: 5_001, remaining: 5_000 })));
    assert!(!solo.is_ready() && fx.events.is_empty());
}

#[test]
fn without_the_node_the_source_is_down_and_comes_back() {
    let (mut solo, books) = solo(payout());
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    solo.template(template(1, 7), at(1), &mut fx).unwrap();
    solo.command(SourceCommand::Open(wish(1)), at(1), &mut fx);
    let feed = feeds(&mut fx).pop().unwrap();
    let gone = DownReason::NoTemplates("the node is gone".to_owned());
    solo.lost(gone.clone(), at(5), &mut fx);
    assert!(matches!(fx.events[..], [SourceEvent::Down(DownReason::NoTemplates(_))]));
    let status = solo.status();
    assert_eq!((status.state, status.last_down), (SourceState::AwaitingTemplate, gone));
    fx.events.clear();
    // What miners find meanwhile is a block all the same.
    assert!(!feed.channel.is_alive() && feed.channel.takes(true) && !feed.channel.takes(false));
    let (share, header) = block(&feed, &books);
    assert_eq!(solo.share(&share, at(6), &mut fx).unwrap().header, header);
    solo.template(template(2, 7), at(9), &mut fx).unwrap();
    assert!(matches!(fx.events[..], [SourceEvent::Ready { .. }]));
    assert_eq!((solo.status().state, solo.status().since), (SourceState::Ready, at(9).mono));
}

#[test]
fn a_template_without_room_for_the_outputs_is_refused_and_on_a_new_tip_the_old_work_ends() {
    let (mut solo, _) = solo(payout());
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    solo.template(template(1, 7), at(1), &mut fx).unwrap();
    solo.command(SourceCommand::Open(wish(1)), at(1), &mut fx);
    fx.events.clear();
    let narrow = |id, tip| {
        let mut narrow = Template::clone(&template(id, tip));
        narrow.constraints.additional_size = 19;
        Arc::new(narrow)
    };
    let error = solo.template(narrow(2, 7), at(2), &mut fx).unwrap_err();
    assert!(matches!(error, SoloError::Room { needed, .. } if needed.additional_size == 20), "{error}");
    assert!(fx.events.is_empty() && solo.is_ready(), "the work on this tip is as good as before");
    solo.template(narrow(3, 8), at(3), &mut fx).unwrap_err();
    assert!(matches!(fx.events[..], [SourceEvent::Down(DownReason::BadTemplate(_))]) && !solo.is_ready());
}

#[test]
fn a_flood_of_templates_leaves_as_many_jobs_as_are_kept_and_the_last_of_them_count() {
    let (mut solo, books) = solo(payout());
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    solo.template(template(0, 7), at(1), &mut fx).unwrap();
    solo.command(SourceCommand::Open(wish(1)), at(1), &mut fx);
    for id in 1..10_000 {
        fx.events.clear();
        solo.template(template(id, 7), at(1), &mut fx).unwrap();
    }
    assert_eq!(solo.works.len(), JOBS);
    let feed = feeds(&mut fx).pop().unwrap();
    let (share, _) = block(&feed, &books);
    assert_eq!(solo.share(&share, at(2), &mut fx).unwrap().template.template_id, 9_999);
}

#[test]
fn a_channel_that_the_coinbase_has_no_room_for_is_closed_and_the_others_go_on() {
    let settings = SoloSettings {
        id: SourceId(3),
        outputs: payout(),
        // With 2 bytes of height, 8 of prefix and 8 of extranonce `script_sig` has 99 of its 100.
        tag: vec![0; 81],
        instance: vec![1, 2, 3, 4],
        ntime_slack: 600,
        tag_room: 0,
    };
    let mut solo = Solo::new(settings, 1);
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    solo.template(template(1, 7), at(1), &mut fx).unwrap();
    solo.command(SourceCommand::Open(OpenChannel { extranonce2_size: 6, ..wish(1) }), at(1), &mut fx);
    solo.command(SourceCommand::Open(wish(2)), at(1), &mut fx);
    assert!(fx.events.iter().any(|event| matches!(event, SourceEvent::Closed { channel_id: 1, .. })));
    solo.template(template(2, 8), at(2), &mut fx).unwrap();
    let channels: Vec<u32> = feeds(&mut fx).iter().map(|feed| feed.channel.key.channel_id).collect();
    assert_eq!(channels, [2, 2]);
}

#[test]
fn with_a_tag_the_work_goes_out_again_and_blocks_of_both_are_the_ones_that_were_found() {
    let (mut solo, books) = solo_with_room(8);
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    solo.template(template(1, 7), at(1), &mut fx).unwrap();
    solo.command(SourceCommand::Open(wish(1)), at(1), &mut fx);
    let before = feeds(&mut fx).pop().unwrap();
    assert_eq!((before.job.filler(), before.job.rollable_len()), (&[0; 8][..], 8));
    let tag = LeaseTag::new(&[1, 2, 3, 4, 5, 6, 7]).unwrap();
    solo.command(SourceCommand::SetTag(tag), at(9), &mut fx);
    let tagged = feeds(&mut fx).pop().unwrap();
    assert_eq!(tagged.job.filler(), [1, 2, 3, 4, 5, 6, 7, 0]);
    assert_eq!((tagged.generation, tagged.job.received_at), (before.generation, before.job.received_at));
    solo.command(SourceCommand::SetTag(tag), at(9), &mut fx);
    assert!(fx.events.is_empty(), "nothing has changed");
    for feed in [&before, &tagged] {
        let (share, header) = block(feed, &books);
        let found = solo.share(&share, at(10), &mut fx).unwrap();
        assert_eq!(found.header, header);
        let whole = found.template.block_with(&found.header, &found.coinbase).unwrap();
        assert_eq!(whole[..80], header.to_bytes());
    }
    solo.template(template(2, 8), at(11), &mut fx).unwrap();
    assert_eq!(feeds(&mut fx).pop().unwrap().job.filler(), tagged.job.filler());
    assert_eq!(solo.status().tag, TagStatus { tag, ..TagStatus::default() });
}

#[test]
fn no_more_room_is_left_for_a_tag_than_an_extranonce_has() {
    let (mut solo, _) = solo_with_room(8);
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, at(0), &mut fx);
    solo.template(template(1, 7), at(1), &mut fx).unwrap();
    // 8 bytes of prefix, 4 of miner id, 15 of extranonce2: 5 are left of 32.
    solo.command(SourceCommand::Open(OpenChannel { extranonce2_size: 15, ..wish(1) }), at(1), &mut fx);
    let tag = LeaseTag::new(&[9; 8]).unwrap();
    solo.command(SourceCommand::SetTag(tag), at(2), &mut fx);
    let feeds = feeds(&mut fx);
    assert_eq!(feeds.iter().map(|feed| feed.job.filler()).collect::<Vec<_>>(), [[0; 5]]);
    assert_eq!(solo.status().tag, TagStatus { tag, channels_without: 1, shortest: 5 });
}
