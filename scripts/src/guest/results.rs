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
