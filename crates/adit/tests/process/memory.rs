//! RELIABILITY row 30: little memory. The ladder begins before the system would end the process.

use crate::adit::Adit;
use crate::client::Client;

/// Bytes that a connection which never ends its line makes Adit keep.
const LINE: usize = 16_000;
/// Such connections.
const HOGS: u32 = 800;
/// Room for them as long as they say nothing, bytes.
const ROOM: f64 = 5e6;

#[test]
fn a_flood_of_half_lines_is_survived_by_those_who_mine() {
    // What the program uses by itself on this machine.
    let alone = Adit::start("", "").metric("process_resident_memory_bytes");
    let budget = ((alone + ROOM) / 0.8).floor();
    let mut adit = Adit::start(&format!("memory = {budget}\nsetup = \"600s\""), "");
    let mut miners: Vec<Client> =
        (0..10).map(|n| Client::mining(adit.miners(), &format!("farm.{n}"))).collect();
    let address = adit.miners();
    // They come while there is room, and grow afterwards: 800 times 16 kB is more than there is.
    let mut hogs: Vec<Client> = (0..HOGS).map(|_| Client::connect(address, "hog")).collect();
    adit.until("all are there", |adit| adit.metric("adit_limit_used connections") >= 10.0 + f64::from(HOGS));
    let half_line = vec![b'x'; LINE];
    for some in hogs.chunks_mut(50) {
        let before = adit.metric("adit_limit_used memory");
        for hog in some {
            hog.send_raw(&half_line);
        }
        // No faster than Adit looks.
        adit.until("it is seen", |adit| {
            adit.metric("adit_limit_used memory") > before
                || adit.metric("adit_miner_closed_total overload") > 0.0
        });
        for miner in &mut miners {
            assert_eq!(miner.mine(), Some(true), "whoever mines is served");
        }
    }
    adit.wait_for_log("memory is short");
    adit.until("hogs are sent away", |adit| adit.metric("adit_miner_closed_total overload") >= 100.0);
    let used = adit.metric("process_resident_memory_bytes");
    assert!(used <= budget, "{used} of {budget} bytes");
    assert!(adit.metric("adit_limit_max memory") == budget);
    drop(hogs);
    for miner in &mut miners {
        assert_eq!(miner.mine(), Some(true), "none of those who mine was sent away");
    }
    // Nobody has to start it anew.
    let mut fresh = Client::mining(address, "farm.fresh");
    assert_eq!(fresh.mine(), Some(true));
}
