//! What is used of a Grafana dashboard's JSON.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// A dashboard.
#[derive(Debug, Deserialize)]
pub(super) struct Dashboard {
    pub(super) title: String,
    pub(super) panels: Vec<Panel>,
}

/// A panel, or the heading of a row.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Panel {
    pub(super) id: u32,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) grid_pos: Grid,
    #[serde(default)]
    pub(super) targets: Vec<Target>,
    #[serde(default)]
    pub(super) field_config: FieldConfig,
    #[serde(default)]
    pub(super) options: Options,
}

/// The kinds of panels that can be drawn.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Row,
    Stat,
    Timeseries,
}

/// Place and size: 24 columns.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Grid {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) w: u32,
    pub(super) h: u32,
}

/// A query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    pub(super) expr: String,
    pub(super) legend_format: String,
}

/// How values look.
#[derive(Debug, Default, Deserialize)]
pub(super) struct FieldConfig {
    #[serde(default)]
    pub(super) defaults: Defaults,
    #[serde(default)]
    pub(super) overrides: Vec<Override>,
}

/// How all values of a panel look.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Defaults {
    pub(super) unit: String,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) decimals: Option<usize>,
    pub(super) custom: Custom,
    pub(super) thresholds: Thresholds,
    pub(super) mappings: Vec<Mapping>,
}

/// How lines look.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Custom {
    pub(super) line_interpolation: String,
    pub(super) stacking: Mode,
    pub(super) thresholds_style: Mode,
}

/// A choice among several.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Mode {
    pub(super) mode: String,
}

/// Colours by value.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Thresholds {
    pub(super) steps: Vec<Step>,
}

/// A colour from a value on.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) color: String,
    pub(super) value: Option<f64>,
}

/// Words for values.
#[derive(Debug, Deserialize)]
pub(super) struct Mapping {
    pub(super) options: BTreeMap<String, Words>,
}

/// Words for a value.
#[derive(Debug, Deserialize)]
pub(super) struct Words {
    pub(super) text: String,
}

/// What is different for one series.
#[derive(Debug, Deserialize)]
pub(super) struct Override {
    matcher: Matcher,
    properties: Vec<Property>,
}

#[derive(Debug, Deserialize)]
struct Matcher {
    options: Value,
}

#[derive(Debug, Deserialize)]
struct Property {
    id: String,
    value: Value,
}

/// What belongs to the panel's kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Options {
    pub(super) text_mode: String,
    pub(super) graph_mode: String,
}

// === impl Dashboard ===

impl Dashboard {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not as Grafana writes dashboards", path.display()))
    }
}

// === impl Panel ===

impl Panel {
    /// The colour that the dashboard gives to a series.
    pub(super) fn colour_of(&self, series: &str) -> Option<&str> {
        let ours = |one: &&Override| one.matcher.options == *series;
        let color = |property: &Property| property.id == "color";
        let found = self.field_config.overrides.iter().find(ours)?;
        found.properties.iter().find(|property| color(property))?.value["fixedColor"].as_str()
    }

    /// The word for a value, if there is one.
    pub(super) fn word_for(&self, value: f64) -> Option<&str> {
        let mappings = &self.field_config.defaults.mappings;
        mappings.iter().find_map(|mapping| mapping.options.get(&value.to_string())).map(|words| words.text.as_str())
    }
}
