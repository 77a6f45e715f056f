//! What is on the screen.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::keys::{Wish, press};
use super::model::{EventsPage, History, Status, WorkersPage};
use super::state::Top;
use super::{plain, view};

/// A farm of two routes after a fail-over.
fn farm() -> Top {
    let status = |uptime: f64, submitted: u64| -> Status {
        serde_json::from_value(serde_json::json!({
            "version": "1.2.3", "uptime_seconds": uptime, "dev_mode": false,
            "readiness": { "ready": true, "reasons": [] },
            "listeners": [{ "name": "sv1", "miners": { "connected": 50 } }],
            "routes": [
                { "name": "main", "active": "spare", "hashrate_hs": 4.5e15, "miners": 49 },
                { "name": "tests", "active": null, "hashrate_hs": 0.0, "miners": 1 },
            ],
            "sources": [
                { "name": "pool", "kind": "pool", "state": "waiting", "state_since_seconds": 12.0,
                  "last_down": "connection refused" },
                { "name": "spare", "kind": "pool", "state": "ready", "channels": 2, "job_age_seconds": 3.0,
                  "books": { "acknowledged": 900, "refused_total": 1 } },
            ],
            "books": { "submitted": submitted, "acknowledged": 900, "rejected_total": 4,
                       "rejected": { "stale": 3, "duplicate": 1 }, "refused_total": 1, "blocks_found": 2 },
            "alarms": [
                { "name": "route_on_fallback", "subject": "main", "active": true, "detail": "mines for spare" },
                { "name": "shares_lost", "subject": "", "active": false, "detail": "" },
            ],
            "something_new": [1, 2, 3],
        }))
        .unwrap()
    };
    let workers: WorkersPage = serde_json::from_value(serde_json::json!({
        "total": 1234,
        "workers": [
            { "name": "farm.rig1", "route": "main", "source": "spare", "connections": 1, "protocol": "sv1",
              "hashrate_hs": 1e14, "last_share_seconds": 2.0, "minutes": [1.0, 2.0, 3.0],
              "books": { "acknowledged": 812, "rejected_total": 3 } },
            { "name": "farm.\u{1b}[31mrig2", "route": "main", "connections": 1, "protocol": "sv2" },
        ],
    }))
    .unwrap();
    let events: EventsPage = serde_json::from_value(serde_json::json!({
        "events": [
            { "id": 1, "unix_ms": 1000, "kind": "source_down", "subject": "pool", "text": "down: reset", "level": "warning" },
            { "id": 2, "unix_ms": 2000, "kind": "route_switched", "subject": "main", "text": "from pool to spare", "level": "info" },
        ],
    }))
    .unwrap();
    let mut top = Top::new("127.0.0.1:23480".into());
    top.take_status(status(10.0, 900));
    top.take_status(status(20.0, 1000));
    top.workers = workers;
    top.take_events(events.events);
    top
}

