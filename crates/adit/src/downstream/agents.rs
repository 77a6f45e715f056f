//! What miners call themselves: few different texts, so each is kept once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Different texts that are kept; a miner that says yet another one is of an unknown kind.
const MAX_AGENTS: usize = 1_024;

/// User agents that have been seen. Touched when a miner joins.
#[derive(Debug, Default)]
pub struct Agents(Mutex<HashSet<Arc<str>>>);

impl Agents {
    /// The one text of all miners that say the same.
    #[must_use]
    pub fn keep(&self, agent: &str) -> Option<Arc<str>> {
        let mut agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = agents.get(agent) {
            return Some(Arc::clone(known));
        }
        if agents.len() >= MAX_AGENTS {
            // Those that nobody uses any more make room.
            agents.retain(|agent| Arc::strong_count(agent) > 1);
        }
        if agents.len() >= MAX_AGENTS || agent.is_empty() {
            return None;
        }
        let agent: Arc<str> = Arc::from(agent);
        agents.insert(Arc::clone(&agent));
        Some(agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_kept_once_and_not_too_many() {
        let agents = Agents::default();
        let (a, b) = (agents.keep("cgminer/4.12"), agents.keep("cgminer/4.12"));
        assert!(Arc::ptr_eq(&a.expect("kept"), &b.expect("kept")));
        let held: Vec<_> = (0..MAX_AGENTS * 2).filter_map(|n| agents.keep(&format!("a{n}"))).collect();
        assert_eq!(held.len(), MAX_AGENTS);
        assert_eq!(agents.keep("one more"), None);
        drop(held);
        assert!(agents.keep("one more").is_some(), "the others have gone");
        assert_eq!(agents.keep(""), None);
    }
}
