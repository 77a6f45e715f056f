//! The configuration: one TOML file, each key also from the environment, everything wrong reported at once.
//!
//! Which keys there are, with their types, defaults and bounds, stands in one place, `tables/`; the
//! documentation (`docs/configuration.md`), the example file's test, the suggestions in errors and
//! [`Config::effective_toml`] are made from it.

mod change;
mod check;
mod document;
mod effective;
mod environment;
mod foreign;
mod given;
mod kind;
mod machine;
mod name;
mod nearest;
mod place;
mod problem;
mod quantity;
mod reader;
mod reference;
mod section;
mod shipped;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod warn;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use change::changed_goals;
pub(crate) use check::WINDOW_MARGIN;
pub use check::{TABLES_MAX, TEMPLATES_MAX};
pub use environment::PREFIX;
pub(crate) use kind::is_host_and_port;
pub use kind::{
    AuthoritySecret, DayHours, EXTRA_OUTPUTS_MAX, ExtraOutput, MinersPerChannel, Network, PayScript, PayTo,
    SCRIPT_MAX, SIGNATURE_MAX, Secret, SourceUrl, USER_IDENTITY_MAX, UnixTime, VERSION_BITS_ROLLABLE, Work,
    signature_push,
};
pub use machine::Machine;
pub use name::{NAME_LENGTH_MAX, Name};
pub use place::{Excerpt, Place};
pub use problem::{ConfigErrors, PROBLEMS_SHOWN, Problem, Warning};
pub(crate) use quantity::{duration as parse_duration, hashrate as parse_hashrate};
pub use reference::reference_markdown;
pub use shipped::{engine_firmware, shipped_firmware};
pub use tables::{
    ACCEPT_RATE, CERTIFICATE_LEEWAY, CONNECT_TIMEOUT, CONNECTIONS_MAX, Chain, DIFFICULTY_MIN,
    DIFFICULTY_START, DeclareMode, Declared, EVIDENCE_KEPT, EVIDENCE_MAX, EXTRANONCE1_SIZE, EXTRANONCE2_SIZE,
    FEE_THRESHOLD, FEE_THRESHOLD_MAX, FIRMWARE_EXTRANONCE2_MAX, FRAME, Firmware, Goal, HANDSHAKE, HOURS_KEPT,
    HTTP_LISTEN, Http, IDLE, Interface, KEEPALIVE, LINE, LISTENER_LISTEN, LOOKUP, Ledger, Limits, Listener,
    Log, LogFormat, LogLevel, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, MEMORY_MAX, MEMORY_MIN,
    MIN_INTERVAL, MINUTES_KEPT, NTIME_SLACK, NTIME_SLACK_MAX, Nats, OPEN_FILES_RESERVE, OUTAGE_GRACE, OUTBOX,
    PAYOUT_PERCENT, Pin, Protocol, RETURN_AFTER, Receipts, Reply, Route, RpcLogin, SETUP, SHARES_PER_MINUTE,
    SHARES_UNSETTLED_MAX, SHARES_UNSETTLED_MIN, SHUTDOWN_GRACE, SPOOL_AGE, SPOOL_MAX, SUMS_MAX, Solo, Source,
    State, Template, TemplateFrom, TemplateKind, VERSION, VERSION_MASK, WEIGHT, WORKER_SERIES,
    WORKER_SERIES_MAX, WORKERS_MAX, WORKERS_MAX_MAX, WhenFull, state_directory,
};

use document::{Document, VERSION_KEY};
use place::{Spot, Text};
use reader::Reader;
use section::{Section, Table};

/// The file's name in each of the places where one is looked for.
pub const FILE_NAME: &str = "adit.toml";
/// The longest file that is read, in bytes: hundreds of listeners, sources and routes fit.
pub const FILE_LENGTH_MAX: u64 = 256 * 1024;
/// What stands in messages for the file when there is none and everything comes from the environment.
const ENVIRONMENT_NAME: &str = "the environment";

