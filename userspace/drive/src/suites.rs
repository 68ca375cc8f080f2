// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of CPython that have to do with events, on epoll and on kevent.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use crate::servers::{program, Column, FILES};

/// Modules of CPython's package `test`; the last is a package itself, of which each module is run.
const MODULES: [&str; 4] = ["test_epoll", "test_poll", "test_select", "test_selectors"];
const PACKAGE: &str = "test_asyncio";

/// How often a test is run again that failed on one of both.
const AGAIN: usize = 3;

/// Seconds that a module may take.
const LIMIT: &str = "1200";
/// Seconds that a test may take that is run again by itself.
const ALONE: &str = "300";

type Outcomes = BTreeMap<String, String>;

/// Runs all that are wanted. Each outcome is a line, `AGAIN` for those of later turns.
pub fn run(wanted: impl Fn(&str) -> bool) -> Result<(), String> {
    for module in modules()?.iter().filter(|module| wanted(module)) {
        let [epoll, kevent] =
            Column::BOTH.map(|column| turn("TEST", column, LIMIT, &[module.as_str()]));
        let (epoll, kevent) = (epoll?, kevent?);
        let differ: Vec<&str> = kevent
            .iter()
            .filter(|(test, outcome)| epoll.get(*test) != Some(*outcome))
            .map(|(test, _)| test.as_str())
            .collect();
        for _ in 0..AGAIN {
            for test in &differ {
                for column in Column::BOTH {
                    turn("AGAIN", column, ALONE, &[test])?;
                }
            }
        }
    }
    Ok(())
}

fn modules() -> Result<Vec<String>, String> {
    let pattern = "import test, os; print(os.path.dirname(test.__file__))";
    let output = program("python3").args(["-c", pattern]).output();
    let output = output.map_err(|error| format!("python3: {error}"))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join(PACKAGE);
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.filter_map(|name| Some(name.to_str()?.to_owned()));
    let mut inner: Vec<String> = names.filter_map(|name| module(&name)).collect();
    inner.sort();
    let outer = MODULES.iter().map(|name| format!("test.{name}"));
    Ok(outer.chain(inner).collect())
}

/// What a file of the package is as a module, if it has tests.
fn module(file: &str) -> Option<String> {
    let name = file
        .strip_suffix(".py")
        .filter(|name| name.starts_with("test_"))?;
    Some(format!("test.{PACKAGE}.{name}"))
}

fn turn(line: &str, column: Column, limit: &str, tests: &[&str]) -> Result<Outcomes, String> {
    let mut python = program("timeout");
    python
        .args(["-s", "KILL", limit, "python3", &format!("{FILES}/suite.py")])
        .args(tests);
    python
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    column.apply(&mut python);
    let mut child = python
        .spawn()
        .map_err(|error| format!("timeout: {error}"))?;
    let mut outcomes = Outcomes::new();
    let (name, mut log, mut done) = (column.name(), Vec::new(), false);
    for text in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|pipe| BufReader::new(pipe).lines())
    {
        let text = text.map_err(|error| error.to_string())?;
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["TEST", test, outcome] => {
                println!("{line} column={name} test={test} outcome={outcome}");
                outcomes.insert(test.to_owned(), outcome.to_owned());
                if matches!(outcome, "fail" | "error") {
                    log.iter()
                        .for_each(|text| println!("LOG column={name} test={test} {text}"));
                }
                log.clear();
            }
            ["LOG", ..] => log.push(text[4..].to_owned()),
            ["DONE"] => done = true,
            _ => {}
        }
    }
    let _ = child.wait();
    if !done {
        let all = tests.join(" ");
        println!("{line} column={name} test={all}.whole outcome=broken");
        outcomes.insert(format!("{all}.whole"), "broken".to_owned());
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_with_tests_are_chosen() {
        assert_eq!(
            module("test_events.py").unwrap(),
            "test.test_asyncio.test_events"
        );
        for file in [
            "utils.py",
            "__init__.py",
            "test_events.pyc",
            "functional.py",
        ] {
            assert_eq!(module(file), None);
        }
    }
}
