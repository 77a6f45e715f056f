//! A Template Distribution server over a template provider: its frames, its Noise and its messages are those of the
//! published reference crates, so that what our client says is judged by code that is not ours. Templates come from a real
//! node by IPC, or from whatever else a test has.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use binary_sv2::{GetSize, Serialize};
use bitcoin::hashes::Hash as _;
use codec_sv2::{
    Decoded, Decrypted, Handshake, MessageFrame, NoiseDecoder, NoiseEncoder, TransportEncryptState,
};
use common_messages_sv2 as common;
use noise::{AuthorityPublicKey, AuthoritySecretKey, PoolUrl};
use noise_sv2::Responder;
use template::core_ipc::{CoreIpcSettings, start};
use template::{ProviderEvent, ProviderHandle, ProviderOrders, Solution, Submitted};
use template_distribution_sv2 as td;
use work::{CoinbaseConstraints, Header, Template, TemplateTransaction};

use crate::{http, middleman, wait};

/// Templates whose transactions are remembered.
const REMEMBERED: usize = 64;
/// How long a port may take to be free again.
const PATIENCE: Duration = Duration::from_secs(60);
/// A certificate is good for this long.
const VALID: Duration = Duration::from_secs(3_600);

/// Starts a provider.
type StartProvider = Box<dyn Fn() -> ProviderHandle + Send>;

/// A server on a free loopback port, with a key that stays when it is started again.
pub struct TemplateServer {
    port: u16,
    provider: StartProvider,
    /// Of its authority.
    secret: [u8; 32],
    running: Option<Arc<Shared>>,
}

/// What a running server's threads share.
struct Shared {
    authority: ([u8; 32], [u8; 32]),
    orders: ProviderOrders,
    state: Mutex<State>,
    /// SetNewPrevHash is held back.
    withheld: AtomicBool,
    over: AtomicBool,
    set_ups: AtomicU64,
    port: u16,
}

#[derive(Default)]
struct State {
    /// Without its transactions yet.
    coming: Option<Arc<Template>>,
    newest: Option<Arc<Template>>,
    transactions: VecDeque<(u64, Arc<[TemplateTransaction]>)>,
    /// Templates that were given, as many as transactions are remembered of.
    given: VecDeque<Arc<Template>>,
    connections: Vec<Arc<Connection>>,
    constraints: Option<CoinbaseConstraints>,
    submitted: Vec<Submitted>,
    /// Templates given for the future whose tip was held back.
    held_back: u64,
}

struct Connection {
    stream: TcpStream,
    out: Mutex<Out>,
}

struct Out {
    encoder: NoiseEncoder,
    key: TransportEncryptState,
    /// The tip that was named last; `None`: the client did not ask for templates yet.
    tip: Option<[u8; 32]>,
    wanted: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("port", &self.port).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TemplateServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TemplateServer").field("port", &self.port).finish_non_exhaustive()
    }
}