/// A whole configuration, checked: what it names exists and what it says fits together.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The ports that miners connect to, at least one.
    pub listeners: BTreeMap<Name, Listener>,
    /// The pools that work comes from. There is at least one of these, of `solos` or of `declared`, and no two of
    /// them have the same name.
    pub sources: BTreeMap<Name, Source>,
    /// Where templates come from.
    pub templates: BTreeMap<Name, Template>,
    /// Sources that mine for the farm itself.
    pub solos: BTreeMap<Name, Solo>,
    /// Sources that declare the farm's own templates to a pool.
    pub declared: BTreeMap<Name, Declared>,
    /// What binds listeners and sources, at least one.
    pub routes: BTreeMap<Name, Route>,
    /// Parts of routes' work; none of a route that has sources of its own.
    pub goals: BTreeMap<Name, Goal>,
    /// Workers that mine for one goal alone.
    pub pins: BTreeMap<Name, Pin>,
    /// What the owner knows of miners' firmware, beside what is shipped.
    pub firmware: BTreeMap<Name, Firmware>,
    /// What is kept between runs.
    pub state: State,
    /// What is written down of every share.
    pub ledger: Ledger,
    /// Where that is published besides.
    pub nats: Nats,
    /// `[receipts]`
    pub receipts: Receipts,
    /// Metrics, health and status.
    pub http: Http,
    /// What is logged.
    pub log: Log,
    /// Bounds that keep one peer from costing the others.
    pub limits: Limits,
}

/// A configuration with where it came from and what to tell its owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file; nothing when everything came from the environment or from a text.
    pub path: Option<PathBuf>,
    /// What is allowed but deserves a second look.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Loads the configuration of a named file, or else of the first that stands in one of the
    /// [`search_paths`](Self::search_paths), with the variables `ADIT__...` of `env` laid over it. Where no
    /// file is found and such variables exist, they alone are the configuration.
    ///
    /// `env` is what [`environment`] gives; `HOME` and `XDG_CONFIG_HOME` are taken from it, too. The limits
    /// of [`Machine::here`] hold.
    ///
    /// # Errors
    /// [`ConfigErrors`], with every problem in it.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigErrors> {
        Self::load_for(path, env, Machine::here())
    }

    /// As [`load`](Self::load), checked against the limits of the given machine.
    ///
    /// # Errors
    /// [`ConfigErrors`], with every problem in it.
    pub fn load_for(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        machine: Machine,
    ) -> Result<Loaded, ConfigErrors> {
        let mut variables: Vec<(String, String)> = env.collect();
        variables.sort();
        let found = match path {
            Some(path) => Some(path.to_owned()),
            None => {
                let looked_at =
                    Self::search_paths(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                let found = looked_at.iter().find(|path| path.is_file()).cloned();
                if found.is_none() && !variables.iter().any(|(name, _)| name.starts_with(PREFIX)) {
                    return Err(ConfigErrors::NotFound { looked_at });
                }
                found
            }
        };
        let (name, text) = match &found {
            Some(path) => (path.display().to_string(), read_file(path)?),
            None => (ENVIRONMENT_NAME.to_owned(), String::new()),
        };
        let loaded = assemble(&name, &text, &variables, found.is_none(), machine, &|path| {
            std::fs::read_to_string(path)
        })?;
        Ok(Loaded { path: found, ..loaded })
    }

    /// Takes a configuration from a text, which messages call `name`. Neither the environment nor the
    /// machine has a say.
    ///
    /// # Errors
    /// [`ConfigErrors::Refused`], with every problem in it.
    pub fn from_str_named(name: &str, text: &str) -> Result<Loaded, ConfigErrors> {
        assemble(name, text, &[], false, Machine::default(), &|path| std::fs::read_to_string(path))
    }

    /// Takes a configuration from its parts, none of which is looked for: a text, which messages call `name`, variables
    /// that are laid over it, the machine's limits, and what reads the files that hold secrets. For whoever keeps
    /// configurations elsewhere than in files, and for tests.
    ///
    /// # Errors
    /// [`ConfigErrors::Refused`], with every problem in it.
    pub fn from_parts(
        name: &str,
        text: &str,
        variables: &[(String, String)],
        machine: Machine,
        read_secret: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Loaded, ConfigErrors> {
        assemble(name, text, variables, false, machine, read_secret)
    }

    /// Where a file is looked for when none is named, in this order: the working directory,
    /// `$XDG_CONFIG_HOME/adit` (by default `$HOME/.config/adit`) and `/etc/adit`.
    pub fn search_paths<'e>(env: impl Iterator<Item = (&'e str, &'e str)>) -> Vec<PathBuf> {
        let (mut home, mut config_home) = (None, None);
        for (name, value) in env.filter(|(_, value)| !value.is_empty()) {
            match name {
                "HOME" => home = Some(Path::new(value).join(".config")),
                "XDG_CONFIG_HOME" => config_home = Some(PathBuf::from(value)),
                _ => {}
            }
        }
        let mut paths = vec![PathBuf::from(FILE_NAME)];
        paths.extend(config_home.or(home).map(|directory| directory.join("adit").join(FILE_NAME)));
        paths.push(Path::new("/etc/adit").join(FILE_NAME));
        paths
    }
}

