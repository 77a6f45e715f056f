//! What a configuration that was read anew changes of listeners, sources, routes and goals: worked out whole before anything is done.

use std::collections::BTreeMap;

use engine::SourceId;
use engine::router::{Removed, RouteSettings};

use super::merged::{merged, merged_listeners};
use super::numbers::Numbers;
use super::settings::{pins, rolled_bits, route_settings, sv2_rolled_bits};
use crate::config::{Config, Goal, Listener, Name, SourceUrl};
use crate::splits::Bindings;
use crate::upstream::Pins;

/// The most goals that a route may have had while Adit runs: their numbers are not given out again.
const GOALS_EVER: usize = 128;

/// What comes of a fresh configuration.
#[derive(Debug)]
pub(crate) enum Planned {
    /// Listeners, sources, routes, goals and pins are the same.
    Same,
    /// This changes, while everybody mines.
    Change(Box<Plan>),
    /// It can be had by a new start alone, for these reasons; but this of listeners can be had all the same.
    Restart(Vec<String>, BTreeMap<Name, Listener>),
    /// It cannot be had, for these reasons.
    Refused(Vec<String>),
}

/// A change of listeners, sources, routes, goals and pins.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The configuration as it is in force then: what needs a new start is as it was.
    pub(crate) config: Config,
    /// Sources, routes, goals or pins are others: the router has to know.
    pub(super) reshapes: bool,
    /// Pools that come, or come back as others.
    pub(crate) added: Vec<(SourceId, Name)>,
    pub(super) removed: Vec<(Removed, Name)>,
    /// Sources with other authorities under the same path.
    renewed: Vec<Name>,
    pub(super) routes: Vec<RouteSettings>,
    pub(super) pins: Pins,
    pub(super) numbers: Numbers,
}

impl Plan {
    /// The tables that are others than in what is `running`, in the words of the log.
    pub(crate) fn told(&self, running: &Config) -> Vec<String> {
        let mut told = Vec::new();
        let listener = |config: &Config| -> BTreeMap<Name, ()> {
            config.listeners.keys().map(|name| (name.clone(), ())).collect()
        };
        tell("listener", &listener(running), &listener(&self.config), &mut told);
        tell("source", &running.sources, &self.config.sources, &mut told);
        told.extend(self.renewed.iter().map(|name| format!("source.{name} (what is in its ca_file)")));
        tell("route", &running.routes, &self.config.routes, &mut told);
        tell("goal", &running.goals, &self.config.goals, &mut told);
        tell("pin", &running.pins, &self.config.pins, &mut told);
        told
    }
}

fn tell<T: PartialEq>(table: &str, was: &BTreeMap<Name, T>, is: &BTreeMap<Name, T>, told: &mut Vec<String>) {
    for (name, fresh) in is {
        match was.get(name) {
            None => told.push(format!("{table}.{name} (new)")),
            Some(old) if old != fresh => told.push(format!("{table}.{name}")),
            Some(_) => {}
        }
    }
    let gone = was.keys().filter(|name| !is.contains_key(*name));
    told.extend(gone.map(|name| format!("{table}.{name} (taken out)")));
}

/// What miners were given for as long as they are connected.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    /// Version bits, to the SV2 miners of each listener that has them.
    bits: Vec<(Name, u32)>,
    /// In how many spaces the same miner ids are given out, by listener.
    spaces: Vec<(Name, u16)>,
}

impl Granted {
    /// With what a configuration grants to whoever comes from now on. What those were granted who are there stays: they are
    /// not told.
    pub(super) fn with(mut self, config: &Config) -> Self {
        let fresh = Self::by(config);
        for (name, bits) in fresh.bits {
            match self.bits.iter_mut().find(|(of, _)| *of == name) {
                Some((_, had)) => *had |= bits,
                None => self.bits.push((name, bits)),
            }
        }
        for (name, spaces) in fresh.spaces {
            match self.spaces.iter_mut().find(|(of, _)| *of == name) {
                Some((_, had)) => *had = spaces.max(*had),
                None => self.spaces.push((name, spaces)),
            }
        }
        self
    }

    /// What a configuration grants.
    pub(super) fn by(config: &Config) -> Self {
        let listeners = || config.listeners.iter();
        let sv2 = listeners().filter(|(_, listener)| listener.authority_secret_key.is_some());
        let spaces = |name| Bindings::of(config).id_spaces(name);
        Self {
            bits: sv2.map(|(name, of)| (name.clone(), sv2_rolled_bits(name, of, config))).collect(),
            spaces: listeners().map(|(name, _)| (name.clone(), spaces(name))).collect(),
        }
    }

