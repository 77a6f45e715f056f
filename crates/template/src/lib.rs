//! Template providers: where blocks to be mined come from.
//!
//! `core_ipc` and [`rpc`] speak to a node, [`sv2_tp`] to a server of SV2's Template Distribution Protocol; all tell what
//! they have by a [`ProviderHandle`].
//!
//! [`dev_chain`] is a block chain in memory with its own genesis block, made for the demo, tests and
//! benches. It does no IO and reads no clock: whoever drives it says what time it is. [`dev_node`] makes a provider of
//! it, with the interface that those of real nodes have.

mod choice;
#[cfg(unix)]
pub mod core_ipc;
pub mod dev_chain;
pub mod dev_node;
mod offered;
mod provider;
pub mod rpc;
pub mod sv2_tp;
mod witness;

pub use choice::{Chosen, TEMPLATE_GRACE, TemplateChoice};
pub use offered::Offered;
pub use provider::{ProviderEvent, ProviderHandle, ProviderOrders, Solution, Submitted};
