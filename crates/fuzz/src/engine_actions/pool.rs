//! The pool's side of one connection: what it was asked, what it gave, and whether what Adit sends fits that.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use sv2::mining::{
    CloseChannel, NewExtendedMiningJob, OpenExtendedMiningChannelSuccess, OpenMiningChannelError,
    SetExtranoncePrefix, SetGroupChannel, SetNewPrevHash, SetTarget, SubmitSharesError, SubmitSharesSuccess,
    UpdateChannelError,
};
use sv2::{
    AnyMessage, B032, B064K, CommonMessage, ExtensionsMessage, FrameHeader, Message, MiningMessage, Seq064K,
    Seq0255, Str0255,
};

/// Jobs that every hash is a block of, and jobs that none is.
const NBITS: [u32; 2] = [0x1d00_ffff, 0x2100_ffff];
/// The network's time.
const NTIME: u32 = 1_700_000_000;

/// A channel as the pool knows it.
#[derive(Debug)]
struct Channel {
    /// Bytes of extranonce that the miner's side rolls.
    space: usize,
    prefix: usize,
    group: u32,
    /// The sequence number of the newest share.
    newest: Option<u32>,
    unanswered: Vec<u32>,
}

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Adit asked for extension 0x0002.
    asked_for_names: bool,
    asked: Vec<u32>,
    /// Numbers of wishes, ever: none comes twice.
    requests: BTreeSet<u32>,
    channels: BTreeMap<u32, Channel>,
    jobs: BTreeSet<u32>,
    next_channel: u32,
    next_job: u32,
    /// The pool said that it takes workers' names.
    offers_names: bool,
    /// Frames of which the fuzzer chose every byte: what the pool knows of its channels may be wrong from here on.
    wild: bool,
}

/// The targets that a pool may set: mostly one that every hash meets.
fn target(kind: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    match kind % 8 {
        5 => bytes[31] = 0x7f,
        6 => bytes[31] = 0,
        7 => bytes = [if kind > 240 { 0 } else { 1 }; 32],
        _ => {}
    }
    bytes
}

fn frame<'a, M: Message<'a>>(message: &M) -> BytesMut {
    let mut out = BytesMut::new();
    sv2::write_frame(message, &mut out);
    out
}

impl Pool {
    /// The next bytes are the fuzzer's own.
    pub(super) fn goes_wild(&mut self) {
        self.wild = true;
    }

    /// Takes all that Adit sent, and checks it.
    pub(super) fn receive(&mut self, mut sent: &[u8]) {
        while !sent.is_empty() {
            let (header, payload, rest) = FrameHeader::split(sent).expect("whole frames are sent");
            sent = rest;
            let names = [sv2::extensions::WORKER_HASHRATE_TRACKING];
            let (message, tlvs) =
                AnyMessage::decode_lenient(&header, payload, &names).expect("what Adit sends can be read");
            assert_eq!(header.channel_msg, message.channel_msg(), "{}: channel_msg", message.name());
            assert_eq!(tlvs.unexpected(), 0, "{}: fields of another extension", message.name());
            match message {
                AnyMessage::Common(CommonMessage::SetupConnection(_)) => {}
                AnyMessage::Extensions(ExtensionsMessage::RequestExtensions(_)) => {
                    self.asked_for_names = true
                }
                AnyMessage::Mining(MiningMessage::OpenExtendedMiningChannel(open)) => {
                    assert!(self.requests.insert(open.request_id), "request {} twice", open.request_id);
                    assert!(open.nominal_hash_rate.is_finite() && open.nominal_hash_rate >= 0.0);
                    self.asked.push(open.request_id);
                }
                AnyMessage::Mining(MiningMessage::UpdateChannel(update)) => {
                    assert!(update.nominal_hash_rate.is_finite() && update.nominal_hash_rate >= 0.0);
                    assert!(
                        self.wild || self.channels.contains_key(&update.channel_id),
                        "UpdateChannel of no channel"
                    );
                }
                AnyMessage::Mining(MiningMessage::CloseChannel(close)) => {
                    self.channels.remove(&close.channel_id);
                }
                AnyMessage::Mining(MiningMessage::SubmitSharesExtended(share)) => {
                    assert!(
                        self.wild
                            || tlvs.user_identity().is_some() == (self.asked_for_names && self.offers_names),
                        "worker's names, as agreed on"
                    );
                    let Some(channel) = self.channels.get_mut(&share.channel_id) else {
                        assert!(self.wild, "a share for channel {}, which is not open", share.channel_id);
                        continue;
                    };
                    if !self.wild {
                        assert_eq!(share.extranonce.as_slice().len(), channel.space, "the extranonce's size");
                        assert!(
                            self.jobs.contains(&share.job_id),
                            "a share of job {}, never sent",
                            share.job_id
                        );
                    }
                    let expected =
                        channel.newest.map_or(share.sequence_number, |newest| newest.wrapping_add(1));
                    assert_eq!(share.sequence_number, expected, "the order of shares");
                    channel.newest = Some(share.sequence_number);
                    channel.unanswered.push(share.sequence_number);
                }
                other => never_sent(other.name()),
            }
        }
    }

