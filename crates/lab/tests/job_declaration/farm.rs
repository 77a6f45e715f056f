//! A farm: its node's templates, and the coinbases and jobs that it makes of them.

use std::sync::Arc;
use std::time::Duration;

use engine::source::Declaration;
use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions, JdsOptions};
use sv2::mining::SetCustomMiningJob;
use template::{ProviderEvent, ProviderHandle};
use work::coinbase::{Coinbase, Output, pay_first};
use work::{ChannelJob, ChannelTerms, Header, Seconds, SourceId, Target, Template};

use crate::miner::Miner;

/// Bytes of prefix and extranonce of the pool's channels.
pub(crate) const EXTRANONCE: u8 = 22;

/// A chain on which every second hash is a block and nothing happens by itself.
pub(crate) fn options() -> DevPoolOptions {
    let mut options = DevPoolOptions {
        // Every hash is a share.
        shares_per_minute: 1e9,
        share_batch_size: 1,
        template_interval: Duration::from_secs(3_600),
        jds: Some(JdsOptions::default()),
        ..DevPoolOptions::default()
    };
    options.chain.nbits = 0x207f_ffff;
    options.chain.witness_commitment = true;
    options.chain.fees = true;
    options
}

pub(crate) fn with_jds(change: impl FnOnce(&mut JdsOptions)) -> DevPoolOptions {
    let mut options = options();
    change(options.jds.as_mut().expect("there is one"));
    options
}

pub(crate) async fn bind(options: DevPoolOptions) -> DevPool {
    DevPool::bind(([127, 0, 0, 1], 0).into(), options, DevPoolKeys::random()).await.expect("the pool binds")
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap_or_else(|_| panic!("{what} is late"))
}

/// A farm's node.
pub(crate) struct Farm {
    pub(crate) node: ProviderHandle,
}

impl Farm {
    pub(crate) fn of(pool: &DevPool) -> Farm {
        Farm { node: pool.template_provider(Duration::from_secs(3_600)) }
    }

    /// The next template.
    pub(crate) async fn template(&mut self) -> Arc<Template> {
        loop {
            match within("a template", self.node.events.recv()).await.expect("the node runs") {
                ProviderEvent::Template(template) => return template,
                ProviderEvent::Up { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Farm {
    /// The first template on this tip.
    pub(crate) async fn next_on(&mut self, tip: [u8; 32]) -> Arc<Template> {
        loop {
            let template = self.template().await;
            if template.prev_hash == tip {
                return template;
            }
        }
    }
}

/// The template's coinbase that pays everything to the pool.
pub(crate) fn coinbase(template: &Template, outputs: &[Output]) -> Coinbase {
    let outputs = pay_first(outputs.to_vec(), template.coinbase.value_remaining).expect("outputs");
    template.coinbase(b"\x04farm", EXTRANONCE, &outputs).expect("a coinbase")
}

pub(crate) fn declaration(number: u64, template: &Template, coinbase: &Coinbase) -> Declaration {
    Declaration {
        number,
        version: template.version,
        coinbase: Arc::new(coinbase.clone()),
        transactions: template.transactions.clone().expect("the dev chain tells them"),
        excess_data: Arc::default(),
    }
}

/// SetCustomMiningJob with fields of its own, so that tests can spoil them.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub(crate) channel_id: u32,
    pub(crate) token: Vec<u8>,
    pub(crate) version: u32,
    pub(crate) prev_hash: [u8; 32],
    pub(crate) min_ntime: u32,
    pub(crate) nbits: u32,
    pub(crate) tx_version: u32,
    pub(crate) prefix: Vec<u8>,
    pub(crate) sequence: u32,
    pub(crate) outputs: Vec<u8>,
    pub(crate) locktime: u32,
    pub(crate) path: Vec<[u8; 32]>,
}

impl Custom {
    pub(crate) fn new(channel_id: u32, token: &[u8], template: &Template, coinbase: &Coinbase) -> Custom {
        Custom {
            channel_id,
            token: token.to_vec(),
            version: template.version,
            prev_hash: template.prev_hash,
            min_ntime: template.min_ntime,
            nbits: template.nbits,
            tx_version: coinbase.tx_version(),
            prefix: coinbase.script_sig_head().to_vec(),
            sequence: coinbase.input_sequence(),
            outputs: coinbase.output_list(),
            locktime: coinbase.locktime(),
            path: template.merkle_path.to_vec(),
        }
    }

    pub(crate) fn message(&self, request_id: u32) -> SetCustomMiningJob<'_> {
        SetCustomMiningJob {
            channel_id: self.channel_id,
            request_id,
            mining_job_token: (&*self.token).try_into().expect("short"),
            version: self.version,
            prev_hash: self.prev_hash,
            min_ntime: self.min_ntime,
            nbits: self.nbits,
            coinbase_tx_version: self.tx_version,
            coinbase_prefix: (&*self.prefix).try_into().expect("short"),
            coinbase_tx_input_n_sequence: self.sequence,
            coinbase_tx_outputs: (&*self.outputs).try_into().expect("short"),
            coinbase_tx_locktime: self.locktime,
            merkle_path: self.path.as_slice().try_into().expect("short"),
        }
    }
}

/// What the miner's extranonce is in all of these tests.
pub(crate) const ROLLED: [u8; 16] = [7; 16];

/// A header of this job on this channel that is a block, or is none; `after` begins the search.
pub(crate) fn mine(
    template: &Template,
    coinbase: &Coinbase,
    miner: &Miner,
    is_block: bool,
    after: u32,
) -> Header {
    let job = Arc::new(template.job(1, coinbase).expect("a job"));
    let terms = ChannelTerms {
        source: SourceId(1),
        generation: 1,
        extranonce_prefix: &miner.prefix,
        filler: &[],
        source_target: Target::DIFFICULTY_1,
        ntime_slack: 0,
        received_at: Seconds(0),
    };
    let job = ChannelJob::new(job, terms).expect("a channel's job");
    (after..)
        .map(|nonce| job.header(&[&ROLLED], template.version, template.min_ntime, nonce))
        .find(|header| header.hash().meets(&template.network_target) == is_block)
        .expect("every second hash is one")
}