/// The variables of this process, for [`Config::load`]. What is not UTF-8 has its wrong bytes replaced, so
/// that a key's value with such bytes is refused rather than lost.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// Reads a file whole, as far as it can be a configuration.
fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    let unreadable = |source: io::Error| ConfigErrors::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_LENGTH_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LENGTH_MAX {
        return Err(ConfigErrors::TooLong { path: path.to_owned(), limit: FILE_LENGTH_MAX });
    }
    String::from_utf8(bytes).map_err(|error| ConfigErrors::NotText {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })
}

/// From text and variables to a configuration, or to all that is wrong with it.
fn assemble(
    name: &str,
    text: &str,
    variables: &[(String, String)],
    only_environment: bool,
    machine: Machine,
    read_secret: reader::ReadFile<'_>,
) -> Result<Loaded, ConfigErrors> {
    // A byte order mark is no part of the text and would shift the first line's columns.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(Text::new(name, text), read_secret);
    let mut document = Document::read(&mut reader);
    environment::overlay(&mut document, variables, &mut reader);
    check_version(&document, only_environment, &mut reader);

    let given = document
        .sections
        .iter()
        .filter_map(|((table, name), section)| Some(((*table, name.clone()?), section.header.clone())))
        .collect();
    let mut parts = check::Parts {
        listeners: read_named(&mut document, Table::Listener, &mut reader, Listener::read),
        sources: read_named(&mut document, Table::Source, &mut reader, Source::read),
        templates: read_named(&mut document, Table::Template, &mut reader, Template::read),
        solos: read_named(&mut document, Table::Solo, &mut reader, Solo::read),
        declared: read_named(&mut document, Table::Declared, &mut reader, Declared::read),
        routes: read_named(&mut document, Table::Route, &mut reader, Route::read),
        goals: read_named(&mut document, Table::Goal, &mut reader, Goal::read),
        pins: read_named(&mut document, Table::Pin, &mut reader, Pin::read),
        http: read_single(&mut document, Table::Http, &mut reader, Http::read).unwrap_or_default(),
        limits: read_single(&mut document, Table::Limits, &mut reader, Limits::read).unwrap_or_default(),
        ledger: read_single(&mut document, Table::Ledger, &mut reader, Ledger::read).unwrap_or_default(),
        nats: read_single(&mut document, Table::Nats, &mut reader, Nats::read).unwrap_or_default(),
        given,
    };
    let firmware = read_named(&mut document, Table::Firmware, &mut reader, Firmware::read);
    let state = read_single(&mut document, Table::State, &mut reader, State::read).unwrap_or_default();
    let receipts =
        read_single(&mut document, Table::Receipts, &mut reader, Receipts::read).unwrap_or_default();
    let log = read_single(&mut document, Table::Log, &mut reader, Log::read).unwrap_or_default();
    if reader.spot("limits.max_connections").is_none() {
        parts.limits.max_connections = machine.connections(parts.limits.max_connections);
    }
    for (name, listener) in &mut parts.listeners {
        // A first difficulty that nobody chose gives way to bounds that somebody did.
        let max = listener.difficulty_max.unwrap_or(f64::INFINITY);
        if reader.spot(&format!("listener.{name}.difficulty_start")).is_none()
            && listener.difficulty_min <= max
        {
            listener.difficulty_start = listener.difficulty_start.clamp(listener.difficulty_min, max);
        }
    }
    one_channel_for_declared(&mut parts, &reader);
    check::cross_checks(&parts, machine, &mut reader);
    let check::Parts {
        listeners,
        sources,
        templates,
        solos,
        declared,
        routes,
        goals,
        pins,
        http,
        limits,
        ledger,
        nats,
        given,
    } = parts;
    let config = Config {
        listeners,
        sources,
        templates,
        solos,
        declared,
        routes,
        goals,
        pins,
        firmware,
        state,
        ledger,
        nats,
        receipts,
        http,
        log,
        limits,
    };
    check::receipts_need_evidence(&config, &mut reader);
    if !reader.has_problems() {
        warn::add_warnings(&config, machine, &given, &mut reader);
    }
    let (problems, warnings) = reader.finish();
    if problems.is_empty() {
        Ok(Loaded { config, path: None, warnings })
    } else {
        Err(ConfigErrors::Refused { name: name.to_owned(), problems })
    }
}

