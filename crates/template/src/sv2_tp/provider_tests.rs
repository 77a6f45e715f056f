//! The provider over real sockets, against a server that says what the test wants.

use std::time::Duration;

use bytes::BytesMut;
use link::Resolver;
use noise::{
    ACT1_LEN, AuthoritySecretKey, Certificate, OpenedFrame, Opener, PoolUrl, Responder, Sealer, StaticKeypair,
};
use sv2::{Message, common, template_distribution as td};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use work::{Header, Template};

use super::provider::{TpSettings, start};
use crate::provider::{ProviderEvent, ProviderHandle, Solution, Submitted};

const PATIENCE: Duration = Duration::from_secs(60);

fn authority() -> AuthoritySecretKey {
    AuthoritySecretKey::from_bytes([7; 32]).unwrap()
}

/// A server's port.
struct Door(TcpListener);

impl Door {
    async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn settings(&self, key: bool) -> TpSettings {
        TpSettings {
            url: PoolUrl::new("127.0.0.1", self.port(), key.then(|| authority().public())).unwrap(),
            insecure: false,
            resolver: Resolver::system(PATIENCE),
            connect_timeout: PATIENCE,
            handshake_timeout: PATIENCE,
            certificate_leeway: PATIENCE,
        }
    }

    /// The next client, after the handshake and its SetupConnection.
    async fn client(&self) -> Peer {
        let (mut stream, _) = tokio::time::timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        let mut act1 = [0; ACT1_LEN];
        stream.read_exact(&mut act1).await.unwrap();
        let key = StaticKeypair::from_secret_bytes([8; 32]).unwrap();
        let now = link::unix_time();
        let certificate = Certificate::issue(&authority(), &key, now, now + 3_600, [9; 32]);
        let (act2, transport) = Responder::new(&key, certificate, rand::random()).respond(&act1).unwrap();
        stream.write_all(&act2).await.unwrap();
        let (sealer, opener) = transport.split();
        let mut peer = Peer { stream, sealer, opener, input: BytesMut::new() };
        assert_eq!(peer.next().await.header[2], common::SetupConnection::MSG_TYPE);
        peer
    }
}

/// A client, as its server sees it.
struct Peer {
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
    input: BytesMut,
}

