//! Values as people read them: units, round steps.

use super::model::Panel;

/// A scale from bottom to top, with what stands at its lines.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

/// A factor of a unit, and its symbol.
type Scale = (f64, &'static str);

const SECONDS: [Scale; 6] =
    [(1e-6, " µs"), (1e-3, " ms"), (1.0, " s"), (60.0, " min"), (3600.0, " h"), (86_400.0, " days")];
const BYTES: [Scale; 4] = [(1.0, " B"), (1024.0, " KiB"), (1_048_576.0, " MiB"), (1_073_741_824.0, " GiB")];
const PLAIN: [Scale; 3] = [(1.0, ""), (1e3, " K"), (1e6, " M")];
/// Lines that an axis has about.
const LINES: f64 = 4.0;

// === impl Axis ===

impl Axis {
    /// An axis for values between two.
    pub(super) fn new(panel: &Panel, low: f64, high: f64) -> Self {
        let defaults = &panel.field_config.defaults;
        // A constant has some room around it.
        let pad = if high > low { (high - low) * 0.1 } else { high.abs() * 0.1 };
        let pad = if pad == 0.0 { 0.5 } else { pad };
        let bottom = defaults.min.unwrap_or(low - pad);
        let top = defaults.max.unwrap_or_else(|| high.max(bottom + pad * 2.0));
        let (factor, _) = scale(&defaults.unit, top.abs().max(bottom.abs()));
        let whole = if defaults.decimals == Some(0) || is_counted(panel) { 1.0 } else { 0.0 };
        let step = round_step((top - bottom) / factor / LINES).max(whole) * factor;
        let (min, max) = ((bottom / step + 1e-9).floor() * step, (top / step - 1e-9).ceil() * step);
        let (min, max) = (defaults.min.unwrap_or(min), defaults.max.unwrap_or(max));
        let lines = ((max - min) / step).round() as usize;
        // Rounding may have reached the next unit.
        let (factor, _) = scale(&defaults.unit, max.abs().max(min.abs()));
        let at = |line: usize| min + line as f64 * step;
        let label = |value: f64| match panel.word_for(value) {
            Some(word) => word.to_owned(),
            None => format(&defaults.unit, factor, value, decimals(step / factor)),
        };
        Self { min, max, ticks: (0..=lines).map(at).map(|value| (value, label(value))).collect() }
    }

    /// Where a value stands, from 0 at the bottom to 1 at the top.
    pub(super) fn place(&self, value: f64) -> f64 {
        ((value - self.min) / (self.max - self.min)).clamp(0.0, 1.0)
    }
}

/// A value alone, with about three digits unless the panel says how many.
pub(super) fn alone(panel: &Panel, value: f64) -> String {
    let defaults = &panel.field_config.defaults;
    let (factor, _) = scale(&defaults.unit, value.abs());
    let digits = (value / factor).abs().max(1.0).log10().floor() as usize;
    let is_whole = value.fract() == 0.0 && defaults.unit == "short";
    let decimals = if is_whole { 0 } else { 2_usize.saturating_sub(digits) };
    format(&defaults.unit, factor, value, defaults.decimals.unwrap_or(decimals))
}

/// Whether the panel counts things of which there are no halves.
fn is_counted(panel: &Panel) -> bool {
    panel.field_config.defaults.unit == "short" && !panel.targets.iter().any(|target| target.expr.contains("rate("))
}

/// The factor in which a magnitude is best given.
fn scale(unit: &str, magnitude: f64) -> Scale {
    let best = |scales: &[Scale]| {
        let fits = scales.iter().rev().find(|(factor, _)| magnitude >= *factor * 0.999);
        *fits.or_else(|| scales.first()).unwrap_or(&(1.0, ""))
    };
    match unit {
        "s" => best(&SECONDS),
        "bytes" => best(&BYTES),
        "percentunit" => (0.01, "%"),
        "reqps" => (1.0, " req/s"),
        "cps" | "wps" => (1.0, " /s"),
        _ => best(&PLAIN),
    }
}

fn format(unit: &str, factor: f64, value: f64, decimals: usize) -> String {
    let (_, symbol) = scale(unit, factor);
    if value == 0.0 && unit != "percentunit" {
        return "0".to_owned();
    }
    format!("{:.decimals$}{symbol}", value / factor)
}

/// The next of 1, 2, 5, 10, …
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let rounds = [1.0, 2.0, 5.0, 10.0];
    rounds.into_iter().map(|round| round * power).find(|round| *round >= step * 0.999).unwrap_or(step)
}

fn decimals(step: f64) -> usize {
    (0..3).find(|decimals| (step * 10_f64.powi(*decimals)).fract().abs() < 1e-6).unwrap_or(3) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(unit: &str, min: Option<f64>) -> Panel {
        let place = serde_json::json!({"x": 0, "y": 0, "w": 8, "h": 7});
        let defaults = serde_json::json!({"unit": unit, "min": min});
        serde_json::from_value(serde_json::json!({
            "id": 1, "type": "timeseries", "title": "", "gridPos": place, "fieldConfig": {"defaults": defaults}
        }))
        .unwrap()
    }

    fn labels(unit: &str, low: f64, high: f64) -> Vec<String> {
        Axis::new(&panel(unit, Some(0.0)), low, high).ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn steps_are_round_in_the_unit_that_fits() {
        assert_eq!(labels("s", 0.0, 0.0037), ["0", "1 ms", "2 ms", "3 ms", "4 ms"]);
        assert_eq!(labels("s", 0.0, 0.000_9), ["0", "0.5 ms", "1.0 ms"]);
        assert_eq!(labels("s", 0.0, 34.0), ["0", "10 s", "20 s", "30 s", "40 s"]);
        assert_eq!(labels("bytes", 0.0, 60.0 * 1_048_576.0), ["0", "20 MiB", "40 MiB", "60 MiB"]);
        assert_eq!(labels("reqps", 0.0, 410.0), ["0", "200 req/s", "400 req/s", "600 req/s"]);
        assert_eq!(labels("short", 0.0, 2.0), ["0", "1", "2"]);
    }

    #[test]
    fn a_constant_has_an_axis_around_it() {
        let axis = Axis::new(&panel("short", None), 40.0, 40.0);
        assert!(axis.min < 40.0 && axis.max > 40.0 && axis.ticks.len() >= 2, "{axis:?}");
        assert!((0.2..0.8).contains(&axis.place(40.0)), "{axis:?}");
    }

    #[test]
    fn a_value_alone_has_three_digits() {
        let say = |unit, value| alone(&panel(unit, None), value);
        assert_eq!((say("s", 0.000_064).as_str(), say("s", 12.34).as_str()), ("64.0 µs", "12.3 s"));
        assert_eq!((say("short", 141.0).as_str(), say("percentunit", 1.0).as_str()), ("141", "100%"));
    }
}
