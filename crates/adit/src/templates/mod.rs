//! Templates: one provider for each `[template.NAME]` that a source uses, a board that shows what each has, and a hub
//! for each source that says which of them to mine on.
//!
//! All of it runs on the upstream thread, and nothing that miners send can delay it.

mod board;
mod hub;
mod providers;
mod transactions;

pub use board::ProviderNews;
pub use hub::{HubNews, TemplateHub};
pub use providers::{Providers, TemplateOrigin, TemplateSettings};
