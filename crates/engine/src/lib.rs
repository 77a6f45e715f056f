//! The heart: miners, sources, router and books as plain state machines.
