//! SV1 as a miner reads it: the lines that a server sends. A small reader of its own, apart from crate `sv1`,
//! so that the two check each other.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::pow::{HeaderFields, merkle_root, sha256d};

/// Most merkle steps in a job: a tree of 2^32 transactions is beyond any block.
pub const MAX_MERKLE_STEPS: usize = 32;

/// Most bytes of `extranonce1` and of `extranonce2` each.
pub const MAX_EXTRANONCE: usize = 64;

/// A server sent something that is not SV1.
#[derive(Debug, Error)]
pub enum WireError {
    /// Not JSON, or not of the form that the method has.
    #[error("{what}: {source}")]
    Json {
        /// Which message or field.
        what: &'static str,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// A hexadecimal field is not hexadecimal or has the wrong length.
    #[error("{field} is not {expected}")]
    Hex {
        /// Which field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A number or list is out of its bounds.
    #[error("{field} is out of bounds: {got}, at most {limit}")]
    TooLarge {
        /// Which field.
        field: &'static str,
        /// What came.
        got: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// One line from a server.
#[derive(Debug)]
pub enum ServerLine {
    /// The answer to a request of ours.
    Reply {
        /// Our request's id.
        id: u64,
        /// `result`; null when missing.
        result: Value,
        /// `error`; `None` when null or missing.
        error: Option<ReplyError>,
    },
    /// `mining.notify`.
    Notify(Box<NotifiedJob>),
    /// `mining.set_difficulty`.
    SetDifficulty(f64),
    /// `mining.set_extranonce`.
    SetExtranonce {
        /// `extranonce1`.
        extranonce1: Vec<u8>,
        /// Size of `extranonce2`, bytes.
        extranonce2_size: usize,
    },
    /// `mining.set_version_mask`.
    SetVersionMask(u32),
    /// `client.reconnect`.
    Reconnect {
        /// Host to go to; empty: the same.
        host: String,
        /// Port to go to; 0: the same.
        port: u16,
    },
    /// A request that wants an answer, or a notification that is not known.
    Other {
        /// Its id, as it stands; null for a notification.
        id: Value,
        /// Its method.
        method: String,
    },
}

/// An SV1 error: `[code, message, ...]` or `{"code":..,"message":..}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyError {
    /// 20..25 by convention; 20 (other) when the server sent none.
    pub code: i64,
    /// For people.
    pub message: String,
}

/// A job as `mining.notify` gives it, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifiedJob {
    /// The server's name of the job.
    pub job_id: String,
    /// Parent, internal byte order.
    pub prev_hash: [u8; 32],
    /// Coinbase before `extranonce1`.
    pub coinb1: Vec<u8>,
    /// Coinbase after `extranonce2`.
    pub coinb2: Vec<u8>,
    /// Deepest step first, internal byte order.
    pub merkle_path: Vec<[u8; 32]>,
    /// Header version.
    pub version: u32,
    /// Network target, compact.
    pub nbits: u32,
    /// Unix seconds.
    pub ntime: u32,
    /// Whether earlier jobs are void.
    pub clean_jobs: bool,
}

impl NotifiedJob {
    /// The header for this extranonce, with the job's own version and time.
    pub fn header(&self, extranonce1: &[u8], extranonce2: &[u8]) -> HeaderFields {
        let coinbase = [&self.coinb1, extranonce1, extranonce2, &self.coinb2].concat();
        HeaderFields {
            version: self.version,
            prev_hash: self.prev_hash,
            merkle_root: merkle_root(sha256d(&coinbase), &self.merkle_path),
            ntime: self.ntime,
            nbits: self.nbits,
        }
    }
}

/// What `mining.subscribe` is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `extranonce1`.
    pub extranonce1: Vec<u8>,
    /// Size of `extranonce2`, bytes.
    pub extranonce2_size: usize,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: Option<String>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Value,
}

/// The fields of `mining.notify`, in their order.
type RawNotify<'a> = (&'a str, &'a str, &'a str, &'a str, Vec<&'a str>, &'a str, &'a str, &'a str, bool);

/// Reads a line of a server.
///
/// # Errors
/// When it is not JSON or a known method's parameters are not what they should be.
pub fn read_server_line(line: &[u8]) -> Result<ServerLine, WireError> {
    // A JSON array would be read as the fields in their order.
    if line.trim_ascii_start().first() != Some(&b'{') {
        let source = serde::de::Error::custom("not a JSON object");
        return Err(WireError::Json { what: "line", source });
    }
    let raw: RawLine<'_> =
        serde_json::from_slice(line).map_err(|source| WireError::Json { what: "line", source })?;
    let params = raw.params.map_or("[]", RawValue::get);
    let Some(method) = raw.method else {
        return Ok(ServerLine::Reply {
            id: raw.id.as_u64().unwrap_or(u64::MAX),
            result: raw.result,
            error: read_error(&raw.error),
        });
    };
    Ok(match method.as_str() {
        "mining.notify" => ServerLine::Notify(Box::new(read_notify(params)?)),
        "mining.set_difficulty" => {
            let (difficulty,): (f64,) = read(params, "mining.set_difficulty")?;
            ServerLine::SetDifficulty(difficulty)
        }
        "mining.set_extranonce" => {
            let (extranonce1, extranonce2_size): (String, usize) = read(params, "mining.set_extranonce")?;
            let Subscription { extranonce1, extranonce2_size } =
                subscription(&extranonce1, extranonce2_size)?;
            ServerLine::SetExtranonce { extranonce1, extranonce2_size }
        }
        "mining.set_version_mask" => {
            let (mask,): (String,) = read(params, "mining.set_version_mask")?;
            ServerLine::SetVersionMask(hex_u32(&mask, "version mask")?)
        }
        "client.reconnect" => {
            let fields: Vec<Value> = read(params, "client.reconnect")?;
            let host = fields.first().and_then(Value::as_str).unwrap_or_default().to_owned();
            // Pools send the port as a number or as a string.
            let port = fields.get(1).and_then(|port| match port {
                Value::String(text) => text.parse().ok(),
                other => other.as_u64().and_then(|port| u16::try_from(port).ok()),
            });
            ServerLine::Reconnect { host, port: port.unwrap_or(0) }
        }
        _ => ServerLine::Other { id: raw.id, method },
    })
}

/// Reads `result` of `mining.subscribe`: `[subscriptions, extranonce1, extranonce2_size]`.
///
/// # Errors
/// When it has another form.
pub fn read_subscription(result: &Value) -> Result<Subscription, WireError> {
    let (_, extranonce1, size): (Value, String, usize) = serde_json::from_value(result.clone())
        .map_err(|source| WireError::Json { what: "result of mining.subscribe", source })?;
    subscription(&extranonce1, size)
}

/// Reads the mask that `mining.configure` granted; `None` if version rolling was refused.
pub fn read_version_mask(result: &Value) -> Option<u32> {
    if result.get("version-rolling")?.as_bool() != Some(true) {
        return None;
    }
    u32::from_str_radix(result.get("version-rolling.mask")?.as_str()?, 16).ok()
}

/// Decodes the parameters of `mining.notify`.
pub(crate) fn read_notify(params: &str) -> Result<NotifiedJob, WireError> {
    let (job_id, prev_hash, coinb1, coinb2, path, version, nbits, ntime, clean_jobs): RawNotify<'_> =
        read(params, "mining.notify")?;
    if path.len() > MAX_MERKLE_STEPS {
        return Err(WireError::TooLarge { field: "merkle path", got: path.len(), limit: MAX_MERKLE_STEPS });
    }
    // SV1 writes the parent as eight words whose bytes are swapped.
    let mut prev_hash = hex_array(prev_hash, "prevhash")?;
    prev_hash.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    Ok(NotifiedJob {
        job_id: job_id.to_owned(),
        prev_hash,
        coinb1: hex_bytes(coinb1, "coinb1")?,
        coinb2: hex_bytes(coinb2, "coinb2")?,
        merkle_path: path.into_iter().map(|step| hex_array(step, "merkle step")).collect::<Result<_, _>>()?,
        version: hex_u32(version, "version")?,
        nbits: hex_u32(nbits, "nbits")?,
        ntime: hex_u32(ntime, "ntime")?,
        clean_jobs,
    })
}

fn read<'a, T: Deserialize<'a>>(params: &'a str, what: &'static str) -> Result<T, WireError> {
    serde_json::from_str(params).map_err(|source| WireError::Json { what, source })
}

fn subscription(extranonce1: &str, extranonce2_size: usize) -> Result<Subscription, WireError> {
    let extranonce1 = hex_bytes(extranonce1, "extranonce1")?;
    for (field, got) in [("extranonce1", extranonce1.len()), ("extranonce2_size", extranonce2_size)] {
        if got > MAX_EXTRANONCE {
            return Err(WireError::TooLarge { field, got, limit: MAX_EXTRANONCE });
        }
    }
    Ok(Subscription { extranonce1, extranonce2_size })
}

fn read_error(error: &Value) -> Option<ReplyError> {
    let (code, message) = match error {
        Value::Null => return None,
        Value::Array(fields) => (fields.first(), fields.get(1)),
        Value::Object(fields) => (fields.get("code"), fields.get("message")),
        other => (None, Some(other)),
    };
    Some(ReplyError {
        code: code.and_then(Value::as_i64).unwrap_or(20),
        message: message.and_then(Value::as_str).unwrap_or_default().chars().take(200).collect(),
    })
}

fn hex_u32(text: &str, field: &'static str) -> Result<u32, WireError> {
    if text.len() > 8 || text.starts_with('+') {
        return Err(WireError::Hex { field, expected: "a hexadecimal number of up to 8 digits" });
    }
    u32::from_str_radix(text, 16)
        .map_err(|_| WireError::Hex { field, expected: "a hexadecimal number of up to 8 digits" })
}

fn hex_array(text: &str, field: &'static str) -> Result<[u8; 32], WireError> {
    let mut bytes = [0_u8; 32];
    if text.len() != 64 {
        return Err(WireError::Hex { field, expected: "64 hexadecimal digits" });
    }
    decode_hex(text.as_bytes(), &mut bytes)
        .ok_or(WireError::Hex { field, expected: "64 hexadecimal digits" })?;
    Ok(bytes)
}

fn hex_bytes(text: &str, field: &'static str) -> Result<Vec<u8>, WireError> {
    let expected = "an even number of hexadecimal digits";
    if !text.len().is_multiple_of(2) {
        return Err(WireError::Hex { field, expected });
    }
    let mut bytes = vec![0_u8; text.len() / 2];
    decode_hex(text.as_bytes(), &mut bytes).ok_or(WireError::Hex { field, expected })?;
    Ok(bytes)
}

/// Decodes hexadecimal digits into `out`, as many bytes as both have. `None`: not hexadecimal.
pub(crate) fn decode_hex(text: &[u8], out: &mut [u8]) -> Option<()> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    for (out, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *out = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

/// Appends bytes as lower-case hexadecimal digits.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notify_is_decoded() {
        let line = concat!(
            r#"{"id":null,"method":"mining.notify","params":["j1","#,
            r#""0123456789abcdef000000000000000000000000000000000000000000000000","0100","FFff","#,
            r#"["1111111111111111111111111111111111111111111111111111111111111111"],"#,
            r#""20000000","1d00ffff","65000000",true]}"#
        );
        let ServerLine::Notify(job) = read_server_line(line.as_bytes()).unwrap() else { panic!("a notify") };
        assert_eq!(job.job_id, "j1");
        assert_eq!(job.prev_hash[..8], [0x67, 0x45, 0x23, 0x01, 0xef, 0xcd, 0xab, 0x89]);
        assert_eq!((job.coinb1.as_slice(), job.coinb2.as_slice()), (&[1, 0][..], &[255, 255][..]));
        assert_eq!(job.merkle_path, [[0x11; 32]]);
        assert_eq!((job.version, job.nbits, job.ntime), (0x2000_0000, 0x1d00_ffff, 0x6500_0000));
        assert!(job.clean_jobs);
    }