/// Where a route has a declared source, all its miners share one channel at each of its pools, unless somebody chose
/// otherwise: that is refused.
fn one_channel_for_declared(parts: &mut check::Parts, reader: &Reader<'_>) {
    let lists = parts.routes.values().map(|route| &route.sources);
    for sources in lists.chain(parts.goals.values().map(|goal| &goal.sources)) {
        if !sources.iter().any(|name| parts.declared.contains_key(name)) {
            continue;
        }
        for name in sources {
            if let Some(source) = parts.sources.get_mut(name)
                && reader.spot(&format!("source.{name}.miners_per_channel")).is_none()
            {
                source.miners_per_channel = Some(MinersPerChannel::All);
            }
        }
    }
}

/// The format's version must be the one there is. A file must say it, so that a later format can be told
/// apart; the environment alone need not.
fn check_version(document: &Document, only_environment: bool, reader: &mut Reader<'_>) {
    let expected = format!("{}, the version of this format", tables::VERSION);
    let fix = format!("{VERSION_KEY} = {}", tables::VERSION);
    match &document.version {
        Some(entry) if entry.given.whole() == Some(tables::VERSION) => {}
        Some(entry) => {
            let fix = match entry.given.whole() {
                Some(version) if version > tables::VERSION => {
                    "this file is for a later Adit: update Adit, or write the file anew for this one"
                        .to_owned()
                }
                _ => fix,
            };
            let (spot, found) = (entry.spot.clone(), entry.given.to_string());
            reader.report(&spot, VERSION_KEY, expected, found, fix);
        }
        None if only_environment || reader.is_broken() => {}
        None => reader.report(
            &Spot::Whole,
            VERSION_KEY,
            expected,
            "nothing".to_owned(),
            format!("begin the file with {fix}"),
        ),
    }
}

fn read_named<T>(
    document: &mut Document,
    table: Table,
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Section, &mut Reader<'_>) -> Option<T>,
) -> BTreeMap<Name, T> {
    let mut tables = BTreeMap::new();
    for mut section in document.take(table) {
        if let (Some(value), Some(name)) = (read(&mut section, reader), section.name) {
            tables.insert(name, value);
        }
    }
    tables
}

fn read_single<T>(
    document: &mut Document,
    table: Table,
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Section, &mut Reader<'_>) -> Option<T>,
) -> Option<T> {
    let mut section =
        document.take(table).into_iter().next().unwrap_or_else(|| Section::new(table, None, Spot::Whole));
    read(&mut section, reader)
}