fn drawn(top: &mut Top, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, top)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn a_screen_shows_hashrate_sources_shares_workers_events_and_alarms() {
    let text = drawn(&mut farm(), 140, 45);
    for shown in [
        "Adit 1.2.3 127.0.0.1:23480  up 20s  ready",
        "! route_on_fallback (main): mines for spare",
        "Hashrate 4.50 PH/s, 50 connections",
        "main             4.50 PH/s     49 miners -> spare",
        "no source",
        "Shares, 2 blocks",
        "10.0/s",
        "stale 3, duplicate 1",
        "waiting",
        "connection refused",
        "Workers 1 to 2 of 1 234, by hashrate ▼",
        "farm.rig1",
        "▃▆█",
        "farm.·[31mrig2",
        "00:00:02 route_switched main: from pool to spare",
        "q  quit",
    ] {
        assert!(text.contains(shown), "{shown:?} is not in\n{text}");
    }
    assert!(!text.contains("shares_lost") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_small_terminal_keeps_sources_and_workers() {
    let text = drawn(&mut farm(), 80, 24);
    for shown in ["Adit 1.2.3", "waiting", "farm.rig1", "q  quit"] {
        assert!(text.contains(shown), "{shown:?} is not in\n{text}");
    }
}

#[test]
fn who_gets_no_answer_is_told_why_and_that_the_figures_are_old() {
    let mut top = farm();
    top.trouble = Some("connection refused".into());
    let text = drawn(&mut top, 140, 45);
    assert!(text.contains("no answer: connection refused  (what follows is old)"), "{text}");
    let text = drawn(&mut Top::new("a:1".into()), 140, 45);
    assert!(text.contains("asking..."), "{text}");
}

#[test]
fn keys_sort_search_scroll_and_quit() {
    let mut top = farm();
    let hit = |top: &mut Top, code| press(top, KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!((hit(&mut top, KeyCode::Char('s')), top.sort_word().as_str()), (Wish::Ask, "name"));
    assert_eq!((hit(&mut top, KeyCode::Char('r')), top.sort_word().as_str()), (Wish::Ask, "-name"));
    assert_eq!((hit(&mut top, KeyCode::PageDown), top.offset), (Wish::Ask, 10));
    assert_eq!((hit(&mut top, KeyCode::End), top.offset), (Wish::Ask, 1224));
    assert_eq!(hit(&mut top, KeyCode::Char('/')), Wish::Draw);
    for letter in "qr".chars() {
        assert_eq!(hit(&mut top, KeyCode::Char(letter)), Wish::Ask, "typed, not obeyed");
    }
    assert_eq!((top.search.as_str(), top.offset), ("qr", 0));
    assert!(drawn(&mut top, 140, 45).contains("/qr▏"));
    hit(&mut top, KeyCode::Backspace);
    assert_eq!((hit(&mut top, KeyCode::Enter), top.search.as_str(), top.searching), (Wish::Draw, "q", false));
    assert_eq!((hit(&mut top, KeyCode::Esc), top.search.as_str()), (Wish::Ask, ""));
    assert_eq!(hit(&mut top, KeyCode::Char('q')), Wish::Quit);
    assert_eq!(press(&mut top, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::Quit);
}

#[test]
fn an_adit_that_was_started_anew_begins_anew_here() {
    let mut top = farm();
    assert_eq!(top.rate(|books| books.submitted), 10.0);
    top.take_status(Status { uptime_seconds: 1.0, ..Status::default() });
    assert_eq!((top.rate(|books| books.submitted), top.last_event()), (0.0, None));
}

#[test]
fn printed_once_it_says_the_same() {
    let text = plain::screen(&farm());
    for line in [
        "Adit 1.2.3 at 127.0.0.1:23480, up 20s, ready\n",
        "alarm: route_on_fallback main: mines for spare\n",
        "main                4.50 PH/s      49  spare\n",
        "acknowledged               900    90.00 %\n",
        "00:00:02 route_switched main: from pool to spare\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_draws_at_every_size(width in 1_u16..220, height in 1_u16..80, alarms in 0_usize..9) {
        let mut top = farm();
        let alarm = top.status.alarms[0].clone();
        top.status.alarms = vec![alarm; alarms];
        drawn(&mut top, width, height);
        prop_assert!(top.page >= 1);
    }
}

#[test]
fn what_was_before_anybody_looked_is_on_the_screen_from_the_start() {
    let values = |from: u32| (0..360).map(move |n| if n < from { None } else { Some(f64::from(n)) });
    let history = History {
        step_seconds: 10,
        series: [("total".to_owned(), values(357).collect()), ("route:main".to_owned(), values(0).collect())]
            .into(),
    };
    let mut top = Top::new("127.0.0.1:23480".into());
    top.take_history(&history);
    // The last step is not over.
    assert_eq!(Vec::from(top.total.clone()), [[357.0; 10], [358.0; 10]].concat());
    assert_eq!((top.by_route["main"].len(), top.by_route["main"][0]), (600, 299.0));
    let odd = History { step_seconds: 0, series: [("total".to_owned(), Vec::new())].into() };
    top.take_history(&odd);
    assert!(top.total.is_empty());
    top.take_history(&History { step_seconds: usize::MAX, ..history });
    assert!(top.total.len() <= 600);
}

/// What a panic leaves of a terminal, in one.
#[cfg(target_os = "linux")]
#[test]
fn a_panic_gives_the_terminal_back() {
    use std::process::{Command, Stdio};

    let program = std::env::current_exe().expect("it runs");
    let test = "top::tests::panics_in_a_terminal";
    let inside = format!(
        "stty rows 24 cols 80; stty -g; {} --ignored --exact {test} --nocapture; stty -g",
        program.display()
    );
    let mut child = Command::new("script")
        .args(["-q", "-c", &inside, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is there, as on every Debian");
    let open = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    drop(open);
    let text = String::from_utf8_lossy(&output.stdout);
    let is_modes = |line: &&str| {
        line.matches(':').count() > 20 && line.bytes().all(|byte| byte == b':' || byte.is_ascii_hexdigit())
    };
    let modes: Vec<&str> = text.lines().map(str::trim).filter(is_modes).collect();
    assert!(modes.len() == 2 && modes[0] == modes[1], "{text}");
    let at = |what: &str| text.rfind(what).unwrap_or_else(|| panic!("{what:?}: {text}"));
    assert!(at("\u{1b}[?1049h") < at("\u{1b}[?1049l"), "the screen before is there again");
    assert!(at("\u{1b}[?1049l") < at("on purpose"), "and what went wrong can be read on it");
    assert!(text.contains("test result: FAILED. 0 passed; 1 failed"), "{text}");
}

#[tokio::test]
#[ignore = "it panics: for the one above"]
async fn panics_in_a_terminal() {
    let client = super::Client::new("http://127.0.0.1:1", None).unwrap();
    // It is asked for the first time when the screen has been drawn.
    let _ = super::watch(client, async { panic!("on purpose") }).await;
}
