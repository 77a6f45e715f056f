//! The line that `systemctl status` shows.

use std::fmt::Write as _;

use telemetry::Snapshot;

/// More routes are only counted.
const ROUTES: usize = 6;

/// Hashrate, miners, and what each route mines on.
pub(super) fn status_line(snapshot: &Snapshot) -> String {
    let hashrate: f64 = snapshot.routes.iter().map(|route| route.hashrate_hs).sum();
    let miners: u64 = snapshot.routes.iter().map(|route| route.miners).sum();
    let mut line =
        format!("{} from {miners} miner{}", Hashrate(hashrate), if miners == 1 { "" } else { "s" });
    for route in snapshot.routes.iter().take(ROUTES) {
        let source = match &route.active {
            Some(source) if route.has_work => source.as_str(),
            _ => "no work",
        };
        // Writing to a String cannot fail.
        let _ = write!(line, "; {}: {source}", route.name);
    }
    if let Some(more) = snapshot.routes.len().checked_sub(ROUTES).filter(|more| *more > 0) {
        let _ = write!(line, "; {more} more routes");
    }
    let alarms = snapshot.alarms.iter().filter(|alarm| alarm.active).count();
    if alarms > 0 {
        let _ = write!(line, "; {alarms} alarm{}", if alarms == 1 { "" } else { "s" });
    }
    line
}

/// Hashes a second with a prefix.
struct Hashrate(f64);

impl std::fmt::Display for Hashrate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut value, mut prefix) = (self.0, "");
        for next in ["k", "M", "G", "T", "P", "E", "Z"] {
            if value < 1000.0 {
                break;
            }
            (value, prefix) = (value / 1000.0, next);
        }
        write!(f, "{value:.2} {prefix}H/s")
    }
}

#[cfg(test)]
mod tests {
    use telemetry::RouteSnapshot;

    use super::*;

    #[test]
    fn it_says_how_much_comes_from_whom_and_where_it_goes() {
        let route = |name: &str, active: Option<&str>, hashrate_hs, miners| RouteSnapshot {
            name: name.to_owned(),
            active: active.map(str::to_owned),
            has_work: active.is_some(),
            hashrate_hs,
            miners,
            ..RouteSnapshot::default()
        };
        let mut snapshot = Snapshot {
            routes: vec![route("main", Some("pool-a"), 1.2e15, 480), route("spare", None, 5e13, 20)],
            ..Snapshot::default()
        };
        let line = status_line(&snapshot);
        assert_eq!(line, "1.25 PH/s from 500 miners; main: pool-a; spare: no work");
        snapshot.routes.extend((0..20).map(|n| route(&format!("r{n}"), None, 0.0, 0)));
        let line = status_line(&snapshot);
        assert!(line.ends_with("; 16 more routes"), "{line}");
    }
}
