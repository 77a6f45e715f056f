//! What a pool offers, found out by asking it: for `adit check --probe`.

use std::time::{Duration, Instant};

use engine::source::{
    ChannelRefusal, DownReason, Effects, OpenChannel, SourceCommand, SourceEvent, SourceSettings, Sv1Effects,
    Sv1Pool, Sv1Settings, Sv2Pool,
};
use link::{DialError, LinkError, Sv1Url};
use sv1::LineReader;
use sv2::FrameHeader;
use tokio::sync::mpsc;

use super::line::LineSettings;
use super::security;
use super::sv1_lane::{LaneNews, LaneSettings, open_lane};
use crate::clock::Clock;

/// A pool that has not said everything by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a pool offers.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolOffer {
    /// Bytes of the extranonce that are the pool's.
    pub prefix_size: usize,
    /// Bytes that it leaves to be rolled: the SV1 pool's `extranonce2`, what a channel of an SV2 pool gives when it is asked
    /// for as little as possible.
    pub extranonce_size: usize,
    /// Version bits that may be rolled.
    pub version_mask: u32,
    /// Difficulty of shares, at first.
    pub difficulty: f64,
    /// Until the connection stood: TCP, and what encrypts it.
    pub connected_after: Duration,
    /// From then on, until the first job had come.
    pub job_after: Duration,
    /// Who vouches for it.
    pub proof: &'static str,
}

/// Why a pool would be no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It could not be asked, or said nothing: another time it may.
    #[error("{0}")]
    Unreachable(String),
    /// It cannot be mined for like this.
    #[error("{0}")]
    Unfit(String),
}

impl From<DownReason> for ProbeError {
    fn from(why: DownReason) -> Self {
        use DownReason::{Connect, Lost, NoJob, NotStarted, Reconnect, Silent};
        match why {
            Connect(_) | Lost(_) | Silent(_) | NoJob(_) | Reconnect | NotStarted => {
                Self::Unreachable(why.to_string())
            }
            _ => Self::Unfit(why.to_string()),
        }
    }
}

fn lost(error: &LinkError) -> ProbeError {
    ProbeError::Unreachable(error.to_string())
}

/// Asks a pool that speaks Stratum V1.
///
/// # Errors
/// Why it would be no source.
pub async fn probe_sv1(
    url: &Sv1Url,
    settings: &Sv1Settings,
    lanes: &LaneSettings,
    max_line: usize,
    clock: Clock,
) -> Result<PoolOffer, ProbeError> {
    let asked = ask_sv1(url, settings.clone(), lanes, max_line, clock).await;
    match asked {
        Err(DownReason::VersionRolling { granted, .. }) => {
            // What else it offers is told to those who do not roll.
            let fixed = Sv1Settings { version_mask: 0, ..settings.clone() };
            let offer = ask_sv1(url, fixed, lanes, max_line, clock).await;
            Ok(PoolOffer { version_mask: granted, ..offer? })
        }
        other => Ok(other?),
    }
}

async fn ask_sv1(
    url: &Sv1Url,
    settings: Sv1Settings,
    lanes: &LaneSettings,
    max_line: usize,
    clock: Clock,
) -> Result<PoolOffer, DownReason> {
    let mut machine = Sv1Pool::new(settings, rand::random());
    let mut fx = Sv1Effects::default();
    machine.command(SourceCommand::Start, clock.now(), &mut fx);
    let Some(number) = machine.to_dial() else { return Err(DownReason::NotStarted) };
    let (news, mut heard) = mpsc::channel(8);
    let door = open_lane(number, url.clone(), lanes.clone(), news);
    let mut reader = LineReader::new();
    let began = Instant::now();
    let mut connected = began;
    let proof = match (url.is_tls(), &lanes.authorities) {
        (true, Some(authorities)) if authorities.are_own() => "a certificate that ca_file vouches for",
        (true, _) => "a certificate of a public authority",
        (false, _) => "nobody: not encrypted",
    };
    loop {
        let deadline = machine.deadline().unwrap_or(Duration::MAX).min(clock.now().mono + PATIENCE);
        tokio::select! {
            news = heard.recv() => match news {
                Some((_, LaneNews::Up)) => {
                    connected = Instant::now();
                    machine.connected(number, clock.now(), &mut fx);
                }
                Some((_, LaneNews::Read(bytes))) => {
                    let mut chunk = bytes.as_slice();
                    loop {
                        match reader.next_line(&mut chunk, max_line) {
                            Ok(Some(line)) => machine.line(number, line, clock.now(), &mut fx),
                            Ok(None) => break,
                            Err(error) => return Err(DownReason::Protocol(error.to_string())),
                        }
                    }
                }
                Some((_, LaneNews::Down(why))) => return Err(why),
                None => return Err(DownReason::NotStarted),
            },
            () = tokio::time::sleep_until(clock.instant(deadline)) => machine.timer(clock.now(), &mut fx),
        }
        for (_, lines) in fx.lines.drain(..) {
            door.send(lines);
        }
        for event in fx.common.events.drain(..) {
            if let SourceEvent::Down(why) = event {
                return Err(why);
            }
        }
        if let Some(offer) = machine.offer() {
            return Ok(PoolOffer {
                prefix_size: offer.extranonce1_size,
                extranonce_size: offer.extranonce2_size,
                version_mask: offer.version_mask,
                difficulty: offer.difficulty,
                connected_after: connected - began,
                job_after: connected.elapsed(),
                proof,
            });
        }
        if began.elapsed() > PATIENCE {
            return Err(DownReason::Silent("mining.subscribe with a job"));
        }
    }
}