    /// What does not go together with them.
    fn problems(&self, config: &Config) -> Vec<String> {
        let bits = self.bits.iter().filter_map(|(name, granted)| too_few_bits(name, *granted, config));
        bits.chain(self.spaces.iter().filter_map(|(name, had)| too_few_spaces(name, *had, config))).collect()
    }
}

fn too_few_bits(name: &Name, granted: u32, config: &Config) -> Option<String> {
    let allowed = sv2_rolled_bits(name, config.listeners.get(name)?, config);
    if granted & !allowed == 0 {
        return None;
    }
    let (sv1, _) = Bindings::of(config).sv1_pools(name).into_iter().next()?;
    Some(format!(
        "source.{sv1} speaks Stratum V1, whose pools allow version bits {allowed:08x} at most, but the SV2 miners of \
         listener.{name} have been told that they may roll {granted:08x}: start Adit anew for it, or give source.{sv1} \
         to a listener of its own"
    ))
}

fn too_few_spaces(name: &Name, had: u16, config: &Config) -> Option<String> {
    let bindings = Bindings::of(config);
    let spaces = bindings.id_spaces(name);
    let (sv1, _) = bindings.sv1_pools(name).into_iter().min_by_key(|(_, source)| source.sv1_connections())?;
    (spaces < had).then(|| {
        format!(
            "source.{sv1} has connections for {spaces} times as many miners as their extranonce1 tells apart, but the miners of \
             listener.{name} were numbered for {had}: raise its connections_max, or start Adit anew"
        )
    })
}

/// Works out what changes from what is `running` to `fresh`.
///
/// `renewed` are sources whose authorities (`ca_file`) are others under the same path. Then come the numbers in use, what
/// miners were granted, and how many sources there may ever be.
pub(super) fn plan(
    running: &Config,
    fresh: &Config,
    renewed: &[Name],
    (numbers, granted, room): (&Numbers, &Granted, usize),
) -> Planned {
    let restart = needs_restart(running, fresh);
    if !restart.is_empty() {
        return Planned::Restart(restart, merged_listeners(running, fresh, false));
    }
    let config = merged(running, fresh);
    if config == *running && renewed.is_empty() {
        return Planned::Same;
    }
    let mut problems = granted.problems(&config);
    let mut after = numbers.clone();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    let is_another = |name: &Name| renewed.contains(name) || is_another(name, running, &config);
    for name in running.sources.keys() {
        if config.sources.contains_key(name) && !is_another(name) {
            continue;
        }
        if let Some(source) = numbers.source(name) {
            after.remove_source(source);
            removed.push((Removed { source, successor: None }, name.clone()));
        }
    }
    for name in config.sources.keys() {
        let known = running.sources.contains_key(name);
        if known && !is_another(name) {
            continue;
        }
        let source = after.add_source(name);
        if let Some((of, _)) = removed.iter_mut().find(|(_, of)| of == name) {
            of.successor = Some(source);
        }
        added.push((source, name.clone()));
    }
    let lists = |config: &Config| {
        (config.sources.clone(), config.routes.clone(), config.goals.clone(), config.pins.clone())
    };
    let reshapes = !added.is_empty() || !removed.is_empty() || lists(running) != lists(&config);
    if after.sources() > room {
        problems.push(format!(
            "{room} sources have come since Adit was started, as many as can: start it anew to have more"
        ));
    }
    let routes = config.routes.iter().enumerate();
    let routes =
        routes.map(|(at, (name, route))| route_settings(at, name, route, &config, &mut after)).collect();
    for name in config.routes.keys().filter(|name| after.goals_of(name) > GOALS_EVER) {
        problems.push(format!(
            "route.{name} has had {GOALS_EVER} goals since Adit was started, as many as it can: start it anew to have more"
        ));
    }
    if !problems.is_empty() {
        return Planned::Refused(problems);
    }
    let pins = pins(&after, &config);
    let renewed = renewed.to_vec();
    Planned::Change(Box::new(Plan {
        config,
        reshapes,
        added,
        removed,
        renewed,
        routes,
        pins,
        numbers: after,
    }))
}

