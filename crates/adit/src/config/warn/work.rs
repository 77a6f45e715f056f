//! What deserves a second look where the farm makes its own work.

use std::net::IpAddr;

use crate::config::Config;
use crate::config::name::Name;
use crate::config::reader::Reader;
use crate::config::tables::{Declared, Template, TemplateFrom};

/// What a pool must take of `coinbase_prefix` (SV2 5.3.18), in bytes.
const COINBASE_PREFIX: usize = 8;
/// Of which the height takes so much until block 8,388,608, and the push of a signature one more.
const HEIGHT_AND_PUSH: usize = 4 + 1;

/// Adds what is allowed but deserves a second look.
pub(super) fn add(config: &Config, reader: &mut Reader<'_>) {
    for (name, source) in &config.sources {
        if source.payout.is_none() && reader.spot(&format!("source.{name}.payout_percent")).is_some() {
            let message = "this has no effect without payout".to_owned();
            reader.warn(&format!("source.{name}.payout_percent"), message);
        }
    }
    for (name, template) in &config.templates {
        of_template(name, template, reader);
    }
    for (name, declared) in &config.declared {
        of_declared(name, declared, reader);
    }
    for (name, route) in &config.routes {
        if let Some(message) = route.sources.last().and_then(|last| nothing_behind(last, config)) {
            reader.warn(&format!("route.{name}.sources"), message);
        }
    }
}

fn of_template(name: &Name, template: &Template, reader: &mut Reader<'_>) {
    match template.from() {
        Some(TemplateFrom::BitcoinRpc { address, .. }) if !is_here(address) => {
            let message = format!(
                "{address} is not this machine, and RPC is not encrypted: anyone on the way can read the password and \
                 change the templates; use a tunnel, or a node on this machine"
            );
            reader.warn(&format!("template.{name}.rpc_address"), message);
        }
        Some(TemplateFrom::TemplateProvider { url, insecure: true }) => {
            let message = match url.authority() {
                Some(_) => "this has no effect: the URL has an authority key, and the provider must prove it",
                None => {
                    "nobody vouches for this provider: anyone on the way can pose as it and change the templates"
                }
            };
            reader.warn(&format!("template.{name}.insecure"), message.to_owned());
        }
        _ => {}
    }
}

fn of_declared(name: &Name, declared: &Declared, reader: &mut Reader<'_>) {
    let room = COINBASE_PREFIX - HEIGHT_AND_PUSH;
    if declared.signature.len() > room {
        let message = format!(
            "a pool need not take more than {room} bytes here (SV2 5.3.18: {COINBASE_PREFIX} with the height and the \
             byte that says how long the text is): one that does not refuses the jobs"
        );
        reader.warn(&format!("declared.{name}.signature"), message);
    }
    let paid = declared.extra_outputs.iter().map(|output| output.value).sum::<u64>();
    if paid > 0 {
        let message = format!(
            "{paid} satoshi of each block are missing from the pool's payout: it may pay less for shares, or refuse the \
             jobs; ask the pool, or pay 0"
        );
        reader.warn(&format!("declared.{name}.extra_outputs"), message);
    }
}

/// Why a route should not end with this source.
fn nothing_behind(last: &Name, config: &Config) -> Option<String> {
    if let Some(solo) = config.solos.get(last) {
        let [template] = solo.templates.as_slice() else { return None };
        return Some(format!(
            "nothing comes after [solo.{last}], which has one template: while [template.{template}] is away miners get \
             no work; name a second template, or a source behind it"
        ));
    }
    let pool = &config.declared.get(last)?.pool;
    Some(format!(
        "nothing comes after [declared.{last}]: while templates are away or the pool refuses them miners get no work; \
         add \"{pool}\", for the pool's own jobs"
    ))
}

/// Whether a host and port are this machine's own.
fn is_here(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}
