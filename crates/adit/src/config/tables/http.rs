//! `[http]`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::kind::{Address, Flag};
use crate::config::table::table;

/// `http.listen`. The port is 2348, which spells ADIT on a telephone's keys, with a 0; no service is
/// registered there.
pub const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 23_480);

table! {
    /// Metrics, health and status over HTTP.
    pub struct Http {
        /// Address and port. There is no password: keep it on this machine or in a network that you trust.
        listen: SocketAddr = Address(HTTP_LISTEN.port()), default HTTP_LISTEN;
        /// Serve HTTP at all.
        enabled: bool = Flag, default true;
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: HTTP_LISTEN, enabled: true }
    }
}
