//! Every path that is served, and who may ask for it.

use axum::http::Method;

/// What was asked for. A fixed list: a client must not be able to make series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Metrics,
    Healthz,
    Readyz,
    Status,
    Workers,
    Worker,
    Sources,
    Source,
    Routes,
    Jobs,
    Books,
    Events,
    Config,
    Openapi,
    Stream,
    History,
    Receipts,
    VerifyReceipt,
    CounterSign,
    Receipt,
    Page,
    PageFile,
    Other,
}

/// What a request needs to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nothing: probes, and what a browser needs before it can ask for a token.
    Open,
    /// The read token, where there is one.
    Read,
    /// The admin token; without one it must come from this machine.
    Admin,
}

impl Path {
    pub(crate) const ALL: [Self; 23] = [
        Self::Metrics,
        Self::Healthz,
        Self::Readyz,
        Self::Status,
        Self::Workers,
        Self::Worker,
        Self::Sources,
        Self::Source,
        Self::Routes,
        Self::Jobs,
        Self::Books,
        Self::Events,
        Self::Config,
        Self::Openapi,
        Self::Stream,
        Self::History,
        Self::Receipts,
        // Before those whose names could be the same.
        Self::VerifyReceipt,
        Self::CounterSign,
        Self::Receipt,
        Self::Page,
        Self::PageFile,
        Self::Other,
    ];

    /// As the router has it: a segment in braces is any text.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "/metrics",
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Status => "/api/v1/status",
            Self::Workers => "/api/v1/workers",
            Self::Worker => "/api/v1/workers/{name}",
            Self::Sources => "/api/v1/sources",
            Self::Source => "/api/v1/sources/{name}",
            Self::Routes => "/api/v1/routes",
            Self::Jobs => "/api/v1/jobs",
            Self::Books => "/api/v1/books",
            Self::Events => "/api/v1/events",
            Self::Config => "/api/v1/config",
            Self::Openapi => "/api/v1/openapi.json",
            Self::Stream => "/api/v1/stream",
            Self::History => "/api/v1/history",
            Self::Receipts => "/api/v1/receipts",
            Self::VerifyReceipt => "/api/v1/receipts/verify",
            Self::CounterSign => "/api/v1/receipts/counter",
            Self::Receipt => "/api/v1/receipts/{name}",
            Self::Page => crate::page::PAGE,
            Self::PageFile => crate::page::FILES,
            Self::Other => "other",
        }
    }

    /// The one that a request's path is.
    pub(crate) fn of(path: &str) -> Self {
        let is = |pattern: &str| match pattern.split_once('{') {
            None => pattern == path,
            Some((before, _)) => {
                path.strip_prefix(before).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
            }
        };
        Self::ALL.into_iter().find(|p| is(p.as_str())).unwrap_or(Self::Other)
    }

    /// Those that there are.
    pub(crate) fn served() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|p| *p != Self::Other)
    }

    /// The methods that are served.
    pub(crate) const fn methods(self) -> &'static str {
        match self {
            Self::Routes => "GET, HEAD, PATCH",
            Self::VerifyReceipt | Self::CounterSign => "POST",
            _ => "GET, HEAD",
        }
    }

    /// What a request has to show.
    pub(crate) fn scope(self, method: &Method) -> Scope {
        match self {
            Self::Healthz | Self::Readyz | Self::Page | Self::PageFile => Scope::Open,
            _ if method == Method::GET || method == Method::HEAD => Scope::Read,
            // Whatever is not a question; what is not served at all is told so once it is allowed to ask.
            Self::Routes | Self::CounterSign => Scope::Admin,
            _ => Scope::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_found_by_what_it_is_asked_for_as() {
        for path in Path::served() {
            let asked = match path.as_str().split_once('{') {
                None => path.as_str().to_owned(),
                Some((before, _)) => format!("{before}a%2Fb.1"),
            };
            assert_eq!(Path::of(&asked), path, "{asked}");
        }
        for other in ["", "/none", "other", "/metrics/", "/api/v1/", "//metrics"] {
            assert_eq!(Path::of(other), Path::Other, "{other}");
        }
    }

    #[test]
    fn only_probes_and_the_page_are_open() {
        let open: Vec<_> = Path::ALL
            .into_iter()
            .filter(|p| p.scope(&Method::GET) == Scope::Open)
            .map(Path::as_str)
            .collect();
        assert_eq!(open, ["/healthz", "/readyz", "/", "/page/{file}"]);
        assert_eq!(Path::Other.scope(&Method::GET), Scope::Read);
        for method in [Method::PATCH, Method::POST, Method::DELETE] {
            for path in [Path::Routes, Path::CounterSign] {
                assert_eq!(path.scope(&method), Scope::Admin);
            }
        }
    }
}
