//! A connection to Core's mining interface: its calls, one by one.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::Client;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use tokio::net::UnixStream;
use tokio_util::compat::{TokioAsyncReadCompatExt as _, TokioAsyncWriteCompatExt as _};

use super::error::{IpcError, during};
use super::schema::{self, Schema};
use super::wire::{Answer, Bootstrap, Call, Structure, StructureMut, call, send};

/// A call that computes nothing is answered within this.
const ANSWER: Duration = Duration::from_secs(10);
/// A block template is there within this, also from a busy node.
const TEMPLATE: Duration = Duration::from_secs(60);
/// `waitNext` is asked again after this, so that a node that stands still is noticed.
pub(super) const WAIT_AT_MOST: Duration = Duration::from_secs(30);
/// The node's defaults, which stand in the schema.
const RESERVED_WEIGHT: u64 = 8_000;
const RESERVED_SIGOPS: u64 = 400;
const MAX_MONEY: i64 = 2_100_000_000_000_000;
const MAX_DOUBLE: f64 = f64::MAX;

/// What a template is to leave room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TemplateOptions {
    /// Weight kept free for header, transaction count and coinbase; Core takes at least 2,000.
    pub(super) reserved_weight: u64,
    /// Signature operations kept free for the coinbase's outputs.
    pub(super) reserved_sigops: u64,
    /// Wait while the node catches up with the chain. Off on test chains, whose blocks are old or far between.
    pub(super) cooldown: bool,
}

impl Default for TemplateOptions {
    fn default() -> Self {
        Self { reserved_weight: RESERVED_WEIGHT, reserved_sigops: RESERVED_SIGOPS, cooldown: true }
    }
}

/// A connection. Cap'n Proto's runtime is not for several threads: all of it stays within one `LocalSet`.
pub(super) struct Node {
    pub(super) schema: Schema,
    mining: Client,
    /// Calls that are answered at once run on one thread of the server, waiting ones on another.
    quick: Client,
    waiting: Client,
    _driver: Rc<AbortOnDrop>,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A template that the node keeps for us until it is dropped.
#[derive(Clone)]
pub(super) struct NodeTemplate(Client);

impl Node {
    /// Connects, with the numbering of `schema`. Must run within a `LocalSet`.
    pub(super) async fn connect(path: &Path, schema: Schema) -> Result<Self, IpcError> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|error| IpcError::Connect { path: path.to_owned(), error })?;
        let (reader, writer) = stream.into_split();
        let limits = capnp::message::ReaderOptions {
            // A full block is 4 MB; anything much larger is no answer of Core's.
            traversal_limit_in_words: Some(4 * 1024 * 1024),
            nesting_limit: 16,
        };
        let network = twoparty::VatNetwork::new(reader.compat(), writer.compat_write(), Side::Client, limits);
        let mut system = RpcSystem::new(Box::new(network), None);
        let Bootstrap(init) = system.bootstrap(Side::Server);
        let driver = tokio::task::spawn_local(async move {
            // Its end is seen by the calls that fail.
            let _ = system.await;
        });
        let driver = Rc::new(AbortOnDrop(driver));

        // The server's threads that calls run on. It may call back on ours: we offer none.
        let construct = call(&init, schema::INIT, schema::CONSTRUCT);
        let answer = answer("Init.construct", ANSWER, construct).await?;
        let threads = capability(&answer, "Init.construct", "a thread map")?;
        let quick = make_thread(&threads, "adit").await?;
        let waiting = make_thread(&threads, "adit-wait").await?;