impl TemplateServer {
    /// Starts a server over the node whose socket this is.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(node: PathBuf) -> Self {
        let mut server = Self::over(move || {
            let settings = CoreIpcSettings {
                path: node.clone(),
                schema: None,
                fee_threshold: 1_000,
                min_interval: Duration::from_millis(100),
                cooldown: false,
            };
            start(settings).expect("the provider over the node starts")
        });
        server.run();
        server
    }

    /// A server over what this starts each time that it is [`run`](Self::run); it does not run yet.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn over(provider: impl Fn() -> ProviderHandle + Send + 'static) -> Self {
        let keys = std::iter::repeat_with(rand::random);
        let mut keys = keys.filter(|key| AuthoritySecretKey::from_bytes(*key).is_ok());
        let secret = keys.next().expect("nearly every 32 bytes are a key");
        Self { port: http::free_port(), provider: Box::new(provider), secret, running: None }
    }

    /// Starts it (again).
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&mut self) {
        let mut provider = (self.provider)();
        let shared = Arc::new(Shared {
            authority: (self.public().to_bytes(), self.secret),
            orders: provider.orders.clone(),
            state: Mutex::default(),
            withheld: AtomicBool::new(false),
            over: AtomicBool::new(false),
            set_ups: AtomicU64::new(0),
            port: self.port,
        });
        let listener = wait::until("the server's port is free", PATIENCE, || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).ok()
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if own.over.load(SeqCst) {
                    break;
                }
                let own = Arc::clone(&own);
                std::thread::spawn(move || {
                    // A connection that fails ends; what it should have shown is then missing in the test.
                    let _ = own.serve(stream);
                });
            }
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Some(event) = provider.events.blocking_recv() {
                if own.over.load(SeqCst) {
                    break;
                }
                own.hear(event);
            }
        });
        self.running = Some(shared);
    }

    /// Ends it at once: all connections are closed.
    pub fn kill(&mut self) {
        let Some(shared) = self.running.take() else { return };
        shared.over.store(true, SeqCst);
        for connection in &shared.state().connections {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts, which then ends, and its port is free.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }

    /// Where it is, with its key.
    ///
    /// # Panics
    /// Never: it is a URL.
    #[must_use]
    pub fn url(&self) -> PoolUrl {
        PoolUrl::new("127.0.0.1", self.port, Some(self.public())).expect("a URL")
    }

    /// Where it is, with the key of somebody else.
    ///
    /// # Panics
    /// Never: it is a URL.
    #[must_use]
    pub fn url_with_another_key(&self) -> PoolUrl {
        let other = middleman::new_authority().public();
        PoolUrl::new("127.0.0.1", self.port, Some(other)).expect("a URL")
    }

    /// From now on no tip is named: new templates are for the future only.
    pub fn withhold_tips(&self) {
        self.shared().withheld.store(true, SeqCst);
    }

    /// Names the tip of the newest template, and those that come.
    pub fn name_tips(&self) {
        let shared = self.shared();
        shared.withheld.store(false, SeqCst);
        let state = shared.state();
        let Some(newest) = state.newest.clone() else { return };
        for connection in &state.connections {
            connection.out().name(&newest, connection);
        }
    }

    /// Templates that were given for a tip that was held back.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.shared().state().held_back
    }

    /// What the client asked for last.
    #[must_use]
    pub fn constraints(&self) -> Option<CoinbaseConstraints> {
        self.shared().state().constraints
    }

    /// What the node said of the solutions that came.
    #[must_use]
    pub fn submitted(&self) -> Vec<Submitted> {
        self.shared().state().submitted.clone()
    }

    /// SetupConnection messages that came.
    #[must_use]
    pub fn set_ups(&self) -> u64 {
        self.shared().set_ups.load(SeqCst)
    }

    fn public(&self) -> AuthorityPublicKey {
        AuthoritySecretKey::from_bytes(self.secret).expect("it was checked").public()
    }

    fn shared(&self) -> &Shared {
        self.running.as_ref().expect("the server runs")
    }
}

