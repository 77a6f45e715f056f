//! What a service manager such as systemd is told and gives: ready, reloading, stopping, a line of status, signs of life,
//! and ports that it has opened ([`Ports`]).
//!
//! Without one (no `NOTIFY_SOCKET`, no `LISTEN_FDS`) nothing of this happens.

mod attendant;
mod manager;
mod ports;
mod status_line;
mod watchdog;

pub(crate) use attendant::Attendant;
pub(crate) use manager::Manager;
pub use ports::Ports;
pub(crate) use watchdog::{Watchdog, answer};
