//! Reading `mining.notify` cheaply: thousands of connections get nearly the same line.
//!
//! A line is cut into its fields without decoding them. What all connections have in common (parent, second
//! coinbase half, merkle path, version, bits) is compared with what was seen before, and only decoded when it
//! is new. What differs (job id, first coinbase half, time) is kept as it stands.

use std::collections::VecDeque;
use std::sync::Arc;

use memchr::{memchr, memmem};

use crate::sv1_wire::{NotifiedJob, WireError, read_notify};

/// Common parts that are remembered.
const REMEMBERED: usize = 8;

/// What the jobs of all connections have in common.
#[derive(Debug)]
pub(super) struct CommonJob {
    /// The fields as they stand in the line; equal keys are equal jobs.
    key: Box<[u8]>,
    /// Decoded; `job_id`, `coinb1` and `ntime` are those of the first connection.
    pub(super) job: NotifiedJob,
    /// Number of this common part, from 0, in the order of arrival.
    pub(super) number: usize,
}

impl CommonJob {
    /// The fields as they stand in the line.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

/// A job of one connection.
#[derive(Clone, Debug)]
pub(super) struct ConnectionJob {
    pub(super) common: Arc<CommonJob>,
    /// As it goes into `mining.submit`.
    pub(super) job_id: Box<[u8]>,
    /// Hexadecimal digits of the first coinbase half.
    pub(super) coinb1: Arc<[u8]>,
    /// Eight hexadecimal digits.
    pub(super) ntime: [u8; 8],
}

/// Remembers the last common parts.
#[derive(Debug, Default)]
pub(super) struct JobCache {
    recent: VecDeque<Arc<CommonJob>>,
    coinb1: Option<Arc<[u8]>>,
    key: Vec<u8>,
    next_number: usize,
}

impl JobCache {
    /// Reads a notify line of a connection whose last job had the number `last`. The second value says whether its
    /// common part is new: a tip that comes back is.
    pub(super) fn read(
        &mut self,
        line: &[u8],
        last: Option<usize>,
    ) -> Result<(ConnectionJob, bool), WireError> {
        let params = memmem::find(line, b"\"params\"").map_or(&b""[..], |at| &line[at + 8..]);
        let start = memchr(b'[', params).unwrap_or(params.len());
        let params = &params[start..];
        let Some(fields) = Fields::cut(params) else {
            // Say what is wrong with it.
            let text = String::from_utf8_lossy(params);
            let end = text.rfind(']').map_or(0, |at| at + 1);
            read_notify(&text[..end])?;
            let source = serde::de::Error::custom("fields that are not plain text");
            return Err(WireError::Json { what: "mining.notify", source });
        };
        self.key.clear();
        for part in [fields.prev_hash, fields.coinb2, fields.path, fields.version, fields.nbits] {
            self.key.extend_from_slice(part);
            self.key.push(0);
        }
        let may_be = |common: &&Arc<CommonJob>| last.is_none_or(|last| common.number >= last);
        let known = self.recent.iter().filter(may_be).find(|common| *common.key == *self.key);
        let (common, is_new) = match known {
            Some(common) => (Arc::clone(common), false),
            None => {
                let text = std::str::from_utf8(fields.all)
                    .map_err(|_| WireError::Hex { field: "params", expected: "plain text" })?;
                let common = Arc::new(CommonJob {
                    key: self.key.as_slice().into(),
                    job: read_notify(text)?,
                    number: self.next_number,
                });
                self.next_number += 1;
                if self.recent.len() == REMEMBERED {
                    self.recent.pop_back();
                }
                self.recent.push_front(Arc::clone(&common));
                (common, true)
            }
        };
        let coinb1 = match &self.coinb1 {
            Some(last) if **last == *fields.coinb1 => Arc::clone(last),
            _ => {
                let coinb1: Arc<[u8]> = fields.coinb1.into();
                self.coinb1 = Some(Arc::clone(&coinb1));
                coinb1
            }
        };
        let ntime = fields
            .ntime
            .try_into()
            .map_err(|_| WireError::Hex { field: "ntime", expected: "8 hexadecimal digits" })?;
        Ok((ConnectionJob { common, job_id: fields.job_id.into(), coinb1, ntime }, is_new))
    }
}

/// The parameters of a notify, as they stand.
struct Fields<'a> {
    all: &'a [u8],
    job_id: &'a [u8],
    prev_hash: &'a [u8],
    coinb1: &'a [u8],
    coinb2: &'a [u8],
    path: &'a [u8],
    version: &'a [u8],
    nbits: &'a [u8],
    ntime: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Cuts `["id","prev","c1","c2",["..",..],"v","b","t",bool]`.
    fn cut(params: &'a [u8]) -> Option<Fields<'a>> {
        let mut rest = params.get(1..)?;
        let mut text = || {
            let start = memchr(b'"', rest)? + 1;
            let end = start + memchr(b'"', &rest[start..])?;
            let text = &rest[start..end];
            rest = &rest[end + 1..];
            // An escape would shift everything.
            memchr(b'\\', text).is_none().then_some(text)
        };
        let (job_id, prev_hash, coinb1, coinb2) = (text()?, text()?, text()?, text()?);
        let open = memchr(b'[', rest)?;
        let close = open + memchr(b']', &rest[open..])?;
        let path = &rest[open..close];
        rest = &rest[close..];
        let mut text = || {
            let start = memchr(b'"', rest)? + 1;
            let end = start + memchr(b'"', &rest[start..])?;
            let text = &rest[start..end];
            rest = &rest[end + 1..];
            Some(text)
        };
        let (version, nbits, ntime) = (text()?, text()?, text()?);
        let end = memchr(b']', rest)? + 1;
        let length = params.len() - (rest.len() - end);
        Some(Fields {
            all: &params[..length],
            job_id,
            prev_hash,
            coinb1,
            coinb2,
            path,
            version,
            nbits,
            ntime,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(job_id: &str, parent: &str, coinb1: &str, ntime: &str) -> Vec<u8> {
        format!(
            r#"{{"id": null, "method": "mining.notify", "params": ["{job_id}", "{}", "{coinb1}", "ff", ["{}"], "20000000", "1d00ffff", "{ntime}", false]}}"#,
            parent.repeat(32),
            "aa".repeat(32),
        )
        .into_bytes()
    }

    #[test]
    fn lines_that_differ_in_id_prefix_and_time_only_share_their_rest() {
        let mut cache = JobCache::default();
        let (first, new) = cache.read(&line("1", "00", "0011", "65000000"), None).unwrap();
        assert!(new);
        assert_eq!(first.common.job.coinb2, [0xff]);
        assert_eq!(first.common.job.merkle_path, [[0xaa; 32]]);
        let (second, new) = cache.read(&line("2", "00", "0022", "65000001"), None).unwrap();
        assert!(!new && Arc::ptr_eq(&first.common, &second.common));
        assert_eq!((&*second.job_id, &*second.coinb1, &second.ntime), (&b"2"[..], &b"0022"[..], b"65000001"));
        let (third, new) = cache.read(&line("3", "01", "0022", "65000001"), None).unwrap();
        assert!(new && third.common.number == 1);
        assert!(Arc::ptr_eq(&second.coinb1, &third.coinb1));
    }

    #[test]
    fn a_tip_that_comes_back_is_another_job() {
        let mut cache = JobCache::default();
        let mut number =
            |parent, last| cache.read(&line("1", parent, "00", "65000000"), last).unwrap().0.common.number;
        assert_eq!((number("00", None), number("01", Some(0))), (0, 1));
        assert_eq!(number("00", Some(1)), 2);
        assert_eq!(
            (number("00", Some(1)), number("00", Some(2))),
            (2, 2),
            "also for those who hear of it later"
        );
    }

    #[test]
    fn what_is_no_notify_is_an_error() {
        let good = line("1", "00", "0011", "65000000");
        let mut cache = JobCache::default();
        for cut in 0..good.len() - 2 {
            assert!(cache.read(&good[..cut], None).is_err(), "{cut}");
        }
        assert!(cache.read(&line("a\\u0022", "00", "00", "65000000"), None).is_err());
        assert!(cache.read(&line("1", "0x", "00", "65000000"), None).is_err());
        assert!(cache.read(&line("1", "00", "00", "650"), None).is_err());
    }
}
