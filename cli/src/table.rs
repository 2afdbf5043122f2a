//! Tables as kubectl prints them: columns aligned by blanks.

use crate::paint::harmless;

/// Rows below a head.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A text, and how it looks: colours have no width.
#[derive(Clone, Debug)]
pub struct Cell {
    plain: String,
    painted: Option<String>,
}

// === impl Cell ===

impl Cell {
    /// The same text in a colour.
    pub fn painted(plain: &str, painted: String) -> Self {
        Self { plain: harmless(plain), painted: Some(painted) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        let plain = if text.is_empty() { "-".to_owned() } else { harmless(&text) };
        Self { plain, painted: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

// === impl Table ===

impl Table {
    /// With these columns.
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// With a further row, of as many cells.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As text, each line ended.
    pub fn render(&self) -> String {
        let head: Vec<Cell> = self.head.iter().map(|title| Cell::from(*title)).collect();
        let rows = || std::iter::once(&head).chain(&self.rows);
        let width = |column: usize| {
            let widths = rows().filter_map(|row| row.get(column)).map(|cell| cell.plain.chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for row in rows() {
            for (column, cell) in row.iter().enumerate() {
                text.push_str(cell.painted.as_ref().unwrap_or(&cell.plain));
                if column + 1 < row.len() {
                    let blanks = widths[column] - cell.plain.chars().count() + 3;
                    text.push_str(&" ".repeat(blanks));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_their_colour() {
        let mut table = Table::new(&["NAME", "HEALTH", "ZONE"]);
        table.push(vec!["a".into(), Cell::painted("Critical", "\u{1b}[31mCritical\u{1b}[0m".into()), "".into()]);
        table.push(vec!["long-name".into(), "Passing".into(), "z\u{1b}[2J".into()]);
        assert_eq!(
            table.render(),
            "NAME        HEALTH     ZONE\na           \u{1b}[31mCritical\u{1b}[0m   -\nlong-name   Passing    z\u{fffd}[2J\n"
        );
    }
}
