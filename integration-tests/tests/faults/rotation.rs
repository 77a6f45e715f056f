//! A listener's certificate is exchanged while miners are connected by it.

use std::time::{Duration, Instant};

use integration_tests::certificate::Certificate;
use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::Settings;
use integration_tests::wanderers::{Wanderers, Way};
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

/// Miners by TLS before the exchange, and after it.
const BEFORE: usize = 2_000;
const AFTER: usize = 50;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_new_certificate_disturbs_nobody_and_a_bad_one_changes_nothing() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let path = folder.path().to_owned();
    let old = Certificate::new(&path);
    let mut farm = Farm::start_with(folder, &a.url(), Settings::for_cpus().listener(&old.lines()), "a");
    let way = |certificate: &Certificate| Way {
        port: farm.adit.port(),
        apart: Duration::from_secs(1),
        tls: Some(certificate.client()),
    };
    let (old_way, port) = (way(&old), farm.adit.port());
    let miners = Wanderers::start(&old_way, BEFORE, Duration::from_secs(4));
    wait::until_so("all have work", PATIENCE, || miners.with_work() == BEFORE);

    // Half of a pair: refused, and the old one is shown.
    let event = |farm: &Farm, name: &str| farm.adit.metric("adit_events_total", &[name]);
    std::fs::write(path.join("cert.pem"), "nothing").expect("the test's folder can be written");
    farm.adit.signal("HUP");
    wait::until_so("it is refused", PATIENCE, || event(&farm, "config_reload_refused") == 1.0);
    let some = Wanderers::start(&old_way, AFTER, Duration::ZERO);
    wait::until_so("they trust the old one", PATIENCE, || some.with_work() == AFTER);
    drop(some);

    let new = Certificate::new(&path);
    let began = Instant::now();
    farm.adit.signal("HUP");
    wait::until_so("it is taken", PATIENCE, || event(&farm, "config_reloaded") == 1.0);
    let took = began.elapsed();
    let new_way = Way { port, apart: Duration::from_secs(1), tls: Some(new.client()) };
    let others = Wanderers::start(&new_way, AFTER, Duration::ZERO);
    wait::until_so("those who come trust the new one", PATIENCE, || others.with_work() == AFTER);
    farm.wait_mined(20);
    assert_eq!(miners.with_work(), BEFORE);
    assert_eq!(miners.outages(), Vec::<Duration>::new(), "nobody was closed");
    assert_eq!(miners.services().len(), BEFORE, "nobody came twice");
    wait::until_so("the log says what was taken over", PATIENCE, || {
        farm.adit.log().contains("the certificate of listener.main")
    });
    assert!(!farm.adit.log().contains("restart_for"), "nothing else is wanted");
    drop((miners, others));
    wait::until_so("all have left", PATIENCE, || farm.adit.connections() <= 2.0);
    // Now the pool wants its shares again.
    farm.wait_acknowledged("a", 20);
    let rest = farm.finish(40);
    promise::figure(
        "29",
        &format!(
            "SIGHUP with a new certificate after {took:?}: none of {BEFORE} miners by TLS noticed; {rest}"
        ),
    );
}
