//! What a test ended with, and how many did.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    Skip,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Pass => "ok",
            Outcome::Fail => "FAIL",
            Outcome::Skip => "SKIP",
        })
    }
}

#[derive(Clone, Debug)]
pub struct TestResult {
    /// The program or the suite.
    pub suite: String,
    pub name: String,
    pub outcome: Outcome,
    /// By the guest's clock.
    pub time: Option<Duration>,
    /// Why it failed or was skipped, and what it wrote before.
    pub log: Vec<String>,
}

impl TestResult {
    pub fn failure(suite: &str, name: &str, why: impl Into<String>) -> TestResult {
        TestResult {
            suite: suite.to_owned(),
            name: name.to_owned(),
            outcome: Outcome::Fail,
            time: None,
            log: vec![why.into()],
        }
    }
}

/// Lines that are repeated of why something failed.
const WHY_LINES: usize = 20;

/// What failed and, below it, why: of many lines the first and the last, where the reason is more often
/// than between them.
pub fn failure(what: &str, why: &[impl AsRef<str>]) -> String {
    const FIRST: usize = 12;
    const LAST: usize = WHY_LINES - FIRST - 1;
    let line = |line: &dyn AsRef<str>| format!("\n  {}", line.as_ref());
    let lines = |lines: &[_]| lines.iter().map(|text| line(text)).collect::<String>();
    if why.len() <= WHY_LINES {
        return what.to_owned() + &lines(why);
    }
    let (first, last) = (&why[..FIRST], &why[why.len() - LAST..]);
    let left_out = format!(
        "... {} lines, which are above ...",
        why.len() - FIRST - LAST
    );
    [what, &lines(first), &line(&left_out), &lines(last)].concat()
}

/// The same of what a step may say at any length.
pub fn shortened(failure: &str) -> String {
    let mut lines = failure.lines();
    let what = lines.next().unwrap_or_default();
    let why: Vec<&str> = lines.collect();
    if why.len() <= WHY_LINES {
        return failure.to_owned();
    }
    self::failure(what, &why)
}

/// Counts of tests. A skipped one is never counted as passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Tally {
    pub fn of<'a>(results: impl IntoIterator<Item = &'a TestResult>) -> Tally {
        let mut tally = Tally::default();
        for result in results {
            match result.outcome {
                Outcome::Pass => tally.passed += 1,
                Outcome::Fail => tally.failed += 1,
                Outcome::Skip => tally.skipped += 1,
            }
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_are_the_first_and_the_last() {
        let lines: Vec<String> = (1..=30).map(|number| number.to_string()).collect();
        assert_eq!(failure("a", &lines[..0]), "a");
        assert_eq!(failure("a", &lines[..2]), "a\n  1\n  2");
        assert_eq!(
            failure("a", &lines[..WHY_LINES]).lines().count(),
            1 + WHY_LINES
        );
        let long = failure("a", &lines);
        assert_eq!(long.lines().count(), 1 + WHY_LINES);
        assert!(long.contains("\n  12\n  ... 11 lines, which are above ...\n  24\n"));
        assert!(long.ends_with("\n  30"));
        // Once is enough.
        assert_eq!(shortened(&long), long);
        assert_eq!(shortened("a\nb"), "a\nb");
        assert_eq!(shortened(&lines.join("\n")).lines().count(), 1 + WHY_LINES);
    }

    #[test]
    fn skips_are_counted_apart() {
        let result = |outcome| TestResult {
            outcome,
            ..TestResult::failure("suite", "name", "")
        };
        let all = [Outcome::Pass, Outcome::Skip, Outcome::Fail, Outcome::Skip].map(result);
        let mut tally = Tally::of(&all);
        tally += Tally::of(&all[..1]);
        assert_eq!(tally.to_string(), "2 passed, 1 failed, 2 skipped");
    }
}
