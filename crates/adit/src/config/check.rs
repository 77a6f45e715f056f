//! What the keys must be to each other.

mod goals;
mod nats;
mod sources;
mod templates;
mod work;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use noise::PoolUrl;

use super::given::quoted;
use super::name::Name;
use super::nearest::nearest;
use super::place::Spot;
use super::{Config, Machine};
pub(crate) use goals::takes_the_rest;
pub(crate) use nats::WINDOW_MARGIN;

use super::reader::Reader;
use super::section::Table;
use super::tables::{
    Declared, Goal, Http, Ledger, Limits, Listener, Nats, OPEN_FILES_RESERVE, Pin, Protocol, Route, Solo,
    Source, Template,
};
use crate::splits::Bindings;

/// The most tables of one kind that there may be, but for templates: each has books, metrics and a number of its own.
pub const TABLES_MAX: usize = 1_000;
/// The most templates: each has a connection, and as a rule a thread, of its own.
pub const TEMPLATES_MAX: usize = 64;

/// The tables as far as they could be read, and the names of all that were given.
pub(crate) struct Parts {
    pub(crate) listeners: BTreeMap<Name, Listener>,
    pub(crate) sources: BTreeMap<Name, Source>,
    pub(crate) templates: BTreeMap<Name, Template>,
    pub(crate) solos: BTreeMap<Name, Solo>,
    pub(crate) declared: BTreeMap<Name, Declared>,
    pub(crate) routes: BTreeMap<Name, Route>,
    pub(crate) goals: BTreeMap<Name, Goal>,
    pub(crate) pins: BTreeMap<Name, Pin>,
    pub(crate) http: Http,
    pub(crate) limits: Limits,
    pub(crate) ledger: Ledger,
    pub(crate) nats: Nats,
    /// Every table with a name that was given, with the spot of its header.
    pub(crate) given: BTreeMap<(Table, Name), Spot>,
}

impl Parts {
    /// The spot of a table's header.
    fn header_of(&self, table: Table, name: &Name) -> Spot {
        self.given.get(&(table, name.clone())).cloned().unwrap_or(Spot::Whole)
    }

    fn bindings(&self) -> Bindings<'_> {
        let Self { listeners, sources, declared, routes, goals, .. } = self;
        Bindings { listeners, sources, declared, routes, goals }
    }

    fn names(&self, table: Table) -> Vec<&Name> {
        self.given.keys().filter(|(of, _)| *of == table).map(|(_, name)| name).collect()
    }
}

/// Reports everything that does not fit together.
pub(crate) fn cross_checks(parts: &Parts, machine: Machine, reader: &mut Reader<'_>) {
    if !number_of_tables(parts, reader) {
        return;
    }
    for (name, route) in &parts.routes {
        names_exist(parts, &[Table::Listener], &format!("route.{name}.listeners"), &route.listeners, reader);
        names_exist(parts, &Table::WORK, &format!("route.{name}.sources"), &route.sources, reader);
        named_once(&format!("route.{name}.sources"), &route.sources, reader);
    }
    goals::check(parts, reader);
    one_route_each(parts, reader);
    own_addresses(parts, reader);
    for (name, listener) in &parts.listeners {
        difficulties(&format!("listener.{name}"), listener, reader);
        sv2_key(&format!("listener.{name}"), listener, reader);
        certificate(&format!("listener.{name}"), listener, reader);
    }
    enough_miner_ids(parts, reader);
    for (name, source) in &parts.sources {
        sources::check(name, source, reader);
    }
    for (name, template) in &parts.templates {
        templates::check(name, template, parts, reader);
    }
    work::check(parts, reader);
    nats::check(parts, reader);
    open_files(&parts.limits, machine, reader);
}

/// At least one of what is needed, and not more than there is room for; false where there are too many to go on.
fn number_of_tables(parts: &Parts, reader: &mut Reader<'_>) -> bool {
    if reader.is_broken() {
        return true;
    }
    let mut room = true;
    for table in Table::ALL.into_iter().filter(|table| table.named()) {
        let (count, most) =
            (parts.names(table).len(), if table == Table::Template { TEMPLATES_MAX } else { TABLES_MAX });
        if count > most {
            room = false;
            reader.report(
                &Spot::Whole,
                table.word(),
                format!("at most {most} tables {}", table.header()),
                count.to_string(),
                "share them out among several Adits".to_owned(),
            );
        }
    }
    for (tables, keys) in [
        (&[Table::Listener][..], "its listen is where miners connect"),
        (&Table::WORK, "its url and user_identity say where work comes from"),
        (&[Table::Route], "its listeners and sources bind the two"),
    ] {
        if tables.iter().all(|table| parts.names(*table).is_empty()) {
            let word = tables[0].word();
            let headers: Vec<String> = tables.iter().map(|table| table.header()).collect();
            reader.report(
                &Spot::Whole,
                word,
                format!("at least one table {}", headers.join(" or ")),
                "none".to_owned(),
                format!("add [{word}.main]; {keys}"),
            );
        }
    }
    room
}

