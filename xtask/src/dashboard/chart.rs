//! Lines over time.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::colour;
use super::model::Panel;
use super::record::{Mark, Recording, Series, Times};
use super::svg::{self, Anchor, Area, Font, Svg};

/// A series with its place: what it stands on, if lines are stacked, and its top.
struct Line<'a> {
    name: &'a str,
    colour: &'a str,
    /// Time, bottom and top.
    points: Vec<(f64, f64, f64)>,
}

const LEGEND_PX: f64 = 11.0;
const LEGEND_LINE: f64 = 16.0;
const LEGEND_LINES_MAX: usize = 3;
/// Longer than that without a value, and a line is interrupted.
const GAP_S: f64 = 2.5;

pub(super) fn draw(svg: &mut Svg, panel: &Panel, recording: &Recording, area: Area) {
    svg.text((area.x + 10.0, area.y + 19.0), &panel.title, Font::new(12.5, colour::TEXT, Anchor::Start).bold());
    let lines = lines(panel, recording.series(panel.id));
    let tops = || lines.iter().flat_map(|line| line.points.iter().map(|(_, _, top)| *top));
    if lines.is_empty() {
        let middle = (area.x + area.w / 2.0, area.y + area.h / 2.0);
        svg.text(middle, "no data", Font::new(13.0, colour::FAINT, Anchor::Middle));
        return;
    }
    let axis = Axis::new(panel, tops().fold(f64::MAX, f64::min), tops().fold(f64::MIN, f64::max));
    let rows = legend_rows(&lines, area.w - 24.0);
    let widest = axis.ticks.iter().map(|(_, label)| svg::width(label, 10.5)).fold(20.0, f64::max);
    let below = 26.0 + rows.len() as f64 * LEGEND_LINE;
    let plot =
        Area { x: area.x + widest + 18.0, y: area.y + 38.0, w: area.w - widest - 32.0, h: area.h - 38.0 - below };
    scales(svg, &axis, plot, recording.times);
    marks(svg, &recording.marks, plot, recording.times);
    threshold(svg, panel, &axis, plot);
    let is_stepped = panel.field_config.defaults.custom.line_interpolation == "stepAfter";
    let is_stacked = panel.field_config.defaults.custom.stacking.mode == "normal";
    for line in &lines {
        trace(svg, line, &axis, plot, recording.times, is_stepped, is_stacked);
    }
    legend(svg, &rows, area, plot.y + plot.h + 34.0);
}

/// The series with colours, one on the other if the panel says so. In a stack what is always 0 is left out, unless all is.
fn lines<'a>(panel: &'a Panel, series: &'a [Series]) -> Vec<Line<'a>> {
    let is_stacked = panel.field_config.defaults.custom.stacking.mode == "normal";
    let mut ground: BTreeMap<u64, f64> = BTreeMap::new();
    let mut lines = Vec::new();
    let is_zero = |series: &Series| series.points.iter().all(|(_, value)| *value == 0.0);
    let all_zero = series.iter().all(is_zero);
    for (index, series) in series.iter().enumerate() {
        if is_stacked && is_zero(series) && !all_zero {
            continue;
        }
        let mut place = |(time, value): &(f64, f64)| {
            // Times are those of the query's steps, the same for all series.
            let below = ground.entry((time * 1000.0) as u64).or_insert(0.0);
            let bottom = if is_stacked { *below } else { 0.0 };
            *below = bottom + value;
            (*time, bottom, bottom + value)
        };
        let colour = panel.colour_of(&series.name).map_or_else(|| colour::of_index(index), colour::named);
        lines.push(Line { name: &series.name, colour, points: series.points.iter().map(&mut place).collect() });
    }
    lines
}

