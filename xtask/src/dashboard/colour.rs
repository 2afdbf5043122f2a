//! Grafana's colours on a dark ground.

pub(super) const GROUND: &str = "#111217";
pub(super) const PANEL: &str = "#181b1f";
pub(super) const BORDER: &str = "#2c3036";
pub(super) const GRID: &str = "#2a2e34";
pub(super) const TEXT: &str = "#d8d9e0";
pub(super) const FAINT: &str = "#9a9ba6";
pub(super) const MARK: &str = "#6f7788";

/// For series without a colour of their own, in turn.
const PALETTE: [&str; 8] = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#b877d9", "#f2495c", "#8ab8ff", "#56a64b"];

/// A colour by Grafana's name, or as it is.
pub(super) fn named(name: &str) -> &str {
    match name {
        "green" => "#73bf69",
        "yellow" => "#f2cc0c",
        "blue" => "#5794f2",
        "orange" => "#ff9830",
        "red" => "#f2495c",
        "purple" => "#b877d9",
        other => other,
    }
}

/// The colour of a panel's series number `index`.
pub(super) fn of_index(index: usize) -> &'static str {
    PALETTE[index % PALETTE.len()]
}
