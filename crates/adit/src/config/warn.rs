//! What is allowed but deserves a second look.

mod work;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::name::Name;
use super::place::Spot;
use super::reader::Reader;
use super::section::Table;
use super::tables::{MAX_CONNECTIONS, Protocol};
use super::{Config, Machine};

/// Adds what is allowed but deserves a second look.
pub(crate) fn add_warnings(
    config: &Config,
    machine: Machine,
    given: &BTreeMap<(Table, Name), Spot>,
    reader: &mut Reader<'_>,
) {
    for (name, listener) in &config.listeners {
        let key = format!("listener.{name}.listen");
        if let Some(reach) = reach(listener.listen.ip()) {
            let advice = "Stratum V1 is not encrypted, anyone on the way can read and take over shares; listen on \
                          an address of the miners' own network, or let a firewall keep others out";
            reader.warn(&key, format!("{} takes miners from {reach}: {advice}", listener.listen));
        }
        if listener.max_connections.is_some_and(|most| most > config.limits.max_connections) {
            let most = config.limits.max_connections;
            let message = format!("limits.max_connections allows {most} for all listeners together");
            reader.warn(&format!("listener.{name}.max_connections"), message);
        }
        if listener.protocol == Protocol::Sv1 && listener.certificate_file.is_some() {
            let message = "this has no effect with protocol = \"sv1\"".to_owned();
            reader.warn(&format!("listener.{name}.certificate_file"), message);
        }
        if listener.job_declarators > 0 && listener.authority_secret_key.is_none() {
            let message = "this has no effect without authority_secret_key: job declarator clients speak \
                           Stratum V2, which is not served"
                .to_owned();
            reader.warn(&format!("listener.{name}.job_declarators"), message);
        }
        if listener.job_declarators > 0 && !reaches_declarator(name, config) {
            let message =
                "none of the sources of its routes has a jds_url: job declarator clients find no job \
                           declarator"
                    .to_owned();
            reader.warn(&format!("listener.{name}.job_declarators"), message);
        }
        if !listener.vardiff && reader.spot(&format!("listener.{name}.shares_per_minute")).is_some() {
            let message = "this has no effect with vardiff = false".to_owned();
            reader.warn(&format!("listener.{name}.shares_per_minute"), message);
        }
    }
    for (name, source) in &config.sources {
        if source.insecure {
            let message = match source.url.sv2().and_then(|url| url.authority()) {
                Some(_) => "this has no effect: the URL has an authority key, and the pool must prove it",
                None => {
                    "nobody vouches for this pool: anyone on the way can pose as it and take the hashrate"
                }
            };
            reader.warn(&format!("source.{name}.insecure"), message.to_owned());
        }
    }
    unused(config, given, reader);
    work::add(config, reader);
    if let Some(reach) = reach(config.http.listen.ip()).filter(|_| config.http.enabled) {
        let listen = config.http.listen;
        let message = match &config.http.read_token {
            None => format!(
                "{listen} answers {reach} without a token: set read_token, listen on this machine, or let a firewall \
                 keep others out"
            ),
            Some(_) => format!(
                "{listen} answers {reach} and tokens go over it in the clear: listen on this machine behind a proxy with \
                 TLS, or let a firewall keep others out"
            ),
        };
        reader.warn("http.listen", message);
    }
    if let Some(open_files) = machine.open_files {
        let most = config.limits.max_connections;
        if most < MAX_CONNECTIONS && reader.spot("limits.max_connections").is_none() {
            let message = format!(
                "{most} connections at most, because the limit on open files is {open_files} here (ulimit -n, \
                 LimitNOFILE= of a service)"
            );
            reader.warn("limits.max_connections", message);
        }
    }
}

/// Whether a listener's routes have a pool whose job declarator is known.
fn reaches_declarator(listener: &Name, config: &Config) -> bool {
    let routes = config.routes.iter().filter(|(_, route)| route.listeners.contains(listener));
    let mut sources = routes.flat_map(|(name, route)| {
        let goals = config.goals.values().filter(move |goal| goal.route == *name);
        route.sources.iter().chain(goals.flat_map(|goal| &goal.sources))
    });
    sources.any(|name| config.sources.get(name).is_some_and(|source| source.jds_url.is_some()))
}

/// Sources of whatever kind that no route uses, and templates that none of them uses.
fn unused(config: &Config, given: &BTreeMap<(Table, Name), Spot>, reader: &mut Reader<'_>) {
    let in_route = |name: &Name| {
        config.routes.values().any(|route| route.sources.contains(name))
            || config.goals.values().any(|goal| goal.sources.contains(name))
    };
    let declares = |name: &Name| config.declared.values().any(|declared| declared.pool == *name);
    let lists = config
        .solos
        .values()
        .map(|solo| &solo.templates)
        .chain(config.declared.values().map(|d| &d.templates));
    for ((table, name), spot) in given {
        let what = match table {
            Table::Source if !in_route(name) && !declares(name) => "no route uses this source",
            Table::Solo | Table::Declared if !in_route(name) => "no route uses this source",
            Table::Template if !lists.clone().any(|list| list.contains(name)) => {
                "no solo or declared uses this template"
            }
            _ => continue,
        };
        reader.warn_at(spot, &format!("{}.{name}", table.word()), what.to_owned());
    }
}

/// Who can reach a socket on this address, if that is more than this machine and private networks.
fn reach(ip: IpAddr) -> Option<&'static str> {
    let private = match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    match ip {
        _ if ip.is_unspecified() => Some("every network that this machine is in"),
        _ if private || ip.to_canonical().is_loopback() => None,
        _ => Some("the public network"),
    }
}

/// 100.64.0.0/10 (RFC 6598), which overlay networks give to their members.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && (64..128).contains(&b)
}
