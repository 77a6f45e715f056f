//! Solo mining as a source, with the node's templates: the block that it gives for a miner's share is the node's tip.

use std::sync::Arc;
use std::time::Duration;

use engine::books::{AccountKey, Books};
use engine::source::{BlockOutcome, Effects, OpenChannel, Solo, SoloSettings, SourceCommand, SourceEvent};
use engine::{Feed, MinerRef, Now, OutgoingShare, SourceId};
use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::promise;
use work::coinbase::Output;
use work::{CoinbaseConstraints, Extranonce, Target, Template};

use super::transactions::{Coin, Lock, Purse, generate, send};
use super::workshop::{Way, Workshop, transactions};

const NOW: Now = Now { mono: Duration::from_secs(5), unix: 1_700_000_000 };

/// The work that a solo source makes of a template.
fn feed(solo: &mut Solo, template: &Arc<Template>) -> Feed {
    let mut fx = Effects::default();
    solo.command(SourceCommand::Start, NOW, &mut fx);
    solo.template(Arc::clone(template), NOW, &mut fx).expect("a template to mine on");
    let wish = OpenChannel {
        request: 1,
        user_identity: "farm".into(),
        nominal_hashrate: 1.0,
        max_target: Target::MAX,
        miner_id_size: 4,
        extranonce2_size: 4,
        space: 0,
        standby: false,
    };
    solo.command(SourceCommand::Open(wish), NOW, &mut fx);
    let work = fx.events.into_iter().find_map(|event| match event {
        SourceEvent::Work(feed) => Some(feed),
        _ => None,
    });
    work.expect("work for the channel")
}

/// A miner's share that is a block.
fn share(feed: &Feed, books: &Books) -> OutgoingShare {
    // Whatever miners roll: here what would be signature operations, were it read as a script.
    let rolled: [&[u8]; 2] = [&[0xae; 4], &[0xac; 4]];
    let job = &feed.job;
    let header = |nonce| job.header(&rolled, job.job.version, job.job.min_ntime, nonce);
    let header = (0..u32::MAX).map(header).find(|header| header.hash().meets(&job.job.network_target));
    let header = header.expect("a block within all nonces");
    let tally = books.tally(&"farm.1".into(), AccountKey { listener: 0, route: 0, source: Some(3) });
    tally.open(MinerRef(0));
    OutgoingShare {
        channel: feed.channel.key,
        generation: feed.generation,
        job_id: job.job.id,
        nonce: header.nonce,
        ntime: header.ntime,
        version: header.version,
        extranonce: Extranonce::concat(&[job.filler(), rolled[0], rolled[1]]).expect("short"),
        difficulty: 1.0,
        is_block: true,
        tally,
        miner: MinerRef(0),
        worker: "farm.1".into(),
        told_true: true,
        token: None,
    }
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_block_that_solo_mining_finds_is_the_tip() {
    let folder = Folder::new();
    let node = Node::start(Chain::Regtest, folder.path());
    let purse = Purse::new();
    generate(&node, 3, &purse.script(Lock::TaprootKey));
    generate(&node, 101, &purse.script(Lock::P2pkh));
    for (way, height) in Way::ALL.into_iter().zip(1..) {
        let to = purse.script(Lock::P2wsh);
        let spend = purse.spend(Lock::TaprootKey, &Coin::mined(&node, height), 10_000, to);
        send(&node, &spend);
        let outputs = vec![
            Output { value: 0, script_pubkey: purse.script(Lock::P2wpkh).into_bytes().into() },
            Output { value: 700, script_pubkey: purse.script(Lock::P2pkh).into_bytes().into() },
        ];
        let mut workshop = Workshop::open(&node, way);
        workshop.announce(&outputs);
        let template = workshop.template(|template| transactions(template).len() == 1);
        assert!(template.constraints.hold(CoinbaseConstraints::of(&outputs)));
        let template = Arc::new(template);

        let books = Arc::new(Books::default());
        let settings = SoloSettings {
            id: SourceId(3),
            outputs,
            tag: b"\x04Adit".to_vec(),
            instance: vec![1, 2, 3, 4],
            ntime_slack: 600,
            tag_room: 0,
        };
        let mut solo = Solo::new(settings, 1);
        let feed = feed(&mut solo, &template);
        let mut fx = Effects::default();
        let found = solo.share(&share(&feed, &books), NOW, &mut fx).expect("a block");
        let block = workshop.accepted_whole(&found.template, &found.header, &found.coinbase);
        assert_eq!(block.txdata[1], spend, "{way:?}");
        assert!(block.check_witness_commitment(), "{way:?}");
        let values: Vec<u64> = block.txdata[0].output.iter().map(|output| output.value.to_sat()).collect();
        assert_eq!(values, [5_000_000_000 + 10_000 - 700, 700, 0], "{way:?}");
        solo.submitted(found.number, BlockOutcome::Taken, NOW, &mut fx);
        assert_eq!(books.totals().acknowledged, 1);
    }
    promise::kept(
        "a block that solo mining finds is the node's tip",
        "by RPC, submitSolution and submitBlock",
    );
}
