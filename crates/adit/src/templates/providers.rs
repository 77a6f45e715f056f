//! Starts providers and puts on the board what they tell.

use std::collections::VecDeque;
use std::sync::Arc;

use template::core_ipc::{self, CoreIpcSettings};
use template::rpc::{self, RpcSettings};
use template::sv2_tp::{self, TpSettings};
use template::{Offered, ProviderEvent, ProviderHandle, ProviderOrders};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};
use work::CoinbaseConstraints;

use super::board::ProviderNews;
use super::hub::TemplateHub;
use super::transactions::Transactions;
use crate::clock::Clock;

/// Templates whose transactions may still come. A provider tells them right after the template.
const AWAITED: usize = 4;

/// Where templates come from.
pub enum TemplateOrigin {
    /// Bitcoin Core's IPC interface.
    BitcoinIpc(CoreIpcSettings),
    /// A node's RPC.
    BitcoinRpc(RpcSettings),
    /// SV2's Template Distribution.
    TemplateProvider(TpSettings),
    /// A provider that runs in this process already.
    Embedded(ProviderHandle),
}

/// A `[template.NAME]`.
pub struct TemplateSettings {
    /// Its name.
    pub name: String,
    /// Where its templates come from.
    pub origin: TemplateOrigin,
}

/// All providers, running; they end when this and every hub is dropped.
#[derive(Debug)]
pub struct Providers {
    names: Vec<String>,
    orders: Vec<ProviderOrders>,
    board: watch::Receiver<Vec<ProviderNews>>,
    clock: Clock,
}

impl Providers {
    /// Starts a provider for each, on the current runtime; a provider's number is its place here. A node that is not
    /// there yet is no error.
    ///
    /// # Errors
    /// The system's, when there can be no thread.
    pub fn start(settings: Vec<TemplateSettings>, clock: Clock) -> std::io::Result<Self> {
        let news = |template: &TemplateSettings| ProviderNews {
            name: template.name.clone(),
            ..ProviderNews::default()
        };
        let (to, board) = watch::channel(settings.iter().map(news).collect());
        let to = Arc::new(to);
        let mut providers = Self { names: Vec::new(), orders: Vec::new(), board, clock };
        for (number, TemplateSettings { name, origin }) in settings.into_iter().enumerate() {
            let ProviderHandle { events, orders } = match origin {
                TemplateOrigin::BitcoinIpc(settings) => core_ipc::start(settings)?,
                TemplateOrigin::BitcoinRpc(settings) => rpc::start(settings),
                TemplateOrigin::TemplateProvider(settings) => sv2_tp::start(settings)?,
                TemplateOrigin::Embedded(handle) => handle,
            };
            let listener = Listener {
                number,
                name: name.clone(),
                board: Arc::clone(&to),
                clock,
                awaited: VecDeque::with_capacity(AWAITED),
                transactions: Transactions::default(),
            };
            tokio::spawn(listener.run(events));
            providers.names.push(name);
            providers.orders.push(orders);
        }
        Ok(providers)
    }

    /// What each has.
    #[must_use]
    pub fn board(&self) -> watch::Receiver<Vec<ProviderNews>> {
        self.board.clone()
    }

    /// The way to each.
    #[must_use]
    pub fn orders(&self) -> Vec<(String, ProviderOrders)> {
        self.names.iter().cloned().zip(self.orders.iter().cloned()).collect()
    }

    /// A hub over the providers with these numbers, the preferred one first, for a source whose coinbase needs this
    /// room. They are told of it: several sources on one provider get the most that any needs.
    #[must_use]
    pub fn hub(&self, order: &[usize], needed: CoinbaseConstraints) -> TemplateHub {
        let orders: Vec<ProviderOrders> =
            order.iter().filter_map(|number| self.orders.get(*number)).cloned().collect();
        orders.iter().for_each(|orders| orders.constrain(needed));
        let named = order.iter().filter_map(|number| Some((*number, self.names.get(*number)?.clone())));
        TemplateHub::new(named, needed, orders, self.board.clone(), self.clock)
    }
}

/// Hears one provider.
struct Listener {
    number: usize,
    name: String,
    board: Arc<watch::Sender<Vec<ProviderNews>>>,
    clock: Clock,
    /// Newest last.
    awaited: VecDeque<Arc<Offered>>,
    transactions: Transactions,
}

impl Listener {
    /// Until the provider ends, or nobody looks at the board any more.
    async fn run(mut self, mut events: mpsc::Receiver<ProviderEvent>) {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.hear(event),
                    None => return,
                },
                () = self.board.closed() => return,
            }
        }
    }

    fn hear(&mut self, event: ProviderEvent) {
        let now = self.clock.now().mono;
        match event {
            ProviderEvent::Up { what } => {
                info!(template = self.name, %what, "template provider is up");
                self.change(|news| {
                    news.up = Some(what);
                    news.since = now;
                });
            }
            ProviderEvent::Template(mut template) => {
                debug!(
                    template = self.name,
                    id = template.template_id,
                    height = template.coinbase.height(),
                    value = template.coinbase.value_remaining,
                    "template"
                );
                if let Some(list) = template.transactions.clone() {
                    Arc::make_mut(&mut template).transactions = Some(self.transactions.share(list));
                }
                let offered = Arc::new(Offered::new(self.number, template));
                if self.awaited.len() == AWAITED {
                    self.awaited.pop_front();
                }
                self.awaited.push_back(Arc::clone(&offered));
                self.change(|news| {
                    news.newest = Some(offered);
                    news.newest_at = now;
                    news.templates += 1;
                });
            }
            ProviderEvent::Transactions { template_id, transactions } => {
                let of = self.awaited.iter().rev().find(|of| of.template().template_id == template_id);
                if let Some(of) = of {
                    of.fill(self.transactions.share(transactions));
                    // Whoever waits for them looks again.
                    self.change(|_| ());
                }
            }
            ProviderEvent::Down { why, again_in } => {
                let known = self.board.borrow().get(self.number).is_some_and(|news| news.why_down == why);
                let was_up = self.board.borrow().get(self.number).is_some_and(|news| news.up.is_some());
                if was_up || !known {
                    warn!(template = self.name, reason = %why, ?again_in, "template provider is down");
                }
                self.change(|news| {
                    if news.up.take().is_some() {
                        news.losses += 1;
                        news.since = now;
                    }
                    news.newest = None;
                    news.why_down = why;
                });
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut ProviderNews)) {
        self.board.send_modify(|board| {
            if let Some(news) = board.get_mut(self.number) {
                change(news);
            }
        });
    }
}
