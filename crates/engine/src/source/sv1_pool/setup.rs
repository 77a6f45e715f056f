//! The set-up of a connection: `mining.configure`, `mining.subscribe`, `mining.authorize`, and the first job.

use sv1::client::Response;

use super::lane::{LaneState, Step};
use super::shares::FIRST_SUBMIT;
use super::{CONFIGURE_DEADLINE, STEP_DEADLINE, Sv1Effects, Sv1Pool, USER_AGENT, protocol, shown};
use crate::now::Now;
use crate::source::event::{DownReason, SourceEvent};
use crate::source::status::SourceState;

const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const EXTRANONCE_SUBSCRIBE: u64 = 4;

impl Sv1Pool {
    /// A connection stands: begins its set-up.
    pub fn connected(&mut self, number: u32, now: Now, fx: &mut Sv1Effects) {
        let Some(lane) = self.lanes.get_mut(&number).filter(|lane| lane.state == LaneState::Dialling) else {
            fx.hang_up.push(number);
            return;
        };
        self.connection = self.connection.wrapping_add(1);
        let mask = self.settings.version_mask;
        if mask == 0 {
            // Nobody rolls: nothing to be asked.
            self.subscribe(number, now, fx);
        } else {
            let bits = u8::try_from(mask.count_ones()).unwrap_or(u8::MAX);
            sv1::client::write_configure(fx.to(number), CONFIGURE, mask, bits);
            let deadline = now.mono + CONFIGURE_DEADLINE;
            lane.state = LaneState::SettingUp { step: Step::Configure, deadline };
        }
        if self.state == SourceState::Dialling {
            self.enter(SourceState::SettingUp { deadline: now.mono + STEP_DEADLINE }, now);
        }
    }

    fn step(&mut self, number: u32, step: Step, now: Now) {
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.state = LaneState::SettingUp { step, deadline: now.mono + STEP_DEADLINE };
        }
    }

    fn subscribe(&mut self, number: u32, now: Now, fx: &mut Sv1Effects) {
        sv1::client::write_subscribe(fx.to(number), SUBSCRIBE, USER_AGENT, None);
        self.step(number, Step::Subscribe, now);
    }

    /// The pool's word on version rolling, or its silence.
    pub(super) fn configured(&mut self, number: u32, granted: u32, now: Now, fx: &mut Sv1Effects) {
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.mask = granted;
        }
        match self.allows(granted) {
            Ok(()) => self.subscribe(number, now, fx),
            Err(why) => self.lane_failed(number, why, now, fx),
        }
    }

    /// Whether miners may roll what they were told that they may.
    fn allows(&self, granted: u32) -> Result<(), DownReason> {
        let needed = self.settings.version_mask;
        if needed & !granted == 0 {
            return Ok(());
        }
        Err(DownReason::VersionRolling { granted, needed })
    }

    pub(super) fn on_version_mask(&mut self, number: u32, mask: u32) -> Result<(), DownReason> {
        // Before `mining.configure` is answered it says nothing that the answer does not.
        if let Some(lane) = self.lanes.get_mut(&number)
            && !matches!(lane.state, LaneState::SettingUp { step: Step::Configure, .. })
        {
            lane.mask = mask;
            return self.allows(mask);
        }
        Ok(())
    }

    pub(super) fn on_response(
        &mut self,
        number: u32,
        response: &Response<'_>,
        now: Now,
        fx: &mut Sv1Effects,
    ) -> Result<(), DownReason> {
        let Some(id) = response.id.as_u64() else {
            self.stray_answers += 1;
            return Ok(());
        };
        if let Some(share) = id.checked_sub(FIRST_SUBMIT) {
            return self.on_answer(number, share, response, now, fx);
        }
        let Some(lane) = self.lanes.get_mut(&number) else { return Ok(()) };
        let LaneState::SettingUp { step, .. } = lane.state else {
            // That of `mining.extranonce.subscribe`: without it the extranonce just never changes.
            self.stray_answers += u64::from(id != EXTRANONCE_SUBSCRIBE);
            return Ok(());
        };
        match (id, step) {
            (CONFIGURE, Step::Configure) => {
                let granted = response.configure_result().version_rolling.unwrap_or(0);
                self.configured(number, granted, now, fx);
            }
            (SUBSCRIBE, Step::Subscribe) => {
                if let Some(why) = refusal(response) {
                    return Err(DownReason::Refused(format!("mining.subscribe: {why}")));
                }
                let reply = response.subscribe_result().map_err(|error| protocol(error.to_string()))?;
                lane.extranonce1 = reply.extranonce1;
                lane.extranonce2_size = reply.extranonce2_size;
                self.offered = Some(reply.extranonce2_size);
                let (identity, password) = (lane.identity.clone(), self.settings.password.as_str());
                sv1::client::write_authorize(fx.to(number), AUTHORIZE, &identity, password);
                self.step(number, Step::Authorize, now);
            }
            (AUTHORIZE, Step::Authorize) => {
                if !response.is_granted() {
                    let why = refusal(response).unwrap_or_else(|| "no reason given".to_owned());
                    let who = shown(lane.identity.as_bytes());
                    return Err(DownReason::Refused(format!("mining.authorize of {who}: {why}")));
                }
                sv1::client::write_extranonce_subscribe(fx.to(number), EXTRANONCE_SUBSCRIBE);
                if lane.current.is_some() {
                    self.lane_ready(number, now, fx);
                } else {
                    self.step(number, Step::FirstJob, now);
                }
            }
            (EXTRANONCE_SUBSCRIBE, Step::FirstJob) => {}
            _ => self.stray_answers += 1,
        }
        Ok(())
    }

    /// Set up, and with a job.
    pub(super) fn lane_ready(&mut self, number: u32, now: Now, fx: &mut Sv1Effects) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        lane.state = LaneState::Ready;
        lane.ready_since = now.mono;
        lane.last_answer = now.mono;
        if self.state != SourceState::Ready {
            self.enter(SourceState::Ready, now);
            fx.common.events.push(SourceEvent::Ready { worker_names: false });
        }
        self.serve_waiting(number, now, fx);
        self.note_idle(number, now);
    }
}

/// Why the pool says no; `None` if it does not.
fn refusal(response: &Response<'_>) -> Option<String> {
    let error = response.error.as_ref()?;
    let text = shown(error.text.as_bytes());
    Some(match error.code {
        Some(code) => format!("{text} ({code})"),
        None => text,
    })
}
