//! The way of a job and of its shares when all goes well.

use sv2::Message as _;
use sv2::job_declaration::DeclareMiningJob;
use sv2::mining::SetCustomMiningJob;
use work::Target;

use super::*;
use crate::source::sv2_pool::parse;

#[test]
fn miners_start_at_once_and_their_shares_are_held_until_the_pool_has_acknowledged_the_job() {
    let mut world = World::mining(true);
    let feed = world.newest();
    for _ in 0..3 {
        world.share(&feed, at(1.1));
    }
    let totals = world.books.totals();
    assert_eq!((totals.held, totals.pending, totals.submitted()), (3, 0, 3));
    assert_eq!(world.source.state(), DeclaredState::Declaring);

    let payload = world.sent_to_jds(DeclareMiningJob::MSG_TYPE).unwrap();
    let declared: DeclareMiningJob<'_> = parse(&payload).unwrap();
    assert!(world.custom_job().is_none(), "not before the declaration is taken");
    world.accept_declaration(declared.request_id, at(1.2));

    let set_payload = world.sent_to_pool(SetCustomMiningJob::MSG_TYPE).expect("right after it");
    let set: SetCustomMiningJob<'_> = parse(&set_payload).unwrap();
    assert_eq!(set.mining_job_token.as_slice()[..4], declared.request_id.to_be_bytes());
    assert_eq!((set.prev_hash, set.min_ntime, set.nbits), ([1; 32], 1_700_000_001, 0x203f_ffff));
    // Both messages speak of the coinbase that miners hash, with the reward in the pool's first output.
    let halves = [&*feed.job.job.coinbase_tx_prefix, &[0; 22], &*feed.job.job.coinbase_tx_suffix].concat();
    let hashed: bitcoin::Transaction = bitcoin::consensus::deserialize(&halves).unwrap();
    let whole =
        [declared.coinbase_tx_prefix.as_slice(), &[0; 22], declared.coinbase_tx_suffix.as_slice()].concat();
    let whole: bitcoin::Transaction = bitcoin::consensus::deserialize(&whole).unwrap();
    assert_eq!(hashed.compute_txid(), whole.compute_txid());
    assert_eq!(bitcoin::consensus::serialize(&whole.output), set.coinbase_tx_outputs.as_slice());
    assert_eq!(whole.output[0].value.to_sat(), 5_000);

    assert_eq!(world.books.totals().held, 3, "held until the pool's word");
    world.accept_job(set.request_id, 55, at(1.3));
    assert_eq!(world.shares_sent(), [55, 55, 55], "by the pool's number");
    let totals = world.books.totals();
    assert_eq!((totals.held, totals.pending), (0, 3));
    assert_eq!(world.source.state(), DeclaredState::Acknowledged);
    assert_eq!(world.fx.acknowledged_after, [Duration::from_millis(300)]);

    world.share(&feed, at(1.4));
    assert_eq!(world.shares_sent(), [55]);
    world.accept_shares(3, 4, at(1.5));
    let totals = world.books.totals();
    assert_eq!((totals.acknowledged, totals.pending, totals.submitted()), (4, 0, 4));
}

#[test]
fn coinbases_alone_are_set_with_a_token_and_never_declared() {
    let mut world = World::mining(false);
    assert!(world.sent_to_jds(DeclareMiningJob::MSG_TYPE).is_none());
    let request = world.custom_job().expect("at once");
    world.accept_job(request, 9, at(1.1));
    let feed = world.newest();
    world.share(&feed, at(1.2));
    assert_eq!(world.shares_sent(), [9]);
    // The next template needs no transactions either.
    world.give_tokens(at(2.0));
    world.template(without_transactions(&template(2, 1)), at(2.0));
    assert!(world.custom_job().is_some());
}

#[test]
fn a_template_is_declared_when_its_transactions_are_there() {
    let mut world = World::connected(true);
    let whole = template(1, 1);
    let bare = without_transactions(&whole);
    world.template(Arc::clone(&bare), at(1.0));
    world.open(at(1.0));
    assert_eq!(world.feeds.len(), 1, "miners need no transactions");
    assert!(world.declared().is_none());
    let transactions = whole.transactions.clone().unwrap();
    world.source.transactions(&bare, &transactions, at(1.2), &mut world.fx);
    world.look();
    assert!(world.declared().is_some());
}

