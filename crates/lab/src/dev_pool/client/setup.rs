//! SetupConnection and the negotiation of extensions.

use bytes::BytesMut;
use sv2::common::{
    PROTOCOL_MINING, PROTOCOL_VERSION, SetupConnection, SetupConnectionError, SetupConnectionSuccess,
};
use sv2::extensions::{RequestExtensions, RequestExtensionsError, RequestExtensionsSuccess};
use sv2::mining::{
    REQUIRES_FIXED_VERSION, REQUIRES_STANDARD_JOBS, REQUIRES_VERSION_ROLLING, REQUIRES_WORK_SELECTION,
};
use sv2::{Seq064K, Str0255, error_code, write_frame};
use tracing::debug;

use super::custom::CustomJobs;
use super::{Client, Hangup};

impl Client {
    pub(super) fn on_setup(&mut self, setup: &SetupConnection<'_>, out: &mut BytesMut) -> Result<(), Hangup> {
        let options = &self.shared.options;
        // Whoever chooses the work cannot be given standard jobs.
        let selects = setup.flags & REQUIRES_WORK_SELECTION != 0;
        let mut unsupported = 0;
        if self.shared.jds.is_none() || setup.flags & REQUIRES_STANDARD_JOBS != 0 {
            unsupported |= setup.flags & REQUIRES_WORK_SELECTION;
        }
        if !options.version_rolling {
            unsupported |= setup.flags & REQUIRES_VERSION_ROLLING;
        }
        let versions = setup.min_version..=setup.max_version;
        let error = if setup.protocol != PROTOCOL_MINING {
            Some(error_code::UNSUPPORTED_PROTOCOL)
        } else if !versions.contains(&PROTOCOL_VERSION) {
            Some(error_code::PROTOCOL_VERSION_MISMATCH)
        } else if unsupported != 0 {
            Some(error_code::UNSUPPORTED_FEATURE_FLAGS)
        } else {
            None
        };
        if let Some(code) = error {
            let flags = if code == error_code::UNSUPPORTED_FEATURE_FLAGS { unsupported } else { 0 };
            write_frame(&SetupConnectionError { flags, error_code: Str0255::truncated(code) }, out);
            return Err(Hangup::SetupRefused(code));
        }
        self.requires_standard_jobs = setup.flags & REQUIRES_STANDARD_JOBS != 0;
        if selects {
            self.custom = Some(CustomJobs::default());
        }
        self.is_set_up = true;
        let flags = if options.version_rolling { 0 } else { REQUIRES_FIXED_VERSION };
        write_frame(&SetupConnectionSuccess { used_version: PROTOCOL_VERSION, flags }, out);
        debug!(vendor = %setup.vendor, firmware = %setup.firmware, "client set up");
        Ok(())
    }

    pub(super) fn on_request_extensions(&mut self, request: &RequestExtensions<'_>, out: &mut BytesMut) {
        let granted = &self.shared.options.extensions;
        let (supported, unsupported): (Vec<u16>, Vec<u16>) =
            request.requested_extensions.iter().partition(|extension| granted.contains(extension));
        let request_id = request.request_id;
        // Both are parts of a list that fits.
        if supported.is_empty() {
            write_frame(
                &RequestExtensionsError {
                    request_id,
                    unsupported_extensions: Seq064K::from_slice(&unsupported).unwrap_or_default(),
                    required_extensions: Seq064K::default(),
                },
                out,
            );
        } else {
            write_frame(
                &RequestExtensionsSuccess {
                    request_id,
                    supported_extensions: Seq064K::from_slice(&supported).unwrap_or_default(),
                },
                out,
            );
            self.extensions = supported;
            self.extensions.sort_unstable();
            self.extensions.dedup();
        }
    }
}
