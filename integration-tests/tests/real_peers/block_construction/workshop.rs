//! One way to a node: templates from it, blocks to it, and its word on them.

use std::time::Duration;

use bitcoin::hashes::Hash as _;
use bitcoin::{Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, Witness, consensus};
use integration_tests::node::Node;
use serde_json::json;
use template::core_ipc::{self, CoreIpcSettings};
use template::rpc::{self, RpcAuth, RpcNode, RpcSettings};
use template::{ProviderEvent, ProviderHandle, Solution, Submitted};
use tokio::runtime::Runtime;
use work::coinbase::{Coinbase, Output};
use work::{CoinbaseConstraints, Header, Template, TemplateTransaction, merkle, sha256d};

use crate::PATIENCE;
use crate::core_ipc::display;

/// How templates come and blocks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `getblocktemplate` and `submitblock`.
    Rpc,
    /// IPC, `submitSolution`: the node has the transactions.
    IpcSolution,
    /// IPC, `submitBlock`: the whole block.
    IpcBlock,
}

impl Way {
    /// By RPC first: the node makes a template for RPC anew only after 5 s or on a new tip.
    pub(super) const ALL: [Self; 3] = [Self::Rpc, Self::IpcSolution, Self::IpcBlock];
}

/// A provider on one way.
pub(super) struct Workshop<'a> {
    node: &'a Node,
    way: Way,
    runtime: Runtime,
    handle: ProviderHandle,
}

impl<'a> Workshop<'a> {
    /// Starts a provider. It sees what is in the mempool by now.
    pub(super) fn open(node: &'a Node, way: Way) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = if way == Way::Rpc {
            let auth = RpcAuth::User { name: "adit".to_owned(), password: "adit".to_owned() };
            let settings = RpcSettings {
                node: RpcNode { address: format!("127.0.0.1:{}", node.rpc_port()), auth },
                fee_threshold: 1,
                min_interval: Duration::ZERO,
                signet: false,
            };
            let _inside = runtime.enter();
            rpc::start(settings)
        } else {
            let settings = CoreIpcSettings {
                path: node.ipc_socket(),
                schema: None,
                fee_threshold: 1,
                min_interval: Duration::from_millis(100),
                cooldown: false,
            };
            core_ipc::start(settings).expect("the provider starts")
        };
        Self { node, way, runtime, handle }
    }

    /// Templates from now on leave room for these outputs.
    pub(super) fn announce(&self, outputs: &[Output]) {
        self.handle.orders.constrain(CoinbaseConstraints::of(outputs));
    }

    /// The next template that is as asked for, with its transactions.
    pub(super) fn template(&mut self, so: impl Fn(&Template) -> bool) -> Template {
        loop {
            let ProviderEvent::Template(told) = self.next() else { continue };
            let mut template = Template::clone(&told);
            while template.transactions.is_none() {
                if let ProviderEvent::Transactions { template_id, transactions } = self.next()
                    && template_id == template.template_id
                {
                    template.transactions = Some(transactions);
                }
            }
            if so(&template) {
                return template;
            }
        }
    }

    /// The next template on the node's present tip.
    pub(super) fn template_on_tip(&mut self) -> Template {
        let tip = self.node.best_block_hash();
        self.template(|template| display(template.prev_hash) == tip)
    }

    fn next(&mut self) -> ProviderEvent {
        let Self { runtime, handle, .. } = self;
        let event = runtime.block_on(async { tokio::time::timeout(PATIENCE, handle.events.recv()).await });
        match event.expect("the provider tells something in time").expect("the provider lives") {
            ProviderEvent::Down { why, .. } => panic!("the provider is down: {why}"),
            event => event,
        }
    }

    /// Hands a block in.
    fn hand_in(&self, template: &Template, header: &Header, coinbase: &[u8]) -> Submitted {
        let orders = self.handle.orders.clone();
        if self.way == Way::IpcBlock {
            let block = template.block_with(header, coinbase).expect("a template with its transactions");
            self.runtime.block_on(orders.submit_block(block.into()))
        } else {
            let template_id = template.template_id;
            let solution = Solution { template_id, header: *header, coinbase: coinbase.to_vec() };
            self.runtime.block_on(orders.submit(solution))
        }
    }

    /// Hands a block in that the node has to take: it is the tip, and every byte of it as Adit assembled it.
    pub(super) fn accepted_whole(&self, template: &Template, header: &Header, coinbase: &[u8]) -> Block {
        let way = self.way;
        assert_eq!(self.hand_in(template, header, coinbase), Submitted::Taken, "{way:?}");
        let hash = display(header.hash().to_bytes());
        assert_eq!(self.node.best_block_hash(), hash, "{way:?}: another tip");
        let block = raw_block(self.node, &hash);
        let ours = template.block_with(header, coinbase);
        assert!(Some(consensus::serialize(&block)) == ours, "{way:?}: the node has other bytes");
        assert!(block.check_merkle_root(), "{way:?}");
        block
    }

    /// As [`accepted_whole`](Self::accepted_whole); and all encodings of the coinbase say what stands in the block.
    pub(super) fn accepted(&self, found: &Found) -> Block {
        let block = self.accepted_whole(&found.template, &found.header, &found.transaction());
        found.check_encodings(&block.txdata[0]);
        block
    }

    /// Hands a block in that the node must not take, for this reason; the tip stays.
    pub(super) fn refused(&self, found: &Found, reason: &str) {
        let (way, tip) = (self.way, self.node.best_block_hash());
        let Submitted::Refused(why) = self.hand_in(&found.template, &found.header, &found.transaction())
        else {
            panic!("{way:?}: taken, though {reason}");
        };
        // `submitSolution` gives no reason.
        assert!(way == Way::IpcSolution || why.starts_with(reason), "{way:?}: {why} instead of {reason}");
        assert_eq!(self.node.best_block_hash(), tip, "{way:?}");
    }
}

