//! What tests of packages did on epoll and on kevent, and whether that is the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::results::Line;
use crate::guest::bench::Words;

/// The differences that are known and right.
const FILE: &str = "scripts/programs/differences.toml";

/// Why each test that ends otherwise on kevent does.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    #[serde(default)]
    tests: BTreeMap<String, String>,
}

impl Differences {
    pub fn read(repo: &Path) -> Result<Differences> {
        let path = repo.join(FILE);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// For the document.
    pub fn list(&self) -> String {
        if self.tests.is_empty() {
            return "There is none.\n".to_owned();
        }
        let line = |(test, why): (&String, &String)| format!("* `{test}`: {why}\n");
        self.tests.iter().map(line).collect()
    }
}

/// How a test ended on one of both: at first, and when it was run again by itself.
#[derive(Debug, Default)]
struct Ends {
    first: Option<String>,
    again: Vec<String>,
}

impl Ends {
    /// Whether it ended well once at least; what nobody ran did not.
    fn is_good(&self) -> bool {
        self.first
            .iter()
            .chain(&self.again)
            .any(|outcome| outcome == "ok")
    }

    /// Whether it ended well each time that it was run by itself, or in the one turn that it had.
    fn is_steady(&self) -> bool {
        match self.again.is_empty() {
            true => self.first.as_deref() == Some("ok"),
            false => self.again.iter().all(|outcome| outcome == "ok"),
        }
    }
}

#[derive(Debug, Default)]
struct Test {
    epoll: Ends,
    kevent: Ends,
}

impl Test {
    /// It is good on epoll, and not on kevent.
    fn differs(&self) -> bool {
        let same = self.epoll.first == self.kevent.first;
        let broken = self.kevent.first.as_deref() == Some("broken");
        let good = self.epoll.is_steady() || broken && self.epoll.first.is_none();
        !same && good && !self.kevent.is_steady()
    }

    /// It is not the same each time.
    fn is_unsteady(&self) -> bool {
        let same = self.epoll.first == self.kevent.first;
        !same && !self.differs()
    }
}

/// The tests of all suites.
#[derive(Debug, Default)]
pub struct Suites {
    tests: BTreeMap<String, Test>,
}

impl Suites {
    /// Takes a line `TEST` or `AGAIN`; others are not for it.
    pub fn line(&mut self, text: &str) -> Result<()> {
        let again = text.starts_with("AGAIN ");
        if !again && !text.starts_with("TEST ") {
            return Ok(());
        }
        let words = Words::of(text);
        let test = self
            .tests
            .entry(words.text("test")?.to_owned())
            .or_default();
        let ends = match words.text("column")? {
            "kevent" => &mut test.kevent,
            _ => &mut test.epoll,
        };
        let outcome = words.text("outcome")?.to_owned();
        match again {
            true => ends.again.push(outcome),
            false => ends.first = Some(outcome),
        }
        Ok(())
    }

    /// A line `SUITE` for each module.
    pub fn sums(&self) -> Vec<Line> {
        let mut suites: BTreeMap<&str, Vec<&Test>> = BTreeMap::new();
        for (name, test) in &self.tests {
            suites.entry(suite(name)).or_default().push(test);
        }
        let sums = suites.iter().filter_map(|(suite, tests)| {
            let mut text = format!("SUITE suite={suite} tests={}", tests.len());
            for (column, of) in [("epoll", epoll as fn(&Test) -> &Ends), ("kevent", kevent)] {
                let count = |wanted: fn(&Ends) -> bool| {
                    tests.iter().filter(|test| wanted(of(test))).count()
                };
                let passed = count(Ends::is_good);
                let skipped = count(|ends| ends.first.as_deref() == Some("skip"));
                let failed = tests.len() - passed - skipped;
                text += &format!(
                    " {column}-passed={passed} {column}-skipped={skipped} {column}-failed={failed}"
                );
            }
            let differ = tests.iter().filter(|test| test.differs()).count();
            Line::parse(&format!("{text} differ={differ}"))
        });
        sums.collect()
    }

    /// What must not be: a test that differs and is not listed, or is listed and does not.
    pub fn complaints(&self, known: &Differences) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, test) in &self.tests {
            match (test.differs(), known.tests.contains_key(name)) {
                (true, false) => complaints.push(format!("{name} fails on kevent only: {test:?}")),
                (false, true) => complaints.push(format!("{name} is listed, and does not differ")),
                _ => {}
            }
        }
        complaints
    }

    /// Tests that did not end the same each time, whatever they ran on.
    pub fn unsteady(&self) -> Vec<&str> {
        let tests = self.tests.iter().filter(|(_, test)| test.is_unsteady());
        tests.map(|(name, _)| name.as_str()).collect()
    }
}