    /// The set-up's answers.
    pub(super) fn set_up(&mut self, how: u8) -> Vec<BytesMut> {
        let version = if how == 255 { 3 } else { 2 };
        let flags = u32::from(how == 254);
        let success = frame(&sv2::common::SetupConnectionSuccess { used_version: version, flags });
        let requested = [sv2::extensions::WORKER_HASHRATE_TRACKING];
        let none = Seq064K::from_slice(&[]).expect("no element");
        let names = Seq064K::from_slice(&requested).expect("one element");
        match how % 4 {
            0 => vec![success],
            1 => {
                // What was not asked for is not agreed on.
                self.offers_names = true;
                let supported =
                    sv2::extensions::RequestExtensionsSuccess { request_id: 1, supported_extensions: names };
                vec![success, frame(&supported)]
            }
            2 => {
                let other = [7];
                let required =
                    if how > 128 { Seq064K::from_slice(&other).expect("one element") } else { none };
                let refused = sv2::extensions::RequestExtensionsError {
                    request_id: 1,
                    unsupported_extensions: names,
                    required_extensions: required,
                };
                vec![success, frame(&refused)]
            }
            _ if how > 128 => {
                let error_code = Str0255::truncated("unsupported-protocol");
                vec![frame(&sv2::common::SetupConnectionError { flags: 0, error_code })]
            }
            _ => vec![success],
        }
    }

    /// Answers to the wishes so far.
    pub(super) fn opens(&mut self, how: u8, space: u8) -> Vec<BytesMut> {
        let prefix_len = usize::from(space >> 4) % 9;
        let extranonce_size = 4 + u16::from(space % 16);
        let prefix = vec![0xcc; prefix_len];
        std::mem::take(&mut self.asked)
            .into_iter()
            .map(|request_id| {
                if how % 8 == 7 {
                    let error_code = Str0255::truncated("unknown-user");
                    return frame(&OpenMiningChannelError { request_id, error_code });
                }
                self.next_channel += 1;
                let channel_id = self.next_channel;
                let group_channel_id = 1_000 + u32::from(how % 2);
                let channel = Channel {
                    space: usize::from(extranonce_size),
                    prefix: prefix_len,
                    group: group_channel_id,
                    newest: None,
                    unanswered: Vec::new(),
                };
                self.channels.insert(channel_id, channel);
                frame(&OpenExtendedMiningChannelSuccess {
                    request_id,
                    channel_id,
                    target: target(how >> 3),
                    extranonce_size,
                    extranonce_prefix: B032::new(&prefix).expect("at most eight bytes"),
                    group_channel_id,
                })
            })
            .collect()
    }

    /// A channel, or the group of one.
    fn address(&self, to: u8) -> Option<(u32, &Channel)> {
        let at = usize::from(to / 2) % self.channels.len().max(1);
        let (id, channel) = self.channels.iter().nth(at)?;
        Some((if to.is_multiple_of(2) { *id } else { channel.group }, channel))
    }

