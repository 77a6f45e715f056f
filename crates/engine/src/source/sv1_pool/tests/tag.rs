//! The lease's tag in what the pool leaves beyond the miners' parts.

use super::*;
use crate::source::tag::TagStatus;

fn tag(bytes: &[u8]) -> LeaseTag {
    LeaseTag::new(bytes).unwrap()
}

fn works(events: &[SourceEvent]) -> Vec<&Feed> {
    let mut works = Vec::new();
    for event in events {
        if let SourceEvent::Work(feed) = event {
            works.push(feed);
        }
    }
    works
}

#[test]
fn the_newest_job_goes_out_again_with_the_tag_and_shares_of_both_go_up_as_they_were_found() {
    let mut test = Test::new();
    let lane = test.ready(12);
    let before = test.feed(1);
    assert_eq!(before.job.filler(), [0; 6]);
    test.now = at(30);
    test.says(lane, r#"{"id":null,"method":"mining.set_difficulty","params":[8]}"#);
    test.says(lane, r#"{"id":null,"method":"mining.set_extranonce","params":["ddeeff",12]}"#);
    test.pool.command(SourceCommand::SetTag(tag(&[1, 2, 3, 4, 5])), test.now, &mut test.fx);
    let events = test.events();
    let [tagged] = works(&events)[..] else { panic!("{events:?}") };
    assert_eq!(tagged.job.constant_extranonce(), [0xaa, 0xbb, 0xcc, 1, 2, 3, 4, 5, 0]);
    assert!(Arc::ptr_eq(&tagged.job.job, &before.job.job));
    assert_eq!(
        (tagged.generation, tagged.job.source_target, tagged.job.received_at),
        (before.generation, before.job.source_target, before.job.received_at)
    );
    assert_eq!(tagged.received, at(30).mono);
    for (feed, filler) in [(&before, "000000000000"), (tagged, "010203040500")] {
        test.submit(feed, 1);
        let line = test.sent(lane);
        assert!(
            line.contains(&format!("\"{filler}090907070707\"")) && line.contains("job \\\"one"),
            "{line}"
        );
    }
    test.notify(lane, "2", 1, false);
    let events = test.events();
    assert_eq!(works(&events)[0].job.constant_extranonce(), [0xdd, 0xee, 0xff, 1, 2, 3, 4, 5, 0]);
    test.pool.command(SourceCommand::SetTag(LeaseTag::NONE), test.now, &mut test.fx);
    let events = test.events();
    assert_eq!(works(&events)[0].job.filler(), [0; 6]);
}

#[test]
fn what_the_pool_leaves_may_be_too_little_and_the_status_says_so() {
    let mut test = Test::new();
    test.ready(8);
    let before = test.feed(1);
    let long = tag(&[1; 8]);
    test.pool.command(SourceCommand::SetTag(long), test.now, &mut test.fx);
    assert!(test.events().is_empty(), "nothing that miners have is another");
    assert_eq!(before.job.filler(), [0; 2]);
    let without = TagStatus { tag: long, channels_without: 1, shortest: 2 };
    assert_eq!(test.pool.status().tag, without);
    test.pool.command(
        SourceCommand::Close { channel_id: before.channel.key.channel_id },
        test.now,
        &mut test.fx,
    );
    assert_eq!(test.pool.status().tag, TagStatus { tag: long, ..TagStatus::default() });
}
