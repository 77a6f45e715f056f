//! A pool's connection: its beginning, its set-up (specification section 3.6, extension 0x0001) and its end.

use std::time::Duration;

use sv2::{FrameHeader, Message};

use super::super::status::SourceState;
use super::shares::end_open_shares;
use super::{EXTENSIONS_DEADLINE, LinkSecurity, SETUP_DEADLINE, Sv2Pool, parse, protocol};
use crate::now::Now;
use crate::source::event::{ChannelRefusal, DownReason, Effects, SourceEvent};

impl Sv2Pool {
    /// The link stands (TCP and Noise): begins the set-up. Refuses a pool that nobody vouches for, unless
    /// the configuration says `insecure`.
    pub fn connected(&mut self, security: LinkSecurity, now: Now, fx: &mut Effects) {
        if self.state != SourceState::Dialling {
            fx.hang_up = true;
            return;
        }
        self.connection = self.connection.wrapping_add(1);
        if security != LinkSecurity::Authenticated && !self.settings.insecure {
            self.fail(DownReason::NotAuthenticated, now, fx);
            return;
        }
        let text = sv2::Str0255::truncated;
        let mut flags = sv2::mining::REQUIRES_VERSION_ROLLING;
        if self.settings.work_selection {
            flags |= sv2::mining::REQUIRES_WORK_SELECTION;
        }
        let setup = sv2::common::SetupConnection {
            protocol: sv2::common::PROTOCOL_MINING,
            min_version: 2,
            max_version: 2,
            flags,
            endpoint_host: sv2::Str0255::truncated(&self.settings.host),
            endpoint_port: self.settings.port,
            vendor: text("Adit"),
            hardware_version: text("proxy"),
            firmware: text(concat!("adit/", env!("CARGO_PKG_VERSION"))),
            device_id: text(""),
        };
        sv2::write_frame(&setup, &mut fx.frames);
        self.enter(SourceState::SettingUp { deadline: now.mono + SETUP_DEADLINE }, now);
    }

    /// The link could not be made, or has ended.
    pub fn disconnected(&mut self, why: DownReason, now: Now, fx: &mut Effects) {
        if self.is_ready() {
            let wait = self.backoff.next_wait_after_ready();
            self.fail_for(wait, why, now, fx);
        } else if self.state == SourceState::Dialling || self.has_connection() {
            self.fail(why, now, fx);
        }
    }

    /// The pool does or says what it must not, or not what it must: everything of this connection is over. Tries again after
    /// a wait.
    pub(super) fn fail(&mut self, why: DownReason, now: Now, fx: &mut Effects) {
        // A planned move is made at once; everything else waits its turn.
        let wait = if why == DownReason::Reconnect { Duration::ZERO } else { self.backoff.next_wait() };
        self.fail_for(wait, why, now, fx);
    }

    fn fail_for(&mut self, wait: Duration, why: DownReason, now: Now, fx: &mut Effects) {
        self.drop_link(why, now, fx);
        self.enter(SourceState::Waiting { until: now.mono + wait }, now);
    }

    pub(super) fn drop_link(&mut self, why: DownReason, now: Now, fx: &mut Effects) {
        fx.hang_up = true;
        for (_, mut channel) in self.channels.drain() {
            channel.state.end();
            end_open_shares(&mut channel.open, fx);
        }
        for (_, asked) in self.pending.drain() {
            fx.events.push(SourceEvent::NotOpened {
                request: asked.wish.request,
                why: ChannelRefusal::LinkEnded(why.clone()),
            });
        }
        self.groups.clear();
        self.pending_order.clear();
        self.drain_looks.clear();
        self.open_shares = 0;
        self.refused_in_a_row = 0;
        self.room_refused = false;
        self.worker_names = false;
        self.last_answer = now.mono;
        self.last_down = why.clone();
        fx.events.push(SourceEvent::Down(why));
    }

    pub(super) fn on_setup(
        &mut self,
        message: sv2::common::SetupConnectionSuccess,
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        if !matches!(self.state, SourceState::SettingUp { .. }) {
            return Err(protocol("SetupConnection.Success twice"));
        }
        if message.used_version != 2 {
            return Err(protocol(format!("protocol version {} (Adit speaks 2)", message.used_version)));
        }
        if message.flags & sv2::mining::REQUIRES_FIXED_VERSION != 0 {
            return Err(DownReason::Requires("a fixed version, but miners roll it"));
        }
        if !self.settings.worker_names {
            self.ready(false, now, fx);
            return Ok(());
        }
        let request = sv2::extensions::RequestExtensions {
            request_id: 1,
            requested_extensions: sv2::Seq064K::from_slice(&[sv2::extensions::WORKER_HASHRATE_TRACKING])
                .expect("one element"),
        };
        sv2::write_frame(&request, &mut fx.frames);
        self.enter(SourceState::Negotiating { deadline: now.mono + EXTENSIONS_DEADLINE }, now);
        Ok(())
    }

    pub(super) fn read_extensions(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        use sv2::extensions;
        let negotiating = matches!(self.state, SourceState::Negotiating { .. });
        match header.msg_type {
            extensions::RequestExtensionsSuccess::MSG_TYPE => {
                let message: extensions::RequestExtensionsSuccess<'_> = parse(payload)?;
                let names =
                    message.supported_extensions.iter().any(|e| e == extensions::WORKER_HASHRATE_TRACKING);
                if negotiating {
                    self.ready(names, now, fx);
                } else if names && self.settings.worker_names {
                    // Late, but from its side negotiated: shares carry their workers' names from now on.
                    self.worker_names = true;
                }
                Ok(())
            }
            extensions::RequestExtensionsError::MSG_TYPE => {
                let message: extensions::RequestExtensionsError<'_> = parse(payload)?;
                let missing: Vec<String> = message
                    .required_extensions
                    .iter()
                    .filter(|e| *e != extensions::WORKER_HASHRATE_TRACKING)
                    .take(8)
                    .map(|e| format!("0x{e:04x}"))
                    .collect();
                if !missing.is_empty() {
                    return Err(DownReason::RequiresExtensions(missing.join(", ")));
                }
                if negotiating {
                    self.ready(false, now, fx);
                }
                Ok(())
            }
            _ => {
                self.unknown_messages += 1;
                Ok(())
            }
        }
    }

    pub(super) fn ready(&mut self, worker_names: bool, now: Now, fx: &mut Effects) {
        self.worker_names = worker_names;
        self.enter(SourceState::Ready, now);
        fx.events.push(SourceEvent::Ready { worker_names });
    }
}
