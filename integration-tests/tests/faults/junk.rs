//! Row 9: miners that send anything but Stratum.

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::stranger::Stranger;
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

/// Bytes of each kind that are sent in all, at least.
const BYTES: usize = 16 * 1024 * 1024;
/// Bad lines that a connection is closed for.
const LINES: usize = 5;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn junk_costs_its_connection_and_little_else() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let farm = Farm::start(folder, &a.url());
    // Each just shorter than the longest line that is taken, but for the one that is longer.
    let line = |begin: &[u8], unit: &[u8]| [begin, &unit.repeat(15_000 / unit.len()), b"\n"].concat();
    let keys: Vec<u8> = (0..1_500).flat_map(|n| format!("\"k{n}\":{n},").into_bytes()).collect();
    let kinds: [(&str, Vec<u8>); 8] = [
        ("binary", line(b"", &[0xff, 0xfe, 0x00, 0x80, 0x13])),
        ("NULs", line(b"", b"\0")),
        ("a line without an end", b"x".repeat(4 * 1024)),
        ("JSON nested deep", line(b"{\"id\":1,\"method\":\"mining.ping\",\"params\":", b"[")),
        ("JSON with many keys", [b"{", &keys[..], b"\"id\":1}\n"].concat()),
        ("huge numbers", line(b"", b"123456789e999")),
        ("many values", line(b"[", b"1,\"\\u0000\",{},")),
        ("HTTP", line(b"GET / HTTP/1.1\r\nCookie: ", b"x")),
    ];
    let log_before = farm.adit.log().len();
    for (name, unit) in kinds {
        let (files, before) = (farm.adit.process().open_files(), closed(&farm));
        // As many lines as are put up with, so that nearly all that is sent is read.
        let piece = unit.repeat(LINES);
        let cpu = farm.adit.process().cpu();
        let (mut sent, mut connections) = (0, 0);
        while sent < BYTES {
            let mut stranger = Stranger::connect(farm.adit.port());
            connections += 1;
            stranger.send(&piece);
            sent += piece.len();
            // Closed, not left hanging.
            stranger.read_to_end();
        }
        let cpu = farm.adit.process().cpu().saturating_sub(cpu);
        wait::until_so(&format!("each is counted ({name})"), PATIENCE, || {
            closed(&farm) - before >= connections as f64
        });
        wait::until_so("files are given back", PATIENCE, || farm.adit.process().open_files() <= files + 4);
        let per_byte = cpu.as_secs_f64() * 1e9 / sent as f64;
        assert!(per_byte < 1_000.0, "{name}: {per_byte} ns a byte");
        promise::figure(
            "9",
            &format!(
                "{name}: {connections} connections closed after {} kB sent, {per_byte:.1} ns CPU a byte",
                sent / 1024
            ),
        );
    }
    let logged = farm.adit.log().len() - log_before;
    farm.wait_acknowledged("a", 5);
    assert!(logged < 200_000, "{logged} bytes of log");
    let rest = farm.finish(600);
    promise::figure("9", &format!("{logged} bytes of log for all of it; {rest}"));
}

fn closed(farm: &Farm) -> f64 {
    ["garbage", "line_too_long", "left", "wrong_protocol"].iter().map(|why| farm.adit.closed(why)).sum()
}