    #[test]
    fn replies_carry_their_error_in_any_form() {
        for (error, expected) in [
            ("null", None),
            (r#"[21,"job not found",null]"#, Some((21, "job not found"))),
            (r#"{"code":23,"message":"low"}"#, Some((23, "low"))),
            (r#""no""#, Some((20, "no"))),
        ] {
            let line = format!(r#"{{"id":7,"result":null,"error":{error}}}"#);
            let ServerLine::Reply { id, error, .. } = read_server_line(line.as_bytes()).unwrap() else {
                panic!("a reply")
            };
            assert_eq!(id, 7);
            assert_eq!(
                error.map(|error| (error.code, error.message)),
                expected.map(|(code, text)| (code, text.to_owned()))
            );
        }
    }

    #[test]
    fn a_subscription_is_bounded() {
        let good: Value = serde_json::from_str(r#"[[["mining.notify","1"]],"deadbeef",4]"#).unwrap();
        assert_eq!(
            read_subscription(&good).unwrap(),
            Subscription { extranonce1: vec![0xde, 0xad, 0xbe, 0xef], extranonce2_size: 4 }
        );
        for bad in [r#"[[],"",1000]"#, r#"[[],"zz",4]"#, r#"[[],"abc",4]"#, r#"[[],"ab",-1]"#, "true", "null"]
        {
            assert!(read_subscription(&serde_json::from_str(bad).unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_sv1_is_an_error_not_a_panic() {
        for line in [
            "",
            "{",
            "[]",
            "7",
            "\u{0}",
            r#"{"method":7}"#,
            r#"{"method":"mining.notify","params":[]}"#,
            r#"{"method":"mining.notify","params":["a","é","","",[],"","","",true]}"#,
            r#"{"method":"mining.set_difficulty","params":["x"]}"#,
            r#"{"method":"mining.set_version_mask","params":["+fff"]}"#,
        ] {
            assert!(read_server_line(line.as_bytes()).is_err(), "{line}");
        }
    }
}