        let mut make = call(&init, schema::INIT, schema.make_mining);
        StructureMut::<0, 1>::of(&mut make).structure::<0, 2>(0).set_capability(0, &quick);
        let answer = self::answer("Init.makeMining", ANSWER, make).await?;
        let mining = capability(&answer, "Init.makeMining", "the mining interface")?;
        Ok(Self { schema, mining, quick, waiting, _driver: driver })
    }

    /// `createNewBlock`; `None`: the node is shutting down.
    pub(super) async fn create(&self, options: TemplateOptions) -> Result<Option<NodeTemplate>, IpcError> {
        const CALL: &str = "createNewBlock";
        let mut create = call(&self.mining, schema::MINING, schema::CREATE_NEW_BLOCK);
        if self.schema.create_with_context {
            let mut params = StructureMut::<1, 2>::of(&mut create);
            params.structure::<0, 2>(0).set_capability(0, &self.waiting);
            params.set_flag(0, options.cooldown, true);
            write_options(&mut params.structure(1), options, &self.schema);
        } else {
            write_options(&mut StructureMut::<0, 1>::of(&mut create).structure(0), options, &self.schema);
        }
        let answer = answer(CALL, TEMPLATE, create).await?;
        template(&answer, CALL)
    }

    /// `waitNext`: a better template than `after`, or `None` when there was none for [`WAIT_AT_MOST`].
    /// `fee_threshold`: a template of the same tip is better when its fees are higher by this, satoshi.
    pub(super) async fn wait_next(
        &self,
        after: &NodeTemplate,
        fee_threshold: i64,
    ) -> Result<Option<NodeTemplate>, IpcError> {
        const CALL: &str = "waitNext";
        let mut wait = call(&after.0, schema::BLOCK_TEMPLATE, self.schema.wait_next);
        let mut params = StructureMut::<0, 2>::of(&mut wait);
        params.structure::<0, 2>(0).set_capability(0, &self.waiting);
        let mut options = params.structure::<2, 0>(1);
        let (timeout, threshold) =
            if self.schema.coinbase_is_structure { (MAX_DOUBLE, MAX_MONEY) } else { (0.0, 0) };
        // Milliseconds, as Core counts here.
        options.set_f64(0, WAIT_AT_MOST.as_secs_f64() * 1e3, timeout);
        options.set_i64(1, fee_threshold, threshold);
        let answer = answer(CALL, WAIT_AT_MOST * 2, wait).await?;
        template(&answer, CALL)
    }

    /// Makes a waiting `waitNext` of this template return.
    pub(super) fn interrupt(&self, template: &NodeTemplate) {
        // Nobody waits for its answer.
        tokio::task::spawn_local(send(call(&template.0, schema::BLOCK_TEMPLATE, self.schema.interrupt_wait)));
    }

    /// The 80 bytes of the template's header.
    pub(super) async fn header(&self, of: &NodeTemplate) -> Result<[u8; 80], IpcError> {
        const CALL: &str = "getBlockHeader";
        let answer = self.ask(of, schema::GET_BLOCK_HEADER, CALL).await?;
        let bytes = Structure::of(&answer).and_then(|result| result.data(0)).map_err(during(CALL))?;
        bytes.try_into().map_err(|_| IpcError::Answer {
            call: CALL,
            got: format!("{} bytes", bytes.len()),
            expected: "a header of 80",
        })
    }

    /// The whole block, with the node's own coinbase.
    pub(super) async fn block(&self, of: &NodeTemplate) -> Result<Vec<u8>, IpcError> {
        const CALL: &str = "getBlock";
        let answer = self.ask(of, schema::GET_BLOCK, CALL).await?;
        let bytes = Structure::of(&answer).and_then(|result| result.data(0)).map_err(during(CALL))?;
        Ok(bytes.to_vec())
    }

    /// What the node says of the coinbase, as its version says it.
    pub(super) async fn coinbase(&self, of: &NodeTemplate) -> Result<NodeCoinbase, IpcError> {
        const CALL: &str = "getCoinbaseTx";
        let answer = self.ask(of, schema::GET_COINBASE_TX, CALL).await?;
        let result = Structure::of(&answer).map_err(during(CALL))?;
        if !self.schema.coinbase_is_structure {
            return result.data(0).map(|bytes| NodeCoinbase::Whole(bytes.to_vec())).map_err(during(CALL));
        }
        let read = || -> capnp::Result<NodeCoinbase> {
            let coinbase = result.structure(0)?;
            Ok(NodeCoinbase::Parts {
                version: coinbase.u32(0),
                sequence: coinbase.u32(1),
                script_sig_prefix: coinbase.data(0)?.to_vec(),
                witness: coinbase.data(1)?.to_vec(),
                reward: coinbase.i64(1),
                outputs: coinbase.data_list(2)?.into_iter().map(<[u8]>::to_vec).collect(),
                lock_time: coinbase.u32(4),
            })
        };
        read().map_err(during(CALL))
    }

    /// The coinbase's merkle path, deepest first.
    pub(super) async fn merkle_path(&self, of: &NodeTemplate) -> Result<Vec<[u8; 32]>, IpcError> {
        const CALL: &str = "getCoinbaseMerklePath";
        let answer = self.ask(of, self.schema.get_merkle_path, CALL).await?;
        let nodes = Structure::of(&answer).and_then(|result| result.data_list(0)).map_err(during(CALL))?;
        let hash = |node: &[u8]| {
            node.try_into().map_err(|_| IpcError::Answer {
                call: CALL,
                got: format!("a node of {} bytes", node.len()),
                expected: "hashes of 32",
            })
        };
        nodes.into_iter().map(hash).collect()
    }

    /// The tip's hash, internal order; `None`: there is none yet.
    pub(super) async fn tip(&self) -> Result<Option<[u8; 32]>, IpcError> {
        const CALL: &str = "getTip";
        let mut ask = call(&self.mining, schema::MINING, schema::GET_TIP);
        StructureMut::<0, 1>::of(&mut ask).structure::<0, 2>(0).set_capability(0, &self.quick);
        let answer = answer(CALL, ANSWER, ask).await?;
        let result = Structure::of(&answer).map_err(during(CALL))?;
        if !result.flag(0) {
            return Ok(None);
        }
        let tip = result.structure(0).map_err(during(CALL))?;
        let hash = tip.data(0).map_err(during(CALL))?;
        let got = || IpcError::Answer {
            call: CALL,
            got: format!("{} bytes", hash.len()),
            expected: "a hash of 32",
        };
        hash.try_into().map(Some).map_err(|_| got())
    }

    /// Hands in a solution of a template that is still held: the node writes it into the template. The coinbase is whole,
    /// with its witness.
    pub(super) async fn submit_solution(
        &self,
        of: &NodeTemplate,
        version: u32,
        ntime: u32,
        nonce: u32,
        coinbase: &[u8],
    ) -> Result<SolutionAnswer, IpcError> {
        const CALL: &str = "submitSolution";
        let mut submit = call(&of.0, schema::BLOCK_TEMPLATE, self.schema.submit_solution);
        let mut params = StructureMut::<2, 2>::of(&mut submit);
        params.structure::<0, 2>(0).set_capability(0, &self.quick);
        params.set_u32(0, version);
        params.set_u32(1, ntime);
        params.set_u32(2, nonce);
        params.set_data(1, coinbase);
        let answer = answer(CALL, TEMPLATE, submit).await?;
        let result = Structure::of(&answer).map_err(during(CALL))?;
        if result.words().map_err(during(CALL))? == 0 {
            // Another method's: even a no has a place.
            return Err(IpcError::Answer { call: CALL, got: "nothing".to_owned(), expected: "yes or no" });
        }
        let reason = if self.schema.submit_tells_reason {
            format!("{} {}", result.text(0), result.text(1)).trim().to_owned()
        } else {
            String::new()
        };
        Ok(SolutionAnswer { taken: result.flag(0), reason })
    }

    /// Hands in a whole block, where the node can take one. `Ok(None)`: it took it; else its reason.
    pub(super) async fn submit_block(&self, block: &[u8]) -> Option<Result<Option<String>, IpcError>> {
        const CALL: &str = "submitBlock";
        let mut submit = call(&self.mining, schema::MINING, self.schema.submit_block?);
        let mut params = StructureMut::<0, 2>::of(&mut submit);
        params.structure::<0, 2>(0).set_capability(0, &self.quick);
        params.set_data(1, block);
        let outcome = async {
            let answer = answer(CALL, TEMPLATE, submit).await?;
            let result = Structure::of(&answer).map_err(during(CALL))?;
            let reason = || format!("{} {}", result.text(0), result.text(1)).trim().to_owned();
            Ok((!result.flag(0)).then(reason))
        };
        Some(outcome.await)
    }

    async fn ask(&self, of: &NodeTemplate, method: u16, name: &'static str) -> Result<Answer, IpcError> {
        let mut ask = call(&of.0, schema::BLOCK_TEMPLATE, method);
        StructureMut::<0, 1>::of(&mut ask).structure::<0, 2>(0).set_capability(0, &self.quick);
        answer(name, ANSWER, ask).await
    }
}

