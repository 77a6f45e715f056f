//! One client of a dev pool: the mining protocol's server side. No IO: frames in, frames out.

mod channels;
mod custom;
mod jobs;
mod setup;
mod shares;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sv2::extensions::EXTENSION_NEGOTIATION;
use sv2::mining::SubmitSharesExtended;
use sv2::{AnyMessage, CommonMessage, DecodeError, ExtensionsMessage, FrameHeader, Message, MiningMessage};
use thiserror::Error;

use super::Shared;
use super::channel::Channel;
use super::work::{PoolJob, PoolWork, ShareFields};

/// Why a client is hung up on.
#[derive(Debug, Error)]
pub(super) enum Hangup {
    /// Its frame is no message.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A message that must not come now, or not from a client.
    #[error("{0} is out of place")]
    OutOfPlace(&'static str),
    /// SetupConnection was answered with an error.
    #[error("set-up refused: {0}")]
    SetupRefused(&'static str),
    /// It was told to do this wrong.
    #[error("told to hang up")]
    Told,
    /// A channel had more accepted shares on one tip than the pool remembers.
    #[error("channel {0} has used up its share budget on this tip")]
    ShareBudget(u32),
}

/// The state of one client.
pub(super) struct Client {
    shared: Arc<Shared>,
    is_set_up: bool,
    requires_standard_jobs: bool,
    extensions: Vec<u16>,
    channels: HashMap<u32, Channel>,
    /// Ids of channels and of the group; never given twice.
    next_id: u32,
    group_id: Option<u32>,
    work: Arc<PoolWork>,
    /// Jobs on the present tip whose shares are taken, the newest last.
    jobs: VecDeque<Arc<PoolJob>>,
    /// The first job that this client may have had.
    first_job: u32,
    /// The first one of them on the present tip.
    first_job_on_tip: u32,
    rotations: u64,
    /// The client's own jobs, if it chooses its work: it gets none of the pool's then.
    custom: Option<custom::CustomJobs>,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, work: Arc<PoolWork>, rotations: u64) -> Client {
        let job = Arc::clone(&work.job);
        Client {
            shared,
            is_set_up: false,
            requires_standard_jobs: false,
            extensions: Vec::new(),
            channels: HashMap::new(),
            next_id: 1,
            group_id: None,
            first_job: job.id,
            first_job_on_tip: job.id,
            jobs: VecDeque::from([job]),
            work,
            rotations,
            custom: None,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Handles a frame; what is to be sent is appended to `out`.
    pub(super) fn on_frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        // Nearly all frames are shares.
        let extension_zero = header.extension_type == 0;
        if extension_zero && header.msg_type == SubmitSharesExtended::MSG_TYPE && self.is_set_up {
            let (share, tlvs) = SubmitSharesExtended::decode_with_tlvs(payload, &self.extensions)?;
            let fields = ShareFields {
                version: share.version,
                ntime: share.ntime,
                nonce: share.nonce,
                extranonce: share.extranonce.as_slice(),
            };
            let worker = tlvs.user_identity();
            let worker = worker.as_ref().map(|name| name.as_bytes());
            return self.on_share(
                (share.channel_id, share.sequence_number, share.job_id),
                &fields,
                worker,
                now,
                out,
            );
        }
        if !extension_zero && header.extension_type != EXTENSION_NEGOTIATION {
            // Messages of unknown extensions are ignored (specification, section 3.4.1).
            return Ok(());
        }
        let (message, _) = AnyMessage::decode_lenient(header, payload, &self.extensions)?;
        match message {
            AnyMessage::Common(CommonMessage::SetupConnection(setup)) if !self.is_set_up => {
                self.on_setup(&setup, out)
            }
            _ if !self.is_set_up => Err(Hangup::OutOfPlace(message.name())),
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensions(request)) => {
                self.on_request_extensions(&request, out);
                Ok(())
            }
            AnyMessage::Mining(message) => self.on_mining(&message, now, out),
            other => Err(Hangup::OutOfPlace(other.name())),
        }
    }

    fn on_mining(
        &mut self,
        message: &MiningMessage<'_>,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        match message {
            MiningMessage::OpenExtendedMiningChannel(open) => self.on_open_extended(open, now, out),
            MiningMessage::OpenStandardMiningChannel(open) => self.on_open_standard(open, now, out),
            MiningMessage::UpdateChannel(update) => self.on_update(update, now, out),
            MiningMessage::CloseChannel(close) => self.on_close(close),
            MiningMessage::SubmitSharesStandard(share) => return self.on_standard_share(share, now, out),
            MiningMessage::SetCustomMiningJob(job) => self.on_custom_job(job, now, out),
            other => return Err(Hangup::OutOfPlace(other.name())),
        }
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.stats.channels_closed(self.channels.len());
    }
}
