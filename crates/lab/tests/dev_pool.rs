//! The dev pool against a client written by hand over crates `sv2` and `noise`, with own hashing.

#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use lab::dev_pool::{BadOption, DevPool, DevPoolError, DevPoolKeys, DevPoolOptions};
use lab::pow::{HeaderFields, HeaderHash, HeaderHasher, merkle_root, sha256d};
use lab::sv2_client::{Sv2Client, Sv2ClientError};
use sv2::common::{PROTOCOL_MINING, SetupConnection};
use sv2::extensions::RequestExtensions;
use sv2::mining::{
    CloseChannel, OpenExtendedMiningChannel, OpenStandardMiningChannel, REQUIRES_STANDARD_JOBS,
    REQUIRES_VERSION_ROLLING, REQUIRES_WORK_SELECTION, SetCustomMiningJob, SubmitSharesExtended,
    SubmitSharesStandard, UpdateChannel,
};
use sv2::{
    AnyMessage, B032, B064K, B0255, CommonMessage, ExtensionsMessage, MiningMessage, Seq064K, Seq0255,
    Str0255, TlvByteOrder, UserIdentity, write_share_with_worker,
};

const EASIEST: [u8; 32] = [0xff; 32];

/// A chain on which no share is a block.
fn options() -> DevPoolOptions {
    let mut options = DevPoolOptions { share_batch_size: 1, ..Default::default() };
    options.chain.nbits = 0x1702_8c61;
    options
}

async fn pool(options: DevPoolOptions) -> DevPool {
    DevPool::bind(([127, 0, 0, 1], 0).into(), options, DevPoolKeys::random()).await.expect("the pool binds")
}

/// A job as a channel has it.
#[derive(Clone, Debug, Default)]
struct Job {
    job_id: u32,
    future: bool,
    version: u32,
    version_rolling_allowed: bool,
    merkle_path: Vec<[u8; 32]>,
    coinbase_tx_prefix: Vec<u8>,
    coinbase_tx_suffix: Vec<u8>,
    /// Of a standard job.
    merkle_root: [u8; 32],
    prev_hash: [u8; 32],
    min_ntime: u32,
    nbits: u32,
}

/// A share; `extranonce` is empty on a standard channel.
#[derive(Clone, Debug)]
struct Share {
    channel_id: u32,
    sequence_number: u32,
    job_id: u32,
    nonce: u32,
    ntime: u32,
    version: u32,
    extranonce: Vec<u8>,
}

/// What a client heard, as far as these tests look at it.
#[derive(Debug, PartialEq)]
enum Heard {
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

struct Client {
    link: Sv2Client,
    job: Job,
}

impl Client {
    async fn connect(pool: &DevPool) -> Client {
        let link =
            Sv2Client::connect(pool.local_addr(), pool.authority_public_key()).await.expect("handshake");
        Client { link, job: Job::default() }
    }

    async fn set_up(pool: &DevPool, flags: u32) -> Client {
        let mut client = Client::connect(pool).await;
        client.setup(flags, 2, PROTOCOL_MINING).await;
        assert_eq!(client.hear().await, Heard::Setup { flags: 0 });
        client
    }

