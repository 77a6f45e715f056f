//! What the configuration says, in the words of those who do it.

use std::collections::HashMap;
use std::sync::Arc;

use engine::miner::jdc::{JdsWay, PoolWay};
use engine::miner::{Firmwares, ListenerPolicy, ReplyMode};
use engine::router::{GoalSettings, MinersPerChannel, RouteSettings, Share, SourcePlan, Term};
use engine::source::{DeclaredSettings, JdsSettings, SoloSettings, SourceSettings, Sv1Settings};
use engine::{ListenerId, RouteId, SourceId};
use link::{Resolver, Sv1Url, TlsAuthorities};
use noise::PoolUrl;
use template::core_ipc::{CoreIpcSettings, Schema};
use template::rpc::{RpcAuth, RpcNode, RpcSettings};
use template::sv2_tp::TpSettings;
use work::coinbase::Output;

use super::StartError;
use super::numbers::Numbers;
use super::upstream::DECLARATOR_FRAME;
use crate::config::{self, Chain, Config, Interface, Name, RpcLogin, TemplateFrom};
use crate::downstream::{JdcWays, RouteChoice, RouteChoices};
use crate::snapshot::{GoalView, RouteView};
use crate::splits::{Bindings, Given};
use crate::templates::{TemplateOrigin, TemplateSettings};
use crate::upstream::{LaneSettings, LineSettings, Pinned, Pins};

