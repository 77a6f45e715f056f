//! What pools offer, and whom they fit: for `adit check --probe`, and before a pool is added while Adit runs.

use std::fmt::Write as _;
use std::time::Duration;

use engine::SourceId;
use link::Resolver;
use work::ExtranonceSplit;

use crate::clock::Clock;
use crate::config::{Config, Listener, Name, Source, SourceUrl};
use crate::proxy::{lane_settings, source_settings, sources_of, sv1_settings};
use crate::upstream::{LineSettings, PoolOffer, ProbeError, probe_sv1, probe_sv2};

/// A pool that is to be added has so long to say what it offers.
const ADDED_WITHIN: Duration = Duration::from_secs(10);

/// What was found out about one pool.
#[derive(Debug)]
pub(crate) struct Probed {
    /// What to show.
    pub(crate) text: String,
    /// It can be mined for, by every listener that a route gives it to.
    pub(crate) good: bool,
}

/// Asks one pool after the other.
pub(crate) async fn probe(config: &Config) -> Vec<Probed> {
    let mut probed = Vec::new();
    for (name, source) in &config.sources {
        let offer = ask(name, source, config, LEAST).await;
        probed.push(judge(name, source, config, offer));
    }
    probed
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

/// Asks a pool that is to be added whether it fits the listeners that its routes have, as they run.
pub(crate) async fn object_to(name: &Name, config: &Config) -> Option<Objection> {
    let source = config.sources.get(name)?;
    let listeners = listeners_of(name, config);
    let bytes = |(_, of): &(&Name, &Listener)| of.extranonce1_size + of.extranonce2_size;
    let (widest, of) = listeners.iter().copied().max_by_key(bytes)?;
    let split = (of.extranonce1_size, of.extranonce2_size);
    let asked = tokio::time::timeout(ADDED_WITHIN, ask(name, source, config, split)).await;
    let offer = match asked.unwrap_or_else(|_| Err(ProbeError::Unreachable("it does not answer".to_owned())))
    {
        Ok(offer) => offer,
        Err(ProbeError::Unreachable(why)) => {
            return Some(Objection::Unreachable(format!("source.{name}: {why}")));
        }
        Err(ProbeError::Unfit(why)) => {
            return Some(Objection::Unfit(format!(
                "source.{name}: no channel for miners of listener.{widest}, which have {} + {} bytes of extranonce: {why}",
                split.0, split.1
            )));
        }
    };
    let is_sv2 = source.url.sv2().is_some();
    let unfit = listeners.into_iter().filter_map(|(listener, of)| {
        let problems = misfits(of, &offer, is_sv2);
        (!problems.is_empty()).then(|| format!("listener.{listener}: {}", problems.join("; ")))
    });
    let unfit: Vec<String> = unfit.collect();
    (!unfit.is_empty()).then(|| Objection::Unfit(format!("source.{name} does not fit {}", unfit.join("; "))))
}

/// The listeners whose miners a source may get.
fn listeners_of<'a>(name: &Name, config: &'a Config) -> Vec<(&'a Name, &'a Listener)> {
    let routes =
        config.routes.iter().filter(|(route, _)| sources_of(route, config).any(|source| source == name));
    let listeners = routes.flat_map(|(_, route)| &route.listeners);
    listeners.filter_map(|listener| config.listeners.get_key_value(listener)).collect()
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

fn judge(name: &Name, source: &Source, config: &Config, offer: Result<PoolOffer, ProbeError>) -> Probed {
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
    for (listener, of) in listeners_of(name, config) {
        let problems = misfits(of, &offer, source.url.sv2().is_some());
        good &= problems.is_empty();
        let split = format!("listener.{listener} ({} + {} bytes)", of.extranonce1_size, of.extranonce2_size);
        match problems.is_empty() {
            true => drop(writeln!(text, "  fits {split}")),
            false => drop(writeln!(text, "  does not fit {split}: {}", problems.join("; "))),
        }
    }
    Probed { text, good }
}

/// Why a listener's miners cannot mine for a pool, and what to do about it.
fn misfits(listener: &Listener, offer: &PoolOffer, is_sv2: bool) -> Vec<String> {
    let mut problems = Vec::new();
    // An SV2 pool gives what it is asked for, and says no when it cannot.
    let space = u16::try_from(offer.extranonce_size).unwrap_or(u16::MAX);
    let split = ExtranonceSplit::for_space(space, listener.extranonce1_size, listener.extranonce2_size);
    if let Err(error) = split.as_ref().map_err(ToString::to_string)
        && !is_sv2
    {
        problems.push(match smaller(offer.extranonce_size) {
            Some((first, second)) => format!(
                "{error}; a listener with extranonce1_size = {first} and extranonce2_size = {second} would fit"
            ),
            None => format!("{error}; no listener's does"),
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

/// The split with most miners that still leaves each of them something to roll.
fn smaller(space: usize) -> Option<(usize, usize)> {
    match space {
        0 | 1 => None,
        2 | 3 => Some((1, space - 1)),
        4..=6 => Some((2, space - 2)),
        7 => Some((3, 4)),
        _ => Some((4, 4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_that_is_proposed_fits_and_is_one_that_a_listener_can_have() {
        assert_eq!(smaller(1), None);
        for space in 2..32 {
            let (first, second) = smaller(space).unwrap();
            assert!(first + second <= space && (1..=4).contains(&first) && (1..=8).contains(&second));
        }
    }
}
