//! How many connections there may be at a time, where that can be changed while there are some.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A cap. Lowering it sends nobody away.
#[derive(Debug)]
pub struct Cap {
    most: AtomicU32,
    taken: AtomicU32,
}

/// One of the places; given back when dropped.
#[derive(Debug)]
pub(super) struct CapPlace(Arc<Cap>);

impl Drop for CapPlace {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

impl Cap {
    /// So many; without a number as many as come.
    #[must_use]
    pub fn new(most: Option<u32>) -> Self {
        Self { most: AtomicU32::new(most.unwrap_or(u32::MAX)), taken: AtomicU32::new(0) }
    }

    /// From now on.
    pub fn set(&self, most: Option<u32>) {
        self.most.store(most.unwrap_or(u32::MAX), Relaxed);
    }

    /// A place, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Option<CapPlace> {
        let most = self.most.load(Relaxed);
        let taken = self.taken.fetch_update(Relaxed, Relaxed, |taken| (taken < most).then_some(taken + 1));
        taken.ok().map(|_| CapPlace(Arc::clone(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_can_be_raised_and_lowered_while_places_are_taken() {
        let cap = Arc::new(Cap::new(Some(2)));
        let (first, second) = (cap.take().expect("a place"), cap.take().expect("another"));
        assert!(cap.take().is_none());
        cap.set(Some(3));
        let third = cap.take().expect("one more");
        cap.set(Some(1));
        drop(third);
        drop(second);
        assert!(cap.take().is_none(), "nobody is sent away, and nobody comes");
        drop(first);
        let again = cap.take().expect("a place");
        cap.set(None);
        assert!(cap.take().is_some());
        drop(again);
    }
}
