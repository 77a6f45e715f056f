//! How Adit logs in to a NATS server: each way that the servers have, with Debian's own.

use std::path::{Path, PathBuf};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::nats_accounts::NatsAccounts;
use integration_tests::nats_server::NatsServer;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair as TlsKey};

use crate::PATIENCE;
use crate::nats::{load, more_is_published, more_shares, nats, published, servers, settings};

#[test]
#[ignore = "needs NATS' server and the release build: integration-tests/run"]
fn logins_are_taken_from_files_and_changed_without_a_new_start() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &["--shares-per-minute", "600"]);
    let lines = "authorization { users: [ { user: adit, password: \"not-to-be-seen\" } ] }";
    let broker = NatsServer::start(folder.path(), lines);
    let directory = folder.path().join("ledger");
    let password = folder.path().join("password");
    std::fs::write(&password, "wrong-and-unseen\n").expect("the test's folder can be written");
    let nats_lines = format!(
        "{}\nuser = \"adit\"\npassword_file = {password:?}\nsubject = \"mining.adit\"\nstream = \"MINING\"",
        servers(&broker)
    );
    let settings = settings(&directory, &pool.url(), &nats_lines);
    let mut adit = Adit::start_ready(folder.path(), &settings);
    let _miners = load(&adit);
    wait::until_so("it is not let in", PATIENCE, || {
        nats(&adit)["trouble"].as_str().is_some_and(|trouble| trouble.contains("authorization"))
    });
    let why = nats(&adit)["trouble"].as_str().unwrap_or_default().to_owned();
    std::fs::write(&password, "not-to-be-seen\n").expect("the test's folder can be written");
    let _ = adit.reload(&settings);
    wait::until_so("it is published", PATIENCE, || published(&adit) > 10);
    let shown = adit.status().to_string() + &adit.log();
    assert!(!shown.contains("not-to-be-seen") && !shown.contains("wrong-and-unseen"), "a password is shown");
    // Nothing is published any more, and nobody misses it.
    let off = settings.tables.replace(&servers(&broker), "servers = []");
    let _ = adit.reload(&Settings { tables: off, ..settings.clone() });
    wait::until_so("nothing is published", PATIENCE, || nats(&adit).is_null());
    more_shares(&adit);
    let _ = adit.reload(&settings);
    wait::until_so("it is begun again", PATIENCE, || !nats(&adit).is_null());
    more_is_published(&adit, 10);
    promise::kept("a login is mended by a reload", &why);
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).expect("the test's folder can be written");
    file
}

/// Adit with these lines is not let in; `mend` makes it right, and from the next try on it publishes. `adit check --probe` says
/// the same of both. Gives what was said before.
fn let_in_once_mended(folder: &Path, lines: &str, secret: &str, mend: impl FnOnce()) -> String {
    let pool = DevPool::start("pool", folder, &["--shares-per-minute", "600"]);
    let settings = settings(&folder.join("ledger"), &pool.url(), lines);
    let mut adit = Adit::start_ready(folder, &settings);
    let _miners = load(&adit);
    wait::until_so("it is not let in", PATIENCE, || nats(&adit)["trouble"].is_string());
    let why = nats(&adit)["trouble"].as_str().unwrap_or_default().to_owned();
    let (probed, said) = adit.check(&["--probe"]);
    assert!(!probed && said.contains("nats  "), "{said}");
    assert_eq!(published(&adit), 0);
    mend();
    let _ = adit.reload(&settings);
    wait::until_so("it is published", PATIENCE, || published(&adit) > 10);
    let (probed, said_then) = adit.check(&["--probe"]);
    assert!(probed && said_then.contains("stream ADIT is there and does"), "{said_then}");
    let shown = [adit.status().to_string(), adit.log(), said, said_then].concat();
    assert!(!shown.contains(secret), "a secret is shown");
    why
}

#[test]
#[ignore = "needs NATS' server and the release build: integration-tests/run"]
fn the_seed_of_a_key_lets_in() {
    let folder = Folder::new();
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let lines = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", user.public_key());
    let broker = NatsServer::start(folder.path(), &lines);
    let seed = user.seed().expect("it was made with one");
    let file = write(folder.path(), "user.nk", &other.seed().expect("it was made with one"));
    let lines = format!("{}\nnkey_file = {file:?}", servers(&broker));
    let why = let_in_once_mended(folder.path(), &lines, &seed, || {
        write(folder.path(), "user.nk", &format!("{seed}\n"));
    });
    promise::kept("an NKey lets in", &why);
}

#[test]
#[ignore = "needs NATS' server and the release build: integration-tests/run"]
fn a_file_of_credentials_lets_in() {
    let folder = Folder::new();
    let (ours, strange) = (NatsAccounts::new(), NatsAccounts::new());
    let broker = NatsServer::start(folder.path(), &ours.lines);
    let file = write(folder.path(), "adit.creds", &strange.credentials);
    let lines = format!("{}\ncredentials_file = {file:?}", servers(&broker));
    let why = let_in_once_mended(folder.path(), &lines, &ours.seed, || {
        write(folder.path(), "adit.creds", &ours.credentials);
    });
    promise::kept("a .creds file lets in", &why);
}

#[test]
#[ignore = "needs NATS' server and the release build: integration-tests/run"]
fn a_certificate_lets_in() {
    let folder = Folder::new();
    let authority = TlsKey::generate().expect("a key");
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let of_authority = params.self_signed(&authority).expect("a certificate");
    let issuer = Issuer::new(params, authority);
    let vouched_for = |name: &str| {
        let key = TlsKey::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (params.signed_by(&key, &issuer).expect("a certificate").pem(), key.serialize_pem())
    };
    let file = |name: &str, text: &str| write(folder.path(), name, text);
    let ca = file("ca.pem", &of_authority.pem());
    let (certificate, key) = vouched_for("localhost");
    let server = (file("server.pem", &certificate), file("server.key", &key));
    let (certificate, key) = vouched_for("adit.example");
    let client = (file("adit.pem", &certificate), key);
    let (stranger, strange_key) = vouched_for("stranger.example");
    let broker = NatsServer::start(
        folder.path(),
        &format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {ca:?}, verify_and_map: true }}\n\
             authorization {{ users: [ {{ user: \"adit.example\" }} ] }}",
            server.0, server.1
        ),
    );
    file("used.pem", &stranger);
    let used = (file("used.pem", &stranger), file("used.key", &strange_key));
    let lines = format!(
        "servers = [\"{}\"]\nca_file = {ca:?}\ncertificate_file = {:?}\nprivate_key_file = {:?}",
        broker.tls_url(),
        used.0,
        used.1
    );
    let secret = client.1.lines().nth(1).unwrap_or_default().to_owned();
    let why = let_in_once_mended(folder.path(), &lines, &secret, || {
        file("used.pem", &std::fs::read_to_string(&client.0).expect("it was written"));
        file("used.key", &client.1);
    });
    promise::kept("a certificate lets in", &why);
}
