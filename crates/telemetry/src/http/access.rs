//! Who may ask: bearer tokens (RFC 6750) with two scopes.
//!
//! Without a read token a browser must not be made to read for a page of another site, whose name leads to this machine for a
//! while (DNS rebinding): names other than `localhost` and those that are configured are refused.
//!
//! With a read token every path but the probes and the page's own files wants it, or the admin token. Changes want the
//! admin token; where there is none they are taken from this machine alone.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::answer::problem;
use super::paths::Scope;

/// Wrong tokens are logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What clients have to show. Absent: nothing is asked for, or nobody but this machine may.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Reads.
    pub read: Option<String>,
    /// Reads and changes.
    pub admin: Option<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |token: &Option<String>| if token.is_some() { "***" } else { "none" };
        write!(f, "Tokens {{ read: {}, admin: {} }}", shown(&self.read), shown(&self.admin))
    }
}

/// Judges requests by the tokens in force, which can be exchanged while the server runs.
#[derive(Debug, Default)]
pub struct Access(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tokens: Tokens,
    /// Names that this server has, besides addresses and `localhost`.
    hosts: Vec<String>,
    logged: Option<Instant>,
    /// Since then.
    wrong: u64,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub(super) bool);

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, where one is needed.
    Missing(Scope),
    /// A token that is none of ours.
    Wrong,
    /// The read token, for a change.
    ReadOnly,
    /// A change from elsewhere, and no admin token is configured.
    NotLocal,
    /// Asked for by a name that is not this server's, and no read token is configured.
    OtherHost,
}

impl Refusal {
    pub(super) const COUNT: usize = 5;

    /// The words for them in metrics.
    pub(super) const WORDS: [&'static str; Self::COUNT] =
        ["token_missing", "token_wrong", "token_read_only", "not_local", "other_host"];

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Missing(_) => 0,
            Self::Wrong => 1,
            Self::ReadOnly => 2,
            Self::NotLocal => 3,
            Self::OtherHost => 4,
        }
    }

    pub(super) fn response(self) -> Response {
        let word = Self::WORDS[self.index()];
        let (status, message, challenge) = match self {
            Self::Missing(Scope::Admin) => (
                StatusCode::UNAUTHORIZED,
                "a change wants the admin token (http.admin_token in the configuration): send it as Authorization: Bearer \
                 TOKEN",
                r#"Bearer realm="adit", scope="admin""#,
            ),
            Self::Missing(_) => (
                StatusCode::UNAUTHORIZED,
                "this wants the read token (http.read_token in the configuration): send it as Authorization: Bearer TOKEN",
                r#"Bearer realm="adit", scope="read""#,
            ),
            Self::Wrong => (
                StatusCode::UNAUTHORIZED,
                "the token is neither http.read_token nor http.admin_token of the running configuration",
                r#"Bearer realm="adit", error="invalid_token""#,
            ),
            Self::ReadOnly => (
                StatusCode::FORBIDDEN,
                "the read token changes nothing: send the admin token (http.admin_token in the configuration)",
                r#"Bearer realm="adit", error="insufficient_scope", scope="admin""#,
            ),
            Self::OtherHost => {
                return problem(
                    StatusCode::MISDIRECTED_REQUEST,
                    word,
                    "this name is not one of this server's: ask by its address, add the name to http.hosts in the \
                     configuration, or set http.read_token",
                );
            }
            Self::NotLocal => {
                return problem(
                    StatusCode::FORBIDDEN,
                    word,
                    "changes are taken from this machine alone (ask at 127.0.0.1, [::1] or localhost), unless \
                     http.admin_token is configured",
                );
            }
        };
        let mut response = problem(status, word, message);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }
}

