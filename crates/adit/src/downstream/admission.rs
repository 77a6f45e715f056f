//! Who may connect: caps on connections, all together, per listener and per public address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why a connection is closed before a byte was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
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
    by_address: ByAddress,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _total: OwnedSemaphorePermit,
    _listener: Option<OwnedSemaphorePermit>,
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
    /// For at most `total` connections.
    #[must_use]
    pub fn new(total: u32) -> Self {
        Self { total: Arc::new(Semaphore::new(total as usize)), by_address: Arc::default() }
    }

    /// Waits until there is room for one more connection: what is not accepted waits in the kernel's queue
    /// and costs no memory of ours.
    pub(super) async fn room(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.total).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Gives a place to a connection that was just accepted.
    pub(super) fn admit(
        &self,
        room: OwnedSemaphorePermit,
        listener: Option<&Arc<Semaphore>>,
        address: IpAddr,
        per_address: u32,
    ) -> Result<Place, Refused> {
        let listener = match listener {
            Some(cap) => Some(Arc::clone(cap).try_acquire_owned().map_err(|_| Refused::ListenerFull)?),
            None => None,
        };
        let address = address.to_canonical();
        if is_private(address) {
            return Ok(Place { _total: room, _listener: listener, address: None });
        }
        let mut map = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(address).or_insert(0);
        if *count >= per_address {
            return Err(Refused::AddressFull);
        }
        *count += 1;
        let address = Some((address, Arc::clone(&self.by_address)));
        Ok(Place { _total: room, _listener: listener, address })
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

    fn admit(admission: &Admission, address: &str) -> Result<Place, Refused> {
        let room = Arc::clone(&admission.total).try_acquire_owned().expect("room");
        admission.admit(room, None, address.parse().expect("an address"), 2)
    }

    #[test]
    fn public_addresses_are_capped_and_private_ones_are_not() {
        let admission = Admission::new(10);
        let first = admit(&admission, "203.0.113.7").expect("the first");
        let _second = admit(&admission, "::ffff:203.0.113.7").expect("the second, the same address in IPv6");
        assert_eq!(admit(&admission, "203.0.113.7").unwrap_err(), Refused::AddressFull);
        let _farm: Vec<_> = (0..5).map(|_| admit(&admission, "192.168.1.9").expect("a farm")).collect();
        drop(first);
        admit(&admission, "203.0.113.7").expect("a place was given back");
        assert_eq!(admission.by_address.lock().unwrap().len(), 1, "nothing is kept of who has left");
    }
}