/// What a node says to a solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SolutionAnswer {
    pub(super) taken: bool,
    /// Why not, from versions that say it; else empty.
    pub(super) reason: String,
}

/// What a node says of its coinbase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodeCoinbase {
    /// The serialised transaction, to be changed.
    Whole(Vec<u8>),
    /// Its parts.
    Parts {
        version: u32,
        sequence: u32,
        script_sig_prefix: Vec<u8>,
        witness: Vec<u8>,
        reward: i64,
        outputs: Vec<Vec<u8>>,
        lock_time: u32,
    },
}

async fn make_thread(threads: &Client, name: &str) -> Result<Client, IpcError> {
    const CALL: &str = "ThreadMap.makeThread";
    let mut make = call(threads, schema::THREAD_MAP, schema::MAKE_THREAD);
    StructureMut::<0, 1>::of(&mut make).set_text(0, name);
    let answer = answer(CALL, ANSWER, make).await?;
    capability(&answer, CALL, "a thread")
}

fn write_options(to: &mut StructureMut<'_, 3, 0>, options: TemplateOptions, schema: &Schema) {
    // Core 30's schema names no defaults: 0 and false.
    let (mempool, weight, sigops) =
        if schema.create_with_context { (true, RESERVED_WEIGHT, RESERVED_SIGOPS) } else { (false, 0, 0) };
    to.set_flag(0, true, mempool);
    to.set_u64(1, options.reserved_weight, weight);
    to.set_u64(2, options.reserved_sigops, sigops);
}

async fn answer(name: &'static str, limit: Duration, call: Call) -> Result<Answer, IpcError> {
    tokio::time::timeout(limit, send(call))
        .await
        .map_err(|_| IpcError::Silent { call: name, waited: limit })?
        .map_err(during(name))
}

fn capability(answer: &Answer, call: &'static str, expected: &'static str) -> Result<Client, IpcError> {
    Structure::of(answer)
        .and_then(|result| result.capability(0))
        .map_err(during(call))?
        .ok_or(IpcError::Answer { call, got: "nothing".to_owned(), expected })
}

fn template(answer: &Answer, call: &'static str) -> Result<Option<NodeTemplate>, IpcError> {
    let template = Structure::of(answer).and_then(|result| result.capability(0)).map_err(during(call))?;
    Ok(template.map(NodeTemplate))
}
