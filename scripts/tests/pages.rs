//! The manual pages: their programs are those that the selftests compile and run, and they leave
//! out no constant of the header and no error of the document.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

const HEADER: &str = include_str!("../../linux/include/uapi/linux/kevent.h");
const DOCUMENT: &str = include_str!("../../Documentation/userspace-api/kevent.rst");
const CALLS: &str = include_str!("../abi/x86_64.golden");

/// What fits between the margins of a page.
const COLUMNS: usize = 73;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The texts of the files of a folder whose names begin with `prefix`.
fn files(name: &str, prefix: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with(prefix) {
            files.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    assert!(!files.is_empty());
    files
}

fn pages() -> BTreeMap<String, String> {
    files("Documentation/man", "kevent")
}

/// What a page shows for a line of its source.
fn shown(line: &str) -> String {
    let mut text = line.to_owned();
    for (escape, character) in [
        (r"\&", ""),
        (r"\-", "-"),
        (r"\[aq]", "'"),
        (r"\[ha]", "^"),
        (r"\[ti]", "~"),
        (r"\e", r"\"),
    ] {
        text = text.replace(escape, character);
    }
    text + "\n"
}

/// What a page has of a program: all but the licence, with blanks for tabs.
fn printed(program: &str) -> String {
    let (licence, program) = program.split_once('\n').unwrap();
    assert!(licence.contains("SPDX-License-Identifier"));
    let mut text = String::new();
    for line in program.lines() {
        let mut column = 0;
        for character in line.chars() {
            let (width, shown) = match character {
                '\t' => (8 - column % 8, ' '),
                other => (1, other),
            };
            text.extend(std::iter::repeat_n(shown, width));
            column += width;
        }
        assert!(column <= COLUMNS, "{line}");
        text.push('\n');
    }
    text
}

#[test]
fn programs_are_the_selftests() {
    let mut programs = files("selftests", "example_");
    let pattern = r#"(?ms)^\.\\" SRC BEGIN \((\S+)\)\n\.EX\n(.*?)^\.EE\n\.\\" SRC END$"#;
    let block = Regex::new(pattern).unwrap();
    for (name, page) in pages() {
        for block in block.captures_iter(&page) {
            let program = programs.remove(&block[1]);
            let program = program.unwrap_or_else(|| panic!("{name}: there is no {}", &block[1]));
            let lines: String = block[2].lines().map(shown).collect();
            assert_eq!(lines, printed(&program), "{name}: {}", &block[1]);
        }
    }
    assert!(programs.is_empty(), "on no page: {:?}", programs.keys());
}

#[test]
fn programs_are_run() {
    let makefile = fs::read_to_string(folder("selftests/Makefile")).unwrap();
    let lines = makefile.lines();
    let run: BTreeSet<&str> = lines
        .filter_map(|line| line.strip_prefix("TEST_GEN_PROGS += "))
        .flat_map(str::split_whitespace)
        .collect();
    for name in files("selftests", "example_").keys() {
        assert!(run.contains(name.trim_end_matches(".c")), "{name}");
    }
}

#[test]
fn every_call_has_a_page() {
    let pages = pages();
    let call = Regex::new(r"(?m)^call scripts/syscall\.tbl (\d+) common (\S+) ").unwrap();
    let calls: Vec<_> = call.captures_iter(CALLS).collect();
    assert!(!calls.is_empty());
    for call in calls {
        let page = &pages[&format!("{}.2", &call[2])];
        let number = format!("The number of the call is {} ", &call[1]);
        assert!(page.contains(&number), "{}", &call[2]);
    }
}

#[test]
fn every_constant_is_named() {
    let text: String = pages().into_values().collect();
    let words: BTreeSet<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let constant = Regex::new(r"(?m)^#define (KEVENT_\w+)").unwrap();
    for constant in constant.captures_iter(HEADER) {
        assert!(words.contains(&constant[1]), "{}", &constant[1]);
    }
}

#[test]
fn every_field_is_shown() {
    let text: String = pages().into_values().collect();
    let field = Regex::new(r"(?m)^\t+__u(?:32|64)\t(\w+)(?:\[\d\])?;").unwrap();
    let fields: Vec<_> = field.captures_iter(HEADER).collect();
    assert!(!fields.is_empty());
    for field in fields {
        let shown = Regex::new(&format!(r"(?m)^ +__u(32|64)  {}(\[\d\])?;", &field[1])).unwrap();
        assert!(shown.is_match(&text), "{}", &field[1]);
    }
}

/// The part of the document between two headings.
fn between(from: &str, to: &str) -> &'static str {
    let at = |heading: &str| {
        let mut lines = ["---", "==="]
            .map(|line| format!("\n{heading}\n{line}"))
            .into_iter();
        lines.find_map(|text| DOCUMENT.find(&text)).expect(heading)
    };
    &DOCUMENT[at(from)..at(to)]
}

/// The errors with which lines of a text begin.
fn errors(text: &str) -> BTreeSet<&str> {
    let error = Regex::new(r"(?m)^(E[A-Z]{3,})\b").unwrap();
    error
        .captures_iter(text)
        .map(|found| found.get(1).unwrap().as_str())
        .collect()
}

#[test]
fn every_error_is_listed() {
    let pages = pages();
    let timeouts = between("Timeouts", "struct ukevent");
    let sources = between("Sources", "Closing");
    for (name, next, more) in [
        ("kevent_init", "kevent_ctl()", ""),
        ("kevent_ctl", "kevent_get_events()", sources),
        ("kevent_get_events", "kevent_wait()", timeouts),
        ("kevent_wait", "kevent_commit()", timeouts),
        ("kevent_commit", "Timeouts", ""),
    ] {
        let own = between(&format!("{name}()"), next);
        let (_, page) = pages[&format!("{name}.2")]
            .split_once("\n.SH ERRORS\n")
            .unwrap();
        let (page, _) = page.split_once("\n.SH ").unwrap();
        let told: BTreeSet<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".B "))
            .collect();
        let errors = errors(own);
        assert!(!errors.is_empty());
        for error in errors.union(&self::errors(more)) {
            assert!(told.contains(error), "{name}.2: {error}");
        }
    }
}
