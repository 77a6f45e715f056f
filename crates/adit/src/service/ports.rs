//! Ports that are open already when Adit starts: the service manager has opened them, or the Adit that ran before.

use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use tracing::warn;

/// Open ports, by name.
#[derive(Debug, Default)]
pub struct Ports(Vec<Port>);

#[derive(Debug)]
struct Port {
    name: String,
    address: SocketAddr,
    socket: TcpListener,
}

impl Ports {
    /// Takes those that the service manager has given to this process (`LISTEN_FDS`). To be called once, and before there are
    /// other threads: the environment is changed, so that nobody takes them twice.
    #[must_use]
    pub fn from_service_manager() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut given = ListenFd::from_env();
        let mut ports = Self::default();
        for at in 0..given.len() {
            let name = names.next().unwrap_or_default();
            match given.take_tcp_listener(at) {
                Ok(Some(socket)) => ports.add(name, socket),
                Ok(None) => {}
                Err(error) => {
                    warn!(name, %error, "the service manager gave a socket that is no TCP port: it is not used")
                }
            }
        }
        ports
    }

    /// One more.
    pub(crate) fn add(&mut self, name: &str, socket: TcpListener) {
        match socket.local_addr() {
            Ok(address) => self.0.push(Port { name: name.to_owned(), address, socket }),
            Err(error) => warn!(name, %error, "an open port that was given has no address: it is not used"),
        }
    }

    /// Gives each of those that are `wanted`, by what it is for (`listener.NAME`, `http`) and its configured address, its open
    /// port: the one with its address, or else the one with its name, with or without `listener.`. The names of those that
    /// nobody wants are second.
    pub(crate) fn share_out(
        self,
        wanted: &[(String, SocketAddr)],
    ) -> (Vec<Option<TcpListener>>, Vec<String>) {
        let mut given: Vec<Option<TcpListener>> = wanted.iter().map(|_| None).collect();
        let with_address = |port: &Port, _: &str, address: SocketAddr| port.address == address;
        let with_name = |port: &Port, what: &str, _: SocketAddr| {
            port.name == what || what.strip_prefix("listener.") == Some(port.name.as_str())
        };
        let mut left = self.0;
        for fits in [&with_address as &dyn Fn(&Port, &str, SocketAddr) -> bool, &with_name] {
            let mut others = Vec::new();
            for port in left {
                let free = |at: &usize| given[*at].is_none() && fits(&port, &wanted[*at].0, wanted[*at].1);
                match (0..wanted.len()).find(free) {
                    Some(at) => given[at] = Some(port.socket),
                    None => others.push(port),
                }
            }
            left = others;
        }
        (given, left.into_iter().map(|port| format!("{} ({})", port.name, port.address)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_port_is_used_by_its_address_or_else_by_its_name() {
        let open = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = |socket: &TcpListener| socket.local_addr().expect("bound");
        let (main, hall, http, odd) = (open(), open(), open(), open());
        let (at_main, at_hall, at_http) = (address(&main), address(&hall), address(&http));
        let mut ports = Ports::default();
        // One unit may open several, all by one name.
        ports.add("main", hall);
        ports.add("main", main);
        ports.add("main", http);
        ports.add("telnet", odd);
        // `main` is configured at another address: its name finds it.
        let wanted = [
            ("listener.hall".to_owned(), at_hall),
            ("listener.main".to_owned(), "127.0.0.1:1".parse().expect("an address")),
            ("listener.new".to_owned(), "127.0.0.1:2".parse().expect("an address")),
            ("http".to_owned(), at_http),
        ];
        let (given, left) = ports.share_out(&wanted);
        let got: Vec<_> = given.iter().map(|socket| socket.as_ref().map(address)).collect();
        assert_eq!(got, [Some(at_hall), Some(at_main), None, Some(at_http)]);
        assert!(left.len() == 1 && left[0].starts_with("telnet (127.0.0.1:"), "{left:?}");
    }
}
