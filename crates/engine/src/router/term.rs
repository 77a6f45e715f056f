//! When a goal has work: between two moments, at some hours of the day, until it has had as much as it should.

const DAY: u64 = 86_400;

/// When a goal is to have work; by default always.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Term {
    /// Not before, Unix seconds.
    pub from: Option<u64>,
    /// Not from then on, Unix seconds.
    pub until: Option<u64>,
    /// Only at these times of the day: from, to, in seconds after midnight, UTC. From later than to, it is over
    /// midnight.
    pub hours: Option<(u32, u32)>,
    /// Until it has had this much work, in hashes.
    pub work_max: Option<f64>,
}

impl Term {
    /// Whether the goal may have work at this time, after so many hashes.
    #[must_use]
    pub fn is_open(&self, unix: u64, hashes: f64) -> bool {
        self.has_begun(unix) && !self.has_ended(unix, hashes) && self.is_hour(unix)
    }

    /// Whether it never gets work again.
    #[must_use]
    pub fn has_ended(&self, unix: u64, hashes: f64) -> bool {
        self.until.is_some_and(|until| unix >= until) || self.work_max.is_some_and(|most| hashes >= most)
    }

    fn has_begun(&self, unix: u64) -> bool {
        self.from.is_none_or(|from| unix >= from)
    }

    fn is_hour(&self, unix: u64) -> bool {
        self.hours.is_none_or(|(from, to)| {
            let second = u32::try_from(unix % DAY).unwrap_or(0);
            if from <= to { (from..to).contains(&second) } else { second >= from || second < to }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_open_from_its_beginning_to_its_end_at_its_hours() {
        let hour = 3_600;
        let term = Term {
            from: Some(10 * DAY),
            until: Some(12 * DAY),
            hours: Some((22 * hour, 6 * hour)),
            work_max: None,
        };
        let at = |day: u64, hours: u64| day * DAY + hours * u64::from(hour);
        assert!(!term.is_open(at(9, 23), 0.0), "not begun");
        assert!(term.is_open(at(10, 5), 0.0));
        assert!(!term.is_open(at(10, 6), 0.0), "the end is not of it");
        assert!(!term.is_open(at(10, 12), 0.0));
        assert!(term.is_open(at(11, 22), 0.0));
        assert!(!term.is_open(at(12, 0), 0.0) && term.has_ended(at(12, 0), 0.0));
        let day = Term { hours: Some((8 * hour, 20 * hour)), ..Term::default() };
        assert!(day.is_open(at(3, 8), 0.0) && !day.is_open(at(3, 20), 0.0) && !day.has_ended(at(3, 20), 0.0));
    }

    #[test]
    fn a_goal_has_ended_when_it_has_had_its_work() {
        let term = Term { work_max: Some(1e18), ..Term::default() };
        assert!(term.is_open(0, 9e17) && !term.is_open(0, 1e18) && term.has_ended(0, 1e18));
    }
}
