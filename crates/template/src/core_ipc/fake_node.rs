//! A node's IPC interface for tests, which takes its method numbers from the schemas as Core published them, not from
//! what Adit thinks of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bitcoin::hashes::Hash as _;
use bitcoin::{Block, Transaction, consensus};
use capnp::capability::{
    Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server,
};
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use tokio_util::compat::{TokioAsyncReadCompatExt as _, TokioAsyncWriteCompatExt as _};
use work::{Header, Target, merkle};

use super::schema::{BLOCK_TEMPLATE, INIT, MINING, THREAD_MAP};
use super::wire::{Structure, StructureMut};

/// The interfaces of one version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    pub(super) name: &'static str,
    init: &'static str,
    mining: &'static str,
}

macro_rules! release {
    ($name:literal) => {
        Release {
            name: $name,
            init: include_str!(concat!("../../../../protocol-fixtures/core-ipc/", $name, "/init.capnp")),
            mining: include_str!(concat!("../../../../protocol-fixtures/core-ipc/", $name, "/mining.capnp")),
        }
    };
}

/// All that were published.
pub(super) const RELEASES: [Release; 4] = [release!("30"), release!("31"), release!("31.99"), release!("32")];

impl Release {
    /// Names of an interface's methods, by number.
    pub(super) fn methods(&self, interface: &str) -> HashMap<u16, &'static str> {
        let lines = self.lines(interface);
        lines.map(|(number, line)| (number, line.split_once(" @").expect("a method").0)).collect()
    }

    /// How a method is declared.
    pub(super) fn declared(&self, interface: &str, method: &str) -> &'static str {
        let of = |line: &&str| line.split_once(" @").is_some_and(|(name, _)| name == method);
        self.lines(interface).map(|(_, line)| line).find(of).unwrap_or("")
    }

    fn lines(&self, interface: &str) -> impl Iterator<Item = (u16, &'static str)> + use<> {
        let text = if interface == "Init" { self.init } else { self.mining };
        let begin = text.find(&format!("interface {interface} ")).expect("the interface");
        let body = text[begin..].split("\n}").next().expect("its methods");
        body.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(|line| {
            let digits: String = line.split_once(" @")?.1.chars().take_while(char::is_ascii_digit).collect();
            Some((digits.parse().ok()?, line))
        })
    }
}

/// The block that the node's templates are of, with its own coinbase and with another transaction, or without.
fn block(is_empty: bool) -> Block {
    let mut commitment = [&crate::witness::COMMITMENT[..], &[3; 32]].concat();
    commitment.resize(38, 0);
    let mut coinbase = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::from_consensus(199),
        input: vec![bitcoin::TxIn::default()],
        output: [(5_000_000_000, vec![0x51]), (0, commitment)]
            .map(|(value, script)| bitcoin::TxOut {
                value: bitcoin::Amount::from_sat(value),
                script_pubkey: script.into(),
            })
            .into(),
    };
    coinbase.input[0].script_sig = vec![2, 0xc8, 0, 0].into();
    coinbase.input[0].sequence = bitcoin::Sequence(0xffff_fffe);
    coinbase.input[0].witness.push([0; 32]);
    let mut other = coinbase.clone();
    other.input[0].previous_output.vout = 1;
    let header = bitcoin::block::Header {
        version: bitcoin::block::Version::from_consensus(0x2000_0000),
        prev_blockhash: bitcoin::BlockHash::from_byte_array([9; 32]),
        merkle_root: bitcoin::TxMerkleNode::all_zeros(),
        time: 1_700_000_000,
        bits: bitcoin::CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    // Without a merkle root: it is that of the coinbase which a solution brings.
    let txdata = if is_empty { vec![coinbase] } else { vec![coinbase, other] };
    Block { header, txdata }
}

/// A running node. Ends with the test's process.
pub(super) struct FakeNode {
    /// Its socket.
    pub(super) path: PathBuf,
    /// Whether it took what came, solution by solution and block by block.
    pub(super) submitted: Arc<Mutex<Vec<bool>>>,
}

impl FakeNode {
    pub(super) fn start(release: Release) -> Self {
        Self::start_with(release, false)
    }

