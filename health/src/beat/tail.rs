//! The upper tail of the normal distribution, exact, in the logarithmic domain.

use std::f64::consts::{LN_10, PI};

/// Where the series ends and the continued fraction begins: below, the tail is large enough for `1 - x` to be exact; above,
/// the fraction converges within [`TERMS`].
const SPLIT: f64 = 2.0;
/// Terms of the continued fraction: at [`SPLIT`] the error is below that of an `f64`.
const TERMS: u32 = 160;
/// Beyond, the square of an argument would be infinite.
const ARGUMENT_MAX: f64 = 1e150;

/// `-log10 Q(x)`, the phi of a silence that is `x` deviations longer than the mean. Finite for every argument: the tail
/// itself underflows from x = 39 on, its logarithm does not. Relative error below 1e-13 where the result is not near 0.
pub fn phi(x: f64) -> f64 {
    if x.is_nan() {
        return 0.0;
    }
    // Zero minus: no -0.0 where nothing at all is known.
    0.0 - ln_tail(x.clamp(-ARGUMENT_MAX, ARGUMENT_MAX)) / LN_10
}

/// The `x` at which [`phi`] is `threshold`: how many deviations a silence has to be longer than the mean. `threshold` counts
/// as 0.01 at least and as 300 at most.
pub fn deviations(threshold: f64) -> f64 {
    let threshold = if threshold.is_nan() { 0.01 } else { threshold.clamp(0.01, 300.0) };
    let (mut low, mut high) = (-40.0, 40.0);
    // Halved until there is no number between the two.
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if phi(middle) < threshold {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// `ln Q(x)`.
fn ln_tail(x: f64) -> f64 {
    if x < 0.0 {
        // Q(x) = 1 - Q(-x), which is near 1.
        (-tail_below_split(-x)).ln_1p()
    } else if x < SPLIT {
        tail_below_split(x).ln()
    } else {
        -x * x / 2.0 - (2.0 * PI).sqrt().ln() - fraction(x).ln()
    }
}

/// `Q(x)` for x >= 0.
fn tail_below_split(x: f64) -> f64 {
    if x >= SPLIT {
        return (-x * x / 2.0).exp() / (2.0 * PI).sqrt() / fraction(x);
    }
    0.5 - (-x * x / 2.0).exp() / (2.0 * PI).sqrt() * series(x)
}

/// `x + x^3/3 + x^5/(3*5) + ...` (Marsaglia, 2004): all terms are positive, so nothing cancels.
fn series(x: f64) -> f64 {
    let (mut sum, mut term, mut odd) = (x, x, 1.0);
    loop {
        odd += 2.0;
        term *= x * x / odd;
        if sum + term == sum {
            return sum;
        }
        sum += term;
    }
}

/// `x + 1/(x + 2/(x + 3/(x + ...)))` (Laplace): the density divided by the tail.
fn fraction(x: f64) -> f64 {
    (1..=TERMS).rev().fold(x, |below, term| x + f64::from(term) / below)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `-log10(erfc(x / sqrt 2) / 2)` to 20 digits, by mpmath 1.3 with 60 digits: `mp.nstr(-log10(erfc(x/sqrt(2))/2), 20)`.
    const EXACT: &[(f64, f64)] = &[
        (-40.0, 0.0),
        (-8.3, 2.2607502153683556e-17),
        (-5.0, 1.2449121373882918e-07),
        (-1.0, 0.07502601295781802),
        (-0.1, 0.2677447239586644),
        (0.0, std::f64::consts::LOG10_2),
        (0.001, 0.30137665078193904),
        (0.1, 0.3370796567266235),
        (0.5, 0.5106919892652407),
        (1.0, 0.7995455414919705),
        (1.2815515655446004, 0.9999999999999999),
        (1.5, 1.1751767216148163),
        (1.9999, 1.642913014623224),
        (2.0, 1.643016080140937),
        (2.0001, 1.6431191495052873),
        (3.0, 2.869699035929369),
        (4.0, 4.499334907556479),
        (5.0, 6.5426456723906545),
        (5.612, 7.999996876659294),
        (6.0, 9.005864327476704),
        (7.0, 11.89285363747549),
        (8.0, 15.206142551017155),
        (8.222082216130435, 15.999999999999996),
        (8.3, 16.283531730414627),
        (10.0, 23.118053405486076),
        (20.0, 88.56009534307559),
        (37.0, 299.24218117860994),
        (38.0, 315.5397897039625),
        (39.0, 332.27139309303084),
        (100.0, 2173.8715428690343),
        (1000.0, 217150.6400419944),
        (100000.0, 2171472414.915349),
        (10000000000.0, 2.1714724095162593e+19),
        (1e+100, 2.171472409516259e+199),
    ];

    #[test]
    fn the_tail_is_that_of_the_table() {
        for (x, exact) in EXACT {
            let found = phi(*x);
            // Near 0 it is the probability whose digits count; it is a billionth of nothing that is lost.
            let error = (found - exact).abs() / exact.abs().max(1e-3);
            assert!(error < 1e-13, "phi({x}) is {found}, exactly {exact}: off by {error:e}");
        }
    }

    #[test]
    fn a_threshold_is_as_many_deviations_as_the_table_says() {
        for (threshold, exact) in [
            (1.0, 1.2815515655446004),
            (2.0, 2.326347874040841),
            (3.0, 3.0902323061678136),
            (4.0, 3.7190164854556804),
            (5.0, 4.264890793922825),
            (6.0, 4.753424308822899),
            (8.0, 5.612001244174789),
            (10.0, 6.361340902404057),
            (12.0, 7.034483825301132),
            (16.0, 8.222082216130435),
        ] {
            let found = deviations(threshold);
            assert!((found - exact).abs() < 1e-12, "{threshold}: {found}, exactly {exact}");
        }
    }

    #[test]
    fn no_argument_leads_to_infinity_or_to_what_is_no_number() {
        for x in
            [f64::NEG_INFINITY, f64::MIN, -1e200, -0.0, f64::MIN_POSITIVE, 1e200, f64::MAX, f64::INFINITY, f64::NAN]
        {
            assert!(phi(x).is_finite() && phi(x) >= 0.0, "phi({x}) is {}", phi(x));
            assert!(deviations(x).is_finite(), "deviations({x}) is {}", deviations(x));
        }
    }

    proptest! {
        #[test]
        fn a_longer_silence_is_never_more_likely(x in -50.0_f64..400.0, more in 0.0_f64..10.0) {
            // Across the split of the two ways to compute it the last digit may differ.
            prop_assert!(phi(x + more) >= phi(x) * (1.0 - 1e-12));
        }
    }
}
