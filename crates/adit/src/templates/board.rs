//! What each provider has: the newest only, for whoever looks.

use std::sync::Arc;
use std::time::Duration;

use template::Offered;

/// A provider as it stands.
#[derive(Clone, Debug, Default)]
pub struct ProviderNews {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks to, while it is up.
    pub up: Option<String>,
    /// Why it was last down; empty if it never was.
    pub why_down: String,
    /// Since when it is up or down, on the process's clock.
    pub since: Duration,
    /// While it is up.
    pub newest: Option<Arc<Offered>>,
    /// When the newest came.
    pub newest_at: Duration,
    /// Templates, ever.
    pub templates: u64,
    /// Times that it went down after it had been up.
    pub losses: u64,
}
