//! What a source's task does for declared jobs and solo mining: the link to the declarator server, templates, blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::source::{DeclaredEffects, DeclaredState, DownReason, SourceEvent};
use sv2::{AnyMessage, FrameHeader, Message as _, MiningMessage};
use work::Template;

use super::machine::Machine;
use super::source::{HANDSHAKE, describe};
use super::{Dialled, SourceTask};
use crate::sim::link::{End, LinkId};
use crate::sim::node::{NodeNews, NodeTimer};
use crate::sim::planted::PlantedBug;
use crate::sim::tally::Message;
use crate::sim::time::Micros;
use crate::sim::world::{Event, Owner, Task, World};

/// The connection to a declarator server.
#[derive(Default)]
pub(in crate::sim) struct JdsSide {
    pub(super) link: Option<LinkId>,
    input: Vec<u8>,
    outbox: Vec<u8>,
    dialling: bool,
    dialled: Option<Dialled>,
}

/// What the planted mistakes need to remember.
#[derive(Default)]
pub(in crate::sim) struct Mistakes {
    /// The token of the last custom job.
    last_token: Vec<u8>,
    /// The source has been down once.
    has_fallen: bool,
    /// Answers to custom jobs that never came from the pool.
    forged: VecDeque<Vec<u8>>,
}

impl World {
    /// What comes before the connection to the pool: templates, then the declarator server. Gives the time that it took.
    pub(super) fn side_turn(&mut self, at: usize) -> Micros {
        let now = self.engine_now();
        let source = &mut self.adit.sources[at];
        if matches!(source.machine, Machine::Pool(_)) {
            return 0;
        }
        let mut fx = std::mem::take(&mut source.fx);
        let took = if let Some(news) = source.templates.pop_front() {
            self.take_news(at, news, &mut fx);
            20
        } else if let Some(forged) = source.mistakes.forged.pop_front() {
            if let Some((header, payload, _)) = FrameHeader::split(&forged) {
                source.machine.frame(&header, payload, now, &mut fx);
            }
            1
        } else if let Some(dialled) = source.jds.dialled.take() {
            source.jds.dialling = false;
            let security = engine::source::LinkSecurity::Authenticated;
            match (dialled, source.machine.declared_mut()) {
                (Dialled::Link(link), Some(machine)) => {
                    machine.jds_connected(security, now, &mut fx);
                    source.jds.link = Some(link);
                }
                (Dialled::NoConnection(why), Some(machine)) => {
                    machine.jds_disconnected(DownReason::Connect(why.into()), now, &mut fx);
                }
                (Dialled::NoHandshake(why), Some(machine)) => {
                    machine.jds_disconnected(DownReason::Handshake(why.into()), now, &mut fx);
                }
                (_, None) => {}
            }
            20
        } else if let Some(link) = source.jds.link
            && self.links.get(link).is_none_or(|l| l.readable(End::Adit) > 0 || l.is_over(End::Adit))
        {
            self.read_jds(at, link, &mut fx);
            10
        } else {
            self.adit.sources[at].fx = fx;
            return 0;
        };
        self.carry_out_source(at, fx);
        self.wake(Task::Source(at));
        took
    }

    fn take_news(&mut self, at: usize, news: NodeNews, fx: &mut DeclaredEffects) {
        let now = self.engine_now();
        let held = self.adit.sources[at].machine.held();
        let news = match news {
            NodeNews::Template(template) => NodeNews::Template(self.corrupt_template(at, template, held)),
            news => news,
        };
        let source = &mut self.adit.sources[at];
        match (&mut source.machine, &news) {
            (Machine::Declared(machine), NodeNews::Template(template)) => {
                machine.template(Arc::clone(template), now, fx);
            }
            (Machine::Declared(machine), NodeNews::Completed(of, transactions)) => {
                machine.transactions(of, transactions, now, fx);
            }
            (Machine::Declared(machine), NodeNews::Lost) => {
                machine.templates_lost("the node is gone", now, fx)
            }
            (Machine::Solo(machine), NodeNews::Template(template)) => {
                if let Err(error) = machine.template(Arc::clone(template), now, &mut fx.pool) {
                    return self.broken("solo", format!("a template gives no work: {error}"));
                }
            }
            (Machine::Solo(machine), NodeNews::Lost) => {
                machine.lost(DownReason::NoTemplates("the node is gone".into()), now, &mut fx.pool);
            }
            (Machine::Solo(machine), NodeNews::Verdict(number, outcome)) => {
                machine.submitted(*number, *outcome, now, &mut fx.pool);
                source.ledger.verdict(*outcome);
            }
            _ => {}
        }
        if let NodeNews::Template(template) = &news {
            self.told_tip(at, template);
        }
    }

