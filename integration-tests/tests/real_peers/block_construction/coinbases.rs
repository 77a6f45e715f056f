//! What a coinbase may be: numbers of outputs around the step of their count, `script_sig` from the shortest to the
//! longest, tags, extra outputs, and the reward to the satoshi.

use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::promise;
use work::coinbase::{BuildError, Coinbase, Output};

use super::transactions::{Coin, ballast, generate, send};
use super::workshop::{Found, Way, Workshop, transactions};

/// A chain whose first coinbases anybody can spend.
fn start(folder: &Folder) -> Node {
    let node = Node::start(Chain::Regtest, folder.path());
    generate(&node, 110, &bitcoin::ScriptBuf::from_bytes(vec![0x51]));
    node
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn coinbases_around_the_step_of_their_outputs_count_are_taken() {
    let folder = Folder::new();
    let node = start(&folder);
    for way in Way::ALL {
        for count in [1, 252, 253, 254, 300] {
            // The commitment is one of them.
            let mut outputs =
                vec![Output { value: 0, script_pubkey: vec![0x51; 22].into() }; count.max(2) - 1];
            let mut workshop = Workshop::open(&node, way);
            workshop.announce(&outputs);
            let mut template = workshop.template_on_tip();
            if count == 1 {
                template.coinbase.outputs.clear();
                template.coinbase.witness_reserved_value = None;
            }
            outputs[0].value = template.coinbase.value_remaining;
            let coinbase = template.coinbase(b"\x04Adit", 12, &outputs).expect("a coinbase");
            let block = workshop.accepted(&Found::new(&template, coinbase, &[9; 12], |_| ()));
            assert_eq!(block.txdata[0].output.len(), count, "{way:?}");
        }
    }
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn script_sigs_of_2_and_of_100_bytes_are_taken_and_none_is_built_beyond() {
    let folder = Folder::new();
    let node = start(&folder);
    for way in Way::ALL {
        for (extranonce, wanted) in [(0, 2), (0, 100), (1, 100), (32, 100)] {
            let mut workshop = Workshop::open(&node, way);
            let template = workshop.template_on_tip();
            let (height, push) = (template.coinbase.prefix.len(), usize::from(extranonce > 0));
            assert_eq!(height, 2, "heights from 17 to 127");
            let tag = wanted - height - push - usize::from(extranonce);
            let payout = [Output { value: template.coinbase.value_remaining, script_pubkey: [0x51].into() }];
            let build = |tag: usize| -> Result<Coinbase, BuildError> {
                template.coinbase(&vec![0x51; tag], extranonce, &payout)
            };
            let bytes = vec![0xac; usize::from(extranonce)];
            let block = workshop.accepted(&Found::new(&template, build(tag).expect("built"), &bytes, |_| ()));
            assert_eq!(block.txdata[0].input[0].script_sig.len(), wanted, "{way:?}");
            if wanted == 100 {
                let error = build(tag + 1).expect_err("101 bytes are built");
                assert!(matches!(error, BuildError::ScriptSig { got: 101, .. }), "{error}");
            }
        }
    }
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_tag_and_extra_outputs_stand_in_the_block_and_the_reward_is_paid_to_the_satoshi() {
    let folder = Folder::new();
    let node = start(&folder);
    for (way, height) in Way::ALL.into_iter().zip(1..) {
        send(&node, &ballast(&Coin::mined(&node, height), 12_345, Vec::new()));
        let mut workshop = Workshop::open(&node, way);
        let template = workshop.template(|template| transactions(template).len() == 1);
        let reward = template.coinbase.value_remaining;
        assert_eq!(reward, 5_000_000_000 + 12_345, "{way:?}");
        let outputs = |reward: u64| {
            let script = |bytes: &[u8]| -> Box<[u8]> { bytes.into() };
            [
                Output { value: reward - 777, script_pubkey: script(&[0x51]) },
                Output { value: 0, script_pubkey: script(b"\x6a\x04pool") },
                Output { value: 777, script_pubkey: script(&[0x52; 34]) },
            ]
        };
        let build =
            |template: &work::Template, reward: u64| template.coinbase(b"\x08/a farm/", 16, &outputs(reward));
        let more = BuildError::PaysTooMuch { paid: reward + 1, remaining: reward };
        assert_eq!(build(&template, reward + 1), Err(more), "{way:?}");
        let mut forced = template.clone();
        forced.coinbase.value_remaining += 1;
        let coinbase = build(&forced, reward + 1).expect("a coinbase");
        workshop.refused(&Found::new(&forced, coinbase, &[3; 16], |_| ()), "bad-cb-amount");

        let coinbase = build(&template, reward).expect("a coinbase");
        let block = workshop.accepted(&Found::new(&template, coinbase, &[3; 16], |_| ()));
        let mined = &block.txdata[0];
        let values: Vec<u64> = mined.output.iter().map(|output| output.value.to_sat()).collect();
        assert_eq!(values, [reward - 777, 0, 777, 0], "{way:?}");
        let script = mined.input[0].script_sig.as_bytes();
        assert!(script.windows(9).any(|part| part == b"\x08/a farm/"), "{way:?}");
        assert!(block.check_witness_commitment(), "{way:?}");
    }
    promise::kept(
        "the reward is paid to the satoshi",
        "one more is not built, and is refused when it is forced",
    );
}
