//! The declarator server without its sockets, for fuzzing: one client at a time, frames in and frames out.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sv2::FrameHeader;
use template::dev_chain::{DevChain, DevTemplate, Tip};

use super::jds::{Declarator, Jds};
use super::{BadOption, DevPoolError, DevPoolKeys, DevPoolOptions, JdsFaults, JdsStats, Shared, unix_now};

/// A pool with a declarator server that nobody can connect to but who holds this.
pub struct LoneDeclarator {
    shared: Arc<Shared>,
    jds: Arc<Jds>,
    client: Declarator,
    connections: u64,
}

impl std::fmt::Debug for LoneDeclarator {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("LoneDeclarator").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl LoneDeclarator {
    /// A server with a first connection.
    ///
    /// # Errors
    /// When an option is out of its range, or there is no server among them.
    pub fn new(options: DevPoolOptions) -> Result<Self, DevPoolError> {
        options.check()?;
        let mut chain = DevChain::new(options.chain.clone())?;
        let template = chain.template(unix_now());
        let shared = Arc::new(Shared::new(options, DevPoolKeys::random(), chain, None, template)?);
        let expected = "a declarator server";
        let none = || BadOption { option: "jds", got: "none".to_owned(), expected };
        let jds = Arc::clone(shared.jds.as_ref().ok_or_else(none)?);
        let client = Declarator::new(Arc::clone(&shared), Arc::clone(&jds), 1);
        Ok(Self { shared, jds, client, connections: 1 })
    }

    /// A new connection, in the place of the one before.
    pub fn connect(&mut self) {
        self.connections += 1;
        self.client = Declarator::new(Arc::clone(&self.shared), Arc::clone(&self.jds), self.connections);
    }

    /// Handles a frame; what is to be sent is appended to `out`.
    ///
    /// # Errors
    /// Why the connection ends.
    pub fn frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), String> {
        self.client.on_frame(header, payload, now, out).map_err(|hangup| hangup.to_string())
    }

    /// A new template on the tip, with a transaction that the server has not seen.
    #[must_use]
    pub fn template(&self) -> Arc<DevTemplate> {
        self.shared.chain().detached_template(unix_now())
    }

    /// Lets a block be found elsewhere.
    pub fn new_tip(&self) -> Tip {
        self.shared.new_tip()
    }

    /// What the server does wrong from now on.
    pub fn set_faults(&self, faults: JdsFaults) {
        self.jds.set_faults(faults);
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> JdsStats {
        self.jds.counters.snapshot()
    }
}