fn epoll(test: &Test) -> &Ends {
    &test.epoll
}

fn kevent(test: &Test) -> &Ends {
    &test.kevent
}

/// The module of a test: what is before its class.
fn suite(test: &str) -> &str {
    let mut end = 0;
    for part in test.split('.') {
        if part.starts_with(char::is_uppercase) || part == "whole" {
            break;
        }
        end += part.len() + 1;
    }
    let name = test.get(..end.saturating_sub(1)).unwrap_or(test);
    name.strip_prefix("test.").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(lines: &[&str]) -> Suites {
        let mut suites = Suites::default();
        lines.iter().for_each(|line| suites.line(line).unwrap());
        suites
    }

    fn turn(outcomes: [&str; 2], again: [&str; 2]) -> Suites {
        let mut lines = Vec::new();
        for (column, first, again) in [
            ("epoll", outcomes[0], again[0]),
            ("kevent", outcomes[1], again[1]),
        ] {
            lines.push(format!(
                "TEST column={column} test=test.test_x.A.test_b outcome={first}"
            ));
            for outcome in again.split_whitespace() {
                lines.push(format!(
                    "AGAIN column={column} test=test.test_x.A.test_b outcome={outcome}"
                ));
            }
        }
        suites(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn complaints(outcomes: [&str; 2], again: [&str; 2]) -> usize {
        turn(outcomes, again)
            .complaints(&Differences::default())
            .len()
    }

    #[test]
    fn only_what_fails_on_kevent_alone_is_complained_of() {
        assert_eq!(complaints(["ok", "ok"], ["", ""]), 0);
        assert_eq!(complaints(["fail", "fail"], ["", ""]), 0);
        assert_eq!(
            complaints(["ok", "fail"], ["ok ok ok", "fail fail fail"]),
            1
        );
        assert_eq!(complaints(["ok", "fail"], ["ok ok ok", "ok fail ok"]), 1);
        assert_eq!(
            complaints(["ok", "skip"], ["ok ok ok", "skip skip skip"]),
            1
        );
        assert_eq!(complaints(["ok", "fail"], ["ok ok ok", "ok ok ok"]), 0);
        assert_eq!(complaints(["ok", "fail"], ["ok fail ok", "fail ok ok"]), 0);
        assert_eq!(
            complaints(["fail", "ok"], ["fail fail fail", "ok ok ok"]),
            0
        );
        assert_eq!(complaints(["ok", "fail"], ["", ""]), 1);
    }

    #[test]
    fn what_was_not_run_differs() {
        let suites = suites(&[
            "TEST column=epoll test=test.test_x.A.test_b outcome=ok",
            "TEST column=kevent test=test.test_x.whole outcome=broken",
        ]);
        let complaints = suites.complaints(&Differences::default());
        assert_eq!(complaints.len(), 2, "{complaints:?}");
    }

    #[test]
    fn what_is_not_the_same_each_time_is_told() {
        assert_eq!(
            turn(["ok", "fail"], ["ok", "ok"]).unsteady(),
            ["test.test_x.A.test_b"]
        );
        assert!(turn(["ok", "fail"], ["ok", "fail"]).unsteady().is_empty());
        assert!(turn(["ok", "ok"], ["", ""]).unsteady().is_empty());
    }

    #[test]
    fn a_listed_difference_must_be_one() {
        let known: Differences = toml::from_str("tests.\"test.test_x.A.test_b\" = \"so\"").unwrap();
        assert!(
            turn(["ok", "fail"], ["ok", "fail"])
                .complaints(&known)
                .is_empty()
        );
        assert_eq!(turn(["ok", "ok"], ["", ""]).complaints(&known).len(), 1);
        assert_eq!(known.list(), "* `test.test_x.A.test_b`: so\n");
    }

    #[test]
    fn suites_are_summed_up() {
        let line = Line::parse(
            "SUITE suite=test_x tests=1 epoll-passed=1 epoll-skipped=0 epoll-failed=0 kevent-passed=0 \
             kevent-skipped=0 kevent-failed=1 differ=1",
        );
        assert_eq!(turn(["ok", "fail"], ["ok", "fail"]).sums(), [line.unwrap()]);
        assert_eq!(
            suite("test.test_asyncio.test_events.EpollTests.test_a"),
            "test_asyncio.test_events"
        );
        assert_eq!(suite("test.test_epoll.whole"), "test_epoll");
    }

    #[test]
    fn the_list_can_be_read() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        Differences::read(repo).unwrap();
    }
}
