//! `[nats]`

use std::path::PathBuf;
use std::time::Duration;

use super::seconds;
use crate::config::kind::{
    Choice, FilePath, Flag, Maybe, NatsServers, Password, Secret, Size, Span, SubjectTokens, Text, Whole,
};
use crate::config::table::table;

const DAY: u64 = 86_400;

/// `nats.spool_age`
pub const SPOOL_AGE: Duration = seconds(3_600);
/// `nats.spool_max`, in bytes.
pub const SPOOL_MAX: usize = 1 << 30;
/// The most that it may be, and that a stream may be made for.
const BYTES_MAX: usize = if usize::BITS > 32 { 1_usize.wrapping_shl(44) } else { usize::MAX / 2 };

/// What becomes of records that a stream of `stream_max` bytes has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The stream's oldest go.
    DropOldest,
    /// The stream takes no more: records wait in the ledger.
    Wait,
}

const WHEN_FULL: Choice<WhenFull> =
    Choice(&[("drop_oldest", WhenFull::DropOldest), ("wait", WhenFull::Wait)]);

table! {
    /// Where the ledger is published besides: docs/nats.md.
    pub struct Nats {
        /// Servers of a NATS system with JetStream, any of which will do: `nats://host:4222`, or `tls://host:4222`.
        servers: Vec<String> = NatsServers, default Vec::new(), says "not set: nothing is published";
        /// The user that Adit logs in as.
        user: Option<String> = Maybe(Text { at_most: 128 }), default None, says "not set: nobody";
        /// Its password, or `password_file` for a file that holds it.
        password: Option<Secret> = Maybe(Password), default None, says "not set: none";
        /// A token instead, or `token_file`.
        token: Option<Secret> = Maybe(Password), default None, says "not set: none";
        /// A file with a user's JWT and key, as `nsc` writes it (`.creds`), instead.
        credentials_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/nats.creds")), default None, says "not set: none";
        /// A file with the seed of a user's NKey (`SU...`), instead.
        nkey_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/nats.nk")), default None, says "not set: none";
        /// The certificate that Adit proves itself with to servers with `tls://`, in PEM: its own, then those that vouch for it.
        /// Servers may take it for a login, or ask for it besides one.
        certificate_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/nats-client.pem")), default None,
            says "not set: none";
        /// Its private key, in PEM.
        private_key_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/nats-client.key")), default None,
            says "not set: none";
        /// Who may vouch for servers with `tls://`, certificates in PEM.
        ca_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/nats-ca.pem")), default None,
            says "not set: those that browsers trust";
        /// What this Adit is called there: the last word of its subjects. Give each its own.
        name: Option<String> = Maybe(SubjectTokens::ONE), default None,
            says "not set: this machine's name, each character but letters, digits, `-` and `_` a `-`";
        /// The first words of all subjects.
        subject: String = SubjectTokens::SEVERAL, default "adit".to_owned();
        /// The stream. Where there is none of that name it is made, with the keys below; one that is there stays as it is.
        stream: String = SubjectTokens::ONE, default "ADIT".to_owned();
        /// Servers that keep the stream, one by default. More outlive the loss of one.
        replicas: u32 = Whole(1..=5), default 1;
        /// How long the stream keeps a record.
        stream_age: Option<Duration> = Maybe(Span::of(seconds(240)..=seconds(4_000 * DAY))), default None,
            says "not set: for ever";
        /// Bytes that the stream may take.
        stream_max: Option<usize> = Maybe(Size(1_048_576..=BYTES_MAX)), default None,
            says "not set: as many as the server has room for";
        /// What happens when it has them: `drop_oldest`, or `wait`, until somebody makes room.
        when_full: WhenFull = WHEN_FULL, default WhenFull::DropOldest;
        /// Publish the sums of each second.
        sums: bool = Flag, default true;
        /// Publish the evidence.
        evidence: bool = Flag, default true;
        /// What is older when the servers take it again is given up, and told. The stream's `duplicate_window` must be at
        /// least 5 minutes longer; it is made twice as long. For as long the ledger keeps its seconds.
        spool_age: Duration = Span::of(seconds(120)..=seconds(7 * DAY)), default SPOOL_AGE;
        /// Bytes of the ledger that may wait. Beyond it the oldest records are given up, and told.
        spool_max: usize = Size(1_048_576..=BYTES_MAX), default SPOOL_MAX;
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            user: None,
            password: None,
            token: None,
            credentials_file: None,
            nkey_file: None,
            certificate_file: None,
            private_key_file: None,
            ca_file: None,
            name: None,
            subject: "adit".to_owned(),
            stream: "ADIT".to_owned(),
            replicas: 1,
            stream_age: None,
            stream_max: None,
            when_full: WhenFull::DropOldest,
            sums: true,
            evidence: true,
            spool_age: SPOOL_AGE,
            spool_max: SPOOL_MAX,
        }
    }
}

impl Nats {
    /// Something is published.
    #[must_use]
    pub fn enabled(&self) -> bool {
        !self.servers.is_empty()
    }
}
