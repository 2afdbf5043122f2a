//! The few shapes of SVG that are needed. Coordinates have one decimal.

use std::fmt::Write;

/// A picture that is being written.
#[derive(Debug, Default)]
pub(super) struct Svg(String);

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font<'a> {
    pub(super) px: f64,
    pub(super) colour: &'a str,
    pub(super) anchor: Anchor,
    pub(super) is_bold: bool,
}

/// Which point of a text its coordinates are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

// === impl Svg ===

impl Svg {
    pub(super) fn rect(&mut self, area: Area, fill: &str, stroke: &str) {
        let Area { x, y, w, h } = area;
        let shape = format!(r#"x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="3""#);
        self.push(&format!(r#"<rect {shape} fill="{fill}" stroke="{stroke}"/>"#));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, dashes: &str) {
        let ends = format!(r#"x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}""#, from.0, from.1, to.0, to.1);
        let dashes = if dashes.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dashes}""#) };
        self.push(&format!(r#"<line {ends} stroke="{stroke}"{dashes}/>"#));
    }

    /// A line through points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], stroke: &str) {
        let path = points_of(points);
        self.push(&format!(
            r#"<path d="{path}" fill="none" stroke="{stroke}" stroke-width="1.5" stroke-linejoin="round"/>"#
        ));
    }

    /// What points enclose.
    pub(super) fn fill(&mut self, points: &[(f64, f64)], fill: &str, opacity: f64) {
        self.push(&format!(r#"<path d="{}Z" fill="{fill}" fill-opacity="{opacity}"/>"#, points_of(points)));
    }

    pub(super) fn text(&mut self, at: (f64, f64), text: &str, font: Font<'_>) {
        let anchor = match font.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if font.is_bold { r#" font-weight="600""# } else { "" };
        let place = format!(r#"x="{:.1}" y="{:.1}" text-anchor="{anchor}""#, at.0, at.1);
        let look = format!(r#"font-size="{}" fill="{}"{weight}"#, font.px, font.colour);
        self.push(&format!("<text {place} {look}>{}</text>", escape(text)));
    }

    /// The whole document.
    pub(super) fn document(self, width: f64, height: f64, title: &str) -> String {
        const FAMILY: &str = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif";
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"{FAMILY}\" role=\"img\">\n<title>{}</title>\n{}</svg>\n",
            escape(title),
            self.0
        )
    }

    fn push(&mut self, element: &str) {
        self.0.push_str(element);
        self.0.push('\n');
    }
}

// === impl Font ===

impl<'a> Font<'a> {
    pub(super) fn new(px: f64, colour: &'a str, anchor: Anchor) -> Self {
        Self { px, colour, anchor, is_bold: false }
    }

    pub(super) fn bold(self) -> Self {
        Self { is_bold: true, ..self }
    }
}

/// About how wide a text is: its font is whatever the reader has.
pub(super) fn width(text: &str, px: f64) -> f64 {
    let narrow = |c: char| matches!(c, 'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | '.' | ',' | ':' | '/' | ' ' | '1');
    text.chars()
        .map(|c| {
            if narrow(c) {
                0.36
            } else if c.is_uppercase() {
                0.7
            } else {
                0.58
            }
        })
        .sum::<f64>()
        * px
}

fn points_of(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        if index > 0 && index + 1 < points.len() && is_between(points[index - 1], (*x, *y), points[index + 1]) {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    path
}

/// Whether a point lies on the line between its neighbours, so that nobody misses it.
fn is_between(before: (f64, f64), point: (f64, f64), after: (f64, f64)) -> bool {
    let (run, rise) = (after.0 - before.0, after.1 - before.1);
    let expected = if run == 0.0 { before.1 } else { before.1 + rise * (point.0 - before.0) / run };
    run != 0.0 && (point.1 - expected).abs() < 0.01
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
