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
            params.get(index).ok_or(RequestErrorKind::MissingParam { method: METHOD, param, index })
        };
        let number = |index, param| {
            let value = get(index, param)?;
            let text = value.string().ok_or_else(|| bad(METHOD, param, NUMBER, value))?;
            hex::parse_prefixed_u32(text.as_bytes()).ok_or_else(|| bad(METHOD, param, NUMBER, value))
        };
        let worker = match params.get(0) {
            None => Cow::Borrowed(""),
            Some(value) => value.name().ok_or_else(|| bad(METHOD, "worker name", "a string", value))?,
        };
        // A null job id is unknown like any other; a list too short to hold one says that shares are
        // written wrongly.
        let job_id = match get(1, "job id")?.string() {
            Some(text) => JobId::parse(text.as_bytes()),
            None => JobId::Unparsable,
        };
        let value = get(2, "extranonce2")?;
        let extranonce2 =
            value.string().and_then(|text| Extranonce::from_hex(text.as_bytes())).ok_or_else(|| {
                bad(METHOD, "extranonce2", "a string of an even number of hex digits, at most 64", value)
            })?;
        let ntime = number(3, "ntime")?;
        let nonce = number(4, "nonce")?;
        let version_bits = match params.get(5) {
            None => None,
            Some(value) if value.text() == "\"\"" => None,
            Some(_) => Some(number(5, "version bits")?),
        };
        Ok(Self { worker, job_id, extranonce2, ntime, nonce, version_bits })
    }
}

/// Reads `mining.submit` in the shapes that firmware prints: the members `id`, `method`, `params` and
/// `jsonrpc` in any order, five or six plain strings, single-line white space. `None` for everything else,
/// be it right or wrong: the general way decides.
#[inline]
pub(crate) fn parse_fast(line: &[u8]) -> Option<(Id<'_>, Submit<'_>)> {
    let mut scan = Scan { rest: line };
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
    if !scan.rest.is_empty() || !method {
        return None;
    }
    Some((id.unwrap_or(Id::MISSING), params?))
}

/// Number of bytes before the first quote, backslash or control character; all of them if there is none.
#[inline]
fn plain_len(text: &[u8]) -> usize {
    // Eight bytes at a time: `x - 0x01..01 & !x & 0x80..80` marks the bytes of `x` that are zero, and
    // `x - 0x20..20` in its place those below 0x20. A borrow can mark bytes wrongly only above one that is
    // marked rightly, so the lowest mark is exact.
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut len = 0;
    let (words, _) = text.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let marks = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * b' ' as u64) & !word))
            & HIGH;
        if marks != 0 {
            return len + (marks.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    let tail = &text[len..];
    len + tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' ')).unwrap_or(tail.len())
}

