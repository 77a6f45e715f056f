//! Prometheus registry and HTTP API, from one typed snapshot.
