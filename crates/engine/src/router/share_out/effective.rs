//! What part of the work each goal should have now.

/// What a goal may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Its part of the whole, relative to the others' weights. With 0 it gets work only while no other is there.
    pub weight: f64,
    /// No more hashes per second than these.
    pub hashrate_max: Option<f64>,
}

/// Each goal's part of the whole, between 0 and 1, all together 1 if any is present: in proportion to the weights of
/// those that are present, and what one may not have because of its cap goes to the others. If all are at their caps,
/// they carry the rest in proportion: somebody has to.
pub(super) fn effective(shares: &[(Share, bool)], hashrate: f64) -> Vec<f64> {
    let present = || shares.iter().filter(|(_, present)| *present);
    let nobody = !present().any(|(share, _)| share.weight > 0.0);
    let weight = |at: usize| match shares.get(at) {
        Some((_, false)) | None => 0.0,
        Some((_, true)) if nobody => 1.0,
        Some((share, true)) => share.weight,
    };
    let cap = |at: usize| {
        let max = shares.get(at)?.0.hashrate_max?;
        (hashrate > 0.0).then(|| max / hashrate)
    };
    let mut fixed: Vec<Option<f64>> = shares.iter().map(|(_, present)| (!present).then_some(0.0)).collect();
    loop {
        let free: f64 = (0..shares.len()).filter(|at| fixed[*at].is_none()).map(weight).sum();
        let left = 1.0 - fixed.iter().flatten().sum::<f64>();
        if free <= 0.0 {
            break;
        }
        let part = |at: usize| weight(at) / free * left;
        let over =
            (0..shares.len()).find(|at| fixed[*at].is_none() && cap(*at).is_some_and(|c| part(*at) > c));
        match over {
            Some(at) => fixed[at] = cap(at),
            None => return (0..shares.len()).map(|at| fixed[at].unwrap_or_else(|| part(at))).collect(),
        }
    }
    // Every one with a weight is at its cap: a present one without a weight takes the rest, else all together.
    let sum: f64 = fixed.iter().flatten().sum();
    let unweighted: Vec<usize> = (0..shares.len()).filter(|at| fixed[*at].is_none()).collect();
    (0..shares.len())
        .map(|at| match fixed[at] {
            None => (1.0 - sum).max(0.0) / unweighted.len() as f64,
            Some(part) if unweighted.is_empty() && sum > 0.0 => part / sum,
            Some(part) => part,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weights: &[(f64, Option<f64>, bool)], hashrate: f64) -> Vec<f64> {
        let shares: Vec<_> = weights
            .iter()
            .map(|(weight, max, present)| (Share { weight: *weight, hashrate_max: *max }, *present))
            .collect();
        effective(&shares, hashrate)
    }

    fn close(found: &[f64], wanted: &[f64]) {
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}, not {wanted:?}");
    }

    #[test]
    fn those_that_are_there_share_what_the_others_would_have() {
        close(&of(&[(70.0, None, true), (20.0, None, true), (10.0, None, true)], 1e15), &[0.7, 0.2, 0.1]);
        close(
            &of(&[(70.0, None, false), (20.0, None, true), (10.0, None, true)], 1e15),
            &[0.0, 2.0 / 3.0, 1.0 / 3.0],
        );
        close(&of(&[(70.0, None, false), (20.0, None, false)], 1e15), &[0.0, 0.0]);
    }

    #[test]
    fn one_without_weight_works_only_when_no_other_is_there() {
        close(&of(&[(1.0, None, true), (0.0, None, true)], 1e15), &[1.0, 0.0]);
        close(&of(&[(1.0, None, false), (0.0, None, true)], 1e15), &[0.0, 1.0]);
    }

    #[test]
    fn what_a_cap_keeps_from_one_goes_to_the_others() {
        close(
            &of(&[(50.0, Some(1e14), true), (30.0, None, true), (20.0, None, true)], 1e15),
            &[0.1, 0.54, 0.36],
        );
        close(&of(&[(50.0, Some(1e14), true), (50.0, Some(3e14), true)], 1e15), &[0.25, 0.75]);
        close(&of(&[(50.0, Some(1e14), true), (0.0, None, true)], 1e15), &[0.1, 0.9]);
        close(&of(&[(50.0, Some(1e14), true), (50.0, None, true)], 0.0), &[0.5, 0.5]);
    }
}