/// Each name of a list is that of a table; messages call it by the first table's word.
fn names_exist(parts: &Parts, tables: &[Table], path: &str, names: &[Name], reader: &mut Reader<'_>) {
    for (at, name) in names.iter().enumerate() {
        if reader.is_full() {
            return;
        }
        let (spot, key) = item(path, at, reader);
        name_exists(parts, tables, (&spot, &key), name, reader);
    }
}

fn name_exists(parts: &Parts, tables: &[Table], at: (&Spot, &str), name: &Name, reader: &mut Reader<'_>) {
    let exists = tables.iter().any(|table| parts.given.contains_key(&(*table, name.clone())));
    let Some(word) = tables.first().map(|table| table.word()).filter(|_| !exists && !reader.is_broken())
    else {
        return;
    };
    let known: Vec<&Name> = tables.iter().flat_map(|table| parts.names(*table)).collect();
    let listed: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
    let expected = match listed.is_empty() {
        true => format!("the name of a {word}"),
        false => format!("the name of a {word}: {}", listed.join(", ")),
    };
    let fix = match nearest(name.as_str(), listed.iter().copied()) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => format!("add a table [{word}.{name}], or leave the name out"),
    };
    reader.report(at.0, at.1, expected, quoted(name.as_str()), fix);
}

fn named_once(path: &str, names: &[Name], reader: &mut Reader<'_>) {
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) && !reader.is_full() {
            let (spot, key) = item(path, at, reader);
            let found = format!("{} for the second time", quoted(name.as_str()));
            reader.report(
                &spot,
                &key,
                "each name once".to_owned(),
                found,
                "leave one of the two out".to_owned(),
            );
        }
    }
}

/// Each listener belongs to exactly one route.
fn one_route_each(parts: &Parts, reader: &mut Reader<'_>) {
    let mut taken: BTreeMap<&Name, String> = BTreeMap::new();
    let everybodys = |table: &&Route| table.workers.is_empty() && table.networks.is_empty();
    for (route, table) in parts.routes.iter().filter(|(_, table)| everybodys(table)) {
        for (at, listener) in table.listeners.iter().enumerate() {
            let (spot, key) = item(&format!("route.{route}.listeners"), at, reader);
            if let Some(first) = taken.get(listener) {
                let found = format!("{}, which {first} has as well", quoted(listener.as_str()));
                let expected = "each listener in exactly one route that takes everybody".to_owned();
                reader.report(
                    &spot,
                    &key,
                    expected,
                    found,
                    "leave it out of one of the two, or give one of them workers or networks".to_owned(),
                );
            } else {
                taken.insert(listener, key);
            }
        }
    }
    // A route that could not be read may be the one that has the listener.
    let routes_read = parts.names(Table::Route).len() == parts.routes.len()
        && !parts.routes.keys().any(|route| reader.is_bad(&format!("route.{route}.listeners")));
    if reader.is_broken() || !routes_read || parts.routes.is_empty() {
        return;
    }
    for ((table, listener), spot) in &parts.given {
        if *table == Table::Listener && !taken.contains_key(listener) {
            let routes: Vec<&Name> = parts.routes.keys().collect();
            let fix = match routes.as_slice() {
                [route] => format!("add {} to listeners of [route.{route}]", quoted(listener.as_str())),
                _ => format!("add {} to listeners of a route", quoted(listener.as_str())),
            };
            let expected = "a route that has this listener and takes everybody".to_owned();
            reader.report(spot, &format!("listener.{listener}"), expected, "none".to_owned(), fix);
        }
    }
}

