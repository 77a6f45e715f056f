//! Changes to goals while they are in force: `PATCH /api/v1/routes`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::takes_the_rest;
use super::given::Given;
use super::kind::{Amount, Fix, Hashrate, Hours, Kind, Moment, Number, Refusal};
use super::tables::{Goal, WEIGHT};
use super::{Config, Name};

/// The keys that can be changed.
const KEYS: &str = "weight, hashrate_max, from, until, hours, work_max";

/// The goals as they are after a change: an object `{"goals": {"NAME": {"KEY": value}}}` with the keys of `[goal.NAME]`,
/// null for the default. All of it is right, or none of it holds.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub fn changed_goals(goals: &BTreeMap<Name, Goal>, change: &[u8]) -> Result<BTreeMap<Name, Goal>, String> {
    let value: Value = serde_json::from_slice(change).map_err(|error| format!("not JSON: {error}"))?;
    let wanted = "expected an object such as {\"goals\": {\"NAME\": {\"weight\": 10}}}";
    let object = value.as_object().ok_or(wanted)?;
    if let Some(key) = object.keys().find(|key| *key != "goals") {
        return Err(format!("{key}: {wanted}"));
    }
    let of_goals = object.get("goals").and_then(Value::as_object).ok_or(wanted)?;
    let mut problems = Vec::new();
    let mut changed = goals.clone();
    for (name, keys) in of_goals {
        let goal = Name::new(name).and_then(|name| changed.get_mut(&name));
        let Some(goal) = goal else {
            let known: Vec<&str> = goals.keys().map(Name::as_str).collect();
            problems.push(format!("goals.{name}: there is no such goal; there are: {}", known.join(", ")));
            continue;
        };
        let Some(keys) = keys.as_object() else {
            problems.push(format!("goals.{name}: expected an object with {KEYS}"));
            continue;
        };
        for (key, value) in keys {
            if let Err(problem) = change_key(goal, key, value) {
                problems.push(format!("goals.{name}.{key}: {problem}"));
            }
        }
    }
    problems.extend(unfit(&changed));
    if problems.is_empty() { Ok(changed) } else { Err(problems.join("\n")) }
}

