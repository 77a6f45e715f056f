//! What is known of firmware holds.

use super::super::super::firmware::{Firmware, Firmwares};
use super::*;

const SUBSCRIBE: &str = r#"{"id":1,"method":"mining.subscribe","params":["odd/1"]}"#;

struct Odd {
    machine: Sv1Miner,
    out: Vec<u8>,
}

impl Odd {
    /// A miner whose firmware has these limits, and which mines at a source of `DIFFICULTY` once it has joined.
    fn new(limits: impl FnOnce(&mut Firmware)) -> Self {
        Self::on(4, limits)
    }

    /// The same on a listener whose extranonce1 has so many bytes.
    fn on(extranonce1_size: u8, limits: impl FnOnce(&mut Firmware)) -> Self {
        let mut firmware = Firmware::unlimited("odd", &["ODD/*"]);
        limits(&mut firmware);
        let mut policy = ListenerPolicy::clone(&policy(true));
        policy.vardiff.min = DIFFICULTY / 1e3;
        policy.difficulty_start = DIFFICULTY / 10.0;
        policy.extranonce1_size = extranonce1_size;
        policy.firmware = Arc::new(Firmwares::new(vec![firmware]));
        let now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };
        let machine = Sv1Miner::new(Arc::new(policy), Arc::new(Books::default()), MinerRef(1), now);
        Self { machine, out: Vec::new() }
    }

    fn step<T>(&mut self, seconds: u64, work: impl FnOnce(&mut Sv1Miner, &mut Io<'_>) -> T) -> (T, String) {
        self.out.clear();
        let now = Now { mono: Duration::from_secs(seconds), unix: 1_700_000_000 };
        let mut io = Io { now, out: &mut self.out, shares: &mut Nowhere, ids: &mut OneId };
        let result = work(&mut self.machine, &mut io);
        (result, String::from_utf8(self.out.clone()).unwrap())
    }

    fn line(&mut self, line: &str) -> (Result<(), CloseReason>, String) {
        self.step(0, |machine, io| machine.line(line.as_bytes(), io))
    }

    fn join(&mut self) -> String {
        self.line(SUBSCRIBE).0.unwrap();
        self.line(r#"{"id":2,"method":"mining.authorize","params":["a","x"]}"#).0.unwrap();
        self.step(0, |machine, io| machine.joined(Arc::default(), 0.0, Some(feed()), io)).1
    }
}

#[test]
fn a_split_that_the_firmware_cannot_use_is_refused_with_the_reason() {
    let (end, said) = Odd::new(|odd| odd.extranonce2_max = 3).line(SUBSCRIBE);
    assert_eq!(end, Err(CloseReason::Firmware));
    assert!(said.contains("odd works with 0 to 3 bytes of extranonce2, this port gives 4"), "{said}");
    let (end, _) = Odd::new(|odd| odd.extranonce2_min = 5).line(SUBSCRIBE);
    assert_eq!(end, Err(CloseReason::Firmware));
    let (end, _) = Odd::new(|odd| (odd.extranonce2_min, odd.extranonce2_max) = (4, 4)).line(SUBSCRIBE);
    assert_eq!(end, Ok(()));
}

#[test]
fn without_an_extranonce1_only_firmware_that_is_known_to_take_it_is_let_in() {
    let (end, said) = Odd::on(0, |_| ()).line(SUBSCRIBE);
    assert_eq!(end, Err(CloseReason::Firmware));
    assert!(said.contains("empty_extranonce1 = true"), "{said}");
    let mut able = Odd::on(0, |odd| odd.empty_extranonce1 = true);
    assert_eq!(able.line(SUBSCRIBE).0, Ok(()));
    let unknown = r#"{"id":1,"method":"mining.subscribe","params":["unheard-of/1"]}"#;
    assert_eq!(Odd::on(0, |odd| odd.empty_extranonce1 = true).line(unknown).0, Err(CloseReason::Firmware));
    let silent = r#"{"id":1,"method":"mining.subscribe","params":[]}"#;
    assert_eq!(Odd::on(0, |odd| odd.empty_extranonce1 = true).line(silent).0, Err(CloseReason::Firmware));
}

#[test]
fn who_may_have_come_to_look_only_is_known_until_the_first_share() {
    let mut other = Odd::new(|_| ());
    other.join();
    assert!(!other.machine.only_looked());
    let mut miner = Odd::new(|odd| odd.probe = true);
    assert!(!miner.machine.only_looked(), "nobody knows yet");
    miner.join();
    assert!(miner.machine.only_looked() && !miner.machine.has_shared());
    mine(&mut miner, 1);
    assert!(!miner.machine.only_looked() && miner.machine.has_shared());
}

#[test]
fn version_bits_are_the_firmwares_too_whatever_was_asked_for_first() {
    let configure = r#"{"id":3,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}"#;
    let limited = || Odd::new(|odd| odd.version_mask = 0x00ff_e000);
    let mut miner = limited();
    assert!(miner.line(configure).1.contains("1fffe000"));
    assert!(miner.line(SUBSCRIBE).1.contains(r#""method":"mining.set_version_mask","params":["00ffe000"]"#));
    assert_eq!(miner.machine.mask(), 0x00ff_e000);
    let mut miner = limited();
    let _ = miner.line(SUBSCRIBE);
    assert!(miner.line(configure).1.contains("00ffe000"));
    let mut miner = limited();
    let _ = miner.line(SUBSCRIBE);
    assert_eq!(miner.machine.mask(), 0x00ff_e000, "without mining.configure, too");
}

#[test]
fn a_coinbase_that_the_firmware_would_cut_short_is_not_given_to_it() {
    let feed = feed();
    let job = &feed.job.job;
    let long = job.coinbase_tx_prefix.len() + usize::from(job.extranonce_len) + job.coinbase_tx_suffix.len();
    let long = u32::try_from(long).unwrap();
    let mut miner = Odd::new(|odd| odd.coinbase_max = Some(long));
    assert!(miner.join().contains("mining.notify"));
    let mut miner = Odd::new(|odd| odd.coinbase_max = Some(long - 1));
    let said = miner.join();
    assert!(!said.contains("mining.notify") && said.contains("client.show_message"), "{said}");
    assert_eq!(miner.machine.deadline(), Some(Duration::ZERO));
    assert_eq!(miner.step(0, Sv1Miner::timer).0, Err(CloseReason::Firmware));
}

#[test]
fn it_works_at_no_difficulty_below_the_firmwares_but_never_above_the_sources() {
    for (least, told) in [(DIFFICULTY / 2.0, DIFFICULTY / 2.0), (DIFFICULTY * 5.0, DIFFICULTY)] {
        let mut miner = Odd::new(|odd| odd.difficulty_min = Some(least));
        miner.join();
        let difficulty = miner.machine.difficulty().unwrap();
        assert!((difficulty / told - 1.0).abs() < 0.01, "{difficulty} instead of {told}");
    }
}

/// Submits twenty times a second, far more than is wished for, and returns all that was said.
fn mine(miner: &mut Odd, seconds: u64) -> String {
    let (mut said, mut nonce) = (String::new(), 0_u32);
    for second in 1..=seconds {
        for _ in 0..20 {
            let submit = format!(
                r#"{{"id":9,"method":"mining.submit","params":["a","1","00000001","6553f100","{nonce:08x}"]}}"#
            );
            nonce += 1;
            said += &miner.step(second, |machine, io| machine.line(submit.as_bytes(), io).unwrap()).1;
        }
    }
    said
}

#[test]
fn where_a_new_difficulty_spoils_jobs_it_comes_only_with_clean_jobs() {
    let mut miner = Odd::new(|odd| odd.difficulty_with_clean_jobs = true);
    miner.join();
    let said = mine(&mut miner, 5);
    assert!(said.contains("mining.set_difficulty"), "far too many shares: it is told at once");
    let mut lines = said.lines().filter(|line| line.contains("\"method\""));
    while let Some(line) = lines.next() {
        if line.contains("mining.set_difficulty") {
            let job = lines.next().unwrap();
            assert!(job.contains("mining.notify") && job.ends_with("true]}"), "{job}");
        }
    }
    // A job that goes on with the same tip leaves the difficulty as it is, and the jobs too.
    let (_, said) = miner.step(6, |machine, io| machine.feed(&feed(), io));
    assert!(!said.contains("mining.set_difficulty") && said.trim_end().ends_with("false]}"), "{said}");
}
