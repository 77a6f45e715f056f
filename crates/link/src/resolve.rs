//! From a server's name to its addresses, whatever the name servers do.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tracing::warn;

/// Addresses of one name that are tried; more come from no pool.
pub const MAX_ADDRESSES: usize = 64;
/// Names whose last good answer is kept: a source has one, and those that its pool sends it to.
const MAX_NAMES: usize = 8;

type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
type Ask = dyn Fn(String, u16) -> Lookup + Send + Sync;

/// Finds the addresses of one upstream's names. Asked anew at each dial, so that a change is noticed; the last good
/// answer is used when there is none now.
pub struct Resolver {
    ask: Box<Ask>,
    timeout: Duration,
    failures: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The newest last.
    good: Vec<(Name, Vec<SocketAddr>)>,
    /// A question that was not answered in time. It is waited for again rather than asked twice: the system's
    /// resolver takes a thread for as long as its name servers are silent.
    open: Option<(Name, JoinHandle<io::Result<Vec<SocketAddr>>>)>,
}

type Name = (String, u16);

impl Resolver {
    /// Asks the system.
    #[must_use]
    pub fn system(timeout: Duration) -> Arc<Self> {
        Self::with(timeout, |host, port| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        })
    }

    /// Asks somebody else.
    pub fn with(timeout: Duration, ask: impl Fn(String, u16) -> Lookup + Send + Sync + 'static) -> Arc<Self> {
        let (failures, state) = (AtomicU64::new(0), Mutex::default());
        Arc::new(Self { ask: Box::new(ask), timeout, failures, state })
    }

    /// Lookups that failed or took too long, ever.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// The addresses of a name, in the order in which they are to be tried. At least one.
    ///
    /// # Errors
    /// Why there is none: no answer in time, or an answer without addresses, and none before.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let name = (host.to_owned(), port);
        let mut state = self.state.lock().await;
        let why = match self.answer(&mut state, &name).await {
            Ok(addresses) => {
                let addresses = in_order(addresses);
                state.good.retain(|(known, _)| *known != name);
                if state.good.len() == MAX_NAMES {
                    state.good.remove(0);
                }
                state.good.push((name, addresses.clone()));
                return Ok(addresses);
            }
            Err(why) => why,
        };
        self.failures.fetch_add(1, Relaxed);
        match state.good.iter().find(|(known, _)| *known == name) {
            Some((_, addresses)) => {
                // Once a dial at most, and dials have their back-off.
                warn!(host, reason = why, "the name cannot be looked up: its last addresses are used");
                Ok(addresses.clone())
            }
            None => Err(format!("{host} cannot be looked up: {why}")),
        }
    }

    async fn answer(&self, state: &mut State, name: &Name) -> Result<Vec<SocketAddr>, String> {
        let (_, answer) = match &mut state.open {
            Some(open) if open.0 == *name => open,
            open => open.insert((name.clone(), tokio::spawn((self.ask)(name.0.clone(), name.1)))),
        };
        // Should this call be given up, the question stays open for the next one.
        let answer = match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => return Err(format!("no answer within {:?}", self.timeout)),
        };
        state.open = None;
        match answer {
            Ok(Ok(addresses)) if addresses.is_empty() => Err("it has no address".to_owned()),
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(error.to_string()),
            Err(failed) => Err(failed.to_string()),
        }
    }
}

/// The answer's own order, but IPv6 and IPv4 in turn, so that one of them which does not work costs little; each
/// address once.
fn in_order(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (mut same, mut other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    same.reverse();
    other.reverse();
    let mut ordered = Vec::new();
    while (!same.is_empty() || !other.is_empty()) && ordered.len() < MAX_ADDRESSES {
        for address in [same.pop(), other.pop()].into_iter().flatten() {
            if !ordered.contains(&address) && ordered.len() < MAX_ADDRESSES {
                ordered.push(address);
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn families_take_turns_in_the_answers_order_and_each_address_comes_once() {
        let answer =
            parsed(&["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::1]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        let wished = parsed(&["[2001:db8::1]:1", "1.1.1.1:1", "[2001:db8::2]:1", "1.1.1.2:1"]);
        assert_eq!(in_order(answer), wished);
        let many = (0..=255).map(|n| SocketAddr::from(([10, 0, 0, n], 1))).collect::<Vec<_>>();
        assert_eq!(in_order(many.clone()), many[..MAX_ADDRESSES]);
        assert_eq!(in_order(Vec::new()), []);
    }

    /// What is asked of the tests' name server is answered at once or never.
    const SILENCE: Duration = Duration::from_millis(300);

    /// Gives these answers one after the other; `None` never comes.
    fn scripted(answers: Vec<Option<io::Result<Vec<SocketAddr>>>>) -> (Arc<Resolver>, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let answers = std::sync::Mutex::new(answers.into_iter());
        let resolver = Resolver::with(SILENCE, move |host, port| {
            assert_eq!((host.as_str(), port), ("pool.example", 3336));
            count.fetch_add(1, Relaxed);
            let answer = answers.lock().expect("not poisoned").next().expect("one more answer");
            Box::pin(async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            })
        });
        (resolver, asked)
    }

    #[tokio::test]
    async fn it_is_asked_anew_each_time_and_the_last_good_answer_bridges_a_failure() {
        let (one, two) = (parsed(&["10.0.0.1:3336"]), parsed(&["10.0.0.2:3336"]));
        let no = || Some(Err(io::Error::other("no such name")));
        let (resolver, asked) = scripted(vec![
            no(),
            Some(Ok(one.clone())),
            no(),
            Some(Ok(Vec::new())),
            Some(Ok(two.clone())),
            None,
        ]);
        let look = || resolver.addresses("pool.example", 3336);
        let why = look().await.unwrap_err();
        assert!(why.contains("pool.example") && why.contains("no such name"), "{why}");
        assert_eq!([look().await, look().await, look().await], [Ok(one.clone()), Ok(one.clone()), Ok(one)]);
        assert_eq!(look().await, Ok(two.clone()), "the new address is noticed");
        assert_eq!((look().await, resolver.failures()), (Ok(two.clone()), 4), "silence is a failure");
        // The question that is still open is not asked again.
        assert_eq!((look().await, asked.load(Relaxed)), (Ok(two), 6));
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let (resolver, asked) = scripted(Vec::new());
        assert_eq!(resolver.addresses("[::1]", 7).await, Ok(parsed(&["[::1]:7"])));
        assert_eq!(resolver.addresses("127.0.0.1", 7).await, Ok(parsed(&["127.0.0.1:7"])));
        assert_eq!(asked.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let resolver = Resolver::with(SILENCE, |_, port| {
            Box::pin(async move { Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))]) })
        });
        for n in 0..100 {
            resolver.addresses(&format!("pool-{n}.example"), 1).await.expect("an answer");
        }
        assert_eq!(resolver.state.lock().await.good.len(), MAX_NAMES);
    }
}
