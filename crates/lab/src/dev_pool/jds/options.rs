//! How the server behaves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use template::dev_chain::DevTemplate;

use super::JdsFaults;
use crate::dev_pool::options::BadOption;

/// Most bytes of a list of outputs in a message.
const MAX_OUTPUTS: usize = 65_535;

/// What kind of connections the server takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JdsMode {
    /// Those that reveal their transactions, as the reference does.
    FullTemplate,
    /// Those that take tokens only.
    CoinbaseOnly,
    /// Both.
    #[default]
    Both,
}

/// How the server behaves. The default suits the demo.
#[derive(Clone, Debug)]
pub struct JdsOptions {
    /// Where it listens; port 0: any free one.
    pub listen: SocketAddr,
    /// What it takes.
    pub mode: JdsMode,
    /// Scripts of the outputs that it wants in coinbases, at least one; the first is the pool's payout. As many as
    /// AllocateMiningJobToken.Success can carry.
    pub outputs: Vec<Vec<u8>>,
    /// Whether the pool's payout must get the whole reward. If not, it must get something.
    pub whole_reward: bool,
    /// A token that was not used for this long is none any more. The reference's is ten minutes.
    pub allocated_token_time: Duration,
    /// As above, for the token of a declared job. The reference's is 10 s.
    pub active_token_time: Duration,
    /// Tokens of one connection at a time; a further one makes the oldest invalid.
    pub max_tokens: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// What it does wrong from the beginning.
    pub faults: JdsFaults,
}

impl Default for JdsOptions {
    fn default() -> Self {
        JdsOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            mode: JdsMode::default(),
            outputs: vec![DevTemplate::anyone_can_spend().into_bytes()],
            whole_reward: true,
            allocated_token_time: Duration::from_secs(600),
            active_token_time: Duration::from_secs(10),
            max_tokens: 64,
            max_connections: 100,
            faults: JdsFaults::default(),
        }
    }
}

impl JdsOptions {
    pub(in crate::dev_pool) fn check(&self) -> Result<(), BadOption> {
        let bad = |option, got: usize, expected| Err(BadOption { option, got: got.to_string(), expected });
        if self.outputs.is_empty() {
            return bad("jds.outputs", 0, "a script at least");
        }
        // Value, and two lengths of at most three bytes.
        let bytes = self.outputs.iter().fold(3_usize, |sum, script| sum.saturating_add(script.len() + 11));
        if bytes > MAX_OUTPUTS {
            return bad("jds.outputs", bytes, "scripts that fit 65535 bytes with their values and lengths");
        }
        if !(1..=10_000).contains(&self.max_tokens) {
            return bad("jds.max_tokens", self.max_tokens, "1 to 10000");
        }
        if !(1..=10_000).contains(&self.max_connections) {
            return bad("jds.max_connections", self.max_connections, "1 to 10000");
        }
        Ok(())
    }
}
