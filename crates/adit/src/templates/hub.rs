//! A source's view of its providers: which template to mine on, and when its transactions are there.

use std::collections::VecDeque;
use std::sync::Arc;

use template::{Chosen, Offered, ProviderOrders, TEMPLATE_GRACE, TemplateChoice};
use tokio::sync::watch;
use work::{CoinbaseConstraints, Template};

use super::board::ProviderNews;
use crate::clock::Clock;

/// Templates whose jobs' blocks can still be made: as many as a source keeps jobs of.
const KEPT: usize = 32;

/// What a source hears of its templates.
#[derive(Clone, Debug)]
pub enum HubNews {
    /// Mine on this one from now on.
    Template(Arc<Offered>),
    /// The transactions of a template that was told without are there.
    Transactions(Arc<Offered>),
    /// There is none to mine on, for this reason; also told when there was none before, whenever the reason changes.
    Lost(String),
}

/// A provider as the hub saw it last.
struct Seen {
    number: usize,
    newest: Option<Arc<Offered>>,
    why_down: String,
}

/// See the module.
pub struct TemplateHub {
    board: watch::Receiver<Vec<ProviderNews>>,
    choice: TemplateChoice,
    /// In the order of preference.
    seen: Vec<Seen>,
    /// Templates that were told, newest last.
    kept: VecDeque<Arc<Offered>>,
    /// Of those, without their transactions when last looked at.
    unfilled: VecDeque<Arc<Offered>>,
    /// Not taken yet.
    news: VecDeque<HubNews>,
    /// The ways to them.
    orders: Vec<ProviderOrders>,
    clock: Clock,
}

impl TemplateHub {
    /// A hub over these providers, the preferred one first.
    pub(super) fn new(
        providers: impl IntoIterator<Item = (usize, String)>,
        needed: CoinbaseConstraints,
        orders: Vec<ProviderOrders>,
        mut board: watch::Receiver<Vec<ProviderNews>>,
        clock: Clock,
    ) -> Self {
        // What stands on the board already is news here.
        board.mark_changed();
        let providers: Vec<(usize, String)> = providers.into_iter().collect();
        let seen =
            |(number, _): &(usize, String)| Seen { number: *number, newest: None, why_down: String::new() };
        Self {
            seen: providers.iter().map(seen).collect(),
            choice: TemplateChoice::new(providers, needed, TEMPLATE_GRACE),
            board,
            orders,
            kept: VecDeque::new(),
            unfilled: VecDeque::new(),
            news: VecDeque::new(),
            clock,
        }
    }

