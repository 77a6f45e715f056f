//! What holds for a listener's connections that come from now on: what a reload changes of it disturbs nobody who is connected.

use std::sync::{Arc, Mutex, PoisonError};

use super::context::ListenerContext;

/// The newest context of a listener. Each connection keeps the one that it came under.
pub struct Conditions(Mutex<Arc<ListenerContext>>);

impl Conditions {
    /// Begins with these.
    #[must_use]
    pub fn new(context: ListenerContext) -> Self {
        Self(Mutex::new(Arc::new(context)))
    }

    /// Those in force.
    #[must_use]
    pub fn current(&self) -> Arc<ListenerContext> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes them for whoever comes from now on.
    pub fn change(&self, change: impl FnOnce(&mut ListenerContext)) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut context = ListenerContext::clone(&current);
        change(&mut context);
        *current = Arc::new(context);
    }
}
