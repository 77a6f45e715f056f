//! What a share was worth: what blocks paid, over how hard they were to find.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use ledger::record::Network;

/// A span in milliseconds, and what was found for it.
type Asked = (Range<u64>, Option<f64>);

/// Satoshi for each difficulty, over time, as the sources' jobs had it.
#[derive(Debug, Default)]
pub(super) struct Prices {
    by_source: BTreeMap<String, Vec<(u64, f64)>>,
    all: Vec<(u64, f64)>,
    /// What was last asked of each source: rows of one span come one after the other.
    last: RefCell<BTreeMap<Box<str>, Asked>>,
}

impl Prices {
    pub(super) fn note(&mut self, network: Network) {
        let (Some(worth), Some(difficulty)) = (network.worth(), network.difficulty()) else { return };
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let price = worth as f64 / difficulty;
        if price.is_finite() {
            self.all.push((network.at_ms, price));
            self.by_source.entry(network.source).or_default().push((network.at_ms, price));
        }
    }

    pub(super) fn sort(&mut self) {
        let by_time = |a: &(u64, f64), b: &(u64, f64)| a.0.cmp(&b.0);
        self.all.sort_by(by_time);
        self.by_source.values_mut().for_each(|prices| prices.sort_by(by_time));
    }

    /// The price over a span, on average, by a source's jobs, or where it had none by anybody's.
    pub(super) fn over(&self, source: &str, span: &Range<u64>) -> Option<f64> {
        let mut last = self.last.borrow_mut();
        if let Some((of, price)) = last.get(source)
            && of == span
        {
            return *price;
        }
        let price = average(self.by_source.get(source).unwrap_or(&self.all), span);
        last.insert(source.into(), (span.clone(), price));
        price
    }
}

/// Each price holds until the next; the first also before.
fn average(prices: &[(u64, f64)], span: &Range<u64>) -> Option<f64> {
    let first = prices.partition_point(|(at, _)| *at <= span.start).saturating_sub(1);
    let (mut since, (_, mut price)) = (span.start, *prices.get(first)?);
    let mut sum = 0.0;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a span")]
    let mut until = |at: u64, next: f64| {
        sum += (at - since) as f64 * std::mem::replace(&mut price, next);
        since = at;
    };
    for (at, next) in &prices[first + 1..] {
        if *at >= span.end {
            break;
        }
        if *at > span.start {
            until(*at, *next);
        }
    }
    until(span.end.max(span.start), 0.0);
    let length = span.end.saturating_sub(span.start);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a span")]
    let average = sum / length as f64;
    if length > 0 { Some(average) } else { Some(prices[first].1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_holds_until_the_next_one() {
        let prices = [(100, 1.0), (200, 3.0), (300, 9.0)];
        assert_eq!(average(&prices, &(100..200)), Some(1.0));
        assert_eq!(average(&prices, &(150..250)), Some(2.0));
        assert_eq!(average(&prices, &(0..200)), Some(1.0), "the first also before");
        assert_eq!(average(&prices, &(200..400)), Some(6.0));
        assert_eq!(average(&prices, &(500..600)), Some(9.0));
        assert_eq!(average(&prices, &(200..200)), Some(3.0));
        assert_eq!(average(&[], &(0..1)), None);
    }
}