/// Asks a pool that speaks Stratum V2, with a channel for nobody whose miners would have `miner_id_size` and
/// `extranonce2_size` bytes.
///
/// # Errors
/// Why it would be no source.
pub async fn probe_sv2(
    line: &LineSettings,
    settings: SourceSettings,
    user_identity: &str,
    split: (u8, u8),
    clock: Clock,
) -> Result<PoolOffer, ProbeError> {
    let began = Instant::now();
    let dialled = link::dial(
        &line.url,
        &line.resolver,
        line.connect_timeout,
        line.handshake_timeout,
        line.certificate_leeway,
    );
    let mut link = dialled.await.map_err(|error| match error {
        DialError::Connect(why) => ProbeError::Unreachable(format!("cannot connect: {why}")),
        DialError::Handshake(why) => ProbeError::Unfit(format!("handshake failed: {why}")),
    })?;
    let connected = Instant::now();
    let proof = match link.certificate_until() {
        Some(_) => "its authority key",
        None => "nobody: insecure",
    };
    let mut machine = Sv2Pool::new(settings, rand::random());
    let mut fx = Effects::default();
    machine.command(SourceCommand::Start, clock.now(), &mut fx);
    machine.connected(security(&link), clock.now(), &mut fx);
    loop {
        link.send(&mut fx.frames).and_then(|()| link.flush()).map_err(|error| lost(&error))?;
        let deadline = machine.deadline().unwrap_or(Duration::MAX).min(clock.now().mono + PATIENCE);
        tokio::select! {
            ready = link.ready() => {
                ready.map_err(|error| lost(&error))?;
                link.read().map_err(|error| lost(&error))?;
                while let Some(frame) = link.frame(line.max_frame).map_err(|error| lost(&error))? {
                    machine.frame(&FrameHeader::parse(&frame.header), &frame.payload, clock.now(), &mut fx);
                }
            }
            () = tokio::time::sleep_until(clock.instant(deadline)) => machine.timer(clock.now(), &mut fx),
        }
        let events: Vec<SourceEvent> = fx.events.drain(..).collect();
        for event in events {
            match event {
                SourceEvent::Ready { .. } => {
                    let wish = for_nobody(user_identity, split);
                    machine.command(SourceCommand::Open(wish), clock.now(), &mut fx);
                }
                SourceEvent::NotOpened {
                    why: why @ (ChannelRefusal::Silent | ChannelRefusal::LinkEnded(_)),
                    ..
                } => {
                    return Err(ProbeError::Unreachable(why.to_string()));
                }
                SourceEvent::NotOpened { why, .. } => return Err(ProbeError::Unfit(why.to_string())),
                SourceEvent::Down(why) => return Err(why.into()),
                SourceEvent::Work(feed) => {
                    let filler = feed.job.filler().len();
                    return Ok(PoolOffer {
                        prefix_size: feed.job.constant_extranonce().len() - filler,
                        extranonce_size: filler + feed.job.rollable_len(),
                        // That of BIP 320: `REQUIRES_VERSION_ROLLING` was asked for (specification, 5.3.1).
                        version_mask: crate::config::VERSION_MASK,
                        difficulty: feed.job.source_difficulty.get(),
                        connected_after: connected - began,
                        job_after: connected.elapsed(),
                        proof,
                    });
                }
                _ => {}
            }
        }
        if began.elapsed() > PATIENCE {
            return Err(ProbeError::Unreachable("it opened a channel and sent no job".to_owned()));
        }
    }
}

fn for_nobody(user_identity: &str, (miner_id_size, extranonce2_size): (u8, u8)) -> OpenChannel {
    OpenChannel {
        request: 1,
        user_identity: user_identity.into(),
        nominal_hashrate: 0.0,
        max_target: work::Target::MAX,
        miner_id_size,
        extranonce2_size,
        space: 0,
        standby: false,
    }
}
