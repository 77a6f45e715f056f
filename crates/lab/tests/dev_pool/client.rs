//! The client: hears, opens, mines and submits by hand.

use std::time::Duration;

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions};
use lab::pow::{HeaderFields, HeaderHash, HeaderHasher, merkle_root, sha256d};
use lab::sv2_client::Sv2Client;
use sv2::common::{PROTOCOL_MINING, SetupConnection};
use sv2::mining::{OpenExtendedMiningChannel, OpenStandardMiningChannel, SubmitSharesExtended};
use sv2::{
    AnyMessage, B032, CommonMessage, ExtensionsMessage, MiningMessage, Str0255, TlvByteOrder, UserIdentity,
    write_share_with_worker,
};

pub(super) const EASIEST: [u8; 32] = [0xff; 32];

/// A chain on which no share is a block.
pub(super) fn options() -> DevPoolOptions {
    let mut options = DevPoolOptions { share_batch_size: 1, ..Default::default() };
    options.chain.nbits = 0x1702_8c61;
    options
}

pub(super) async fn pool(options: DevPoolOptions) -> DevPool {
    DevPool::bind(([127, 0, 0, 1], 0).into(), options, DevPoolKeys::random()).await.expect("the pool binds")
}

/// A job as a channel has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Job {
    pub(super) job_id: u32,
    pub(super) future: bool,
    pub(super) version: u32,
    pub(super) version_rolling_allowed: bool,
    pub(super) merkle_path: Vec<[u8; 32]>,
    pub(super) coinbase_tx_prefix: Vec<u8>,
    pub(super) coinbase_tx_suffix: Vec<u8>,
    /// Of a standard job.
    pub(super) merkle_root: [u8; 32],
    pub(super) prev_hash: [u8; 32],
    pub(super) min_ntime: u32,
    pub(super) nbits: u32,
}

/// A share; `extranonce` is empty on a standard channel.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) channel_id: u32,
    pub(super) sequence_number: u32,
    pub(super) job_id: u32,
    pub(super) nonce: u32,
    pub(super) ntime: u32,
    pub(super) version: u32,
    pub(super) extranonce: Vec<u8>,
}

/// What a client heard, as far as these tests look at it.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Opened { channel_id: u32, group_id: u32, target: [u8; 32], extranonce_size: u16, prefix: Vec<u8> },
    Refused(String),
    Success { last: u32, count: u32 },
    Error { sequence_number: u32, code: String },
    Job { channel_id: u32, job_id: u32, future: bool },
    PrevHash { channel_id: u32, job_id: u32 },
    Target { channel_id: u32, target: [u8; 32] },
    Prefix { channel_id: u32, prefix: Vec<u8> },
    Setup { flags: u32 },
    Extensions(Vec<u16>),
}

pub(super) struct Client {
    pub(super) link: Sv2Client,
    pub(super) job: Job,
}

impl Client {
    pub(super) async fn connect(pool: &DevPool) -> Client {
        let link =
            Sv2Client::connect(pool.local_addr(), pool.authority_public_key()).await.expect("handshake");
        Client { link, job: Job::default() }
    }

    pub(super) async fn set_up(pool: &DevPool, flags: u32) -> Client {
        let mut client = Client::connect(pool).await;
        client.setup(flags, 2, PROTOCOL_MINING).await;
        assert_eq!(client.hear().await, Heard::Setup { flags: 0 });
        client
    }

    pub(super) async fn setup(&mut self, flags: u32, version: u16, protocol: u8) {
        let text = |text| Str0255::try_from(text).expect("short");
        let setup = SetupConnection {
            protocol,
            min_version: version,
            max_version: version,
            flags,
            endpoint_host: text("127.0.0.1"),
            endpoint_port: 1,
            vendor: text("test"),
            hardware_version: text("1"),
            firmware: text("1"),
            device_id: text(""),
        };
        self.link.send(&setup).await.expect("sent");
    }

    /// An extended channel, opened, with its first job active.
    pub(super) async fn opened(pool: &DevPool, hash_rate: f32) -> (Client, Heard) {
        let mut client = Client::set_up(pool, 0).await;
        let opened = client.open(hash_rate, EASIEST, 8).await;
        (client, opened)
    }

