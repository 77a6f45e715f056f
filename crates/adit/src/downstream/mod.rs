//! Downstream: listeners and their miners' connections.

mod access;
mod admission;
mod agents;
mod cap;
mod certificate;
mod conditions;
mod connection;
mod context;
mod declarators;
mod end;
mod ids;
mod listener;
mod memory;
mod opening;
mod outbox;
mod pace;
mod presence;
mod proxy_header;
mod quiet;
mod roster;
mod routes;
mod spoken;
mod sv2;
#[cfg(any(test, feature = "test-hooks"))]
mod test_hooks;
mod tls;

pub use access::{Access, AllRules, Rules};
pub use admission::{Admission, Refused};
pub use agents::Agents;
pub use cap::Cap;
pub use certificate::{Certificate, CertificateError, Certificates, FreshCertificates};
pub use conditions::Conditions;
#[cfg(test)]
pub(crate) use context::Doors;
pub use context::{ListenerContext, ListenerFigures};
pub use declarators::{Declarators, JdcRoutes, JdcWays};
pub use ids::MinerIdPool;
pub use listener::run_listener;
pub use memory::WorkerMemory;
pub use presence::{Presence, Standings};
pub use proxy_header::{PROXY_HEADER_MAX, ProxyHeader, ProxyHeaderError, proxy_header};
pub use quiet::Quiet;
pub use roster::{Entry, Roster};
pub use routes::{RouteChoice, RouteChoices};
pub use spoken::{LOOKED_AT, Spoken, spoken};
pub use sv2::Sv2Identity;
#[cfg(test)]
pub(crate) use test_hooks::PANIC_METHOD;
