//! Type of file by what it is ready for: from the CELLs of selftests/files.c.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use regex::Regex;

use super::list_table;

/// What a program can open; each must have a test.
const TYPES: [&str; 24] = [
    "pipe",
    "fifo",
    "eventfd",
    "timerfd",
    "signalfd",
    "pidfd",
    "inotify",
    "fanotify",
    "tty",
    "pty_master",
    "pty_slave",
    "unix_stream",
    "unix_dgram",
    "unix_seqpacket",
    "tcp",
    "tcp_listener",
    "userfaultfd",
    "queue",
    "memfd",
    "regular_file",
    "directory",
    "dev_null",
    "epoll",
    "io_uring",
];
const COLUMNS: [&str; 5] = ["readable", "writable", "error", "hangup", "refused"];

/// The table that the tests give.
pub fn table(tests: &str) -> Result<String> {
    let cell = Regex::new(r"(?m)^CELL\((\w+), (\w+), \w+, \w+, \w+, ([^,]+), ([^,)]+)\)$")?;
    let refused = Regex::new(r"(?m)^REFUSED\((\w+), (\w+), ")?;
    let mut cells: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for found in cell.captures_iter(tests) {
        let (_, [kind, column, asked, says]) = found.extract();
        let bits = if says == "0" { asked } else { says };
        cells.insert((kind, column), bits.replace(" | ", ", "));
    }
    for found in refused.captures_iter(tests) {
        let (_, [kind, error]) = found.extract();
        cells.insert((kind, "refused"), error.to_owned());
    }
    let mut rows = Vec::new();
    for kind in TYPES {
        let mut row = vec![kind.replace('_', " ")];
        for column in COLUMNS {
            row.push(match cells.get(&(kind, column)) {
                Some(bits) => format!("{bits}: ``{kind}_{column}``"),
                None => "\\-".to_owned(),
            });
        }
        ensure!(
            row.iter().skip(1).any(|cell| cell != "\\-"),
            "no test stands for files of type {kind}"
        );
        rows.push(row);
    }
    let mut header = vec!["file"];
    header.extend(COLUMNS);
    Ok(list_table(&header, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> String {
        TYPES
            .iter()
            .map(|kind| format!("CELL({kind}, readable, a, b, NULL, POLLIN | POLLPRI, 0)\n"))
            .collect()
    }

    #[test]
    fn a_cell_says_what_is_told() {
        let table = table(&(all() + "REFUSED(epoll, EINVAL, epoll_create1(0))\n")).unwrap();
        assert!(table.contains("- POLLIN, POLLPRI: ``tty_readable``"));
        assert!(table.contains("- EINVAL: ``epoll_refused``"));
    }

    #[test]
    fn a_type_without_a_test_fails() {
        let text = all().replace("CELL(fifo", "CELL(fif");
        let error = table(&text).unwrap_err().to_string();
        assert!(error.contains("fifo"), "{error}");
    }
}