    pub(super) async fn open(
        &mut self,
        nominal_hash_rate: f32,
        max_target: [u8; 32],
        min_extranonce_size: u16,
    ) -> Heard {
        let open = OpenExtendedMiningChannel {
            request_id: 77,
            user_identity: Str0255::try_from("farm").expect("short"),
            nominal_hash_rate,
            max_target,
            min_extranonce_size,
        };
        self.link.send(&open).await.expect("sent");
        self.finish_opening().await
    }

    pub(super) async fn open_standard(&mut self, nominal_hash_rate: f32) -> Heard {
        let open = OpenStandardMiningChannel {
            request_id: 78,
            user_identity: Str0255::try_from("device").expect("short"),
            nominal_hash_rate,
            max_target: EASIEST,
        };
        self.link.send(&open).await.expect("sent");
        self.finish_opening().await
    }

    pub(super) async fn finish_opening(&mut self) -> Heard {
        let opened = self.hear().await;
        if let Heard::Opened { channel_id, .. } = opened {
            let job = self.hear().await;
            assert!(
                matches!(job, Heard::Job { channel_id: id, future: true, .. } if id == channel_id),
                "{job:?}"
            );
            let active = self.hear().await;
            assert_eq!(active, Heard::PrevHash { channel_id, job_id: self.job.job_id });
        }
        opened
    }

