//! Lets through a few log lines about connections, so that nobody can fill the disk: a few a minute about each miner's address,
//! and a few a second about all together. What is left out is counted and told when the minute is over.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::admission::as_one;

/// Lines about one address in a [`SPAN`].
const PER_MINER: u32 = 6;
/// Lines a second about all addresses.
const PER_SECOND: u32 = 5;
/// Over how long an address's lines are counted, from its first.
const SPAN: Duration = Duration::from_secs(60);
/// Addresses that are remembered; about others only [`PER_SECOND`] holds.
const ADDRESSES: usize = 1_024;
/// Addresses about which it is told singly how much was left out, at a time.
const TOLD: usize = 5;

/// See the module. For one listener.
#[derive(Debug, Default)]
pub struct Quiet(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the present second began, and the lines written in it.
    second: Option<(Instant, u32)>,
    about: HashMap<IpAddr, Lines>,
    /// Left out about addresses that are not remembered.
    others: u64,
}

/// Lines about an address since its first.
#[derive(Debug)]
struct Lines {
    first: Instant,
    written: u32,
    left_out: u64,
}

/// What was left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Lines about these addresses, most first.
    pub(super) about: Vec<(IpAddr, u64)>,
    /// Lines about all others.
    pub(super) others: u64,
}

impl Quiet {
    /// Whether a line about a connection from an address may be written now; one about none counts for the second alone.
    pub(super) fn may_log(&self, address: Option<IpAddr>) -> bool {
        self.may_log_at(address, Instant::now())
    }

    fn may_log_at(&self, address: Option<IpAddr>, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { second, about, others } = &mut *state;
        let address = address.map(|address| as_one(address.to_canonical()));
        if about.len() >= ADDRESSES && address.is_some_and(|address| !about.contains_key(&address)) {
            about.retain(|_, lines| lines.left_out > 0 || now.duration_since(lines.first) < SPAN);
        }
        let lines = address
            .filter(|address| about.len() < ADDRESSES || about.contains_key(address))
            .map(|address| about.entry(address).or_insert(Lines { first: now, written: 0, left_out: 0 }));
        if second.is_some_and(|(began, _)| now.duration_since(began) >= Duration::from_secs(1)) {
            *second = None;
        }
        let (_, in_second) = second.get_or_insert((now, 0));
        let may = *in_second < PER_SECOND && lines.as_ref().is_none_or(|lines| lines.written < PER_MINER);
        match lines {
            Some(lines) if may => lines.written += 1,
            Some(lines) => lines.left_out += 1,
            None if may => {}
            None => *others += 1,
        }
        *in_second += u32::from(may);
        may
    }

    /// What was left out about addresses whose minute is over. They begin anew.
    pub(super) fn left_out(&self) -> Option<LeftOut> {
        self.left_out_at(Instant::now())
    }

    fn left_out_at(&self, now: Instant) -> Option<LeftOut> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = LeftOut { about: Vec::new(), others: std::mem::take(&mut state.others) };
        state.about.retain(|address, lines| {
            let over = now.duration_since(lines.first) >= SPAN;
            if over && lines.left_out > 0 {
                left_out.about.push((*address, lines.left_out));
            }
            !over
        });
        drop(state);
        left_out.about.sort_unstable_by_key(|(address, lines)| (std::cmp::Reverse(*lines), *address));
        let rest = left_out.about.split_off(left_out.about.len().min(TOLD));
        left_out.others += rest.into_iter().map(|(_, lines)| lines).sum::<u64>();
        (left_out != LeftOut::default()).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0a00_0000 + n).into()
    }

    #[test]
    fn one_that_makes_noise_gets_a_few_lines_a_minute_and_then_how_many_more_there_were() {
        let (quiet, began) = (Quiet::default(), Instant::now());
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        // Ten times a second, for a minute.
        let count = |from: u64| {
            let times = (0..600).map(|n| began + Duration::from_secs(from) + Duration::from_millis(n * 100));
            times.filter(|now| quiet.may_log_at(Some(address(1)), *now)).count()
        };
        assert_eq!(count(0), 6);
        // Others have their lines all the same.
        assert!(quiet.may_log_at(Some(address(2)), at(58)));
        assert_eq!(quiet.left_out_at(at(59)), None, "the minute is not over");
        let left_out = quiet.left_out_at(at(60)).expect("there is something to tell");
        assert_eq!(left_out, LeftOut { about: vec![(address(1), 594)], others: 0 });
        assert_eq!(quiet.left_out_at(at(61)), None, "it is told once");
        assert_eq!(count(61), 6, "a new minute");
        // An IPv6 network counts as one, as where connections are counted.
        let v6 = |text: &str| Some(text.parse().expect(text));
        for n in 0..6 {
            assert!(quiet.may_log_at(v6("2001:db8::1"), at(200 + n)));
        }
        assert!(!quiet.may_log_at(v6("2001:db8::2"), at(210)));
    }

    #[test]
    fn many_together_get_a_few_lines_a_second_and_cost_no_more_memory_than_some() {
        let (quiet, began) = (Quiet::default(), Instant::now());
        let mut written = 0;
        for n in 0..20_000_u32 {
            let now = began + Duration::from_micros(u64::from(n) * 100);
            written += u32::from(quiet.may_log_at(Some(address(n)), now));
            assert!(quiet.0.lock().expect("not poisoned").about.len() <= ADDRESSES);
        }
        assert_eq!(written, 2 * PER_SECOND);
        assert!(
            !quiet.may_log_at(None, began + Duration::from_millis(1_999)),
            "the second has had its lines"
        );
        let left_out = quiet.left_out_at(began + 2 * SPAN).expect("there is something to tell");
        assert_eq!(left_out.about.len(), TOLD);
        let all = left_out.others + left_out.about.iter().map(|(_, lines)| lines).sum::<u64>();
        assert_eq!(all, u64::from(20_000 - written) + 1, "none is forgotten");
    }
}
