//! A snapshot with a value in every field.

use telemetry::{
    AccountSnapshot, AlarmSnapshot, BlocksSnapshot, BooksSnapshot, DeclarationSnapshot, DeclarationState,
    GoalSnapshot, HandshakesSnapshot, LeaseSnapshot, LeaseTagSnapshot, LedgerSnapshot, LimitSnapshot,
    ListenerSnapshot, MinersSnapshot, NatsSnapshot, OverloadSnapshot, Readiness, Reasons, RetargetsSnapshot,
    RouteSnapshot, RouteSourceSnapshot, Snapshot, SourceKind, SourceSnapshot, SourceState, TemplateSnapshot,
    WorkSnapshot, WorkerSeries,
};

fn reasons<const N: usize>(pairs: [(&'static str, u64); N]) -> Reasons {
    pairs.into_iter().map(|(word, count)| (word.into(), count)).collect()
}

fn account(source: Option<&str>, factor: u64) -> AccountSnapshot {
    let work = |count: u64| (count * factor) as f64 * 512.5;
    AccountSnapshot {
        listener: "sv1".into(),
        route: "main".into(),
        source: source.map(Into::into),
        books: BooksSnapshot {
            rejected: reasons([("stale", 3 * factor), ("duplicate", factor), ("above_target", 0)]),
            local: 40 * factor,
            held: 2 * factor,
            unsent: reasons([("no_source", factor), ("queue_full", 0)]),
            acknowledged: 900 * factor,
            refused: reasons([("stale-share", 2 * factor), ("other", 0)]),
            unknown: 5 * factor,
            pending: 7 * factor,
            told_true_lost: 8 * factor,
            blocks_found: factor,
            work: WorkSnapshot {
                rejected: work(4),
                local: work(40),
                unsent: work(1),
                acknowledged: work(900),
                refused: work(2),
                unknown: work(5),
                verified: work(40 + 1 + 900 + 2 + 5),
            },
            ..BooksSnapshot::default()
        }
        .with_totals(),
    }
}

/// The snapshot. Its sums are not made yet.
pub(crate) fn snapshot() -> Snapshot {
    let routes = vec![RouteSnapshot {
        name: "main".into(),
        active: Some("pool".into()),
        has_work: true,
        switches_total: 2,
        hashrate_hs: 1.25e15,
        miners: 11,
        sources: vec![
            RouteSourceSnapshot { name: "pool".into(), usable: true, reason: None },
            RouteSourceSnapshot {
                name: "spare".into(),
                usable: false,
                reason: Some("waiting: connection refused".into()),
            },
        ],
        goals: vec![GoalSnapshot {
            name: "main".into(),
            weight: 90.0,
            share_wanted: 0.9,
            share_delivered: 0.899,
            owed_hashes: 2.5e15,
            work_hashes: 3.5e18,
            hashrate_hs: 1.25e14,
            miners: 10,
            active: Some("pool".into()),
            open: true,
            ended: false,
            lease: Some(LeaseSnapshot {
                work_hashes: 4.5e18,
                work_max_hashes: 4.32e20,
                uncertain_hashes: 1.25e14,
            }),
        }],
        books: BooksSnapshot::default(),
    }];
    Snapshot {
        version: "0.1.0".into(),
        uptime_seconds: 3600.5,
        unix_time: 1_790_000_000,
        dev_mode: false,
        readiness: Readiness::judge(&routes, false),
        listeners: vec![ListenerSnapshot {
            name: "sv1".into(),
            address: "127.0.0.1:3333".into(),
            extranonce1_size: Some(4),
            extranonce2_size: Some(4),
            miners: MinersSnapshot { connected: 12, authorised: 11 },
            connections_total: 40,
            closed_total: reasons([("peer_closed", 25), ("slow_reader", 3)]),
            handshakes: HandshakesSnapshot {
                noise_done_total: 9,
                noise_failed_total: 1,
                tls_done_total: 5,
                tls_failed_total: 2,
            },
            retargets: RetargetsSnapshot { harder_total: 12, easier_total: 3 },
            books: BooksSnapshot::default(),
        }],
        sources: vec![
            SourceSnapshot {
                name: "pool".into(),
                kind: SourceKind::Pool,
                address: Some("pool.example:3333".into()),
                state: SourceState::Ready,
                state_since_seconds: 3500.25,
                last_down: Some("closed by the peer".into()),
                reconnects_total: 1,
                channels: 1,
                open_shares: 7,
                open_shares_max: 4096,
                queue_depth: 2,
                worker_names: Some(true),
                lease_tag: Some(LeaseTagSnapshot {
                    tag: "0123456789abcdef".into(),
                    channels_without_room: 1,
                    room_bytes: Some(4),
                }),
                declaration: Some(DeclarationSnapshot {
                    state: DeclarationState::Acknowledged,
                    jds_address: "pool.example:34264".into(),
                    jds_up: true,
                    jds_last_down: Some("closed by the peer".into()),
                    acknowledged_total: 30,
                    refused_total: 2,
                    held_shares: 1,
                }),
                jobs_total: 120,
                tips_total: 6,
                job_age_seconds: Some(12.5),
                prev_hash_age_seconds: Some(240.0),
                certificate_expires_unix: Some(1_800_000_000),
                state_seconds_total: [("connecting", 0.5), ("ready", 3500.25)].into(),
                clock_offset_seconds: Some(-2.0),
                handshakes_failed_total: 1,
                books: BooksSnapshot::default(),
            },
            SourceSnapshot {
                name: "spare".into(),
                address: Some("spare.example:3333".into()),
                state: SourceState::Waiting,
                state_since_seconds: 1.0,
                last_down: Some("connection refused".into()),
                ..SourceSnapshot::default()
            },
        ],
        templates: vec![TemplateSnapshot {
            name: "node".into(),
            up: true,
            what: Some("a node".into()),
            state_since_seconds: 3500.0,
            last_down: Some("no node.sock".into()),
            losses_total: 1,
            templates_total: 130,
            height: Some(900_001),
            value_remaining_sat: Some(312_500_000),
            fees_sat: Some(2_500_000),
            age_seconds: Some(4.5),
        }],
        blocks: BlocksSnapshot {
            found_total: 6,
            taken_total: 3,
            refused_total: 1,
            passed_over_total: 1,
            in_work: 1,
            waiting_on_disk: 1,
            disk_errors_total: 2,
        },
        ledger: Some(LedgerSnapshot {
            trouble: None,
            records_total: 5_000,
            shares_total: 300,
            shares_lost_total: 2,
            failures_total: 3,
            gaps_total: 1,
            bytes: reasons([("seconds", 90_000), ("hours", 1_200)]),
            evicted_total: reasons([("seconds", 700)]),
        }),
        nats: Some(NatsSnapshot {
            connected: true,
            server: Some("n1 (nats.example:4222, NATS 2.9.10)".into()),
            stream: "ADIT".into(),
            trouble: None,
            trouble_seconds: 0.0,
            published_total: reasons([("sums", 5_000), ("evidence", 900), ("gaps", 1)]),
            duplicates_total: 12,
            failures_total: 3,
            given_up_total: [("sums".into(), reasons([("age", 40), ("evicted", 0)]))].into(),
            gaps_total: 1,
            waiting_bytes: reasons([("sums", 4_096)]),
            waiting_seconds: 1.5,
            in_flight: 7,
        }),
        routes,
        books: BooksSnapshot::default(),
        accounts: vec![account(Some("pool"), 10), account(Some("spare"), 1), account(None, 0)],
        unknown_messages_total: 4,
        stray_answers_total: 5,
        events_total: reasons([("connection_panic", 0), ("worker_name_shortened", 3)]),
        alarms: vec![AlarmSnapshot {
            name: "source_refuses_shares".into(),
            subject: "pool".into(),
            active: false,
            detail: "the source refuses more than one share in ten".into(),
        }],
        limits: vec![LimitSnapshot { name: "connections".into(), used: 12, max: 19_500 }],
        overload: vec![OverloadSnapshot { rung: "stop_accepting".into(), active: true }],
    }
}

/// Workers that have series, and the others.
pub(crate) fn workers() -> Vec<WorkerSeries> {
    let worker = |name: &str, factor, last_share_seconds| WorkerSeries {
        name: name.into(),
        books: account(Some("pool"), factor).books,
        connections: factor,
        hashrate_hs: 1e12,
        last_share_seconds,
    };
    vec![worker("account.rig1", 1, Some(2.5)), worker("other", 7, None)]
}
