//! The results of KUnit, which the kernel prints nested on its console while it boots.

use std::time::Duration;

use super::results::{Outcome, TestResult};
use super::tap::Line;

/// One nesting of tests.
struct Level {
    indent: usize,
    name: Option<String>,
    plan: Option<usize>,
    results: usize,
    failures: usize,
}

#[derive(Default)]
pub struct Ktap {
    levels: Vec<Level>,
    /// When the last line came, by the kernel's clock.
    last: Option<Duration>,
    log: Vec<String>,
}

impl Ktap {
    /// A line of the console; gives the results that it tells.
    pub fn line(&mut self, line: &str) -> Vec<TestResult> {
        let (time, line) = split_time(line);
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        let parsed = Line::parse(text);
        if parsed == Line::Version {
            self.levels.retain(|level| level.indent < indent);
            self.levels.push(Level {
                indent,
                name: None,
                plan: None,
                results: 0,
                failures: 0,
            });
            self.last = time;
            return Vec::new();
        }
        match parsed {
            Line::Plan(count) => {
                if let Some(level) = self.at(indent) {
                    level.plan = Some(count);
                }
            }
            Line::Subtest(name) => {
                if let Some(level) = self.at(indent) {
                    level.name = Some(name.to_owned());
                }
            }
            Line::Result {
                name,
                outcome,
                note,
                ..
            } if self.levels.iter().any(|level| level.indent == indent) => {
                return self.result(indent, time, name, outcome, note);
            }
            _ if !self.levels.is_empty() && text.starts_with('#') => self.log.push(text.to_owned()),
            _ => {}
        }
        Vec::new()
    }

    /// The nestings that were never closed, each a failure, when the console ends.
    pub fn end(mut self) -> Vec<TestResult> {
        let mut all = Vec::new();
        while let Some(level) = self.levels.pop() {
            if level.plan != Some(level.results) {
                all.push(incomplete(&level, "all of it"));
            }
        }
        all
    }

    fn at(&mut self, indent: usize) -> Option<&mut Level> {
        self.levels
            .last_mut()
            .filter(|level| level.indent == indent)
    }

    fn result(
        &mut self,
        indent: usize,
        time: Option<Duration>,
        name: &str,
        outcome: Outcome,
        note: &str,
    ) -> Vec<TestResult> {
        let mut all = Vec::new();
        let mut has_children = false;
        let mut child_failed = false;
        while self
            .levels
            .last()
            .is_some_and(|level| level.indent > indent)
        {
            let child = self.levels.pop().expect("seen above");
            has_children = true;
            child_failed |= child.failures > 0;
            if child.plan != Some(child.results) {
                child_failed = true;
                all.push(incomplete(&child, name));
            }
        }
        let spent = match (time, self.last) {
            (Some(now), Some(before)) => Some(now.saturating_sub(before)),
            _ => None,
        };
        self.last = time;
        let mut log = std::mem::take(&mut self.log);
        let Some(level) = self.at(indent) else {
            return all;
        };
        level.results += 1;
        level.failures += usize::from(outcome == Outcome::Fail || child_failed);
        // The result of a nesting repeats those inside, unless only the nesting itself failed
        // or nothing inside ran.
        if has_children && (outcome == Outcome::Pass || child_failed) {
            return all;
        }
        if !note.is_empty() {
            log.push(note.to_owned());
        }
        all.push(TestResult {
            suite: suite(level),
            name: name.to_owned(),
            outcome,
            time: spent,
            log,
        });
        all
    }
}

fn suite(level: &Level) -> String {
    match &level.name {
        Some(name) => format!("kunit {name}"),
        None => "kunit".to_owned(),
    }
}

fn incomplete(level: &Level, name: &str) -> TestResult {
    let planned = level
        .plan
        .map_or("no plan".to_owned(), |plan| format!("planned {plan}"));
    let why = format!("{planned}, reported {}", level.results);
    TestResult::failure(&suite(level), name, why)
}

