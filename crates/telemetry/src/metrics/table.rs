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

/// Declares metrics, each by a constant, and the list of them.
macro_rules! metrics {
    ($list:ident $about:literal; $($id:ident = $kind:ident $name:literal [$($label:literal)*] $unit:literal $help:literal)*) => {
        $(pub(crate) const $id: $crate::metrics::table::Metric = $crate::metrics::table::Metric {
            name: $name, kind: $crate::metrics::table::Kind::$kind, labels: &[$($label),*], unit: $unit, help: $help,
        };)*

        #[doc = $about]
        pub const $list: &[$crate::metrics::table::Metric] = &[$($id),*];
    };
}
pub(crate) use metrics;

metrics! {
    METRICS "Every metric that Adit exports by its own names, in the order of the documentation.";

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
        "Sum of the difficulty of ended shares: local ones with the miner's, those for the source (unsent, acknowledged, refused, unknown) with the source's. rate x 2^32 of the acknowledged is the hashrate that the source saw; for what miners deliver see adit_work_verified_total."
    WORK_VERIFIED = Counter "adit_work_verified_total" ["listener" "route" "source"] "difficulty"
        "Sum of the difficulty that miners are credited for good shares, wherever these ended; rate x 2^32 is hashes per second."
    TOLD_TRUE_LOST = Counter "adit_shares_told_true_lost_total" ["listener" "route" "source"] "shares"
        "Shares that the miner was told are good and that ended unsent, refused or unknown."
    BLOCKS_FOUND = Counter "adit_blocks_found_total" ["listener" "route" "source"] "shares"
        "Shares that were blocks."

    // Workers, those that have series of their own, and the others together as "other"
    WORKER_SHARES = Counter "adit_worker_shares_total" ["worker" "state"] "shares"
        "Shares by the state in which they ended that came while the worker had series of its own; those of all others, and at all other times, are the worker other's."
    WORKER_WORK = Counter "adit_worker_work_total" ["worker" "state"] "difficulty"
        "Sum of the difficulty of these shares, as adit_work_total has it."
    WORKER_WORK_VERIFIED = Counter "adit_worker_work_verified_total" ["worker"] "difficulty"
        "Sum of the difficulty that the worker is credited for good shares, wherever these ended; rate x 2^32 is hashes per second."
    WORKER_HASHRATE = Gauge "adit_worker_hashrate_hs" ["worker"] "hashes per second"
        "Estimate of what the worker delivers, from verified shares."
    WORKER_CONNECTIONS = Gauge "adit_worker_connections" ["worker"] "connections"
        "Connections, or channels of Stratum V2 connections, that the worker has now."
    WORKER_LAST_SHARE = Gauge "adit_worker_last_share_age_seconds" ["worker"] "seconds"
        "Time since the worker's last good share; absent before the first, and of other."

    // Miners
    MINERS = Gauge "adit_miners" ["listener" "state"] "connections"
        "Connected miners: authorised (can hand in shares) or setting_up (not yet). The sum is all connections."
    MINER_CONNECTIONS = Counter "adit_miner_connections_total" ["listener"] "connections"
        "Connections accepted from miners."
    MINER_CLOSED = Counter "adit_miner_closed_total" ["listener" "reason"] "connections"
        "Miners' connections that ended."

    MINER_HANDSHAKES = Counter "adit_miner_handshakes_total" ["listener" "kind" "outcome"] "handshakes"
        "Miners' handshakes by kind (noise or tls) and outcome: done, or failed (wrong, or not in time). One that the miner broke off is not counted."
    MINER_RETARGETS = Counter "adit_miner_retargets_total" ["listener" "direction"] "changes"
        "Times that a miner was told a harder or an easier difficulty than before."

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
        "1 for the state that the source is in: off, waiting, connecting, setting_up, negotiating, awaiting_template, awaiting_declarator or ready; of one that was taken out leaving, then removed."
    SOURCE_STATE_AGE = Gauge "adit_source_state_age_seconds" ["source"] "seconds"
        "Time since the source entered its state."
    SOURCE_STATE_SECONDS = Counter "adit_source_state_seconds_total" ["source" "state"] "seconds"
        "Time that the source has spent in each state that it was ever in, since the start."
    SOURCE_CLOCK_OFFSET = Gauge "adit_source_clock_offset_seconds" ["source"] "seconds"
        "By how much the time in the source's newest job was ahead of this machine's clock when it came; behind is usual, as pools give the earliest time that is allowed. Absent before the first job."
    SOURCE_HANDSHAKES_FAILED = Counter "adit_source_handshakes_failed_total" ["source"] "handshakes"
        "Noise or TLS handshakes with the source that failed."
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
    TEMPLATE_FEES = Gauge "adit_template_fees_satoshis" ["template"] "satoshi"
        "What of that are fees: what the block pays beyond the subsidy; absent while there is no template."
    TEMPLATE_AGE = Gauge "adit_template_age_seconds" ["template"] "seconds"
        "Time since the provider's newest template came; absent while there is none."
    BLOCKS_HANDED_IN = Counter "adit_blocks_handed_in_total" ["outcome"] "blocks"
        "Blocks of Adit's own templates by what became of them: taken by a node (those of an earlier run with them), refused by every node that answered, or passed_over because there were too many at once."
    BLOCKS_OPEN = Gauge "adit_blocks_open" ["state"] "blocks"
        "Blocks of Adit's own templates that no node has yet: in_work, or on_disk (most are both)."
    BLOCK_DISK_ERRORS = Counter "adit_block_disk_errors_total" [] "errors"
        "Times that the disk did not take a block or its end: a block that no node has is lost with the process then."

    // The ledger; absent where none is kept
    LEDGER_DEGRADED = Gauge "adit_ledger_degraded" [] "0 or 1"
        "1 while the ledger cannot be written."
    LEDGER_RECORDS = Counter "adit_ledger_records_total" [] "records"
        "Records written to the ledger."
    LEDGER_SHARES = Counter "adit_ledger_shares_total" [] "shares"
        "Shares written to the ledger as evidence."
    LEDGER_SHARES_LOST = Counter "adit_ledger_shares_lost_total" [] "shares"
        "Shares that were to be kept as evidence and were not recorded. Sums are not lost: they catch up."
    LEDGER_FAILURES = Counter "adit_ledger_failures_total" [] "failures"
        "Times that the disk did not take what was to be written to the ledger."
    LEDGER_GAPS = Counter "adit_ledger_gaps_total" [] "gaps"
        "Gaps that were marked in the ledger."
    LEDGER_BYTES = Gauge "adit_ledger_bytes" ["stream"] "bytes"
        "Size of the ledger: seconds, minutes, hours, evidence or notes."
    LEDGER_EVICTED = Counter "adit_ledger_evicted_total" ["stream"] "records"
        "Records that went from the ledger because of their age or its size. Sums of them are kept in coarser ones, or as totals."

    // Publishing the ledger to NATS; absent where that is not done
    NATS_CONNECTED = Gauge "adit_nats_connected" [] "0 or 1"
        "1 while a NATS server is connected and the stream is as it must be."
    NATS_PUBLISHED = Counter "adit_nats_published_total" ["subject"] "messages"
        "Messages that the stream has acknowledged: sums, evidence (jobs and shares) or gaps."
    NATS_DUPLICATES = Counter "adit_nats_duplicates_total" [] "messages"
        "Of these, messages that the stream had already: an acknowledgement was missing, and they were sent again."
    NATS_FAILURES = Counter "adit_nats_failures_total" [] "failures"
        "Times that publishing ended with an error, and was begun anew."
    NATS_GAPS = Counter "adit_nats_gaps_total" [] "gaps"
        "Parts of the ledger that were not published, each told of by a message."
    NATS_GIVEN_UP = Counter "adit_nats_given_up_total" ["stream" "reason"] "records"
        "Records in these gaps, as far as their number is known, by reason: age, size, evicted, damaged, replaced or too_long."
    NATS_WAITING_BYTES = Gauge "adit_nats_waiting_bytes" ["stream"] "bytes"
        "Bytes of the ledger that the stream has not acknowledged yet: sums or evidence."
    NATS_WAITING_SECONDS = Gauge "adit_nats_waiting_seconds" [] "seconds"
        "Age of the oldest record that the stream has not acknowledged yet; 0 while there is none."
    NATS_IN_FLIGHT = Gauge "adit_nats_in_flight" [] "messages"
        "Messages that were sent and are not acknowledged yet."

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
    LEDGER_FLUSH = Histogram "adit_ledger_flush_seconds" [] "seconds"
        "From beginning to write what waits for the ledger until it is on the disk."
    HANDSHAKE = Histogram "adit_source_handshake_seconds" [] "seconds"
        "From dialling a source to the end of the Noise handshake."

    // This HTTP server
    HTTP_REQUESTS = Counter "adit_http_requests_total" ["path" "code"] "requests"
        "Requests answered by this server, by path (other: none of its own) and status; what was no HTTP is not counted."
    HTTP_REFUSED = Counter "adit_http_refused_total" ["reason"] "requests"
        "Requests refused by this server because of the token (missing, wrong, only for reading), because changes are taken from this machine alone, or because of the name that was asked for; and connections of an address that had its share of them (address_full)."
    HTTP_CONNECTIONS = Gauge "adit_http_connections" [] "connections"
        "Open connections to this server."
    HTTP_STREAMS = Gauge "adit_http_streams" [] "streams"
        "Open streams of events (/api/v1/stream); they do not count as connections."
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
    table_of(METRICS)
}

pub(crate) fn table_of(metrics: &[Metric]) -> String {
    let mut text =
        String::from("| metric | type | labels | unit | meaning |\n| --- | --- | --- | --- | --- |\n");
    for metric in metrics {
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
