//! The ports that a configuration asks for.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tracing::warn;

use super::StartError;
use crate::config::Config;
use crate::service::Ports;

/// An open port for miners.
#[derive(Debug)]
pub(super) struct OpenPort {
    pub(super) socket: Arc<TcpListener>,
    /// It was given, and not opened here.
    pub(super) given: bool,
}

/// The ports of all listeners in the order of their names, and HTTP's.
pub(super) type Opened = (Vec<OpenPort>, Option<std::net::TcpListener>);

/// Opens every port that is not open yet.
pub(super) fn open_ports(config: &Config, given: Ports) -> Result<Opened, StartError> {
    let listeners =
        config.listeners.iter().map(|(name, listener)| (format!("listener.{name}"), listener.listen));
    let http = config.http.enabled.then(|| ("http".to_owned(), config.http.listen));
    let wanted: Vec<(String, SocketAddr)> = listeners.chain(http).collect();
    let (given, left) = given.share_out(&wanted);
    for name in left {
        warn!(port = name, "an open port was given that the configuration has no use for: it is closed");
    }
    let shared = config.listeners.values().map(|listener| listener.reuse_port).chain([false]);
    let mut opened = Vec::new();
    for ((given, (what, address)), share) in given.into_iter().zip(wanted).zip(shared) {
        let failed = |error| StartError::Bind { what: what.clone(), address, error };
        let is_given = given.is_some();
        let socket = match given {
            Some(socket) => {
                let has = socket.local_addr().map_err(failed)?;
                if has != address && address.port() != 0 {
                    warn!(port = what, address = %has, configured = %address, "the open port that was given has another address, which holds");
                }
                crate::sockets::take(socket)
            }
            None => crate::sockets::listen(address, share),
        };
        opened.push((socket.map_err(failed)?, is_given));
    }
    let http = config.http.enabled.then(|| opened.pop()).flatten();
    let http = http.map(|(socket, _)| socket.into_std()).transpose().map_err(StartError::Thread)?;
    let port = |(socket, given)| OpenPort { socket: Arc::new(socket), given };
    Ok((opened.into_iter().map(port).collect(), http))
}
