//! The lease's tag of a source: where its jobs' fillers have room for it, and where not.

use work::LeaseTag;

/// What there is to show of a source's tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagStatus {
    /// What stands in the filler of every share, where it has room.
    pub tag: LeaseTag,
    /// Channels whose filler has no room for it: their shares carry none.
    pub channels_without: usize,
    /// Bytes of the shortest of those fillers.
    pub shortest: u8,
}

impl TagStatus {
    /// Of a source whose channels have fillers of so many bytes.
    pub(super) fn of(tag: LeaseTag, fillers: impl Iterator<Item = u8>) -> Self {
        let short = fillers.filter(|filler| *filler < tag.len());
        short.fold(Self { tag, ..Self::default() }, |sum, filler| Self {
            channels_without: sum.channels_without + 1,
            shortest: if sum.channels_without == 0 { filler } else { sum.shortest.min(filler) },
            ..sum
        })
    }
}
