//! From a snapshot to its metrics, and from the histograms to theirs.

use super::families::Families;
use super::table as t;
use crate::latency::Latencies;
use crate::snapshot::{
    AccountSnapshot, BlocksSnapshot, DeclarationState, LedgerSnapshot, ListenerSnapshot, NatsSnapshot,
    RouteSnapshot, Snapshot, SourceSnapshot, SourceState, TemplateSnapshot,
};

/// All metrics that come from the snapshot.
pub(crate) fn snapshot(to: &mut Families, snapshot: &Snapshot) {
    to.flag(t::BUILD_INFO, [&snapshot.version], true);
    to.add(t::UPTIME, [], snapshot.uptime_seconds);
    to.flag(t::DEV_MODE, [], snapshot.dev_mode);
    to.flag(t::READY, [], snapshot.readiness.ready);
    to.flag(t::BOOKS_BALANCED, [], snapshot.is_balanced());
    to.count(t::UNKNOWN_MESSAGES, [], snapshot.unknown_messages_total);
    to.count(t::STRAY_ANSWERS, [], snapshot.stray_answers_total);
    for (event, count) in &snapshot.events_total {
        to.count(t::EVENTS, [event], *count);
    }
    for alarm in &snapshot.alarms {
        to.flag(t::ALARM, [&alarm.name, &alarm.subject], alarm.active);
    }
    for limit in &snapshot.limits {
        to.count(t::LIMIT_USED, [&limit.name], limit.used);
        to.count(t::LIMIT_MAX, [&limit.name], limit.max);
    }
    for step in &snapshot.overload {
        to.flag(t::OVERLOAD, [&step.rung], step.active);
    }
    // What miners of a listener brought that is not there any more is in the sums, and has no series.
    let listed = |a: &&AccountSnapshot| snapshot.listeners.iter().any(|l| l.name == a.listener);
    snapshot.accounts.iter().filter(listed).for_each(|a| account(to, a));
    snapshot.listeners.iter().for_each(|l| listener(to, l));
    snapshot.routes.iter().for_each(|r| route(to, r));
    snapshot.sources.iter().for_each(|s| source(to, s));
    snapshot.templates.iter().for_each(|t| template(to, t));
    // Without templates there are no blocks to hand in.
    if !snapshot.templates.is_empty() {
        blocks(to, snapshot.blocks);
    }
    if let Some(kept) = &snapshot.ledger {
        ledger(to, kept);
    }
    if let Some(published) = &snapshot.nats {
        nats(to, published);
    }
}

fn account(to: &mut Families, account: &AccountSnapshot) {
    let AccountSnapshot { listener, route, source, books } = account;
    let source = source.as_deref().unwrap_or_default();
    let mut ended =
        |state, reason, count| to.count(t::SHARES, [listener, route, source, state, reason], count);
    books.rejected.iter().for_each(|(reason, count)| ended("rejected", reason, *count));
    ended("local", "", books.local);
    books.unsent.iter().for_each(|(reason, count)| ended("unsent", reason, *count));
    ended("acknowledged", "", books.acknowledged);
    books.refused.iter().for_each(|(code, count)| ended("refused", code, *count));
    ended("unknown", "", books.unknown);

    to.count(t::SHARES_OPEN, [listener, route, source, "held"], books.held);
    to.count(t::SHARES_OPEN, [listener, route, source, "pending"], books.pending);

    let work = &books.work;
    for (state, sum) in [
        ("rejected", work.rejected),
        ("local", work.local),
        ("unsent", work.unsent),
        ("acknowledged", work.acknowledged),
        ("refused", work.refused),
        ("unknown", work.unknown),
    ] {
        to.add(t::WORK, [listener, route, source, state], sum);
    }
    to.add(t::WORK_VERIFIED, [listener, route, source], work.verified);
    to.count(t::TOLD_TRUE_LOST, [listener, route, source], books.told_true_lost);
    to.count(t::BLOCKS_FOUND, [listener, route, source], books.blocks_found);
}