/// Whether a source is another one now, though its name is the same.
fn is_another(name: &Name, running: &Config, config: &Config) -> bool {
    let (Some(was), Some(is)) = (running.sources.get(name), config.sources.get(name)) else { return true };
    // What an SV1 pool was asked for when it was connected.
    let bits = || rolled_bits(name, running) != rolled_bits(name, config);
    was != is || matches!(is.url, SourceUrl::Sv1(_)) && bits()
}

/// What can be had by a new start alone.
fn needs_restart(running: &Config, fresh: &Config) -> Vec<String> {
    let mut reasons = Vec::new();
    if running.templates != fresh.templates
        || running.solos != fresh.solos
        || running.declared != fresh.declared
    {
        reasons.push("templates, and what is made of them ([template], [solo], [declared])".to_owned());
    }
    if !running.routes.keys().eq(fresh.routes.keys()) {
        reasons.push("routes that come or go".to_owned());
    }
    for (name, route) in &fresh.routes {
        let Some(was) = running.routes.get(name) else { continue };
        if was.sources.is_empty() != route.sources.is_empty() {
            reasons.push(format!("goals instead of sources, or sources instead of goals, for route.{name}"));
        }
        if route.sources.iter().any(|source| comes_to(source, &was.sources, fresh)) {
            reasons.push(format!("declared templates for route.{name}"));
        }
    }
    let counted = |goal: &Goal| goal.work_max.is_some().then_some(goal.from);
    for (name, goal) in &fresh.goals {
        let was = running.goals.get(name);
        if counted(goal).is_some() && was.and_then(counted) != counted(goal) {
            reasons.push(format!("work that is counted for goal.{name} (work_max, and its from)"));
        }
        if was.is_some_and(|was| goal.sources.iter().any(|source| comes_to(source, &was.sources, fresh))) {
            reasons.push(format!("declared templates for goal.{name}"));
        }
    }
    for (name, listener) in &fresh.listeners {
        if listener.job_declarators > 0 && !running.listeners.contains_key(name) {
            reasons
                .push(format!("job declarator clients of listener.{name}, which is new (job_declarators)"));
        }
    }
    let lists = |config: &Config| -> Vec<Vec<Name>> {
        let own = config.routes.values().map(|route| route.sources.clone());
        own.chain(config.goals.values().map(|goal| goal.sources.clone())).collect()
    };
    let pools_differ = running.sources != fresh.sources || lists(running) != lists(fresh);
    if let Some((name, _)) =
        running.listeners.iter().find(|(_, of)| of.job_declarators > 0).filter(|_| pools_differ)
    {
        reasons.push(format!(
            "other pools while listener.{name} serves job declarator clients (job_declarators)"
        ));
    }
    for (name, declared) in &fresh.declared {
        if fresh.sources.get(&declared.pool) != running.sources.get(&declared.pool) {
            reasons.push(format!("source.{}, which declared.{name} declares to", declared.pool));
        }
    }
    reasons
}

