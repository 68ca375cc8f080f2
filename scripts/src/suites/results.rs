//! What the runner in the guest tells of the tests, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use comfy_table::{Table, presets};

use super::guest::Built;
use super::list::{Column, Difference};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// Not at first.
    Again,
    Failed,
    Ignored,
}

impl Outcome {
    fn parse(word: &str) -> Result<Outcome> {
        Ok(match word {
            "ok" => Outcome::Passed,
            "again" => Outcome::Again,
            "failed" => Outcome::Failed,
            "ignored" => Outcome::Ignored,
            _ => bail!("no outcome {word}"),
        })
    }
}

/// Of one suite in one column.
#[derive(Default)]
struct Side {
    /// By `program test`.
    tests: BTreeMap<String, Outcome>,
    kevent: bool,
    eventpoll: bool,
    /// Programs that did not end.
    broken: Vec<String>,
}

impl Side {
    fn count(&self, wanted: Outcome) -> usize {
        let outcomes = self.tests.values();
        outcomes.filter(|outcome| **outcome == wanted).count()
    }

    fn has_failed(&self, test: &str) -> bool {
        self.tests.get(test) == Some(&Outcome::Failed)
    }
}

/// By suite and column.
#[derive(Default)]
pub struct Results(BTreeMap<(String, &'static str), Side>);

impl Results {
    /// From the lines that begin with `@`.
    pub fn parse(lines: &[String]) -> Result<Results> {
        let mut results = Results::default();
        for line in lines {
            if let Some(line) = line.strip_prefix("@ ") {
                results.add(line).with_context(|| format!("in `{line}`"))?;
            }
        }
        Ok(results)
    }

    fn add(&mut self, line: &str) -> Result<()> {
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().context("a word lacks");
        let (what, column, suite, program) = (word()?, word()?, word()?, word()?);
        let text = words.next().unwrap_or_default();
        let column = Column::ALL.iter().find(|known| known.name() == column);
        let column = column.context("no such column")?.name();
        let side = self.0.entry((suite.to_owned(), column)).or_default();
        match what {
            "run" => {}
            "test" => {
                let (outcome, test) = text.split_once(' ').context("no test")?;
                let outcome = Outcome::parse(outcome)?;
                side.tests.insert(format!("{program} {test}"), outcome);
            }
            "end" => {
                side.kevent |= text.contains("kevent=1");
                side.eventpoll |= text.contains("eventpoll=1");
                if !text.starts_with("exit=") {
                    side.broken.push(format!("{program}: {text}"));
                }
            }
            _ => bail!("nothing is called {what}"),
        }
        Ok(())
    }

    fn side(&self, suite: &str, column: Column) -> Result<&Side> {
        let key = (suite.to_owned(), column.name());
        let side = self.0.get(&key);
        side.with_context(|| format!("{suite} did not run on {}", column.name()))
    }

    /// The tests of a suite that fail on kevent and not on epoll.
    fn differences(&self, suite: &str) -> Result<Vec<&str>> {
        let epoll = self.side(suite, Column::Epoll)?;
        let kevent = self.side(suite, Column::Kevent)?;
        let tests = kevent.tests.keys().map(String::as_str);
        let only = tests.filter(|test| kevent.has_failed(test) && !epoll.has_failed(test));
        Ok(only.collect())
    }

    /// Why the run is no proof; nothing if it is.
    pub fn complaints(&self, built: &[Built], known: &[Difference]) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        for Built { suite, .. } in built {
            let name = &suite.package.name;
            for test in self.differences(name)? {
                let listed = |known: &&Difference| known.suite == *name && known.test == test;
                if known.iter().find(listed).is_none() {
                    complaints.push(format!("{name}: {test} fails on kevent alone"));
                }
            }
            let epoll = self.side(name, Column::Epoll)?;
            let kevent = self.side(name, Column::Kevent)?;
            if epoll.tests.len() != kevent.tests.len() || epoll.tests.is_empty() {
                complaints.push(format!("{name}: not the same tests ran on both"));
            }
            if epoll.kevent || !epoll.eventpoll {
                complaints.push(format!("{name}: the column epoll was not on epoll"));
            }
            if kevent.eventpoll || !kevent.kevent {
                complaints.push(format!("{name}: the column kevent was not on kevent"));
            }
        }
        Ok(complaints)
    }

    /// For the file of results: a line for each suite, and for each test that failed.
    pub fn told(&self, built: &[Built]) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for Built { suite, .. } in built {
            let name = &suite.package.name;
            let epoll = self.side(name, Column::Epoll)?;
            let kevent = self.side(name, Column::Kevent)?;
            let mut line = format!(
                "SUITE suite={name} version={} tests={}",
                suite.package.version,
                kevent.tests.len()
            );
            for (column, side) in [("epoll", epoll), ("kevent", kevent)] {
                let passed = side.count(Outcome::Passed) + side.count(Outcome::Again);
                let failed = side.count(Outcome::Failed);
                line += &format!(" {column}-passed={passed} {column}-failed={failed}");
            }
            lines.push(format!("{line} ignored={}", kevent.count(Outcome::Ignored)));
            let tests = epoll.tests.keys().chain(kevent.tests.keys());
            for test in tests.collect::<BTreeSet<_>>() {
                let on = match (epoll.has_failed(test), kevent.has_failed(test)) {
                    (true, true) => "both",
                    (true, false) => "epoll",
                    (false, true) => "kevent",
                    (false, false) => continue,
                };
                let (program, test) = test.split_once(' ').context("a test has a program")?;
                let place = format!("suite={name} on={on}");
                lines.push(format!("FAILED {place} program={program} test={test}"));
            }
        }
        Ok(lines)
    }

    /// For the terminal.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "suite",
            "on",
            "passed",
            "at a second try",
            "failed",
            "ignored",
            "broken",
        ]);
        for ((suite, column), side) in &self.0 {
            table.add_row([
                suite.clone(),
                (*column).to_owned(),
                side.count(Outcome::Passed).to_string(),
                side.count(Outcome::Again).to_string(),
                side.count(Outcome::Failed).to_string(),
                side.count(Outcome::Ignored).to_string(),
                side.broken.join(", "),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::suites::list;

    fn built() -> Vec<Built> {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let suites = list::suites(repo).unwrap().into_iter();
        let suites = suites.filter(|suite| suite.package.name == "tokio");
        let built = suites.map(|suite| Built {
            suite,
            folder: "/f".into(),
            programs: Vec::new(),
        });
        built.collect()
    }

    fn results(lines: &str) -> Results {
        let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        Results::parse(&lines).unwrap()
    }

    const GOOD: &str = "running\n@ run epoll tokio udp \n@ test epoll tokio udp ok a::b\n\
        @ test epoll tokio udp failed c\n@ end epoll tokio udp exit=101 kevent=0 eventpoll=1\n\
        @ test kevent tokio udp again a::b\n@ test kevent tokio udp failed c\n\
        @ end kevent tokio udp exit=101 kevent=1 eventpoll=0\n";

    #[test]
    fn what_fails_on_both_is_no_difference() {
        let results = results(GOOD);
        assert!(results.complaints(&built(), &[]).unwrap().is_empty());
        let told = results.told(&built()).unwrap();
        let end = "tests=2 epoll-passed=1 epoll-failed=1 kevent-passed=1 kevent-failed=1 ignored=0";
        assert!(told[0].ends_with(end), "{told:?}");
        assert_eq!(told[1..], ["FAILED suite=tokio on=both program=udp test=c"]);
    }

    #[test]
    fn what_fails_on_kevent_alone_needs_a_reason() {
        let results = results(&GOOD.replace("kevent tokio udp again", "kevent tokio udp failed"));
        let complaints = results.complaints(&built(), &[]).unwrap();
        assert_eq!(complaints, ["tokio: udp a::b fails on kevent alone"]);
        let known = Difference {
            suite: "tokio".to_owned(),
            test: "udp a::b".to_owned(),
            reason: "as it says".to_owned(),
        };
        let known = [known];
        assert!(results.complaints(&built(), &known).unwrap().is_empty());
        let told = results.told(&built()).unwrap();
        assert_eq!(
            told[1],
            "FAILED suite=tokio on=kevent program=udp test=a::b"
        );
    }

    #[test]
    fn a_column_that_is_not_what_it_says_is_no_proof() {
        for (from, to) in [
            ("kevent=1 eventpoll=0", "kevent=0 eventpoll=1"),
            ("eventpoll=1", "eventpoll=0"),
        ] {
            let results = results(&GOOD.replace(from, to));
            assert!(!results.complaints(&built(), &[]).unwrap().is_empty());
        }
        let short = results(&GOOD.replace("@ test kevent tokio udp failed c\n", ""));
        assert!(!short.complaints(&built(), &[]).unwrap().is_empty());
    }

    #[test]
    fn what_the_runner_says_is_understood_or_an_error() {
        for line in [
            "@ test epoll tokio udp maybe a",
            "@ huh epoll tokio udp",
            "@ run poll tokio udp",
        ] {
            assert!(Results::parse(&[line.to_owned()]).is_err(), "{line}");
        }
    }
}
