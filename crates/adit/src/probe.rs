//! What pools offer, and whom they fit: for `adit check --probe`, and before a pool is added while Adit runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use engine::SourceId;
use link::Resolver;
use work::ExtranonceSplit;

use crate::clock::Clock;
use crate::config::{Config, Listener, Name, Source, SourceUrl};
use crate::proxy::{lane_settings, source_settings, sv1_settings};
use crate::splits::{Bindings, Chosen, Given, Offer, Split, choose};
use crate::upstream::{LineSettings, PoolOffer, ProbeError, probe_sv1, probe_sv2};

/// A pool that is to be added has so long to say what it offers.
const ADDED_WITHIN: Duration = Duration::from_secs(10);

/// What was found out about one pool, or about one listener.
#[derive(Debug)]
pub(crate) struct Probed {
    /// What to show.
    pub(crate) text: String,
    /// It can be mined for, by every listener that a route gives it to; or the listener fits all of its pools.
    pub(crate) good: bool,
}

/// Asks one pool after the other, and a NATS server; then says what that is for each listener.
pub(crate) async fn probe(config: &Config) -> Vec<Probed> {
    let mut offers = BTreeMap::new();
    for (name, source) in &config.sources {
        offers.insert(name, ask(name, source, config, LEAST).await);
    }
    let chosen: BTreeMap<&Name, Chosen> = config
        .listeners
        .iter()
        .map(|(name, listener)| (name, split_of(name, listener, config, &offers)))
        .collect();
    let pools =
        config.sources.iter().map(|(name, source)| judge(name, source, config, &offers[name], &chosen));
    let mut probed: Vec<Probed> = pools.collect();
    if let Some(nats) = crate::nats::NatsSettings::of(config) {
        let (text, good) = match nats.probe().await {
            Ok(text) => (text, true),
            Err(text) => (text, false),
        };
        probed.push(Probed { text, good });
    }
    probed
        .extend(config.listeners.iter().map(|(name, listener)| show(name, listener, config, &chosen[name])));
    probed
}

type Offers<'a> = BTreeMap<&'a Name, Result<PoolOffer, ProbeError>>;

/// The split that a listener would begin with.
fn split_of(name: &Name, listener: &Listener, config: &Config, offers: &Offers<'_>) -> Chosen {
    let bindings = Bindings::of(config);
    let pools = bindings.sv1_pools(name).into_iter().map(|(pool, _)| Offer {
        pool: pool.to_string(),
        extranonce2_size: offers.get(pool).and_then(|offer| Some(offer.as_ref().ok()?.extranonce_size)),
    });
    choose(Given::of(listener), &pools.collect::<Vec<_>>(), bindings.has_others(name))
}

/// A listener: its split, why, and how many miners that has room for.
fn show(name: &Name, listener: &Listener, config: &Config, chosen: &Chosen) -> Probed {
    let bindings = Bindings::of(config);
    let Split { extranonce1, extranonce2 } = chosen.split;
    let mut text = format!("listener.{name}  extranonce {extranonce1} + {extranonce2} bytes");
    text += &match (&chosen.because, Given::of(listener).is_whole()) {
        (Some(offer), _) => format!(
            ", chosen because source.{} leaves {}",
            offer.pool,
            offer.extranonce2_size.unwrap_or_default()
        ),
        (None, true) => ", as configured".to_owned(),
        (None, false) => String::new(),
    };
    text.push('\n');
    let (one, spaces) = (chosen.split.miners(), u64::from(bindings.id_spaces(name)));
    let wanted = u64::from(config.limits.max_connections);
    let wanted = listener.max_connections.map_or(wanted, |most| wanted.min(u64::from(most)));
    let all = one.saturating_mul(spaces);
    let _ = match spaces {
        1 => writeln!(text, "  room for {one} miners, {wanted} connections are allowed"),
        _ => writeln!(
            text,
            "  room for {one} miners on a connection to a pool, {all} on {spaces}; {wanted} connections are allowed"
        ),
    };
    // An id is not given out again at once.
    if all < 2 * wanted && extranonce1 < work::MAX_MINER_ID {
        let _ = writeln!(
            text,
            "  more than {} miners may find no room and be told so: raise connections_max of the pools, or bound \
             max_connections",
            all / 2
        );
    }
    if extranonce1 == 0 {
        text += "  each miner needs a connection of its own, and a firmware profile with empty_extranonce1\n";
    }
    for offer in &chosen.without {
        let left = offer.extranonce2_size.unwrap_or_default();
        let _ = writeln!(text, "  source.{} leaves {left} bytes and is left out for its miners", offer.pool);
    }
    for pool in &chosen.unheard {
        let _ = writeln!(
            text,
            "  source.{pool} could not be asked: if it leaves less, it is left out for its miners"
        );
    }
    Probed { text, good: chosen.without.is_empty() }
}

/// Bytes of miner id and extranonce2 that any pool has: what else it would give is found out so.
const LEAST: (u8, u8) = (1, 1);

/// What stands against adding a pool.
#[derive(Debug)]
pub(crate) enum Objection {
    /// Nothing is known of it yet.
    Unreachable(String),
    /// It does not fit its listeners.
    Unfit(String),
}

