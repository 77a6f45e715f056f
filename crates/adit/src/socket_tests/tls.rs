//! Stratum V1 by TLS on the port where it is spoken without.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::Client;
use super::{Farm, apart, until};
use crate::config::Config;
use crate::downstream::FreshCertificates;

/// A certificate and its key in files of their own.
struct Files {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("adit-tls-{:x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).expect("a folder");
        let mut files = Self { folder, certificate: Vec::new().into() };
        files.renew();
        files
    }

    /// Another certificate in the same files.
    fn renew(&mut self) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["adit.example".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        self.certificate = certificate.der().clone();
        std::fs::write(self.folder.join("cert.pem"), certificate.pem()).expect("a file");
        std::fs::write(self.folder.join("key.pem"), key.serialize_pem()).expect("a file");
    }

    /// For `[listener.main]`.
    fn lines(&self) -> String {
        let folder = self.folder.display();
        format!("certificate_file = \"{folder}/cert.pem\"\nprivate_key_file = \"{folder}/key.pem\"")
    }

    fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn connect(connector: &TlsConnector, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from("adit.example").expect("a name"), stream).await
}

/// A port that leads to `address` by TLS, for a client that speaks none.
async fn tunnel(connector: TlsConnector, address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let connector = connector.clone();
            tokio::spawn(async move {
                if let Ok(mut tls) = connect(&connector, address).await {
                    let _ = copy_bidirectional(&mut plain, &mut tls).await;
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn miners_by_tls_and_without_mine_on_one_port_and_a_new_certificate_disturbs_nobody() {
    let mut files = Files::new();
    let farm = Farm::start_with(&files.lines(), "shutdown_grace = \"20s\"").await;
    let address = farm.address();
    let mut miners = Vec::new();
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let port = tunnel(files.client(versions), address).await;
        miners.push(apart(move || Client::mining(port, "farm.tls")).await);
    }
    miners.push(apart(move || Client::mining(address, "farm.plain")).await);
    let mine = |mut miners: Vec<Client>| {
        apart(move || {
            for miner in &mut miners {
                for _ in 0..20 {
                    assert_eq!(miner.mine(), Some(true), "{:?}", miner.refusals);
                }
            }
            miners
        })
    };
    let miners = mine(miners).await;

    // Another certificate: those who are there notice nothing, those who come see it.
    let old = files.client(&[&rustls::version::TLS13]);
    files.renew();
    let text = format!(
        "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\n{}\n[source.pool]\nurl = \"{}\"\n\
         user_identity = \"farm\"\n[route.main]\nlisteners = [\"main\"]\nsources = [\"pool\"]\n",
        files.lines(),
        farm.pool.url()
    );
    let config = Config::from_str_named("test", &text).expect("a configuration").config;
    let fresh = FreshCertificates::read(&config).expect("both files are good");
    let exchanged = farm.proxy.certificates().exchange(fresh);
    assert_eq!(exchanged.iter().map(ToString::to_string).collect::<Vec<_>>(), ["main"]);
    assert!(connect(&old, address).await.is_err(), "the old certificate is shown to nobody");
    let port = tunnel(files.client(&[&rustls::version::TLS13]), address).await;
    let mut miners = mine(miners).await;
    miners.push(apart(move || Client::mining(port, "farm.fresh")).await);
    let miners = mine(miners).await;
    let closed = || farm.proxy.snapshot().listeners[0].closed_total.get("tls").copied();
    until("who did not trust it is counted", || closed() >= Some(1)).await;
    assert_eq!(closed(), Some(1), "and nobody else");

    // Half of a pair is refused, and nothing changes.
    std::fs::write(files.folder.join("key.pem"), KeyPair::generate().expect("a key").serialize_pem())
        .expect("a file");
    let error = FreshCertificates::read(&config).expect_err("another key").to_string();
    assert!(error.contains("listener.main") && error.contains("do not go together"), "{error}");
    std::fs::write(files.folder.join("cert.pem"), "nothing").expect("a file");
    let error = FreshCertificates::read(&config).expect_err("no certificate").to_string();
    assert!(error.contains("expected PEM with a section CERTIFICATE, found none"), "{error}");

    let ends = apart(move || {
        let read = |mut miner: Client| {
            std::thread::spawn(move || {
                miner.read_to_end();
                miner
            })
        };
        miners.into_iter().map(read).collect::<Vec<_>>()
    })
    .await;
    let books = farm.proxy.stop().await;
    let mut stale = 0;
    for end in ends {
        let miner = end.join().expect("no panic");
        stale += miner.stale;
        let told = miner.messages.iter().any(|text| text.contains("shutting down"));
        assert!(told, "by TLS and without: {:?}", miner.messages);
    }
    assert_eq!((books.submitted() - stale, books.pending), (20 * (3 + 3 + 4), 0));
    farm.pool.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_is_none_or_does_not_go_on_is_closed() {
    let files = Files::new();
    let limits = "handshake = \"5s\"\nsetup = \"600s\"";
    let farm = Farm::start_with(&format!("protocol = \"sv1-tls\"\n{}", files.lines()), limits).await;
    let address = farm.address();
    let closed = |why: &str| farm.proxy.snapshot().listeners[0].closed_total.get(why).copied().expect(why);
    let hello: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    // A greeting that does not go on, within the handshake's deadline.
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(hello).await.expect("sent");
    until("it is closed", || closed("tls") == 1).await;
    // A greeting of nonsense is answered by an alert.
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(&[hello, &[0x55; 2_000]].concat()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    until("it is counted", || closed("tls") == 2).await;
    // Nonsense after the handshake.
    let (mut socket, _) =
        connect(&files.client(&[&rustls::version::TLS13]), address).await.expect("TLS").into_inner();
    socket.write_all(&[0x17, 3, 3, 0, 40]).await.expect("sent");
    socket.write_all(&[7; 40]).await.expect("sent");
    until("it is closed, too", || closed("tls") == 3).await;
    // The handshake is done, and then nothing is said for as long as the set-up may take.
    let mut silent = connect(&files.client(&[&rustls::version::TLS13]), address).await.expect("TLS");
    silent.write_all(b"{\"id\":1,\"method\":\"mining.sub").await.expect("sent");
    // A port for TLS alone takes no lines without it.
    let mut plain = TcpStream::connect(address).await.expect("a connection");
    plain.write_all(b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n").await.expect("sent");
    until("plain text is closed", || closed("wrong_protocol") == 1).await;
    until("who is silent after the handshake has its time", || farm.connected() == 1).await;
    // One byte at a time.
    silent.write_all(b"scribe\",\"params\":[]}\n").await.expect("sent");
    let mut first = [0];
    silent.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"{");
    silent.shutdown().await.expect("an end");
    until("it has left", || closed("left") == 1).await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}
