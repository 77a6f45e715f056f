//! A pool and its declarator server, played by hand.

use bytes::BytesMut;
use sv2::Message;
use sv2::job_declaration::{
    AllocateMiningJobToken, AllocateMiningJobTokenSuccess, DeclareMiningJob, DeclareMiningJobError,
    DeclareMiningJobSuccess,
};
use sv2::mining::{
    OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, SetCustomMiningJob, SetCustomMiningJobError,
    SetCustomMiningJobSuccess, SetExtranoncePrefix, SetTarget, SubmitSharesExtended, SubmitSharesSuccess,
};
pub(super) use work::Template;
use work::coinbase::{CoinbaseTemplate, write_outputs};
use work::{Extranonce, Target, TemplateParts, TemplateTransaction};

pub(super) use super::super::*;
use crate::books::{AccountKey, Books, Tally};
pub(super) use crate::feed::Feed;
use crate::ids::MinerRef;
pub(super) use crate::share::OutgoingShare;
pub(super) use crate::source::event::OpenChannel;
use crate::source::sv2_pool::parse;

pub(super) const CHANNEL: u32 = 7;
const PREFIX: [u8; 6] = [0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6];

pub(super) fn at(seconds: f64) -> Now {
    Now { mono: Duration::from_secs_f64(seconds), unix: 1_700_000_000 }
}

/// A template on tip `tip`.
pub(super) fn template(id: u64, tip: u8) -> Arc<Template> {
    let transaction = |byte: u8| TemplateTransaction {
        bytes: vec![byte; 60].into(),
        txid: [byte; 32],
        wtxid: [byte ^ 0x80; 32],
    };
    Arc::new(
        Template::new(TemplateParts {
            template_id: id,
            prev_hash: [tip; 32],
            version: 0x2000_0000,
            min_ntime: 1_700_000_000 + u32::from(tip),
            // About four hashes a block.
            nbits: 0x203f_ffff,
            coinbase: CoinbaseTemplate {
                tx_version: 2,
                prefix: vec![1, 5].into(),
                input_sequence: u32::MAX,
                value_remaining: 5_000,
                outputs: vec![Output { value: 0, script_pubkey: vec![0x6a; 38].into() }],
                locktime: 0,
                witness_reserved_value: Some([0; 32]),
            },
            merkle_path: None,
            transactions: Some([transaction(1), transaction(2)].into()),
            constraints: CoinbaseConstraints { additional_size: 1_708, additional_sigops: 400 },
        })
        .unwrap(),
    )
}

/// The same template before its transactions are there.
pub(super) fn without_transactions(template: &Template) -> Arc<Template> {
    let mut bare = template.clone();
    bare.transactions = None;
    Arc::new(bare)
}

pub(super) fn payout() -> Vec<Output> {
    vec![Output { value: 0, script_pubkey: vec![0x51].into() }]
}

/// What was sent to the pool or to its server.
pub(super) type Frames = Vec<(u8, Vec<u8>)>;

fn take(frames: &mut BytesMut) -> Frames {
    let bytes = std::mem::take(frames);
    let (mut list, mut rest) = (Vec::new(), &bytes[..]);
    while !rest.is_empty() {
        let (header, payload, after) = FrameHeader::split(rest).unwrap();
        list.push((header.msg_type, payload.to_vec()));
        rest = after;
    }
    list
}

pub(super) struct World {
    pub(super) source: Declared,
    pub(super) fx: DeclaredEffects,
    pub(super) books: Arc<Books>,
    /// Outputs that tokens come with.
    pub(super) outputs: Vec<Output>,
    /// Feeds that miners were given, oldest first.
    pub(super) feeds: Vec<Feed>,
    /// What the router was told besides.
    pub(super) told: Vec<SourceEvent>,
    /// Frames that nobody has looked at yet.
    pub(super) to_pool: Frames,
    pub(super) to_jds: Frames,
    pub(super) blocks: Vec<FoundBlock>,
    tokens: u32,
    nonce: u32,
}