    /// A job: a future one with its tip, one on the tip that there is, or a future one alone.
    pub(super) fn job(&mut self, to: u8, how: u8, tip: u8) -> Vec<BytesMut> {
        let Some((channel_id, channel)) = self.address(to) else { return Vec::new() };
        let extranonce = channel.prefix + channel.space;
        // Now and then a script that the extranonce does not fit.
        let script = u8::try_from(extranonce + 6).unwrap_or(100) - if how > 250 { 7 } else { 0 };
        let mut prefix = vec![2, 0, 0, 0, 1];
        prefix.extend([0; 32]);
        prefix.extend([0xff; 4]);
        prefix.extend([script, 3, 1, 2, how]);
        let mut suffix = vec![0x51; 2];
        suffix.extend([0xff; 4]);
        suffix.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x51, 0, 0, 0, 0]);
        let path = [[tip; 32], [how; 32]];
        self.next_job += 1;
        let job_id = self.next_job;
        self.jobs.insert(job_id);
        let nbits = NBITS[usize::from(tip % 16 == 15)];
        let job = NewExtendedMiningJob {
            channel_id,
            job_id,
            min_ntime: (how % 4 == 1).then_some(NTIME),
            version: 0x2000_0000,
            version_rolling_allowed: how != 250,
            merkle_path: Seq0255::from_slice(&path[..usize::from(how % 3)]).expect("at most two"),
            coinbase_tx_prefix: B064K::new(&prefix).expect("short"),
            coinbase_tx_suffix: B064K::new(&suffix).expect("short"),
        };
        let mut frames = vec![frame(&job)];
        if matches!(how % 4, 0 | 2) {
            // Sometimes a tip for a job of before.
            let job_id = if how % 32 == 30 { job_id.saturating_sub(1) } else { job_id };
            let prev_hash = [tip / 16; 32];
            frames.push(frame(&SetNewPrevHash { channel_id, job_id, prev_hash, min_ntime: NTIME, nbits }));
        }
        frames
    }

    /// Answers to shares: right ones, and ones that make no sense.
    pub(super) fn answers(&mut self, how: u8, count: u8) -> Vec<BytesMut> {
        let at = usize::from(how >> 4) % self.channels.len().max(1);
        let Some((&channel_id, channel)) = self.channels.iter_mut().nth(at) else { return Vec::new() };
        let count = usize::from(count).min(channel.unanswered.len());
        match how % 8 {
            0 => {
                let Some(sequence_number) = channel.unanswered.first().copied() else { return Vec::new() };
                channel.unanswered.remove(0);
                let codes = ["stale-share", "difficulty-too-low", "invalid-job-id", "never-heard-of"];
                let error_code = Str0255::truncated(codes[usize::from(how >> 3) % 4]);
                vec![frame(&SubmitSharesError { channel_id, sequence_number, error_code })]
            }
            1 => {
                let stray = u32::from(how);
                vec![frame(&SubmitSharesSuccess {
                    channel_id,
                    last_sequence_number: stray,
                    new_submits_accepted_count: stray * 9,
                    new_shares_sum: 1,
                })]
            }
            _ if count == 0 => Vec::new(),
            _ => {
                let last_sequence_number = channel.unanswered[count - 1];
                channel.unanswered.drain(..count);
                vec![frame(&SubmitSharesSuccess {
                    channel_id,
                    last_sequence_number,
                    new_submits_accepted_count: u32::try_from(count).unwrap_or(u32::MAX),
                    new_shares_sum: 1,
                })]
            }
        }
    }

    /// Something else.
    pub(super) fn says(&mut self, which: u8, value: u8) -> Vec<BytesMut> {
        let nowhere = (77, 0, 77);
        let (channel_id, prefix, group) =
            self.address(value).map_or(nowhere, |(id, channel)| (id, channel.prefix, channel.group));
        let text = Str0255::truncated("because");
        vec![match which % 8 {
            0 | 1 => frame(&SetTarget { channel_id, maximum_target: target(value) }),
            2 => {
                let other = vec![value; prefix + usize::from(value == 255)];
                let extranonce_prefix = B032::new(&other).expect("at most nine bytes");
                frame(&SetExtranoncePrefix { channel_id, extranonce_prefix })
            }
            3 => {
                let group_channel_id = if value > 250 { 1 } else { 1_000 + u32::from(value % 3) };
                let ids: Vec<u32> = self.channels.keys().copied().take(usize::from(value % 4)).collect();
                for id in &ids {
                    if let Some(channel) = self.channels.get_mut(id) {
                        channel.group = group_channel_id;
                    }
                }
                let channel_ids = Seq064K::from_slice(&ids).expect("few");
                frame(&SetGroupChannel { group_channel_id, channel_ids })
            }
            4 => {
                if channel_id == group {
                    self.channels.retain(|_, channel| channel.group != group);
                } else {
                    self.channels.remove(&channel_id);
                }
                frame(&CloseChannel { channel_id, reason_code: text })
            }
            5 => frame(&UpdateChannelError { channel_id, error_code: text }),
            6 => frame(&sv2::common::Reconnect { new_host: text, new_port: u16::from(value) }),
            _ => frame(&sv2::common::ChannelEndpointChanged { channel_id }),
        }]
    }
}

#[expect(clippy::panic, reason = "a broken promise")]
fn never_sent(name: &str) {
    panic!("a proxy never sends {name} to a pool");
}