    /// A source was told of a template: on another tip nothing is held any more but blocks.
    fn told_tip(&mut self, at: usize, template: &Template) {
        let tip = self
            .node
            .as_ref()
            .and_then(|node| node.templates.get(&u32::try_from(template.template_id).unwrap_or(0)))
            .map(|given| given.tip.hash);
        let source = &mut self.adit.sources[at];
        if tip.is_some_and(|tip| source.ledger.on_tip(tip)) {
            source.tips += 1;
            let (held, blocks) = (source.machine.held(), source.ledger.held_blocks.len() as u64);
            if held > blocks {
                let text = format!(
                    "source {at} holds {held} shares, {blocks} of them blocks, for a tip that is gone"
                );
                self.broken("held", text);
            } else if held == 0 {
                source.ledger.held_blocks.clear();
            }
        }
    }

    /// Now and then a planted mistake does not see that the tip has changed.
    fn corrupt_template(&mut self, at: usize, template: Arc<Template>, held: u64) -> Arc<Template> {
        let Some(last) = self.adit.sources[at].ledger.tip() else { return template };
        if held == 0 || last == template.prev_hash || !self.planted(PlantedBug::HeldSurvivesTip, 1) {
            return template;
        }
        let mut same = Template::clone(&template);
        same.prev_hash = last;
        Arc::new(same)
    }

    fn read_jds(&mut self, at: usize, link: LinkId, fx: &mut DeclaredEffects) {
        let now = self.engine_now();
        let mut bytes = Vec::new();
        let over = match self.links.get_mut(link) {
            Some(l) => {
                let over = l.is_over(End::Adit);
                if l.read(End::Adit, 64 * 1024, &mut bytes) {
                    self.room_again(link, End::Peer);
                }
                over
            }
            None => true,
        };
        if over && bytes.is_empty() {
            self.adit.sources[at].jds.drop_link();
            self.close_link(link, End::Adit);
            if let Some(machine) = self.adit.sources[at].machine.declared_mut() {
                machine.jds_disconnected(DownReason::Lost("closed by the server".into()), now, fx);
            }
            return;
        }
        let mut input = std::mem::take(&mut self.adit.sources[at].jds.input);
        input.extend_from_slice(&bytes);
        let mut rest = input.as_slice();
        while let Some((header, payload, after)) = FrameHeader::split(rest) {
            rest = after;
            self.trace(|| format!("jds {at} <- {}", describe(&header, payload)));
            if let Some(machine) = self.adit.sources[at].machine.declared_mut() {
                machine.jds_frame(&header, payload, now, fx);
            }
            if fx.jds.hang_up {
                return;
            }
        }
        self.adit.sources[at].jds.input = rest.to_vec();
    }

    /// What goes to the declarator server and to nodes.
    pub(super) fn carry_out_side(&mut self, at: usize, fx: &mut DeclaredEffects) {
        for found in std::mem::take(&mut fx.blocks) {
            let leaves = !fx.pool.frames.is_empty();
            let is_declared = self.adit.sources[at].machine.declared().is_some();
            if is_declared && !leaves && self.is_planted(PlantedBug::UnacknowledgedBlockDropped) {
                continue;
            }
            self.adit.sources[at].ledger.note_block();
            self.block_handed_out(at, &found);
        }
        fx.acknowledged_after.clear();
        if let Some(room) = fx.constraints.take()
            && let Some(node) = &self.node
        {
            self.tally.message(Message::RoomAsked);
            let arrives = self.now + node.plan.node_latency;
            self.events.at(arrives, Event::Node(NodeTimer::Asked(room)));
        }
        if !fx.jds.frames.is_empty() {
            let frames = fx.jds.frames.split();
            let mut rest = &frames[..];
            while let Some((header, payload, after)) = FrameHeader::split(rest) {
                rest = after;
                self.trace(|| format!("jds {at} -> {}", describe(&header, payload)));
            }
            let jds = &mut self.adit.sources[at].jds;
            if jds.link.is_some() {
                jds.outbox.extend_from_slice(&frames);
            }
        }
        self.flush_jds(at);
        fx.jds.events.clear();
        fx.jds.reconnect_to = None;
        if std::mem::take(&mut fx.jds.hang_up)
            && let Some(link) = self.adit.sources[at].jds.link
        {
            self.adit.sources[at].jds.drop_link();
            self.close_link(link, End::Adit);
        }
    }

    pub(in crate::sim) fn flush_jds(&mut self, at: usize) {
        let jds = &mut self.adit.sources[at].jds;
        let Some(link) = jds.link.filter(|_| !jds.outbox.is_empty()) else { return };
        let outbox = std::mem::take(&mut jds.outbox);
        let taken = self.write_link(link, End::Adit, &outbox);
        self.adit.sources[at].jds.outbox = outbox[taken..].to_vec();
    }