#[test]
fn a_better_template_is_mined_when_it_can_be_declared_and_one_on_a_new_tip_at_once() {
    let mut world = World::mining(true);
    world.acknowledge(1, at(1.1));
    world.give_tokens(at(1.2));
    let whole = template(2, 1);
    let bare = without_transactions(&whole);
    world.template(Arc::clone(&bare), at(2.0));
    assert_eq!(world.feeds.len(), 1, "miners stay on what is paid");
    world.source.transactions(&bare, whole.transactions.as_ref().unwrap(), at(2.1), &mut world.fx);
    world.look();
    assert_eq!(world.feeds.len(), 2);
    assert!(world.declared().is_some());
    // Without a token, too.
    world.template(template(3, 1), at(3.0));
    assert!(world.declared().is_some(), "the last token");
    world.template(template(4, 1), at(4.0));
    assert_eq!(world.feeds.len(), 3);
    assert!(world.give_tokens(at(4.1)) > 0);
    assert_eq!(world.feeds.len(), 4);
    assert!(world.declared().is_some());
    world.template(without_transactions(&template(5, 2)), at(5.0));
    assert_eq!(world.feeds.len(), 5, "the old tip is worth nothing");
}

#[test]
fn with_as_many_declarations_under_way_as_may_be_none_is_forgotten_and_the_next_waits() {
    let mut world = World::mining(true);
    world.give_tokens(at(1.0));
    let mut requests = vec![world.declared().unwrap()];
    for id in 2..=10 {
        world.template(template(id, 1), at(1.0 + f64::from(u32::try_from(id).unwrap()) / 10.0));
        world.give_tokens(at(2.0));
        requests.extend(world.declared());
    }
    assert_eq!((requests.len(), world.feeds.len()), (8, 8), "the ninth waits, miners too");
    let feeds = world.feeds.clone();
    for feed in &feeds {
        world.share(feed, at(2.1));
    }
    // The first answer makes room for the newest template; the ninth is superseded.
    world.accept_declaration(requests[0], at(2.2));
    assert_eq!(world.feeds.len(), 9);
    requests.extend(world.declared());
    assert_eq!(requests.len(), 9);
    requests[1..].iter().for_each(|request| world.accept_declaration(*request, at(2.3)));
    for job_id in 1..=9 {
        let request = world.custom_job().expect("a custom job for each");
        world.accept_job(request, job_id, at(2.4));
    }
    assert_eq!(world.shares_sent(), (1..=8).collect::<Vec<_>>(), "no share is lost");
}

#[test]
fn a_better_template_leaves_the_shares_of_the_one_before_good() {
    let mut world = World::mining(true);
    world.acknowledge(1, at(1.1));
    let first = world.newest();
    world.template(template(2, 1), at(5.0));
    let second = world.newest();
    assert_eq!(first.generation, second.generation, "the same tip");
    world.share(&first, at(5.1));
    world.share(&second, at(5.1));
    assert_eq!(world.shares_sent(), [1], "the one goes, the other is held");
    world.acknowledge(2, at(5.2));
    world.share(&first, at(5.3));
    assert_eq!(world.shares_sent(), [2, 1]);
}

#[test]
fn without_a_token_a_job_waits_for_one_and_is_declared_then() {
    let mut world = World::mining(true);
    world.acknowledge(1, at(1.1));
    // The stock is two; neither is replaced.
    for (id, tip) in [(2, 2), (3, 3)] {
        world.template(template(id, tip), at(2.0));
        assert!(world.declared().is_some());
    }
    world.template(template(4, 4), at(3.0));
    assert!(world.declared().is_none());
    assert_eq!(world.feeds.len(), 4, "miners work on it all the same");
    assert!(world.give_tokens(at(3.1)) > 0);
    assert!(world.declared().is_some());
}

#[test]
fn held_shares_are_judged_by_the_target_in_force_when_the_pool_took_the_job() {
    let mut world = World::mining(true);
    let feed = world.newest();
    let easy: Vec<OutgoingShare> = (0..12).map(|_| world.found(&feed, false)).collect();
    // Halfway: some of them meet it, some do not.
    let mut hashes: Vec<_> = easy.iter().map(|share| hash(&feed, share)).collect();
    hashes.sort_by_key(|hash| hash.to_be_bytes());
    let harder = hashes[5];
    for share in &easy {
        world.source.share(share, at(1.1), &mut world.fx);
    }
    let request = world.declared().unwrap();
    world.accept_declaration(request, at(1.2));
    world.set_target(harder, at(1.2));
    let request = world.custom_job().unwrap();
    world.accept_job(request, 5, at(1.3));
    assert_eq!(world.shares_sent().len(), 6);
    let totals = world.books.totals();
    assert_eq!((totals.local, totals.pending, totals.held), (6, 6, 0));
    // And miners are told: the same job with the pool's target.
    let told = world.newest();
    assert_eq!((told.job.job.id, told.job.source_target), (feed.job.job.id, harder));
    let late = easy.iter().find(|share| !meets(&feed, share, &harder)).unwrap().clone();
    late.tally.open(late.miner);
    world.source.share(&late, at(1.4), &mut world.fx);
    assert_eq!(world.books.totals().local, 7, "later ones of the same job too");
}

