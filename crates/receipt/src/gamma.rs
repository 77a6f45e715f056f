//! The gamma distribution: its probabilities and where they are reached.

/// `ln Γ(a)` for `a > 0`: Stirling's series, after as many steps up as it needs to be exact.
fn ln_gamma(a: f64) -> f64 {
    let mut product = 1.0;
    let mut a = a;
    while a < 12.0 {
        product *= a;
        a += 1.0;
    }
    let square = 1.0 / (a * a);
    let series = (1.0 / 12.0 + square * (-1.0 / 360.0 + square * (1.0 / 1_260.0 - square / 1_680.0))) / a;
    (a - 0.5) * a.ln() - a + 0.5 * core::f64::consts::TAU.ln() + series - product.ln()
}

/// The probability that a gamma number of shape `a` is at most `x`, `ln_gamma_a` being `ln Γ(a)`.
fn probability(a: f64, x: f64, ln_gamma_a: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = (a * x.ln() - x - ln_gamma_a).exp();
    if x < a + 1.0 {
        // The series of the lower part.
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (front * sum).min(1.0);
    }
    // The continued fraction of the upper part, by Lentz.
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut h = d;
    for n in 1..100_000 {
        let n = f64::from(n);
        let an = -n * (n - a);
        b += 2.0;
        let bottom = an * d + b;
        d = 1.0 / if bottom.abs() < 1e-300 { 1e-300 } else { bottom };
        let top = b + an / c;
        c = if top.abs() < 1e-300 { 1e-300 } else { top };
        let step = c * d;
        h *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    (1.0 - front * h).max(0.0)
}

/// Where a gamma number of shape `a` (and scale 1) is reached with probability `p`: half of the quantile of chi-square with
/// `2a` degrees of freedom.
pub(crate) fn quantile(a: f64, p: f64) -> f64 {
    let ln_gamma_a = ln_gamma(a);
    let (mut below, mut above) = (0.0, a + 20.0 * a.sqrt() + 100.0);
    // Wilson's and Hilferty's guess, with the normal quantile of 2.5 %; any other `p` takes some steps more.
    let normal = if p < 0.5 { -1.96 } else { 1.96 };
    let cube = 1.0 - 1.0 / (9.0 * a) + normal / (3.0 * a.sqrt());
    let mut x = (a * cube * cube * cube).clamp(1e-6 * a, above);
    for _ in 0..200 {
        let off = probability(a, x, ln_gamma_a) - p;
        if off < 0.0 {
            below = x;
        } else {
            above = x;
        }
        let density = ((a - 1.0) * x.ln() - x - ln_gamma_a).exp();
        let newton = x - off / density;
        let next = if newton > below && newton < above { newton } else { 0.5 * (below + above) };
        let moved = (next - x).abs();
        x = next;
        if moved <= 1e-13 * x {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factorials_are_exact() {
        let mut ln_factorial = 0.0;
        for n in 1..2_000_u32 {
            assert!((ln_gamma(f64::from(n)) - ln_factorial).abs() < 1e-11 * ln_factorial.max(1.0), "{n}");
            ln_factorial += f64::from(n).ln();
        }
        assert!((ln_gamma(0.5) - core::f64::consts::PI.sqrt().ln()).abs() < 1e-12);
    }

    #[test]
    fn probabilities_of_counts_are_sums_of_poisson_terms() {
        for mean in [0.1_f64, 1.0, 5.0, 20.0, 300.0] {
            let (mut term, mut below) = ((-mean).exp(), 0.0);
            for n in 1..600_u32 {
                below += term;
                term *= mean / f64::from(n);
                let shape = f64::from(n);
                // P(N >= n) of mean m is P(gamma(n) <= m).
                let found = probability(shape, mean, ln_gamma(shape));
                assert!((found - (1.0 - below)).abs() < 1e-11, "{n} of {mean}: {found}");
            }
        }
    }

    #[test]
    fn a_quantile_is_where_its_probability_is_reached() {
        for shape in [0.7, 1.0, 2.0, 3.5, 49.0, 1_414.0, 5_000.0, 100_000.0] {
            for p in [0.001, 0.025, 0.5, 0.975, 0.999] {
                let found = probability(shape, quantile(shape, p), ln_gamma(shape));
                assert!((found - p).abs() < 1e-9, "{shape}, {p}: {found}");
            }
        }
    }
}
