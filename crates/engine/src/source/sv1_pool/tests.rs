//! An SV1 pool by hand: its lines in, ours out.

mod spaces;
mod tag;

use proptest::prelude::*;
use work::Extranonce;

use super::*;
use crate::books::{AccountKey, Books, Final, RefuseCode, UnsentReason};
use crate::feed::Feed;
use crate::ids::MinerRef;
use crate::share::{Answer, OutgoingShare};
use crate::source::event::{ChannelRefusal, OpenChannel, SourceEvent};

const MASK: u32 = 0x1fff_e000;

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), unix: 1_700_000_000 }
}

struct Test {
    pool: Sv1Pool,
    books: Arc<Books>,
    fx: Sv1Effects,
    now: Now,
    /// Bytes of extranonce2.
    size: usize,
}

impl Test {
    fn with(change: impl FnOnce(&mut Sv1Settings)) -> Self {
        let books = Arc::new(Books::default());
        let mut settings = Sv1Settings {
            id: SourceId(2),
            host: "eu.pool.example".into(),
            user_identity: "farm.1".into(),
            password: "x".into(),
            version_mask: MASK,
            allow_reconnect: false,
            ntime_slack: 600,
            unsettled_max: None,
            payout: None,
            connections_max: 16,
        };
        change(&mut settings);
        let pool = Sv1Pool::new(settings, 7);
        let mut test = Self { pool, books, fx: Sv1Effects::default(), now: at(1), size: 8 };
        test.pool.command(SourceCommand::Start, test.now, &mut test.fx);
        test
    }

    fn new() -> Self {
        Self::with(|_| ())
    }

    fn dial(&mut self) -> u32 {
        let lane = self.pool.to_dial().expect("a connection is wanted");
        self.pool.connected(lane, self.now, &mut self.fx);
        lane
    }

    fn says(&mut self, lane: u32, line: &str) {
        self.pool.line(lane, line.as_bytes(), self.now, &mut self.fx);
    }

    fn notify(&mut self, lane: u32, name: &str, tip: u8, clean: bool) {
        // The script has 20 bytes, whatever the pool leaves of them.
        let line = notify(name, tip, clean).replacen(&"03".repeat(9), &"03".repeat(17 - self.size), 1);
        self.says(lane, &line);
    }

    fn timer(&mut self, seconds: u64) {
        self.now = at(seconds);
        self.pool.timer(self.now, &mut self.fx);
    }

    /// The other's connection, set up under this extranonce1: it has what waited for it.
    fn further(&mut self, extranonce1: &str) -> u32 {
        let lane = self.dial();
        self.set_up_as(lane, 8, extranonce1);
        lane
    }

    /// A pool that leaves `size` bytes of extranonce2, set up, with one job.
    fn ready(&mut self, size: usize) -> u32 {
        let lane = self.dial();
        self.set_up(lane, size);
        lane
    }

    fn set_up(&mut self, lane: u32, size: usize) {
        self.set_up_as(lane, size, "aabbcc");
    }

