//! The results of one test program, from its plan, its lines and its end.

use std::time::Duration;

use super::protocol::Ending;
use super::results::{Outcome, TestResult};
use super::tap::Line;

/// The exit code of a kselftest that was skipped as a whole.
const EXIT_SKIP: i32 = 4;
/// The name of what no single test stands for.
const WHOLE: &str = "whole program";

pub struct Program {
    name: String,
    /// It reports no tests: its exit code is the result.
    plain: bool,
    plan: Option<usize>,
    /// The numbers that were reported.
    seen: Vec<usize>,
    failed: bool,
    /// When the last test ended.
    last_us: u64,
    /// What was written since.
    log: Vec<String>,
}

impl Program {
    pub fn new(name: &str, plain: bool) -> Program {
        Program {
            name: name.to_owned(),
            plain,
            plan: None,
            seen: Vec::new(),
            failed: false,
            last_us: 0,
            log: Vec::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A line about it.
    pub fn note(&mut self, text: &str) {
        self.log.push(text.to_owned());
    }

    /// What was written since the last result.
    pub fn into_log(self) -> Vec<String> {
        self.log
    }

    /// A line of its output, `us` after the start; gives the result that it tells.
    pub fn line(&mut self, us: u64, text: &str) -> Option<TestResult> {
        if self.plain {
            self.log.push(text.to_owned());
            return None;
        }
        match Line::parse(text) {
            Line::Version => None,
            Line::Plan(count) => {
                self.plan = Some(count);
                None
            }
            Line::Result {
                number,
                name,
                outcome,
                note,
            } => {
                let mut log = std::mem::take(&mut self.log);
                if !note.is_empty() {
                    log.push(note.to_owned());
                }
                let again = self.seen.contains(&number);
                if again {
                    log.push(format!("test {number} was reported twice"));
                }
                self.seen.push(number);
                let time = Duration::from_micros(us.saturating_sub(self.last_us));
                self.last_us = us;
                let outcome = if again { Outcome::Fail } else { outcome };
                self.failed |= outcome == Outcome::Fail;
                Some(TestResult {
                    suite: self.name.clone(),
                    name: name.to_owned(),
                    outcome,
                    time: Some(time),
                    log,
                })
            }
            Line::BailOut(_) | Line::Subtest(_) | Line::Text => {
                self.log.push(text.to_owned());
                None
            }
        }
    }

    /// What is still to be told when the program has ended, `us` after its start: tests that
    /// were planned and not reported, an end that does not fit the results. `None`: it never
    /// ended.
    pub fn end(mut self, how: Option<Ending>, us: u64) -> Vec<TestResult> {
        if self.plain && how == Some(Ending::Exit(0)) {
            return vec![TestResult {
                outcome: Outcome::Pass,
                time: Some(Duration::from_micros(us)),
                log: Vec::new(),
                ..TestResult::failure(&self.name, WHOLE, "")
            }];
        }
        let reason = match how {
            None => Some("the guest ended before it did".to_owned()),
            Some(Ending::Signal(signal)) => Some(format!("killed by signal {signal}")),
            Some(Ending::Timeout(limit)) => Some(format!("killed after {limit} s")),
            Some(Ending::Exit(EXIT_SKIP)) if self.skipped_as_a_whole() => {
                return vec![TestResult {
                    outcome: Outcome::Skip,
                    log: self.log,
                    ..TestResult::failure(&self.name, WHOLE, "")
                }];
            }
            Some(Ending::Exit(0)) => None,
            // It says so already by what it reported.
            Some(Ending::Exit(1)) if self.failed => None,
            Some(Ending::Exit(code)) => Some(format!("exit code {code}")),
        };
        let plan = self.plan.unwrap_or(0);
        let lost = (1..=plan).filter(|number| !self.seen.contains(number));
        let lost = lost.map(|number| number.to_string()).collect::<Vec<_>>();
        let complaint = if self.plain {
            None
        } else if self.plan.is_none() {
            Some("no plan".to_owned())
        } else if plan == 0 {
            Some("not one test".to_owned())
        } else if !lost.is_empty() {
            Some(format!(
                "planned {plan}, never reported: {}",
                lost.join(" ")
            ))
        } else if self.seen.len() > plan {
            Some(format!("planned {plan}, reported {}", self.seen.len()))
        } else {
            None
        };
        if reason.is_none() && complaint.is_none() {
            return Vec::new();
        }
        let mut log = std::mem::take(&mut self.log);
        log.extend(complaint);
        log.extend(reason);
        let failure = |name: &str, log| TestResult {
            log,
            ..TestResult::failure(&self.name, name, "")
        };
        match lost.split_first() {
            None => vec![failure(WHOLE, log)],
            Some((first, others)) => {
                let mut all = vec![failure(&format!("test {first}"), log)];
                let name = |number| format!("test {number}");
                all.extend(
                    others
                        .iter()
                        .map(|number| failure(&name(number), Vec::new())),
                );
                all
            }
        }
    }

    fn skipped_as_a_whole(&self) -> bool {
        self.seen.is_empty() && self.plan.unwrap_or(0) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(lines: &[&str], how: Option<Ending>) -> Vec<TestResult> {
        play_as(false, lines, how)
    }

    fn play_as(plain: bool, lines: &[&str], how: Option<Ending>) -> Vec<TestResult> {
        let mut program = Program::new("ring", plain);
        let mut all = Vec::new();
        for (us, line) in (1..).zip(lines) {
            all.extend(program.line(us * 1000, line));
        }
        all.extend(program.end(how, 9000));
        all
    }

    fn outcomes(lines: &[&str], how: Option<Ending>) -> Vec<Outcome> {
        play(lines, how)
            .iter()
            .map(|result| result.outcome)
            .collect()
    }

    use Ending::{Exit, Signal, Timeout};
    use Outcome::{Fail, Pass, Skip};

    #[test]
    fn a_good_run() {
        let lines = [
            "TAP version 13",
            "1..2",
            "# RUN a ...",
            "ok 1 a",
            "ok 2 b # SKIP no",
        ];
        let all = play(&lines, Some(Exit(0)));
        assert_eq!(all[0].outcome, Pass);
        assert_eq!(all[0].name, "a");
        assert_eq!(all[0].time, Some(Duration::from_millis(4)));
        assert_eq!(all[1].outcome, Skip);
        assert_eq!(all[1].time, Some(Duration::from_millis(1)));
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn failures_are_counted_once() {
        assert_eq!(
            outcomes(&["1..2", "ok 1 a", "not ok 2 b"], Some(Exit(1))),
            [Pass, Fail]
        );
    }

    #[test]
    fn an_early_end_is_a_failure() {
        assert_eq!(
            outcomes(&["1..3", "ok 1 a"], Some(Exit(0))),
            [Pass, Fail, Fail]
        );
        assert_eq!(
            outcomes(&["1..2", "ok 1 a"], Some(Signal(11))),
            [Pass, Fail]
        );
        assert_eq!(
            outcomes(&["1..2", "ok 1 a"], Some(Timeout(9))),
            [Pass, Fail]
        );
        assert_eq!(
            outcomes(&["1..1", "ok 1 a"], Some(Signal(11))),
            [Pass, Fail]
        );
        assert_eq!(outcomes(&["1..1", "ok 1 a"], None), [Pass, Fail]);
        assert_eq!(outcomes(&[], None), [Fail]);
    }

    #[test]
    fn an_exit_code_that_does_not_fit_is_a_failure() {
        assert_eq!(outcomes(&["1..1", "ok 1 a"], Some(Exit(1))), [Pass, Fail]);
        assert_eq!(
            outcomes(&["1..1", "ok 1 a"], Some(Exit(EXIT_SKIP))),
            [Pass, Fail]
        );
        assert_eq!(
            outcomes(&["1..1", "not ok 1 a"], Some(Exit(3))),
            [Fail, Fail]
        );
    }

    #[test]
    fn more_or_less_than_planned_is_a_failure() {
        assert_eq!(outcomes(&["ok 1 a"], Some(Exit(0))), [Pass, Fail]);
        assert_eq!(
            outcomes(&["1..1", "ok 1 a", "ok 2 b"], Some(Exit(0))),
            [Pass, Pass, Fail]
        );
        assert_eq!(
            outcomes(&["1..2", "ok 1 a", "ok 1 a"], Some(Exit(0))),
            [Pass, Fail, Fail]
        );
        assert_eq!(outcomes(&["1..0"], Some(Exit(0))), [Fail]);
    }

    #[test]
    fn a_program_may_skip_itself() {
        assert_eq!(outcomes(&["1..0 # SKIP no"], Some(Exit(EXIT_SKIP))), [Skip]);
        assert_eq!(outcomes(&[], Some(Exit(EXIT_SKIP))), [Skip]);
        assert_eq!(outcomes(&["1..1"], Some(Exit(EXIT_SKIP))), [Fail]);
    }

    #[test]
    fn a_plain_program_is_judged_by_its_exit_code() {
        let outcomes = |how| -> Vec<Outcome> {
            let all = play_as(true, &["ok 1 what it says does not count"], how);
            all.iter().map(|result| result.outcome).collect()
        };
        assert_eq!(outcomes(Some(Exit(0))), [Pass]);
        assert_eq!(outcomes(Some(Exit(1))), [Fail]);
        assert_eq!(outcomes(Some(Exit(EXIT_SKIP))), [Skip]);
        assert_eq!(outcomes(Some(Signal(9))), [Fail]);
        assert_eq!(outcomes(None), [Fail]);
    }

    #[test]
    fn the_log_goes_to_its_test() {
        let lines = ["1..2", "ok 1 a", "# b.c:3: expected 1", "not ok 2 b"];
        let all = play(&lines, Some(Exit(1)));
        assert!(all[0].log.is_empty());
        assert_eq!(all[1].log, ["# b.c:3: expected 1"]);
    }
}
