//! Collects the results of one boot from its console and its reports.

use super::bench::Measurement;
use super::ktap::Ktap;
use super::program::Program;
use super::protocol::{Ending, Message};
use super::results::TestResult;
use super::session::{End, Next};
use super::splat::{self, Patterns};

/// Lines of the console that are shown of a report of the kernel, and when the guest hangs.
const REPORT_LINES: usize = 40;
const LAST_LINES: usize = 40;

/// What a boot has to bring.
pub struct Expected {
    /// The test programs.
    pub programs: Vec<String>,
    /// Those of them that report no tests.
    pub plain: Vec<String>,
    /// Whether the kernel has KUnit tests of kevent.
    pub kunit: bool,
    pub bench: bool,
}

pub struct Suite<'a> {
    reports: splat::Console<'a>,
    expected: Expected,
    results: Vec<TestResult>,
    program: Option<Program>,
    started: Vec<String>,
    ktap: Ktap,
    kunit_seen: bool,
    console: Vec<String>,
    /// Where on the console a report of the kernel starts, and what it is.
    splats: Vec<(usize, String)>,
    bench: Vec<String>,
    measured: Option<Measurement>,
    ended: bool,
}

/// What a boot brought.
pub struct Report {
    pub results: Vec<TestResult>,
    pub measured: Option<Measurement>,
    pub console: Vec<String>,
}

