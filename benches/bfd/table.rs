//! Results, as tables in Markdown for people and documentation, and as JSON for programs.

use serde_json::{Map, Value};

/// One figure: how it is written in a table, and what it is.
pub struct Cell {
    name: &'static str,
    text: String,
    value: Value,
}

impl Cell {
    pub fn new(name: &'static str, text: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            name,
            text: text.into(),
            value: value.into(),
        }
    }

    /// A number as it is.
    pub fn count(name: &'static str, count: u64) -> Self {
        Self::new(name, count.to_string(), count)
    }

    /// A number with so many digits behind the point; `-` where there is none.
    pub fn number(name: &'static str, number: Option<f64>, digits: usize) -> Self {
        let text = number.map_or_else(|| "-".into(), |number| format!("{number:.digits$}"));
        Self::new(name, text, number)
    }
}

pub struct Table {
    title: String,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, and shows it as progress. All rows have the same cells.
    pub fn add(&mut self, row: Vec<Cell>) {
        let words: Vec<String> = row
            .iter()
            .map(|cell| format!("{} {}", cell.name, cell.text))
            .collect();
        crate::support::announce(&words.join(", "));
        self.rows.push(row);
    }
}

pub fn print(tables: &[Table], as_json: bool) {
    if as_json {
        let rows = tables.iter().flat_map(|table| {
            table.rows.iter().map(|row| {
                let figures = row
                    .iter()
                    .map(|cell| (cell.name.into(), cell.value.clone()));
                let title = ("table".into(), table.title.clone().into());
                Value::Object([title].into_iter().chain(figures).collect::<Map<_, _>>())
            })
        });
        println!("{:#}", Value::Array(rows.collect()));
        return;
    }
    for table in tables {
        let Some(first) = table.rows.first() else {
            continue;
        };
        println!("\n{}\n", table.title);
        line(first.iter().map(|cell| cell.name));
        line(first.iter().map(|_| "---"));
        for row in &table.rows {
            line(row.iter().map(|cell| cell.text.as_str()));
        }
    }
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) {
    println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
}
