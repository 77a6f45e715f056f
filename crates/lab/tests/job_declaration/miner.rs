//! A connection to the pool for custom work, with one channel.

use lab::dev_pool::DevPool;
use lab::pow::{merkle_root, sha256d};
use lab::sv2_client::Sv2Client;
use sv2::common::SetupConnection;
use sv2::mining::{
    OpenExtendedMiningChannel, OpenStandardMiningChannel, REQUIRES_WORK_SELECTION, SubmitSharesExtended,
};
use sv2::{AnyMessage, B032, CommonMessage, MiningMessage, Str0255};
use work::Header;

use crate::farm::{Custom, ROLLED, within};

/// What the pool said, as far as these tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    SetUp,
    Opened,
    /// An answer to SetCustomMiningJob: the request, the job or the code.
    Custom(u32, Result<u32, String>),
    /// An answer to a share: its number, and the code if it was refused.
    Share(u32, Result<(), String>),
    Prefix(Vec<u8>),
    Refused(String),
    Job,
}

/// A job of the pool's own.
#[derive(Clone, Debug, Default)]
struct OwnJob {
    job_id: u32,
    version: u32,
    coinbase_tx_prefix: Vec<u8>,
    coinbase_tx_suffix: Vec<u8>,
    merkle_path: Vec<[u8; 32]>,
    prev_hash: [u8; 32],
    min_ntime: u32,
    nbits: u32,
}

pub(crate) struct Miner {
    link: Sv2Client,
    pub(crate) channel_id: u32,
    pub(crate) group_id: u32,
    pub(crate) prefix: Vec<u8>,
    requests: u32,
    shares: u32,
    own: OwnJob,
}

impl Miner {
    pub(crate) async fn open(pool: &DevPool) -> Miner {
        Miner::open_with(pool, REQUIRES_WORK_SELECTION).await
    }

    pub(crate) async fn open_with(pool: &DevPool, flags: u32) -> Miner {
        let link = Sv2Client::connect(pool.local_addr(), pool.authority_public_key()).await;
        let mut miner = Miner {
            link: link.expect("handshake"),
            channel_id: 0,
            group_id: 0,
            prefix: Vec::new(),
            requests: 0,
            shares: 0,
            own: OwnJob::default(),
        };
        miner.link.send(&setup(0, flags)).await.expect("sent");
        assert_eq!(miner.hear().await, Said::SetUp);
        let open = OpenExtendedMiningChannel {
            request_id: 1,
            user_identity: Str0255::truncated("farm"),
            nominal_hash_rate: 1.0,
            max_target: [0xff; 32],
            min_extranonce_size: 16,
        };
        miner.link.send(&open).await.expect("sent");
        assert_eq!(miner.hear().await, Said::Opened);
        miner
    }

    pub(crate) async fn open_standard(&mut self) -> Said {
        let open = OpenStandardMiningChannel {
            request_id: 2,
            user_identity: Str0255::truncated("farm"),
            nominal_hash_rate: 1.0,
            max_target: [0xff; 32],
        };
        self.link.send(&open).await.expect("sent");
        self.hear().await
    }