impl Drop for TemplateServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the node has to say.
    fn hear(&self, event: ProviderEvent) {
        match event {
            // It is given when its transactions are there, too: whoever gets it may ask for them at once.
            ProviderEvent::Template(template) => {
                let (id, transactions) = (template.template_id, template.transactions.clone());
                self.state().coming = Some(template);
                if let Some(transactions) = transactions {
                    self.give(id, transactions);
                }
            }
            ProviderEvent::Transactions { template_id, transactions } => self.give(template_id, transactions),
            ProviderEvent::Up { .. } | ProviderEvent::Down { .. } => {}
        }
    }

    /// A template's transactions are there: it is given to all who want templates.
    fn give(&self, template_id: u64, transactions: Arc<[TemplateTransaction]>) {
        let mut state = self.state();
        if state.transactions.len() == REMEMBERED {
            state.transactions.pop_front();
        }
        state.transactions.push_back((template_id, transactions));
        let Some(template) = state.coming.take_if(|coming| coming.template_id == template_id) else {
            return;
        };
        state.newest = Some(Arc::clone(&template));
        if state.given.len() == REMEMBERED {
            state.given.pop_front();
        }
        state.given.push_back(Arc::clone(&template));
        let withheld = self.withheld.load(SeqCst);
        for connection in state.connections.clone() {
            let mut out = connection.out();
            if out.wanted {
                state.held_back += u64::from(out.give(&template, withheld, &connection));
            }
        }
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (public, secret) = &self.authority;
        let responder = Responder::from_authority_kp(public, secret, VALID).map_err(other)?;
        let mut decoder = NoiseDecoder::new();
        let act1 = loop {
            match decoder.next_handshake_frame::<Responder>().map_err(other)? {
                Decoded::Frame(message) => break message,
                Decoded::Incomplete(_) => stream.read_exact(decoder.writable())?,
            }
        };
        let act1 = act1.payload().try_into().map_err(other)?;
        let (act2, transport) = Handshake::responder(responder).step_1(act1).map_err(other)?;
        let mut encoder = NoiseEncoder::new();
        stream.write_all(encoder.encode_handshake(act2).as_ref())?;
        let (key, mut read_key) = transport.split();
        let out = Mutex::new(Out { encoder, key, tip: None, wanted: false });
        let connection = Arc::new(Connection { stream: stream.try_clone()?, out });
        self.state().connections.push(Arc::clone(&connection));
        loop {
            match decoder.next_transport_frame(read_key).map_err(other)? {
                Decrypted::Frame(mut frame, key) => {
                    read_key = key;
                    let msg_type = frame.header().msg_type();
                    self.take(msg_type, frame.payload(), &connection)?;
                }
                Decrypted::Incomplete(_, key) => {
                    read_key = key;
                    stream.read_exact(decoder.writable())?;
                }
            }
        }
    }

    fn take(&self, msg_type: u8, payload: &mut [u8], connection: &Connection) -> std::io::Result<()> {
        match msg_type {
            common::MESSAGE_TYPE_SETUP_CONNECTION => {
                let message: common::SetupConnection<'_> = read(payload)?;
                self.set_ups.fetch_add(1, SeqCst);
                if message.protocol != common::Protocol::TemplateDistributionProtocol {
                    return Err(other("another protocol"));
                }
                let success = common::SetupConnectionSuccess { used_version: 2, flags: 0 };
                connection.out().send(success, common::MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS, connection);
            }
            td::MESSAGE_TYPE_COINBASE_OUTPUT_CONSTRAINTS => {
                let message: td::CoinbaseOutputConstraints = read(payload)?;
                let constraints = CoinbaseConstraints {
                    additional_size: message.coinbase_output_max_additional_size,
                    additional_sigops: message.coinbase_output_max_additional_sigops,
                };
                self.orders.constrain(constraints);
                let mut state = self.state();
                state.constraints = Some(constraints);
                // Those that have too little room are not given: the node makes another one.
                let newest = state.newest.clone().filter(|newest| newest.constraints.hold(constraints));
                let mut out = connection.out();
                out.wanted = true;
                if let Some(newest) = newest {
                    let withheld = self.withheld.load(SeqCst);
                    state.held_back += u64::from(out.give(&newest, withheld, connection));
                }
            }
            td::MESSAGE_TYPE_REQUEST_TRANSACTION_DATA => {
                let message: td::RequestTransactionData = read(payload)?;
                let state = self.state();
                let known = state.transactions.iter().find(|(id, _)| *id == message.template_id);
                let known = known.map(|(_, transactions)| Arc::clone(transactions));
                drop(state);
                connection.out().give_transactions(message.template_id, known.as_deref(), connection);
            }
            td::MESSAGE_TYPE_SUBMIT_SOLUTION => {
                let message: td::SubmitSolution<'_> = read(payload)?;
                let coinbase = message.coinbase_tx.as_bytes().to_vec();
                let given = self.state().given.clone();
                let of = given.iter().find(|template| template.template_id == message.template_id);
                let template = of.ok_or_else(|| other("a solution of a template that was not given"))?;
                let header = header_of(&message, template, &coinbase)?;
                let solution = Solution { template_id: message.template_id, header, coinbase };
                let runtime = tokio::runtime::Builder::new_current_thread().build()?;
                let submitted = runtime.block_on(self.orders.submit(solution));
                self.state().submitted.push(submitted);
            }
            unknown => return Err(other(format!("message 0x{unknown:02x}"))),
        }
        Ok(())
    }
}

