//! A miner that makes noise fills no disk.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::adit::{Adit, PATIENCE};

#[test]
fn whoever_is_closed_again_and_again_is_a_few_lines_in_the_log_and_counted_each_time() {
    let mut adit = Adit::start("", "");
    let closed = |adit: &Adit| adit.metric("adit_miner_closed_total wrong_protocol");
    let (began, mut times) = (Instant::now(), 0.0);
    // Five lines a second are for all: three seconds would have more than one address has.
    while began.elapsed() < Duration::from_secs(3) || times <= 20.0 {
        let mut stream = TcpStream::connect(adit.miners()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // The beginning of a Noise handshake, where Stratum V2 is not served. It may be closed before all of it is there.
        let _ = stream.write_all(&[0xa5; 64]);
        let _ = stream.read_to_end(&mut Vec::new());
        times += 1.0;
    }
    adit.until("all are counted", |adit| closed(adit) >= times);
    adit.wait_for_log("connection closed");
    let lines = adit.log().matches("connection closed").count();
    // Six in each minute from the first on.
    let most = 6 * (1 + began.elapsed().as_secs() / 60);
    assert!(lines as u64 <= most, "{lines} lines for {times} connections:\n{}", adit.log());
}