/// No two sockets on one address and port.
fn own_addresses(parts: &Parts, reader: &mut Reader<'_>) {
    let mut taken: Vec<(SocketAddr, String)> = Vec::new();
    let listeners =
        parts.listeners.iter().map(|(name, listener)| (format!("listener.{name}"), listener.listen));
    let http = parts.http.enabled.then(|| ("http".to_owned(), parts.http.listen));
    for (table, address) in listeners.chain(http) {
        let key = format!("{table}.listen");
        if reader.is_bad(&key) {
            continue;
        }
        if let Some((other, first)) = taken.iter().find(|(other, _)| overlap(*other, address)) {
            let spot = reader.spot(&key).or_else(|| parts.header(&table)).cloned().unwrap_or(Spot::Whole);
            let found = if *other == address {
                format!("{address}, which {first} has as well")
            } else {
                format!("{address}, while {first} has {other}")
            };
            let free = (address.port()..u16::MAX)
                .map(|port| SocketAddr::new(address.ip(), port + 1))
                .find(|free| !taken.iter().any(|(other, _)| overlap(*other, *free)));
            let fix = match free {
                Some(free) => format!("take another port, such as listen = {}", quoted(&free.to_string())),
                None => "take another port".to_owned(),
            };
            reader.report(&spot, &key, "an address and port of its own".to_owned(), found, fix);
        }
        taken.push((address, key));
    }
}

impl Parts {
    /// The spot of a named table's header, by the table's path.
    fn header(&self, path: &str) -> Option<&Spot> {
        self.given
            .iter()
            .find(|((table, name), _)| path == format!("{}.{name}", table.word()))
            .map(|(_, spot)| spot)
    }
}

/// Whether one of two sockets could not be opened: same port (not 0, which is any free one), and the same
/// address or one of them all addresses. All IPv6 addresses include those of IPv4.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

/// A certificate and its key come together, and where only TLS is spoken they are needed.
fn certificate(table: &str, listener: &Listener, reader: &mut Reader<'_>) {
    let paths = ["certificate_file", "private_key_file"].map(|key| format!("{table}.{key}"));
    if paths.iter().any(|path| reader.is_bad(path)) {
        return;
    }
    let (given, missing) = match (&listener.certificate_file, &listener.private_key_file) {
        (Some(_), None) => (&paths[0], "private_key_file"),
        (None, Some(_)) => (&paths[1], "certificate_file"),
        (None, None) if listener.protocol == Protocol::Sv1Tls => {
            let key = format!("{table}.protocol");
            let spot = reader.spot(&key).cloned().unwrap_or(Spot::Whole);
            let expected = "certificate_file and private_key_file beside it".to_owned();
            let fix = "add both, or take \"auto\" or \"sv1\"".to_owned();
            return reader.report(&spot, &key, expected, "\"sv1-tls\" without them".to_owned(), fix);
        }
        _ => return,
    };
    let spot = reader.spot(given).cloned().unwrap_or(Spot::Whole);
    let fix = format!("add {missing}, or leave this out");
    reader.report(&spot, given, format!("{missing} beside it"), "it alone".to_owned(), fix);
}

/// `difficulty_min` <= `difficulty_start` <= `difficulty_max`.
fn difficulties(table: &str, listener: &Listener, reader: &mut Reader<'_>) {
    let start = listener.difficulty_start;
    let mut check = |good: bool, key: &str, value: f64, relation: &str, other: &str, other_value: f64| {
        let paths = [format!("{table}.{key}"), format!("{table}.{other}")];
        if good || paths.iter().any(|path| reader.is_bad(path)) {
            return;
        }
        // The complaint belongs where something was written: the other one may be a default.
        let (mut at, mut found) = (0, format!("{value}, while {other} is {other_value}"));
        if reader.spot(&paths[0]).is_none() {
            (at, found) = (1, format!("{other_value}, while {key} is {value}"));
        }
        let spot = reader.spot(&paths[at]).cloned().unwrap_or(Spot::Whole);
        let expected = format!("{key} {relation} {other}");
        reader.report(&spot, &paths[at], expected, found, format!("change {key} or {other}"));
    };
    let (min, max) = (listener.difficulty_min, listener.difficulty_max.unwrap_or(f64::INFINITY));
    if min > max {
        check(false, "difficulty_min", min, "not above", "difficulty_max", max);
    } else {
        check(start >= min, "difficulty_start", start, "not below", "difficulty_min", min);
        check(start <= max, "difficulty_start", start, "not above", "difficulty_max", max);
    }
}

/// Receipts are made of the ledger's evidence.
pub(crate) fn receipts_need_evidence(config: &Config, reader: &mut Reader<'_>) {
    const KEY: &str = "receipts.key_file";
    let found = match &config.ledger {
        ledger if ledger.enabled == Some(false) => "enabled = false",
        ledger if !ledger.evidence => "evidence = false",
        _ => return,
    };
    if config.receipts.key_file.is_some() {
        let spot = reader.spot(KEY).cloned().unwrap_or(Spot::Whole);
        let expected = "a ledger that keeps evidence, beside it".to_owned();
        let fix = "receipts are made of the ledger's evidence: leave that out of [ledger], or key_file out of [receipts]";
        reader.report(&spot, KEY, expected, format!("{found} in [ledger]"), fix.to_owned());
    }
}

