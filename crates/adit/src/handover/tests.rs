//! Both sides in one process.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-handover-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("handover")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_successor_has_every_port_and_its_word_arrives() {
    let folder = Folder::new("word");
    let mut sockets = Vec::new();
    // More than go into one message.
    for n in 0..300 {
        let socket = Arc::new(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        sockets.push((format!("listener.l{n}"), socket));
    }
    let http = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut wanted: Vec<_> =
        sockets.iter().map(|(name, s)| (name.clone(), s.local_addr().expect("bound"))).collect();
    wanted.push(("http".to_owned(), http.local_addr().expect("bound")));
    let ports = Arc::new(OpenPorts::default());
    for (n, (_, socket)) in sockets.iter().enumerate() {
        ports.add(&format!("l{n}"), socket);
    }
    ports.set_http(Some(http));
    let mut offer = Offer::open(&folder.socket(), ports).expect("opened");

    for word in [Word::End, Word::Serves] {
        let path = folder.socket();
        let found = tokio::task::spawn_blocking(move || Predecessor::find(&path)).await.expect("no panic");
        let (mut predecessor, ports) = found.expect("it gives").expect("it is there");
        assert_eq!(predecessor.version(), env!("CARGO_PKG_VERSION"));
        let (given, left) = ports.share_out(&wanted);
        assert!(left.is_empty() && given.iter().all(Option::is_some), "{left:?}");
        for (given, (name, address)) in given.iter().zip(&wanted) {
            assert_eq!(given.as_ref().expect("given").local_addr().expect("bound"), *address, "{name}");
        }
        predecessor.say(word).expect("said");
        let successor = offer.successor().await;
        assert_eq!(successor.word, word);
        drop(successor);
        predecessor.ended().await.expect("the link ends");
    }
    offer.withdraw();
    assert!(Predecessor::find(&folder.socket()).expect("nobody is no error").is_none());
}

#[tokio::test]
async fn a_successor_that_ends_without_a_word_changes_nothing_and_the_next_one_is_served() {
    let folder = Folder::new("silent");
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
    let address = socket.local_addr().expect("bound");
    let ports = Arc::new(OpenPorts::default());
    ports.add("main", &socket);
    let mut offer = Offer::open(&folder.socket(), ports).expect("opened");
    for text in ["", "ends\n", "something very long that is no word at all\n"] {
        use std::io::Write as _;
        let mut link = std::os::unix::net::UnixStream::connect(folder.socket()).expect("it is there");
        let link = tokio::task::spawn_blocking(move || {
            let (_, ports) = message::receive(&link).expect("ports");
            assert_eq!(ports.len(), 1);
            link.write_all(text.as_bytes()).expect("it listens");
        });
        link.await.expect("no panic");
    }
    let path = folder.socket();
    let found = tokio::task::spawn_blocking(move || Predecessor::find(&path)).await.expect("no panic");
    let (mut predecessor, ports) = found.expect("it gives").expect("it is there");
    // The one before has closed its port: a connection waits at the other one's.
    drop(socket);
    let (given, _) = ports.share_out(&[("listener.main".to_owned(), address)]);
    let waits = TcpStream::connect(address).expect("nobody is refused");
    let (_, from) = given[0].as_ref().expect("given").accept().expect("it comes");
    assert_eq!(from, waits.local_addr().expect("connected"));
    predecessor.say(Word::Serves).expect("said");
    assert_eq!(offer.successor().await.word, Word::Serves);
}
