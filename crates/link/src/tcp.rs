//! A plain connection: a name looked up, and the first of its addresses that answers.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::connect::connect;
use crate::resolve::Resolver;

/// Connects, trying each address that the name has.
///
/// # Errors
/// No address, or nobody there in time.
pub async fn dial_tcp(
    host: &str,
    port: u16,
    resolver: &Resolver,
    within: Duration,
) -> Result<TcpStream, String> {
    let addresses = resolver.addresses(host, port).await?;
    let stream = connect(&addresses, within).await?;
    crate::prepare(&stream).map_err(|error| error.to_string())?;
    Ok(stream)
}