/// A block that meets the network's target.
pub(super) struct Found {
    template: Template,
    coinbase: Coinbase,
    extranonce: Vec<u8>,
    /// Its header.
    pub(super) header: Header,
}

impl Found {
    /// Hashes a job of this template and coinbase until it is a block; `roll` changes the header before.
    pub(super) fn new(
        template: &Template,
        coinbase: Coinbase,
        extranonce: &[u8],
        roll: impl Fn(&mut Header),
    ) -> Self {
        let job = template.job(1, &coinbase).expect("a job");
        let halves = [&*job.coinbase_tx_prefix, extranonce, &*job.coinbase_tx_suffix].concat();
        let mut header = Header {
            version: job.version,
            prev_hash: job.prev_hash,
            merkle_root: merkle::root(sha256d::hash(&halves), &job.merkle_path),
            ntime: job.min_ntime,
            nbits: job.nbits,
            nonce: 0,
        };
        roll(&mut header);
        while !header.hash().meets(&job.network_target) {
            header.nonce = header.nonce.checked_add(1).expect("a block within all nonces");
        }
        Self { template: template.clone(), coinbase, extranonce: extranonce.to_vec(), header }
    }

    /// The whole coinbase.
    pub(super) fn transaction(&self) -> Vec<u8> {
        self.coinbase.transaction(&self.extranonce).expect("an extranonce of this length")
    }

    /// The whole block.
    pub(super) fn block(&self) -> Vec<u8> {
        self.template.block(&self.header, &self.coinbase, &self.extranonce).expect("a block")
    }

    /// What is declared, what a custom job says field by field, and what miners hash: each is the transaction that
    /// stands in the block.
    fn check_encodings(&self, mined: &Transaction) {
        let (coinbase, extranonce) = (&self.coinbase, &*self.extranonce);
        let declared = [&*coinbase.declared_prefix(), extranonce, &*coinbase.declared_suffix()].concat();
        assert_eq!(declared, consensus::serialize(mined), "DeclareMiningJob has another coinbase");

        let mut stripped = mined.clone();
        stripped.input[0].witness = Witness::new();
        let job = [&*coinbase.prefix(), extranonce, &*coinbase.suffix()].concat();
        assert_eq!(job, consensus::serialize(&stripped), "the job has another coinbase");
        assert_eq!(sha256d::hash(&job), mined.compute_txid().to_byte_array());

        let fields = Transaction {
            version: bitcoin::transaction::Version(coinbase.tx_version().cast_signed()),
            lock_time: bitcoin::absolute::LockTime::from_consensus(coinbase.locktime()),
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::from_bytes([coinbase.script_sig_head(), extranonce].concat()),
                sequence: Sequence(coinbase.input_sequence()),
                witness: mined.input[0].witness.clone(),
            }],
            output: consensus::deserialize(&coinbase.output_list()).expect("a list of outputs"),
        };
        assert_eq!(&fields, mined, "SetCustomMiningJob has another coinbase");
    }
}

/// A coinbase that pays everything to `raw(51)`.
pub(super) fn simple(template: &Template) -> Coinbase {
    let payout = Output { value: template.coinbase.value_remaining, script_pubkey: vec![0x51].into() };
    template.coinbase(b"\x04Adit", 8, &[payout]).expect("a coinbase")
}

/// A block of the chain, as the node keeps it.
pub(super) fn raw_block(node: &Node, hash: &str) -> Block {
    let hex = node.ask("getblock", &json!([hash, 0]));
    consensus::encode::deserialize_hex(hex.as_str().expect("hex")).expect("a block")
}

/// The template's transactions.
pub(super) fn transactions(template: &Template) -> &[TemplateTransaction] {
    template.transactions.as_deref().expect("a template with its transactions")
}

/// Whether the template has this transaction.
pub(super) fn contains(template: &Template, wanted: &Transaction) -> bool {
    let txid = wanted.compute_txid().to_byte_array();
    transactions(template).iter().any(|transaction| transaction.txid == txid)
}
