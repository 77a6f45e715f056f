//! What solo mining and declaration must be to templates, pools and routes.

use super::{Parts, authority, item, name_exists, named_once, names_exist};
use crate::config::given::quoted;
use crate::config::kind::{ExtraOutput, MinersPerChannel, PayTo};
use crate::config::name::Name;
use crate::config::place::Spot;
use crate::config::reader::Reader;
use crate::config::section::Table;
use crate::config::tables::{Chain, Declared};

/// Reports what does not fit between the tables that make work of templates and the others.
pub(super) fn check(parts: &Parts, reader: &mut Reader<'_>) {
    own_names(parts, reader);
    for (name, solo) in &parts.solos {
        let table = format!("solo.{name}");
        let chain = one_chain(parts, &table, &solo.templates, reader);
        pays(&format!("{table}.payout"), &solo.payout, chain, reader);
        outputs(&table, &solo.extra_outputs, chain, reader);
    }
    for (name, declared) in &parts.declared {
        let table = format!("declared.{name}");
        let chain = one_chain(parts, &table, &declared.templates, reader);
        outputs(&table, &declared.extra_outputs, chain, reader);
        let key = format!("{table}.pool");
        let spot = reader.spot(&key).cloned().unwrap_or(Spot::Whole);
        name_exists(parts, &[Table::Source], (&spot, &key), &declared.pool, reader);
        only_sv2(parts, &key, declared, reader);
        let pool = format!("source.{}", declared.pool);
        // A pool that could not be read may say that it is insecure.
        let insecure = parts.sources.get(&declared.pool).is_none_or(|pool| pool.insecure)
            || reader.is_bad(&format!("{pool}.insecure"));
        let switch = format!("insecure in [{pool}]");
        authority(
            &format!("{table}.jds_url"),
            &declared.jds_url,
            insecure,
            "job declarator",
            &switch,
            reader,
        );
    }
    one_channel(parts, reader);
}

/// Jobs can be declared to a pool that speaks Stratum V2.
fn only_sv2(parts: &Parts, key: &str, declared: &Declared, reader: &mut Reader<'_>) {
    let sv1 = parts.sources.get(&declared.pool).is_some_and(|pool| pool.url.sv1().is_some());
    if sv1 && !reader.is_bad(key) {
        let spot = reader.spot(key).cloned().unwrap_or(Spot::Whole);
        let expected = "a pool that speaks Stratum V2: Stratum V1 has no job declaration".to_owned();
        let found = format!("{}, a Stratum V1 pool", quoted(declared.pool.as_str()));
        let fix = format!("give [source.{}] the pool's Stratum V2 url, if it has one", declared.pool);
        reader.report(&spot, key, expected, found, fix);
    }
}

/// A route names a source, a solo and a declared in one list: their names differ.
fn own_names(parts: &Parts, reader: &mut Reader<'_>) {
    for (at, table) in Table::WORK.into_iter().enumerate() {
        for name in parts.names(table) {
            let earlier =
                Table::WORK[..at].iter().find(|other| parts.given.contains_key(&(**other, name.clone())));
            let Some(earlier) = earlier else { continue };
            let spot = parts.header_of(table, name);
            reader.report(
                &spot,
                &format!("{}.{name}", table.word()),
                "a name of its own, since routes name sources, solos and declareds alike".to_owned(),
                format!("{}, which [{}.{name}] has as well", quoted(name.as_str()), earlier.word()),
                format!("write [{}.{name}-{}]", table.word(), table.word()),
            );
        }
    }
}

/// The chain of all templates of a list, if they exist and have one in common.
fn one_chain(parts: &Parts, table: &str, templates: &[Name], reader: &mut Reader<'_>) -> Option<Chain> {
    let path = format!("{table}.templates");
    names_exist(parts, &[Table::Template], &path, templates, reader);
    named_once(&path, templates, reader);
    let mut first: Option<(&Name, Chain)> = None;
    for (at, name) in templates.iter().enumerate() {
        let template = parts.templates.get(name)?;
        if reader.is_bad(&format!("template.{name}.network")) {
            return None;
        }
        match first {
            None => first = Some((name, template.network)),
            Some((other, chain)) if chain != template.network => {
                let (spot, key) = item(&path, at, reader);
                let expected =
                    format!("templates of one network, as that of {}: {chain}", quoted(other.as_str()));
                let found = format!("{}, which is on {}", quoted(name.as_str()), template.network);
                let fix = format!("leave it out, or correct network in [template.{name}]");
                reader.report(&spot, &key, expected, found, fix);
                return None;
            }
            Some(_) => {}
        }
    }
    first.map(|(_, chain)| chain)
}

/// An address must be one of the templates' chain.
fn pays(key: &str, to: &PayTo, chain: Option<Chain>, reader: &mut Reader<'_>) {
    let Some(chain) = chain.filter(|chain| to.script_on(*chain).is_none()) else { return };
    if reader.is_bad(key) {
        return;
    }
    let spot = reader.spot(key).or_else(|| reader.spot(list_of(key))).cloned().unwrap_or(Spot::Whole);
    let chains: Vec<&str> = to.chains().into_iter().map(Chain::as_str).collect();
    let found = match chains.as_slice() {
        [] => format!("{to}, an address of another network"),
        _ => format!("{to}, an address of {}", chains.join(" or ")),
    };
    reader.report(
        &spot,
        key,
        format!("an address of {chain}, the network of the templates"),
        found,
        format!("write an address of {chain}, or correct network of the templates"),
    );
}

/// The path of the list that an item is of.
fn list_of(key: &str) -> &str {
    key.split_once('[').map_or(key, |(list, _)| list)
}

fn outputs(table: &str, outputs: &[ExtraOutput], chain: Option<Chain>, reader: &mut Reader<'_>) {
    for (at, output) in outputs.iter().enumerate() {
        pays(&format!("{table}.extra_outputs[{at}]"), &output.to, chain, reader);
    }
}

/// A declared job is one channel's: on a route that has one, all miners share a channel at each pool, so that they can
/// go from one source to the next as one.
fn one_channel(parts: &Parts, reader: &mut Reader<'_>) {
    let routes = parts.routes.iter().map(|(name, route)| (format!("route {name}"), &route.sources));
    let goals = parts.goals.iter().map(|(name, goal)| (format!("goal {name}"), &goal.sources));
    for (route, sources) in routes.chain(goals) {
        let Some(declared) = sources.iter().find(|name| parts.declared.contains_key(*name)) else {
            continue;
        };
        for name in sources {
            let Some(source) = parts.sources.get(name) else { continue };
            let key = format!("source.{name}.miners_per_channel");
            let all = source.miners_per_channel == Some(MinersPerChannel::All);
            if all || reader.is_bad(&key) {
                continue;
            }
            let spot = reader.spot(&key).cloned().unwrap_or(Spot::Whole);
            let found = match source.miners_per_channel {
                Some(MinersPerChannel::AtMost(miners)) => miners.to_string(),
                _ => "nothing".to_owned(),
            };
            reader.report(
                &spot,
                &key,
                format!("\"all\": {route} has [declared.{declared}], and a declared job is for one channel"),
                found,
                format!(
                    "miners_per_channel = \"all\", or take {} or {} out of the route",
                    quoted(name.as_str()),
                    quoted(declared.as_str())
                ),
            );
        }
    }
}