/// Asks a pool that is to be added whether it fits the listeners that its routes have, with their splits as they run.
pub(crate) async fn object_to(
    name: &Name,
    config: &Config,
    splits: &BTreeMap<Name, Split>,
) -> Option<Objection> {
    let source = config.sources.get(name)?;
    let bindings = Bindings::of(config);
    let users = config.listeners.iter().filter(|(user, _)| bindings.sources_of_listener(user).contains(name));
    let users: Vec<(&Name, &Listener, Split)> =
        users.filter_map(|(user, listener)| Some((user, listener, *splits.get(user)?))).collect();
    let (widest, _, split) = users.iter().max_by_key(|(_, _, split)| split.bytes())?;
    let asked =
        tokio::time::timeout(ADDED_WITHIN, ask(name, source, config, (split.extranonce1, split.extranonce2)));
    let silent = ProbeError::Unreachable("it does not answer".to_owned());
    let offer = match asked.await.unwrap_or(Err(silent)) {
        Ok(offer) => offer,
        Err(ProbeError::Unreachable(why)) => {
            return Some(Objection::Unreachable(format!("source.{name}: {why}")));
        }
        Err(ProbeError::Unfit(why)) => {
            return Some(Objection::Unfit(format!(
                "source.{name}: no channel for miners of listener.{widest}, which have {} + {} bytes of extranonce: {why}",
                split.extranonce1, split.extranonce2
            )));
        }
    };
    let is_sv2 = source.url.sv2().is_some();
    let unfit = users.into_iter().filter_map(|(user, listener, split)| {
        let problems = misfits(listener, split, &offer, is_sv2);
        let has = format!("listener.{user} ({} + {} bytes)", split.extranonce1, split.extranonce2);
        (!problems.is_empty()).then(|| format!("{has}: {}", problems.join("; ")))
    });
    let unfit: Vec<String> = unfit.collect();
    (!unfit.is_empty()).then(|| Objection::Unfit(format!("source.{name} does not fit {}", unfit.join("; "))))
}

async fn ask(
    name: &Name,
    source: &Source,
    config: &Config,
    split: (u8, u8),
) -> Result<PoolOffer, ProbeError> {
    let clock = Clock::start();
    let resolver = Resolver::system(config.limits.lookup);
    match &source.url {
        SourceUrl::Sv1(url) => {
            let settings = sv1_settings(SourceId(0), url, name, source, config);
            let lanes = lane_settings(url, name, source, config, resolver)
                .map_err(|error| ProbeError::Unfit(error.to_string()))?;
            probe_sv1(url, &settings, &lanes, config.limits.frame, clock).await
        }
        SourceUrl::Sv2(url) => {
            let line = LineSettings {
                name: name.to_string(),
                url: url.clone(),
                resolver,
                connect_timeout: source.connect_timeout,
                handshake_timeout: config.limits.handshake,
                certificate_leeway: source.certificate_leeway,
                max_frame: config.limits.frame,
            };
            let settings = source_settings(SourceId(0), url, source);
            probe_sv2(&line, settings, &source.user_identity, split, clock).await
        }
    }
}

fn judge(
    name: &Name,
    source: &Source,
    config: &Config,
    offer: &Result<PoolOffer, ProbeError>,
    chosen: &BTreeMap<&Name, Chosen>,
) -> Probed {
    let mut text = format!("source.{name}  {}\n", source.url);
    let offer = match offer {
        Ok(offer) => offer,
        Err(why) => {
            let _ = writeln!(text, "  no work: {why}");
            return Probed { text, good: false };
        }
    };
    let _ = writeln!(
        text,
        "  connected after {:.1?}, its first job {:.1?} later; vouched for by {}",
        offer.connected_after, offer.job_after, offer.proof
    );
    let _ = writeln!(
        text,
        "  extranonce: {} bytes of its own, {} to roll; version bits {:08x}; difficulty {}",
        offer.prefix_size, offer.extranonce_size, offer.version_mask, offer.difficulty
    );
    let mut good = true;
    let bindings = Bindings::of(config);
    let users = config.listeners.iter().filter(|(user, _)| bindings.sources_of_listener(user).contains(name));
    for (user, listener) in users {
        let split = chosen[user].split;
        let problems = misfits(listener, split, offer, source.url.sv2().is_some());
        good &= problems.is_empty();
        let split = format!("listener.{user} ({} + {} bytes)", split.extranonce1, split.extranonce2);
        match problems.is_empty() {
            true => drop(writeln!(text, "  fits {split}")),
            false => drop(writeln!(text, "  does not fit {split}: {}", problems.join("; "))),
        }
    }
    Probed { text, good }
}

/// Why a listener's miners cannot mine for a pool, and what to do about it.
fn misfits(listener: &Listener, split: Split, offer: &PoolOffer, is_sv2: bool) -> Vec<String> {
    let mut problems = Vec::new();
    // An SV2 pool gives what it is asked for, and says no when it cannot.
    let space = u16::try_from(offer.extranonce_size).unwrap_or(u16::MAX);
    let split = ExtranonceSplit::for_space(space, split.extranonce1, split.extranonce2);
    if let Err(error) = split.as_ref().map_err(ToString::to_string)
        && !is_sv2
    {
        let fits = choose(Given::default(), &[offered(offer)], false).split;
        problems.push(match offer.extranonce_size {
            0 => format!("{error}; no listener's does"),
            1 => format!(
                "{error}; a listener with extranonce1_size = 0 and extranonce2_size = 1 would fit, for firmware with \
                 empty_extranonce1"
            ),
            _ => format!(
                "{error}; a listener with extranonce1_size = {} and extranonce2_size = {} would fit",
                fits.extranonce1, fits.extranonce2
            ),
        });
    }
    let missing = listener.version_mask & !offer.version_mask;
    if missing != 0 && !is_sv2 {
        problems.push(format!(
            "its miners may roll version bits {:08x}, and the pool allows {:08x}: version_mask = \"{:08x}\" would fit",
            listener.version_mask,
            offer.version_mask,
            listener.version_mask & offer.version_mask
        ));
    }
    problems
}

fn offered(offer: &PoolOffer) -> Offer {
    Offer { pool: String::new(), extranonce2_size: Some(offer.extranonce_size) }
}
