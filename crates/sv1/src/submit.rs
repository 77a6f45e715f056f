//! `mining.submit`: the hot path, parsed in place.

use std::borrow::Cow;

use crate::request::{Params, bad};
use crate::{Extranonce, Id, RequestErrorKind, hex};

pub(crate) const METHOD: &str = "mining.submit";

/// A share as a miner sends it, with every field as the integer or the bytes it stands for. However a
/// value is spelled (case, leading zeros, `0x`), the same share gives the same `Submit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit<'a> {
    /// The worker's name, as sent; usually what was authorised. "" if null.
    pub worker: Cow<'a, str>,
    /// The job.
    pub job_id: JobId,
    /// The miner's rolled bytes. Any length up to [`crate::MAX_EXTRANONCE`]: whether it is the size that
    /// the miner was given is for the caller to check.
    pub extranonce2: Extranonce,
    /// The header's time, Unix seconds.
    pub ntime: u32,
    /// The header's nonce.
    pub nonce: u32,
    /// BIP 310: the bits that were rolled, to be put into the job's version through the mask; `None` if
    /// missing, null or empty. Mining without `mining.configure` does not keep firmware from sending them.
    pub version_bits: Option<u32>,
}

/// A job's id in a share. Adit's own are 32-bit numbers in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobId {
    /// One to eight hex digits, as our ids are.
    Number(u32),
    /// Anything else: no job of ours, to be answered with [`crate::ErrorCode::JobNotFound`].
    Unparsable,
}

impl JobId {
    fn parse(text: &[u8]) -> Self {
        hex::parse_u32(text).map_or(Self::Unparsable, Self::Number)
    }
}

const NUMBER: &str = "a string of 1 to 8 hex digits";

impl<'a> Submit<'a> {
    pub(crate) fn from_params(params: &Params<'a>) -> Result<Self, RequestErrorKind> {
        let get = |index, param| {
            params.get(index).ok_or(RequestErrorKind::MissingParam {
                method: METHOD,
                param,
                index,
            })
        };
        let number = |index, param| {
            let value = get(index, param)?;
            let text = value.string().ok_or_else(|| bad(METHOD, param, NUMBER, value))?;
            hex::parse_prefixed_u32(text.as_bytes()).ok_or_else(|| bad(METHOD, param, NUMBER, value))
        };
        let worker = match params.get(0) {
            None => Cow::Borrowed(""),
            Some(value) => value
                .name()
                .ok_or_else(|| bad(METHOD, "worker name", "a string", value))?,
        };
        // A null job id is unknown like any other; a list too short to hold one says that shares are
        // written wrongly.
        let job_id = match get(1, "job id")?.string() {
            Some(text) => JobId::parse(text.as_bytes()),
            None => JobId::Unparsable,
        };
        let value = get(2, "extranonce2")?;
        let extranonce2 = value
            .string()
            .and_then(|text| Extranonce::from_hex(text.as_bytes()))
            .ok_or_else(|| {
                bad(
                    METHOD,
                    "extranonce2",
                    "a string of an even number of hex digits, at most 64",
                    value,
                )
            })?;
        let ntime = number(3, "ntime")?;
        let nonce = number(4, "nonce")?;
        let version_bits = match params.get(5) {
            None => None,
            Some(value) if value.text() == "\"\"" => None,
            Some(_) => Some(number(5, "version bits")?),
        };
        Ok(Self {
            worker,
            job_id,
            extranonce2,
            ntime,
            nonce,
            version_bits,
        })
    }
}

/// Reads `mining.submit` in the shapes that firmware prints: the members `id`, `method`, `params` and
/// `jsonrpc` in any order, five or six plain strings, single-line white space. `None` for everything else,
/// be it right or wrong: the general way decides.
#[inline]
pub(crate) fn parse_fast(line: &[u8]) -> Option<(Id<'_>, Submit<'_>)> {
    let mut scan = Scan { bytes: line, at: 0 };
    let (mut id, mut method, mut params) = (None, false, None);
    scan.space();
    scan.eat(b'{')?;
    loop {
        scan.space();
        let key = scan.string()?;
        scan.space();
        scan.eat(b':')?;
        scan.space();
        match key {
            b"id" if id.is_none() => id = Some(scan.id()?),
            b"method" if !method && scan.string()? == METHOD.as_bytes() => method = true,
            b"params" if params.is_none() => params = Some(scan.submit()?),
            b"jsonrpc" if scan.string()? == b"2.0" => {}
            _ => return None,
        }
        scan.space();
        match scan.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    scan.space();
    if scan.at != line.len() || !method {
        return None;
    }
    Some((id.unwrap_or(Id::MISSING), params?))
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// The inside of a string that has no escapes; control characters end the fast path.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        self.eat(b'"')?;
        let rest = &self.bytes[self.at..];
        let len = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
        if rest[len] != b'"' {
            return None;
        }
        self.at += len + 1;
        Some(&rest[..len])
    }

    /// A non-negative integer, a plain string or null.
    #[inline]
    fn id(&mut self) -> Option<Id<'a>> {
        let start = self.at;
        match self.bytes.get(start)? {
            b'"' => {
                self.string()?;
            }
            b'n' => {
                for byte in *b"null" {
                    self.eat(byte)?;
                }
            }
            b'0' => self.at += 1,
            b'1'..=b'9' => {
                while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
                    self.at += 1;
                }
            }
            _ => return None,
        }
        Id::from_json(std::str::from_utf8(&self.bytes[start..self.at]).ok()?)
    }

    /// The list of `mining.submit`'s parameters.
    #[inline]
    fn submit(&mut self) -> Option<Submit<'a>> {
        let mut items: [&[u8]; 6] = [&[]; 6];
        let mut len = 0;
        self.eat(b'[')?;
        loop {
            self.space();
            *items.get_mut(len)? = self.string()?;
            len += 1;
            self.space();
            match self.next()? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
        let [worker, job_id, extranonce2, ntime, nonce, version_bits] = items;
        if len < 5 {
            return None;
        }
        Some(Submit {
            worker: Cow::Borrowed(std::str::from_utf8(worker).ok()?),
            job_id: JobId::Number(hex::parse_u32(job_id)?),
            extranonce2: Extranonce::from_hex(extranonce2)?,
            ntime: hex::parse_u32(ntime)?,
            nonce: hex::parse_u32(nonce)?,
            version_bits: if len == 6 {
                Some(hex::parse_u32(version_bits)?)
            } else {
                None
            },
        })
    }
}
