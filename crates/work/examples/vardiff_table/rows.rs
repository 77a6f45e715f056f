//! The stories that both vardiffs are told, and what became of all the trials of one.

use crate::simulation::{Firmware, Outcome, Scenario};

/// The configured guess of the cold starts, hashes per second.
pub(crate) const GUESS: f64 = 10e9;

const HOUR: f64 = 3600.0;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Time until it has converged, held against the goal.
    Goal,
    /// The same where the goal does not apply.
    Convergence,
    /// Restlessness of a settled miner.
    Steady,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) scenario: Scenario,
}

/// All rows of the table.
pub(crate) fn rows() -> Vec<Row> {
    let cold = |hashrate| Scenario {
        guess: GUESS,
        remembered: false,
        before: hashrate,
        warm_up: 0.0,
        hashrate,
        watch: HOUR,
        until_converged: true,
        firmware: Firmware::AtOnce,
    };
    let step = |factor: f64| Scenario {
        remembered: true,
        before: GUESS,
        warm_up: HOUR / 2.0,
        ..cold(GUESS * factor)
    };
    let steady = Scenario { until_converged: false, ..step(1.0) };
    let by = |scenario, firmware| Scenario { firmware, ..scenario };
    let row = |kind| move |name, scenario| Row { name, kind, scenario };
    let (goal, more, still) = (row(Kind::Goal), row(Kind::Convergence), row(Kind::Steady));
    vec![
        goal("cold start, 500 kH/s", cold(500e3)),
        goal("cold start, 10 MH/s", cold(10e6)),
        goal("cold start, 1 GH/s", cold(1e9)),
        goal("cold start, 10 GH/s (the guess is right)", cold(10e9)),
        goal("cold start, 100 GH/s", cold(100e9)),
        goal("cold start, 1 TH/s", cold(1e12)),
        goal("cold start, 100 TH/s", cold(100e12)),
        goal("cold start, 1 PH/s", cold(1e15)),
        goal("step by -50 %", step(0.5)),
        goal("step by +100 %", step(2.0)),
        more("start with what the worker had", Scenario { remembered: true, ..cold(10e9) }),
        more("step by -90 %", step(0.1)),
        more("step by -99.9 %", step(0.001)),
        more("step to 10 times", step(10.0)),
        more("step to 1000 times", step(1000.0)),
        more(
            "urgent changes at once, others with the next job: 500 kH/s",
            by(cold(500e3), Firmware::UrgentAtOnce),
        ),
        more(
            "urgent changes at once, others with the next job: 1 PH/s",
            by(cold(1e15), Firmware::UrgentAtOnce),
        ),
        more(
            "urgent changes at once, others with the next job: -50 %",
            by(step(0.5), Firmware::UrgentAtOnce),
        ),
        more(
            "urgent changes at once, others with the next job: +100 %",
            by(step(2.0), Firmware::UrgentAtOnce),
        ),
        more("all with the next job (30 s): 1 GH/s", by(cold(1e9), Firmware::NextJob)),
        more("all with the next job (30 s): 1 TH/s", by(cold(1e12), Firmware::NextJob)),
        more("all with the next job (30 s): -50 %", by(step(0.5), Firmware::NextJob)),
        more("all with the next job (30 s): +100 %", by(step(2.0), Firmware::NextJob)),
        more("the same, unknown to the vardiff: 1 GH/s", by(cold(1e9), Firmware::NextJobUnknown)),
        more("the same, unknown to the vardiff: 1 TH/s", by(cold(1e12), Firmware::NextJobUnknown)),
        more("the same, unknown to the vardiff: -50 %", by(step(0.5), Firmware::NextJobUnknown)),
        still("steady", steady),
        still("steady, urgent changes at once, others with the next job", by(steady, Firmware::UrgentAtOnce)),
        still("steady, all with the next job, unknown to the vardiff", by(steady, Firmware::NextJobUnknown)),
    ]
}

/// What became of the trials of one row.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Seconds until converged, ascending; infinite where it never was.
    times: Vec<f64>,
    watched: f64,
    outside_1_5: f64,
    outside_2: f64,
    changes: f64,
}

impl Summary {
    pub(crate) fn of(outcomes: &[Outcome]) -> Self {
        let mut times: Vec<f64> = outcomes.iter().map(|o| o.converged.unwrap_or(f64::INFINITY)).collect();
        times.sort_by(f64::total_cmp);
        let sum = |what: fn(&Outcome) -> f64| outcomes.iter().map(what).sum();
        Self {
            times,
            watched: sum(|o| o.watched),
            outside_1_5: sum(|o| o.outside_1_5),
            outside_2: sum(|o| o.outside_2),
            changes: sum(|o| o.changes),
        }
    }

    /// Share of trials that had converged within `seconds`.
    pub(crate) fn within(&self, seconds: f64) -> f64 {
        self.times.iter().filter(|&&time| time <= seconds).count() as f64 / self.times.len() as f64
    }

    /// The time within which a share `q` of the trials had converged; infinite if they had not.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let rank = (self.times.len() as f64 * q).ceil().max(1.0) as usize;
        self.times[rank.min(self.times.len()) - 1]
    }

    /// Share of the time with a difficulty outside a factor 1.5 of the ideal.
    pub(crate) fn outside_1_5(&self) -> f64 {
        self.outside_1_5 / self.watched
    }

    /// Share of the time with a difficulty outside a factor 2 of the ideal.
    pub(crate) fn outside_2(&self) -> f64 {
        self.outside_2 / self.watched
    }

    /// Changes of difficulty an hour.
    pub(crate) fn changes_per_hour(&self) -> f64 {
        self.changes / self.watched * HOUR
    }
}
