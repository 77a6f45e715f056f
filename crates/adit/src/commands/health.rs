//! `adit health`: asks a running Adit how it is, for container engines and scripts.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use super::{EX_UNAVAILABLE, EX_USAGE, complain, load, say};
use crate::cli::HealthArgs;

/// More of an answer is not looked at.
const ANSWER_MAX: u64 = 64 * 1024;

pub(super) fn health(args: &HealthArgs) -> ExitCode {
    let address = match args.address {
        Some(address) => address,
        None => match load(&args.config) {
            Ok(loaded) if loaded.config.http.enabled => reachable(loaded.config.http.listen),
            Ok(_) => {
                complain("HTTP is off (enabled = false in [http]): there is nobody to ask");
                return ExitCode::from(EX_USAGE);
            }
            Err(code) => return code,
        },
    };
    let path = if args.ready { "/readyz" } else { "/healthz" };
    match ask(address, path, Duration::from_secs_f64(args.timeout)) {
        Ok((200, body)) => {
            say(body.trim());
            ExitCode::SUCCESS
        }
        Ok((status, body)) => {
            complain(format_args!("http://{address}{path} answers {status}: {}", body.trim()));
            ExitCode::from(EX_UNAVAILABLE)
        }
        Err(error) => {
            complain(format_args!("http://{address}{path} does not answer: {error}"));
            ExitCode::from(EX_UNAVAILABLE)
        }
    }
}

/// Where a port on all addresses is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr, path: &str, timeout: Duration) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    // In one piece: whoever answers the first line and leaves has read all of it.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body_and_anything_else_is_an_error() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", Some((200, "ok\n".to_owned()))),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\nno pool", Some((503, "no pool".to_owned()))),
            ("SSH-2.0-OpenSSH\r\n", None),
            ("", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("bound");
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = [0; 1024];
                let got = stream.read(&mut request).expect("a request");
                stream.write_all(answer.as_bytes()).expect("an answer");
                String::from_utf8_lossy(&request[..got]).into_owned()
            });
            let got = ask(address, "/healthz", Duration::from_secs(60)).ok();
            assert_eq!(got, expected);
            assert!(server.join().expect("no panic").starts_with("GET /healthz HTTP/1.1\r\n"));
        }
    }

    #[test]
    fn a_port_on_all_addresses_is_asked_on_loopback() {
        let reached = |listen: &str| reachable(listen.parse().expect(listen)).to_string();
        assert_eq!(reached("0.0.0.0:23480"), "127.0.0.1:23480");
        assert_eq!(reached("[::]:1"), "[::1]:1");
        assert_eq!(reached("192.0.2.1:2"), "192.0.2.1:2");
    }
}