    pub(super) async fn hear(&mut self) -> Heard {
        let wait = tokio::time::timeout(Duration::from_secs(60), self.link.recv());
        let (header, payload) = wait.await.expect("the pool answers").expect("the link is up");
        match AnyMessage::decode(&header, &payload).expect("a message") {
            AnyMessage::Common(CommonMessage::SetupConnectionSuccess(m)) => Heard::Setup { flags: m.flags },
            AnyMessage::Common(CommonMessage::SetupConnectionError(m)) => {
                Heard::Refused(format!("{} {}", m.error_code, m.flags))
            }
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensionsSuccess(m)) => {
                Heard::Extensions(m.supported_extensions.iter().collect())
            }
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensionsError(m)) => {
                Heard::Refused(format!("{:?}", m.unsupported_extensions.iter().collect::<Vec<_>>()))
            }
            AnyMessage::Mining(message) => self.hear_mining(&message),
            other => panic!("unexpected {other:?}"),
        }
    }

    pub(super) fn hear_mining(&mut self, message: &MiningMessage<'_>) -> Heard {
        match message {
            MiningMessage::OpenExtendedMiningChannelSuccess(m) => Heard::Opened {
                channel_id: m.channel_id,
                group_id: m.group_channel_id,
                target: m.target,
                extranonce_size: m.extranonce_size,
                prefix: m.extranonce_prefix.as_slice().to_vec(),
            },
            MiningMessage::OpenStandardMiningChannelSuccess(m) => Heard::Opened {
                channel_id: m.channel_id,
                group_id: m.group_channel_id,
                target: m.target,
                extranonce_size: 0,
                prefix: m.extranonce_prefix.as_slice().to_vec(),
            },
            MiningMessage::OpenMiningChannelError(m) => Heard::Refused(m.error_code.to_string()),
            MiningMessage::UpdateChannelError(m) => Heard::Refused(m.error_code.to_string()),
            MiningMessage::SetCustomMiningJobError(m) => Heard::Refused(m.error_code.to_string()),
            MiningMessage::SubmitSharesSuccess(m) => {
                Heard::Success { last: m.last_sequence_number, count: m.new_submits_accepted_count }
            }
            MiningMessage::SubmitSharesError(m) => {
                Heard::Error { sequence_number: m.sequence_number, code: m.error_code.to_string() }
            }
            MiningMessage::SetTarget(m) => {
                Heard::Target { channel_id: m.channel_id, target: m.maximum_target }
            }
            MiningMessage::SetExtranoncePrefix(m) => {
                Heard::Prefix { channel_id: m.channel_id, prefix: m.extranonce_prefix.as_slice().to_vec() }
            }
            MiningMessage::NewExtendedMiningJob(m) => {
                let last = std::mem::take(&mut self.job);
                self.job = Job {
                    job_id: m.job_id,
                    future: m.min_ntime.is_none(),
                    version: m.version,
                    version_rolling_allowed: m.version_rolling_allowed,
                    merkle_path: m.merkle_path.iter().collect(),
                    coinbase_tx_prefix: m.coinbase_tx_prefix.as_slice().to_vec(),
                    coinbase_tx_suffix: m.coinbase_tx_suffix.as_slice().to_vec(),
                    min_ntime: m.min_ntime.unwrap_or(0),
                    ..last
                };
                Heard::Job { channel_id: m.channel_id, job_id: m.job_id, future: m.min_ntime.is_none() }
            }
            MiningMessage::NewMiningJob(m) => {
                let last = std::mem::take(&mut self.job);
                self.job = Job {
                    job_id: m.job_id,
                    future: m.min_ntime.is_none(),
                    version: m.version,
                    merkle_root: m.merkle_root,
                    min_ntime: m.min_ntime.unwrap_or(0),
                    ..last
                };
                Heard::Job { channel_id: m.channel_id, job_id: m.job_id, future: m.min_ntime.is_none() }
            }
            MiningMessage::SetNewPrevHash(m) => {
                assert_eq!(m.job_id, self.job.job_id);
                assert!(self.job.future, "SetNewPrevHash may only name a future job");
                self.job.prev_hash = m.prev_hash;
                self.job.min_ntime = m.min_ntime;
                self.job.nbits = m.nbits;
                Heard::PrevHash { channel_id: m.channel_id, job_id: m.job_id }
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    pub(super) async fn submit(&mut self, share: &Share, worker: Option<&str>) -> Heard {
        self.queue(share, worker);
        self.link.flush().await.expect("sent");
        self.hear().await
    }

    pub(super) fn queue(&mut self, share: &Share, worker: Option<&str>) {
        let message = SubmitSharesExtended {
            channel_id: share.channel_id,
            sequence_number: share.sequence_number,
            job_id: share.job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: B032::new(&share.extranonce).expect("short"),
        };
        match worker {
            None => self.link.queue(&message),
            Some(worker) => write_share_with_worker(
                &message,
                UserIdentity::try_from(worker).expect("short"),
                TlvByteOrder::BigEndian,
                &mut self.link.plain,
            ),
        }
    }
}

/// The hash of a job's header, and whether it meets a target (both as little-endian numbers).
pub(super) fn hash(job: &Job, prefix: &[u8], share: &Share) -> HeaderHash {
    let root = if job.coinbase_tx_prefix.is_empty() {
        job.merkle_root
    } else {
        let coinbase =
            [&job.coinbase_tx_prefix[..], prefix, &share.extranonce, &job.coinbase_tx_suffix].concat();
        merkle_root(sha256d(&coinbase), &job.merkle_path)
    };
    let fields = HeaderFields {
        version: share.version,
        prev_hash: job.prev_hash,
        merkle_root: root,
        ntime: share.ntime,
        nbits: job.nbits,
    };
    HeaderHasher::new(&fields).hash(share.nonce)
}

pub(super) fn meets(hash: HeaderHash, target: &[u8; 32]) -> bool {
    hash.to_bytes().iter().rev().le(target.iter().rev())
}

/// Finds a share that meets the target, or one that does not.
pub(super) fn mine(job: &Job, opened: &Heard, sequence_number: u32, good: bool) -> Share {
    let Heard::Opened { channel_id, target, extranonce_size, prefix, .. } = opened else {
        panic!("{opened:?}")
    };
    let mut share = Share {
        channel_id: *channel_id,
        sequence_number,
        job_id: job.job_id,
        nonce: sequence_number << 16,
        ntime: job.min_ntime,
        version: job.version,
        extranonce: vec![7; usize::from(*extranonce_size)],
    };
    while meets(hash(job, prefix, &share), target) != good {
        share.nonce += 1;
    }
    share
}
pub(super) fn prefix(opened: &Heard) -> Vec<u8> {
    let Heard::Opened { prefix, .. } = opened else { panic!("{opened:?}") };
    prefix.clone()
}
