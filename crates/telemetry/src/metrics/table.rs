//! Every metric, in one table. What is not here is not exported; `docs/metrics.md` is checked against it.

/// What kind of figure a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process runs.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl Kind {
    /// Prometheus' word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it is counted in.
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal)*] $unit:literal $help:literal)*) => {
        $(pub(crate) const $id: Metric = Metric {
            name: $name, kind: Kind::$kind, labels: &[$($label),*], unit: $unit, help: $help,
        };)*

        /// Every metric that Adit exports, in the order of the documentation.
        pub const METRICS: &[Metric] = &[$($id),*];
    };
}

metrics! {
    // Adit itself
    BUILD_INFO = Gauge "adit_build_info" ["version"] "1"
        "Always 1; the label says which version runs."
    UPTIME = Gauge "adit_uptime_seconds" [] "seconds"
        "Time since the process started."
    DEV_MODE = Gauge "adit_dev_mode" [] "0 or 1"
        "1 while the embedded development pool is in use: nothing that is mined earns anything."
    READY = Gauge "adit_ready" [] "0 or 1"
        "1 when miners can be sent here: what /readyz answers."
    BOOKS_BALANCED = Gauge "adit_books_balanced" [] "0 or 1"
        "0 when the sums of an account do not hold: a share was counted twice or not at all."
    ALARM = Gauge "adit_alarm" ["alarm" "subject"] "0 or 1"
        "1 while the alarm holds; subject is the listener, route or source concerned, empty for Adit itself."
    LIMIT_USED = Gauge "adit_limit_used" ["limit"] "the limit's own"
        "How much of a limit is in use."
    LIMIT_MAX = Gauge "adit_limit_max" ["limit"] "the limit's own"
        "The most that may be in use."
    OVERLOAD = Gauge "adit_overload" ["rung"] "0 or 1"
        "1 while Adit does this because memory runs short: stop_accepting, send_away_idle, raise_difficulty, shed."
    EVENTS = Counter "adit_events_total" ["event"] "events"
        "Rare things that are only counted."
    UNKNOWN_MESSAGES = Counter "adit_unknown_messages_total" [] "messages"
        "Messages of an unknown type that sources sent and that were passed over."
    STRAY_ANSWERS = Counter "adit_stray_answers_total" [] "answers"
        "Answers from sources that belong to no open share."

    // Shares
    SHARES = Counter "adit_shares_total" ["listener" "route" "source" "state" "reason"] "shares"
        "Shares by the state in which they ended, each in exactly one: rejected, local, unsent, acknowledged, refused or unknown. source is empty for shares that came while the route had none; reason is empty for states that have none."
    SHARES_OPEN = Gauge "adit_shares_open" ["listener" "route" "source" "state"] "shares"
        "Shares that have not ended yet: held (the declared job is not acknowledged) or pending (not answered)."
    WORK = Counter "adit_work_total" ["listener" "route" "source" "state"] "difficulty"
        "Sum of the difficulty of ended shares; rate x 2^32 is hashes per second."
    TOLD_TRUE_LOST = Counter "adit_shares_told_true_lost_total" ["listener" "route" "source"] "shares"
        "Shares that the miner was told are good and that ended unsent, refused or unknown."
    BLOCKS_FOUND = Counter "adit_blocks_found_total" ["listener" "route" "source"] "shares"
        "Shares that were blocks."

    // Miners
    MINERS = Gauge "adit_miners" ["listener" "state"] "connections"
        "Connected miners: authorised (can hand in shares) or setting_up (not yet). The sum is all connections."
    MINER_CONNECTIONS = Counter "adit_miner_connections_total" ["listener"] "connections"
        "Connections accepted from miners."
    MINER_CLOSED = Counter "adit_miner_closed_total" ["listener" "reason"] "connections"
        "Miners' connections that ended."

    // Routes
    ROUTE_HASHRATE = Gauge "adit_route_hashrate_hs" ["route"] "hashes per second"
        "Estimate of what the route's miners deliver, from verified shares."
    ROUTE_MINERS = Gauge "adit_route_miners" ["route"] "miners"
        "Miners on the route."
    ROUTE_HAS_WORK = Gauge "adit_route_has_work" ["route"] "0 or 1"
        "1 while the route has an active source that has given a job."
    ROUTE_SWITCHES = Counter "adit_route_switches_total" ["route"] "switches"
        "Changes of the route from one source to another."
    ROUTE_SOURCE_ACTIVE = Gauge "adit_route_source_active" ["route" "source"] "0 or 1"
        "1 for the source that the route mines on."
    ROUTE_SOURCE_USABLE = Gauge "adit_route_source_usable" ["route" "source"] "0 or 1"
        "1 while the route could mine on the source; /api/v1/status says why not."

    // Goals: a route that names its sources itself has one, of its own name
    GOAL_WEIGHT = Gauge "adit_goal_weight" ["route" "goal"] "weight"
        "The goal's weight among its route's goals."
    GOAL_SHARE_WANTED = Gauge "adit_goal_share_wanted" ["route" "goal"] "0 to 1"
        "The part of the route's work that the goal should have now."
    GOAL_WORK = Counter "adit_goal_work_hashes_total" ["route" "goal"] "hashes"
        "Work verified for the goal."
    GOAL_HASHRATE = Gauge "adit_goal_hashrate_hs" ["route" "goal"] "hashes per second"
        "Estimate of what the miners that mine for the goal deliver."
    GOAL_MINERS = Gauge "adit_goal_miners" ["route" "goal"] "miners"
        "Miners that mine for the goal now."
    GOAL_OPEN = Gauge "adit_goal_open" ["route" "goal"] "0 or 1"
        "1 while the goal may have work by its dates and hours."

    // Sources
    SOURCE_UP = Gauge "adit_source_up" ["source"] "0 or 1"
        "1 while the source is ready: channels can be opened."
    SOURCE_STATE = Gauge "adit_source_state" ["source" "state"] "0 or 1"
        "1 for the state that the source is in: off, waiting, connecting, setting_up, negotiating or ready; of one that was taken out leaving, then removed."
    SOURCE_STATE_AGE = Gauge "adit_source_state_age_seconds" ["source"] "seconds"
        "Time since the source entered its state."
    SOURCE_RECONNECTS = Counter "adit_source_reconnects_total" ["source"] "connections"
        "Links to the source made after the first one."
    SOURCE_CHANNELS = Gauge "adit_source_channels" ["source"] "channels"
        "Channels open with the source."
    SOURCE_OPEN_SHARES = Gauge "adit_source_open_shares" ["source"] "shares"
        "Shares sent to the source and not answered yet."
    SOURCE_OPEN_SHARES_MAX = Gauge "adit_source_open_shares_max" ["source"] "shares"
        "The most shares that may be open with the source."
    SOURCE_QUEUE_DEPTH = Gauge "adit_source_queue_depth" ["source"] "shares"
        "Shares that wait to be sent to the source."
    SOURCE_WORKER_NAMES = Gauge "adit_source_worker_names" ["source"] "0 or 1"
        "1 while worker names go up to the source."
    SOURCE_JOBS = Counter "adit_source_jobs_total" ["source"] "jobs"
        "Jobs received from the source."
    SOURCE_TIPS = Counter "adit_source_tips_total" ["source"] "tips"
        "Changes of prev_hash received from the source."
    JOB_AGE = Gauge "adit_job_age_seconds" ["source"] "seconds"
        "Time since the source's last job; absent before the first."
    PREV_HASH_AGE = Gauge "adit_prev_hash_age_seconds" ["source"] "seconds"
        "Time since the source's last prev_hash; absent before the first."
    CERTIFICATE_EXPIRES = Gauge "adit_source_certificate_expires_timestamp_seconds" ["source"] "Unix seconds"
        "End of the validity of the source's certificate; absent before the first handshake and without encryption."

    // Declaring templates to a pool
    DECLARATION_STATE = Gauge "adit_declaration_state" ["source" "state"] "0 or 1"
        "1 for the state that declaring to the source's pool is in: off, resting (it failed, and is tried again), no_pool, no_declarator, no_template, ready (no channel), declaring, acknowledged."
    DECLARATOR_UP = Gauge "adit_declarator_up" ["source"] "0 or 1"
        "1 while the pool's job declarator server is connected."
    DECLARED_JOBS = Counter "adit_declared_jobs_total" ["source" "outcome"] "jobs"
        "Jobs declared to the source's pool by its answer: acknowledged, or refused (those that only came too early or late with them)."
    HELD_SHARES = Gauge "adit_held_shares" ["source"] "shares"
        "Shares that wait for their job's acknowledgement."

    // Templates, and blocks made of them
    TEMPLATE_UP = Gauge "adit_template_up" ["template"] "0 or 1"
        "1 while the template provider gives templates."
    TEMPLATE_LOSSES = Counter "adit_template_losses_total" ["template"] "losses"
        "Times that the template provider went down after it had been up."
    TEMPLATES = Counter "adit_templates_total" ["template"] "templates"
        "Templates given by the provider."
    TEMPLATE_HEIGHT = Gauge "adit_template_height" ["template"] "blocks"
        "Height of the block that the provider's newest template is for; absent while there is none."
    TEMPLATE_VALUE = Gauge "adit_template_value_satoshis" ["template"] "satoshi"
        "What that block pays, subsidy and fees; absent while there is no template."
    TEMPLATE_AGE = Gauge "adit_template_age_seconds" ["template"] "seconds"
        "Time since the provider's newest template came; absent while there is none."
    BLOCKS_HANDED_IN = Counter "adit_blocks_handed_in_total" ["outcome"] "blocks"
        "Blocks of Adit's own templates by what became of them: taken by a node (those of an earlier run with them), refused by every node that answered, or passed_over because there were too many at once."
    BLOCKS_OPEN = Gauge "adit_blocks_open" ["state"] "blocks"
        "Blocks of Adit's own templates that no node has yet: in_work, or on_disk (most are both)."
    BLOCK_DISK_ERRORS = Counter "adit_block_disk_errors_total" [] "errors"
        "Times that the disk did not take a block or its end: a block that no node has is lost with the process then."

    // Latencies
    SHARE_TO_REPLY = Histogram "adit_share_to_reply_seconds" [] "seconds"
        "From reading a miner's submit to writing the reply."
    SHARE_TO_ACK = Histogram "adit_share_to_ack_seconds" [] "seconds"
        "From reading a miner's submit to reading the source's answer to that share."
    TEMPLATE_TO_ACK = Histogram "adit_template_to_ack_seconds" [] "seconds"
        "From a template to the pool's acknowledgement of its job."
    JOB_FANOUT = Histogram "adit_job_fanout_seconds" [] "seconds"
        "From reading a job from the source to writing one miner's notify; once per job and miner."
    JOB_FANOUT_LAST = Histogram "adit_job_fanout_last_seconds" [] "seconds"
        "From reading a job from the source to writing the last miner's notify; once per job."
    JOB_FANOUT_SPREAD = Histogram "adit_job_fanout_spread_seconds" [] "seconds"
        "From writing the first miner's notify of a job to writing the last one's; once per job."
    HANDSHAKE = Histogram "adit_source_handshake_seconds" [] "seconds"
        "From dialling a source to the end of the Noise handshake."

    // This HTTP server
    HTTP_REQUESTS = Counter "adit_http_requests_total" ["path" "code"] "requests"
        "Requests answered by this server, by path (other: none of its own) and status; what was no HTTP is not counted."
    HTTP_CONNECTIONS = Gauge "adit_http_connections" [] "connections"
        "Open connections to this server."
    HTTP_SLOW = Counter "adit_http_slow_clients_total" [] "connections"
        "Connections to this server closed because the client was too slow."
    HTTP_ACCEPT_ERRORS = Counter "adit_http_accept_errors_total" [] "errors"
        "Failures of this server to accept a connection, such as no free file descriptor."

    // The process (Linux)
    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "seconds"
        "Total user and system CPU time spent in seconds."
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "descriptors"
        "Maximum number of open file descriptors."
    PROCESS_OPEN_FDS = Gauge "process_open_fds" [] "descriptors"
        "Number of open file descriptors."
    PROCESS_RSS = Gauge "process_resident_memory_bytes" [] "bytes"
        "Resident memory size in bytes."
    PROCESS_START = Gauge "process_start_time_seconds" [] "Unix seconds"
        "Start time of the process since unix epoch in seconds."
    PROCESS_THREADS = Gauge "process_threads" [] "threads"
        "Number of OS threads in the process."
    PROCESS_VSIZE = Gauge "process_virtual_memory_bytes" [] "bytes"
        "Virtual memory size in bytes."
}

/// The table as Markdown, as it stands in `docs/metrics.md`.
#[must_use]
pub fn metrics_table() -> String {
    let mut text =
        String::from("| metric | type | labels | unit | meaning |\n| --- | --- | --- | --- | --- |\n");
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            metric.name,
            metric.kind.as_str(),
            labels.join(", "),
            metric.unit,
            metric.help
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(seen.insert(name), "{name} twice");
            assert!(name.starts_with("adit_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(metric.kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains(['|', '\n']), "{name}");
            assert!(!metric.unit.is_empty(), "{name}");
            for suffix in ["_bucket", "_count", "_sum"] {
                assert!(!name.ends_with(suffix), "{name}");
            }
        }
    }
}
