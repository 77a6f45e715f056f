//! A listener's split is chosen before it lets anybody in: a miner's `extranonce1` never changes.

use std::time::Duration;

use engine::source::SourceState;
use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{Config, Listener, Name};
use crate::snapshot::SourceView;
use crate::splits::{Bindings, Chosen, Given, Offer, Split, choose};
use crate::upstream::SourceReport;

/// What the pools leave is waited for so long at most; miners that connect meanwhile wait for their first answer.
const OFFERS_WITHIN: Duration = Duration::from_secs(6);

/// A listener whose split may have to be chosen.
pub(super) struct Splitting {
    listener: String,
    given: Given,
    /// Spaces in which the same ids may be given out.
    spaces: u16,
    /// Of the sources of its routes.
    reports: Vec<Source>,
    others: bool,
}

struct Source {
    name: String,
    /// It is a Stratum V1 pool.
    sv1: bool,
    report: watch::Receiver<SourceReport>,
}

impl Source {
    fn offer(&self) -> Option<usize> {
        self.report.borrow().status.pool.and_then(|pool| pool.extranonce2_size)
    }

    fn is(&self, state: impl Fn(&SourceState) -> bool) -> bool {
        state(&self.report.borrow().status.state)
    }
}

impl Splitting {
    pub(super) fn of(name: &Name, listener: &Listener, config: &Config, sources: &[SourceView]) -> Self {
        let bindings = Bindings::of(config);
        let (own, sv1) = (bindings.sources_of_listener(name), bindings.sv1_pools(name));
        let of_listener =
            sources.iter().filter(|view| !view.removed && own.iter().any(|own| own.as_str() == view.name));
        let reports = of_listener.map(|view| Source {
            name: view.name.clone(),
            sv1: sv1.iter().any(|(pool, _)| pool.as_str() == view.name),
            report: view.report.clone(),
        });
        Self {
            listener: name.to_string(),
            given: Given::of(listener),
            spaces: bindings.id_spaces(name),
            reports: reports.collect(),
            others: bindings.has_others(name),
        }
    }

    /// The split, as soon as it can be said.
    pub(super) async fn split(mut self) -> Split {
        let any_sv1 = self.reports.iter().any(|source| source.sv1);
        if self.given.is_whole() || !any_sv1 {
            return self.given.usual();
        }
        let until = Instant::now() + OFFERS_WITHIN;
        while !self.is_known() && Instant::now() < until {
            let changes = self.reports.iter_mut().map(|source| Box::pin(source.report.changed()));
            match tokio::time::timeout_at(until, select_all(changes)).await {
                Ok((Ok(()), ..)) => {}
                // Nobody will say anything any more, or not in time.
                Ok((Err(_), ..)) | Err(_) => break,
            }
        }
        let pools = self.reports.iter().filter(|source| source.sv1);
        let offers: Vec<Offer> = pools
            .map(|source| Offer { pool: source.name.clone(), extranonce2_size: source.offer() })
            .collect();
        let chosen = choose(self.given, &offers, self.others);
        self.tell(&chosen);
        chosen.split
    }

    /// Every Stratum V1 pool has said what it leaves, or has failed while others have work.
    fn is_known(&self) -> bool {
        let ready = self.reports.iter().any(|source| source.is(|state| *state == SourceState::Ready));
        let failed = |source: &Source| source.is(|state| matches!(state, SourceState::Waiting { .. }));
        let known = |source: &Source| source.offer().is_some() || ready && failed(source);
        self.reports.iter().filter(|source| source.sv1).all(known)
    }

    fn tell(&self, chosen: &Chosen) {
        let listener = self.listener.as_str();
        let Split { extranonce1, extranonce2 } = chosen.split;
        if let Some(offer) = &chosen.because {
            let miners = chosen.split.miners().saturating_mul(u64::from(self.spaces));
            info!(
                listener,
                extranonce1_size = extranonce1,
                extranonce2_size = extranonce2,
                source = offer.pool,
                leaves = offer.extranonce2_size,
                miners,
                connections = self.spaces,
                "miners' extranonce is as short as the pool that leaves least needs it; it stays so until a restart"
            );
        }
        for offer in &chosen.without {
            warn!(
                listener,
                extranonce1_size = extranonce1,
                extranonce2_size = extranonce2,
                source = offer.pool,
                leaves = offer.extranonce2_size,
                "the pool leaves too little for this listener's miners, and is left out for them (adit check --probe)"
            );
        }
        for source in &chosen.unheard {
            warn!(
                listener,
                extranonce1_size = extranonce1,
                extranonce2_size = extranonce2,
                source,
                "the pool has not said how much extranonce it leaves: if that is too little for this split, it is left \
                 out until a restart"
            );
        }
    }
}
