//! A TCP pipe that breaks things: between miners and Adit, or between Adit and its pool.
//!
//! What it does is ordered from the test while it runs. What it decides by itself (which bit is flipped) comes from
//! its seed. It knows nothing of what it carries: encrypted links are broken as somebody on the way could.

mod link;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::{SockFilter, SockRef};

use link::Link;

/// How long the far side may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From who connected to the pipe to whom it leads.
    Up,
    /// Back.
    Down,
}

/// How connections are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// In order: each side reads an end (FIN).
    Fin,
    /// At once, what is under way is lost (RST).
    Rst,
}

/// What is done to the bytes of one direction. Offsets count from the moment of the order.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    hold: bool,
    delay: Duration,
    single_bytes: bool,
    flip_after: Option<u64>,
    end_after: Option<u64>,
    replay: bool,
    reorder: bool,
}

/// One direction of all connections of a pipe.
#[derive(Debug, Default)]
struct Lane {
    orders: Mutex<Orders>,
    passed: AtomicU64,
}

impl Lane {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        // Orders are plain values: usable whatever happened to the thread that held them.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Shared {
    to: u16,
    up: Lane,
    down: Lane,
    links: Mutex<Vec<Arc<Link>>>,
    accepted: Mutex<Vec<Instant>>,
    ended: Mutex<Vec<Instant>>,
    refuses: AtomicBool,
    over: AtomicBool,
    random: AtomicU64,
}

