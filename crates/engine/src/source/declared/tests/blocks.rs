//! A block is never lost.

use sv2::Message as _;
use sv2::job_declaration::PushSolution;

use super::*;
use crate::source::sv2_pool::parse;

/// A miner finds a block of this feed.
fn find(world: &mut World, feed: &Feed, now: Now) -> OutgoingShare {
    let share = world.found(feed, true);
    world.source.share(&share, now, &mut world.fx);
    world.look();
    share
}

/// The block that was handed out is the one that the miner hashed, whole.
fn is_whole(found: &FoundBlock, share: &OutgoingShare, feed: &Feed) {
    let extranonce = share.extranonce.as_slice();
    let header = feed.job.header_of(extranonce, share.version, share.ntime, share.nonce);
    assert_eq!(Some(found.header), header);
    let block = found.template.block_with(&found.header, &found.coinbase).unwrap();
    assert_eq!(block[..80], found.header.to_bytes());
    assert!(found.header.hash().meets(&feed.job.job.network_target));
}

#[test]
fn a_block_goes_out_at_once_at_every_step_and_also_when_it_is_late() {
    let mut world = World::mining(true);
    let feed = world.newest();
    // Before any answer.
    let share = find(&mut world, &feed, at(1.1));
    is_whole(&world.blocks[0], &share, &feed);
    let payload = world.sent_to_jds(PushSolution::MSG_TYPE).expect("the server is told as well");
    let pushed: PushSolution<'_> = parse(&payload).unwrap();
    assert_eq!((pushed.nonce, pushed.prev_hash), (share.nonce, [1; 32]));
    assert_eq!(pushed.extranonce.as_slice().len(), 22, "prefix and all");
    assert_eq!(world.books.totals().held, 1);

    let request = world.declared().unwrap();
    world.accept_declaration(request, at(1.2));
    let share = find(&mut world, &feed, at(1.3));
    is_whole(&world.blocks[1], &share, &feed);

    // The block is the new tip before the pool has answered: it is told all the same when it does.
    world.give_tokens(at(1.4));
    world.template(template(2, 2), at(1.4));
    let request = world.custom_job().unwrap();
    world.accept_job(request, 5, at(1.5));
    assert_eq!(world.shares_sent(), [5, 5]);

    // Late, of a job that is acknowledged.
    let share = find(&mut world, &feed, at(1.6));
    is_whole(&world.blocks[2], &share, &feed);
    assert_eq!(world.shares_sent(), [5], "it goes to the pool too");
}

#[test]
fn a_block_of_a_job_that_came_to_nothing_goes_to_the_nodes() {
    let mut world = World::mining(true);
    let feed = world.newest();
    world.source.jds_disconnected(DownReason::Lost("killed".to_owned()), at(1.5), &mut world.fx);
    world.look();
    assert!(world.down().is_some());
    let share = find(&mut world, &feed, at(1.6));
    is_whole(&world.blocks[0], &share, &feed);
    assert_eq!(world.books.totals().unsent_sum(), 1, "the pool cannot be told");

    // Also when the pool has gone with all its channels.
    world.source.pool_disconnected(DownReason::Lost("reset".to_owned()), at(2.0), &mut world.fx);
    world.look();
    let share = find(&mut world, &feed, at(2.1));
    is_whole(&world.blocks[1], &share, &feed);
}

#[test]
fn a_block_before_its_templates_transactions_is_handed_out_by_its_template() {
    let mut world = World::connected(true);
    let whole = template(1, 1);
    world.template(without_transactions(&whole), at(1.0));
    world.open(at(1.0));
    let feed = world.newest();
    find(&mut world, &feed, at(1.1));
    assert_eq!((world.blocks.len(), world.blocks[0].template.template_id), (1, 1));
    assert!(world.blocks[0].template.transactions.is_none());
}