/// Positions in the configuration; there are far fewer than 65,536 of anything.
pub(super) fn position(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

pub(crate) fn source_settings(id: SourceId, url: &PoolUrl, source: &config::Source) -> SourceSettings {
    SourceSettings {
        id,
        host: url.host().to_owned(),
        port: url.port(),
        insecure: source.insecure,
        worker_names: source.worker_names,
        tlv_byte_order: sv2::TlvByteOrder::LittleEndian,
        ntime_slack: u32::try_from(source.ntime_slack.as_secs()).unwrap_or(u32::MAX),
        unsettled_max: source.shares_unsettled_max.map(|n| n as usize),
        work_selection: false,
        payout: source.payout_rule(),
        tag_room: 0,
    }
}

/// Bytes of extranonce that a source should have for a lease's tag. Where receipts are issued terms may come at any time that
/// want one, and a channel keeps what it was opened with.
pub(super) fn tag_room(config: &Config) -> u8 {
    if config.receipts.key_file.is_some() { work::MAX_LEASE_TAG } else { 0 }
}

/// The ways of job declarator clients to each source, by its number; only Stratum V2 pools have any.
pub(super) fn jdc_ways(config: &Config) -> Vec<Option<JdcWays>> {
    let pools = config.sources.iter().enumerate().map(|(at, (name, source))| {
        let url = source.url.sv2()?;
        let line = |what: &str, url: &PoolUrl, max_frame| LineSettings {
            name: format!("{name}, {what} of a job declarator client"),
            url: url.clone(),
            resolver: Resolver::system(config.limits.lookup),
            connect_timeout: source.connect_timeout,
            handshake_timeout: config.limits.handshake,
            certificate_leeway: source.certificate_leeway,
            max_frame,
        };
        let own_identities = source.miners_per_channel == Some(config::MinersPerChannel::AtMost(1));
        let identity = (!own_identities).then(|| Arc::from(source.user_identity.as_str()));
        let jds = source.jds_url.as_ref().map(|url| {
            let way = JdsWay {
                host: url.host().to_owned(),
                port: url.port(),
                insecure: source.insecure,
                user_identifier: identity.clone(),
            };
            (way, line("job declarator server", url, DECLARATOR_FRAME))
        });
        let settings = source_settings(SourceId(position(at)), url, source);
        // Each is told its own route.
        let pool = PoolWay { settings, user_identity: identity, route: RouteId(0) };
        Some(JdcWays { pool, to_pool: line("pool", url, config.limits.frame), jds })
    });
    let others = source_names(config).skip(config.sources.len()).map(|_| None);
    pools.chain(others).collect()
}

/// A password that says nothing: pools know a worker by its name.
const NO_PASSWORD: &str = "x";

/// How an SV1 pool is used.
pub(crate) fn sv1_settings(
    id: SourceId,
    url: &Sv1Url,
    name: &Name,
    source: &config::Source,
    config: &Config,
) -> Sv1Settings {
    Sv1Settings {
        id,
        host: url.host().to_owned(),
        user_identity: Arc::from(source.user_identity.as_str()),
        password: source.password.as_ref().map_or(NO_PASSWORD, |password| password.reveal()).to_owned(),
        version_mask: rolled_bits(name, config),
        allow_reconnect: source.allow_reconnect,
        ntime_slack: u32::try_from(source.ntime_slack.as_secs()).unwrap_or(u32::MAX),
        unsettled_max: source.shares_unsettled_max.map(|n| n as usize),
        payout: source.payout_rule(),
        connections_max: usize::from(source.sv1_connections()),
    }
}

/// How connections to a Stratum V1 pool are made.
pub(crate) fn lane_settings(
    url: &Sv1Url,
    name: &Name,
    source: &config::Source,
    config: &Config,
    resolver: Arc<Resolver>,
) -> Result<LaneSettings, StartError> {
    let authorities = match (url.is_tls(), &source.ca_file) {
        (false, _) => None,
        (true, None) => Some(TlsAuthorities::public().map_err(|error| error.to_string())),
        (true, Some(path)) => Some(
            std::fs::read(path)
                .map_err(|error| error.to_string())
                .and_then(|pem| TlsAuthorities::own(&pem).map_err(|error| error.to_string())),
        ),
    };
    let authorities = authorities.transpose().map_err(|why| StartError::Authorities {
        key: format!("source.{name}.ca_file"),
        file: source.ca_file.as_deref().map_or_else(String::new, |path| path.display().to_string()),
        why,
    })?;
    Ok(LaneSettings {
        resolver,
        authorities,
        connect_timeout: source.connect_timeout,
        handshake_timeout: config.limits.handshake,
    })
}

/// The version bits that a source's miners may roll: those of every listener whose route has it.
pub(super) fn rolled_bits(name: &Name, config: &Config) -> u32 {
    let bindings = Bindings::of(config);
    let routes = config.routes.iter().filter(|(route, _)| bindings.sources_of(route).contains(&name));
    let listeners = routes.flat_map(|(_, route)| &route.listeners);
    listeners.filter_map(|name| config.listeners.get(name)).fold(0, |bits, one| bits | one.version_mask)
}

/// The version bits that SV2 miners of a listener may roll: all of BIP 323, which SV2 pools take, but where a pool that
/// speaks SV1 may get their work it is what that was asked for.
pub(super) fn sv2_rolled_bits(name: &Name, listener: &config::Listener, config: &Config) -> u32 {
    if listener.version_mask == 0 || !Bindings::of(config).sv1_pools(name).is_empty() {
        listener.version_mask
    } else {
        config::VERSION_BITS_ROLLABLE
    }
}

pub(super) fn source_plan(at: usize, source: &config::Source) -> SourcePlan {
    SourcePlan {
        id: SourceId(position(at)),
        user_identity: Arc::from(source.user_identity.as_str()),
        nominal_hashrate: source.nominal_hashrate,
        miners_per_channel: source.miners_per_channel.map(|n| match n {
            config::MinersPerChannel::AtMost(1) => MinersPerChannel::One,
            config::MinersPerChannel::AtMost(n) => MinersPerChannel::UpTo(n),
            config::MinersPerChannel::All => MinersPerChannel::All,
        }),
        declares: false,
    }
}

/// What is known of miners' firmware, the owner's own profiles first.
pub(super) fn firmware(config: &Config) -> Arc<Firmwares> {
    let known = Config::known_firmware(&config.firmware);
    let known = known.iter().map(|(name, firmware)| config::engine_firmware(name, firmware));
    Arc::new(Firmwares::new(known.collect()))
}

pub(super) fn listener_policy(
    at: usize,
    route: usize,
    (name, listener): (&Name, &config::Listener),
    config: &Config,
    firmware: &Arc<Firmwares>,
) -> ListenerPolicy {
    // What is not said is chosen before anybody is let in.
    let split = Given::of(listener).usual();
    ListenerPolicy {
        id: ListenerId(position(at)),
        route: RouteId(position(route)),
        extranonce1_size: split.extranonce1,
        extranonce2_size: split.extranonce2,
        vardiff: work::vardiff::Settings {
            shares_per_minute: listener.shares_per_minute,
            min: listener.difficulty_min,
            max: listener.difficulty_max.unwrap_or(sv1::MAX_DIFFICULTY),
        },
        vardiff_enabled: listener.vardiff,
        difficulty_start: listener.difficulty_start,
        version_mask: listener.version_mask,
        sv2_version_mask: sv2_rolled_bits(name, listener, config),
        reply: match listener.reply {
            config::Reply::Local => ReplyMode::Local,
            config::Reply::Source => ReplyMode::Source,
        },
        setup_deadline: config.limits.setup,
        idle_deadline: config.limits.idle,
        identity: listener.identity.clone(),
        declarators: listener.job_declarators > 0,
        hash_seed: rand::random(),
        retargets: Arc::default(),
        firmware: Arc::clone(firmware),
    }
}

/// All sources in the order of their numbers: pools, those that declare to them, then those that mine for the farm itself.
pub(super) fn source_names(config: &Config) -> impl Iterator<Item = &Name> {
    config.sources.keys().chain(config.declared.keys()).chain(config.solos.keys())
}

/// The goals of all routes in the order of their numbers: route by route, and a route's in the order of their names. One
/// that is all of its route has the route's name.
pub(crate) fn goals(config: &Config) -> Vec<(&Name, &Name, Option<&config::Goal>)> {
    config
        .routes
        .iter()
        .flat_map(|(route, table)| {
            let whole = (!table.sources.is_empty()).then_some((route, route, None));
            let parts = config.goals.iter().filter(move |(_, goal)| goal.route == *route);
            whole.into_iter().chain(parts.map(move |(name, goal)| (route, name, Some(goal))))
        })
        .collect()
}

/// Which route a listener's miners take.
pub(super) fn route_choices(listener: &Name, config: &Config) -> RouteChoices {
    let routes = config.routes.values().enumerate();
    let of_listener = routes.filter(|(_, route)| route.listeners.contains(listener));
    let (everybodys, some): (Vec<_>, Vec<_>) =
        of_listener.partition(|(_, route)| route.workers.is_empty() && route.networks.is_empty());
    let choice = |(at, route): (usize, &config::Route)| RouteChoice {
        workers: route.workers.clone(),
        networks: route.networks.clone(),
        route: RouteId(position(at)),
    };
    RouteChoices {
        some: some.into_iter().map(choice).collect(),
        rest: RouteId(position(everybodys.first().expect("checked").0)),
    }
}

/// Which workers mine for one goal alone.
pub(super) fn pins(numbers: &Numbers, config: &Config) -> Pins {
    let pinned = |pin: &config::Pin| {
        let route = &config.goals.get(&pin.goal)?.route;
        let goal = numbers.goal(route, &pin.goal)?;
        let route = config.routes.keys().position(|name| name == route)?;
        Some(Pinned { workers: pin.workers.clone(), route: RouteId(position(route)), goal })
    };
    Pins(config.pins.values().filter_map(pinned).collect())
}

/// How much work a goal is to have.
pub(crate) fn goal_share(goal: &config::Goal) -> Share {
    Share { weight: goal.weight, hashrate_max: goal.hashrate_max }
}

/// When a goal is to have work.
pub(crate) fn goal_term(goal: &config::Goal) -> Term {
    Term {
        from: goal.from.map(|t| t.0),
        until: goal.until.map(|t| t.0),
        hours: goal.hours.map(|hours| (hours.from, hours.to)),
        work_max: goal.work_max.map(|work| work.hashes()),
    }
}

/// A route over sources by their numbers. A goal that has none yet is given one.
pub(super) fn route_settings(
    at: usize,
    name: &Name,
    route: &config::Route,
    config: &Config,
    numbers: &mut Numbers,
) -> RouteSettings {
    let all = |names: &[Name], numbers: &Numbers| {
        names.iter().map(|name| numbers.source(name).expect("checked")).collect()
    };
    let of_route = goals(config).into_iter().filter(|(of, _, _)| *of == name);
    let goals = of_route.map(|(_, name_of_goal, goal)| {
        let id = numbers.goal_or_new(name, name_of_goal);
        match goal {
            None => GoalSettings::whole(id, all(&route.sources, numbers)),
            Some(goal) => GoalSettings {
                id,
                share: goal_share(goal),
                term: goal_term(goal),
                sources: all(&goal.sources, numbers),
            },
        }
    });
    RouteSettings {
        id: RouteId(position(at)),
        goals: goals.collect(),
        return_after: route.return_after,
        outage_grace: route.outage_grace,
        keepalive: route.keepalive,
        grows: route.sources.is_empty(),
    }
}

/// Routes as they are shown.
pub(super) fn route_views(routes: &[RouteSettings], config: &Config) -> Vec<RouteView> {
    let view = |(settings, (name, route)): (&RouteSettings, (&Name, &config::Route))| {
        let names = goals(config).into_iter().filter(|(of, _, _)| *of == name);
        let goals = settings.goals.iter().zip(names).map(|(goal, (_, name, _))| GoalView {
            name: name.to_string(),
            at: usize::from(goal.id.0),
            sources: goal.sources.iter().map(|source| usize::from(source.0)).collect(),
        });
        let goals: Vec<GoalView> = goals.collect();
        let mut sources = Vec::new();
        for source in goals.iter().flat_map(|goal| &goal.sources) {
            if !sources.contains(source) {
                sources.push(*source);
            }
        }
        let others = config.routes.iter().filter(|(other, _)| *other != name);
        let shares_listeners =
            others.flat_map(|(_, other)| &other.listeners).any(|listener| route.listeners.contains(listener));
        let listeners = route.listeners.iter().map(ToString::to_string).collect();
        RouteView { name: name.to_string(), sources, listeners, goals, shares_listeners }
    };
    routes.iter().zip(&config.routes).map(view).collect()
}

/// How the router sees solo mining: it has no account and asks for no hashrate.
pub(super) fn solo_plan(at: usize, name: &Name) -> SourcePlan {
    SourcePlan {
        id: SourceId(position(at)),
        user_identity: Arc::from(name.as_str()),
        nominal_hashrate: None,
        miners_per_channel: None,
        declares: false,
    }
}

/// Whom solo mining pays, and what it is told of itself. `None`: an address is not of the templates' chain, which a
/// checked configuration has not.
pub(super) fn solo_settings(
    id: SourceId,
    solo: &config::Solo,
    config: &Config,
    instance: &[u8],
) -> Option<SoloSettings> {
    let chain = solo.templates.iter().find_map(|name| config.templates.get(name))?.network;
    // What it gets is decided by each template.
    let payout = Output { value: 0, script_pubkey: solo.payout.script_on(chain)? };
    let extra = solo.extra_outputs.iter().map(|output| output.on(chain));
    Some(SoloSettings {
        id,
        outputs: std::iter::once(Some(payout)).chain(extra).collect::<Option<_>>()?,
        tag: config::signature_push(&solo.signature),
        // Two of one Adit on one node must not search the same space either.
        instance: [instance, &id.0.to_be_bytes()].concat(),
        ntime_slack: u32::try_from(solo.ntime_slack.as_secs()).unwrap_or(u32::MAX),
        tag_room: tag_room(config),
    })
}

/// How the router sees declaring: as the pool, with all miners on one channel.
pub(super) fn declared_plan(at: usize, pool: &config::Source) -> SourcePlan {
    SourcePlan { miners_per_channel: None, declares: true, ..source_plan(at, pool) }
}

/// How templates are declared to a pool. `None`: an address is not of the templates' chain, which a checked configuration
/// has not.
pub(super) fn declared_settings(
    id: SourceId,
    declared: &config::Declared,
    pool: &config::Source,
    config: &Config,
) -> Option<DeclaredSettings> {
    let chain = declared.templates.iter().find_map(|name| config.templates.get(name))?.network;
    let extra = declared.extra_outputs.iter().map(|output| output.on(chain));
    Some(DeclaredSettings {
        pool: SourceSettings {
            payout: None,
            tag_room: tag_room(config),
            ..source_settings(id, pool.url.sv2()?, pool)
        },
        jds: JdsSettings {
            host: declared.jds_url.host().to_owned(),
            port: declared.jds_url.port(),
            user_identifier: Arc::from(pool.user_identity.as_str()),
            insecure: pool.insecure,
            full_template: declared.mode == config::DeclareMode::FullTemplate,
        },
        tag: config::signature_push(&declared.signature),
        extra_outputs: extra.collect::<Option<_>>()?,
    })
}

/// The templates that any source uses, in the order of their names.
pub(super) fn templates_in_use(config: &Config) -> Vec<&Name> {
    let used = |name: &&Name| {
        config.solos.values().any(|solo| solo.templates.contains(name))
            || config.declared.values().any(|declared| declared.templates.contains(name))
    };
    config.templates.keys().filter(used).collect()
}

/// Where a template comes from. `None`: a key is missing that a checked configuration has.
pub(super) fn template_settings(
    name: &Name,
    template: &config::Template,
    limits: &config::Limits,
) -> Option<TemplateSettings> {
    let (fee_threshold, min_interval) = (template.fee_threshold, template.min_interval);
    let origin = match template.from()? {
        TemplateFrom::BitcoinIpc { socket, interface } => TemplateOrigin::BitcoinIpc(CoreIpcSettings {
            path: socket.to_owned(),
            schema: match interface {
                Interface::Auto => None,
                Interface::V30 => Some(Schema::V30),
                Interface::V31 => Some(Schema::V31),
                Interface::V31_99 => Some(Schema::V31_99),
            },
            fee_threshold,
            min_interval,
            // A test chain may stand still for years: its node would never be done catching up.
            cooldown: template.network == Chain::Main,
        }),
        TemplateFrom::BitcoinRpc { address, login } => TemplateOrigin::BitcoinRpc(RpcSettings {
            node: RpcNode {
                address: address.to_owned(),
                auth: match login {
                    RpcLogin::Cookie(path) => RpcAuth::Cookie(path.to_owned()),
                    RpcLogin::User { name, password } => {
                        RpcAuth::User { name: name.to_owned(), password: password.reveal().to_owned() }
                    }
                },
            },
            fee_threshold,
            min_interval,
            signet: template.network == Chain::Signet,
        }),
        TemplateFrom::TemplateProvider { url, insecure } => TemplateOrigin::TemplateProvider(TpSettings {
            url: url.clone(),
            insecure,
            resolver: Resolver::system(limits.lookup),
            connect_timeout: config::CONNECT_TIMEOUT,
            handshake_timeout: limits.handshake,
            certificate_leeway: config::CERTIFICATE_LEEWAY,
        }),
    };
    Some(TemplateSettings { name: name.to_string(), origin })
}

/// Blocks between two halvings, by template provider. The chain of an embedded one has none.
pub(super) fn halvings(config: &Config, embedded: &[String]) -> HashMap<String, u32> {
    let halving = |(name, template): (&Name, &config::Template)| {
        let blocks = match template.network {
            _ if embedded.iter().any(|embedded| *embedded == *name.as_str()) => u32::MAX,
            Chain::Regtest => 150,
            Chain::Main | Chain::Testnet4 | Chain::Signet => 210_000,
        };
        (name.to_string(), blocks)
    };
    config.templates.iter().map(halving).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(route: &str, goals: &str) -> Config {
        let text = format!(
            "version = 1\n[listener.main]\n\
             [source.two]\nurl = \"stratum2+tcp://pool.example:3336/9bGBU8kQmhxVgkB8FENf6brbbJ1pdw6Bjw79EmTUiv99YZ7Zhuz\"\nuser_identity = \"a\"\n\
             [source.one]\nurl = \"stratum+tcp://pool.example:3333\"\nuser_identity = \"a\"\n\
             [route.main]\nlisteners = [\"main\"]\n{route}\n{goals}"
        );
        Config::from_str_named("adit.toml", &text).unwrap_or_else(|errors| panic!("{errors}")).config
    }

    fn bits(config: &Config) -> (u32, u32) {
        let (name, listener) = config.listeners.iter().next().unwrap();
        let one = config.sources.keys().find(|source| source.as_str() == "one").unwrap();
        (rolled_bits(one, config), sv2_rolled_bits(name, listener, config))
    }

    #[test]
    fn an_sv1_pool_is_asked_for_the_bits_that_its_miners_roll_wherever_its_route_names_it() {
        let goal =
            |name, source| format!("[goal.{name}]\nroute = \"main\"\nweight = 1\nsources = [\"{source}\"]\n");
        let goals = goal("a", "two") + &goal("b", "one");
        for config in [config("sources = [\"two\", \"one\"]", ""), config("", &goals)] {
            assert_eq!(bits(&config), (0x1fff_e000, 0x1fff_e000));
        }
    }

    #[test]
    fn sv2_miners_roll_all_bits_that_sv2_has_where_only_sv2_pools_get_their_work() {
        assert_eq!(bits(&config("sources = [\"two\"]", "")), (0, config::VERSION_BITS_ROLLABLE));
    }
}
