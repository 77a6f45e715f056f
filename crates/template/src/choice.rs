//! Which of several providers' templates a source mines on.
//!
//! A plain state machine: what providers give goes in, what the source is to use comes out. A new tip is used at once,
//! whoever has it first; on one tip the provider that comes first in the configured order wins; one that lags is passed
//! over; and a better one that has left a tip by a reorganisation takes that tip away from those that come after it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use work::CoinbaseConstraints;

use crate::Offered;

/// How long the last template is mined on after every provider that knows its tip is down. Work on an old tip is worth
/// nothing, and a tip is old after ten minutes in the middle: 2.5 % of it in this time. A node's service comes back
/// within it; a fall-back to a pool and back costs more than that when it does, and no longer when it does not.
pub const TEMPLATE_GRACE: Duration = Duration::from_secs(15);
/// Tips that a provider has left, remembered.
const LEFT: usize = 8;

/// What a source is to do.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// Use this template.
    Template(Arc<Offered>),
    /// Stop: nobody has given a template of the tip for too long, for this reason.
    Lost(String),
}

#[derive(Debug)]
struct Provider {
    number: usize,
    name: String,
    /// While it is up.
    newest: Option<Arc<Offered>>,
    /// Tips that it stood on and left without going higher, newest last.
    left: VecDeque<[u8; 32]>,
    why_down: String,
}

/// See the module.
#[derive(Debug)]
pub struct TemplateChoice {
    needed: CoinbaseConstraints,
    grace: Duration,
    /// In the order of preference.
    providers: Vec<Provider>,
    using: Option<Arc<Offered>>,
    /// Since when no provider that is up has gone as far as the template in use.
    alone_since: Option<Duration>,
}

impl TemplateChoice {
    /// A choice among providers, given by number and name in the order of preference, for a source whose coinbase needs
    /// this room.
    #[must_use]
    pub fn new(
        providers: impl IntoIterator<Item = (usize, String)>,
        needed: CoinbaseConstraints,
        grace: Duration,
    ) -> Self {
        let provider = |(number, name)| Provider {
            number,
            name,
            newest: None,
            left: VecDeque::new(),
            why_down: "no template yet".to_owned(),
        };
        let providers = providers.into_iter().map(provider).collect();
        Self { needed, grace, providers, using: None, alone_since: None }
    }

    /// The template in use.
    #[must_use]
    pub fn using(&self) -> Option<&Arc<Offered>> {
        self.using.as_ref()
    }

    /// Why each provider that gives nothing gives nothing.
    #[must_use]
    pub fn why(&self) -> String {
        let down = self.providers.iter().filter(|provider| provider.newest.is_none());
        let reasons = down.map(|provider| format!("{}: {}", provider.name, provider.why_down));
        reasons.collect::<Vec<_>>().join("; ")
    }

    /// When [`TemplateChoice::timer`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.alone_since.map(|since| since + self.grace)
    }

    /// The source's coinbase needs this much room from now on. Templates with less are not used any more.
    pub fn require(&mut self, needed: CoinbaseConstraints, now: Duration) -> Option<Chosen> {
        self.needed = needed;
        for provider in &mut self.providers {
            if let Some(small) = provider.newest.take_if(|newest| !newest.template().constraints.hold(needed))
            {
                provider.why_down = too_small(small.template().constraints, needed);
            }
        }
        self.choose(now)
    }

    /// A provider has given a template.
    pub fn template(&mut self, offered: Arc<Offered>, now: Duration) -> Option<Chosen> {
        let provider = self.providers.iter_mut().find(|provider| provider.number == offered.provider())?;
        let (room, needed) = (offered.template().constraints, self.needed);
        if room.hold(needed) {
            if let Some(last) = &provider.newest
                && tip(last) != tip(&offered)
                && height(last) >= height(&offered)
            {
                if provider.left.len() == LEFT {
                    provider.left.pop_front();
                }
                provider.left.push_back(tip(last));
            }
            provider.left.retain(|left| *left != tip(&offered));
            provider.newest = Some(offered);
        } else {
            provider.newest = None;
            provider.why_down = too_small(room, needed);
        }
        self.choose(now)
    }

    /// A provider gives no templates any more.
    pub fn down(&mut self, number: usize, why: String, now: Duration) -> Option<Chosen> {
        let provider = self.providers.iter_mut().find(|provider| provider.number == number)?;
        provider.newest = None;
        provider.why_down = why;
        self.choose(now)
    }

    /// The deadline has come.
    pub fn timer(&mut self, now: Duration) -> Option<Chosen> {
        self.choose(now)
    }

    fn choose(&mut self, now: Duration) -> Option<Chosen> {
        let best = self.best();
        let Some(using) = &self.using else { return best.map(|best| self.take(best)) };
        if best.as_ref().is_some_and(|best| Arc::ptr_eq(best, using)) {
            self.alone_since = None;
            return None;
        }
        // The provider in use has gone, and nobody else is as far: it may be back in a moment.
        let giver = self.providers.iter().find(|provider| provider.number == using.provider());
        let alone = giver.is_none_or(|giver| giver.newest.is_none())
            && best.as_ref().is_none_or(|best| height(best) < height(using));
        let patient = alone && now < *self.alone_since.get_or_insert(now) + self.grace;
        match best {
            _ if patient => None,
            Some(best) => Some(self.take(best)),
            None => {
                (self.using, self.alone_since) = (None, None);
                Some(Chosen::Lost(self.why()))
            }
        }
    }

    fn take(&mut self, best: Arc<Offered>) -> Chosen {
        self.alone_since = None;
        self.using = Some(Arc::clone(&best));
        Chosen::Template(best)
    }

    /// The highest that no better provider has left; of several, the first in the order.
    fn best(&self) -> Option<Arc<Offered>> {
        let mut best: Option<&Arc<Offered>> = None;
        for (at, provider) in self.providers.iter().enumerate() {
            let Some(newest) = &provider.newest else { continue };
            let better = self.providers[..at].iter().filter(|better| better.newest.is_some());
            let left = better.flat_map(|better| &better.left).any(|left| *left == tip(newest));
            if !left && best.is_none_or(|best| height(newest) > height(best)) {
                best = Some(newest);
            }
        }
        best.cloned()
    }
}

