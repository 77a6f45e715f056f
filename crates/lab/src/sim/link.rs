//! A simulated TCP connection between Adit and a peer: bytes arrive later, cut anywhere, never out of order within
//! one direction; a window bounds what the other side has not read; it can be closed, reset and fall silent.

use std::collections::VecDeque;

use super::rng::Rng;
use super::time::Micros;

/// A link of the run; numbers are not given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkId(pub(super) u32);

/// An end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Adit,
    Peer,
}

impl End {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Adit => Self::Peer,
            Self::Peer => Self::Adit,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Adit => 0,
            Self::Peer => 1,
        }
    }
}

/// How a link behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkManner {
    /// Shortest way of a byte.
    pub(super) latency: Micros,
    /// At most so much more.
    pub(super) jitter: Micros,
    /// How often a write is cut in pieces.
    pub(super) cut: f64,
    /// Bytes that may be sent and not read.
    pub(super) window: usize,
}

#[derive(Debug)]
struct Flying {
    at: Micros,
    bytes: Vec<u8>,
    /// The sender closes behind these bytes.
    last: bool,
}

/// What is under way to one end.
#[derive(Debug, Default)]
struct Lane {
    flying: VecDeque<Flying>,
    last_at: Micros,
    flying_bytes: usize,
    inbox: Vec<u8>,
    ended: bool,
    closed_by_sender: bool,
    silent: bool,
    /// The sender was told that there is no room.
    sender_waits: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    manner: LinkManner,
    lanes: [Lane; 2],
    /// An end that knows that the connection is broken.
    broken: [bool; 2],
    /// An end that has no more to do with it.
    left: [bool; 2],
}

/// Moments at which something arrives, to be scheduled.
pub(super) type Arrivals = Vec<Micros>;

impl Link {
    pub(super) fn new(manner: LinkManner) -> Self {
        Self { manner, lanes: Default::default(), broken: [false; 2], left: [false; 2] }
    }

    /// Bytes from one end to the other; as many as the window takes. The moments of arrival are added to
    /// `arrivals`.
    pub(super) fn write(
        &mut self,
        from: End,
        bytes: &[u8],
        now: Micros,
        rng: &mut Rng,
        arrivals: &mut Arrivals,
    ) -> usize {
        if self.broken[from.index()] {
            return bytes.len();
        }
        let manner = self.manner;
        let lane = &mut self.lanes[from.other().index()];
        if lane.closed_by_sender {
            return bytes.len();
        }
        let room = manner.window.saturating_sub(lane.flying_bytes + lane.inbox.len());
        let taken = room.min(bytes.len());
        if taken < bytes.len() {
            lane.sender_waits = true;
        }
        let mut rest = &bytes[..taken];
        while !rest.is_empty() {
            let piece = if rest.len() > 1 && manner.cut > 0.0 && rng.chance(manner.cut) {
                1 + rng.index(rest.len() - 1)
            } else {
                rest.len()
            };
            let (head, tail) = rest.split_at(piece);
            rest = tail;
            lane.fly(head.to_vec(), false, now, manner, rng, arrivals);
        }
        taken
    }

    /// This end sends no more: the other sees the end after all bytes.
    pub(super) fn close(&mut self, from: End, now: Micros, rng: &mut Rng, arrivals: &mut Arrivals) {
        let manner = self.manner;
        let lane = &mut self.lanes[from.other().index()];
        if !lane.closed_by_sender {
            lane.closed_by_sender = true;
            lane.fly(Vec::new(), true, now, manner, rng, arrivals);
        }
    }

    /// An end has no more to do with the link. True: neither has the other.
    pub(super) fn leave(&mut self, end: End) -> bool {
        self.left[end.index()] = true;
        self.left[end.other().index()]
    }