/// What does not fit together.
fn unfit(goals: &BTreeMap<Name, Goal>) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, goal) in goals {
        if let (Some(from), Some(until)) = (goal.from, goal.until)
            && from >= until
        {
            problems.push(format!("goals.{name}: until, {until}, is not after from, {from}"));
        }
        if !goals.values().any(|other| other.route == goal.route && takes_the_rest(other)) {
            let problem = format!(
                "route {}: no goal is left without from, until, hours, hashrate_max and work_max, to take the rest",
                goal.route
            );
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

fn change_key(goal: &mut Goal, key: &str, value: &Value) -> Result<(), String> {
    match key {
        "weight" => goal.weight = read(&Number(0.0..=1e6), value)?.unwrap_or(WEIGHT),
        "hashrate_max" => goal.hashrate_max = read(&Hashrate(1.0..=1e24), value)?,
        "from" if goal.work_max.is_some() => {
            return Err(
                "with work_max it says what is counted, as the file has it when Adit starts".to_owned()
            );
        }
        "from" => goal.from = read(&Moment, value)?,
        "until" => goal.until = read(&Moment, value)?,
        "hours" => goal.hours = read(&Hours, value)?,
        // What a new beginning or a first bound counts from is read at the start alone.
        "work_max" if goal.work_max.is_some() && !value.is_null() => goal.work_max = read(&Amount, value)?,
        "work_max" => return Err("what is counted is decided by the file when Adit starts".to_owned()),
        _ => return Err(format!("not a key that can be changed here; those are: {KEYS}")),
    }
    Ok(())
}

/// Null is the default.
fn read<K: Kind>(kind: &K, value: &Value) -> Result<Option<K::Value>, String> {
    let given = match value {
        Value::Null => return Ok(None),
        Value::String(text) => Given::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Given::Whole { value: Some(whole), radix: 10, digits: whole.to_string() },
            None => Given::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        _ => return Err(format!("expected {}", kind.expected())),
    };
    kind.read(&given).map(Some).map_err(|Refusal { expected, fix, .. }| {
        let expected = expected.unwrap_or_else(|| kind.expected());
        match fix {
            Some(Fix::Value(fix) | Fix::Words(fix)) => format!("expected {expected}; try {fix}"),
            None => format!("expected {expected}"),
        }
    })
}

impl Config {
    /// Whether another configuration has the same goals with the same sources, so that all that differs between them
    /// can be changed while they are in force.
    #[must_use]
    pub fn same_goals(&self, other: &Self) -> bool {
        let alike = |(a, b): (&Goal, &Goal)| {
            // What is counted for work_max is read at the start alone.
            let counted = |goal: &Goal| goal.work_max.is_some().then_some(goal.from);
            a.route == b.route && a.sources == b.sources && counted(a) == counted(b)
        };
        self.goals.keys().eq(other.goals.keys()) && self.goals.values().zip(other.goals.values()).all(alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UnixTime;

    fn goals() -> BTreeMap<Name, Goal> {
        let goal = |source: &str| Goal {
            route: Name::new("main").unwrap(),
            sources: vec![Name::new(source).unwrap()],
            weight: 1.0,
            hashrate_max: None,
            from: None,
            until: None,
            hours: None,
            work_max: None,
        };
        ["ours", "friend"].map(|name| (Name::new(name).unwrap(), goal(name))).into()
    }

    fn change(text: &str) -> Result<BTreeMap<Name, Goal>, String> {
        changed_goals(&goals(), text.as_bytes())
    }

    #[test]
    fn a_change_names_goals_and_keys_and_leaves_the_rest() {
        let text = r#"{"goals": {"friend": {"weight": 0.5, "hashrate_max": "1 PH/s",
            "until": "2026-12-01T00:00:00Z", "hours": "22:00-06:00"}}}"#;
        let changed = change(text).unwrap();
        let friend = &changed[&Name::new("friend").unwrap()];
        assert_eq!((friend.weight, friend.hashrate_max), (0.5, Some(1e15)));
        assert_eq!(friend.until, UnixTime::parse("2026-12-01"));
        assert_eq!(changed[&Name::new("ours").unwrap()], goals()[&Name::new("ours").unwrap()]);
        let back =
            changed_goals(&changed, br#"{"goals": {"friend": {"hashrate_max": null, "hours": null}}}"#);
        assert_eq!(back.unwrap()[&Name::new("friend").unwrap()].hashrate_max, None);
    }

    #[test]
    fn what_is_wrong_is_told_whole() {
        let text = r#"{"goals": {"freind": {"weight": 1}, "ours": {"weight": -1, "sources": ["x"]},
            "friend": {"from": "2026-12-01", "until": "2026-11-01"}}}"#;
        let problems = change(text).unwrap_err();
        for part in [
            "goals.freind: there is no such goal",
            "goals.ours.weight: expected a number from 0",
            "goals.ours.sources: not a key that can be changed here",
            "goals.friend: until, 2026-11-01",
        ] {
            assert!(problems.contains(part), "{problems}");
        }
        let all = r#"{"goals": {"ours": {"hours": "1:00"}, "friend": {"hashrate_max": 5}}}"#;
        assert!(change(all).unwrap_err().contains("goals.ours.hours: expected hours"));
        let capped = r#"{"goals": {"ours": {"hashrate_max": 5}, "friend": {"hashrate_max": 5}}}"#;
        assert!(change(capped).unwrap_err().contains("no goal is left"));
        for bad in
            ["", "[]", "{}", r#"{"goal": {}}"#, r#"{"goals": []}"#, r#"{"goals": {"ours": 1}}"#, "\u{fffd}"]
        {
            assert!(change(bad).is_err(), "{bad}");
        }
    }
}
