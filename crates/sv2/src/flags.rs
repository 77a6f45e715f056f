//! The bits of `SetupConnection.flags`, `SetupConnection.Success.flags` and
//! `SetupConnection.Error.flags`. Each protocol has its own; the Template Distribution Protocol none.

/// `SetupConnection` of the Mining Protocol, bit 0: the client takes standard jobs only (section 5.3.1).
pub const REQUIRES_STANDARD_JOBS: u32 = 1 << 0;
/// `SetupConnection` of the Mining Protocol, bit 1: the client will send `SetCustomMiningJob` on this
/// connection (section 5.3.1).
pub const REQUIRES_WORK_SELECTION: u32 = 1 << 1;
/// `SetupConnection` of the Mining Protocol, bit 2: the server must not send jobs that forbid version
/// rolling (section 5.3.1).
pub const REQUIRES_VERSION_ROLLING: u32 = 1 << 2;

/// `SetupConnection.Success` of the Mining Protocol, bit 0: the server takes no other header version
/// than the job's (section 5.3.1).
pub const REQUIRES_FIXED_VERSION: u32 = 1 << 0;
/// `SetupConnection.Success` of the Mining Protocol, bit 1: the server opens no standard channels
/// (section 5.3.1).
pub const REQUIRES_EXTENDED_CHANNELS: u32 = 1 << 1;

/// `SetupConnection` of the Job Declaration Protocol, bit 0: the client agrees to reveal a template's
/// transactions (section 6.4.1).
pub const DECLARE_TX_DATA: u32 = 1 << 0;