impl Access {
    /// With these tokens.
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self(Mutex::new(State { tokens, ..State::default() }))
    }

    /// The same, and it is asked for by these names, too.
    #[must_use]
    pub fn with_hosts(self, hosts: Vec<String>) -> Self {
        self.lock().hosts = hosts;
        self
    }

    /// From now on it is asked for by these names. Whether they differ.
    pub fn exchange_hosts(&self, hosts: Vec<String>) -> bool {
        let mut state = self.lock();
        let differ = state.hosts != hosts;
        state.hosts = hosts;
        differ
    }

    /// From now on with these. Whether they differ.
    pub fn exchange(&self, tokens: Tokens) -> bool {
        let mut state = self.lock();
        let differ = state.tokens != tokens;
        state.tokens = tokens;
        differ
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may be answered.
    pub(super) fn judge(&self, scope: Scope, headers: &HeaderMap, local: Local) -> Result<(), Refusal> {
        let mut state = self.lock();
        let verdict = state.tokens.judge(scope, headers, local).and_then(|()| {
            let needs_name = scope == Scope::Read && state.tokens.read.is_none();
            if needs_name && !is_own(headers, &state.hosts) { Err(Refusal::OtherHost) } else { Ok(()) }
        });
        if verdict == Err(Refusal::Wrong) {
            state.wrong += 1;
            if state.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                state.logged = Some(Instant::now());
                let requests = std::mem::take(&mut state.wrong);
                tracing::warn!(
                    requests,
                    "HTTP: a token that is not one of ours; see adit_http_refused_total"
                );
            }
        }
        verdict
    }
}

impl Tokens {
    fn judge(&self, scope: Scope, headers: &HeaderMap, local: Local) -> Result<(), Refusal> {
        if scope == Scope::Open {
            return Ok(());
        }
        let shown = bearer(headers);
        // Both are compared whatever the first says, each in a time that does not depend on where they differ.
        let is = |token: &Option<String>| match (token, shown) {
            (Some(token), Some(shown)) => bool::from(token.as_bytes().ct_eq(shown)),
            _ => false,
        };
        let (read, admin) = (is(&self.read), is(&self.admin));
        let refused = if shown.is_some() { Refusal::Wrong } else { Refusal::Missing(scope) };
        match scope {
            Scope::Read if self.read.is_none() || read || admin => Ok(()),
            Scope::Admin if admin => Ok(()),
            Scope::Admin if self.admin.is_some() => Err(if read { Refusal::ReadOnly } else { refused }),
            Scope::Admin if self.read.is_some() && !read => Err(refused),
            // A page of another site that a browser of this machine shows must not be able to ask: a name of its own
            // that leads here is not this machine's.
            Scope::Admin if local.0 && names_this_machine(headers) => Ok(()),
            Scope::Admin => Err(Refusal::NotLocal),
            Scope::Read | Scope::Open => Err(refused),
        }
    }
}