/// What is left of a line. A slice that gets shorter, not a position in one: with a position the optimiser
/// keeps dozens of copies of it in step, which costs more than the parsing.
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// Skips white space: none or one space in what firmware prints.
    #[inline]
    fn space(&mut self) {
        if let Some(rest) = self.rest.strip_prefix(b" ") {
            self.rest = rest;
        }
        if let Some(b' ' | b'\t' | b'\r' | b'\n') = self.rest.first() {
            self.more_space();
        }
    }

    #[cold]
    fn more_space(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// The inside of a string that has no escapes; control characters end the fast path.
    fn string(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.strip_prefix(b"\"")?;
        let (text, rest) = rest.split_at_checked(plain_len(rest))?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// A non-negative integer, a plain string or null.
    fn id(&mut self) -> Option<Id<'a>> {
        let start = self.rest;
        match start.first()? {
            b'"' => {
                self.string()?;
            }
            b'n' => self.rest = start.strip_prefix(b"null")?,
            b'0' => self.rest = start.get(1..)?,
            b'1'..=b'9' => {
                let digits = start.iter().position(|byte| !byte.is_ascii_digit())?;
                self.rest = start.get(digits..)?;
            }
            _ => return None,
        }
        let text = start.get(..start.len() - self.rest.len())?;
        Id::from_json(std::str::from_utf8(text).ok()?)
    }

    /// The list of `mining.submit`'s parameters.
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
            version_bits: if len == 6 { Some(hex::parse_u32(version_bits)?) } else { None },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Request, parse_request, parse_request_general};
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;

    fn submit(line: &str) -> Submit<'_> {
        match parse_request(line.as_bytes()) {
            Ok(Request { method: Method::Submit(submit), .. }) => submit,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// The line with one parameter replaced.
    fn with(index: usize, json: &str) -> String {
        let mut params = ["\"w\"", "\"1f\"", "\"00ab\"", "\"0000001a\"", "\"000000ff\"", "\"00002000\""]
            .map(str::to_owned);
        params[index] = json.to_owned();
        format!(r#"{{"id":1,"method":"mining.submit","params":[{}]}}"#, params.join(","))
    }

    #[test]
    fn the_shapes_that_firmware_prints_take_the_fast_path() {
        for line in [
            r#"{"id":4,"method":"mining.submit","params":["w","1f","00ab","0000001a","000000ff","00002000"]}"#,
            r#"{"id": 4, "method": "mining.submit", "params": ["w", "1f", "00ab", "0000001a", "000000ff", "00002000"]}"#,
            r#"{"params": ["w", "1f", "00ab", "0000001a", "000000ff", "00002000"], "id": 4, "method": "mining.submit"}"#,
            r#"{"method": "mining.submit", "params": ["w", "1f", "00ab", "0000001a", "000000ff", "00002000"], "id":4}"#,
            r#"{"jsonrpc":"2.0","id":4,"method":"mining.submit","params":["w","1f","00ab","0000001a","000000ff","00002000"]}"#,
        ] {
            let (id, submit) = parse_fast(line.as_bytes()).unwrap();
            assert_eq!(id, Id::number(4));
            assert!(matches!(submit.worker, Cow::Borrowed("w")));
            assert_eq!(submit.job_id, JobId::Number(0x1f));
            assert_eq!(submit.extranonce2.as_slice(), [0, 0xab]);
            assert_eq!((submit.ntime, submit.nonce, submit.version_bits), (0x1a, 0xff, Some(0x2000)));
            assert_eq!(parse_request_general(line.as_bytes()).unwrap().method, Method::Submit(submit));
        }
    }

    #[test]
    fn spelling_never_makes_another_share() {
        let plain = with(0, "\"w\"");
        let share = submit(&plain);
        for (index, json) in [
            (1, "\"1F\""),
            (1, "\"0000001f\""),
            (1, "\"\\u0031f\""),
            (2, "\"00AB\""),
            (2, "\"00aB\""),
            (2, "\"00\\u0061b\""),
            (3, "\"1a\""),
            (3, "\"1A\""),
            (3, "\"0x1a\""),
            (4, "\"ff\""),
            (4, "\"FF\""),
            (4, "\"0X000000Ff\""),
            (5, "\"2000\""),
        ] {
            assert_eq!(submit(&with(index, json)), share, "{json}");
        }
        // Another length of extranonce2 is another coinbase, never silently the same.
        assert_ne!(submit(&with(2, "\"0000ab\"")).extranonce2, share.extranonce2);
    }

    #[test]
    fn version_bits_may_be_left_out() {
        for json in ["null", "\"\""] {
            assert_eq!(submit(&with(5, json)).version_bits, None);
        }
        let five = r#"{"id":1,"method":"mining.submit","params":["w","1f","00ab","0000001a","ff"]}"#;
        assert_eq!(submit(five).version_bits, None);
        assert_eq!(submit(five).nonce, 0xff);
    }

    #[test]
    fn job_ids_that_are_not_ours_are_unknown_jobs_not_errors() {
        for json in ["\"\"", "\"job7\"", "\"000000001\"", "\"1f#2\"", "\"-1\"", "31", "{}", "\"0x1f\""] {
            assert_eq!(submit(&with(1, json)).job_id, JobId::Unparsable, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_a_share_is_an_error_that_names_the_parameter_and_keeps_the_id() {
        for (index, json, words) in [
            (0, "[]", "worker name must be a string"),
            (1, "null", "job id is missing (parameter 2)"),
            (2, "\"0\"", "extranonce2 must be"),
            (2, "\"0g\"", "extranonce2 must be"),
            (2, "12", "extranonce2 must be"),
            (3, "\"\"", "ntime must be a string of 1 to 8 hex digits"),
            (3, "\"000000001\"", "got \"000000001\""),
            (3, "26", "ntime must be a string"),
            (4, "\"-1\"", "nonce must be"),
            (4, "\" 1\"", "nonce must be"),
            (4, "null", "nonce is missing (parameter 5)"),
            (5, "\"xyz\"", "version bits must be"),
            (5, "0", "version bits must be"),
        ] {
            let line = with(index, json);
            let error = parse_request(line.as_bytes()).unwrap_err();
            assert_eq!(error.id, Some(Id::number(1)));
            assert!(error.to_string().contains(words), "{json}: {error}");
        }
        let long = with(2, &format!("\"{}\"", "00".repeat(33)));
        assert!(parse_request(long.as_bytes()).unwrap_err().to_string().contains("at most 64"));
    }

    #[test]
    fn parameters_beyond_the_sixth_are_passed_over() {
        let line = with(5, "\"2000\",\"\",7,[]");
        assert_eq!(submit(&line).version_bits, Some(0x2000));
    }

    /// One spelling of a JSON string with these characters.
    fn spelled(text: &str, escape: bool) -> String {
        if !escape || text.is_empty() {
            return serde_json::to_string(text).unwrap();
        }
        let first = text.chars().next().unwrap();
        let mut units = [0; 2];
        let escaped: String =
            first.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let rest = serde_json::to_string(&text[first.len_utf8()..]).unwrap();
        format!("\"{escaped}{}", &rest[1..])
    }

    prop_compose! {
        fn hexish()(
            text in prop_oneof![
                20 => "[0-9a-f]{8}",
                6 => "[0-9a-fA-F]{2}|[0-9a-fA-F]{8}",
                2 => "[0-9a-fA-F]{0,10}|0[xX][0-9a-f]{1,8}",
                1 => ".{0,4}",
            ],
            escape in prop::bool::weighted(0.05),
        ) -> String {
            spelled(&text, escape)
        }
    }

    fn parameter() -> impl Strategy<Value = String> {
        prop_oneof![
            40 => hexish(),
            1 => prop_oneof![Just("null"), Just("7"), Just("-1.5e3"), Just("[1]"), Just("{}"), Just("true"), Just("")]
                .prop_map(str::to_owned),
        ]
    }

    prop_compose! {
        /// Lines that are, or nearly are, `mining.submit`.
        fn submit_line()(
            worker in "[a-zA-Z0-9._-]{0,20}|.{0,5}",
            params in prop_oneof![8 => 4..6_usize, 1 => 0..9_usize]
                .prop_flat_map(|len| prop::collection::vec(parameter(), len)),
            id in prop_oneof![4 => "[0-9]{1,4}", 1 => "\"[a-z]{0,4}\"", 1 => Just("null".to_owned()), 1 => ".{0,3}"],
            method in prop_oneof![9 => Just("mining.submit"), 1 => Just("mining.submit2"), 1 => Just("mining\\u002esubmit")],
            order in Just(vec![0, 1, 2, 3]).prop_shuffle(),
            drop in prop::option::weighted(0.2, 0..4_usize),
            double in prop::option::weighted(0.05, 0..4_usize),
            space in prop_oneof![3 => Just(""), 3 => Just(" "), 1 => Just(" \t\r")],
            tail in prop_oneof![20 => Just(""), 1 => Just(","), 1 => Just("}"), 1 => Just(" x")],
        ) -> String {
            let mut list = vec![serde_json::to_string(&worker).unwrap()];
            list.extend(params);
            let members = [
                format!("\"id\":{space}{id}"),
                format!("\"method\":{space}\"{method}\""),
                format!("\"params\":{space}[{}]", list.join(&format!(",{space}"))),
                "\"jsonrpc\":\"2.0\"".to_owned(),
            ];
            let mut chosen: Vec<&str> = order
                .iter()
                .filter(|member| Some(**member) != drop)
                .map(|member| members[*member].as_str())
                .collect();
            chosen.extend(double.map(|member| members[member].as_str()));
            format!("{{{}}}{tail}", chosen.join(&format!(",{space}")))
        }
    }

    #[test]
    fn the_lines_that_the_paths_are_compared_on_do_take_the_fast_path() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let fast = (0..1000)
            .filter(|_| {
                let line = submit_line().new_tree(&mut runner).unwrap().current();
                parse_fast(line.as_bytes()).is_some()
            })
            .count();
        assert!((150..800).contains(&fast), "{fast} of 1000");
    }

    proptest! {
        #[test]
        fn the_scan_by_words_finds_what_a_scan_by_bytes_finds(
            text in prop::collection::vec(prop_oneof![
                8 => any::<u8>(), 4 => 0x20..0x7f_u8, 1 => Just(b'"'), 1 => Just(b'\\'), 1 => 0x1e..0x22_u8, 1 => 0x7e..0x82_u8,
            ], 0..40),
        ) {
            let byte_by_byte = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '));
            prop_assert_eq!(plain_len(&text), byte_by_byte.unwrap_or(text.len()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_fast_path_says_what_the_general_path_says(line in submit_line()) {
            if let Some((id, submit)) = parse_fast(line.as_bytes()) {
                let general = parse_request_general(line.as_bytes());
                prop_assert_eq!(general, Ok(Request { id, method: Method::Submit(submit) }), "{}", line);
            }
        }

        #[test]
        fn the_paths_agree_on_damaged_lines_too(
            line in submit_line(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut line = line.into_bytes();
            for (at, byte) in damage {
                let at = at.index(line.len());
                line[at] = byte;
            }
            if let Some((id, submit)) = parse_fast(&line) {
                prop_assert_eq!(parse_request_general(&line), Ok(Request { id, method: Method::Submit(submit) }));
            }
        }

        #[test]
        fn what_our_client_writes_takes_the_fast_path_and_comes_back(
            id: u64, worker in "[ -!#-\\[\\]-~\u{e9}\u{4e2d}]{0,30}", job: u32,
            extranonce2 in prop::collection::vec(any::<u8>(), 0..=32),
            ntime: u32, nonce: u32, version_bits: Option<u32>,
        ) {
            let mut line = Vec::new();
            crate::client::write_submit(
                &mut line, id, &worker, &format!("{job:x}"), &extranonce2, ntime, nonce, version_bits,
            );
            let (read_id, submit) = parse_fast(&line).unwrap();
            prop_assert_eq!(read_id, Id::number(id));
            prop_assert_eq!(submit, Submit {
                worker: worker.as_str().into(),
                job_id: JobId::Number(job),
                extranonce2: Extranonce::new(&extranonce2).unwrap(),
                ntime, nonce, version_bits,
            });
        }
    }
}
