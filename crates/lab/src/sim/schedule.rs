//! What happens next: events in the order of their time, those of one time in the order in which they were made.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::time::Micros;

/// The events to come.
#[derive(Debug)]
pub(super) struct Schedule<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    made: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Micros,
    order: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), made: 0 }
    }
}

impl<E> Schedule<E> {
    /// Something will happen.
    pub(super) fn at(&mut self, at: Micros, event: E) {
        let order = self.made;
        self.made += 1;
        self.heap.push(Reverse(Entry { at, order, event }));
    }

    /// When the next thing happens.
    pub(super) fn next_at(&self) -> Option<Micros> {
        self.heap.peek().map(|entry| entry.0.at)
    }

    /// The next thing that happens.
    pub(super) fn pop(&mut self) -> Option<(Micros, E)> {
        self.heap.pop().map(|entry| (entry.0.at, entry.0.event))
    }
}