/// The whole header of a solution, whose message has only what its miner chose.
fn header_of(
    message: &td::SubmitSolution<'_>,
    template: &Template,
    coinbase: &[u8],
) -> std::io::Result<Header> {
    let coinbase: bitcoin::Transaction = bitcoin::consensus::deserialize(coinbase).map_err(other)?;
    Ok(Header {
        version: message.version,
        prev_hash: template.prev_hash,
        merkle_root: work::merkle::root(coinbase.compute_txid().to_byte_array(), &template.merkle_path),
        ntime: message.header_timestamp,
        nbits: template.nbits,
        nonce: message.header_nonce,
    })
}

impl Connection {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    fn send<M: Serialize + GetSize>(&mut self, message: M, msg_type: u8, connection: &Connection) {
        let frame = MessageFrame::from_message(message, msg_type, 0, false).expect("it fits a frame");
        let sealed = self.encoder.encode_transport(frame, &mut self.key).expect("it is encrypted");
        // A client that has gone is noticed by whoever reads from it.
        let _ = (&connection.stream).write_all(sealed.as_ref());
    }

    /// Gives a template; true: for the future, and its tip is held back.
    fn give(&mut self, template: &Template, withheld: bool, connection: &Connection) -> bool {
        let future = self.tip != Some(template.prev_hash);
        let mut outputs = Vec::new();
        template.coinbase.outputs.iter().for_each(|output| output.write(&mut outputs));
        let message = td::NewTemplate {
            template_id: template.template_id,
            future_template: future,
            version: template.version,
            coinbase_tx_version: template.coinbase.tx_version,
            coinbase_prefix: (&*template.coinbase.prefix).try_into().expect("a height is short"),
            coinbase_tx_input_sequence: template.coinbase.input_sequence,
            coinbase_tx_value_remaining: template.coinbase.value_remaining,
            coinbase_tx_outputs_count: u32::try_from(template.coinbase.outputs.len()).expect("few outputs"),
            coinbase_tx_outputs: outputs.as_slice().try_into().expect("they fit"),
            coinbase_tx_locktime: template.coinbase.locktime,
            merkle_path: binary_sv2::Seq0255::new(template.merkle_path.iter().map(Into::into).collect())
                .expect("a path is short"),
        };
        self.send(message, td::MESSAGE_TYPE_NEW_TEMPLATE, connection);
        if future && !withheld {
            self.name(template, connection);
        }
        future && withheld
    }

    fn name(&mut self, template: &Template, connection: &Connection) {
        let target = template.network_target.to_le_bytes();
        let message = td::SetNewPrevHash {
            template_id: template.template_id,
            prev_hash: (&template.prev_hash).into(),
            header_timestamp: template.min_ntime,
            n_bits: template.nbits,
            target: (&target).into(),
        };
        self.send(message, td::MESSAGE_TYPE_SET_NEW_PREV_HASH, connection);
        self.tip = Some(template.prev_hash);
    }

    fn give_transactions(&mut self, id: u64, known: Option<&[TemplateTransaction]>, connection: &Connection) {
        let Some(transactions) = known else {
            let error_code: &[u8] = b"template-id-not-found";
            let error_code = error_code.try_into().expect("it is short");
            let message = td::RequestTransactionDataError { template_id: id, error_code };
            return self.send(message, td::MESSAGE_TYPE_REQUEST_TRANSACTION_DATA_ERROR, connection);
        };
        let list = transactions.iter().map(|transaction| (&*transaction.bytes).try_into().expect("it fits"));
        let empty: &[u8] = &[];
        let message = td::RequestTransactionDataSuccess {
            template_id: id,
            excess_data: empty.try_into().expect("it fits"),
            transaction_list: binary_sv2::Seq064K::new(list.collect()).expect("it fits"),
        };
        self.send(message, td::MESSAGE_TYPE_REQUEST_TRANSACTION_DATA_SUCCESS, connection);
    }
}

fn read<'a, M: binary_sv2::Deserialize<'a>>(payload: &'a mut [u8]) -> std::io::Result<M> {
    binary_sv2::from_bytes(payload).map_err(other)
}

fn other(error: impl std::fmt::Debug) -> std::io::Error {
    std::io::Error::other(format!("{error:?}"))
}