/// Cuts `[    1.234567] ` and `[   T12] ` from a line of the kernel's log.
fn split_time(line: &str) -> (Option<Duration>, &str) {
    let Some(rest) = line.strip_prefix('[') else {
        return (None, line);
    };
    let Some((stamp, mut text)) = rest.split_once(']') else {
        return (None, line);
    };
    let Ok(seconds) = stamp.trim().parse::<f64>() else {
        return (None, line);
    };
    if let Some((_, after)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        text = after;
    }
    let text = text.strip_prefix(' ').unwrap_or(text);
    (Duration::try_from_secs_f64(seconds).ok(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(text: &str) -> Vec<TestResult> {
        let mut ktap = Ktap::default();
        let mut all: Vec<_> = text.lines().flat_map(|line| ktap.line(line)).collect();
        all.extend(ktap.end());
        all
    }

    const GOOD: &str = "\
[    0.100000] Linux version
[    0.500000] KTAP version 1
[    0.500000] 1..1
[    0.500000]     KTAP version 1
[    0.500000]     # Subtest: rust_kevent
[    0.500000]     # speed: normal
[    0.500000]     1..3
[    0.510000]     ok 1 ring_memory
[    0.520000]     # limits: one.rs:3: expectation failed
[    0.530000]     not ok 2 limits
[    0.530000]     ok 3 later # SKIP no memory
[    0.530000] # rust_kevent: pass:1 fail:1 skip:1 total:3
[    0.540000] not ok 1 rust_kevent
[    0.600000] ok 9 unrelated
";

    #[test]
    fn leaves_are_counted_once() {
        let all = play(GOOD);
        let summary: Vec<_> = all
            .iter()
            .map(|result| (result.suite.as_str(), result.name.as_str(), result.outcome))
            .collect();
        assert_eq!(
            summary[0],
            ("kunit rust_kevent", "ring_memory", Outcome::Pass)
        );
        assert_eq!(summary[1], ("kunit rust_kevent", "limits", Outcome::Fail));
        assert_eq!(summary[2], ("kunit rust_kevent", "later", Outcome::Skip));
        assert_eq!(all[0].time, Some(Duration::from_millis(10)));
        assert_eq!(all[1].log[0], "# limits: one.rs:3: expectation failed");
    }

    #[test]
    fn more_results_than_planned_fail() {
        let last = play(GOOD).pop().unwrap();
        assert_eq!(
            (last.suite.as_str(), last.outcome),
            ("kunit", Outcome::Fail)
        );
        let without = GOOD.replace("[    0.600000] ok 9 unrelated\n", "");
        assert_eq!(play(&without).len(), 3);
    }

    #[test]
    fn a_suite_that_stops_early_fails() {
        let cut: Vec<&str> = GOOD.lines().take(9).collect();
        let all = play(&cut.join("\n"));
        assert_eq!(all[0].outcome, Outcome::Pass);
        assert_eq!(all.len(), 3, "the suite and the whole: {all:?}");
        assert!(
            all[1..]
                .iter()
                .all(|result| result.outcome == Outcome::Fail)
        );
    }

    #[test]
    fn parameters_nest_deeper() {
        let all = play(
            "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..1\n        \
             KTAP version 1\n        # Subtest: t\n        1..2\n        ok 1 a\n        ok 2 b\n    \
             ok 1 t\nok 1 s\n",
        );
        let names: Vec<&str> = all.iter().map(|result| result.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(all[0].suite, "kunit t");
    }

    #[test]
    fn a_nesting_that_fails_by_itself_counts() {
        let all = play(
            "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..1\n    \
             ok 1 a\n    # s: init failed\nnot ok 1 s\n",
        );
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].name.as_str(), all[1].outcome), ("s", Outcome::Fail));
    }

    #[test]
    fn no_kunit_no_results() {
        assert!(play("[    0.100000] ok 1 stray\n1..4\n").is_empty());
    }
}
