//! An encrypted SV2 link over tokio, as every part of Adit that dials one uses it: a name looked up, the first of its
//! addresses that answers, the Noise handshake, and frames.
//!
//! What the frames say is not known here. Stratum V1 pools are reached by the same steps, with TLS or nothing
//! in Noise's place.

mod connect;
mod link;
mod resolve;
mod socket;
mod sv1_url;
mod tcp;
mod tls;

pub use link::{DialError, Link, LinkError, dial};
pub use resolve::{MAX_ADDRESSES, Resolver};
pub use socket::prepare;
pub use sv1_url::{Sv1Url, Sv1UrlError};
pub use tcp::dial_tcp;
pub use tls::{TlsAuthorities, TlsAuthoritiesError, TlsIdentityError};

/// Unix seconds by the system's clock; 0 if that stands before 1970.
#[must_use]
pub fn unix_time() -> u32 {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