impl World {
    pub(super) fn new(full_template: bool) -> Self {
        let books = Arc::new(Books::default());
        let settings = DeclaredSettings {
            pool: SourceSettings {
                id: SourceId(0),
                host: "pool".to_owned(),
                port: 1,
                insecure: false,
                worker_names: false,
                tlv_byte_order: sv2::TlvByteOrder::LittleEndian,
                ntime_slack: 600,
                unsettled_max: None,
                work_selection: false,
                payout: None,
                tag_room: 8,
            },
            jds: JdsSettings {
                host: "jds".to_owned(),
                port: 2,
                user_identifier: "farm".into(),
                insecure: false,
                full_template,
            },
            tag: Vec::new(),
            extra_outputs: Vec::new(),
        };
        Self {
            source: Declared::new(settings, 1),
            fx: DeclaredEffects::default(),
            books,
            outputs: payout(),
            feeds: Vec::new(),
            told: Vec::new(),
            to_pool: Vec::new(),
            to_jds: Vec::new(),
            blocks: Vec::new(),
            tokens: 0,
            nonce: 0,
        }
    }

    /// Connected on both sides, with tokens; no template yet.
    pub(super) fn connected(full_template: bool) -> Self {
        let mut world = Self::new(full_template);
        world.source.command(SourceCommand::Start, at(0.0), &mut world.fx);
        world.connect_pool(at(0.0));
        world.connect_jds(at(0.0));
        world
    }

    /// Ready, with one channel, on a first template whose job waits for the server's answer.
    pub(super) fn mining(full_template: bool) -> Self {
        let mut world = Self::connected(full_template);
        world.template(template(1, 1), at(1.0));
        assert!(matches!(world.told.last(), Some(SourceEvent::Ready { .. })), "{:?}", world.told);
        world.open(at(1.0));
        world
    }

    pub(super) fn connect_pool(&mut self, now: Now) {
        assert!(self.source.pool().wants_connection());
        self.source.pool_connected(LinkSecurity::Authenticated, now, &mut self.fx);
        self.pool(&sv2::common::SetupConnectionSuccess { used_version: 2, flags: 0 }, now);
    }

    pub(super) fn connect_jds(&mut self, now: Now) {
        assert!(self.source.jds().wants_connection());
        self.source.jds_connected(LinkSecurity::Authenticated, now, &mut self.fx);
        self.jds(&sv2::common::SetupConnectionSuccess { used_version: 2, flags: 0 }, now);
        self.give_tokens(now);
    }

    /// The pool says something.
    pub(super) fn pool<'a, M: Message<'a>>(&mut self, message: &M, now: Now) {
        let mut frame = BytesMut::new();
        sv2::write_frame(message, &mut frame);
        let (header, payload, _) = FrameHeader::split(&frame).unwrap();
        self.source.pool_frame(&header, payload, now, &mut self.fx);
        self.look();
    }

    /// The declarator server says something.
    pub(super) fn jds<'a, M: Message<'a>>(&mut self, message: &M, now: Now) {
        let mut frame = BytesMut::new();
        sv2::write_frame(message, &mut frame);
        let (header, payload, _) = FrameHeader::split(&frame).unwrap();
        self.source.jds_frame(&header, payload, now, &mut self.fx);
        self.look();
    }

    pub(super) fn template(&mut self, template: Arc<Template>, now: Now) {
        self.source.template(template, now, &mut self.fx);
        self.look();
    }

    pub(super) fn timer(&mut self, now: Now) {
        self.source.timer(now, &mut self.fx);
        self.look();
    }

