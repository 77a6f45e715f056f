//! What the pool refuses.

use std::time::Duration;

use lab::dev_pool::{BadOption, DevPool, DevPoolError, DevPoolKeys, DevPoolOptions};
use lab::sv2_client::{Sv2Client, Sv2ClientError};
use sv2::common::PROTOCOL_MINING;
use sv2::mining::{CloseChannel, REQUIRES_VERSION_ROLLING, REQUIRES_WORK_SELECTION, SetCustomMiningJob};
use sv2::{B064K, B0255, Seq0255, Str0255};

use crate::client::{Client, EASIEST, Heard, mine, options, pool, prefix};

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

    let mut client = Client::connect(&pool).await;
    client.link.send(&CloseChannel { channel_id: 1, reason_code: Str0255::EMPTY }).await.unwrap();
    assert!(client.link.recv().await.is_err(), "a message before SetupConnection ends the connection");
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
