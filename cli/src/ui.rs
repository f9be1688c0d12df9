//! Progress on stderr, and plain tables for stdout.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use crate::progress::Ui;
use crate::text;

/// Longest line under a header: one cell of prose must not draw it across several lines.
const LONGEST_RULE: usize = 100;

/// A table of text; a column is as wide as its widest cell, numbers stand to the right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    header: bool,
}

impl Table {
    /// A table of rows without a header.
    pub fn new() -> Self {
        Self::default()
    }

    /// A table whose first row is `names`, underlined.
    pub fn with_header(names: &[&str]) -> Self {
        Self {
            rows: vec![names.iter().map(ToString::to_string).collect()],
            header: true,
        }
    }

    /// Adds a row; each cell is one line of text, whatever is in it.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let cells = cells.into_iter().map(|cell| text::line(&cell.into()));
        self.rows.push(cells.collect());
        self
    }

    /// The table as lines, each indented by two spaces.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                cells(column)
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let numeric: Vec<bool> = (0..columns)
            .map(|column| {
                column > 0
                    && cells(column).skip(usize::from(self.header)).all(|cell| {
                        cell.is_empty()
                            || cell
                                .starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.')
                    })
                    && self.header
            })
            .collect();
        let mut lines = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[column] - cell.chars().count());
                line += "  ";
                line += &if numeric[column] {
                    pad + cell
                } else {
                    format!("{cell}{pad}")
                };
            }
            lines.push(line.trim_end().to_string());
            if index == 0 && self.header {
                lines.push(format!(
                    "  {}",
                    "-".repeat(
                        (widths.iter().sum::<usize>() + 2 * (columns - 1)).min(LONGEST_RULE)
                    )
                ));
            }
        }
        lines.join("\n")
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size with a fitting unit.
pub fn bytes(value: u64) -> String {
    match value {
        0..10_000 => format!("{} B", thousands(value)),
        10_000..1_000_000 => format!("{:.1} kB", value as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value as f64 / 1e6),
        _ => format!("{:.1} GB", value as f64 / 1e9),
    }
}

/// A duration with a fitting unit.
pub fn duration(value: Duration) -> String {
    let seconds = value.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// Seconds rounded to a tenth of a millisecond, as the JSON reports give them.
pub fn seconds(value: Duration) -> f64 {
    (value.as_secs_f64() * 1e4).round() / 1e4
}

/// Milliseconds rounded to a microsecond, as the JSON reports give them.
pub fn milliseconds(value: Duration) -> f64 {
    (value.as_secs_f64() * 1e6).round() / 1e3
}

/// A day as `2026-01-31`, in universal time; times before 1970 are taken for its first day.
pub fn date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    // Days and years from 1 March of the year 0 on, so that a leap day ends its year (Hinnant, civil_from_days).
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, january) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", 400 * era + year + january)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_sized() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(bytes(3072), "3,072 B");
        assert_eq!(bytes(53_000), "53.0 kB");
        assert_eq!(bytes(3_236_200), "3.2 MB");
        assert_eq!(bytes(4_600_000_000), "4.6 GB");
        assert_eq!(duration(Duration::from_millis(1500)), "1.50 s");
        assert_eq!(milliseconds(Duration::from_micros(1500)), 1.5);
        for (days, told) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_453, "2025-12-31"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(
                date(UNIX_EPOCH + Duration::from_secs(days * 86_400 + 86_399)),
                told
            );
        }
    }

    #[test]
    fn a_table_aligns_its_columns() {
        let mut table = Table::with_header(&["layer", "rows"]);
        table.row(["conv", "7"]).row(["dense", "1,234"]);
        assert_eq!(
            table.render(),
            "  layer   rows\n  ------------\n  conv       7\n  dense  1,234"
        );
    }
}