fn listener(to: &mut Families, listener: &ListenerSnapshot) {
    let name = listener.name.as_str();
    let miners = listener.miners;
    to.count(t::MINERS, [name, "authorised"], miners.authorised);
    to.count(t::MINERS, [name, "setting_up"], miners.connected.saturating_sub(miners.authorised));
    to.count(t::MINER_CONNECTIONS, [name], listener.connections_total);
    let handshakes = listener.handshakes;
    to.count(t::MINER_HANDSHAKES, [name, "noise", "done"], handshakes.noise_done_total);
    to.count(t::MINER_HANDSHAKES, [name, "noise", "failed"], handshakes.noise_failed_total);
    to.count(t::MINER_HANDSHAKES, [name, "tls", "done"], handshakes.tls_done_total);
    to.count(t::MINER_HANDSHAKES, [name, "tls", "failed"], handshakes.tls_failed_total);
    to.count(t::MINER_RETARGETS, [name, "harder"], listener.retargets.harder_total);
    to.count(t::MINER_RETARGETS, [name, "easier"], listener.retargets.easier_total);
    for (reason, count) in &listener.closed_total {
        to.count(t::MINER_CLOSED, [name, reason], *count);
    }
}

fn route(to: &mut Families, route: &RouteSnapshot) {
    let name = route.name.as_str();
    to.add(t::ROUTE_HASHRATE, [name], route.hashrate_hs);
    to.count(t::ROUTE_MINERS, [name], route.miners);
    to.flag(t::ROUTE_HAS_WORK, [name], route.active.is_some() && route.has_work);
    to.count(t::ROUTE_SWITCHES, [name], route.switches_total);
    for source in &route.sources {
        let mut actives = route.goals.iter().map(|goal| &goal.active).chain([&route.active]);
        let active = actives.any(|active| active.as_ref() == Some(&source.name));
        to.flag(t::ROUTE_SOURCE_ACTIVE, [name, &source.name], active);
        to.flag(t::ROUTE_SOURCE_USABLE, [name, &source.name], source.usable);
    }
    for goal in &route.goals {
        let labels = [name, goal.name.as_str()];
        to.add(t::GOAL_WEIGHT, labels, goal.weight);
        to.add(t::GOAL_SHARE_WANTED, labels, goal.share_wanted);
        to.add(t::GOAL_WORK, labels, goal.work_hashes);
        to.add(t::GOAL_HASHRATE, labels, goal.hashrate_hs);
        to.count(t::GOAL_MINERS, labels, goal.miners);
        to.flag(t::GOAL_OPEN, labels, goal.open);
    }
}

fn source(to: &mut Families, source: &SourceSnapshot) {
    let name = source.name.as_str();
    to.flag(t::SOURCE_UP, [name], source.state == SourceState::Ready);
    for state in SourceState::ALL {
        to.flag(t::SOURCE_STATE, [name, state.as_str()], source.state == state);
    }
    to.add(t::SOURCE_STATE_AGE, [name], source.state_since_seconds);
    for (state, seconds) in &source.state_seconds_total {
        to.add(t::SOURCE_STATE_SECONDS, [name, state], *seconds);
    }
    if let Some(offset) = source.clock_offset_seconds {
        to.add(t::SOURCE_CLOCK_OFFSET, [name], offset);
    }
    to.count(t::SOURCE_HANDSHAKES_FAILED, [name], source.handshakes_failed_total);
    to.count(t::SOURCE_RECONNECTS, [name], source.reconnects_total);
    to.count(t::SOURCE_CHANNELS, [name], source.channels);
    to.count(t::SOURCE_OPEN_SHARES, [name], source.open_shares);
    to.count(t::SOURCE_OPEN_SHARES_MAX, [name], source.open_shares_max);
    to.count(t::SOURCE_QUEUE_DEPTH, [name], source.queue_depth);
    if let Some(worker_names) = source.worker_names {
        to.flag(t::SOURCE_WORKER_NAMES, [name], worker_names);
    }
    if let Some(declaration) = &source.declaration {
        for state in DeclarationState::ALL {
            to.flag(t::DECLARATION_STATE, [name, state.as_str()], declaration.state == state);
        }
        to.flag(t::DECLARATOR_UP, [name], declaration.jds_up);
        to.count(t::DECLARED_JOBS, [name, "acknowledged"], declaration.acknowledged_total);
        to.count(t::DECLARED_JOBS, [name, "refused"], declaration.refused_total);
        to.count(t::HELD_SHARES, [name], declaration.held_shares);
    }
    to.count(t::SOURCE_JOBS, [name], source.jobs_total);
    to.count(t::SOURCE_TIPS, [name], source.tips_total);
    if let Some(age) = source.job_age_seconds {
        to.add(t::JOB_AGE, [name], age);
    }
    if let Some(age) = source.prev_hash_age_seconds {
        to.add(t::PREV_HASH_AGE, [name], age);
    }
    if let Some(expires) = source.certificate_expires_unix {
        to.count(t::CERTIFICATE_EXPIRES, [name], expires);
    }
}

