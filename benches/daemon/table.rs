//! Figures of several speakers beside each other, as a table in Markdown.

use std::time::Duration;

use crate::support::announce;

/// One figure: how it is written, and what is compared; nothing where there is none.
pub struct Cell {
    text: String,
    value: Option<f64>,
}

impl Cell {
    pub fn none() -> Self {
        Self::text("-")
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            value: None,
        }
    }

    pub fn number(value: f64, digits: usize) -> Self {
        Self {
            text: format!("{value:.digits$}"),
            value: Some(value),
        }
    }

    /// In milliseconds.
    pub fn time(time: Duration) -> Self {
        let milliseconds = time.as_secs_f64() * 1000.0;
        Self::number(milliseconds, if milliseconds < 100.0 { 2 } else { 0 })
    }
}

pub struct Table {
    title: String,
    /// The first row is Herald's, and the others are compared with it.
    is_compared: bool,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Cell>)>,
}

impl Table {
    pub fn new<const N: usize>(title: impl Into<String>, columns: [&str; N]) -> Self {
        Self {
            title: title.into(),
            is_compared: true,
            columns: columns.map(str::to_owned).into(),
            rows: Vec::new(),
        }
    }

    /// Herald alone.
    pub fn alone(self) -> Self {
        Self {
            is_compared: false,
            ..self
        }
    }

    /// Adds a row, and shows it as progress.
    pub fn add<const N: usize>(&mut self, name: impl Into<String>, cells: [Cell; N]) {
        let name = name.into();
        let words = self.columns.iter().zip(&cells);
        let words: Vec<String> = words
            .map(|(column, cell)| format!("{column} {}", cell.text))
            .collect();
        announce(&format!("{name}: {}", words.join(", ")));
        self.rows.push((name, cells.into()));
    }

    pub fn print(&self) {
        println!("\n{}\n", self.title);
        println!("| | {} |", self.columns.join(" | "));
        println!("|---|{}", "---|".repeat(self.columns.len()));
        for (name, cells) in &self.rows {
            let cells = cells.iter().enumerate().map(|(column, cell)| {
                let ours = self.rows[0].1[column].value.filter(|ours| *ours > 0.0);
                match (cell.value, ours) {
                    (Some(value), Some(ours)) if self.is_compared && *name != self.rows[0].0 => {
                        format!("{} ({:.1}x)", cell.text, value / ours)
                    }
                    _ => cell.text.clone(),
                }
            });
            println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
}
