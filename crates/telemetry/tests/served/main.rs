//! What Adit serves, seen from outside.

mod documents;
mod example;
mod exposition;
mod metrics;
mod sockets;