    pub(crate) async fn hear(&mut self) -> Said {
        let (header, payload) = within("the pool", self.link.recv()).await.expect("the link is up");
        match AnyMessage::decode(&header, &payload).expect("a message") {
            AnyMessage::Common(CommonMessage::SetupConnectionSuccess(_)) => Said::SetUp,
            AnyMessage::Common(CommonMessage::SetupConnectionError(m)) => {
                Said::Refused(m.error_code.to_string())
            }
            AnyMessage::Mining(message) => match message {
                MiningMessage::OpenExtendedMiningChannelSuccess(m) => {
                    self.channel_id = m.channel_id;
                    self.group_id = m.group_channel_id;
                    self.prefix = m.extranonce_prefix.as_slice().to_vec();
                    Said::Opened
                }
                MiningMessage::OpenMiningChannelError(m) => Said::Refused(m.error_code.to_string()),
                MiningMessage::SetCustomMiningJobSuccess(m) => Said::Custom(m.request_id, Ok(m.job_id)),
                MiningMessage::SetCustomMiningJobError(m) => {
                    Said::Custom(m.request_id, Err(m.error_code.to_string()))
                }
                MiningMessage::SubmitSharesSuccess(m) => Said::Share(m.last_sequence_number, Ok(())),
                MiningMessage::SubmitSharesError(m) => {
                    Said::Share(m.sequence_number, Err(m.error_code.to_string()))
                }
                MiningMessage::SetExtranoncePrefix(m) => {
                    Said::Prefix(m.extranonce_prefix.as_slice().to_vec())
                }
                MiningMessage::NewExtendedMiningJob(m) => {
                    let last = std::mem::take(&mut self.own);
                    self.own = OwnJob {
                        job_id: m.job_id,
                        version: m.version,
                        coinbase_tx_prefix: m.coinbase_tx_prefix.as_slice().to_vec(),
                        coinbase_tx_suffix: m.coinbase_tx_suffix.as_slice().to_vec(),
                        merkle_path: m.merkle_path.iter().collect(),
                        ..last
                    };
                    Said::Job
                }
                MiningMessage::SetNewPrevHash(m) => {
                    self.own.prev_hash = m.prev_hash;
                    (self.own.min_ntime, self.own.nbits) = (m.min_ntime, m.nbits);
                    Said::Job
                }
                other => panic!("unexpected {other:?}"),
            },
            other => panic!("unexpected {other:?}"),
        }
    }

    /// A block of the pool's own newest job: its number and the header.
    pub(crate) fn own_block(&self) -> (u32, Header) {
        let job = &self.own;
        let coinbase = [&job.coinbase_tx_prefix[..], &self.prefix, &ROLLED, &job.coinbase_tx_suffix].concat();
        let target = work::Target::from_compact(job.nbits).expect("a target");
        let header = |nonce| Header {
            version: job.version,
            prev_hash: job.prev_hash,
            merkle_root: merkle_root(sha256d(&coinbase), &job.merkle_path),
            ntime: job.min_ntime,
            nbits: job.nbits,
            nonce,
        };
        let block = (0..).map(header).find(|header| header.hash().meets(&target));
        (job.job_id, block.expect("every second hash is one"))
    }

    /// Sends SetCustomMiningJob: the request's number.
    pub(crate) async fn send_custom(&mut self, job: &Custom) -> u32 {
        self.requests += 1;
        self.link.send(&job.message(self.requests)).await.expect("sent");
        self.requests
    }

    /// Its answer, which must be the next message.
    pub(crate) async fn custom(&mut self, job: &Custom) -> Result<u32, String> {
        let wanted = self.send_custom(job).await;
        match self.hear().await {
            Said::Custom(request, answer) if request == wanted => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Submits a share: its answer, which must be the next message.
    pub(crate) async fn submit(&mut self, job_id: u32, header: &Header) -> Result<(), String> {
        self.shares += 1;
        let share = SubmitSharesExtended {
            channel_id: self.channel_id,
            sequence_number: self.shares,
            job_id,
            nonce: header.nonce,
            ntime: header.ntime,
            version: header.version,
            extranonce: B032::new(&ROLLED).expect("short"),
        };
        self.link.send(&share).await.expect("sent");
        match self.hear().await {
            Said::Share(number, answer) if number == self.shares => answer,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn setup(protocol: u8, flags: u32) -> SetupConnection<'static> {
    let text = Str0255::truncated;
    SetupConnection {
        protocol,
        min_version: 2,
        max_version: 2,
        flags,
        endpoint_host: text("127.0.0.1"),
        endpoint_port: 1,
        vendor: text("test"),
        hardware_version: text("1"),
        firmware: text("1"),
        device_id: text(""),
    }
}