#[test]
fn a_harder_target_holds_also_on_a_channel_that_is_about_to_be_closed() {
    let mut world = World::mining(true);
    let feed = world.newest();
    let easy: Vec<OutgoingShare> = (0..4).map(|_| world.found(&feed, false)).collect();
    let mut hashes: Vec<_> = easy.iter().map(|share| hash(&feed, share)).collect();
    hashes.sort_by_key(|hash| hash.to_be_bytes());
    for share in &easy {
        world.source.share(share, at(1.1), &mut world.fx);
    }
    world.source.command(SourceCommand::Close { channel_id: CHANNEL }, at(1.2), &mut world.fx);
    world.set_target(hashes[1], at(1.2));
    world.acknowledge(5, at(1.3));
    assert_eq!(world.shares_sent().len(), 2);
    assert_eq!(world.books.totals().local, 2);
}

#[test]
fn a_share_counts_what_the_pool_credits_for_the_target_that_it_took_the_job_with() {
    let mut world = World::mining(true);
    let feed = world.newest();
    let easy: Vec<OutgoingShare> = (0..8).map(|_| world.found(&feed, false)).collect();
    let hardest = easy.iter().map(|share| hash(&feed, share)).min_by_key(|hash| hash.to_be_bytes()).unwrap();
    for share in &easy {
        world.source.share(share, at(1.1), &mut world.fx);
    }
    world.set_target(hardest, at(1.2));
    world.acknowledge(5, at(1.3));
    world.accept_shares(1, 1, at(1.4));
    let totals = world.books.totals();
    assert_eq!((totals.acknowledged, totals.local), (1, 7));
    assert_eq!(totals.work_acknowledged, hardest.difficulty().get());
}

fn header(feed: &Feed, share: &OutgoingShare) -> work::Header {
    feed.job.header_of(share.extranonce.as_slice(), share.version, share.ntime, share.nonce).unwrap()
}

fn hash(feed: &Feed, share: &OutgoingShare) -> Target {
    header(feed, share).hash().as_target()
}

fn meets(feed: &Feed, share: &OutgoingShare, target: &Target) -> bool {
    header(feed, share).hash().meets(target)
}

#[test]
fn held_shares_are_bounded() {
    let mut world = World::mining(true);
    let feed = world.newest();
    for _ in 0..HELD_AT_MOST + 3 {
        world.share(&feed, at(1.1));
    }
    let totals = world.books.totals();
    assert_eq!((totals.held, totals.unsent_sum()), (HELD_AT_MOST as u64, 3));
}

#[test]
fn a_token_that_is_not_known_any_more_costs_a_new_one_and_no_share() {
    for at_the_pool in [false, true] {
        let mut world = World::mining(true);
        world.give_tokens(at(1.0));
        let feed = world.newest();
        world.share(&feed, at(1.1));
        // Long after the tip: no race with it could be to blame.
        let request = world.declared().unwrap();
        if at_the_pool {
            world.accept_declaration(request, at(5.0));
            let request = world.custom_job().unwrap();
            world.refuse_job(request, "invalid-mining-job-token", at(5.1));
        } else {
            world.refuse_declaration(request, "invalid-mining-job-token", at(5.1));
        }
        assert!(world.declared().is_none(), "those in stock are no younger");
        assert_eq!(world.give_tokens(at(5.2)), 2);
        world.acknowledge(9, at(5.3));
        assert_eq!(world.shares_sent(), [9], "it was held meanwhile");
        assert_eq!((world.down(), world.source.status().declared.unwrap().refused), (None, 1));

        // A server that knows none of its own tokens is left.
        world.template(template(2, 1), at(9.0));
        for _ in 0..2 {
            let request = world.declared().unwrap();
            world.refuse_declaration(request, "invalid-mining-job-token", at(9.1));
            world.give_tokens(at(9.1));
        }
        assert!(matches!(world.down(), Some(DownReason::JobRefused(why)) if why.contains("token")));
    }
}
