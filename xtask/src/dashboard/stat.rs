//! A number, with its past behind it.

use super::model::Panel;
use super::record::{Series, Times};
use super::svg::{Anchor, Area, Font, Svg};
use super::{axis, colour};

pub(super) fn draw(svg: &mut Svg, panel: &Panel, series: &[Series], area: Area, times: Times) {
    let latest = series.iter().filter_map(|series| Some((series, series.points.last()?)));
    let latest = latest.max_by(|(_, (one, _)), (_, (other, _))| one.total_cmp(other));
    svg.text((area.x + 10.0, area.y + 19.0), &panel.title, Font::new(12.0, colour::TEXT, Anchor::Start));
    let Some((series, (_, value))) = latest else {
        svg.text((area.x + 10.0, area.y + 54.0), "no data", Font::new(18.0, colour::FAINT, Anchor::Start));
        return;
    };
    let colour = by_threshold(panel, *value);
    if panel.options.graph_mode == "area" {
        spark(svg, series, area, times, colour);
    }
    let is_name = panel.options.text_mode == "name";
    let text = if is_name { series.name.clone() } else { axis::alone(panel, *value) };
    let px = if text.chars().count() > 9 { 18.0 } else { 26.0 };
    svg.text((area.x + 10.0, area.y + 54.0), &text, Font::new(px, colour, Anchor::Start).bold());
}

fn by_threshold(panel: &Panel, value: f64) -> &str {
    let steps = &panel.field_config.defaults.thresholds.steps;
    let reached = steps.iter().rev().find(|step| step.value.is_none_or(|from| value >= from));
    colour::named(reached.map_or("green", |step| &step.color))
}

fn spark(svg: &mut Svg, series: &Series, area: Area, times: Times, colour: &str) {
    const HEIGHT: f64 = 22.0;
    let values = || series.points.iter().map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let bottom = area.y + area.h - 1.0;
    let place = |(time, value): &(f64, f64)| {
        let x = area.x + 1.0 + (time - times.start_s) / (times.end_s - times.start_s) * (area.w - 2.0);
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        (x, bottom - 2.0 - share * HEIGHT)
    };
    let line: Vec<(f64, f64)> = series.points.iter().map(place).collect();
    let (Some(first), Some(last)) = (line.first(), line.last()) else { return };
    let mut shape = line.clone();
    shape.extend([(last.0, bottom), (first.0, bottom)]);
    svg.fill(&shape, colour, 0.18);
    svg.path(&line, colour);
}