    pub(super) fn start_dialling_jds(&mut self, at: usize) {
        let source = &mut self.adit.sources[at];
        let wants = source.machine.declared().is_some_and(|machine| machine.jds().wants_connection());
        if !wants || source.jds.dialling || source.jds.link.is_some() {
            return;
        }
        source.jds.dialling = true;
        let Some(node) = &self.node else { return };
        let after = (4 * node.plan.link.latency + self.rng.range(0, 2_000)).min(HANDSHAKE);
        self.events.at(self.now + after, Event::JdsDialled { source: at });
    }

    /// An attempt to connect to a declarator server has come to its end.
    pub(in crate::sim) fn jds_dialled(&mut self, at: usize) {
        let pool = &self.pools[at];
        let Some(node) = &self.node else { return };
        let dialled = if pool.jds.mood.gone || pool.mood.refuses_connections {
            Dialled::NoConnection("connection refused")
        } else {
            let link = self.new_link(node.plan.link, Owner::Jds(at));
            self.pools[at].jds.accept(link);
            Dialled::Link(link)
        };
        self.adit.sources[at].jds.dialled = Some(dialled);
        self.wake(Task::Source(at));
    }

    // ---- planted mistakes ----

    /// Whether a frame of the pool is not heard.
    pub(super) fn is_unheard(&self, at: usize, header: &FrameHeader) -> bool {
        self.is_planted(PlantedBug::PrefixIgnored)
            && self.adit.sources[at].machine.declared().is_some()
            && header.msg_type == sv2::mining::SetExtranoncePrefix::MSG_TYPE
    }

    /// Whether an event is kept from the router.
    pub(super) fn is_untold(&mut self, at: usize, event: &SourceEvent) -> bool {
        if self.adit.sources[at].machine.declared().is_none() {
            return false;
        }
        let planted = self.is_planted(PlantedBug::NeverRises);
        let mistakes = &mut self.adit.sources[at].mistakes;
        mistakes.has_fallen |= matches!(event, SourceEvent::Down(_));
        planted && mistakes.has_fallen && matches!(event, SourceEvent::Ready { .. })
    }

    /// Whether the machine's clock stands still.
    pub(super) fn is_timeless(&self, at: usize) -> bool {
        self.is_planted(PlantedBug::DeclaresForEver)
            && self.adit.sources[at]
                .machine
                .declaring()
                .is_some_and(|it| it.state == DeclaredState::Declaring)
    }

    /// Frames on their way to the pool, as a planted mistake would have them.
    pub(super) fn corrupt_frames(&mut self, at: usize, fx: &mut DeclaredEffects) {
        let reuses = self.is_planted(PlantedBug::TokenUsedTwice);
        let forges = self.is_planted(PlantedBug::ShareBeforeSuccess);
        if !(reuses || forges) || self.adit.sources[at].machine.declared().is_none() {
            return;
        }
        let frames = fx.pool.frames.split();
        let mut rest = &frames[..];
        while let Some((header, payload, after)) = FrameHeader::split(rest) {
            let whole = &rest[..rest.len() - after.len()];
            rest = after;
            let Ok((AnyMessage::Mining(MiningMessage::SetCustomMiningJob(mut job)), _)) =
                AnyMessage::decode_lenient(&header, payload, &[])
            else {
                fx.pool.frames.extend_from_slice(whole);
                continue;
            };
            if forges {
                let (channel_id, request_id) = (job.channel_id, job.request_id);
                let job_id = 1_000_000 + request_id;
                let mut frame = bytes::BytesMut::new();
                let forged = sv2::mining::SetCustomMiningJobSuccess { channel_id, request_id, job_id };
                sv2::write_frame(&forged, &mut frame);
                self.adit.sources[at].mistakes.forged.push_back(frame.to_vec());
            }
            let token = job.mining_job_token.as_slice().to_vec();
            let last = std::mem::replace(&mut self.adit.sources[at].mistakes.last_token, token);
            if reuses
                && !last.is_empty()
                && let Ok(last) = (&*last).try_into()
            {
                job.mining_job_token = last;
                sv2::write_frame(&job, &mut fx.pool.frames);
            } else {
                fx.pool.frames.extend_from_slice(whole);
            }
        }
    }
}

impl JdsSide {
    fn drop_link(&mut self) {
        self.link = None;
        self.input.clear();
        self.outbox.clear();
    }
}

impl SourceTask {
    /// Whether there is something to do besides the connection to the pool.
    pub(super) fn has_side_work(&self) -> bool {
        !self.templates.is_empty() || self.jds.dialled.is_some() || !self.mistakes.forged.is_empty()
    }
}