    async fn setup(&mut self, flags: u32, version: u16, protocol: u8) {
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
    async fn opened(pool: &DevPool, hash_rate: f32) -> (Client, Heard) {
        let mut client = Client::set_up(pool, 0).await;
        let opened = client.open(hash_rate, EASIEST, 8).await;
        (client, opened)
    }

    async fn open(
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

    async fn open_standard(&mut self, nominal_hash_rate: f32) -> Heard {
        let open = OpenStandardMiningChannel {
            request_id: 78,
            user_identity: Str0255::try_from("device").expect("short"),
            nominal_hash_rate,
            max_target: EASIEST,
        };
        self.link.send(&open).await.expect("sent");
        self.finish_opening().await
    }

    async fn finish_opening(&mut self) -> Heard {
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

    async fn hear(&mut self) -> Heard {
        let wait = tokio::time::timeout(Duration::from_secs(20), self.link.recv());
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

    fn hear_mining(&mut self, message: &MiningMessage<'_>) -> Heard {
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

    async fn submit(&mut self, share: &Share, worker: Option<&str>) -> Heard {
        self.queue(share, worker);
        self.link.flush().await.expect("sent");
        self.hear().await
    }

    fn queue(&mut self, share: &Share, worker: Option<&str>) {
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
fn hash(job: &Job, prefix: &[u8], share: &Share) -> HeaderHash {
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

fn meets(hash: HeaderHash, target: &[u8; 32]) -> bool {
    hash.to_bytes().iter().rev().le(target.iter().rev())
}

/// Finds a share that meets the target, or one that does not.
fn mine(job: &Job, opened: &Heard, sequence_number: u32, good: bool) -> Share {
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

#[tokio::test]
async fn good_shares_are_acknowledged_in_batches_and_late_ones_by_time() {
    let options = DevPoolOptions {
        share_batch_size: 4,
        acknowledge_after: Some(Duration::from_millis(50)),
        ..options()
    };
    let pool = pool(options).await;
    let (mut client, opened) = Client::opened(&pool, 50.0).await;
    for sequence_number in 1..=6 {
        client.queue(&mine(&client.job, &opened, sequence_number, true), None);
    }
    client.link.flush().await.unwrap();
    assert_eq!(client.hear().await, Heard::Success { last: 4, count: 4 });
    assert_eq!(client.hear().await, Heard::Success { last: 6, count: 2 });
    let stats = pool.stats();
    assert_eq!((stats.accepted, stats.acknowledged, stats.channels), (6, 6, 1));
    assert_eq!(stats.users["farm"].accepted, 6);
    pool.shutdown().await;
}

#[tokio::test]
async fn every_bad_share_is_refused_with_the_references_code() {
    let pool = pool(options()).await;
    let (mut client, opened) = Client::opened(&pool, 50.0).await;
    let good = mine(&client.job, &opened, 1, true);
    assert_eq!(client.submit(&good, None).await, Heard::Success { last: 1, count: 1 });

    type Change = fn(&mut Share);
    let bad: [(&str, Change); 8] = [
        ("duplicate-share", |_| {}),
        ("invalid-channel-id", |share| share.channel_id = 99),
        ("invalid-job-id", |share| share.job_id = 99),
        ("bad-extranonce-size", |share| share.extranonce.truncate(3)),
        ("invalid-share", |share| share.ntime -= 1),
        ("invalid-share", |share| share.ntime += 7_201),
        ("invalid-non-rollable-version-bit", |share| share.version ^= 1),
        ("invalid-non-rollable-version-bit", |share| share.version ^= 0x4000_0000),
    ];
    for (number, (code, change)) in (2..).zip(bad) {
        let mut share = Share { sequence_number: number, ..good.clone() };
        change(&mut share);
        let heard = client.submit(&share, None).await;
        assert_eq!(heard, Heard::Error { sequence_number: number, code: code.to_owned() });
    }
    let low = mine(&client.job, &opened, 20, false);
    let refused = |sequence_number, code: &str| Heard::Error { sequence_number, code: code.to_owned() };
    assert_eq!(client.submit(&low, None).await, refused(20, "difficulty-too-low"));

    pool.new_tip();
    assert!(matches!(client.hear().await, Heard::Job { future: true, .. }));
    assert!(matches!(client.hear().await, Heard::PrevHash { .. }));
    assert_eq!(client.submit(&good, None).await, refused(1, "stale-share"));
    let stats = pool.stats();
    assert_eq!(stats.rejected.values().sum::<u64>(), 10);
    // The share without a channel is nobody's.
    assert_eq!(stats.users["farm"].rejected, 9);
}

#[tokio::test]
async fn rolled_version_bits_and_times_are_taken() {
    let pool = pool(options()).await;
    let (mut client, opened) = Client::opened(&pool, 0.0).await;
    assert!(client.job.version_rolling_allowed);
    let plain = mine(&client.job, &opened, 1, true);
    let mut rolled = Share { version: plain.version ^ 0x1fff_ffe0, ..plain.clone() };
    assert_eq!(client.submit(&rolled, None).await, Heard::Success { last: 1, count: 1 });
    rolled.ntime += 7_200;
    assert_eq!(client.submit(&rolled, None).await, Heard::Success { last: 1, count: 1 });
}

#[tokio::test]
async fn a_block_goes_into_the_chain_and_makes_new_work_for_everybody() {
    let mut options = options();
    options.chain.nbits = 0x207f_ffff;
    options.share_batch_size = 1_000;
    let pool = pool(options).await;
    let (mut other, _) = Client::opened(&pool, 1e6).await;
    let (mut client, opened) = Client::opened(&pool, 0.0).await;
    let Heard::Opened { group_id, prefix, .. } = &opened else { panic!("{opened:?}") };
    let mut share = mine(&client.job, &opened, 1, true);
    // Every second hash is a block.
    let block = [[0xff; 31].as_slice(), &[0x7f]].concat();
    while !meets(hash(&client.job, prefix, &share), &block.clone().try_into().unwrap()) {
        share.nonce += 1;
    }
    let old_parent = client.job.prev_hash;
    // Acknowledged at once, although the batch is not full.
    assert_eq!(client.submit(&share, None).await, Heard::Success { last: 1, count: 1 });
    for client in [&mut client, &mut other] {
        assert!(matches!(client.hear().await, Heard::Job { future: true, .. }));
        let heard = client.hear().await;
        assert!(matches!(heard, Heard::PrevHash { channel_id, .. } if channel_id == *group_id), "{heard:?}");
        assert_ne!(client.job.prev_hash, old_parent);
    }
    let (stats, tip) = (pool.stats(), pool.tip());
    assert_eq!((stats.blocks_found, stats.blocks_refused, tip.height), (1, 0, 1));
    assert_eq!(stats.last_block, tip.hash.to_string());
}

#[tokio::test]
async fn jobs_reach_channels_by_their_group_or_one_by_one() {
    for group_channels in [true, false] {
        let pool = pool(DevPoolOptions { group_channels, ..options() }).await;
        let mut client = Client::set_up(&pool, 0).await;
        let opened = [client.open(1e3, EASIEST, 8).await, client.open(1e3, EASIEST, 8).await];
        let ids = opened.each_ref().map(|opened| {
            let Heard::Opened { channel_id, group_id, .. } = opened else { panic!("{opened:?}") };
            (*channel_id, *group_id)
        });
        assert_eq!(ids[0].1, ids[1].1);
        pool.refresh_template();
        let mut expected = if group_channels { vec![ids[0].1] } else { vec![ids[0].0, ids[1].0] };
        expected.sort_unstable();
        let mut heard = Vec::new();
        for _ in &expected {
            let Heard::Job { channel_id, future: false, .. } = client.hear().await else {
                panic!("a refreshed job")
            };
            heard.push(channel_id);
        }
        heard.sort_unstable();
        assert_eq!(heard, expected);
        // Both jobs on this tip are good.
        let share = mine(&client.job, &opened[1], 1, true);
        assert_eq!(client.submit(&share, None).await, Heard::Success { last: 1, count: 1 });
    }
}

#[tokio::test]
async fn a_standard_channel_hashes_headers_only() {
    for flags in [0, REQUIRES_STANDARD_JOBS] {
        let pool = pool(options()).await;
        let mut client = Client::set_up(&pool, flags).await;
        let opened = client.open_standard(0.0).await;
        let Heard::Opened { channel_id, group_id, prefix, .. } = &opened else { panic!("{opened:?}") };
        assert_eq!(prefix.len(), 22);
        let submit = |job: &Job, share: &Share| SubmitSharesStandard {
            channel_id: *channel_id,
            sequence_number: share.sequence_number,
            job_id: job.job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
        };
        let share = mine(&client.job, &opened, 1, true);
        client.link.send(&submit(&client.job, &share)).await.unwrap();
        assert_eq!(client.hear().await, Heard::Success { last: 1, count: 1 });

        pool.refresh_template();
        let Heard::Job { channel_id: receiver, .. } = client.hear().await else { panic!("a refreshed job") };
        assert_eq!(receiver, if flags == 0 { *group_id } else { *channel_id });
        let share = mine(&client.job, &opened, 2, true);
        client.link.send(&submit(&client.job, &share)).await.unwrap();
        assert_eq!(client.hear().await, Heard::Success { last: 2, count: 1 });
        assert_eq!(pool.stats().users["device"].accepted, 2);
    }
}

#[tokio::test]
async fn a_target_follows_the_hash_rate_from_the_next_job_on() {
    let pool = pool(DevPoolOptions { shares_per_minute: 60.0, ..options() }).await;
    let (mut client, opened) = Client::opened(&pool, 1.0).await;
    let Heard::Opened { channel_id, target: easy, .. } = opened else { panic!("{opened:?}") };
    let update =
        |nominal_hash_rate, maximum_target| UpdateChannel { channel_id, nominal_hash_rate, maximum_target };
    client.link.send(&update(1e6, EASIEST)).await.unwrap();
    let Heard::Target { target: hard, .. } = client.hear().await else { panic!("a target") };
    assert!(easy.iter().rev().gt(hard.iter().rev()));

    // The active job keeps its target.
    let opened =
        Heard::Opened { channel_id, group_id: 0, target: easy, extranonce_size: 16, prefix: prefix(&opened) };
    let share = mine(&client.job, &opened, 1, true);
    assert_eq!(client.submit(&share, None).await, Heard::Success { last: 1, count: 1 });

    pool.refresh_template();
    client.hear().await;
    let mut share = mine(&client.job, &opened, 2, true);
    while meets(hash(&client.job, &prefix(&opened), &share), &hard) {
        share.nonce += 1;
    }
    let refused = Heard::Error { sequence_number: 2, code: "difficulty-too-low".to_owned() };
    assert_eq!(client.submit(&share, None).await, refused);

    // A smaller maximum target must be kept to, whatever the hash rate.
    let mut wish = [0; 32];
    wish[20] = 1;
    client.link.send(&update(1.0, wish)).await.unwrap();
    assert_eq!(client.hear().await, Heard::Target { channel_id, target: wish });
    client.link.send(&update(f32::NAN, EASIEST)).await.unwrap();
    assert_eq!(client.hear().await, Heard::Refused("invalid-nominal-hashrate".to_owned()));
    client.link.send(&update(1.0, [0; 32])).await.unwrap();
    assert_eq!(client.hear().await, Heard::Refused("max-target-out-of-range".to_owned()));
    assert_eq!(pool.stats().channel_updates, 2);
}

fn prefix(opened: &Heard) -> Vec<u8> {
    let Heard::Opened { prefix, .. } = opened else { panic!("{opened:?}") };
    prefix.clone()
}

#[tokio::test]
async fn workers_are_counted_by_name_once_the_extension_is_negotiated() {
    let pool = pool(options()).await;
    let mut client = Client::set_up(&pool, 0).await;
    let request = |extensions| RequestExtensions {
        request_id: 5,
        requested_extensions: Seq064K::from_slice(extensions).expect("short"),
    };
    client.link.send(&request(&[3])).await.unwrap();
    assert_eq!(client.hear().await, Heard::Refused("[3]".to_owned()));
    client.link.send(&request(&[3, 2])).await.unwrap();
    assert_eq!(client.hear().await, Heard::Extensions(vec![2]));
    let opened = client.open(0.0, EASIEST, 8).await;
    for (number, worker) in [(1, Some("one")), (2, Some("two")), (3, Some("one")), (4, None)] {
        let share = mine(&client.job, &opened, number, true);
        assert_eq!(client.submit(&share, worker).await, Heard::Success { last: number, count: 1 });
    }
    let users = pool.stats().users;
    let accepted = |name: &str| users[name].accepted;
    assert_eq!((accepted("one"), accepted("two"), accepted("farm")), (2, 1, 1));
}

#[tokio::test]
async fn channels_that_cannot_be_are_refused() {
    let pool = pool(DevPoolOptions { max_channels: 2, ..options() }).await;
    let mut client = Client::set_up(&pool, REQUIRES_VERSION_ROLLING).await;
    for (hash_rate, target, size, code) in [
        (-1.0, EASIEST, 8, "invalid-nominal-hashrate"),
        (f32::NAN, EASIEST, 8, "invalid-nominal-hashrate"),
        (f32::INFINITY, EASIEST, 8, "invalid-nominal-hashrate"),
        (1.0, [0; 32], 8, "max-target-out-of-range"),
        (1.0, EASIEST, 17, "min-extranonce-size-too-large"),
    ] {
        assert_eq!(client.open(hash_rate, target, size).await, Heard::Refused(code.to_owned()));
    }
    let first = client.open(1.0, EASIEST, 16).await;
    let second = client.open(1.0, EASIEST, 0).await;
    assert_ne!(prefix(&first), prefix(&second));
    let third = client.open(1.0, EASIEST, 0).await;
    assert_eq!(third, Heard::Refused("channel-capacity-exhausted".to_owned()));
    let Heard::Opened { channel_id, group_id, .. } = first else { panic!("{first:?}") };
    let close = |channel_id| CloseChannel { channel_id, reason_code: Str0255::EMPTY };
    client.link.send(&close(channel_id)).await.unwrap();
    assert!(matches!(client.open(1.0, EASIEST, 0).await, Heard::Opened { .. }));
    assert_eq!(pool.stats().channels, 2);
    client.link.send(&close(group_id)).await.unwrap();
    assert!(matches!(client.open(1.0, EASIEST, 0).await, Heard::Opened { .. }));
    assert_eq!((pool.stats().channels, pool.stats().channels_total), (1, 4));

    let custom = SetCustomMiningJob {
        channel_id,
        request_id: 1,
        mining_job_token: B0255::EMPTY,
        version: 0,
        prev_hash: [0; 32],
        min_ntime: 0,
        nbits: 0,
        coinbase_tx_version: 0,
        coinbase_prefix: B0255::EMPTY,
        coinbase_tx_input_n_sequence: 0,
        coinbase_tx_outputs: B064K::EMPTY,
        coinbase_tx_locktime: 0,
        merkle_path: Seq0255::default(),
    };
    client.link.send(&custom).await.unwrap();
    assert_eq!(client.hear().await, Heard::Refused("jd-not-supported".to_owned()));
}

#[tokio::test]
async fn set_ups_that_cannot_be_are_refused_and_closed() {
    let pool = pool(DevPoolOptions { version_rolling: false, ..options() }).await;
    for (flags, version, protocol, refused) in [
        (0, 3, PROTOCOL_MINING, "protocol-version-mismatch 0"),
        (0, 2, 1, "unsupported-protocol 0"),
        (
            REQUIRES_WORK_SELECTION | REQUIRES_VERSION_ROLLING,
            2,
            PROTOCOL_MINING,
            "unsupported-feature-flags 6",
        ),
    ] {
        let mut client = Client::connect(&pool).await;
        client.setup(flags, version, protocol).await;
        assert_eq!(client.hear().await, Heard::Refused(refused.to_owned()));
        assert!(matches!(client.link.recv().await, Err(Sv2ClientError::Closed | Sv2ClientError::Io(_))));
    }
    let mut client = Client::connect(&pool).await;
    client.setup(0, 2, PROTOCOL_MINING).await;
    // REQUIRES_FIXED_VERSION.
    assert_eq!(client.hear().await, Heard::Setup { flags: 1 });
    let opened = client.open(0.0, EASIEST, 8).await;
    assert!(!client.job.version_rolling_allowed);
    let mut share = mine(&client.job, &opened, 1, true);
    share.version ^= 0x2000;
    let code = "version-rolling-not-allowed".to_owned();
    assert_eq!(client.submit(&share, None).await, Heard::Error { sequence_number: 1, code });

    let mut client = Client::set_up_unchecked(&pool).await;
    client.link.send(&CloseChannel { channel_id: 1, reason_code: Str0255::EMPTY }).await.unwrap();
    assert!(client.link.recv().await.is_err(), "a message before SetupConnection ends the connection");
}

impl Client {
    async fn set_up_unchecked(pool: &DevPool) -> Client {
        Client::connect(pool).await
    }
}

#[tokio::test]
async fn a_new_prefix_holds_for_the_jobs_after_it() {
    let pool = pool(options()).await;
    let (mut client, opened) = Client::opened(&pool, 0.0).await;
    let old = (client.job.clone(), mine(&client.job, &opened, 1, true));
    pool.rotate_extranonce_prefixes();
    let Heard::Prefix { channel_id, prefix: new_prefix } = client.hear().await else { panic!("a prefix") };
    assert_ne!(new_prefix, prefix(&opened));
    assert!(matches!(client.hear().await, Heard::Job { future: false, .. }));
    let reopened =
        Heard::Opened { channel_id, group_id: 0, target: EASIEST, extranonce_size: 16, prefix: new_prefix };
    let share = mine(&client.job, &reopened, 2, true);
    assert_eq!(client.submit(&share, None).await, Heard::Success { last: 2, count: 1 });
    assert_eq!(client.submit(&old.1, None).await, Heard::Success { last: 1, count: 1 });
}

#[tokio::test]
async fn a_pool_can_cut_its_clients_off_and_end() {
    let pool = pool(options()).await;
    let (mut client, _) = Client::opened(&pool, 1.0).await;
    pool.disconnect_all();
    assert!(client.link.recv().await.is_err());
    let (mut client, _) = Client::opened(&pool, 1.0).await;
    let address = pool.local_addr();
    pool.shutdown().await;
    assert!(client.link.recv().await.is_err());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stranger_gets_no_answer() {
    let pool = pool(options()).await;
    // Another authority than the one that the client was told.
    let other = DevPoolKeys::random().authority.public();
    let refused = Sv2Client::connect(pool.local_addr(), other).await.unwrap_err();
    assert!(matches!(refused, Sv2ClientError::Handshake(_)), "{refused}");
    // Bytes that are no handshake.
    let mut stream = tokio::net::TcpStream::connect(pool.local_addr()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[0x55; 600]).await.unwrap();
    let mut rest = Vec::new();
    // Act 2, at most, and then the end.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    assert!(rest.len() <= noise::ACT2_LEN);
    assert!(matches!(Client::opened(&pool, 1.0).await.1, Heard::Opened { .. }));
}

#[tokio::test]
async fn two_pools_use_different_prefixes() {
    let (one, two) = (pool(options()).await, pool(options()).await);
    let (_a, first) = Client::opened(&one, 1.0).await;
    let (_b, second) = Client::opened(&two, 1.0).await;
    assert_eq!(prefix(&first)[2..], prefix(&second)[2..]);
    assert_ne!(one.url(), two.url());
}

#[tokio::test]
async fn senseless_options_are_refused_by_name() {
    let address = "127.0.0.1:0".parse().unwrap();
    for (options, name) in [
        (DevPoolOptions { shares_per_minute: 0.0, ..options() }, "shares_per_minute"),
        (DevPoolOptions { share_batch_size: 0, ..options() }, "share_batch_size"),
        (
            DevPoolOptions { extranonce_prefix_size: 20, ..options() },
            "extranonce_prefix_size + extranonce_size",
        ),
        (DevPoolOptions { template_interval: Duration::ZERO, ..options() }, "template_interval"),
    ] {
        let error = DevPool::bind(address, options, DevPoolKeys::random()).await.unwrap_err();
        assert!(
            matches!(&error, DevPoolError::Option(BadOption { option, .. }) if *option == name),
            "{error}"
        );
    }
    let long = DevPoolOptions { coinbase_tag: vec![b'x'; 90], ..options() };
    let error = DevPool::bind(address, long, DevPoolKeys::random()).await.unwrap_err();
    assert!(matches!(error, DevPoolError::Work(_)), "{error}");
}