fn scales(svg: &mut Svg, axis: &Axis, plot: Area, times: Times) {
    for (value, label) in &axis.ticks {
        let y = plot.y + plot.h * (1.0 - axis.place(*value));
        svg.line((plot.x, y), (plot.x + plot.w, y), colour::GRID, "");
        svg.text((plot.x - 7.0, y + 3.5), label, Font::new(10.5, colour::FAINT, Anchor::End));
    }
    for minute in 0..=((times.end_s - times.start_s) / 60.0) as u32 {
        let x = across(plot, times, times.start_s + f64::from(minute) * 60.0);
        let label = if minute == 0 { "0".to_owned() } else { format!("{minute} min") };
        svg.text((x, plot.y + plot.h + 15.0), &label, Font::new(10.5, colour::FAINT, Anchor::Middle));
    }
}

fn marks(svg: &mut Svg, marks: &[Mark], plot: Area, times: Times) {
    for (index, mark) in marks.iter().enumerate() {
        let x = across(plot, times, mark.at_s);
        svg.line((x, plot.y), (x, plot.y + plot.h), colour::MARK, "2 3");
        let number = (index + 1).to_string();
        svg.text((x, plot.y - 3.0), &number, Font::new(9.5, colour::MARK, Anchor::Middle));
    }
}

/// Drawn where it is in sight.
fn threshold(svg: &mut Svg, panel: &Panel, axis: &Axis, plot: Area) {
    let defaults = &panel.field_config.defaults;
    if defaults.custom.thresholds_style.mode != "dashed" {
        return;
    }
    for step in &defaults.thresholds.steps {
        let Some(value) = step.value.filter(|value| (axis.min..=axis.max).contains(value)) else { continue };
        let y = plot.y + plot.h * (1.0 - axis.place(value));
        svg.line((plot.x, y), (plot.x + plot.w, y), colour::named(&step.color), "6 4");
    }
}

fn trace(svg: &mut Svg, line: &Line<'_>, axis: &Axis, plot: Area, times: Times, is_stepped: bool, is_stacked: bool) {
    let up = |value: f64| plot.y + plot.h * (1.0 - axis.place(value));
    let is_gap = |a: &(f64, f64, f64), b: &(f64, f64, f64)| b.0 - a.0 > GAP_S;
    for run in line.points.chunk_by(|a, b| !is_gap(a, b)) {
        let (mut tops, mut bottoms) = (Vec::new(), Vec::new());
        for (time, bottom, top) in run {
            let x = across(plot, times, *time);
            if let Some((_, before)) = tops.last().filter(|_| is_stepped).copied() {
                tops.push((x, before));
            }
            tops.push((x, up(*top)));
            bottoms.push((x, up(*bottom)));
        }
        if is_stacked {
            let shape: Vec<(f64, f64)> = tops.iter().chain(bottoms.iter().rev()).copied().collect();
            svg.fill(&shape, line.colour, 0.35);
        }
        svg.path(&tops, line.colour);
    }
}

/// Names in as few rows as they need. What does not fit is counted.
fn legend_rows<'a>(lines: &'a [Line<'a>], width: f64) -> Vec<Vec<(&'a str, &'a str, f64)>> {
    let mut rows = vec![Vec::new()];
    let mut x = 0.0;
    for line in lines {
        let space = svg::width(line.name, LEGEND_PX) + 30.0;
        if x + space > width && x > 0.0 {
            if rows.len() == LEGEND_LINES_MAX {
                break;
            }
            rows.push(Vec::new());
            x = 0.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((line.name, line.colour, x));
        }
        x += space;
    }
    rows
}

fn legend(svg: &mut Svg, rows: &[Vec<(&str, &str, f64)>], area: Area, top: f64) {
    for (number, row) in rows.iter().enumerate() {
        let y = top + number as f64 * LEGEND_LINE;
        for (name, colour, x) in row {
            let x = area.x + 12.0 + x;
            svg.rect(Area { x, y: y - 5.0, w: 12.0, h: 3.0 }, colour, "none");
            svg.text((x + 17.0, y), name, Font::new(LEGEND_PX, colour::TEXT, Anchor::Start));
        }
    }
}

fn across(plot: Area, times: Times, time: f64) -> f64 {
    plot.x + (time - times.start_s) / (times.end_s - times.start_s) * plot.w
}
