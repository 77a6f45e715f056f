//! `[goal.NAME]`

use crate::config::kind::{
    Amount, DayHours, Hashrate, Hours, Maybe, Moment, Names, Number, OneName, UnixTime, Work,
};
use crate::config::name::Name;
use crate::config::table::table;

/// `goal.NAME.weight`.
pub const WEIGHT: f64 = 1.0;

table! {
    /// A part of a route's work, with sources of its own.
    pub struct Goal {
        /// The route whose work it is a part of. That route has no `sources` of its own then.
        route: Name = OneName, required;
        /// The sources in the order of preference: the first that works is used.
        sources: Vec<Name> = Names, required;
        /// How much of the route's work goes here, in proportion to the weights of the route's other goals. With 0 it
        /// has work only while none of the others has a source.
        weight: f64 = Number(0.0..=1e6), default WEIGHT;
        /// No more hashrate than this: what is above goes to the route's other goals.
        hashrate_max: Option<f64> = Maybe(Hashrate(1.0..=1e24)), default None, says "not set: no bound";
        /// It has no work before this moment.
        from: Option<UnixTime> = Maybe(Moment), default None, says "not set: at once";
        /// It has no work from this moment on.
        until: Option<UnixTime> = Maybe(Moment), default None, says "not set: for good";
        /// It has work at these hours of each day only, UTC. Where the second is before the first it is over midnight.
        hours: Option<DayHours> = Maybe(Hours), default None, says "not set: all day";
        /// It ends when it has had this much work, over all runs of Adit: hashes, said as a hashrate for a time. It is
        /// counted in the directory of `[state]`, for the goal's name and, if it has one, its `from`.
        work_max: Option<Work> = Maybe(Amount), default None, says "not set: no bound";
    }
}
