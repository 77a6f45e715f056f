//! JSON-RPC over HTTP to a node, as far as it is needed: one request a connection.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpStream;

/// The largest answer: a full block as hexadecimal twice over, and its frame.
const LARGEST: usize = 32 * 1024 * 1024;
/// A connection stands within this.
const CONNECT: Duration = Duration::from_secs(5);

/// How a node lets us in.
#[derive(Clone)]
pub enum RpcAuth {
    /// The file that the node writes anew at each start; read anew for each request.
    Cookie(PathBuf),
    /// `rpcauth`, `rpcuser` and `rpcpassword`.
    User {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
}

impl std::fmt::Debug for RpcAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cookie(path) => f.debug_tuple("Cookie").field(path).finish(),
            Self::User { name, .. } => f.debug_struct("User").field("name", name).finish_non_exhaustive(),
        }
    }
}

/// Where a node answers.
#[derive(Clone, Debug)]
pub struct RpcNode {
    /// Host and port.
    pub address: String,
    /// How it lets us in.
    pub auth: RpcAuth,
}

/// Why a node did not answer a call.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The cookie file.
    #[error("cannot read the cookie {}: {error}; is the node running, and may this user read the file?", path.display())]
    Cookie {
        /// Where it should be.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// No connection.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// Where.
        address: String,
        /// The system's reason.
        error: std::io::Error,
    },
    /// HTTP went wrong.
    #[error("{method}: {error}")]
    Http {
        /// The call.
        method: &'static str,
        /// What went wrong.
        error: String,
    },
    /// The node does not let us in.
    #[error("{method}: the node refuses the user or password (HTTP 401)")]
    Unauthorized {
        /// The call.
        method: &'static str,
    },
    /// No answer.
    #[error("{method}: no answer within {waited:?}")]
    Silent {
        /// The call.
        method: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// The node says no.
    #[error("{method}: {message} ({code})")]
    Node {
        /// The call.
        method: &'static str,
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// Something else than was asked for.
    #[error("{method}: the answer is no JSON-RPC ({error}); is this a node's RPC port?")]
    Answer {
        /// The call.
        method: &'static str,
        /// What is wrong.
        error: String,
    },
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

impl RpcNode {
    /// Calls a method; `params` is a JSON array. Gives the result as JSON.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn call(
        &self,
        method: &'static str,
        params: &str,
        limit: Duration,
    ) -> Result<Box<RawValue>, RpcError> {
        tokio::time::timeout(limit, self.exchange(method, params))
            .await
            .map_err(|_| RpcError::Silent { method, waited: limit })?
    }

    async fn exchange(&self, method: &'static str, params: &str) -> Result<Box<RawValue>, RpcError> {
        let http = |error: &dyn std::fmt::Display| RpcError::Http { method, error: error.to_string() };
        let connect = |error| RpcError::Connect { address: self.address.clone(), error };
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(&self.address))
            .await
            .map_err(|_| connect(std::io::ErrorKind::TimedOut.into()))?
            .map_err(connect)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| http(&e))?;
        let body = format!("{{\"jsonrpc\":\"1.0\",\"id\":0,\"method\":\"{method}\",\"params\":{params}}}");
        let request = hyper::Request::post("/")
            .header(HOST, &self.address)
            .header(AUTHORIZATION, self.authorization().await?)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| http(&e))?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|e| http(&e))?;
            if answer.status() == hyper::StatusCode::UNAUTHORIZED {
                return Err(RpcError::Unauthorized { method });
            }
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => http(&format!("the answer is longer than {LARGEST} bytes")),
                None => http(&error),
            })?;
            Ok(body.to_bytes())
        };
        // The connection is driven until the answer is there, and closed with it.
        let body = tokio::select! {
            body = exchange => body?,
            ended = connection => match ended {
                Ok(()) => return Err(http(&"the node closed the connection")),
                Err(error) => return Err(http(&error)),
            },
        };
        let answer: Answer<'_> = serde_json::from_slice(&body)
            .map_err(|error| RpcError::Answer { method, error: error.to_string() })?;
        if let Some(Refusal { code, message }) = answer.error {
            return Err(RpcError::Node { method, code, message });
        }
        Ok(answer.result.map_or_else(|| RawValue::NULL.to_owned(), ToOwned::to_owned))
    }

    async fn authorization(&self) -> Result<String, RpcError> {
        let pair = match &self.auth {
            RpcAuth::Cookie(path) => {
                let read = tokio::fs::read_to_string(path).await;
                read.map_err(|error| RpcError::Cookie { path: path.clone(), error })?.trim().to_owned()
            }
            RpcAuth::User { name, password } => format!("{name}:{password}"),
        };
        Ok(format!("Basic {}", base64(pair.as_bytes())))
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let auth = RpcAuth::User { name: "me".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{auth:?}").contains("secret"));
    }
}
