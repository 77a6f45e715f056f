//! A table of figures, for people and for `docs/performance.md`.

use integration_tests::promise::say;

/// Rows of figures, one column for each who was measured.
pub(crate) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    pub(crate) fn new(columns: Vec<&'static str>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Notes a figure, and says it.
    pub(crate) fn put(&mut self, row: &str, column: &'static str, figure: &str) {
        say(&format!("{row:<58} {column:<22} {figure}"));
        let Some(at) = self.columns.iter().position(|name| *name == column) else { return };
        let width = self.columns.len();
        let found = self.rows.iter().position(|(name, _)| name == row).unwrap_or_else(|| {
            self.rows.push((row.to_owned(), vec![String::new(); width]));
            self.rows.len() - 1
        });
        if let Some(cell) = self.rows.get_mut(found).and_then(|(_, cells)| cells.get_mut(at)) {
            figure.clone_into(cell);
        }
    }

    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut lines = vec![format!("| figure | {} |", self.columns.join(" | "))];
        lines.push(format!("| --- |{}", " --- |".repeat(self.columns.len())));
        lines.extend(self.rows.iter().map(|(row, cells)| format!("| {row} | {} |", cells.join(" | "))));
        lines.join("\n")
    }
}
