//! Mode by source by what happens: from the variants and tests of selftests/modes.c.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use regex::Regex;

use super::list_table;

const MODES: [&str; 6] = ["level", "edge", "once", "dispatch", "checked", "exclusive"];
const SOURCES: [&str; 4] = ["user", "timer", "poll", "socket"];

/// The tests, in the order in which a variant says what they expect, and what the columns are
/// called.
const TESTS: [(&str, &str); 4] = [
    ("before_taken", "fires again before it is taken"),
    ("after_taken", "after it is taken"),
    ("after_freed", "after its slot is free"),
    ("still_true", "does not fire, but is true"),
];

/// The table that the tests give.
pub fn table(tests: &str) -> Result<String> {
    let variant = Regex::new(
        r"FIXTURE_VARIANT_ADD\(modes, (\w+)\)\s*\{\s*KEVENT_\w+, \w+, (\w+), (\w+), (\w+), (\w+)\s*\};",
    )?;
    let variants: BTreeMap<&str, [&str; 4]> = variant
        .captures_iter(tests)
        .map(|found| {
            let (_, [name, cells @ ..]) = found.extract::<5>();
            (name, cells)
        })
        .collect();
    for (test, _) in TESTS {
        let head = format!("TEST_F(modes, {test})");
        tests
            .contains(&head)
            .then_some(())
            .with_context(|| format!("no test stands for the column {test}: {head} is missing"))?;
    }
    let mut rows = Vec::new();
    for mode in MODES {
        for source in SOURCES {
            let name = format!("{mode}_{source}");
            let cells = variants.get(name.as_str()).with_context(|| {
                format!("no test stands for {mode} of {source}: the variant {name} is missing")
            })?;
            let mut row = vec![mode.to_owned(), source.to_uppercase()];
            for ((test, _), cell) in TESTS.iter().zip(cells) {
                row.push(format!("{}: ``{name}.{test}``", words(cell)));
            }
            rows.push(row);
        }
    }
    let mut header = vec!["mode", "source"];
    header.extend(TESTS.iter().map(|(_, title)| title));
    Ok(list_table(&header, &rows))
}

fn words(cell: &str) -> String {
    match cell {
        "REFUSED" => "ADD is EINVAL".to_owned(),
        _ => cell.to_lowercase().replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> String {
        let mut text = String::new();
        for mode in MODES {
            for source in SOURCES {
                text.push_str(&format!(
                    "FIXTURE_VARIANT_ADD(modes, {mode}_{source})\n{{\n\tKEVENT_USER, 0, MERGES, \
                     NEW_EVENT, NOTHING, REFUSED\n}};\n"
                ));
            }
        }
        for (test, _) in TESTS {
            text.push_str(&format!("TEST_F(modes, {test})\n"));
        }
        text
    }

    #[test]
    fn each_cell_names_its_test() {
        let table = table(&all()).unwrap();
        assert!(table.contains("- new event: ``once_poll.after_taken``"));
        assert_eq!(
            table.matches("``").count(),
            2 * 4 * MODES.len() * SOURCES.len()
        );
    }

    #[test]
    fn a_cell_without_a_test_fails() {
        let text = all().replace("once_poll", "once_pool");
        let error = table(&text).unwrap_err().to_string();
        assert!(error.contains("once of poll"), "{error}");
        let text = all().replace("after_freed", "after");
        let error = table(&text).unwrap_err().to_string();
        assert!(error.contains("after_freed"), "{error}");
    }
}
