//! Finds out what happened between two snapshots.

use std::collections::BTreeMap;

use super::{EventKind, EventLevel, Events};
use crate::snapshot::{
    AlarmSnapshot, DeclarationState, GoalSnapshot, RouteSnapshot, Snapshot, SourceSnapshot, SourceState,
};

/// Counters of rare things that a listener has, with the words for one more and the level.
const RARE: [(&str, &str, EventLevel); 4] = [
    (
        "connection_panic",
        "connections ended by a mistake of Adit: please report it, with the log",
        EventLevel::Error,
    ),
    (
        "connection_refused",
        "miners turned away: as many as may be are connected (limits.max_connections)",
        EventLevel::Warning,
    ),
    (
        "connection_refused_address",
        "miners turned away: too many from one address (max_connections_per_address)",
        EventLevel::Warning,
    ),
    ("accept_error", "failures to accept a connection, such as no free file descriptor", EventLevel::Error),
];

impl Events {
    /// Notes what happened between two snapshots of one process, both with their sums.
    pub fn compare(&self, before: &Snapshot, after: &Snapshot) {
        self.alarms(&before.alarms, &after.alarms);
        self.sources(&before.sources, &after.sources);
        self.routes(&before.routes, &after.routes);
        let templates = by_name(before.templates.iter().map(|template| (&template.name, template)));
        for template in &after.templates {
            let Some(was) = templates.get(&template.name) else { continue };
            let lost = template.losses_total > was.losses_total;
            if lost || was.up && !template.up {
                let why = template.last_down.clone().unwrap_or_default();
                self.note(
                    EventKind::TemplateDown,
                    EventLevel::Warning,
                    &template.name,
                    format!("no templates: {why}"),
                );
            }
            if template.up && (lost || !was.up) {
                let what = template.what.clone().unwrap_or_default();
                self.note(
                    EventKind::TemplateUp,
                    EventLevel::Info,
                    &template.name,
                    format!("gives templates ({what})"),
                );
            }
        }
        let (was, is) = (&before.blocks, &after.blocks);
        let grown = |now: u64, then: u64| Some(now.saturating_sub(then)).filter(|grown| *grown > 0);
        if let Some(taken) = grown(is.taken_total, was.taken_total) {
            self.note(
                EventKind::BlockTaken,
                EventLevel::Info,
                "",
                format!("{} taken by a node", blocks(taken)),
            );
        }
        if let Some(refused) = grown(is.refused_total, was.refused_total) {
            let text = format!("{} that no node takes; the log says why", blocks(refused));
            self.note(EventKind::BlockRefused, EventLevel::Error, "", text);
        }
        for (word, text, level) in RARE {
            let count = |snapshot: &Snapshot| snapshot.events_total.get(word).copied().unwrap_or_default();
            if let Some(count) = grown(count(after), count(before)) {
                self.note(EventKind::Listener, level, "", format!("{count} {text}"));
            }
        }
        for (was, is) in before.overload.iter().zip(&after.overload) {
            if was.active != is.active {
                let (level, text) = match is.active {
                    true => (EventLevel::Warning, "memory is short"),
                    false => (EventLevel::Info, "no longer: memory is there again"),
                };
                self.note(EventKind::Overload, level, &is.rung, text);
            }
        }
    }

    fn alarms(&self, before: &[AlarmSnapshot], after: &[AlarmSnapshot]) {
        let held = |alarms: &[AlarmSnapshot]| -> BTreeMap<(String, String), String> {
            let active = alarms.iter().filter(|alarm| alarm.active);
            active.map(|a| ((a.name.to_string(), a.subject.clone()), a.detail.clone())).collect()
        };
        let (was, is) = (held(before), held(after));
        for ((name, subject), detail) in is.iter().filter(|(key, _)| !was.contains_key(key)) {
            self.note(EventKind::AlarmBegan, EventLevel::Warning, subject, format!("{name}: {detail}"));
        }
        for (name, subject) in was.keys().filter(|key| !is.contains_key(key)) {
            self.note(EventKind::AlarmEnded, EventLevel::Info, subject, format!("{name}: no longer"));
        }
    }

