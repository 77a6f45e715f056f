//! Numbers that name things across the engine.

/// A source, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u16);

/// A route, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u16);

/// A listener, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// A goal of a route: part of its miners' work, by its place in the configuration. Goals of all routes are counted
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoalId(pub u16);

/// A connected miner, unique for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MinerRef(pub u64);

impl MinerRef {
    /// What the books spread their counters by.
    #[must_use]
    pub fn stripe(self) -> u32 {
        // Only spreads: any part of the number will do.
        (self.0 & 0xffff_ffff) as u32
    }
}

/// Miners that share one upstream channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u64);

/// One channel on one connection of one source. The connection is numbered, because channel ids mean
/// nothing outside of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelKey {
    /// The source.
    pub source: SourceId,
    /// Counts the source's connections.
    pub connection: u32,
    /// The id that the source gave.
    pub channel_id: u32,
}