    /// Sorts what the machine wants.
    pub(super) fn look(&mut self) {
        for event in self.fx.pool.events.drain(..) {
            match event {
                SourceEvent::Work(feed) => self.feeds.push(feed),
                event => self.told.push(event),
            }
        }
        self.to_pool.extend(take(&mut self.fx.pool.frames));
        self.to_jds.extend(take(&mut self.fx.jds.frames));
        self.blocks.append(&mut self.fx.blocks);
        assert!(self.fx.jds.events.is_empty(), "the server's events are for the machine");
    }

    /// Answers every request for a token.
    pub(super) fn give_tokens(&mut self, now: Now) -> usize {
        let (asked, rest) = std::mem::take(&mut self.to_jds)
            .into_iter()
            .partition(|(kind, _)| *kind == AllocateMiningJobToken::MSG_TYPE);
        self.to_jds = rest;
        let (asked, list): (Frames, _) = (asked, write_outputs(&self.outputs));
        for (_, payload) in &asked {
            let request_id = parse::<AllocateMiningJobToken<'_>>(payload).unwrap().request_id;
            self.tokens += 1;
            let token = self.tokens.to_be_bytes();
            let message = AllocateMiningJobTokenSuccess {
                request_id,
                mining_job_token: token[..].try_into().unwrap(),
                coinbase_tx_outputs: (&*list).try_into().unwrap(),
            };
            self.jds(&message, now);
        }
        asked.len()
    }

    /// Opens the channel that the router wishes for.
    pub(super) fn open(&mut self, now: Now) {
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
        self.source.command(SourceCommand::Open(wish), now, &mut self.fx);
        self.look();
        let payload = self.sent_to_pool(OpenExtendedMiningChannel::MSG_TYPE).expect("a channel is asked for");
        let request_id = parse::<OpenExtendedMiningChannel<'_>>(&payload).unwrap().request_id;
        let message = OpenExtendedMiningChannelSuccess {
            request_id,
            channel_id: CHANNEL,
            target: Target::MAX.to_le_bytes(),
            extranonce_size: 16,
            extranonce_prefix: PREFIX[..].try_into().unwrap(),
            group_channel_id: 0,
        };
        self.pool(&message, now);
    }

    /// The oldest frame of a kind that was sent to the pool, taken out.
    pub(super) fn sent_to_pool(&mut self, kind: u8) -> Option<Vec<u8>> {
        let at = self.to_pool.iter().position(|(of, _)| *of == kind)?;
        Some(self.to_pool.remove(at).1)
    }

    pub(super) fn sent_to_jds(&mut self, kind: u8) -> Option<Vec<u8>> {
        let at = self.to_jds.iter().position(|(of, _)| *of == kind)?;
        Some(self.to_jds.remove(at).1)
    }