    /// The next news; nothing is lost when this is dropped before its end.
    pub async fn next(&mut self) -> HubNews {
        loop {
            if let Some(news) = self.news.pop_front() {
                return news;
            }
            let deadline = self.choice.deadline().map(|deadline| self.clock.instant(deadline));
            let timer = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.board.changed() => match changed {
                    Ok(()) => self.look(),
                    // Every provider has ended: the process does.
                    Err(_) => std::future::pending().await,
                },
                () = timer => {
                    let chosen = self.choice.timer(self.clock.now().mono);
                    self.tell(chosen);
                }
            }
        }
    }

    /// The source's coinbase needs this much room from now on: templates with less are not told.
    pub fn require(&mut self, needed: CoinbaseConstraints) {
        for orders in &self.orders {
            orders.constrain(needed);
        }
        let chosen = self.choice.require(needed, self.clock.now().mono);
        self.tell(chosen);
    }

    /// The template with where it came from and its transactions, if it is one of the last that were told.
    #[must_use]
    pub fn offered(&self, template: &Arc<Template>) -> Option<Arc<Offered>> {
        self.kept.iter().rev().find(|kept| Arc::ptr_eq(kept.template(), template)).cloned()
    }

    fn look(&mut self) {
        let now = self.clock.now().mono;
        let board = self.board.borrow_and_update().clone();
        let (mut chosen, mut another_reason) = (None, false);
        for seen in &mut self.seen {
            let Some(news) = board.get(seen.number) else { continue };
            let said = match &news.newest {
                Some(newest) if seen.newest.as_ref().is_none_or(|last| !Arc::ptr_eq(last, newest)) => {
                    self.choice.template(Arc::clone(newest), now)
                }
                // It has never been up or down yet.
                None if news.why_down.is_empty() => None,
                None if seen.newest.is_some() || seen.why_down != news.why_down => {
                    another_reason = true;
                    self.choice.down(seen.number, news.why_down.clone(), now)
                }
                _ => None,
            };
            seen.newest.clone_from(&news.newest);
            seen.why_down.clone_from(&news.why_down);
            // What was said last holds.
            chosen = said.or(chosen);
        }
        if chosen.is_none() && another_reason && self.choice.using().is_none() {
            chosen = Some(Chosen::Lost(self.choice.why()));
        }
        self.tell(chosen);
        let filled = |offered: &Arc<Offered>| offered.transactions().is_some();
        for offered in self.unfilled.iter().filter(|offered| filled(offered)) {
            self.news.push_back(HubNews::Transactions(Arc::clone(offered)));
        }
        self.unfilled.retain(|offered| !filled(offered));
    }

    fn tell(&mut self, chosen: Option<Chosen>) {
        match chosen {
            Some(Chosen::Template(offered)) => {
                for list in [&mut self.kept, &mut self.unfilled] {
                    if list.len() == KEPT {
                        list.pop_front();
                    }
                }
                self.kept.push_back(Arc::clone(&offered));
                self.news.push_back(HubNews::Template(Arc::clone(&offered)));
                if offered.template().transactions.is_some() {
                    return;
                }
                // They may have come before the template was looked at: then nothing else will tell of them.
                if offered.transactions().is_some() {
                    self.news.push_back(HubNews::Transactions(offered));
                } else {
                    self.unfilled.push_back(offered);
                }
            }
            Some(Chosen::Lost(why)) => self.news.push_back(HubNews::Lost(why)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use work::TemplateParts;
    use work::coinbase::CoinbaseTemplate;

    use super::*;

    fn offered(provider: usize, id: u64, height: u8) -> Arc<Offered> {
        let parts = TemplateParts {
            template_id: id,
            prev_hash: [height; 32],
            version: 0x2000_0000,
            min_ntime: 1_700_000_000,
            nbits: 0x207f_ffff,
            coinbase: CoinbaseTemplate {
                tx_version: 2,
                prefix: vec![1, height].into(),
                input_sequence: u32::MAX,
                value_remaining: 50,
                outputs: Vec::new(),
                locktime: 0,
                witness_reserved_value: None,
            },
            merkle_path: Some(Box::default()),
            transactions: None,
            constraints: CoinbaseConstraints::default(),
        };
        Arc::new(Offered::new(provider, Arc::new(Template::new(parts).expect("a template"))))
    }

    /// The next news, in words.
    async fn said(hub: &mut TemplateHub) -> String {
        match hub.next().await {
            HubNews::Template(offered) => format!("template {}", offered.template().template_id),
            HubNews::Transactions(offered) => format!("transactions {}", offered.template().template_id),
            HubNews::Lost(why) => why,
        }
    }

    #[tokio::test]
    async fn a_source_hears_the_newest_template_its_transactions_and_why_there_is_none() {
        let (board, seen) = watch::channel(vec![ProviderNews::default(), ProviderNews::default()]);
        let needed = CoinbaseConstraints::default();
        let named = [(1, "near".to_owned()), (0, "far".to_owned())];
        let mut hub = TemplateHub::new(named, needed, Vec::new(), seen, Clock::start());

        board.send_modify(|board| board[1].why_down = "no socket".to_owned());
        assert_eq!(said(&mut hub).await, "near: no socket; far: no template yet");
        // Three come at once: only the newest of each counts, and the preferred provider's of the same tip.
        let (first, chosen) = (offered(1, 6, 50), offered(1, 7, 51));
        board.send_modify(|board| board[0].newest = Some(offered(0, 5, 51)));
        board.send_modify(|board| board[1].newest = Some(first));
        board.send_modify(|board| board[1].newest = Some(Arc::clone(&chosen)));
        assert_eq!(said(&mut hub).await, "template 7");
        assert!(hub.offered(chosen.template()).is_some_and(|found| Arc::ptr_eq(&found, &chosen)));
        chosen.fill(Arc::new([]));
        board.send_modify(|_| ());
        assert_eq!(said(&mut hub).await, "transactions 7");
        // Transactions that are there before anybody looks are told all the same, after their template.
        let quick = offered(1, 8, 51);
        board.send_modify(|board| board[1].newest = Some(Arc::clone(&quick)));
        quick.fill(Arc::new([]));
        board.send_modify(|_| ());
        assert_eq!(said(&mut hub).await, "template 8");
        assert_eq!(said(&mut hub).await, "transactions 8");
        // The other one is as far: no gap.
        board.send_modify(|board| board[1].newest = None);
        assert_eq!(said(&mut hub).await, "template 5");
    }
}