impl Peer {
    async fn next(&mut self) -> OpenedFrame {
        loop {
            if let Some(frame) = self.opener.open(&mut self.input, 0xffff).unwrap() {
                return frame;
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            assert_ne!(read.unwrap().unwrap(), 0, "the client is there");
        }
    }

    async fn say<'a, M: Message<'a>>(&mut self, message: &M) {
        let (mut frame, mut sealed) = (BytesMut::new(), BytesMut::new());
        sv2::write_frame(message, &mut frame);
        self.sealer.seal(&mut frame, &mut sealed).unwrap();
        self.stream.write_all(&sealed).await.unwrap();
    }

    /// Sets up, and gives a template of no transactions on a tip.
    async fn give(&mut self, id: u64) {
        self.say(&common::SetupConnectionSuccess { used_version: 2, flags: 0 }).await;
        assert_eq!(self.next().await.header[2], td::CoinbaseOutputConstraints::MSG_TYPE);
        let template = td::NewTemplate {
            template_id: id,
            future_template: true,
            version: 0x2000_0000,
            coinbase_tx_version: 2,
            coinbase_prefix: (&[2, 0xc8, 0][..]).try_into().unwrap(),
            coinbase_tx_input_sequence: 0xffff_fffe,
            coinbase_tx_value_remaining: 5_000,
            coinbase_tx_outputs_count: 0,
            coinbase_tx_outputs: sv2::B064K::EMPTY,
            coinbase_tx_locktime: 199,
            merkle_path: sv2::Seq0255::from_slice(&[]).unwrap(),
        };
        self.say(&template).await;
        let tip = td::SetNewPrevHash {
            template_id: id,
            prev_hash: [1; 32],
            header_timestamp: 1_000,
            n_bits: 0x207f_ffff,
            target: [0xff; 32],
        };
        self.say(&tip).await;
    }
}

async fn next(handle: &mut ProviderHandle) -> ProviderEvent {
    tokio::time::timeout(PATIENCE, handle.events.recv()).await.expect("in time").expect("it lives")
}

async fn down(handle: &mut ProviderHandle) -> String {
    match next(handle).await {
        ProviderEvent::Down { why, .. } => why,
        other => panic!("{other:?} instead of its end"),
    }
}

async fn template(handle: &mut ProviderHandle) -> std::sync::Arc<Template> {
    loop {
        if let ProviderEvent::Template(template) = next(handle).await {
            return template;
        }
    }
}

fn solution(template_id: u64) -> Solution {
    Solution { template_id, header: Header::from_bytes(&[5; 80]), coinbase: vec![6; 100] }
}

#[tokio::test]
async fn a_server_without_authority_key_is_not_dialled_unless_it_may_be_insecure() {
    let door = Door::open().await;
    let mut handle = start(door.settings(false)).unwrap();
    let why = down(&mut handle).await;
    assert!(why.contains("no authority key"), "{why}");
    drop(handle);
    // The first that comes is the one that may.
    let mut handle = start(TpSettings { insecure: true, ..door.settings(false) }).unwrap();
    door.client().await.give(1).await;
    assert_eq!(template(&mut handle).await.prev_hash, [1; 32]);
}

#[tokio::test]
async fn a_solution_is_said_to_be_sent_and_was() {
    let door = Door::open().await;
    let mut handle = start(door.settings(true)).unwrap();
    let mut peer = door.client().await;
    peer.give(77).await;
    let template = template(&mut handle).await;
    assert_eq!(handle.orders.submit(solution(template.template_id)).await, Submitted::Sent);
    let frame = peer.next().await;
    assert_eq!(frame.header[2], td::SubmitSolution::MSG_TYPE);
    let message = td::SubmitSolution::decode(&frame.payload).unwrap();
    assert_eq!((message.template_id, message.coinbase_tx.as_slice()), (77, &[6; 100][..]));
    let whole = handle.orders.submit_block(vec![0; 100].into()).await;
    assert!(matches!(whole, Submitted::NotPossible(_)), "{whole:?}");
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_commands_are_answered_meanwhile() {
    let door = Door::open().await;
    // It holds for the server that answers, too.
    let patience = Duration::from_secs(10);
    let settings = TpSettings { handshake_timeout: patience, ..door.settings(true) };
    let mut handle = start(settings).unwrap();
    let (held, _) = door.0.accept().await.unwrap();
    let answer = handle.orders.submit(solution(1)).await;
    assert!(matches!(answer, Submitted::NotPossible(_)), "{answer:?}");
    let why = down(&mut handle).await;
    assert!(why.contains("no answer within"), "{why}");
    let answer = handle.orders.submit(solution(1)).await;
    assert!(matches!(answer, Submitted::NotPossible(_)), "{answer:?}");
    drop(held);
    // It is tried again by itself.
    door.client().await.give(1).await;
    template(&mut handle).await;
}

#[tokio::test]
async fn a_server_that_sends_us_elsewhere_is_followed_under_its_own_key_once() {
    let (door, other) = (Door::open().await, Door::open().await);
    let mut handle = start(door.settings(true)).unwrap();
    let mut peer = door.client().await;
    let new_host = sv2::Str0255::truncated("");
    peer.say(&common::Reconnect { new_host, new_port: other.port() }).await;
    let why = down(&mut handle).await;
    assert!(why.contains("another address"), "{why}");
    // The same key is proven there: this one's certificate is.
    let mut peer = other.client().await;
    peer.give(1).await;
    template(&mut handle).await;
    // When that ends, the configured address is the one.
    drop(peer);
    door.client().await.give(1).await;
    template(&mut handle).await;
}

#[tokio::test]
async fn a_provider_ends_with_its_handle() {
    let door = Door::open().await;
    let mut handle = start(door.settings(true)).unwrap();
    let mut peer = door.client().await;
    peer.give(1).await;
    template(&mut handle).await;
    drop(handle);
    let end = tokio::time::timeout(PATIENCE, peer.stream.read_buf(&mut peer.input)).await;
    assert_eq!(end.unwrap().unwrap_or(0), 0, "the link is closed");
}