/// Whether a source that declares is new to a list: its miners share channels otherwise.
fn comes_to(source: &Name, had: &[Name], config: &Config) -> bool {
    config.declared.contains_key(source) && !had.contains(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "9bGBU8kQmhxVgkB8FENf6brbbJ1pdw6Bjw79EmTUiv99YZ7Zhuz";

    fn source(name: &str, host: &str) -> String {
        format!("[source.{name}]\nurl = \"stratum2+tcp://{host}:3336/{KEY}\"\nuser_identity = \"a\"\n")
    }

    fn sv1_source(name: &str) -> String {
        format!("[source.{name}]\nurl = \"stratum+tcp://{name}.example:3333\"\nuser_identity = \"a\"\n")
    }

    fn goal(name: &str, sources: &str, more: &str) -> String {
        format!("[goal.{name}]\nroute = \"main\"\nsources = [{sources}]\n{more}\n")
    }

    fn config(listener: &str, route: &str, rest: &str) -> Config {
        let text = format!(
            "version = 1\n[listener.main]\n{listener}\n[route.main]\nlisteners = [\"main\"]\n{route}\n{rest}"
        );
        Config::from_str_named("adit.toml", &text).unwrap_or_else(|errors| panic!("{errors}")).config
    }

    fn planned(running: &Config, fresh: &Config) -> Planned {
        plan(running, fresh, &[], (&Numbers::of(running), &Granted::by(running), 100))
    }

    fn change(running: &Config, fresh: &Config) -> Plan {
        match planned(running, fresh) {
            Planned::Change(plan) => *plan,
            other => panic!("{other:?}"),
        }
    }

    fn ids(plan: &Plan) -> Vec<u16> {
        plan.routes[0].goals[0].sources.iter().map(|source| source.0).collect()
    }

    #[test]
    fn a_source_that_comes_has_the_next_number_and_one_that_goes_leaves_its_own_behind() {
        let one = config("", "sources = [\"a\", \"b\"]", &(source("a", "a") + &source("b", "b")));
        let two = config("", "sources = [\"c\", \"a\"]", &(source("a", "a") + &source("c", "c")));
        let plan = change(&one, &two);
        assert_eq!(ids(&plan), [2, 0]);
        assert_eq!(plan.removed[0].0, Removed { source: SourceId(1), successor: None });
        // It comes back: it is not the one that it was.
        let running = plan.config.clone();
        let back = super::plan(&running, &one, &[], (&plan.numbers, &Granted::by(&one), 100));
        let Planned::Change(back) = back else { panic!("{back:?}") };
        assert_eq!(ids(&back), [0, 3]);
    }

    #[test]
    fn a_source_with_other_keys_takes_the_place_of_the_one_with_its_name() {
        let one = config("", "sources = [\"a\"]", &source("a", "a"));
        let two = config("", "sources = [\"a\"]", &source("a", "elsewhere"));
        let plan = change(&one, &two);
        assert_eq!(plan.removed[0].0, Removed { source: SourceId(0), successor: Some(SourceId(1)) });
        assert_eq!((plan.added[0].0, ids(&plan)), (SourceId(1), vec![1]));
        assert!(matches!(planned(&one, &one), Planned::Same));
    }

    #[test]
    fn goals_come_and_go_and_keep_their_numbers() {
        let sources = source("a", "a") + &source("b", "b");
        let one = config("", "", &(sources.clone() + &goal("x", "\"a\"", "")));
        let two = config("", "", &(sources + &goal("w", "\"b\"", "") + &goal("x", "\"a\"", "")));
        let plan = change(&one, &two);
        let numbers: Vec<_> = plan.routes[0].goals.iter().map(|goal| goal.id.0).collect();
        assert_eq!(numbers, [1, 0], "the new one is counted last though its name is first");
        let Planned::Change(back) = super::plan(&two, &one, &[], (&plan.numbers, &Granted::by(&one), 100))
        else {
            panic!("it can be had")
        };
        assert_eq!(back.routes[0].goals.len(), 1);
        assert_eq!(back.numbers.goal(&Name::new("main").unwrap(), &Name::new("w").unwrap()).unwrap().0, 1);
    }

    #[test]
    fn what_needs_a_new_start_is_told_with_its_reason() {
        let sources = source("a", "a");
        let short = config("", "sources = [\"a\"]", &sources);
        let long = config("", "", &(sources.clone() + &goal("x", "\"a\"", "")));
        let rest = sources + &goal("x", "\"a\"", "") + &source("b", "b");
        let counted = config("", "", &(rest + &goal("y", "\"b\"", "work_max = \"1 PH/s for 1h\"")));
        for (from, to, why) in
            [(&short, &long, "goals instead of sources"), (&long, &counted, "counted for goal.y")]
        {
            let Planned::Restart(reasons, _) = planned(from, to) else { panic!("{why}") };
            assert!(reasons.join("; ").contains(why), "{reasons:?}");
        }
    }

    #[test]
    fn an_sv1_pool_is_refused_where_sv2_miners_may_roll_more_bits_than_it_could_allow() {
        let key = noise::AuthoritySecretKey::from_bytes([9; 32]).expect("a key");
        let listener = format!("authority_secret_key = \"{}\"", *key.to_base58check());
        let one = config(&listener, "sources = [\"a\"]", &source("a", "a"));
        let sources = source("a", "a") + &sv1_source("old");
        let two = config(&listener, "sources = [\"a\", \"old\"]", &sources);
        let Planned::Refused(problems) = planned(&one, &two) else { panic!("it must not be taken") };
        assert!(problems[0].contains("source.old speaks Stratum V1"), "{problems:?}");
        // Without SV2 miners nobody was told so.
        let one = config("", "sources = [\"a\"]", &source("a", "a"));
        let two = config("", "sources = [\"a\", \"old\"]", &sources);
        assert_eq!(ids(&change(&one, &two)), [0, 1]);
    }

    #[test]
    fn an_sv1_pool_that_is_to_be_asked_for_more_bits_is_connected_anew() {
        let sources = source("a", "a") + &sv1_source("old");
        let one = config("", "sources = [\"a\"]", &sources);
        let two = config("", "sources = [\"a\", \"old\"]", &sources);
        assert_eq!(change(&one, &two).removed[0].0.successor, Some(SourceId(2)));
    }

    #[test]
    fn a_source_whose_authorities_are_others_is_connected_anew_though_no_key_has_changed() {
        let one = config("", "sources = [\"a\", \"b\"]", &(source("a", "a") + &source("b", "b")));
        let renewed = [Name::new("b").unwrap()];
        let planned = plan(&one, &one, &renewed, (&Numbers::of(&one), &Granted::by(&one), 100));
        let Planned::Change(plan) = planned else { panic!("{planned:?}") };
        assert_eq!(ids(&plan), [0, 2]);
        assert_eq!(plan.removed[0].0, Removed { source: SourceId(1), successor: Some(SourceId(2)) });
        assert_eq!(plan.told(&one), ["source.b (what is in its ca_file)"]);
    }

    #[test]
    fn there_is_an_end_to_the_numbers() {
        let one = config("", "sources = [\"a\"]", &source("a", "a"));
        let two = config("", "sources = [\"a\", \"b\"]", &(source("a", "a") + &source("b", "b")));
        let planned = plan(&one, &two, &[], (&Numbers::of(&one), &Granted::by(&one), 1));
        let Planned::Refused(problems) = planned else { panic!("{planned:?}") };
        assert!(problems[0].contains("start it anew"), "{problems:?}");
    }

    /// With a second listener.
    fn with_hall(route: &str, more: &str) -> Config {
        let text = format!(
            "version = 1\n[listener.main]\n[listener.hall]\nlisten = \"127.0.0.1:3334\"\n{more}\n\
             [route.main]\nlisteners = [\"main\", \"hall\"]\n{route}\n{}",
            source("a", "a")
        );
        Config::from_str_named("adit.toml", &text).unwrap_or_else(|errors| panic!("{errors}")).config
    }

    #[test]
    fn listeners_come_and_go_and_the_router_hears_only_of_what_concerns_it() {
        let route = "sources = [\"a\"]";
        let (one, two) = (config("", route, &source("a", "a")), with_hall(route, ""));
        let come = change(&one, &two);
        assert!(come.added.is_empty() && come.removed.is_empty(), "no pool is connected anew");
        assert_eq!(come.told(&one), ["listener.hall (new)", "route.main"]);
        assert_eq!(change(&two, &one).told(&two), ["listener.hall (taken out)", "route.main"]);
        let other = change(&two, &with_hall(route, "max_connections = 7"));
        assert!(!other.reshapes && come.reshapes);
        assert_eq!(other.told(&two), Vec::<String>::new(), "its keys are told one by one");
        let Planned::Restart(reasons, listeners) = planned(&one, &with_hall(route, "job_declarators = 1"))
        else {
            panic!("the ways to the pools were made at the start")
        };
        assert!(reasons[0].contains("job_declarators"), "{reasons:?}");
        assert_eq!(listeners, one.listeners);
    }

    #[test]
    fn what_miners_were_granted_holds_for_those_of_a_listener_that_came_later_too() {
        let key = noise::AuthoritySecretKey::from_bytes([9; 32]).expect("a key");
        let key = format!("authority_secret_key = \"{}\"", *key.to_base58check());
        let route = "sources = [\"a\"]";
        let (one, two) = (config("", route, &source("a", "a")), with_hall(route, &key));
        let granted = Granted::by(&one).with(&change(&one, &two).config);
        let old = config("", "sources = [\"old\"]", &sv1_source("old"));
        let mut three = with_hall(route, &key);
        three.sources.extend(old.sources);
        for route in three.routes.values_mut() {
            route.sources.push(Name::new("old").unwrap());
        }
        let planned = plan(&two, &three, &[], (&Numbers::of(&two), &granted, 100));
        let Planned::Refused(problems) = planned else { panic!("{planned:?}") };
        assert!(problems[0].contains("listener.hall"), "{problems:?}");
    }
}