impl<'a> Suite<'a> {
    pub fn new(patterns: &'a Patterns, expected: Expected) -> Suite<'a> {
        Suite {
            reports: patterns.console(),
            expected,
            results: Vec::new(),
            program: None,
            started: Vec::new(),
            ktap: Ktap::default(),
            kunit_seen: false,
            console: Vec::new(),
            splats: Vec::new(),
            bench: Vec::new(),
            measured: None,
            ended: false,
        }
    }

    /// The results so far.
    pub fn results(&self) -> &[TestResult] {
        &self.results
    }

    /// The program that runs now.
    pub fn running(&self) -> Option<&str> {
        self.program.as_ref().map(Program::name)
    }

    /// Whether a report of the kernel was seen whole.
    pub fn has_reported(&self) -> bool {
        let first = self.splats.first();
        first.is_some_and(|(start, _)| self.console.len() >= start + REPORT_LINES)
    }

    /// A line of the console; gives what it reports if it is a report of the kernel.
    pub fn console(&mut self, line: String) -> Option<String> {
        let found = self.ktap.line(&line);
        self.kunit_seen |= found.iter().any(|result| result.suite.contains("kevent"));
        self.results.extend(found);
        let found = self.reports.line(&line);
        if let Some(found) = found {
            let start = self.console.len() - found.ago;
            let last = self.splats.last();
            if last.is_none_or(|(last, _)| start >= last + REPORT_LINES) {
                self.splats.push((start, found.meaning.to_owned()));
            }
        }
        self.console.push(line);
        found.map(|found| found.meaning.to_owned())
    }

    /// A line of the reports.
    pub fn report(&mut self, line: &str) -> Next {
        match Message::parse(line) {
            Some(Message::Started(name)) => {
                self.end_program(None, 0);
                self.started.push(name.to_owned());
                let plain = self.expected.plain.iter().any(|other| other == name);
                self.program = Some(Program::new(name, plain));
            }
            Some(Message::Output { program, us, text }) if self.running() == Some(program) => {
                let found = self
                    .program
                    .as_mut()
                    .and_then(|program| program.line(us, text));
                self.results.extend(found);
            }
            Some(Message::About { program, text }) if self.running() == Some(program) => {
                if let Some(program) = &mut self.program {
                    program.note(text);
                }
            }
            Some(Message::Bench(text)) => self.bench.push(text.to_owned()),
            Some(Message::Ended { program, how, us }) if self.running() == Some(program) => {
                self.end_program(Some(how), us);
            }
            Some(Message::End) => {
                self.ended = true;
                return Next::Farewell;
            }
            _ => self
                .results
                .push(TestResult::failure("guest", "protocol", line)),
        }
        Next::Go
    }

    fn end_program(&mut self, how: Option<Ending>, us: u64) {
        let Some(program) = self.program.take() else {
            return;
        };
        if program.name() != super::BENCH {
            self.results.extend(program.end(how, us));
            return;
        }
        let lines = self.bench.iter().map(String::as_str);
        match (how, Measurement::parse(lines)) {
            (Some(Ending::Exit(0)), Ok(measured)) => self.measured = Some(measured),
            (Some(Ending::Exit(0)), Err(error)) => self.bench_failed(format!("{error:#}"), program),
            (how, _) => self.bench_failed(format!("ended by {how:?}"), program),
        }
    }

    fn bench_failed(&mut self, why: String, program: Program) {
        let mut result = TestResult::failure(super::BENCH, "measurement", why);
        result.log.extend(self.bench.iter().cloned());
        result.log.extend(program.into_log());
        self.results.push(result);
    }

    /// The guest has ended, or was ended.
    pub fn end(mut self, how: End) -> Report {
        self.end_program(None, 0);
        let why = match how {
            End::Off if self.ended => None,
            End::Stopped => None,
            End::Off => Some("the guest ended before its tests did".to_owned()),
            End::Broken(code) => Some(format!("QEMU failed with exit code {code:?}")),
            End::Silent(time) => Some(format!("nothing was heard for {} s", time.as_secs())),
            End::TooLong(time) => Some(format!("not done after {} s", time.as_secs())),
            End::Lingering => Some("the guest did not end after its tests".to_owned()),
        };
        if let Some(why) = why {
            let mut result = TestResult::failure("guest", "end", why);
            result.log.push("The last lines of the console:".to_owned());
            let first = self.console.len().saturating_sub(LAST_LINES);
            result.log.extend_from_slice(&self.console[first..]);
            self.results.push(result);
        }
        for name in &self.expected.programs {
            if !self.started.contains(name) {
                self.results
                    .push(TestResult::failure(name, "whole program", "never started"));
            }
        }
        if self.expected.bench && !self.started.iter().any(|name| name == super::BENCH) {
            self.results.push(TestResult::failure(
                super::BENCH,
                "measurement",
                "never started",
            ));
        }
        self.results.extend(self.ktap.end());
        if self.expected.kunit && !self.kunit_seen {
            let why = "the kernel was built with KUnit tests of kevent and ran none";
            self.results
                .push(TestResult::failure("kunit", "kevent", why));
        }
        for (start, meaning) in &self.splats {
            let mut result = TestResult::failure("console", "kernel report", meaning.as_str());
            let end = self.console.len().min(start + REPORT_LINES);
            result.log.extend_from_slice(&self.console[*start..end]);
            self.results.push(result);
        }
        Report {
            results: self.results,
            measured: self.measured,
            console: self.console,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::guest::results::Tally;

    const GOOD: &str = "S a\nT a 5 1..1\nT a 9 ok 1 one\nX a exit=0 us=10\n\
                        S bench\nB BENCH case=one kevent_syscalls=0 kevent_instructions=1 \
                        epoll_syscalls=2 epoll_instructions=3\nX bench exit=0 us=9\nEND";

    fn play(console: &str, reports: &str, how: End) -> (String, Report) {
        let patterns = "# lock\nmatch\tBUG:\nsample\tBUG: x\n";
        let patterns = Patterns::parse(patterns).unwrap();
        let expected = Expected {
            programs: vec!["a".to_owned()],
            plain: Vec::new(),
            kunit: false,
            bench: true,
        };
        let mut suite = Suite::new(&patterns, expected);
        for line in console.lines() {
            suite.console(line.to_owned());
        }
        for line in reports.lines() {
            suite.report(line);
        }
        let report = suite.end(how);
        (Tally::of(&report.results).to_string(), report)
    }

    fn tally(console: &str, reports: &str, how: End) -> String {
        play(console, reports, how).0
    }

    #[test]
    fn a_good_boot() {
        let (tally, report) = play("Linux", GOOD, End::Off);
        assert_eq!(tally, "1 passed, 0 failed, 0 skipped");
        let measured = report.measured.unwrap().to_string();
        assert!(
            measured.ends_with("kevent 0.00 and 1, epoll 2.00 and 3"),
            "{measured}"
        );
    }

    #[test]
    fn a_report_of_the_kernel_fails_a_good_boot() {
        let (tally, report) = play("Linux\nBUG: bad\n detail", GOOD, End::Off);
        assert_eq!(tally, "1 passed, 1 failed, 0 skipped");
        let log = &report.results.last().unwrap().log;
        assert_eq!(log.as_slice(), ["lock", "BUG: bad", " detail"]);
    }

    #[test]
    fn lines_of_one_report_are_one_failure() {
        let (one, _) = play("BUG: a\nBUG: b", GOOD, End::Off);
        assert_eq!(one, "1 passed, 1 failed, 0 skipped");
        let far = format!("BUG: a\n{}BUG: b", "line\n".repeat(REPORT_LINES));
        assert_eq!(tally(&far, GOOD, End::Off), "1 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn a_hang_fails_with_the_last_lines() {
        let hang = End::Silent(Duration::from_secs(9));
        let (tally, report) = play("Linux\nlast", "S a\nT a 1 1..1", hang);
        // Its one test, the end of the guest, and the benchmark.
        assert_eq!(tally, "0 passed, 3 failed, 0 skipped");
        let end = report
            .results
            .iter()
            .find(|result| result.name == "end")
            .unwrap();
        assert_eq!(end.log[0], "nothing was heard for 9 s");
        assert_eq!(end.log.last().unwrap(), "last");
    }

    #[test]
    fn an_early_end_is_a_failure() {
        let cut = GOOD.strip_suffix("\nEND").unwrap();
        assert_eq!(tally("", cut, End::Off), "1 passed, 1 failed, 0 skipped");
        assert_eq!(
            tally("", GOOD, End::Lingering),
            "1 passed, 1 failed, 0 skipped"
        );
        assert_eq!(
            tally("", GOOD, End::Broken(Some(1))),
            "1 passed, 1 failed, 0 skipped"
        );
        // What never started: the program and the benchmark.
        assert_eq!(tally("", "END", End::Off), "0 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn a_benchmark_that_fails_is_a_failure() {
        let bad = GOOD.replace("bench exit=0", "bench exit=1");
        assert_eq!(tally("", &bad, End::Off), "1 passed, 1 failed, 0 skipped");
        let bad = GOOD.replace("epoll_syscalls", "syscalls");
        assert_eq!(tally("", &bad, End::Off), "1 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn unknown_lines_fail() {
        let bad = GOOD.replace("T a 9", "T b 9");
        assert_eq!(tally("", &bad, End::Off), "0 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn missing_kunit_is_a_failure() {
        let patterns = Patterns::parse("").unwrap();
        let end = |console: &[&str]| {
            let mut suite = Suite::new(
                &patterns,
                Expected {
                    programs: Vec::new(),
                    plain: Vec::new(),
                    kunit: true,
                    bench: false,
                },
            );
            for line in console {
                suite.console((*line).to_owned());
            }
            suite.report("END");
            Tally::of(&suite.end(End::Off).results).to_string()
        };
        assert_eq!(end(&[]), "0 passed, 1 failed, 0 skipped");
        let suite = |name: &str| {
            let subtest = format!("    # Subtest: {name}");
            let inside = ["    KTAP version 1", &subtest, "    1..1", "    ok 1 a"];
            end(&[&["KTAP version 1", "1..1"], &inside[..], &["ok 1 suite"]].concat())
        };
        assert_eq!(suite("rust_kevent"), "1 passed, 0 failed, 0 skipped");
        assert_eq!(suite("rust_fmt"), "1 passed, 1 failed, 0 skipped");
    }
}