/// Stratum V2 cannot be served without a key.
fn sv2_key(table: &str, listener: &Listener, reader: &mut Reader<'_>) {
    let (protocol, key) = (format!("{table}.protocol"), format!("{table}.authority_secret_key"));
    if listener.protocol != Protocol::Sv2
        || listener.authority_secret_key.is_some()
        || reader.is_bad(&protocol)
        || reader.is_bad(&key)
    {
        return;
    }
    let spot = reader.spot(&protocol).cloned().unwrap_or(Spot::Whole);
    let expected = "an authority_secret_key beside protocol = \"sv2\"".to_owned();
    let fix =
        "make a key with adit keys and set authority_secret_key, or authority_secret_key_file".to_owned();
    reader.report(&spot, &protocol, expected, "none".to_owned(), fix);
}

/// Each connection needs a miner id, and one that was just released is not given out at once. Listeners with
/// ids of one size share them. Where Stratum V1 pools are mined for, they are there once for each connection.
fn enough_miner_ids(parts: &Parts, reader: &mut Reader<'_>) {
    let all = u64::from(parts.limits.max_connections);
    for (name, listener) in &parts.listeners {
        // What is not said is chosen at the start.
        let Some(size) = listener.extranonce1_size else { continue };
        let sharing = parts.listeners.values().filter(|other| other.extranonce1_size == Some(size));
        let most = sharing.map(|other| other.max_connections.map_or(all, u64::from)).sum::<u64>().min(all);
        let spaces = u64::from(parts.bindings().id_spaces(name));
        let ids = spaces << (8 * u32::from(size.min(5)));
        let key = format!("listener.{name}.extranonce1_size");
        let bad =
            [key.clone(), format!("listener.{name}.max_connections"), "limits.max_connections".to_owned()];
        let on = if spaces > 1 { format!(" on {spaces} connections to a pool") } else { String::new() };
        if most * 2 <= ids || bad.iter().any(|path| reader.is_bad(path)) {
            continue;
        }
        let spot = reader.spot(&key).cloned().unwrap_or(Spot::Whole);
        let expected = "twice as many miner ids as connections".to_owned();
        let found = format!("{size} bytes, which are {ids} ids{on} for {most} connections");
        reader.report(&spot, &key, expected, found, format!("extranonce1_size = {}", size + 1));
    }
}

/// A URL without authority key is good only where somebody said so, with the key that `switch` names.
fn authority(key: &str, url: &PoolUrl, insecure: bool, whose: &str, switch: &str, reader: &mut Reader<'_>) {
    if url.authority().is_some() || insecure || reader.is_bad(key) {
        return;
    }
    let spot = reader.spot(key).cloned().unwrap_or(Spot::Whole);
    let (name, place) =
        switch.split_once(' ').map_or((switch, String::new()), |(name, place)| (name, format!(" {place}")));
    reader.report(
        &spot,
        key,
        format!("the {whose}'s authority key at the end of the URL"),
        "a URL without one".to_owned(),
        format!(
            "write {} with the key that the {whose} publishes; without it anyone on the way can pose as the {whose} \
             ({name} = true{place} allows that)",
            quoted(&format!("{url}/authority-key"))
        ),
    );
}

/// Connections asked for must fit the limit on open files.
fn open_files(limits: &Limits, machine: Machine, reader: &mut Reader<'_>) {
    let key = "limits.max_connections";
    let (Some(open_files), Some(spot)) = (machine.open_files, reader.spot(key).cloned()) else {
        return;
    };
    let wanted = u64::from(limits.max_connections);
    let most = machine.connections(u32::MAX);
    if wanted <= u64::from(most) || reader.is_bad(key) {
        return;
    }
    reader.report(
        &spot,
        key,
        format!("at most {most} connections: the limit on open files is {open_files} here"),
        wanted.to_string(),
        format!(
            "max_connections = {most}, or raise the limit to {} (ulimit -n, LimitNOFILE= of a service)",
            wanted + u64::from(OPEN_FILES_RESERVE)
        ),
    );
}

/// The spot and the path of an item of a list. A list of the environment has one spot for all its items.
fn item(path: &str, at: usize, reader: &Reader<'_>) -> (Spot, String) {
    let key = format!("{path}[{at}]");
    let spot = reader.spot(&key).or_else(|| reader.spot(path)).cloned().unwrap_or(Spot::Whole);
    (spot, key)
}
