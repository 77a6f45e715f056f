//! The port of one listener, as long as miners are taken there.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::splitting::Splitting;
use crate::config::Name;
use crate::downstream::{Conditions, run_listener};

/// An open port, until it is stopped.
pub(super) struct Door {
    pub(super) configured: SocketAddr,
    pub(super) shared: bool,
    /// It was given, and not opened here.
    pub(super) given: bool,
    pub(super) socket: Weak<TcpListener>,
    pub(super) stop: CancellationToken,
}

impl Door {
    /// Another socket is taken connections from.
    pub(super) fn close(&self, name: &Name, by: &Arc<TcpListener>) {
        self.stop.cancel();
        if self.socket.as_ptr() != Arc::as_ptr(by) {
            self.warn_if_given(name);
        }
    }

    pub(super) fn warn_if_given(&self, name: &Name) {
        if self.given {
            warn!(
                listener = %name,
                address = %self.configured,
                "the port is closed here, but it was given: whoever holds it, such as systemd for adit.socket, keeps it open, and \
                 connections wait there for nobody until it is closed there, too"
            );
        }
    }
}

/// Lets miners in as soon as it is known how their extranonce is split, and they may come.
pub(super) async fn let_in(
    socket: Arc<TcpListener>,
    conditions: Arc<Conditions>,
    (splitting, gate): (Option<Splitting>, CancellationToken),
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    if let Some(splitting) = splitting {
        let Some(split) = stop.run_until_cancelled(splitting.split()).await else { return };
        conditions.change(|context| {
            let policy = Arc::make_mut(&mut context.policy);
            (policy.extranonce1_size, policy.extranonce2_size) = (split.extranonce1, split.extranonce2);
            context.figures.split.set((split.extranonce1, split.extranonce2));
        });
    }
    if stop.run_until_cancelled(gate.cancelled()).await.is_none() {
        return;
    }
    run_listener(socket, conditions, tasks, stop).await;
}
