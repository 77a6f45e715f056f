//! The places of connections: how many are served at once, who waits, and who gives his up when all are taken.
//!
//! A client that has shown for a while that it is slow makes room for one that waits; while nobody is slow nobody is hurried:
//! whoever is answered quickly gives its place up by itself. No address has all places, so that others find one however many
//! connections it makes.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// When all places are taken, a client that has not sent its request and taken its answer within this is closed for one that
/// waits.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Since when a client is expected to do something: to send its request, or to take the answer. Nothing while it need not.
#[derive(Debug)]
pub(super) struct Owing(Mutex<Option<Instant>>);

impl Owing {
    /// From the start a request is expected.
    pub(super) fn begin() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(Instant::now()))))
    }

    /// A byte has come, or was sent.
    pub(super) fn moved(&self) {
        self.lock().get_or_insert_with(Instant::now);
    }

    /// The answer has wholly left.
    pub(super) fn done(&self) {
        *self.lock() = None;
    }

    fn since(&self) -> Option<Instant> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// The most that one address may have.
    per_address: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    /// The oldest first.
    by_number: BTreeMap<u64, Holder>,
    next: u64,
}

#[derive(Debug)]
struct Holder {
    address: Option<IpAddr>,
    owing: Arc<Owing>,
    /// Told when it has to go.
    leave: Arc<Notify>,
    leaving: bool,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    places: Arc<Places>,
    permit: Option<OwnedSemaphorePermit>,
    /// Told when the connection has to go at once.
    pub(super) leave: Arc<Notify>,
    /// To be told what the connection does.
    pub(super) owing: Arc<Owing>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().by_number.remove(&self.number);
        drop(self.permit.take());
        self.places.freed.notify_one();
    }
}

impl Places {
    /// So many; an address has three quarters of them at most.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let most = most.max(1);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most)),
            per_address: (most - most / 4).max(1),
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place, if one is free and the address has not as many as it may.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.lock();
        let of = |holder: &&Holder| address.is_some() && holder.address == address;
        if taken.by_number.values().filter(of).count() >= self.per_address {
            return None;
        }
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let (owing, leave) = (Owing::begin(), Arc::new(Notify::new()));
        let number = taken.next;
        taken.next += 1;
        let holder = Holder { address, owing: Arc::clone(&owing), leave: Arc::clone(&leave), leaving: false };
        taken.by_number.insert(number, holder);
        drop(taken);
        Some(Place { number, places: Arc::clone(self), permit: Some(permit), leave, owing })
    }

    /// A place was given back.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Tells one slow client to go for one of these that wait: of the address that has most places, the one that has been slow
    /// for longest. When to look again.
    pub(super) fn hurry(&self, waiting: impl Fn(Option<IpAddr>) -> bool) -> Instant {
        let now = Instant::now();
        // Where places are free, those that wait have as many as they may.
        let any = self.free.available_permits() == 0;
        let mut taken = self.lock();
        let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for holder in taken.by_number.values() {
            *counts.entry(holder.address).or_default() += 1;
        }
        if taken.by_number.values().any(|holder| holder.leaving) {
            // Its place is free in a moment.
            return now + SLOW_AFTER;
        }
        let owing = taken.by_number.values_mut().filter_map(|holder| Some((holder.owing.since()?, holder)));
        let mut next = now + SLOW_AFTER;
        let mut slowest: Option<(usize, Duration, &mut Holder)> = None;
        for (since, holder) in owing.filter(|(_, holder)| any || waiting(holder.address)) {
            let owed = now.saturating_duration_since(since);
            if owed < SLOW_AFTER {
                next = next.min(since + SLOW_AFTER);
                continue;
            }
            let has = counts.get(&holder.address).copied().unwrap_or_default();
            if slowest.as_ref().is_none_or(|(most, longest, _)| (has, owed) > (*most, *longest)) {
                slowest = Some((has, owed, holder));
            }
        }
        if let Some((_, _, holder)) = slowest {
            holder.leaving = true;
            holder.leave.notify_one();
            return now + SLOW_AFTER;
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test(start_paused = true)]
    async fn no_address_has_all_places() {
        let places = Places::new(8);
        let held: Vec<_> = (0..6).map(|_| places.take(address(1)).expect("a place")).collect();
        assert!(places.take(address(1)).is_none() && places.take(address(2)).is_some());
        assert!(places.take(None).is_some());
        drop(held);
        places.freed().await;
        assert!(places.take(address(1)).is_some());
        assert!(places.lock().by_number.is_empty(), "nothing is kept of who has left");
    }

    #[tokio::test(start_paused = true)]
    async fn of_slow_clients_the_slowest_of_the_address_with_most_makes_room() {
        let places = Places::new(4);
        let began = Instant::now();
        let one = places.take(address(1)).expect("a place");
        tokio::time::advance(Duration::from_millis(100)).await;
        let two: Vec<_> = (0..3).map(|_| places.take(address(2)).expect("a place")).collect();
        two[0].owing.done();
        let told = |place: &Place| place.leave.notified().now_or_never().is_some();
        let everybody = |_| true;
        assert_eq!(places.hurry(everybody), began + SLOW_AFTER, "nobody is slow yet");
        tokio::time::advance(Duration::from_millis(900)).await;
        places.hurry(everybody);
        assert!(told(&one) && !two.iter().any(told), "it alone is slow");
        places.hurry(everybody);
        assert!(!two.iter().any(told), "one at a time");
        drop(one);
        tokio::time::advance(Duration::from_secs(10)).await;
        let three = places.take(address(3)).expect("a place");
        tokio::time::advance(Duration::from_secs(10)).await;
        places.hurry(everybody);
        assert!(told(&two[1]) && !told(&two[0]) && !told(&three), "who has nothing to do is not slow");
    }
}
