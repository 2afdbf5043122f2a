//! What was measured.

/// Figures by name, in the order to print.
pub(crate) type Figures = Vec<(String, f64)>;