    /// One whose templates hold nothing but the coinbase.
    pub(super) fn start_empty(release: Release) -> Self {
        Self::start_with(release, true)
    }

    fn start_with(release: Release, is_empty: bool) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("adit-ipc-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
        let path = std::env::temp_dir().join(name);
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let submitted = Arc::new(Mutex::new(Vec::new()));
        let core = Core { release, is_empty, submitted: Arc::clone(&submitted), tip: Mutex::new([9; 32]) };
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                listener.set_nonblocking(true).expect("a socket");
                let listener = tokio::net::UnixListener::from_std(listener).expect("a socket");
                let core = Rc::new(core);
                while let Ok((stream, _)) = listener.accept().await {
                    let (reader, writer) = stream.into_split();
                    let network = twoparty::VatNetwork::new(
                        reader.compat(),
                        writer.compat_write(),
                        Side::Server,
                        capnp::message::ReaderOptions::new(),
                    );
                    let init = Core::object(&core, Kind::Init);
                    tokio::task::spawn_local(RpcSystem::new(Box::new(network), Some(init)));
                }
            });
        });
        Self { path, submitted }
    }

    pub(super) fn taken(&self) -> usize {
        self.submitted.lock().expect("not poisoned").iter().filter(|taken| **taken).count()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Core {
    release: Release,
    is_empty: bool,
    submitted: Arc<Mutex<Vec<bool>>>,
    /// The block that it took last.
    tip: Mutex<[u8; 32]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Init,
    ThreadMap,
    Thread,
    Mining,
    Template,
}

struct Object {
    core: Rc<Core>,
    kind: Kind,
}

#[derive(Clone)]
struct Dispatch(Rc<Object>);

impl std::ops::Deref for Dispatch {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.0
    }
}

struct Capability(Client);

impl FromClientHook for Capability {
    fn new(hook: Box<capnp::capability::DynClientHook>) -> Self {
        Self(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<capnp::capability::DynClientHook> {
        self.0.hook
    }

    fn as_client_hook(&self) -> &capnp::capability::DynClientHook {
        &*self.0.hook
    }
}

impl FromServer<Object> for Capability {
    type Dispatch = Dispatch;

    fn from_server(object: Rc<Object>) -> Dispatch {
        Dispatch(object)
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        interface_id: u64,
        method_id: u16,
        params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        let promise = match self.method(interface_id, method_id) {
            None => Promise::err(Error::unimplemented(format!("method {method_id}"))),
            Some(old) if old.contains("Old") => {
                Promise::err(Error::failed(format!("{old} is not supported")))
            }
            // Nothing better comes.
            Some("waitNext") => Promise::from_future(std::future::pending()),
            Some(method) => match self.answer(method, &params, &mut results) {
                Ok(()) => Promise::ok(()),
                Err(error) => Promise::err(error),
            },
        };
        DispatchCallResult { promise, is_streaming: false }
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }
}

impl Core {
    fn object(core: &Rc<Self>, kind: Kind) -> Client {
        capnp_rpc::new_client::<Capability, Object>(Object { core: Rc::clone(core), kind }).0
    }

    fn judge(&self, header: &Header) -> bool {
        let target = Target::from_compact(header.nbits).expect("a target");
        let taken = header.hash().meets(&target);
        self.submitted.lock().expect("not poisoned").push(taken);
        if taken {
            *self.tip.lock().expect("not poisoned") = header.hash().to_bytes();
        }
        taken
    }
}

/// The result of a call.
fn to<const D: u16, const P: u16>(results: &mut Results<any_pointer::Owned>) -> StructureMut<'_, D, P> {
    results.get().init_as()
}

impl Object {
    fn method(&self, interface_id: u64, method_id: u16) -> Option<&'static str> {
        let (id, name) = match self.kind {
            Kind::Init => (INIT, "Init"),
            Kind::Mining => (MINING, "Mining"),
            Kind::Template => (BLOCK_TEMPLATE, "BlockTemplate"),
            Kind::ThreadMap => {
                return (interface_id == THREAD_MAP && method_id == 0).then_some("makeThread");
            }
            Kind::Thread => return None,
        };
        if interface_id != id {
            return None;
        }
        self.core.release.methods(name).get(&method_id).copied()
    }

