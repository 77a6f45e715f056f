//! The machine of a source, whichever it is.

use std::time::Duration;

use super::old_pool::OldPool;
use engine::source::{
    Declared, DeclaredEffects, DeclaredStatus, DownReason, LinkSecurity, Solo, SourceCommand, Sv2Pool,
};
use engine::{Now, OutgoingShare, SourceId};
use sv2::FrameHeader;

/// See the module.
pub(in crate::sim) enum Machine {
    Pool(Box<Sv2Pool>),
    Old(Box<OldPool>),
    Declared(Box<Declared>),
    Solo(Box<Solo>),
}

impl Machine {
    pub(in crate::sim) fn id(&self) -> SourceId {
        match self {
            Self::Pool(pool) => pool.id(),
            Self::Old(old) => old.pool.id(),
            Self::Declared(declared) => declared.id(),
            Self::Solo(solo) => solo.id(),
        }
    }

    /// The machine of the connection to a pool.
    fn pool(&self) -> Option<&Sv2Pool> {
        match self {
            Self::Pool(pool) => Some(pool),
            Self::Declared(declared) => Some(declared.pool()),
            Self::Old(_) | Self::Solo(_) => None,
        }
    }

    /// It is that of an SV1 pool.
    pub(super) fn is_old(&self) -> bool {
        matches!(self, Self::Old(_))
    }

    /// Shares that the machine of an SV1 pool gave up on since this was last asked.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        match self {
            Self::Old(old) => old.take_forgotten(),
            _ => 0,
        }
    }

    pub(in crate::sim) fn declared(&self) -> Option<&Declared> {
        match self {
            Self::Declared(declared) => Some(declared),
            _ => None,
        }
    }

    pub(super) fn declared_mut(&mut self) -> Option<&mut Declared> {
        match self {
            Self::Declared(declared) => Some(declared),
            _ => None,
        }
    }

    /// How a source that declares stands.
    pub(super) fn declaring(&self) -> Option<DeclaredStatus> {
        self.declared()?.status().declared
    }

    /// Shares that wait for a job's acknowledgement.
    pub(in crate::sim) fn held(&self) -> u64 {
        self.declaring().map_or(0, |declaring| declaring.held as u64)
    }

    pub(in crate::sim) fn open_shares(&self) -> usize {
        match self {
            Self::Old(old) => old.pool.status().open_shares,
            _ => self.pool().map_or(0, |pool| pool.status().open_shares),
        }
    }

    pub(super) fn wants_connection(&self) -> bool {
        match self {
            Self::Old(old) => old.wants_connection(),
            _ => self.pool().is_some_and(Sv2Pool::wants_connection),
        }
    }

    pub(super) fn room(&self) -> usize {
        match self {
            Self::Old(old) => old.pool.room(),
            _ => self.pool().map_or(usize::MAX, Sv2Pool::room),
        }
    }

    /// A deadline has come that is to be attended to.
    pub(super) fn is_due(&self, now: Now) -> bool {
        let reached = self.deadline().is_some_and(|deadline| now.reached(deadline));
        // A pool's machine that wants to be connected waits for nothing else.
        reached && (matches!(self, Self::Declared(_)) || !self.wants_connection())
    }

    pub(in crate::sim) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Pool(pool) => pool.deadline(),
            Self::Old(old) => old.pool.deadline(),
            Self::Declared(declared) => declared.deadline(),
            Self::Solo(_) => None,
        }
    }

    pub(super) fn connected(&mut self, security: LinkSecurity, now: Now, fx: &mut DeclaredEffects) {
        match self {
            Self::Pool(pool) => pool.connected(security, now, &mut fx.pool),
            Self::Old(old) => old.connected(now, fx),
            Self::Declared(declared) => declared.pool_connected(security, now, fx),
            Self::Solo(_) => {}
        }
    }

    pub(super) fn disconnected(&mut self, why: DownReason, now: Now, fx: &mut DeclaredEffects) {
        match self {
            Self::Pool(pool) => pool.disconnected(why, now, &mut fx.pool),
            Self::Old(old) => old.disconnected(why, now, fx),
            Self::Declared(declared) => declared.pool_disconnected(why, now, fx),
            Self::Solo(_) => {}
        }
    }

    pub(super) fn frame(&mut self, header: &FrameHeader, payload: &[u8], now: Now, fx: &mut DeclaredEffects) {
        match self {
            Self::Pool(pool) => pool.frame(header, payload, now, &mut fx.pool),
            Self::Old(old) => old.frame(header, payload, now, fx),
            Self::Declared(declared) => declared.pool_frame(header, payload, now, fx),
            Self::Solo(_) => {}
        }
    }

    pub(super) fn command(&mut self, command: SourceCommand, now: Now, fx: &mut DeclaredEffects) {
        match self {
            Self::Pool(pool) => pool.command(command, now, &mut fx.pool),
            Self::Old(old) => old.command(command, now, fx),
            Self::Declared(declared) => declared.command(command, now, fx),
            Self::Solo(solo) => solo.command(command, now, &mut fx.pool),
        }
    }

    pub(super) fn timer(&mut self, now: Now, fx: &mut DeclaredEffects) {
        match self {
            Self::Pool(pool) => pool.timer(now, &mut fx.pool),
            Self::Old(old) => old.timer(now, fx),
            Self::Declared(declared) => declared.timer(now, fx),
            Self::Solo(_) => {}
        }
    }

    pub(super) fn share(&mut self, share: &OutgoingShare, now: Now, fx: &mut DeclaredEffects) {
        match self {
            Self::Pool(pool) => pool.share(share, now, &mut fx.pool),
            Self::Old(old) => old.share(share, now, fx),
            Self::Declared(declared) => declared.share(share, now, fx),
            Self::Solo(solo) => fx.blocks.extend(solo.share(share, now, &mut fx.pool)),
        }
    }
}
