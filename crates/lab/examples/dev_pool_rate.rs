//! How many shares a second the dev pool takes over one connection, and what each costs it.
//!
//! `dev_pool_rate [SHARES [BATCH]]`: a pool on a runtime of its own and a client that sends valid shares as fast as
//! they are answered; prints the rate and the CPU time of either side's thread.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions};
use lab::sv2_client::Sv2Client;
use noise::AuthorityPublicKey;
use rustix::time::{ClockId, clock_gettime};
use sv2::common::{PROTOCOL_MINING, PROTOCOL_VERSION, SetupConnection};
use sv2::mining::{OpenExtendedMiningChannel, SubmitSharesExtended};
use sv2::{AnyMessage, B032, MiningMessage, Str0255};

/// Shares sent in one go, and the most that wait for an answer.
const BURST: u32 = 256;
const WINDOW: u32 = 16 * BURST;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let shares: u32 = args.next().map_or(Ok(500_000), |text| text.parse())?;
    let batch: u32 = args.next().map_or(Ok(10), |text| text.parse())?;
    let (ready, address) = mpsc::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let pool = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut options = DevPoolOptions { share_batch_size: batch, ..Default::default() };
            // No share is a block.
            options.chain.nbits = 0x1702_8c61;
            options.chain.dummy_transactions = 4_000;
            let any = ([127, 0, 0, 1], 0).into();
            let pool =
                DevPool::bind(any, options, DevPoolKeys::random()).await.map_err(std::io::Error::other)?;
            let _ = ready.send((pool.local_addr(), pool.authority_public_key()));
            let before = thread_cpu();
            let _ = ended.await;
            let used = thread_cpu() - before;
            let stats = pool.stats();
            pool.shutdown().await;
            std::io::Result::Ok((stats, used))
        })
    });
    let (address, key) = address.recv()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let before = thread_cpu();
    let elapsed = runtime.block_on(client(address, key, shares))?;
    let own = thread_cpu() - before;
    let _ = end.send(());
    let (stats, used) = pool.join().map_err(|_| "the pool panicked")??;
    let per = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(shares);
    writeln!(
        std::io::stdout(),
        "{:.0} shares/s, pool {:.2} us CPU a share, client {:.2} us; accepted {}, rejected {:?}",
        f64::from(shares) / elapsed.as_secs_f64(),
        per(used),
        per(own),
        stats.accepted,
        stats.rejected
    )?;
    Ok(())
}

async fn client(
    address: SocketAddr,
    key: AuthorityPublicKey,
    shares: u32,
) -> Result<Duration, Box<dyn Error>> {
    let mut link = Sv2Client::connect(address, key).await?;
    let text = Str0255::truncated;
    link.queue(&SetupConnection {
        protocol: PROTOCOL_MINING,
        min_version: PROTOCOL_VERSION,
        max_version: PROTOCOL_VERSION,
        flags: 0,
        endpoint_host: text("127.0.0.1"),
        endpoint_port: address.port(),
        vendor: text("adit"),
        hardware_version: text("rate"),
        firmware: text(""),
        device_id: text(""),
    });
    link.queue(&OpenExtendedMiningChannel {
        request_id: 1,
        user_identity: text("rate"),
        // Every hash is a share.
        nominal_hash_rate: 0.0,
        max_target: [0xff; 32],
        min_extranonce_size: 8,
    });
    link.flush().await?;
    let (mut channel, mut size, mut job, mut version, mut ntime) = (0, 0, 0, 0, 0);
    while ntime == 0 {
        let (header, payload) = link.recv().await?;
        match AnyMessage::decode(&header, &payload)? {
            AnyMessage::Mining(MiningMessage::OpenExtendedMiningChannelSuccess(m)) => {
                (channel, size) = (m.channel_id, usize::from(m.extranonce_size));
            }
            AnyMessage::Mining(MiningMessage::NewExtendedMiningJob(m)) => {
                (job, version) = (m.job_id, m.version)
            }
            AnyMessage::Mining(MiningMessage::SetNewPrevHash(m)) => ntime = m.min_ntime,
            _ => {}
        }
    }
    let extranonce = vec![1; size];
    let begin = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    while answered < shares {
        while sent < shares && sent - answered < WINDOW {
            for _ in 0..BURST.min(shares - sent) {
                sent += 1;
                link.queue(&SubmitSharesExtended {
                    channel_id: channel,
                    sequence_number: sent,
                    job_id: job,
                    nonce: sent,
                    ntime,
                    version,
                    extranonce: B032::new(&extranonce)?,
                });
            }
            link.flush().await?;
        }
        let (header, payload) = link.recv().await?;
        match AnyMessage::decode(&header, &payload)? {
            AnyMessage::Mining(MiningMessage::SubmitSharesSuccess(m)) => {
                answered += m.new_submits_accepted_count
            }
            AnyMessage::Mining(MiningMessage::SubmitSharesError(_)) => answered += 1,
            _ => {}
        }
    }
    Ok(begin.elapsed())
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