    /// What has arrived at `end` by now moves into its inbox. True: there is something to read.
    pub(super) fn arrive(&mut self, end: End, now: Micros) -> bool {
        let lane = &mut self.lanes[end.index()];
        if lane.silent {
            return false;
        }
        let mut any = false;
        while lane.flying.front().is_some_and(|f| f.at <= now) {
            let Some(flying) = lane.flying.pop_front() else {
                break;
            };
            lane.flying_bytes -= flying.bytes.len();
            if lane.inbox.is_empty() {
                lane.inbox = flying.bytes;
            } else {
                lane.inbox.extend_from_slice(&flying.bytes);
            }
            lane.ended |= flying.last;
            any = true;
        }
        any
    }

    /// Takes up to `most` bytes from an end's inbox. True with it: the sender waited for room and has some now.
    pub(super) fn read(&mut self, end: End, most: usize, into: &mut Vec<u8>) -> bool {
        let lane = &mut self.lanes[end.index()];
        if into.is_empty() && lane.inbox.len() <= most {
            std::mem::swap(into, &mut lane.inbox);
        } else {
            let n = lane.inbox.len().min(most);
            into.extend(lane.inbox.drain(..n));
        }
        std::mem::take(&mut lane.sender_waits)
    }

    /// Bytes that an end can read now.
    pub(super) fn readable(&self, end: End) -> usize {
        self.lanes[end.index()].inbox.len()
    }

    /// The other side has closed and everything before that was read, or the connection is broken.
    pub(super) fn is_over(&self, end: End) -> bool {
        let lane = &self.lanes[end.index()];
        self.broken[end.index()] || (lane.ended && lane.inbox.is_empty())
    }

    /// Whether an end could write a byte.
    pub(super) fn has_room(&self, from: End) -> bool {
        let lane = &self.lanes[from.other().index()];
        lane.flying_bytes + lane.inbox.len() < self.manner.window
    }

    /// An end learns that the connection is broken: what was under way to it is lost.
    pub(super) fn break_at(&mut self, end: End) {
        self.broken[end.index()] = true;
        let lane = &mut self.lanes[end.index()];
        lane.flying.clear();
        lane.flying_bytes = 0;
        lane.inbox.clear();
    }

    /// Nothing arrives at either end any more, and nobody notices.
    pub(super) fn fall_silent(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.silent = true);
    }

    /// What was under way arrives after all.
    pub(super) fn speak_again(&mut self, now: Micros, arrivals: &mut [Arrivals; 2]) {
        for (lane, arrivals) in self.lanes.iter_mut().zip(arrivals) {
            lane.silent = false;
            for flying in &mut lane.flying {
                flying.at = flying.at.max(now);
                arrivals.push(flying.at);
            }
        }
    }

    /// Whether it is silent.
    pub(super) fn is_silent(&self) -> bool {
        self.lanes[0].silent
    }
}

impl Lane {
    fn fly(
        &mut self,
        bytes: Vec<u8>,
        last: bool,
        now: Micros,
        manner: LinkManner,
        rng: &mut Rng,
        arrivals: &mut Arrivals,
    ) {
        let at = (now + manner.latency + rng.below(manner.jitter + 1)).max(self.last_at);
        self.last_at = at;
        self.flying_bytes += bytes.len();
        self.flying.push_back(Flying { at, bytes, last });
        arrivals.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_in_order_however_they_are_cut_and_the_window_holds() {
        let manner = LinkManner { latency: 10, jitter: 50, cut: 0.9, window: 1000 };
        let mut link = Link::new(manner);
        let (mut rng, mut arrivals) = (Rng::new(1), vec![]);
        let sent: Vec<u8> = (0..2000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let (mut written, mut got, mut now) = (0, Vec::new(), 0);
        while got.len() < sent.len() {
            written += link.write(End::Adit, &sent[written..], now, &mut rng, &mut arrivals);
            assert!(written - got.len() <= 1000);
            now += 7;
            link.arrive(End::Peer, now);
            let mut part = Vec::new();
            link.read(End::Peer, 100, &mut part);
            got.extend(part);
        }
        assert_eq!(got, sent);
        link.close(End::Adit, now, &mut rng, &mut arrivals);
        assert!(!link.is_over(End::Peer));
        link.arrive(End::Peer, now + 1000);
        assert!(link.is_over(End::Peer));
    }
}