fn tip(offered: &Offered) -> [u8; 32] {
    offered.template().prev_hash
}

/// Without BIP 34's height a template is as good as the lowest.
fn height(offered: &Offered) -> u32 {
    offered.template().coinbase.height().unwrap_or(0)
}

fn too_small(room: CoinbaseConstraints, needed: CoinbaseConstraints) -> String {
    format!(
        "its templates leave {} bytes and {} signature operations for the coinbase's outputs, {} and {} are needed",
        room.additional_size, room.additional_sigops, needed.additional_size, needed.additional_sigops
    )
}

#[cfg(test)]
mod tests {
    use work::coinbase::CoinbaseTemplate;
    use work::{Template, TemplateParts};

    use super::*;

    const NEEDED: CoinbaseConstraints = CoinbaseConstraints { additional_size: 100, additional_sigops: 4 };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn roomy(provider: usize, id: u64, height: u8, tip: u8, room: CoinbaseConstraints) -> Arc<Offered> {
        let parts = TemplateParts {
            template_id: id,
            prev_hash: [tip; 32],
            version: 0x2000_0000,
            min_ntime: 1_700_000_000,
            nbits: 0x207f_ffff,
            coinbase: CoinbaseTemplate {
                tx_version: 2,
                prefix: vec![1, height].into(),
                input_sequence: u32::MAX,
                value_remaining: 5_000,
                outputs: Vec::new(),
                locktime: 0,
                witness_reserved_value: None,
            },
            merkle_path: Some(Box::default()),
            transactions: None,
            constraints: room,
        };
        Arc::new(Offered::new(provider, Arc::new(Template::new(parts).expect("a template"))))
    }

    fn offered(provider: usize, id: u64, height: u8, tip: u8) -> Arc<Offered> {
        roomy(provider, id, height, tip, NEEDED)
    }

    /// Provider 7 is preferred to provider 2.
    fn choice() -> TemplateChoice {
        let providers = [(7, "first".to_owned()), (2, "second".to_owned())];
        TemplateChoice::new(providers, NEEDED, s(15))
    }

    /// The template that was chosen, if one was.
    fn id(chosen: Option<Chosen>) -> Option<u64> {
        match chosen? {
            Chosen::Template(offered) => Some(offered.template().template_id),
            Chosen::Lost(why) => panic!("lost: {why}"),
        }
    }

    #[test]
    fn a_new_tip_is_used_at_once_and_on_one_tip_the_preferred_provider_wins() {
        let mut choice = choice();
        assert_eq!(id(choice.template(offered(2, 1, 50, 1), s(0))), Some(1), "anything beats nothing");
        assert_eq!(
            id(choice.template(offered(7, 2, 50, 1), s(0))),
            Some(2),
            "the preferred one, on the same tip"
        );
        assert_eq!(id(choice.template(offered(2, 3, 50, 1), s(1))), None, "a better template of the other");
        assert_eq!(id(choice.template(offered(7, 4, 50, 1), s(1))), Some(4), "a better one of its own");
        assert_eq!(id(choice.template(offered(2, 5, 51, 2), s(2))), Some(5), "the other sees the tip first");
        assert_eq!(id(choice.template(offered(7, 6, 50, 1), s(2))), None, "and the preferred one lags");
        assert_eq!(id(choice.template(offered(7, 7, 51, 2), s(3))), Some(7), "until it is there");
        assert_eq!(id(choice.template(offered(2, 8, 51, 9), s(3))), None, "a competing block of the other");
    }

