//! `[source.NAME]`

use std::path::PathBuf;
use std::time::Duration;

use noise::PoolUrl;
use work::coinbase::{PayoutRule, WHOLE};

use super::seconds;
use crate::config::kind::{
    Channels, FilePath, Flag, Hashrate, Identity, Maybe, MinersPerChannel, Number, Password, PayScript,
    PayoutScript, Pool, Secret, SourceUrl, Span, Url, Whole,
};
use crate::config::table::table;

/// `source.NAME.certificate_leeway`.
pub const CERTIFICATE_LEEWAY: Duration = Duration::from_secs(10);
/// `source.NAME.ntime_slack`.
pub const NTIME_SLACK: Duration = Duration::from_secs(600);
/// The most that `ntime_slack` may be: the network's own limit on block times in the future.
pub const NTIME_SLACK_MAX: Duration = Duration::from_secs(7_200);
/// `source.NAME.connect_timeout`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// `source.NAME.payout_percent`: nothing is let through unseen. Where a pool keeps a fee in the coinbase, the first job's
/// refusal says what it pays, and that is what to write.
pub const PAYOUT_PERCENT: f64 = 100.0;
/// The most that `connections_max` may be.
const SV1_CONNECTIONS_MAX: u16 = 256;
/// `source.NAME.connections_max` where miners share connections: pools take a few from one address without a question.
const SV1_CONNECTIONS: u16 = 16;
/// The least that `shares_unsettled_max` may be: below it a pool's batches alone could fill it.
pub const SHARES_UNSETTLED_MIN: u32 = 4_096;
/// The most that `shares_unsettled_max` may be, about 64 MiB.
pub const SHARES_UNSETTLED_MAX: u32 = 1 << 20;

table! {
    /// One pool that work comes from.
    pub struct Source {
        /// Where the pool is and the authority key that it must prove. A Stratum V1 pool has no key.
        url: SourceUrl = Pool, required;
        /// The account at the pool.
        user_identity: String = Identity, required;
        /// Stratum V1: the worker's password, or `password_file` for a file that holds it. Pools hardly ever look at it.
        password: Option<Secret> = Maybe(Password), default None, says "not set: x";
        /// Stratum V1: go where the pool sends its miners, also outside of its own domain. The connection is not
        /// encrypted, so anyone on the way can send them anywhere.
        allow_reconnect: bool = Flag, default false;
        /// Stratum V1: connections at a time. Where an `extranonce1` is so short that they do not suffice for all miners, the
        /// same ones are given out again on a further connection.
        connections_max: Option<u16> = Maybe(Whole(1..=SV1_CONNECTIONS_MAX)), default None,
            says "not set: 16, or 256 where miners_per_channel is 1";
        /// Stratum V1 with TLS: a file with certificates in PEM. Only they vouch for the pool then, in place of the
        /// authorities that browsers trust.
        ca_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/pool-ca.pem")), default None,
            says "not set: the authorities that browsers trust";
        /// The pool's job declarator and the authority key that it must prove: for job declarator clients of a listener with
        /// `job_declarators`, which reach it through Adit.
        jds_url: Option<PoolUrl> = Maybe(Url("job declarator")), default None,
            says "not set: they are told that there is none";
        /// Allow a URL without authority key: anyone on the way can then pose as the pool.
        insecure: bool = Flag, default false;
        /// How far the pool's clock may be off when its certificate's dates are checked.
        certificate_leeway: Duration = Span::seconds(seconds(0)..=seconds(600)), default CERTIFICATE_LEEWAY;
        /// How far a share's time may run ahead of the clock.
        ntime_slack: Duration = Span::seconds(seconds(0)..=NTIME_SLACK_MAX), default NTIME_SLACK;
        /// Hashrate to announce before the miners' own is known.
        nominal_hashrate: Option<f64> = Maybe(Hashrate(1.0..=1e24)), default None,
            says "not set: estimated";
        /// Tell the pool each share's worker name (extension 0x0002), where the pool takes it.
        worker_names: bool = Flag, default true;
        /// Miners that share one channel. With 1 each miner's own identity is passed through.
        miners_per_channel: Option<MinersPerChannel> = Maybe(Channels(1..=1_000_000)), default None,
            says "not set: all, or 50 where the pool takes worker names";
        /// How long a connection may take to come about.
        connect_timeout: Duration = Span::of(Duration::from_millis(100)..=seconds(60)), default CONNECT_TIMEOUT;
        /// Shares sent and not answered yet; beyond it none is sent.
        shares_unsettled_max: Option<u32> =
            Maybe(Whole(SHARES_UNSETTLED_MIN..=SHARES_UNSETTLED_MAX)), default None,
            says "not set: 4096, more at a high share rate";
        /// Whom each job's coinbase must pay: an address, or an output script in hex. A job that does not takes the
        /// source down, so that the route goes on to the next.
        payout: Option<PayScript> = Maybe(PayoutScript), default None, says "not set: jobs may pay whom they like";
        /// With `payout`: the least share, in percent, of all that the coinbase pays which must go there. A pool that
        /// takes its fee in the coinbase pays less than 100.
        payout_percent: f64 = Number(0.0001..=100.0), default PAYOUT_PERCENT;
    }
}

/// Keys that only a Stratum V2 pool has.
const SV2: [&str; 5] = ["jds_url", "insecure", "certificate_leeway", "nominal_hashrate", "worker_names"];
/// Keys that only a Stratum V1 pool has.
const SV1: [&str; 4] = ["password", "allow_reconnect", "connections_max", "ca_file"];

impl Source {
    /// Keys of the protocol that it does not speak.
    pub(crate) fn foreign_keys(&self) -> &'static [&'static str] {
        match self.url {
            SourceUrl::Sv2(_) => &SV1,
            SourceUrl::Sv1(_) => &SV2,
        }
    }

    /// How many connections there may be to a Stratum V1 pool.
    #[must_use]
    pub fn sv1_connections(&self) -> u16 {
        let own = self.miners_per_channel == Some(crate::config::MinersPerChannel::AtMost(1));
        self.connections_max.unwrap_or(if own { SV1_CONNECTIONS_MAX } else { SV1_CONNECTIONS })
    }

    /// What every job of this pool must pay, if that is configured.
    #[must_use]
    pub fn payout_rule(&self) -> Option<PayoutRule> {
        let parts = self.payout_percent / 100.0 * f64::from(WHOLE);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the key's bounds keep it from 1 to a million"
        )]
        let least_parts = parts.round() as u32;
        Some(PayoutRule { script: self.payout.as_ref()?.script().into(), least_parts })
    }
}