fn template(to: &mut Families, template: &TemplateSnapshot) {
    let name = template.name.as_str();
    to.flag(t::TEMPLATE_UP, [name], template.up);
    to.count(t::TEMPLATE_LOSSES, [name], template.losses_total);
    to.count(t::TEMPLATES, [name], template.templates_total);
    if let Some(height) = template.height {
        to.count(t::TEMPLATE_HEIGHT, [name], height);
    }
    if let Some(value) = template.value_remaining_sat {
        to.count(t::TEMPLATE_VALUE, [name], value);
    }
    if let Some(fees) = template.fees_sat {
        to.count(t::TEMPLATE_FEES, [name], fees);
    }
    if let Some(age) = template.age_seconds {
        to.add(t::TEMPLATE_AGE, [name], age);
    }
}

fn blocks(to: &mut Families, blocks: BlocksSnapshot) {
    to.count(t::BLOCKS_HANDED_IN, ["taken"], blocks.taken_total);
    to.count(t::BLOCKS_HANDED_IN, ["refused"], blocks.refused_total);
    to.count(t::BLOCKS_HANDED_IN, ["passed_over"], blocks.passed_over_total);
    to.count(t::BLOCKS_OPEN, ["in_work"], blocks.in_work);
    to.count(t::BLOCKS_OPEN, ["on_disk"], blocks.waiting_on_disk);
    to.count(t::BLOCK_DISK_ERRORS, [], blocks.disk_errors_total);
}

fn ledger(to: &mut Families, ledger: &LedgerSnapshot) {
    to.flag(t::LEDGER_DEGRADED, [], ledger.trouble.is_some());
    to.count(t::LEDGER_RECORDS, [], ledger.records_total);
    to.count(t::LEDGER_SHARES, [], ledger.shares_total);
    to.count(t::LEDGER_SHARES_LOST, [], ledger.shares_lost_total);
    to.count(t::LEDGER_FAILURES, [], ledger.failures_total);
    to.count(t::LEDGER_GAPS, [], ledger.gaps_total);
    for (stream, bytes) in &ledger.bytes {
        to.count(t::LEDGER_BYTES, [stream], *bytes);
    }
    // Those of which nothing has gone yet, too: a dashboard sees the first step then.
    for stream in ledger.bytes.keys().chain(ledger.evicted_total.keys()) {
        to.count(t::LEDGER_EVICTED, [stream], ledger.evicted_total.get(stream).copied().unwrap_or_default());
    }
}

fn nats(to: &mut Families, nats: &NatsSnapshot) {
    to.flag(t::NATS_CONNECTED, [], nats.connected);
    for (subject, count) in &nats.published_total {
        to.count(t::NATS_PUBLISHED, [subject], *count);
    }
    to.count(t::NATS_DUPLICATES, [], nats.duplicates_total);
    to.count(t::NATS_FAILURES, [], nats.failures_total);
    to.count(t::NATS_GAPS, [], nats.gaps_total);
    for (stream, reasons) in &nats.given_up_total {
        for (reason, count) in reasons {
            to.count(t::NATS_GIVEN_UP, [stream, reason], *count);
        }
    }
    for (stream, bytes) in &nats.waiting_bytes {
        to.count(t::NATS_WAITING_BYTES, [stream], *bytes);
    }
    to.add(t::NATS_WAITING_SECONDS, [], nats.waiting_seconds);
    to.count(t::NATS_IN_FLIGHT, [], nats.in_flight);
}

/// All histograms, each with the buckets that can say something about it.
pub(crate) fn latencies(to: &mut Families, latencies: &Latencies) {
    to.histogram(t::SHARE_TO_REPLY, latencies.share_to_reply(), 5e-6, 2.5);
    to.histogram(t::SHARE_TO_ACK, latencies.share_to_ack(), 1e-4, 60.0);
    to.histogram(t::TEMPLATE_TO_ACK, latencies.template_to_ack(), 1e-3, 60.0);
    to.histogram(t::JOB_FANOUT, latencies.job_fanout(), 2.5e-5, 10.0);
    to.histogram(t::JOB_FANOUT_LAST, latencies.job_fanout_last(), 2.5e-5, 10.0);
    to.histogram(t::JOB_FANOUT_SPREAD, latencies.job_fanout_spread(), 1e-6, 10.0);
    to.histogram(t::LEDGER_FLUSH, latencies.ledger_flush(), 1e-4, 10.0);
    to.histogram(t::HANDSHAKE, latencies.handshake(), 1e-4, 10.0);
}
