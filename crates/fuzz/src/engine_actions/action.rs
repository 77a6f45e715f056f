//! What happens next.

use arbitrary::{Arbitrary, Error, Result, Unstructured};

/// One step of a run. Numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action<'a> {
    /// A miner connects.
    Connect { slot: u8 },
    /// A miner's connection ends.
    Leave { slot: u8 },
    /// A miner subscribes, authorises and maybe configures, in some order.
    SetUp { slot: u8, how: u8 },
    /// A request as firmware sends it.
    Request { slot: u8, which: u8, value: u8 },
    /// Any line.
    Line { slot: u8, line: &'a [u8] },
    /// A share for one of the jobs that the miner was told.
    Mine { slot: u8, job: u8, nonce: u8, oddity: u8 },
    /// Time passes.
    Tick { how: u8 },
    /// A source's link comes or goes, or its lease changes.
    Link { source: u8, how: u8 },
    /// The pool answers the set-up.
    PoolSetUp { source: u8, how: u8 },
    /// The pool answers wishes for channels.
    PoolOpens { source: u8, how: u8, space: u8 },
    /// The pool sends a job.
    PoolJob { source: u8, to: u8, how: u8, tip: u8 },
    /// The pool answers shares.
    PoolAnswers { source: u8, how: u8, count: u8 },
    /// Something else that a pool may say.
    PoolSays { source: u8, which: u8, value: u8 },
    /// Any frame.
    Frame { source: u8, extension: u8, msg_type: u8, payload: &'a [u8] },
    /// A source's task takes shares out of its queue.
    Pump { source: u8, count: u8 },
    /// A miner's task gets its turn: news, then its timer.
    Turn { slot: u8 },
}

impl<'a> Arbitrary<'a> for Action<'a> {
    /// One byte for the kind, one for each number, and a length before bytes: easy to read in a hex dump, and a
    /// change of one byte changes one action.
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.is_empty() {
            return Err(Error::NotEnoughData);
        }
        let kind = byte(u) % 16;
        Ok(match kind {
            0 => Self::Connect { slot: byte(u) },
            1 => Self::Leave { slot: byte(u) },
            2 => Self::SetUp { slot: byte(u), how: byte(u) },
            3 => Self::Request { slot: byte(u), which: byte(u), value: byte(u) },
            4 => Self::Line { slot: byte(u), line: bytes(u) },
            5 => Self::Mine { slot: byte(u), job: byte(u), nonce: byte(u), oddity: byte(u) },
            6 => Self::Tick { how: byte(u) },
            7 => Self::Link { source: byte(u), how: byte(u) },
            8 => Self::PoolSetUp { source: byte(u), how: byte(u) },
            9 => Self::PoolOpens { source: byte(u), how: byte(u), space: byte(u) },
            10 => Self::PoolJob { source: byte(u), to: byte(u), how: byte(u), tip: byte(u) },
            11 => Self::PoolAnswers { source: byte(u), how: byte(u), count: byte(u) },
            12 => Self::PoolSays { source: byte(u), which: byte(u), value: byte(u) },
            13 => {
                let (source, extension, msg_type) = (byte(u), byte(u), byte(u));
                Self::Frame { source, extension, msg_type, payload: bytes(u) }
            }
            14 => Self::Pump { source: byte(u), count: byte(u) },
            _ => Self::Turn { slot: byte(u) },
        })
    }
}

/// The next byte, 0 after the last.
fn byte(u: &mut Unstructured<'_>) -> u8 {
    u.arbitrary().unwrap_or(0)
}

/// A length and as many bytes, or what is left.
fn bytes<'a>(u: &mut Unstructured<'a>) -> &'a [u8] {
    let len = usize::from(byte(u)).min(u.len());
    u.bytes(len).unwrap_or(&[])
}
