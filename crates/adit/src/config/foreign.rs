//! Keys of other Stratum V2 proxies, for people who bring their configuration along.

/// What another program's key is here. The keys are those of the reference translator's configuration.
const FOREIGN: [(&str, &str); 20] = [
    (
        "upstreams",
        "a pool is a table [source.NAME] with url and user_identity; [route.NAME] puts them in order",
    ),
    (
        "upstream",
        "a pool is a table [source.NAME] with url and user_identity; [route.NAME] puts them in order",
    ),
    ("pool", "a pool is a table [source.NAME] with url and user_identity; [route.NAME] puts them in order"),
    ("address", "host, port and authority key of a pool are its url, stratum2+tcp://host:port/authority-key"),
    ("port", "host, port and authority key of a pool are its url, stratum2+tcp://host:port/authority-key"),
    ("host", "host, port and authority key of a pool are its url, stratum2+tcp://host:port/authority-key"),
    (
        "pool_address",
        "host, port and authority key of a pool are its url, stratum2+tcp://host:port/authority-key",
    ),
    ("authority_pubkey", "the authority key is the last part of url, stratum2+tcp://host:port/authority-key"),
    (
        "authority_public_key",
        "the authority key is the last part of url, stratum2+tcp://host:port/authority-key",
    ),
    ("downstream_address", "the address that miners connect to is listen in [listener.NAME]"),
    ("downstream_port", "the port that miners connect to is part of listen in [listener.NAME]"),
    ("downstream_extranonce2_size", "this is extranonce2_size in [listener.NAME]"),
    (
        "downstream_difficulty_config",
        "difficulty_start, shares_per_minute and vardiff stand in [listener.NAME]",
    ),
    (
        "min_individual_miner_hashrate",
        "the first difficulty of a miner is difficulty_start in [listener.NAME]",
    ),
    ("enable_vardiff", "this is vardiff in [listener.NAME]"),
    (
        "aggregate_channels",
        "this is miners_per_channel in [source.NAME]: \"all\", or 1 for a channel a miner",
    ),
    (
        "supported_extensions",
        "worker names (extension 0x0002) are asked for with worker_names in [source.NAME]",
    ),
    (
        "required_extensions",
        "worker names (extension 0x0002) are asked for with worker_names in [source.NAME]",
    ),
    ("job_keepalive_interval_secs", "this is keepalive in [route.NAME]"),
    ("monitoring_address", "metrics and status are served at listen in [http]"),
];

/// What to write instead of another program's key.
pub(crate) fn advice(key: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(foreign, _)| *foreign == key).map(|(_, advice)| *advice)
}
