//! `SetupConnection` (specification, section 3.6.1) and the negotiation of extensions (extension 0x0001).

use bytes::BytesMut;
use sv2::common::{
    PROTOCOL_MINING, PROTOCOL_VERSION, SetupConnection, SetupConnectionError, SetupConnectionSuccess,
};
use sv2::extensions::{
    RequestExtensions, RequestExtensionsError, RequestExtensionsSuccess, WORKER_HASHRATE_TRACKING,
};
use sv2::mining::{REQUIRES_FIXED_VERSION, REQUIRES_STANDARD_JOBS, REQUIRES_VERSION_ROLLING};
use sv2::{Seq064K, Str0255, error_code, write_frame};

use super::{Sv2Io, Sv2Miner};
use crate::miner::CloseReason;
use crate::miner::cut;
use crate::miner::jdc::JdcSetup;
use crate::miner::sv1::setup::USER_AGENT_KEPT;

/// What the two sides have agreed on.
#[derive(Debug, Default)]
pub(super) struct Setup {
    done: bool,
    /// The miner takes standard jobs only.
    pub(super) standard_jobs: bool,
    /// The miner takes only jobs whose version may be rolled.
    pub(super) version_rolling: bool,
    worker_names: bool,
    pub(super) hand_over: Option<JdcSetup>,
    /// What it says that it is, until somebody has taken it.
    pub(super) device: Option<Box<str>>,
}

impl Setup {
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The extensions that were negotiated.
    pub(super) fn extensions(&self) -> &'static [u16] {
        if self.worker_names { &[WORKER_HASHRATE_TRACKING] } else { &[] }
    }
}

impl Sv2Miner {
    pub(super) fn set_up(
        &mut self,
        setup: &SetupConnection<'_>,
        io: &mut Sv2Io<'_>,
    ) -> Result<(), CloseReason> {
        let rolls = self.policy.sv2_version_mask != 0;
        let mut supported = REQUIRES_STANDARD_JOBS;
        if rolls {
            supported |= REQUIRES_VERSION_ROLLING;
        }
        let unsupported = setup.flags & !supported;
        let of_jdc = JdcSetup::of(setup, rolls).filter(|_| self.policy.declarators);
        let versions = setup.min_version..=setup.max_version;
        let refused = if setup.protocol != PROTOCOL_MINING && of_jdc.is_none() {
            Some((0, error_code::UNSUPPORTED_PROTOCOL))
        } else if !versions.contains(&PROTOCOL_VERSION) {
            Some((0, error_code::PROTOCOL_VERSION_MISMATCH))
        } else if of_jdc.is_some() {
            self.setup.hand_over = of_jdc;
            return Ok(());
        } else if unsupported != 0 {
            Some((unsupported, error_code::UNSUPPORTED_FEATURE_FLAGS))
        } else {
            None
        };
        if let Some((flags, code)) = refused {
            write_frame(&SetupConnectionError { flags, error_code: Str0255::truncated(code) }, io.out);
            return Err(CloseReason::SetupRefused);
        }
        self.setup.done = true;
        self.setup.device = device_of(setup);
        self.setup.standard_jobs = setup.flags & REQUIRES_STANDARD_JOBS != 0;
        self.setup.version_rolling = setup.flags & REQUIRES_VERSION_ROLLING != 0;
        let flags = if rolls { 0 } else { REQUIRES_FIXED_VERSION };
        write_frame(&SetupConnectionSuccess { used_version: PROTOCOL_VERSION, flags }, io.out);
        Ok(())
    }

    pub(super) fn request_extensions(&mut self, request: &RequestExtensions<'_>, io: &mut Sv2Io<'_>) {
        self.setup.worker_names = grant_extensions(request, io.out);
    }
}

/// Vendor, hardware and firmware in one line, at most [`USER_AGENT_KEPT`] bytes.
fn device_of(setup: &SetupConnection<'_>) -> Option<Box<str>> {
    let parts = [setup.vendor, setup.hardware_version, setup.firmware];
    let words: Vec<_> = parts.iter().map(|part| part.to_str_lossy()).collect();
    let words: Vec<&str> = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| cut(&words.join(" "), USER_AGENT_KEPT).into())
}

/// Answers a request for extensions: whether extension 0x0002 is granted, the only one that there is.
pub(in crate::miner) fn grant_extensions(request: &RequestExtensions<'_>, out: &mut BytesMut) -> bool {
    let request_id = request.request_id;
    let names = request.requested_extensions.iter().any(|e| e == WORKER_HASHRATE_TRACKING);
    if names || request.requested_extensions.is_empty() {
        let granted: &[u16] = if names { &[WORKER_HASHRATE_TRACKING] } else { &[] };
        let supported_extensions = Seq064K::from_slice(granted).unwrap_or_default();
        write_frame(&RequestExtensionsSuccess { request_id, supported_extensions }, out);
        return names;
    }
    let unsupported: Vec<u16> = request.requested_extensions.iter().collect();
    // It is as long as the list that came.
    let unsupported_extensions = Seq064K::from_slice(&unsupported).unwrap_or_default();
    let required_extensions = Seq064K::default();
    let error = RequestExtensionsError { request_id, unsupported_extensions, required_extensions };
    write_frame(&error, out);
    false
}
