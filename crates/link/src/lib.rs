//! An encrypted SV2 link over tokio, as every part of Adit that dials one uses it: a name looked up, the first of its
//! addresses that answers, the Noise handshake, and frames.
//!
//! What the frames say is not known here.

mod connect;
mod link;
mod resolve;
mod socket;

pub use link::{DialError, Link, LinkError, dial};
pub use resolve::{MAX_ADDRESSES, Resolver};
pub use socket::prepare;

/// Unix seconds by the system's clock; 0 if that stands before 1970.
#[must_use]
pub fn unix_time() -> u32 {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