/// The token that was sent.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The host that was asked for, without its port; nothing where none is said, which no browser does.
fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().unwrap_or_default();
    Some(match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    })
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let name = host(headers).unwrap_or_default();
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// No name, an address, `localhost`, or one of these names. No page of another site has an address for its name.
fn is_own(headers: &HeaderMap, hosts: &[String]) -> bool {
    host(headers).is_none_or(|name| {
        // With a dot at its end it is the same name.
        let name = name.strip_suffix('.').unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<std::net::IpAddr>().is_ok()
            || hosts.iter().any(|host| name.eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "read-token-of-tests";
    const ADMIN: &str = "admin-token-of-tests";

    fn headers(values: &[(header::HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        values.iter().map(|(name, text)| (name.clone(), value(text))).collect()
    }

    fn tokens(read: Option<&str>, admin: Option<&str>) -> Tokens {
        Tokens { read: read.map(Into::into), admin: admin.map(Into::into) }
    }

    fn ask(tokens: &Tokens, scope: Scope, authorization: Option<&str>, local: bool) -> Result<(), Refusal> {
        let mut values = vec![(header::HOST, "127.0.0.1:23480")];
        values.extend(authorization.map(|text| (header::AUTHORIZATION, text)));
        Access::new(tokens.clone()).judge(scope, &headers(&values), Local(local))
    }

    #[test]
    fn without_tokens_everybody_reads_and_this_machine_changes() {
        let none = tokens(None, None);
        for token in [None, Some("Bearer whatever"), Some("Basic eDp5")] {
            assert_eq!(ask(&none, Scope::Read, token, false), Ok(()));
            assert_eq!(ask(&none, Scope::Admin, token, true), Ok(()));
            assert_eq!(ask(&none, Scope::Admin, token, false), Err(Refusal::NotLocal));
        }
    }

    #[test]
    fn only_names_of_this_machine_are_taken_for_it() {
        let none = tokens(None, None);
        let at = |host| none.judge(Scope::Admin, &headers(&[(header::HOST, host)]), Local(true));
        for host in ["127.0.0.1:23480", "localhost", "LocalHost:1", "[::1]:80", "127.8.8.8"] {
            assert_eq!(at(host), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", ""] {
            assert_eq!(at(host), Err(Refusal::NotLocal), "{host}");
        }
    }

    #[test]
    fn without_a_read_token_only_own_names_are_answered() {
        let asked = |access: &Access, host: &str| {
            access.judge(Scope::Read, &headers(&[(header::HOST, host)]), Local(true))
        };
        let open = Access::new(tokens(None, Some(ADMIN))).with_hosts(vec!["adit.farm.example".into()]);
        for host in [
            "127.0.0.1:23480",
            "[::1]:80",
            "10.7.0.1",
            "localhost:1",
            "Adit.Farm.example:23480",
            "adit.farm.example.",
        ] {
            assert_eq!(asked(&open, host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:80",
            "farm.example",
            "x.adit.farm.example",
            "",
            "[",
            "a:b:c",
        ] {
            assert_eq!(asked(&open, host), Err(Refusal::OtherHost), "{host}");
            assert_eq!(
                open.judge(Scope::Open, &headers(&[(header::HOST, host)]), Local(true)),
                Ok(()),
                "a probe"
            );
        }
        assert_eq!(open.judge(Scope::Read, &HeaderMap::new(), Local(false)), Ok(()), "HTTP/1.0 has none");
        assert!(open.exchange_hosts(Vec::new()));
        assert_eq!(asked(&open, "adit.farm.example"), Err(Refusal::OtherHost));
        let shown = format!("Bearer {READ}");
        let closed = Access::new(tokens(Some(READ), None));
        let with = headers(&[(header::HOST, "evil.example"), (header::AUTHORIZATION, &shown)]);
        assert_eq!(closed.judge(Scope::Read, &with, Local(false)), Ok(()), "whoever has the token may");
    }

    #[test]
    fn with_tokens_each_opens_what_it_is_for_and_nothing_else_does() {
        let both = tokens(Some(READ), Some(ADMIN));
        let bearer = |token: &str| format!("Bearer {token}");
        let (read, admin) = (bearer(READ), bearer(ADMIN));
        for local in [true, false] {
            assert_eq!(ask(&both, Scope::Open, None, local), Ok(()));
            for good in [read.as_str(), &admin, &admin.replace("Bearer", "bEARER")] {
                assert_eq!(ask(&both, Scope::Read, Some(good), local), Ok(()), "{good}");
            }
            assert_eq!(ask(&both, Scope::Admin, Some(&admin), local), Ok(()));
            assert_eq!(ask(&both, Scope::Admin, Some(&read), local), Err(Refusal::ReadOnly));
            for scope in [Scope::Read, Scope::Admin] {
                assert_eq!(ask(&both, scope, None, local), Err(Refusal::Missing(scope)));
                assert_eq!(ask(&both, scope, Some("Basic eDp5"), local), Err(Refusal::Missing(scope)));
                for wrong in ["", "x", &READ[1..], &format!("{READ}x"), &READ.to_uppercase()] {
                    assert_eq!(
                        ask(&both, scope, Some(&bearer(wrong)), local),
                        Err(Refusal::Wrong),
                        "{wrong}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_token_alone_closes_what_it_is_for() {
        let admin = tokens(None, Some(ADMIN));
        assert_eq!(ask(&admin, Scope::Read, None, false), Ok(()), "nobody asked for a read token");
        assert_eq!(ask(&admin, Scope::Admin, None, true), Err(Refusal::Missing(Scope::Admin)), "here too");
        let read = tokens(Some(READ), None);
        let shown = format!("Bearer {READ}");
        assert_eq!(ask(&read, Scope::Admin, None, true), Err(Refusal::Missing(Scope::Admin)));
        assert_eq!(ask(&read, Scope::Admin, Some(&shown), true), Ok(()), "this machine, as without tokens");
        assert_eq!(ask(&read, Scope::Admin, Some(&shown), false), Err(Refusal::NotLocal));
    }

    #[test]
    fn exchanged_tokens_hold_at_once_and_none_is_shown() {
        let access = Access::new(tokens(Some(READ), None));
        let shown = headers(&[(header::AUTHORIZATION, &format!("Bearer {READ}"))]);
        assert_eq!(access.judge(Scope::Read, &shown, Local(false)), Ok(()));
        assert!(access.exchange(tokens(Some("another-token-of-tests"), None)));
        assert_eq!(access.judge(Scope::Read, &shown, Local(false)), Err(Refusal::Wrong));
        let text = format!("{access:?}");
        assert!(!text.contains("another") && text.contains("***"), "{text}");
    }
}