impl Shared {
    fn lane(&self, way: Way) -> &Lane {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    fn links(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next number of the seed's sequence (SplitMix64).
    fn random(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A pipe on a free loopback port. Its connections end when it is dropped.
#[derive(Debug)]
pub struct FaultPipe {
    port: u16,
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl FaultPipe {
    /// Starts a pipe to a port on loopback.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(to: u16, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            to,
            up: Lane::default(),
            down: Lane::default(),
            links: Mutex::default(),
            accepted: Mutex::default(),
            ended: Mutex::default(),
            refuses: AtomicBool::new(false),
            over: AtomicBool::new(false),
            random: AtomicU64::new(seed),
        });
        let own = Arc::clone(&shared);
        let socket = listener.try_clone().expect("a socket can be cloned");
        std::thread::spawn(move || {
            for near in socket.incoming().map_while(Result::ok) {
                if own.over.load(SeqCst) {
                    break;
                }
                connect(&own, near);
            }
        });
        Self { port, listener, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A pool's URL by way of the pipe: the same key, the pipe's port.
    #[must_use]
    pub fn url(&self, pool: &str) -> String {
        let key = pool.rsplit('/').next().unwrap_or_default();
        format!("stratum2+tcp://127.0.0.1:{}/{key}", self.port)
    }

    /// When connections were made, refused ones too.
    #[must_use]
    pub fn connections(&self) -> Vec<Instant> {
        self.shared.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When connections ended, whoever ended them; not those that were cut by order.
    #[must_use]
    pub fn ends(&self) -> Vec<Instant> {
        self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes that went one way so far.
    #[must_use]
    pub fn passed(&self, way: Way) -> u64 {
        self.shared.lane(way).passed.load(SeqCst)
    }

    /// Ends all connections; new ones are taken.
    pub fn cut(&self, how: Cut) {
        for link in self.shared.links().drain(..) {
            link.end(how == Cut::Rst);
        }
    }

    /// From now on new connections are ended at once, or no longer.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuses.store(refuse, SeqCst);
    }

    /// Nothing passes one way until [`FaultPipe::release`]; the system still acknowledges what comes.
    pub fn hold(&self, way: Way) {
        self.shared.lane(way).orders().hold = true;
    }

    /// What was held goes on its way.
    pub fn release(&self, way: Way) {
        self.shared.lane(way).orders().hold = false;
    }

    /// Both ends of all connections are gone and nobody says so: not even an acknowledgement comes, for a new
    /// connection no answer at all. (The system drops every segment that comes for the pipe's sockets.)
    ///
    /// # Panics
    /// When the system does not take the filter.
    pub fn vanish(&self) {
        self.hold(Way::Up);
        self.hold(Way::Down);
        drop_everything(&SockRef::from(&self.listener));
        for link in self.shared.links().iter() {
            drop_everything(&SockRef::from(&link.near));
            drop_everything(&SockRef::from(&link.far));
        }
    }

    /// The end of [`FaultPipe::vanish`]: the connections of before are reset, new ones are taken.
    ///
    /// # Panics
    /// When the system does not take the filter back.
    pub fn come_back(&self) {
        self.cut(Cut::Rst);
        self.release(Way::Up);
        self.release(Way::Down);
        SockRef::from(&self.listener).detach_filter().expect("a filter can be detached");
    }

    /// Each piece that goes one way waits this long; zero ends it.
    pub fn delay(&self, way: Way, time: Duration) {
        self.shared.lane(way).orders().delay = time;
    }

    /// What goes one way is written byte by byte, or no longer.
    pub fn single_bytes(&self, way: Way, on: bool) {
        self.shared.lane(way).orders().single_bytes = on;
    }

    /// One bit, taken from the seed, is flipped in the byte that passes after so many more.
    pub fn flip(&self, way: Way, after: u64) {
        self.shared.lane(way).orders().flip_after = Some(after);
    }

    /// So many more bytes pass, then the connection that they went through ends in order.
    pub fn truncate(&self, way: Way, after: u64) {
        self.shared.lane(way).orders().end_after = Some(after);
    }

    /// The next piece goes twice.
    pub fn replay(&self, way: Way) {
        self.shared.lane(way).orders().replay = true;
    }

    /// The next two pieces change places.
    pub fn reorder(&self, way: Way) {
        self.shared.lane(way).orders().reorder = true;
    }

    /// An order for a single moment ([`FaultPipe::flip`], [`FaultPipe::truncate`], [`FaultPipe::replay`],
    /// [`FaultPipe::reorder`]) has not been carried out yet.
    #[must_use]
    pub fn waits(&self, way: Way) -> bool {
        let orders = self.shared.lane(way).orders();
        orders.flip_after.is_some() || orders.end_after.is_some() || orders.replay || orders.reorder
    }
}

impl Drop for FaultPipe {
    fn drop(&mut self) {
        self.shared.over.store(true, SeqCst);
        self.cut(Cut::Rst);
        let _ = SockRef::from(&self.listener).detach_filter();
        // Wakes the thread that accepts, which then ends.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn connect(shared: &Arc<Shared>, near: TcpStream) {
    shared.accepted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    if shared.refuses.load(SeqCst) {
        return;
    }
    // Taken before the far side hears of it: once it has accepted, an order reaches this connection too.
    let mut links = shared.links();
    // Where nobody listens behind the pipe, the connection ends at once.
    let to = (Ipv4Addr::LOCALHOST, shared.to).into();
    let Ok(far) = TcpStream::connect_timeout(&to, CONNECT) else { return };
    let Ok(link) = Link::new(near, far) else { return };
    let link = Arc::new(link);
    links.retain(|link| !link.ended());
    links.push(Arc::clone(&link));
    drop(links);
    for way in [Way::Up, Way::Down] {
        let (shared, link) = (Arc::clone(shared), Arc::clone(&link));
        std::thread::spawn(move || link::pass(&shared, &link, way));
    }
}

/// A classic BPF program of one instruction, "return 0": no segment reaches the socket.
fn drop_everything(socket: &SockRef<'_>) {
    const RETURN: u16 = 0x06;
    socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)]).expect("a socket takes a filter");
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};

    use super::*;
    use crate::wait;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A pipe, the side that connected, the side that was connected to.
    fn pipe(seed: u64) -> (FaultPipe, TcpStream, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let pipe = FaultPipe::start(server.local_addr().unwrap().port(), seed);
        let near = TcpStream::connect((Ipv4Addr::LOCALHOST, pipe.port())).unwrap();
        let far = server.accept().unwrap().0;
        for side in [&near, &far] {
            side.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        (pipe, near, far)
    }

    fn exactly<const N: usize>(mut from: &TcpStream) -> [u8; N] {
        let mut bytes = [0; N];
        from.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn without_orders_both_ways_pass_unchanged() {
        let (pipe, mut near, mut far) = pipe(1);
        near.write_all(b"up").unwrap();
        far.write_all(b"down").unwrap();
        assert_eq!((&exactly(&far), &exactly(&near)), (b"up", b"down"));
        wait::until_so("both are counted", PATIENCE, || {
            (pipe.passed(Way::Up), pipe.passed(Way::Down)) == (2, 4)
        });
    }

    #[test]
    fn one_bit_of_one_byte_is_flipped_and_the_seed_says_which() {
        let flipped = |seed| {
            let (pipe, mut near, far) = pipe(seed);
            pipe.flip(Way::Up, 3);
            near.write_all(&[0; 8]).unwrap();
            let bytes: [u8; 8] = exactly(&far);
            assert!(!pipe.waits(Way::Up));
            assert_eq!(bytes[3].count_ones(), 1, "{bytes:?}");
            assert!(bytes.iter().enumerate().all(|(at, byte)| at == 3 || *byte == 0), "{bytes:?}");
            bytes
        };
        assert_eq!(flipped(7), flipped(7));
        assert!((0..16).any(|seed| flipped(seed) != flipped(7)));
    }

    #[test]
    fn pieces_are_replayed_reordered_held_and_cut_short() {
        let (pipe, mut near, far) = pipe(1);
        pipe.replay(Way::Up);
        near.write_all(b"ab").unwrap();
        assert_eq!(&exactly(&far), b"abab");
        pipe.reorder(Way::Up);
        near.write_all(b"cd").unwrap();
        wait::until_so("the first of two is kept", PATIENCE, || !pipe.waits(Way::Up));
        near.write_all(b"ef").unwrap();
        assert_eq!(&exactly(&far), b"efcd");
        wait::until_so("all is counted", PATIENCE, || pipe.passed(Way::Up) == 8);
        pipe.hold(Way::Up);
        near.write_all(b"gh").unwrap();
        wait::stays_so("nothing passes", Duration::from_millis(100), || pipe.passed(Way::Up) == 8);
        pipe.single_bytes(Way::Up, true);
        pipe.release(Way::Up);
        assert_eq!(&exactly(&far), b"gh");
        pipe.truncate(Way::Up, 1);
        near.write_all(b"ij").unwrap();
        assert_eq!(&exactly(&far), b"i");
        assert_eq!((&far).read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn connections_end_as_ordered_and_new_ones_are_refused_as_ordered() {
        let (pipe_to, near, far) = pipe(1);
        pipe_to.cut(Cut::Fin);
        assert_eq!(((&near).read(&mut [0; 1]).unwrap(), (&far).read(&mut [0; 1]).unwrap()), (0, 0));
        pipe_to.refuse(true);
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, pipe_to.port())).unwrap();
        assert_eq!((&refused).read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(pipe_to.connections().len(), 2);

        let (pipe_to, near, far) = pipe(1);
        pipe_to.cut(Cut::Rst);
        for mut side in [&near, &far] {
            assert_eq!(side.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn who_has_vanished_acknowledges_nothing_until_it_is_back() {
        let (pipe, near, _far) = pipe(1);
        SockRef::from(&near).set_tcp_user_timeout(Some(Duration::from_millis(200))).unwrap();
        pipe.vanish();
        (&near).write_all(b"into the void").unwrap();
        assert_eq!((&near).read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::TimedOut);
        pipe.come_back();
        TcpStream::connect_timeout(&([127, 0, 0, 1], pipe.port()).into(), PATIENCE).unwrap();
    }
}
