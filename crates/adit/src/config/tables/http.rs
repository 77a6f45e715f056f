//! `[http]`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::kind::{Address, Flag, HostNames, Maybe, Secret, Token, Whole, WorkerNames};
use crate::config::table::table;

/// `http.listen`. The port is 2348, which spells ADIT on a telephone's keys, with a 0; no service is
/// registered there.
pub const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 23_480);

/// `http.worker_series`.
pub const WORKER_SERIES: u32 = 100;
/// The most that it may be.
pub const WORKER_SERIES_MAX: u32 = 10_000;

table! {
    /// Metrics, health and status over HTTP.
    pub struct Http {
        /// Address and port. What goes over it is not encrypted: keep it on this machine or in a network that you trust.
        listen: SocketAddr = Address(HTTP_LISTEN.port()), default HTTP_LISTEN;
        /// Serve HTTP at all.
        enabled: bool = Flag, default true;
        /// What whoever reads metrics, status or the page's figures has to show, or `read_token_file` for a file that holds
        /// it: `Authorization: Bearer TOKEN`. Only `/healthz`, `/readyz` and the page without its figures are open then.
        read_token: Option<Secret> = Maybe(Token), default None, says "not set: anybody who can connect reads";
        /// What whoever changes anything has to show, or `admin_token_file` for a file that holds it. It reads, too.
        admin_token: Option<Secret> = Maybe(Token), default None,
            says "not set: changes are taken from this machine alone";
        /// Names that this server is asked for by, besides addresses, `localhost` and none. Others are refused while there is no
        /// `read_token`: a page of another site could read through a visitor's browser.
        hosts: Vec<String> = HostNames, default Vec::new();
        /// Workers that have series of their own in the metrics: those that delivered the most work in the last hour. All
        /// others together are the worker `other`. Each costs about 1 kB of every scrape.
        worker_series: u32 = Whole(0..=WORKER_SERIES_MAX), default WORKER_SERIES;
        /// Workers that have series of their own whatever they deliver, besides those.
        worker_series_allow: Vec<String> = WorkerNames, default Vec::new();
        /// Serve the reference implementation's metrics by its names (`sv2_*`, `sv1_*`) besides Adit's own.
        compatible_metrics: bool = Flag, default false;
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: HTTP_LISTEN,
            enabled: true,
            read_token: None,
            admin_token: None,
            hosts: Vec::new(),
            worker_series: WORKER_SERIES,
            worker_series_allow: Vec::new(),
            compatible_metrics: false,
        }
    }
}

impl Http {
    /// What clients have to show.
    pub(crate) fn tokens(&self) -> telemetry::Tokens {
        let revealed = |token: &Option<Secret>| token.as_ref().map(|token| token.reveal().to_owned());
        telemetry::Tokens { read: revealed(&self.read_token), admin: revealed(&self.admin_token) }
    }
}
