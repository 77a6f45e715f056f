//! What the configuration promises its owners.