    #[test]
    fn the_preferred_provider_says_what_a_reorganisation_is() {
        let mut choice = choice();
        choice.template(offered(7, 1, 50, 1), s(0));
        choice.template(offered(2, 2, 50, 1), s(0));
        // The tip goes A, B, A, B; the other provider stands on A all the time, then on B.
        assert_eq!(id(choice.template(offered(7, 3, 50, 2), s(1))), Some(3));
        assert_eq!(id(choice.template(offered(2, 4, 50, 1), s(1))), None, "A is left");
        assert_eq!(id(choice.template(offered(7, 5, 50, 1), s(2))), Some(5));
        assert_eq!(id(choice.template(offered(2, 6, 50, 2), s(2))), None, "now B is");
        // Down to a lower block: the other one is higher, on a tip that was left.
        assert_eq!(id(choice.template(offered(7, 7, 49, 3), s(3))), Some(7));
        assert_eq!(id(choice.template(offered(2, 8, 50, 1), s(3))), None);
        // A block that nobody has left is a new tip again.
        assert_eq!(id(choice.template(offered(2, 9, 51, 4), s(4))), Some(9));
        // And what the other one leaves is its own affair.
        assert_eq!(id(choice.template(offered(7, 10, 51, 4), s(5))), Some(10));
        assert_eq!(id(choice.template(offered(2, 11, 50, 5), s(5))), None);
    }

    #[test]
    fn the_next_provider_takes_over_at_once_if_it_is_as_far_and_after_the_grace_if_not() {
        let mut choice = choice();
        choice.template(offered(2, 1, 50, 1), s(0));
        choice.template(offered(7, 2, 50, 1), s(0));
        assert_eq!(id(choice.down(7, "gone".to_owned(), s(1))), Some(1), "it is on the same tip");
        assert_eq!(id(choice.template(offered(7, 3, 51, 2), s(2))), Some(3));
        assert_eq!(id(choice.down(7, "gone".to_owned(), s(3))), None, "the other one is behind");
        assert_eq!(choice.deadline(), Some(s(18)));
        assert_eq!(id(choice.timer(s(17))), None);
        assert_eq!(id(choice.timer(s(18))), Some(1), "better behind than nothing");
        assert_eq!((choice.deadline(), choice.using().map(|using| using.provider())), (None, Some(2)));
    }

    #[test]
    fn a_short_absence_is_not_noticed_and_a_long_one_is_told_with_reasons() {
        let mut choice = choice();
        choice.template(offered(7, 1, 50, 1), s(0));
        assert!(choice.down(7, "refused".to_owned(), s(10)).is_none());
        assert_eq!(id(choice.template(offered(7, 2, 50, 1), s(12))), Some(2), "back within the grace");
        assert_eq!(choice.deadline(), None);
        assert!(choice.down(7, "refused".to_owned(), s(20)).is_none());
        assert!(choice.down(7, "refused again".to_owned(), s(30)).is_none(), "the grace does not begin anew");
        let Some(Chosen::Lost(why)) = choice.timer(s(35)) else { panic!("the grace is over") };
        assert_eq!(why, "first: refused again; second: no template yet");
        assert!(choice.using().is_none() && choice.deadline().is_none());
        assert!(choice.down(7, "still".to_owned(), s(40)).is_none(), "told once");
        assert_eq!(id(choice.template(offered(7, 3, 50, 1), s(41))), Some(3));
    }

    #[test]
    fn templates_without_room_for_the_outputs_are_not_used() {
        let mut choice = choice();
        let small = CoinbaseConstraints { additional_size: 99, ..NEEDED };
        assert!(choice.template(roomy(7, 1, 50, 1, small), s(0)).is_none());
        assert!(choice.why().contains("leave 99 bytes and 4 signature operations"), "{}", choice.why());
        assert_eq!(id(choice.template(offered(7, 2, 50, 1), s(1))), Some(2));
        // On a new tip: the old one is not mined on for ever.
        assert!(choice.template(roomy(7, 3, 51, 2, small), s(2)).is_none());
        assert!(matches!(choice.timer(s(17)), Some(Chosen::Lost(_))));
    }

    #[test]
    fn a_source_that_needs_more_room_gives_up_what_is_too_narrow_and_takes_what_is_not() {
        let mut choice = choice();
        let wide = CoinbaseConstraints { additional_size: 500, additional_sigops: 40 };
        choice.template(roomy(2, 1, 50, 1, wide), s(0));
        assert_eq!(id(choice.template(offered(7, 2, 50, 1), s(0))), Some(2));
        assert_eq!(id(choice.require(wide, s(1))), Some(1), "the other one has the room");
        let wider = CoinbaseConstraints { additional_size: 501, ..wide };
        assert!(choice.require(wider, s(2)).is_none(), "the next template may have the room");
        assert_eq!(id(choice.template(roomy(7, 3, 50, 1, wider), s(3))), Some(3));
    }
}
