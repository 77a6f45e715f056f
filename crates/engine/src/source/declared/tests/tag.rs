//! The lease's tag on declared jobs.

use work::{LeaseTag, Target};

use super::*;
use crate::source::tag::TagStatus;

fn tag() -> LeaseTag {
    LeaseTag::new(&[1, 2, 3, 4, 5, 6, 7, 8]).unwrap()
}

fn set(world: &mut World, tag: LeaseTag, now: Now) {
    world.source.command(SourceCommand::SetTag(tag), now, &mut world.fx);
    world.look();
}

/// The block that was handed out is the one that the miner hashed, whole.
fn is_the_one(world: &mut World, feed: &Feed, now: Now) {
    let share = world.found(feed, true);
    let hashed = feed.job.header(&[&[9; 4], &[7; 4]], share.version, share.ntime, share.nonce);
    world.source.share(&share, now, &mut world.fx);
    world.look();
    let found = world.blocks.pop().expect("it is handed out");
    assert_eq!(found.header, hashed);
    let whole = found.template.block_with(&found.header, &found.coinbase).unwrap();
    assert_eq!(whole[..80], hashed.to_bytes());
}

#[test]
fn a_tag_changes_nothing_that_is_declared_and_blocks_of_both_fillers_go_out_whole() {
    let mut world = World::mining(true);
    let before = world.newest();
    world.acknowledge(5, at(1.1));
    (world.to_pool, world.to_jds) = Default::default();
    set(&mut world, tag(), at(2.0));
    let tagged = world.newest();
    assert_eq!((before.job.filler(), tagged.job.filler()), (&[0; 8][..], tag().as_slice()));
    assert_eq!((tagged.job.job.id, tagged.generation), (before.job.job.id, before.generation));
    assert!(world.to_pool.is_empty() && world.to_jds.is_empty(), "nothing is declared anew");
    for feed in [&before, &tagged] {
        is_the_one(&mut world, feed, at(2.1));
        world.share(feed, at(2.2));
    }
    assert_eq!(world.shares_sent(), [5; 4], "all of one job of the pool's");
    world.template(template(2, 2), at(3.0));
    assert_eq!(world.newest().job.filler(), tag().as_slice());
    set(&mut world, LeaseTag::NONE, at(4.0));
    assert_eq!(world.newest().job.filler(), [0; 8]);
    assert_eq!(world.source.status().tag, TagStatus::default());
}

#[test]
fn shares_that_were_held_with_another_filler_are_judged_by_what_was_found() {
    let mut world = World::mining(true);
    let before = world.newest();
    world.share(&before, at(1.1));
    set(&mut world, tag(), at(1.2));
    let tagged = world.newest();
    world.share(&tagged, at(1.3));
    // Any hash meets what the pool comes to want, though it is another target than miners were told.
    let mut hardly_harder = [0xff; 32];
    hardly_harder[0] = 0xfe;
    world.set_target(Target::from_le_bytes(hardly_harder), at(1.4));
    world.acknowledge(5, at(1.5));
    assert_eq!(world.shares_sent(), [5, 5]);
}

#[test]
fn miners_who_went_back_to_an_acknowledged_job_are_given_that_one_with_the_tag() {
    let mut world = World::mining(true);
    let first = world.newest();
    world.acknowledge(5, at(1.1));
    world.template(template(2, 1), at(5.0));
    assert_ne!(world.newest().job.job.id, first.job.job.id);
    world.source.jds_disconnected(DownReason::Lost("reset".to_owned()), at(5.2), &mut world.fx);
    world.look();
    set(&mut world, tag(), at(6.0));
    let newest = world.newest();
    assert_eq!((newest.job.job.id, newest.job.filler()), (first.job.job.id, tag().as_slice()));
}
