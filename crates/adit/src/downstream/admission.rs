//! Who may connect: caps on connections, all together, per listener and per public address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cap::{Cap, CapPlace};
use super::pace::Pace;
use crate::config::Network;

/// How soon a listener that waits because memory is short looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why a connection is closed before a byte of the miner's was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The listener's `allow` or `deny` keeps the address out.
    #[error("the address is not allowed here")]
    Denied,
    /// The listener has its `max_connections`.
    #[error("the listener is full")]
    ListenerFull,
    /// The address has its `max_connections_per_address`.
    #[error("too many connections from this address")]
    AddressFull,
}

/// Connections by public address; only those that have some.
type ByAddress = Arc<Mutex<HashMap<IpAddr, u32>>>;

/// Counts the connections of the process.
#[derive(Debug)]
pub struct Admission {
    total: Arc<Semaphore>,
    /// Permits that there are, taken or not: as many as there ever may have been.
    size: AtomicU32,
    /// Connections that may be.
    most: AtomicU32,
    /// Fewer while memory is short.
    cap: AtomicU32,
    pace: Pace,
    by_address: ByAddress,
}

/// How many connections one address may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerAddress<'a> {
    /// The most.
    pub(super) most: u32,
    /// Who may have as many as there are.
    pub(super) unlimited: &'a [Network],
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _total: OwnedSemaphorePermit,
    _listener: Option<CapPlace>,
    address: Option<(IpAddr, ByAddress)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((address, map)) = &self.address {
            let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = map.get_mut(address) {
                *count -= 1;
                if *count == 0 {
                    map.remove(address);
                }
            }
        }
    }
}

impl Admission {
    /// For at most `total` connections, of which so many a second are accepted.
    #[must_use]
    pub fn new(total: u32, accept_rate: u32) -> Self {
        Self {
            total: Arc::new(Semaphore::new(total as usize)),
            size: AtomicU32::new(total),
            most: AtomicU32::new(total),
            cap: AtomicU32::new(u32::MAX),
            pace: Pace::new(accept_rate),
            by_address: Arc::default(),
        }
    }

    /// From now on there may be so many; those there are stay.
    pub fn set_most(&self, total: u32) {
        let size = self.size.load(Relaxed);
        if total > size {
            self.size.store(total, Relaxed);
            self.total.add_permits((total - size) as usize);
        }
        self.most.store(total, Relaxed);
    }

    /// Connections that may be.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.most.load(Relaxed)
    }

    /// From now on so many connections are accepted a second.
    pub fn set_rate(&self, accept_rate: u32) {
        self.pace.set(accept_rate);
    }

    /// Whether there are no more than there may be.
    fn is_within(&self) -> bool {
        let size = self.size.load(Relaxed);
        let taken = size - u32::try_from(self.total.available_permits()).unwrap_or(u32::MAX).min(size);
        taken <= self.cap().min(self.most())
    }

    /// No more than so many connections from now on, because memory is short; those there are stay.
    pub fn set_cap(&self, connections: u32) {
        self.cap.store(connections, Relaxed);
    }

    /// What was set by [`Admission::set_cap`].
    #[must_use]
    pub fn cap(&self) -> u32 {
        self.cap.load(Relaxed)
    }

    /// How often a connection had to wait because so many came at once, ever.
    #[must_use]
    pub fn paced(&self) -> u64 {
        self.pace.waits()
    }

    /// Waits until it is time, and until there is room, for one more connection: what is not accepted waits in the
    /// kernel's queue and costs no memory of ours.
    pub(super) async fn room(&self) -> OwnedSemaphorePermit {
        self.pace.turn().await;
        loop {
            let room = Arc::clone(&self.total).acquire_owned().await.expect("the semaphore is never closed");
            // The one just taken counts.
            if self.is_within() {
                return room;
            }
            drop(room);
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// A place for one more miner on a connection that has its own, if there is room at once.
    pub(super) fn further(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.total).try_acquire_owned().ok()?;
        self.is_within().then_some(place)
    }

    /// Gives a place to a connection that was just accepted. It counts for no address yet: [`Admission::count`].
    pub(super) fn admit(room: OwnedSemaphorePermit, listener: Option<&Arc<Cap>>) -> Result<Place, Refused> {
        let listener = match listener {
            Some(cap) => Some(cap.take().ok_or(Refused::ListenerFull)?),
            None => None,
        };
        Ok(Place { _total: room, _listener: listener, address: None })
    }

    /// Counts a connection for the address that it comes from, once that is known.
    pub(super) fn count(
        &self,
        place: &mut Place,
        address: IpAddr,
        per_address: PerAddress<'_>,
    ) -> Result<(), Refused> {
        let address = address.to_canonical();
        if is_private(address) || per_address.unlimited.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        let address = as_one(address);
        let mut map = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(address).or_insert(0);
        if *count >= per_address.most {
            return Err(Refused::AddressFull);
        }
        *count += 1;
        drop(map);
        place.address = Some((address, Arc::clone(&self.by_address)));
        Ok(())
    }
}

