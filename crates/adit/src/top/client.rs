//! Asks a running Adit over HTTP.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::model::{EventsPage, History, Status, WorkersPage};
use super::state::Top;

/// An answer is there within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is taken, bytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// One Adit. The connection is kept while it lasts.
pub(crate) struct Client {
    /// `host:port`
    address: String,
    token: Option<String>,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

/// Why there is no answer.
enum Failure {
    /// There may be one on another connection.
    Broken(String),
    /// There will be none.
    Said(String),
}

impl Client {
    /// For `http://host:port`, with a token if one is needed.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub(crate) fn new(url: &str, token: Option<String>) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            format!("expected http://HOST:PORT, found {url:?}; to an Adit behind TLS go by an SSH tunnel")
        })?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.is_empty() || authority.contains(['/', '@', '?', ' ']) {
            return Err(format!("expected http://HOST:PORT and nothing behind it, found {url:?}"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { address, token, connection: None })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Asks for everything that is on the screen.
    pub(super) async fn refresh(&mut self, top: &mut Top) -> Result<(), String> {
        if !top.seen {
            // One that keeps none, or is older than that, is looked at all the same.
            if let Ok(history) = self.get::<History>("/api/v1/history").await {
                top.take_history(&history);
            }
        }
        let status: Status = self.get("/api/v1/status").await?;
        top.take_status(status);
        let mut path = format!(
            "/api/v1/workers?offset={}&limit={}&sort={}",
            top.offset,
            top.page.clamp(1, 1000),
            top.sort_word()
        );
        if !top.search.is_empty() {
            path.push_str("&search=");
            percent_encode(&mut path, &top.search);
        }
        let workers: WorkersPage = self.get(&path).await?;
        if top.offset > 0 && workers.workers.is_empty() {
            top.offset = workers.total.saturating_sub(top.page);
        }
        top.workers = workers;
        let path = match top.last_event() {
            Some(id) => format!("/api/v1/events?after={id}&limit=100"),
            None => "/api/v1/events?limit=100".to_owned(),
        };
        let events: EventsPage = self.get(&path).await?;
        top.take_events(events.events);
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, String> {
        let mut kept = self.connection.is_some();
        loop {
            let answer = tokio::time::timeout(PATIENCE, self.exchange(path)).await;
            match answer.unwrap_or_else(|_| Err(Failure::Said(format!("no answer within {PATIENCE:?}")))) {
                Ok(body) => {
                    return serde_json::from_slice(&body)
                        .map_err(|error| format!("the answer to {path} is none of Adit's: {error}"));
                }
                // It was closed meanwhile, as one that was idle may be.
                Err(Failure::Broken(_)) if kept => kept = false,
                Err(Failure::Broken(why) | Failure::Said(why)) => {
                    self.connection = None;
                    return Err(why);
                }
            }
            self.connection = None;
        }
    }

    async fn exchange(&mut self, path: &str) -> Result<Bytes, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::Broken(error.to_string());
        let sender = match &mut self.connection {
            Some(sender) => sender,
            empty => {
                let stream = TcpStream::connect(&self.address).await.map_err(|error| broken(&error))?;
                let (sender, connection) =
                    http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
                // It ends with the sender.
                tokio::spawn(connection);
                empty.insert(sender)
            }
        };
        sender.ready().await.map_err(|error| broken(&error))?;
        let mut request = Request::get(path).header(HOST, &self.address);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::new()).map_err(|error| Failure::Said(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| Failure::Said(error.to_string()))?.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::UNAUTHORIZED if self.token.is_none() => Err(Failure::Said(
                "it wants a token: --token-file FILE, or ADIT_TOKEN (http.read_token of its configuration)"
                    .to_owned(),
            )),
            StatusCode::UNAUTHORIZED => Err(Failure::Said("it does not take this token".to_owned())),
            other => Err(Failure::Said(format!("{path}: {other}"))),
        }
    }
}

/// RFC 3986: what is not unreserved goes as its bytes.
fn percent_encode(to: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_a_port_over_plain_http() {
        let address = |url: &str| Client::new(url, None).map(|client| client.address);
        assert_eq!(address("http://127.0.0.1:23480"), Ok("127.0.0.1:23480".to_owned()));
        assert_eq!(address("http://[::1]:23480/"), Ok("[::1]:23480".to_owned()));
        assert_eq!(address("http://farm.example"), Ok("farm.example:80".to_owned()));
        for bad in ["", "127.0.0.1:23480", "https://farm.example", "http://", "http://a/b", "http://u@a:1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_searched_for_cannot_change_the_question() {
        let mut path = String::new();
        percent_encode(&mut path, "a b&sort=name#ä%");
        assert_eq!(path, "a%20b%26sort%3Dname%23%C3%A4%25");
    }
}
