//! Anything may come in any order: what must always hold.

use proptest::prelude::*;
use sv2::Message as _;
use sv2::mining::SubmitSharesExtended;

use super::*;
use crate::source::sv2_pool::parse;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Act {
    Template { tip: u8 },
    Tokens,
    Declared(bool),
    StaleTip,
    Set(bool),
    Share { newest: bool, block: bool },
    Acknowledged,
    Prefix(u8),
    PoolLost,
    JdsLost,
    TemplatesLost,
    Time(u16),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1_u8..5).prop_map(|tip| Act::Template { tip }),
        4 => Just(Act::Tokens),
        5 => prop::bool::weighted(0.9).prop_map(Act::Declared),
        1 => Just(Act::StaleTip),
        5 => prop::bool::weighted(0.9).prop_map(Act::Set),
        8 => (any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(newest, block)| Act::Share { newest, block }),
        2 => Just(Act::Acknowledged),
        1 => (1_u8..9).prop_map(Act::Prefix),
        1 => Just(Act::PoolLost),
        1 => Just(Act::JdsLost),
        1 => Just(Act::TemplatesLost),
        4 => (0_u16..3_000).prop_map(Act::Time),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// The books balance after every step, no share is sent for a job that the pool has not acknowledged, none is held for
    /// a tip that is gone, every block is handed out, and no deadline stays in the past.
    #[test]
    fn whatever_happens(acts in prop::collection::vec(act(), 1..120), full_template: bool) {
        let mut world = World::connected(full_template);
        world.template(template(1, 1), at(1.0));
        world.open(at(1.0));
        let (mut now, mut next_template, mut next_job) = (1.0_f64, 2_u64, 100_u32);
        let (mut submitted, mut blocks) = (0_u64, 0_usize);
        let mut acknowledged = std::collections::BTreeSet::new();
        let mut open_channel = true;
        for act in acts {
            let moment = at(now);
            match act {
                Act::Template { tip } => {
                    world.template(template(next_template, tip), moment);
                    next_template += 1;
                }
                Act::Tokens => {
                    world.give_tokens(moment);
                }
                Act::Declared(good) => if let Some(request) = world.declared() {
                    if good {
                        world.accept_declaration(request, moment);
                    } else {
                        world.refuse_declaration(request, "bad", moment);
                    }
                },
                Act::StaleTip => if let Some(request) = world.declared() {
                    world.refuse_declaration(request, "stale-chain-tip", moment);
                },
                Act::Set(good) => if let Some(request) = world.custom_job() {
                    if good {
                        next_job += 1;
                        acknowledged.insert(next_job);
                        world.accept_job(request, next_job, moment);
                    } else {
                        world.refuse_job(request, "bad", moment);
                    }
                },
                Act::Share { newest, block } => {
                    let feed = if newest { world.newest() } else { world.feeds[world.feeds.len() / 2].clone() };
                    let share = world.found(&feed, block);
                    submitted += 1;
                    let known = world.source.jobs.get(share.job_id).is_some();
                    blocks += usize::from(block && known);
                    world.source.share(&share, moment, &mut world.fx);
                    world.look();
                }
                Act::Acknowledged => {
                    let last = u32::try_from(submitted).unwrap();
                    world.accept_shares(last, 3, moment);
                }
                Act::Prefix(last) => world.set_prefix(last, moment),
                Act::PoolLost => {
                    world.source.pool_disconnected(DownReason::Lost("reset".to_owned()), moment, &mut world.fx);
                    world.look();
                    open_channel = false;
                }
                Act::JdsLost => {
                    world.source.jds_disconnected(DownReason::Lost("reset".to_owned()), moment, &mut world.fx);
                    world.look();
                }
                Act::TemplatesLost => {
                    world.source.templates_lost("gone", moment, &mut world.fx);
                    world.look();
                }
                Act::Time(ms) => now += f64::from(ms) / 1e3,
            }
            // Deadlines are met as a task would meet them.
            for _ in 0..100 {
                let Some(deadline) = world.source.deadline() else { break };
                if deadline > at(now).mono {
                    break;
                }
                world.timer(at(now));
            }
            let left = world.source.deadline();
            prop_assert!(left.is_none_or(|deadline| deadline > at(now).mono), "{:?} at {}", left, now);
            // The links are made again.
            if world.source.pool().wants_connection() {
                world.to_pool.clear();
                world.connect_pool(at(now));
            }
            if world.source.jds().wants_connection() {
                world.to_jds.clear();
                world.connect_jds(at(now));
            }
            let up = world.told.iter().rev().find_map(|event| match event {
                SourceEvent::Ready { .. } => Some(true),
                SourceEvent::Down(_) => Some(false),
                _ => None,
            });
            if up == Some(true) && !open_channel {
                open_channel = true;
                world.to_pool.clear();
                if world.source.pool().status().channels == 0 {
                    world.open(at(now));
                }
            }
            while let Some(payload) = world.sent_to_pool(SubmitSharesExtended::MSG_TYPE) {
                let id = parse::<SubmitSharesExtended<'_>>(&payload).unwrap().job_id;
                prop_assert!(acknowledged.contains(&id), "a share of job {} was sent", id);
            }
            prop_assert_eq!(world.blocks.len(), blocks);
            let totals = world.books.totals();
            prop_assert_eq!(totals.submitted(), submitted);
            prop_assert_eq!(totals.held, world.source.jobs.held() as u64);
            let tip = world.source.template.as_ref().map(|template| template.prev_hash);
            for job in world.source.jobs.iter().filter(|job| tip.is_some_and(|tip| job.template.prev_hash != tip)) {
                prop_assert!(job.held.iter().all(|share| share.is_block), "shares are held for a tip that is gone");
            }
            prop_assert!(world.source.jobs.iter().all(|job| job.stage.is_open() || job.held.is_empty()));
        }
    }
}