    /// The request of the oldest declaration that was not answered.
    pub(super) fn declared(&mut self) -> Option<u32> {
        let payload = self.sent_to_jds(DeclareMiningJob::MSG_TYPE)?;
        Some(parse::<DeclareMiningJob<'_>>(&payload).unwrap().request_id)
    }

    pub(super) fn accept_declaration(&mut self, request_id: u32, now: Now) {
        let new_mining_job_token = [request_id.to_be_bytes(), [0xaa; 4]].concat();
        let new_mining_job_token = (&*new_mining_job_token).try_into().unwrap();
        self.jds(&DeclareMiningJobSuccess { request_id, new_mining_job_token }, now);
    }

    pub(super) fn refuse_declaration(&mut self, request_id: u32, code: &str, now: Now) {
        let error_code = sv2::Str0255::truncated(code);
        self.jds(&DeclareMiningJobError { request_id, error_code, error_details: sv2::B064K::EMPTY }, now);
    }

    /// The request of the oldest custom job that was not answered.
    pub(super) fn custom_job(&mut self) -> Option<u32> {
        let payload = self.sent_to_pool(SetCustomMiningJob::MSG_TYPE)?;
        Some(parse::<SetCustomMiningJob<'_>>(&payload).unwrap().request_id)
    }

    pub(super) fn accept_job(&mut self, request_id: u32, job_id: u32, now: Now) {
        self.pool(&SetCustomMiningJobSuccess { channel_id: CHANNEL, request_id, job_id }, now);
    }

    pub(super) fn refuse_job(&mut self, request_id: u32, code: &str, now: Now) {
        let error_code = sv2::Str0255::truncated(code);
        self.pool(&SetCustomMiningJobError { channel_id: CHANNEL, request_id, error_code }, now);
    }

    /// Declares and sets what waits for it; the pool's number is `job_id`.
    pub(super) fn acknowledge(&mut self, job_id: u32, now: Now) {
        self.give_tokens(now);
        let request = self.declared().expect("a declaration");
        self.accept_declaration(request, now);
        let request = self.custom_job().expect("a custom job");
        self.accept_job(request, job_id, now);
    }

    pub(super) fn set_target(&mut self, target: Target, now: Now) {
        self.pool(&SetTarget { channel_id: CHANNEL, maximum_target: target.to_le_bytes() }, now);
    }

    pub(super) fn set_prefix(&mut self, last: u8, now: Now) {
        let mut prefix = PREFIX;
        prefix[5] = last;
        let extranonce_prefix = prefix[..].try_into().unwrap();
        self.pool(&SetExtranoncePrefix { channel_id: CHANNEL, extranonce_prefix }, now);
    }

    /// A share of a feed's job: a block, or no block, as is wished.
    pub(super) fn found(&mut self, feed: &Feed, is_block: bool) -> OutgoingShare {
        let rolled: [&[u8]; 2] = [&[9; 4], &[7; 4]];
        let job = &feed.job;
        let header = loop {
            self.nonce += 1;
            let header = job.header(&rolled, job.job.version, job.job.min_ntime, self.nonce);
            if header.hash().meets(&job.job.network_target) == is_block {
                break header;
            }
        };
        let tally = self.tally();
        tally.open(MinerRef(0));
        OutgoingShare {
            channel: feed.channel.key,
            generation: feed.generation,
            job_id: job.job.id,
            nonce: header.nonce,
            ntime: header.ntime,
            version: header.version,
            extranonce: Extranonce::concat(&[job.filler(), rolled[0], rolled[1]]).unwrap(),
            difficulty: 1.0,
            is_block,
            tally,
            miner: MinerRef(0),
            worker: "farm.1".into(),
            told_true: true,
            token: None,
        }
    }

    /// A miner finds a share of the feed's job, and it comes here.
    pub(super) fn share(&mut self, feed: &Feed, now: Now) {
        let share = self.found(feed, false);
        self.source.share(&share, now, &mut self.fx);
        self.look();
    }

    fn tally(&self) -> Arc<Tally> {
        self.books.tally(&Arc::from("worker"), AccountKey { listener: 0, route: 0, source: Some(0) })
    }

    pub(super) fn newest(&self) -> Feed {
        self.feeds.last().expect("miners have work").clone()
    }

    /// The shares that went to the pool since the last look: their job ids.
    pub(super) fn shares_sent(&mut self) -> Vec<u32> {
        let mut ids = Vec::new();
        while let Some(payload) = self.sent_to_pool(SubmitSharesExtended::MSG_TYPE) {
            ids.push(parse::<SubmitSharesExtended<'_>>(&payload).unwrap().job_id);
        }
        ids
    }

    /// The pool acknowledges every share it was sent up to a number.
    pub(super) fn accept_shares(&mut self, last_sequence_number: u32, count: u32, now: Now) {
        let message = SubmitSharesSuccess {
            channel_id: CHANNEL,
            last_sequence_number,
            new_submits_accepted_count: count,
            new_shares_sum: u64::from(count),
        };
        self.pool(&message, now);
    }

    /// Why the router was last told that the source is down.
    pub(super) fn down(&self) -> Option<&DownReason> {
        self.told.iter().rev().find_map(|event| match event {
            SourceEvent::Down(why) => Some(why),
            _ => None,
        })
    }
}
