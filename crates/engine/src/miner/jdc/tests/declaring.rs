//! The promises of a JDC's connection of the Job Declaration Protocol.

use bytes::BytesMut;
use sv2::common::{SetupConnection, SetupConnectionError, SetupConnectionSuccess};
use sv2::job_declaration::{
    AllocateMiningJobToken, AllocateMiningJobTokenSuccess, DECLARE_TX_DATA, DeclareMiningJobSuccess,
    PushSolution,
};
use sv2::mining::SetTarget;
use sv2::{B032, B064K, FrameHeader, Message, Str0255};

use super::world::{Frames, at, frame, take};
use crate::miner::CloseReason;
use crate::miner::jdc::{JdcConnection, JdcDeclaring, JdsWay};
use crate::source::{DownReason, LinkSecurity};

struct World {
    jdc: JdcDeclaring,
    out: BytesMut,
}

impl World {
    fn new(user_identifier: Option<&str>) -> Self {
        let way = JdsWay {
            host: "jds".to_owned(),
            port: 3,
            insecure: false,
            user_identifier: user_identifier.map(Into::into),
        };
        let mut world = Self { jdc: JdcDeclaring::new(way, true, at(0)), out: BytesMut::new() };
        assert!(world.jdc.wants_connection());
        world.jdc.connected(LinkSecurity::Authenticated, at(0), &mut world.out).unwrap();
        let sent = world.above();
        let setup = SetupConnection::decode(&sent[0].1).unwrap();
        assert_eq!((setup.protocol, setup.flags), (1, DECLARE_TX_DATA));
        world
    }

    fn ready(user_identifier: Option<&str>) -> Self {
        let mut world = Self::new(user_identifier);
        world.server(&SetupConnectionSuccess { used_version: 2, flags: 1 }).unwrap();
        let told = take(&mut world.out);
        assert_eq!(SetupConnectionSuccess::decode(&told[0].1).unwrap().flags, 1);
        world
    }

    fn server<'a>(&mut self, message: &impl Message<'a>) -> Result<(), CloseReason> {
        let (header, payload) = frame(message);
        self.jdc.hear_upstream(&header, &payload, at(1), &mut self.out)
    }

    fn say<'a>(&mut self, message: &impl Message<'a>) -> Result<(), CloseReason> {
        let (header, payload) = frame(message);
        self.jdc.hear_jdc(&header, &payload, at(1), &mut self.out)
    }

    fn above(&mut self) -> Frames {
        take(self.jdc.upward())
    }
}

fn ask(request_id: u32) -> AllocateMiningJobToken<'static> {
    AllocateMiningJobToken { user_identifier: Str0255::truncated("jdc"), request_id }
}

fn solution() -> PushSolution<'static> {
    PushSolution {
        extranonce: B032::new(&[1; 32]).unwrap(),
        prev_hash: [2; 32],
        nonce: 3,
        ntime: 4,
        nbits: 5,
        version: 6,
    }
}

#[test]
fn messages_of_the_protocol_are_passed_on_as_they_came_and_tokens_are_for_the_account() {
    for (user_identifier, asked_for) in [(Some("farm"), "farm"), (None, "jdc")] {
        let mut world = World::ready(user_identifier);
        world.say(&ask(11)).unwrap();
        let sent = world.above();
        let asked = AllocateMiningJobToken::decode(&sent[0].1).unwrap();
        assert_eq!((asked.user_identifier.as_bytes(), asked.request_id), (asked_for.as_bytes(), 11));
        let given = AllocateMiningJobTokenSuccess {
            request_id: 11,
            mining_job_token: (&[7; 8][..]).try_into().unwrap(),
            coinbase_tx_outputs: B064K::default(),
        };
        world.server(&given).unwrap();
        assert_eq!(take(&mut world.out)[0].1, frame(&given).1);
        world.say(&solution()).unwrap();
        assert_eq!(world.above()[0].1, frame(&solution()).1);
        let declared = DeclareMiningJobSuccess {
            request_id: 12,
            new_mining_job_token: (&[8; 8][..]).try_into().unwrap(),
        };
        world.server(&declared).unwrap();
        assert_eq!(take(&mut world.out)[0].1, frame(&declared).1);
    }
}

#[test]
fn the_servers_refusal_is_the_jdcs_and_its_end_ends_the_connection() {
    let mut world = World::new(None);
    let error_code = Str0255::truncated("missing-declare-tx-data-flag");
    let ended = world.server(&SetupConnectionError { flags: 0, error_code });
    assert_eq!(ended, Err(CloseReason::SetupRefused));
    let told = take(&mut world.out);
    let told = SetupConnectionError::decode(&told[0].1).unwrap();
    assert_eq!(told.error_code.as_bytes(), b"missing-declare-tx-data-flag");

    let mut world = World::ready(None);
    let lost = DownReason::Lost("closed".to_owned());
    assert_eq!(world.jdc.disconnected(lost, at(2), &mut world.out), Err(CloseReason::PoolChanged));
    assert!(!world.jdc.wants_connection() && world.jdc.is_settled());

    let mut world = World::new(None);
    let deadline = world.jdc.deadline().expect("one for the answer");
    let ended = world.jdc.timer(at(deadline.as_secs()), &mut world.out);
    assert_eq!(ended, Err(CloseReason::NoSource));
}

#[test]
fn what_does_not_belong_there_is_not_passed_on() {
    // Before the server has answered.
    assert_eq!(World::new(None).say(&ask(1)), Err(CloseReason::Garbage));
    // A server's messages from a JDC, and other protocols'.
    let mut world = World::ready(None);
    let token = || (&[8; 8][..]).try_into().unwrap();
    let backwards = DeclareMiningJobSuccess { request_id: 12, new_mining_job_token: token() };
    let ended = (0..100).find_map(|_| world.say(&backwards).err());
    assert_eq!(ended, Some(CloseReason::Garbage));
    let mut world = World::ready(None);
    let ended = (0..100).find_map(|_| world.say(&SetTarget { channel_id: 1, maximum_target: [1; 32] }).err());
    assert_eq!(ended, Some(CloseReason::Garbage));
    assert!(world.above().is_empty());
    // What cannot be read, from either side.
    let header = FrameHeader { extension_type: 0, channel_msg: false, msg_type: 0x57, length: 2 };
    let mut world = World::ready(None);
    let ended = world.jdc.hear_jdc(&header, &[1, 2], at(1), &mut world.out);
    assert_eq!(ended, Err(CloseReason::Garbage));
    let mut world = World::ready(None);
    let header = FrameHeader { msg_type: 0x58, ..header };
    let ended = world.jdc.hear_upstream(&header, &[1, 2], at(1), &mut world.out);
    assert_eq!(ended, Err(CloseReason::PoolChanged));
    assert!(matches!(world.jdc.why_down(), Some(DownReason::Protocol(_))));
    // Unknown ones are passed over.
    let mut world = World::ready(None);
    let header = FrameHeader { extension_type: 9, channel_msg: false, msg_type: 0, length: 0 };
    world.jdc.hear_jdc(&header, &[], at(1), &mut world.out).unwrap();
    world.jdc.hear_upstream(&header, &[], at(1), &mut world.out).unwrap();
    assert!(world.out.is_empty() && world.above().is_empty());
    // A flood.
    let mut world = World::ready(None);
    let ended = (0..10_000).find_map(|n| world.say(&ask(n)).err());
    assert_eq!(ended, Some(CloseReason::Flood));
}
