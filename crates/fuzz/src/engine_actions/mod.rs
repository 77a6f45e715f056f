//! The engine, driven by actions: miners' lines, a pool's messages, time, links that come and go.
//!
//! Input: three bytes of settings, then actions ([`action::Action`]): one byte names it, a few more say how.
//!
//! Two sources, one route, up to four miners; the router, sources, miners' machines and books are the product's. What
//! the tasks around them do in the product is done here as simply as possible: shares wait in a queue until an
//! action takes them out, news of a group reach its miners at once or (by a setting) at their next turn.
//!
//! Promises, checked after every action:
//! - no panic;
//! - the books balance: what was submitted is what was counted at the lines, what is pending is what waits in queues
//!   and at sources, no action but a line changes what was submitted;
//! - each request is answered once (the one that ends a flood is not), by a line that a Stratum client can read; `true`
//!   is told for a share exactly when it counts or was taken for its source;
//! - what a source sends can be read, goes to open channels only, in the order of its sequence numbers, with an
//!   extranonce of the channel's size, for jobs that it sent;
//! - no deadline stays in the past after its timer;
//! - when everybody has left, nothing is left: no pending share, no group, no hashrate.

mod action;
mod miner;
mod pool;
mod source;
mod world;

use arbitrary::Unstructured;

use action::Action;
use world::World;

/// Actions of one run.
const ACTIONS: usize = 400;

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` a source's queue loses each seventh share.
pub(crate) fn check(data: &[u8], planted: bool) {
    let [a, b, c, actions @ ..] = data else { return };
    let mut world = World::new([*a, *b, *c], planted);
    let mut u = Unstructured::new(actions);
    for _ in 0..ACTIONS {
        let Ok(action) = u.arbitrary::<Action<'_>>() else { break };
        world.act(&action);
    }
    world.end();
}