    fn sources(&self, before: &[SourceSnapshot], after: &[SourceSnapshot]) {
        let known = by_name(before.iter().map(|source| (&source.name, source)));
        for source in after {
            let name = &source.name;
            let is_gone = matches!(source.state, SourceState::Leaving | SourceState::Removed);
            let Some(was) = known.get(name) else {
                self.note(EventKind::SourceAdded, EventLevel::Info, name, "new in the configuration");
                continue;
            };
            let was_gone = matches!(was.state, SourceState::Leaving | SourceState::Removed);
            match (was_gone, is_gone) {
                (false, true) => {
                    self.note(
                        EventKind::SourceRemoved,
                        EventLevel::Info,
                        name,
                        "taken out of the configuration",
                    );
                }
                (true, false) => {
                    self.note(EventKind::SourceAdded, EventLevel::Info, name, "back in the configuration");
                }
                _ => {}
            }
            if is_gone {
                continue;
            }
            let (was_ready, is_ready) = (was.state == SourceState::Ready, source.state == SourceState::Ready);
            // It may have been away for less than the time between two looks.
            let again = was_ready && is_ready && source.reconnects_total > was.reconnects_total;
            let why = || source.last_down.clone().unwrap_or_else(|| source.state.as_str().to_owned());
            if was_ready && (!is_ready || again) {
                self.note(EventKind::SourceDown, EventLevel::Warning, name, format!("down: {}", why()));
            } else if !is_ready && source.last_down.is_some() && source.last_down != was.last_down {
                self.note(
                    EventKind::SourceDown,
                    EventLevel::Warning,
                    name,
                    format!("not reached: {}", why()),
                );
            }
            if is_ready && (!was_ready || again) {
                self.note(EventKind::SourceReady, EventLevel::Info, name, "ready");
            }
            if let (Some(then), Some(now)) = (&was.declaration, &source.declaration)
                && then.state != now.state
            {
                self.declaration(name, then.state, now.state);
            }
            let found = source.books.blocks_found.saturating_sub(was.books.blocks_found);
            if found > 0 {
                self.note(EventKind::BlockFound, EventLevel::Info, name, format!("{} found", blocks(found)));
            }
        }
    }

    fn declaration(&self, source: &str, was: DeclarationState, is: DeclarationState) {
        use DeclarationState::{Acknowledged, Declaring, Ready};
        let works = |state| matches!(state, Ready | Declaring | Acknowledged);
        // Each new template is declared: that it goes on is no news.
        if works(was) && works(is) && was != Ready {
            return;
        }
        let level = if works(is) { EventLevel::Info } else { EventLevel::Warning };
        self.note(EventKind::Declaration, level, source, format!("{}, was {}", is.as_str(), was.as_str()));
    }

    fn routes(&self, before: &[RouteSnapshot], after: &[RouteSnapshot]) {
        let known = by_name(before.iter().map(|route| (&route.name, route)));
        for route in after {
            let Some(was) = known.get(&route.name) else { continue };
            let none = || "none".to_owned();
            if was.active != route.active || route.switches_total > was.switches_total {
                let (from, to) = (was.active.clone(), route.active.clone());
                let level = if to.is_some() { EventLevel::Info } else { EventLevel::Error };
                let times = route.switches_total.saturating_sub(was.switches_total);
                let more = if times > 1 { format!(", {times} times") } else { String::new() };
                let text = format!("from {} to {}{more}", from.unwrap_or_else(none), to.unwrap_or_else(none));
                self.note(EventKind::RouteSwitched, level, &route.name, text);
            }
            self.goals(&was.goals, &route.goals);
        }
    }

    fn goals(&self, before: &[GoalSnapshot], after: &[GoalSnapshot]) {
        let known = by_name(before.iter().map(|goal| (&goal.name, goal)));
        for goal in after {
            let Some(was) = known.get(&goal.name) else { continue };
            if goal.ended && !was.ended {
                self.note(
                    EventKind::GoalEnded,
                    EventLevel::Info,
                    &goal.name,
                    "it has had what it was to have",
                );
            } else if goal.open != was.open && !goal.ended {
                let text =
                    if goal.open { "it may have work from now on" } else { "no work for it at this time" };
                self.note(EventKind::GoalTime, EventLevel::Info, &goal.name, text);
            }
        }
    }
}

fn by_name<'a, T>(items: impl Iterator<Item = (&'a String, &'a T)>) -> BTreeMap<&'a String, &'a T> {
    items.collect()
}

