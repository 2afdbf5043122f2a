//! The whole dashboard: panels where its grid has them, and above them what happened.

use super::model::{Dashboard, Grid, Kind};
use super::record::Recording;
use super::svg::{self, Anchor, Area, Font, Svg};
use super::{chart, colour, stat};

const WIDTH: f64 = 1200.0;
const COLUMNS: f64 = 24.0;
/// Pixels of one unit of height.
const UNIT: f64 = 30.0;
const GAP: f64 = 4.0;
const MARGIN: f64 = 8.0;
const HEAD: f64 = 76.0;

/// The picture.
pub(super) fn draw(dashboard: &Dashboard, recording: &Recording) -> String {
    let rows = dashboard.panels.iter().map(|panel| panel.grid_pos.y + panel.grid_pos.h).max().unwrap_or(0);
    let height = HEAD + f64::from(rows) * UNIT + MARGIN;
    let mut svg = Svg::default();
    svg.rect(Area { x: 0.0, y: 0.0, w: WIDTH, h: height }, colour::GROUND, "none");
    head(&mut svg, dashboard, recording);
    for panel in &dashboard.panels {
        let area = place(panel.grid_pos);
        if panel.kind == Kind::Row {
            let font = Font::new(14.0, colour::TEXT, Anchor::Start).bold();
            svg.text((area.x + 4.0, area.y + area.h - 5.0), &panel.title, font);
            continue;
        }
        svg.rect(area, colour::PANEL, colour::BORDER);
        match panel.kind {
            Kind::Row => {}
            Kind::Stat => stat::draw(&mut svg, panel, recording.series(panel.id), area, recording.times),
            Kind::Timeseries => chart::draw(&mut svg, panel, recording, area),
        }
    }
    svg.document(WIDTH, height, &format!("Grafana dashboard {}", dashboard.title))
}

/// The title, and what the numbers in the charts stand for.
fn head(svg: &mut Svg, dashboard: &Dashboard, recording: &Recording) {
    svg.text((MARGIN + 4.0, 34.0), &dashboard.title, Font::new(22.0, colour::TEXT, Anchor::Start).bold());
    let seconds = (recording.times.end_s - recording.times.start_s).round();
    let about =
        format!("two controllers, two DNS servers, {:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0);
    svg.text((WIDTH - MARGIN - 4.0, 34.0), &about, Font::new(12.0, colour::FAINT, Anchor::End));
    let mut x = MARGIN + 4.0;
    for (index, mark) in recording.marks.iter().enumerate() {
        let number = (index + 1).to_string();
        svg.text((x, 62.0), &number, Font::new(12.5, colour::TEXT, Anchor::Start).bold());
        svg.text((x + 13.0, 62.0), &mark.text, Font::new(12.5, colour::FAINT, Anchor::Start));
        x += 13.0 + svg::width(&mark.text, 12.5) + 22.0;
    }
}

fn place(grid: Grid) -> Area {
    let column = (WIDTH - 2.0 * MARGIN) / COLUMNS;
    Area {
        x: MARGIN + f64::from(grid.x) * column + GAP / 2.0,
        y: HEAD + f64::from(grid.y) * UNIT + GAP / 2.0,
        w: f64::from(grid.w) * column - GAP,
        h: f64::from(grid.h) * UNIT - GAP,
    }
}

#[cfg(test)]
mod tests {
    use rollcall_e2e::layout;

    use super::super::record::{Mark, Series, Times};
    use super::*;

    #[test]
    fn the_dashboard_of_the_chart_can_be_drawn_whatever_the_values() {
        let dashboard = Dashboard::read(&layout::root().join(crate::dashboard::DASHBOARD)).unwrap();
        for value in [0.0, 1.0, 1e-6, 1e12, -3.0] {
            let series = |name: &str| Series {
                name: name.to_owned(),
                points: (0..60).filter(|at| at % 20 > 3).map(|at| (f64::from(at), value)).collect(),
            };
            let panels = dashboard.panels.iter().map(|panel| (panel.id, vec![series("a<b"), series("c")]));
            let recording = Recording {
                times: Times { start_s: 0.0, end_s: 60.0 },
                marks: vec![Mark { at_s: 30.0, text: "rain".to_owned() }],
                panels: panels.collect(),
                empty: Vec::new(),
            };
            let picture = draw(&dashboard, &recording);
            assert!(!picture.contains("NaN") && !picture.contains("inf"), "{value} is not drawn");
            assert!(picture.contains("a&lt;b") && picture.contains("rain") && !picture.contains("no data"));
            let missing = dashboard.panels.iter().find(|panel| !picture.contains(&panel.title));
            assert!(missing.is_none(), "{:?} is missing", missing.map(|panel| &panel.title));
        }
    }
}