    fn set_up_as(&mut self, lane: u32, size: usize, extranonce1: &str) {
        self.size = size;
        assert!(self.sent(lane).contains("mining.configure"));
        self.says(
            lane,
            r#"{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}"#,
        );
        assert!(self.sent(lane).contains("mining.subscribe"));
        self.says(
            lane,
            &format!(r#"{{"id":2,"result":[[["mining.notify","ab"]],"{extranonce1}",{size}],"error":null}}"#),
        );
        assert!(self.sent(lane).contains("mining.authorize"));
        self.says(lane, r#"{"id":null,"method":"mining.set_difficulty","params":[0.5]}"#);
        self.says(lane, r#"{"id":3,"result":true,"error":null}"#);
        assert!(self.sent(lane).contains("mining.extranonce.subscribe"));
        self.says(lane, r#"{"id":4,"result":null,"error":[20,"no","such method"]}"#);
        self.notify(lane, "job \"one\"", 1, true);
    }

    fn sent(&mut self, lane: u32) -> String {
        let of = |(number, _): &mut (u32, Vec<u8>)| *number == lane;
        let lines: Vec<u8> = self.fx.lines.extract_if(.., of).flat_map(|(_, lines)| lines).collect();
        String::from_utf8(lines).unwrap()
    }

    fn events(&mut self) -> Vec<SourceEvent> {
        std::mem::take(&mut self.fx.common.events)
    }

    fn open(&mut self, request: u64, identity: &str) -> Vec<SourceEvent> {
        self.open_in(request, identity, 0)
    }

    /// For miners whose ids are of this space.
    fn open_in(&mut self, request: u64, identity: &str, space: u8) -> Vec<SourceEvent> {
        let wish = OpenChannel {
            request,
            user_identity: identity.into(),
            nominal_hashrate: 1e12,
            max_target: work::Target::MAX,
            miner_id_size: 2,
            extranonce2_size: 4,
            space,
            standby: false,
        };
        self.events();
        self.pool.command(SourceCommand::Open(wish), self.now, &mut self.fx);
        self.events()
    }

    fn feed(&mut self, request: u64) -> Feed {
        let events = self.open(request, "farm.1");
        let [SourceEvent::Opened { .. }, SourceEvent::Work(feed)] = &events[..] else { panic!("{events:?}") };
        feed.clone()
    }

    fn submit(&mut self, feed: &Feed, nonce: u32) {
        let key = AccountKey { listener: 0, route: 0, source: Some(2) };
        let tally = self.books.tally(&Arc::from("w"), key);
        tally.open(MinerRef(0));
        let rolled: [&[u8]; 2] = [&[9; 2], &[7; 4]];
        let share = OutgoingShare {
            channel: feed.channel.key,
            generation: feed.generation,
            job_id: feed.job.job.id,
            nonce,
            ntime: 0x6500_0001,
            version: feed.job.job.version | 0x0000_2000,
            extranonce: Extranonce::concat(&[feed.job.filler(), rolled[0], rolled[1]]).unwrap(),
            difficulty: 0.5,
            is_block: false,
            tally,
            miner: MinerRef(0),
            worker: "w".into(),
            told_true: true,
            token: Some(nonce),
        };
        self.pool.share(&share, self.now, &mut self.fx);
    }

    fn answers(&mut self) -> Vec<Final> {
        self.fx.common.answers.drain(..).map(|(_, Answer { end, .. })| end).collect()
    }
}

fn notify(name: &str, tip: u8, clean: bool) -> String {
    // 20 bytes of script, of which extranonce1 (3) and extranonce2 (8) are not in these parts.
    let coinb1 = format!("01000000 01{}ffffffff14{}", "00".repeat(32), "03".repeat(9)).replace(' ', "");
    let coinb2 = format!("ffffffff01{}0151{}", "00f2052a01000000", "00000000");
    let prev_hash = hex::encode([tip; 32]);
    let name = name.replace('"', "\\\"");
    format!(
        r#"{{"id":null,"method":"mining.notify","params":["{name}","{prev_hash}","{coinb1}","{coinb2}",[],"20000000","1d00ffff","65000000",{clean}]}}"#
    )
}

#[test]
fn a_share_goes_up_with_all_that_the_pool_needs_and_ends_as_the_pool_says() {
    let mut test = Test::new();
    let lane = test.ready(8);
    let events = test.events();
    assert!(matches!(events[..], [SourceEvent::Ready { .. }]), "{events:?}");
    let feed = test.feed(1);
    assert_eq!(feed.job.constant_extranonce(), [0xaa, 0xbb, 0xcc, 0, 0], "the pool's extranonce1 and filler");
    assert!((feed.job.source_difficulty.get() - 0.5).abs() < 1e-12);
    test.submit(&feed, 0x1234);
    let line = test.sent(lane);
    assert_eq!(
        line,
        "{\"id\":16,\"method\":\"mining.submit\",\"params\":[\"farm.1\",\"job \\\"one\\\"\",\
         \"0000090907070707\",\"65000001\",\"00001234\",\"00002000\"]}\n"
    );
    for nonce in 1..4 {
        test.submit(&feed, nonce);
    }
    test.says(lane, r#"{"id":17,"result":null,"error":[23,"low difficulty",null]}"#);
    test.says(lane, r#"{"id":16,"result":true,"error":null}"#);
    test.says(lane, r#"{"id":18,"result":false,"error":null}"#);
    test.says(lane, r#"{"id":18,"result":true,"error":null}"#);
    assert_eq!(
        test.answers(),
        [
            Final::Refused(RefuseCode::DifficultyTooLow),
            Final::Acknowledged,
            Final::Refused(RefuseCode::Other)
        ]
    );
    assert_eq!(test.pool.status().open_shares, 1);
    test.pool.disconnected(lane, DownReason::Lost("gone".into()), test.now, &mut test.fx);
    assert_eq!(test.answers(), [Final::Unknown]);
    assert_eq!(test.books.totals().pending, 0);
    test.submit(&feed, 9);
    assert_eq!(test.answers(), [Final::Unsent(UnsentReason::NoSource)]);
}

#[test]
fn what_the_pool_sets_holds_from_the_next_job_on() {
    let mut test = Test::new();
    let lane = test.ready(8);
    let first = test.feed(1);
    test.says(lane, r#"{"id":null,"method":"mining.set_difficulty","params":[8]}"#);
    test.says(lane, r#"{"id":null,"method":"mining.set_extranonce","params":["ddeeff",8]}"#);
    assert!(test.events().is_empty());
    test.notify(lane, "2", 1, false);
    let events = test.events();
    let [SourceEvent::Work(second)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(first.job.constant_extranonce(), [0xaa, 0xbb, 0xcc, 0, 0]);
    assert_eq!(second.job.constant_extranonce(), [0xdd, 0xee, 0xff, 0, 0]);
    assert!((second.job.source_difficulty.get() - 8.0).abs() < 1e-12);
    assert_eq!(first.generation, second.generation, "the earlier job's shares still count");
    test.submit(&first, 1);
    assert!(test.sent(lane).contains("job \\\"one\\\""));
    // Three bytes of extranonce1 more, three of extranonce2 less: the miners' part does not fit any more.
    test.says(lane, r#"{"id":null,"method":"mining.set_extranonce","params":["ddeeffaabbcc",5]}"#);
    test.notify(lane, "3", 1, false);
    let events = test.events();
    assert!(matches!(events[..], [SourceEvent::Closed { .. }]), "{events:?}");
    assert!(first.channel.is_alive(), "what was found meanwhile can still go");
}

#[test]
fn clean_jobs_calls_all_earlier_jobs_off_also_on_the_same_tip() {
    let mut test = Test::new();
    let lane = test.ready(8);
    let first = test.feed(1);
    test.notify(lane, "2", 1, true);
    let events = test.events();
    let [SourceEvent::Work(second)] = &events[..] else { panic!("{events:?}") };
    assert_ne!(first.generation, second.generation);
    assert_ne!(first.job.job.era, second.job.job.era, "so that miners are told clean_jobs too");
    test.submit(&first, 1);
    assert_eq!(test.answers(), [Final::Unsent(UnsentReason::StaleInQueue)]);
}

#[test]
fn a_pool_that_lets_nobody_roll_is_of_use_to_those_who_do_not_roll_only() {
    let mut test = Test::new();
    let lane = test.dial();
    test.says(lane, r#"{"id":1,"result":null,"error":[-3,"Method not found",null]}"#);
    let down = DownReason::VersionRolling { granted: 0, needed: MASK };
    let events = test.events();
    assert!(matches!(&events[..], [SourceEvent::Down(why)] if *why == down), "{events:?}");
    assert!(down.to_string().contains("1fffe000"));

    let mut test = Test::with(|settings| settings.version_mask = 0);
    let lane = test.dial();
    assert!(test.sent(lane).contains("mining.subscribe"));
    test.says(lane, r#"{"id":2,"result":[[["mining.notify","ab"]],"aabbcc",8],"error":null}"#);
    // The first job before the answer to authorize, as some pools have it.
    test.notify(lane, "1", 1, true);
    assert!(test.events().is_empty());
    test.says(lane, r#"{"id":3,"result":true,"error":null}"#);
    test.sent(lane);
    test.events();
    let feed = test.feed(1);
    assert!(!feed.job.job.version_rolling_allowed);
    test.submit(&feed, 1);
    assert!(test.sent(lane).ends_with("\"65000001\",\"00000001\"]}\n"), "no version bits");
}

#[test]
fn a_mask_that_shrinks_below_what_miners_roll_ends_the_source() {
    let mut test = Test::new();
    let lane = test.ready(8);
    test.says(lane, r#"{"id":null,"method":"mining.set_version_mask","params":["1fffe0ff"]}"#);
    assert!(test.pool.is_ready());
    test.says(lane, r#"{"id":null,"method":"mining.set_version_mask","params":["00ffe000"]}"#);
    assert!(!test.pool.is_ready());
}

#[test]
fn a_refused_worker_and_a_silent_step_say_so() {
    let mut test = Test::new();
    let lane = test.dial();
    test.timer(7);
    // No word on mining.configure is a no.
    assert_eq!(test.pool.status().last_down, DownReason::VersionRolling { granted: 0, needed: MASK });

    let mut test = Test::with(|settings| settings.version_mask = 0);
    let other = test.dial();
    assert_eq!(other, lane);
    test.says(other, r#"{"id":2,"result":[[["mining.notify","ab"]],"aabbcc",8],"error":null}"#);
    test.says(other, r#"{"id":3,"result":false,"error":[24,"who is that",null]}"#);
    let said = "the pool refused the connection: mining.authorize of farm.1: who is that (24)";
    assert_eq!(test.pool.status().last_down.to_string(), said);
    test.timer(10);
    test.dial();
    test.timer(20);
    assert_eq!(test.pool.status().last_down, DownReason::Silent("mining.subscribe"));
}

#[test]
fn a_pool_without_jobs_for_ten_minutes_is_down_and_dialled_again() {
    let mut test = Test::new();
    let lane = test.ready(8);
    test.timer(700);
    assert_eq!(test.pool.status().last_down, DownReason::NoJob(JOB_SILENCE));
    assert!(test.fx.hang_up.contains(&lane));
    let again = test.pool.deadline().unwrap();
    assert!(again <= Duration::from_secs(701));
    test.timer(701);
    assert_ne!(test.dial(), lane);
}

#[test]
fn shares_without_answer_end_as_unknown_and_a_pool_that_answers_none_is_left() {
    let mut test = Test::new();
    let lane = test.ready(8);
    let feed = test.feed(1);
    test.submit(&feed, 1);
    test.now = at(30);
    test.submit(&feed, 2);
    test.says(lane, r#"{"id":17,"result":true}"#);
    test.timer(61);
    assert_eq!(test.answers(), [Final::Acknowledged, Final::Unknown]);
    test.says(lane, r#"{"id":16,"result":true}"#);
    assert_eq!(test.pool.status().pool.unwrap().stray_answers, 1, "too late");
    test.submit(&feed, 3);
    test.timer(122);
    assert_eq!(test.pool.status().last_down, DownReason::IgnoresShares);
    assert_eq!(test.books.totals().pending, 0);
}

#[test]
fn a_hundred_refusals_in_a_row_are_enough() {
    let mut test = Test::new();
    let lane = test.ready(8);
    let feed = test.feed(1);
    for number in 0..100 {
        test.submit(&feed, number);
        test.says(lane, &format!(r#"{{"id":{},"result":null,"error":[22,"dup",null]}}"#, 16 + number));
    }
    assert_eq!(test.pool.status().last_down, DownReason::RefusesShares("duplicate-share"));
}

#[test]
fn channels_of_one_split_and_identity_share_a_connection_and_others_get_their_own() {
    let mut test = Test::new();
    let lane = test.ready(8);
    let (one, two) = (test.feed(1), test.feed(2));
    assert_eq!(one.channel.key.connection, two.channel.key.connection);
    assert_ne!(one.channel.key.channel_id, two.channel.key.channel_id);
    assert!(!one.channel.can_be_outgrown());

    assert!(test.open(3, "farm.2").is_empty(), "it waits for a connection");
    let second = test.dial();
    assert!(second != lane);
    test.set_up(second, 8);
    let events = test.events();
    let [SourceEvent::Opened { request: 3, channel, .. }, SourceEvent::Work(_)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(channel.key.connection, second);

    // The second connection ends: the source goes on.
    test.pool.disconnected(second, DownReason::Lost("gone".into()), test.now, &mut test.fx);
    let events = test.events();
    assert!(matches!(events[..], [SourceEvent::Closed { .. }]), "{events:?}");
    assert!(test.pool.is_ready() && !channel.is_alive() && one.channel.is_alive());

    // A channel that is closed gets no jobs, and its shares still go.
    let channel_id = one.channel.key.channel_id;
    test.pool.command(SourceCommand::Close { channel_id }, test.now, &mut test.fx);
    test.submit(&one, 1);
    assert!(test.sent(lane).contains("mining.submit"));
    test.timer(10);
    test.notify(lane, "2", 1, false);
    assert_eq!(test.events().len(), 1, "new jobs are for the other one alone");
    test.submit(&one, 2);
    assert!(
        test.sent(lane).contains("mining.submit"),
        "its shares are as good as ever: the space is the same"
    );
    test.pool.disconnected(lane, DownReason::Lost("gone".into()), test.now, &mut test.fx);
    assert!(!one.channel.is_alive() && !two.channel.is_alive());
}

#[test]
fn a_further_connection_that_nobody_uses_is_closed_and_the_last_one_is_not() {
    let mut test = Test::new();
    let lane = test.ready(8);
    let first = test.feed(1);
    test.open(3, "farm.2");
    let second = test.dial();
    test.set_up(second, 8);
    test.events();
    let close = SourceCommand::Close { channel_id: first.channel.key.channel_id };
    test.pool.command(close, test.now, &mut test.fx);
    for seconds in (5..120).step_by(5) {
        test.timer(seconds);
    }
    assert!(!test.pool.has(lane) && test.pool.has(second) && test.pool.is_ready());
}

#[test]
fn the_same_ids_are_used_again_on_a_further_connection_and_never_on_one_that_had_others() {
    let mut test = Test::new();
    let lane = test.ready(8);
    let first = test.feed(1);
    assert!(test.open_in(2, "farm.1", 1).is_empty(), "the first connection is the first space's");
    let second = test.further("ddeeff");
    let events = test.events();
    let [SourceEvent::Opened { request: 2, channel, .. }, SourceEvent::Work(feed)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((channel.key.connection, first.channel.key.connection), (second, lane));
    assert_ne!(feed.job.constant_extranonce(), first.job.constant_extranonce());
    // The first space's miners have gone; their connection is free, and still for nobody else's.
    let channel_id = first.channel.key.channel_id;
    test.pool.command(SourceCommand::Close { channel_id }, test.now, &mut test.fx);
    test.timer(10);
    assert!(test.open_in(3, "farm.1", 2).is_empty());
    let third = test.further("112233");
    assert!(![lane, second].contains(&third));
    assert_eq!(test.events().len(), 2);
    let again = test.open_in(4, "farm.1", 0);
    assert!(
        matches!(&again[..], [SourceEvent::Opened { channel, .. }, _] if channel.key.connection == lane),
        "{again:?}"
    );
}

#[test]
fn beyond_its_connections_a_space_is_refused_unless_one_is_unused() {
    let mut test = Test::with(|settings| settings.connections_max = 2);
    let lane = test.ready(8);
    let first = test.feed(1);
    test.open_in(2, "farm.1", 1);
    test.further("ddeeff");
    let events = test.open_in(3, "farm.1", 2);
    let [SourceEvent::NotOpened { request: 3, why }] = &events[..] else { panic!("{events:?}") };
    assert!(why.to_string().contains("all 2 connections") && why.to_string().contains("connections_max"));
    let channel_id = first.channel.key.channel_id;
    test.pool.command(SourceCommand::Close { channel_id }, test.now, &mut test.fx);
    test.timer(10);
    assert!(
        test.open_in(4, "farm.1", 2).is_empty(),
        "it waits for the connection that takes the unused one's place"
    );
    assert!(test.fx.hang_up.contains(&lane) && !test.pool.has(lane));
    test.further("112233");
    assert!(matches!(test.events()[..], [SourceEvent::Opened { request: 4, .. }, SourceEvent::Work(_)]));
    assert!(test.pool.is_ready());
}

#[test]
fn a_pool_that_does_not_tell_its_connections_apart_gets_one_space_only() {
    let mut test = Test::new();
    test.ready(8);
    let first = test.feed(1);
    test.open_in(2, "farm.1", 1);
    let second = test.dial();
    test.set_up(second, 8);
    let events = test.events();
    let [SourceEvent::NotOpened { request: 2, why: ChannelRefusal::SameExtranonce }] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(first.channel.is_alive());
    // Another identity's miners have other ids.
    assert_eq!(test.open(3, "farm.1").len(), 2);
}

#[test]
fn what_the_pool_leaves_is_told_before_it_is_ready() {
    let mut test = Test::with(|settings| settings.version_mask = 0);
    let lane = test.dial();
    let offered = |test: &Test| test.pool.status().pool.and_then(|pool| pool.extranonce2_size);
    assert_eq!(offered(&test), None);
    test.says(lane, r#"{"id":2,"result":[[["mining.notify","ab"]],"aabbcc",4],"error":null}"#);
    assert!(!test.pool.is_ready());
    assert_eq!(offered(&test), Some(4));
    test.pool.disconnected(lane, DownReason::Lost("gone".into()), test.now, &mut test.fx);
    assert_eq!(offered(&test), Some(4), "it will leave as many the next time");
}

#[test]
fn what_does_not_fit_is_refused_with_the_sizes() {
    let mut test = Test::new();
    test.ready(4);
    test.events();
    let events = test.open(1, "farm.1");
    let [SourceEvent::NotOpened { request: 1, why: ChannelRefusal::Extranonce(why) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(why.to_string().contains("leaves 4 bytes"), "{why}");
}

#[test]
fn a_strange_reconnect_is_told_and_not_followed() {
    let mut test = Test::new();
    let lane = test.ready(8);
    test.says(lane, r#"{"id":null,"method":"client.reconnect","params":["evil.example",3333,0]}"#);
    assert_eq!(test.fx.notices, [Sv1Notice::StrangeReconnect("evil.example".into())]);
    assert!(test.pool.is_ready() && test.fx.reconnect_to.is_none());
    test.now = at(60);
    test.says(lane, r#"{"id":null,"method":"client.reconnect","params":["us.pool.example",3334,2]}"#);
    assert_eq!(test.fx.reconnect_to.take(), Some(("us.pool.example".into(), 3334)));
    assert_eq!(test.pool.status().last_down, DownReason::Reconnect);
    assert_eq!(test.pool.deadline(), Some(Duration::from_secs(62)));

    let mut test = Test::with(|settings| settings.allow_reconnect = true);
    let lane = test.ready(8);
    test.says(lane, r#"{"id":null,"method":"client.reconnect","params":["other.example"]}"#);
    assert_eq!(test.fx.reconnect_to.take(), Some(("other.example".into(), 0)));
    assert!(test.pool.deadline() > Some(test.now.mono), "it was ready a moment ago: no storm of reconnects");
}

#[test]
fn a_pool_may_ask_and_talk() {
    let mut test = Test::new();
    let lane = test.ready(8);
    test.says(lane, r#"{"id":"a","method":"client.get_version","params":[]}"#);
    test.says(lane, r#"{"id":9,"method":"mining.ping"}"#);
    test.says(lane, r#"{"id":null,"method":"client.show_message","params":["hello\u0007 there"]}"#);
    let sent = test.sent(lane);
    assert!(sent.contains(r#"{"id":"a","result":"adit/"#) && sent.contains("pong"), "{sent}");
    assert_eq!(test.fx.notices, [Sv1Notice::Message("hello there".into())]);
}

fn any_line() -> impl Strategy<Value = String> {
    let id = prop_oneof![Just("null".to_owned()), (0u32..24).prop_map(|id| id.to_string())];
    let result = prop_oneof![
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just(r#"[[["mining.notify","ab"]],"aabbcc",8]"#.to_owned()),
        Just(r#"[[],"",0]"#.to_owned()),
        Just(r#"{"version-rolling":true,"version-rolling.mask":"1fffe000"}"#.to_owned()),
    ];
    let answer = (id, result, any::<bool>()).prop_map(|(id, result, error)| {
        let error = if error { "[21,\"no\",null]" } else { "null" };
        format!(r#"{{"id":{id},"result":{result},"error":{error}}}"#)
    });
    let said = prop_oneof![
        Just(r#"{"method":"mining.set_difficulty","params":[1e300]}"#.to_owned()),
        Just(r#"{"method":"mining.set_difficulty","params":[4]}"#.to_owned()),
        Just(r#"{"method":"mining.set_extranonce","params":["ddeeff",8]}"#.to_owned()),
        Just(r#"{"method":"mining.set_extranonce","params":["",32]}"#.to_owned()),
        Just(r#"{"method":"client.reconnect","params":[]}"#.to_owned()),
        Just(r#"{"method":"mining.set_version_mask","params":["1fffe000"]}"#.to_owned()),
        Just("rubbish".to_owned()),
    ];
    let job = (0u8..3, any::<bool>()).prop_map(|(tip, clean)| notify("j", tip, clean));
    prop_oneof![4 => answer, 1 => said, 3 => job]
}

proptest! {
    /// Whatever a pool says in whatever order, nothing panics and every share has its place.
    #[test]
    fn no_pool_can_upset_the_books(
        lines in prop::collection::vec((any_line(), 0u8..4, 0u64..20), 0..80),
    ) {
        let mut test = Test::new();
        test.ready(8);
        let mut feed = test.feed(1);
        let mut seconds = 1;
        for (nonce, (line, what, wait)) in (0..).zip(lines) {
            seconds += wait;
            test.timer(seconds);
            while let Some(lane) = test.pool.to_dial() {
                test.pool.connected(lane, test.now, &mut test.fx);
            }
            let lanes: Vec<u32> = test.pool.lanes.keys().copied().collect();
            for lane in lanes {
                test.says(lane, &line);
            }
            match what {
                0 => test.submit(&feed, nonce),
                1 => { test.open(u64::from(nonce), "farm.1"); }
                2 => { test.open(u64::from(nonce), "farm.2"); }
                _ => {}
            }
            for event in test.events() {
                if let SourceEvent::Work(work) = event {
                    feed = work;
                }
            }
            test.answers();
            test.fx.lines.clear();
            let totals = test.books.totals();
            prop_assert_eq!(usize::try_from(totals.pending).unwrap(), test.pool.status().open_shares);
            prop_assert!(test.pool.lanes.len() <= MAX_SV1_CONNECTIONS);
        }
    }
}