fn blocks(count: u64) -> String {
    if count == 1 { "a block".to_owned() } else { format!("{count} blocks") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{BlocksSnapshot, DeclarationSnapshot, OverloadSnapshot, TemplateSnapshot};

    fn farm() -> Snapshot {
        let source = |name: &str, state| SourceSnapshot { name: name.into(), state, ..Default::default() };
        Snapshot {
            sources: vec![source("pool", SourceState::Ready), source("spare", SourceState::Off)],
            routes: vec![RouteSnapshot {
                name: "main".into(),
                active: Some("pool".into()),
                goals: vec![GoalSnapshot { name: "main".into(), open: true, ..Default::default() }],
                ..Default::default()
            }],
            templates: vec![TemplateSnapshot { name: "node".into(), up: true, ..Default::default() }],
            overload: vec![OverloadSnapshot { rung: "shed".into(), active: false }],
            ..Default::default()
        }
    }

    /// What is told of a change, one line each.
    fn told(change: impl FnOnce(&mut Snapshot)) -> Vec<String> {
        let mut after = farm();
        change(&mut after);
        between(&farm(), &after)
    }

    fn between(before: &Snapshot, after: &Snapshot) -> Vec<String> {
        let events = Events::default();
        events.compare(before, after);
        let line = |e: &super::super::Event| {
            let kind = serde_json::to_value(e.kind).unwrap();
            format!("{} {}: {}", kind.as_str().unwrap(), e.subject, e.text)
        };
        events.newest(100).iter().map(line).collect()
    }

    #[test]
    fn nothing_is_told_while_nothing_happens() {
        assert_eq!(told(|_| ()), [""; 0]);
    }

    #[test]
    fn a_fail_over_is_told_as_what_it_is() {
        let lines = told(|s| {
            s.sources[0].state = SourceState::Waiting;
            s.sources[0].last_down = Some("connection reset".into());
            s.sources[1].state = SourceState::Ready;
            s.routes[0].active = Some("spare".into());
            s.routes[0].switches_total = 1;
        });
        assert_eq!(
            lines,
            [
                "source_down pool: down: connection reset",
                "source_ready spare: ready",
                "route_switched main: from pool to spare"
            ]
        );
    }

    #[test]
    fn what_was_over_between_two_looks_is_told_too() {
        let lines = told(|s| {
            s.sources[0].reconnects_total = 1;
            s.sources[0].last_down = Some("cut".into());
            s.routes[0].switches_total = 2;
            s.templates[0].losses_total = 1;
            s.templates[0].last_down = Some("eof".into());
        });
        assert_eq!(
            lines,
            [
                "source_down pool: down: cut",
                "source_ready pool: ready",
                "route_switched main: from pool to pool, 2 times",
                "template_down node: no templates: eof",
                "template_up node: gives templates ()",
            ]
        );
    }

    #[test]
    fn alarms_begin_and_end_once() {
        let alarm = |active| AlarmSnapshot {
            name: "shares_lost".into(),
            active,
            detail: if active { "11 of 200".into() } else { String::new() },
            ..Default::default()
        };
        let with = |active| Snapshot { alarms: vec![alarm(active)], ..farm() };
        assert_eq!(between(&with(false), &with(true)), ["alarm_began : shares_lost: 11 of 200"]);
        assert_eq!(between(&with(true), &with(true)), [""; 0]);
        assert_eq!(between(&with(true), &with(false)), ["alarm_ended : shares_lost: no longer"]);
    }

    #[test]
    fn sources_that_come_and_go_with_a_configuration_are_told() {
        let lines = told(|s| {
            s.sources[0].state = SourceState::Leaving;
            s.sources.push(SourceSnapshot { name: "new".into(), ..Default::default() });
        });
        assert_eq!(
            lines,
            [
                "source_removed pool: taken out of the configuration",
                "source_added new: new in the configuration"
            ]
        );
    }

    #[test]
    fn blocks_goals_declarations_and_trouble_are_told() {
        let lines = told(|s| {
            s.sources[0].books.blocks_found = 2;
            s.blocks = BlocksSnapshot { taken_total: 1, refused_total: 1, ..Default::default() };
            s.routes[0].goals[0].ended = true;
            s.events_total = [("connection_panic".into(), 1)].into();
            s.overload[0].active = true;
        });
        assert_eq!(
            lines,
            [
                "block_found pool: 2 blocks found",
                "goal_ended main: it has had what it was to have",
                "block_taken : a block taken by a node",
                "block_refused : a block that no node takes; the log says why",
                "listener : 1 connections ended by a mistake of Adit: please report it, with the log",
                "overload shed: memory is short",
            ]
        );
        let declaring = |state| {
            let mut farm = farm();
            farm.sources[0].declaration = Some(DeclarationSnapshot { state, ..Default::default() });
            farm
        };
        use DeclarationState::{Acknowledged, Declaring, NoDeclarator, Ready};
        assert_eq!(between(&declaring(Acknowledged), &declaring(Declaring)), [""; 0], "each new template");
        assert_eq!(
            between(&declaring(Ready), &declaring(Declaring)),
            ["declaration pool: declaring, was ready"]
        );
        assert_eq!(
            between(&declaring(Acknowledged), &declaring(NoDeclarator)),
            ["declaration pool: no_declarator, was acknowledged"]
        );
    }
}
