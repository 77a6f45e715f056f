//! `client.reconnect`: an unencrypted connection's word on where the farm's hashrate goes is not taken on trust.

use std::net::IpAddr;
use std::time::Duration;

use super::{Sv1Effects, Sv1Notice, Sv1Pool, shown};
use crate::now::Now;
use crate::source::event::DownReason;

/// A pool is not waited for longer than this, whatever it says: there may be others.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Sv1Pool {
    pub(super) fn on_reconnect(
        &mut self,
        number: u32,
        host: Option<&str>,
        port: Option<u16>,
        wait: u64,
        now: Now,
        fx: &mut Sv1Effects,
    ) -> Result<(), DownReason> {
        let configured = &self.settings.host;
        let host = host.unwrap_or(configured);
        if !self.settings.allow_reconnect && !may_follow(configured, host) {
            fx.notices.push(Sv1Notice::StrangeReconnect(shown(host.as_bytes())));
            return Ok(());
        }
        let same_host = host.eq_ignore_ascii_case(configured);
        if !same_host || port.is_some() {
            let host = if same_host { String::new() } else { host.to_owned() };
            fx.reconnect_to = Some((host, port.unwrap_or(0)));
        }
        self.lane_moves(number, Duration::from_secs(wait).min(LONGEST_WAIT), now, fx);
        Ok(())
    }
}

/// Whether `client.reconnect` from a pool at `configured` may lead to `host`: only to the same host, to one below it, or to
/// one beside it in the same domain. An address is only ever the same as itself.
#[must_use]
pub fn may_follow(configured: &str, host: &str) -> bool {
    let (configured, host) = (configured.to_ascii_lowercase(), host.to_ascii_lowercase());
    let (configured, host) = (configured.trim_end_matches('.'), host.trim_end_matches('.'));
    if configured == host {
        return true;
    }
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    if is_address(configured) || is_address(host) {
        return false;
    }
    let below = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    if below(configured) && configured.contains('.') {
        return true;
    }
    let Some((_, domain)) = configured.split_once('.') else { return false };
    (host == domain || below(domain)) && is_somebodys(domain)
}

/// Whether a domain belongs to somebody, rather than to all of a country: `pool.com` does, `com` and `co.uk` do not.
fn is_somebodys(domain: &str) -> bool {
    match domain.rsplit_once('.') {
        None => false,
        // Two letters at the end are a country's, which often has short domains below it for all.
        Some((rest, country)) => rest.contains('.') || country.len() > 2 || rest.len() > 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_moves_its_miners_within_its_own_domain_only() {
        for (configured, host) in [
            ("eu.pool.com", "eu.pool.com"),
            ("eu.pool.com", "US.pool.com."),
            ("eu.pool.com", "pool.com"),
            ("pool.com", "stratum.pool.com"),
            ("stratum.braiins.example", "x.y.braiins.example"),
            ("eu.pool.co.uk", "us.pool.co.uk"),
            ("10.0.0.1", "10.0.0.1"),
            ("localhost", "localhost"),
        ] {
            assert!(may_follow(configured, host), "{configured} to {host}");
        }
        for (configured, host) in [
            ("eu.pool.com", "evilpool.com"),
            ("eu.pool.com", "pool.com.evil.example"),
            ("pool.com", "evil.com"),
            ("pool.co.uk", "evil.co.uk"),
            ("pool.co.uk", "co.uk"),
            ("pool.com", "com"),
            ("10.0.0.1", "10.0.0.2"),
            ("eu.pool.com", "10.0.0.1"),
            ("1.2.3.4", "9.2.3.4"),
            ("localhost", "x.localhost"),
            ("pool.com", ""),
        ] {
            assert!(!may_follow(configured, host), "{configured} to {host}");
        }
    }
}
