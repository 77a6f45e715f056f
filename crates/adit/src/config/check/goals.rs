//! Routes and their goals.

use super::{Parts, item, name_exists, named_once, names_exist};
use crate::config::given::quoted;
use crate::config::name::Name;
use crate::config::place::Spot;
use crate::config::reader::Reader;
use crate::config::section::Table;
use crate::config::tables::Goal;

/// The most goals that one route may have.
const GOALS_MAX: usize = 32;

pub(super) fn check(parts: &Parts, reader: &mut Reader<'_>) {
    for (name, goal) in &parts.goals {
        let key = format!("goal.{name}.route");
        let spot = reader.spot(&key).cloned().unwrap_or(Spot::Whole);
        name_exists(parts, &[Table::Route], (&spot, &key), &goal.route, reader);
        let key = format!("goal.{name}.sources");
        names_exist(parts, &Table::WORK, &key, &goal.sources, reader);
        named_once(&key, &goal.sources, reader);
        first_is_its_own(parts, name, goal, reader);
        if let (Some(from), Some(until)) = (goal.from, goal.until)
            && from >= until
        {
            let key = format!("goal.{name}.until");
            let spot = reader.spot(&key).cloned().unwrap_or(Spot::Whole);
            let fix = "write a later moment, or leave one of the two out".to_owned();
            reader.report(&spot, &key, format!("a moment after from, {from}"), until.to_string(), fix);
        }
    }
    for (name, pin) in &parts.pins {
        let key = format!("pin.{name}.goal");
        let spot = reader.spot(&key).cloned().unwrap_or(Spot::Whole);
        name_exists(parts, &[Table::Goal], (&spot, &key), &pin.goal, reader);
    }
    // A goal that could not be read may be the one that a route needs.
    if reader.is_broken() || parts.names(Table::Goal).len() != parts.goals.len() {
        return;
    }
    for (name, route) in &parts.routes {
        let goals: Vec<_> = parts.goals.iter().filter(|(_, goal)| goal.route == *name).collect();
        let key = format!("route.{name}.sources");
        if reader.is_bad(&key) {
            continue;
        }
        let header = parts.header_of(Table::Route, name);
        if route.sources.is_empty() && goals.is_empty() {
            let fix =
                format!("add sources = [...], or tables [goal.NAME] with route = {}", quoted(name.as_str()));
            let expected = "sources, or goals that have them".to_owned();
            reader.report(&header, &key, expected, "neither".to_owned(), fix);
        } else if !route.sources.is_empty() && !goals.is_empty() {
            let spot = reader.spot(&key).cloned().unwrap_or(header);
            let found = format!("sources, and [goal.{}]", goals[0].0);
            let fix = "make the sources a goal of their own, or take the goals away".to_owned();
            reader.report(&spot, &key, "either sources or goals".to_owned(), found, fix);
        } else if !goals.is_empty() && !goals.iter().any(|(_, goal)| takes_the_rest(goal)) {
            let expected = "one goal that has work at any time, as much as there is".to_owned();
            let found = "from, until, hours, hashrate_max or work_max in each".to_owned();
            let fix = format!(
                "add a goal without them: it has what the others do not take (weight = 0: only that), such as \
                 [goal.rest] with route = {}",
                quoted(name.as_str())
            );
            reader.report(&header, &format!("route.{name}"), expected, found, fix);
        } else if goals.len() > GOALS_MAX {
            let found = goals.len().to_string();
            let fix = "share them out among several routes".to_owned();
            reader.report(
                &header,
                &format!("route.{name}"),
                format!("at most {GOALS_MAX} goals"),
                found,
                fix,
            );
        }
    }
}

pub(crate) fn takes_the_rest(goal: &Goal) -> bool {
    goal.from.is_none()
        && goal.until.is_none()
        && goal.hours.is_none()
        && goal.hashrate_max.is_none()
        && goal.work_max.is_none()
}

/// Two goals of a route that begin with the same source would be one.
fn first_is_its_own(parts: &Parts, name: &Name, goal: &Goal, reader: &mut Reader<'_>) {
    let Some(first) = goal.sources.first() else { return };
    let others = parts.goals.iter().take_while(|(other, _)| *other != name);
    let same = |other: &Goal| other.route == goal.route && other.sources.first() == Some(first);
    if let Some((other, _)) = others.into_iter().find(|(_, other)| same(other)) {
        let (spot, key) = item(&format!("goal.{name}.sources"), 0, reader);
        let found = format!("{}, with which [goal.{other}] begins as well", quoted(first.as_str()));
        let fix = "make one goal of the two, with both weights together".to_owned();
        reader.report(&spot, &key, "a first source of its own".to_owned(), found, fix);
    }
}