    fn answer(
        &self,
        method: &str,
        params: &Params<any_pointer::Owned>,
        results: &mut Results<any_pointer::Owned>,
    ) -> capnp::Result<()> {
        let give = |kind| Core::object(&self.core, kind);
        let params: Structure<'_> = params.get()?.get_as()?;
        let block = block(self.core.is_empty);
        let coinbase = &block.txdata[0];
        match method {
            "construct" => to::<0, 1>(results).set_capability(0, &give(Kind::ThreadMap)),
            "makeThread" => to::<0, 1>(results).set_capability(0, &give(Kind::Thread)),
            "makeMining" => to::<0, 1>(results).set_capability(0, &give(Kind::Mining)),
            "createNewBlock" => to::<0, 1>(results).set_capability(0, &give(Kind::Template)),
            "getTip" => {
                let mut results = to::<1, 1>(results);
                results.set_flag(0, true, false);
                let tip = *self.core.tip.lock().expect("not poisoned");
                results.structure::<1, 1>(0).set_data(0, &tip);
            }
            "getBlockHeader" => to::<0, 1>(results).set_data(0, &consensus::serialize(&block.header)),
            "getBlock" => to::<0, 1>(results).set_data(0, &consensus::serialize(&block)),
            "getCoinbaseMerklePath" => {
                let others = block.txdata.iter().skip(1);
                let txids: Vec<[u8; 32]> = others.map(|other| other.compute_txid().to_byte_array()).collect();
                let path = merkle::path(&txids);
                let path: Vec<Vec<u8>> = path.iter().map(|node| node.to_vec()).collect();
                to::<0, 1>(results).set_data_list(0, &path);
            }
            "getCoinbaseTx"
                if self.core.release.declared("BlockTemplate", method).contains("CoinbaseTx)") =>
            {
                let mut results = to::<0, 1>(results);
                let mut parts = results.structure::<3, 3>(0);
                parts.set_u32(0, 2);
                parts.set_u32(1, 0xffff_fffe);
                parts.set_i64(1, 5_000_000_000, 0);
                parts.set_u32(4, 199);
                parts.set_data(0, &[2, 0xc8, 0]);
                parts.set_data(1, &[0; 32]);
                parts.set_data_list(2, &[consensus::serialize(&coinbase.output[1])]);
            }
            "getCoinbaseTx" => to::<0, 1>(results).set_data(0, &consensus::serialize(coinbase)),
            "getWitnessCommitmentIndex" => to::<1, 0>(results).set_i32(0, 1),
            "getCoinbaseCommitment" => to::<0, 1>(results).set_data(0, &[3; 38]),
            "submitSolution" => {
                let theirs: Transaction = consensus::deserialize(params.data(1)?)
                    .map_err(|error| Error::failed(error.to_string()))?;
                let mut solved = block;
                solved.txdata[0] = theirs;
                let root = solved.compute_merkle_root().map(|root| root.to_byte_array());
                let taken = self.core.judge(&Header {
                    version: params.u32(0),
                    prev_hash: [9; 32],
                    merkle_root: root.unwrap_or_default(),
                    ntime: params.u32(1),
                    nbits: 0x207f_ffff,
                    nonce: params.u32(2),
                });
                if self.core.release.declared("BlockTemplate", method).contains("reason") {
                    tell(results, taken);
                } else {
                    to::<1, 0>(results).set_flag(0, taken, false);
                }
            }
            "submitBlock" => {
                let bytes: &[u8] = params.data(1)?;
                let header = bytes.first_chunk().ok_or_else(|| Error::failed("no block".to_owned()))?;
                let taken = self.core.judge(&Header::from_bytes(header));
                tell(results, taken);
            }
            // What gives nothing, or nothing that matters here.
            _ => {
                to::<0, 0>(results);
            }
        }
        Ok(())
    }
}

fn tell(results: &mut Results<any_pointer::Owned>, taken: bool) {
    let mut results = to::<1, 2>(results);
    results.set_flag(0, taken, false);
    if !taken {
        results.set_text(0, "high-hash");
        results.set_text(1, "proof of work failed");
    }
}