/// The address that a peer's connections are counted under: who has one IPv6 address mostly has a whole network of 64
/// bits.
pub(super) fn as_one(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Addresses of the miners' own network: a farm behind one address is no attack.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLIMITED: &str = "198.51.100.0/24";

    fn admit(admission: &Admission, address: &str) -> Result<Place, Refused> {
        let room = Arc::clone(&admission.total).try_acquire_owned().expect("room");
        let unlimited = [Network::parse(UNLIMITED).expect("a network")];
        let per_address = PerAddress { most: 2, unlimited: &unlimited };
        let mut place = Admission::admit(room, None)?;
        admission.count(&mut place, address.parse().expect("an address"), per_address)?;
        Ok(place)
    }

    #[test]
    fn public_addresses_are_capped_and_private_and_listed_ones_are_not() {
        let admission = Admission::new(20, 1);
        let first = admit(&admission, "203.0.113.7").expect("the first");
        let _second = admit(&admission, "::ffff:203.0.113.7").expect("the second, the same address in IPv6");
        assert_eq!(admit(&admission, "203.0.113.7").unwrap_err(), Refused::AddressFull);
        for farm in ["192.168.1.9", "127.0.0.1", "::1", "fd00::7", "198.51.100.9", "::ffff:198.51.100.9"] {
            let _places: Vec<_> = (0..3).map(|_| admit(&admission, farm).expect(farm)).collect();
        }
        drop(first);
        admit(&admission, "203.0.113.7").expect("a place was given back");
        assert_eq!(admission.by_address.lock().unwrap().len(), 1, "nothing is kept of who has left");
    }

    #[test]
    fn in_ipv6_a_network_of_64_bits_counts_as_one() {
        let admission = Admission::new(20, 1);
        let places =
            ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"].map(|a| admit(&admission, a).expect(a));
        assert_eq!(admit(&admission, "2001:db8:1:2::3").unwrap_err(), Refused::AddressFull);
        admit(&admission, "2001:db8:1:3::1").expect("another network");
        drop(places);
        assert!(admission.by_address.lock().unwrap().is_empty(), "nothing is kept of who has left");
    }

    #[tokio::test]
    async fn more_or_fewer_may_come_from_now_on() {
        let admission = Admission::new(1, 100_000);
        let first = admission.room().await;
        let soon = || tokio::time::timeout(Duration::from_millis(300), admission.room());
        let in_time = || tokio::time::timeout(Duration::from_secs(60), admission.room());
        assert!(soon().await.is_err());
        admission.set_most(3);
        let (second, third) = (in_time().await.expect("a place"), in_time().await.expect("another"));
        assert!(admission.further().is_none());
        admission.set_most(2);
        drop(first);
        assert!(soon().await.is_err(), "those there are stay, and nobody comes");
        drop(second);
        assert!(in_time().await.is_ok());
        drop(third);
    }

    #[tokio::test]
    async fn above_the_cap_nobody_is_taken_until_it_is_lifted_or_somebody_leaves() {
        let admission = Admission::new(10, 1_000);
        let first = admission.room().await;
        let second = admission.room().await;
        admission.set_cap(2);
        // Several looks' time.
        let waited = tokio::time::timeout(LOOK_AGAIN * 4, admission.room()).await;
        assert!(waited.is_err(), "nobody is taken");
        assert_eq!(admission.total.available_permits(), 8, "and no place is lost by waiting");
        drop(first);
        let soon = Duration::from_secs(60);
        let third = tokio::time::timeout(soon, admission.room()).await.expect("a place for one who left");
        admission.set_cap(1);
        assert!(tokio::time::timeout(LOOK_AGAIN * 4, admission.room()).await.is_err());
        admission.set_cap(u32::MAX);
        let fourth = tokio::time::timeout(soon, admission.room()).await.expect("the cap is lifted");
        drop((second, third, fourth));
    }
}
