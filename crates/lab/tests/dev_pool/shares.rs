//! Shares, jobs, targets, blocks.

use std::time::Duration;

use lab::dev_pool::DevPoolOptions;
use sv2::Seq064K;
use sv2::extensions::RequestExtensions;
use sv2::mining::{REQUIRES_STANDARD_JOBS, SubmitSharesStandard, UpdateChannel};

use crate::client::{Client, EASIEST, Heard, Job, Share, hash, meets, mine, options, pool, prefix};

#[tokio::test]
async fn good_shares_are_acknowledged_in_batches_and_late_ones_by_time() {
    let options = DevPoolOptions {
        share_batch_size: 4,
        // Longer than the shares take from one to the next, on a slow machine, too.
        acknowledge_after: Some(Duration::from_secs(3)),
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
async fn two_pools_use_different_prefixes() {
    let (one, two) = (pool(options()).await, pool(options()).await);
    let (_a, first) = Client::opened(&one, 1.0).await;
    let (_b, second) = Client::opened(&two, 1.0).await;
    assert_eq!(prefix(&first)[2..], prefix(&second)[2..]);
    assert_ne!(one.url(), two.url());
}
