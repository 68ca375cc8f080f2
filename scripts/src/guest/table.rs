//! The table of results: one row for each test, two columns for each boot.

use std::collections::HashMap;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use super::results::TestResult;

/// The results of one boot, with the head of its column.
pub struct Column<'a> {
    pub title: &'a str,
    pub results: &'a [TestResult],
}

pub fn table(columns: &[Column<'_>]) -> Table {
    let mut rows: Vec<(String, Vec<Option<&TestResult>>)> = Vec::new();
    let mut places: HashMap<(String, usize), usize> = HashMap::new();
    for (column, Column { results, .. }) in columns.iter().enumerate() {
        let mut times: HashMap<String, usize> = HashMap::new();
        for result in *results {
            let name = format!("{} {}", result.suite, result.name);
            // The same name may come more than once in a boot.
            let time = times.entry(name.clone()).or_default();
            *time += 1;
            let place = *places.entry((name.clone(), *time)).or_insert_with(|| {
                rows.push((name, vec![None; columns.len()]));
                rows.len() - 1
            });
            rows[place].1[column] = Some(result);
        }
    }

    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    let mut header = vec!["test".to_owned()];
    for column in columns {
        header.extend([column.title.to_owned(), "time".to_owned()]);
    }
    table.set_header(header);
    for (name, cells) in rows {
        let mut row = vec![name];
        for cell in cells {
            row.push(
                cell.map(|result| result.outcome.to_string())
                    .unwrap_or_default(),
            );
            row.push(
                cell.and_then(|result| result.time)
                    .map(time)
                    .unwrap_or_default(),
            );
        }
        table.add_row(row);
    }
    for column in (2..=2 * columns.len()).step_by(2) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// "0.3 ms", "12 ms", "3.4 s".
pub fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::results::Outcome;

    fn result(name: &str, outcome: Outcome) -> TestResult {
        TestResult {
            outcome,
            time: Some(Duration::from_millis(12)),
            ..TestResult::failure("ring", name, "")
        }
    }

    #[test]
    fn boots_are_columns() {
        let one = [result("a", Outcome::Pass), result("b", Outcome::Skip)];
        let two = [result("b", Outcome::Fail), result("c", Outcome::Pass)];
        let text = table(&[
            Column {
                title: "one",
                results: &one,
            },
            Column {
                title: "two",
                results: &two,
            },
        ])
        .to_string();
        let words = |name: &str| -> Vec<String> {
            let line = text
                .lines()
                .find(|line| line.contains(&format!("ring {name}")))
                .unwrap();
            let line = line.trim_matches('│');
            line.split_whitespace().skip(2).map(str::to_owned).collect()
        };
        assert_eq!(words("a"), ["ok", "12", "ms"]);
        assert_eq!(words("b"), ["SKIP", "12", "ms", "FAIL", "12", "ms"]);
        assert_eq!(words("c"), ["ok", "12", "ms"]);
        let place = |name: &str| {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            line.find("ok").unwrap()
        };
        assert!(place("ring a") < place("ring c"), "each in its column");
    }

    #[test]
    fn a_name_that_comes_twice_has_two_rows() {
        let results = [result("a", Outcome::Pass), result("a", Outcome::Fail)];
        let column = Column {
            title: "one",
            results: &results,
        };
        assert_eq!(table(&[column]).row_count(), 2);
    }

    #[test]
    fn times_are_short() {
        assert_eq!(time(Duration::from_micros(300)), "0.3 ms");
        assert_eq!(time(Duration::from_millis(120)), "120 ms");
        assert_eq!(time(Duration::from_millis(3400)), "3.4 s");
    }
}
