//! Finds the kernel's own reports of trouble on the console, by the patterns of `qemu/splats.txt`.

use anyhow::{Context as _, Result, bail};
use regex::{Regex, RegexSet};

pub struct Patterns {
    reports: RegexSet,
    /// What the comment above each pattern of `reports` says.
    meanings: Vec<String>,
    allowed: RegexSet,
    /// How reports open that count only with a function of the series in a stack, and such functions.
    ours: Option<(Regex, Regex)>,
}

/// What stands before and after a report of a sanitizer.
const RULE: &str = "=======";

impl Patterns {
    /// Reads the file's text. Refuses a pattern without a comment or without a sample, and a
    /// text whose samples are not told apart.
    pub fn parse(text: &str) -> Result<Patterns> {
        let mut reports: Vec<String> = Vec::new();
        let mut meanings = Vec::new();
        let mut allowed = Vec::new();
        let mut ours = None;
        let mut samples = Vec::new();
        let mut clean = Vec::new();
        let mut comment = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(words) = line.strip_prefix('#') {
                comment = format!("{comment} {}", words.trim()).trim().to_owned();
                continue;
            }
            if line.trim().is_empty() {
                comment.clear();
                continue;
            }
            let (word, rest) = line
                .split_once('\t')
                .with_context(|| format!("line {number}: no tab"))?;
            match word {
                "match" | "allow" | "ours" if comment.is_empty() => {
                    bail!("line {number}: no comment says what `{rest}` is");
                }
                "match" => {
                    reports.push(rest.to_owned());
                    meanings.push(std::mem::take(&mut comment));
                }
                "allow" => {
                    allowed.push(rest.to_owned());
                    comment.clear();
                }
                "ours" => {
                    let (opening, frame) = rest
                        .split_once('\t')
                        .with_context(|| format!("line {number}: no function"))?;
                    ours = Some((Regex::new(opening)?, Regex::new(frame)?));
                    comment.clear();
                }
                "sample" => {
                    let pattern = reports.len().checked_sub(1);
                    let pattern = pattern.with_context(|| format!("line {number}: of nothing"))?;
                    samples.push((number, pattern, rest));
                }
                "clean" => clean.push((number, rest)),
                _ => bail!("line {number}: unknown word `{word}`"),
            }
        }
        let patterns = Patterns {
            reports: RegexSet::new(&reports)?,
            meanings,
            allowed: RegexSet::new(&allowed)?,
            ours,
        };
        for (number, pattern, line) in &samples {
            if !patterns.reports.matches(line).matched(*pattern) {
                bail!(
                    "line {number}: `{}` does not match its sample",
                    reports[*pattern]
                );
            }
        }
        for (number, line) in &clean {
            if let Some(meaning) = patterns.find(line) {
                bail!("line {number}: an ordinary line is taken for `{meaning}`");
            }
        }
        for (pattern, text) in reports.iter().enumerate() {
            if !samples.iter().any(|(_, of, _)| *of == pattern) {
                bail!("`{text}` has no sample");
            }
        }
        Ok(patterns)
    }

    /// Looks at the lines of one console.
    pub fn console(&self) -> Console<'_> {
        Console {
            patterns: self,
            undecided: None,
        }
    }

    /// What `line` reports by itself, unless it is an ordinary or an allowed line.
    fn find(&self, line: &str) -> Option<&str> {
        let first = self.reports.matches(line).iter().next()?;
        (!self.allowed.is_match(line)).then(|| self.meanings[first].as_str())
    }
}

/// A report of the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a> {
    pub meaning: &'a str,
    /// How many lines ago it began.
    pub ago: usize,
}

/// The lines of a console, as they come.
pub struct Console<'a> {
    patterns: &'a Patterns,
    /// A report in which no function of the series has come yet.
    undecided: Option<Found<'a>>,
}

impl<'a> Console<'a> {
    /// The report that is known to be one by `line`.
    pub fn line(&mut self, line: &str) -> Option<Found<'a>> {
        if let Some(found) = &mut self.undecided {
            found.ago += 1;
        }
        let found = self.patterns.find(line);
        let found = found.map(|meaning| Found { meaning, ago: 0 });
        let Some((opening, frame)) = &self.patterns.ours else {
            return found;
        };
        if opening.is_match(line) {
            self.undecided = found;
        } else if found.is_some() {
            return found;
        }
        if frame.is_match(line) {
            return self.undecided.take();
        }
        if line.contains(RULE) {
            self.undecided = None;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../../qemu/splats.txt");

    #[test]
    fn the_file_keeps_its_own_rules() {
        Patterns::parse(FILE).unwrap();
    }

    #[test]
    fn reports_are_found() {
        let patterns = Patterns::parse(FILE).unwrap();
        for line in [
            "[   12.345678] WARNING: rust/helpers/x.c:3 at f+0x1/0x2, CPU#0: t/9",
            "[   12.345678][   T99] BUG: unable to handle page fault for address: ffffc900",
            "[    1.000000] Oops: Oops: 0000 [#1] SMP NOPTI",
            "[    1.000000] rust_kernel: panicked at rust/kernel/kevent/core.rs:1:2:",
            "[    1.000000] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[  200.000000] INFO: task kill_anywhere:83 blocked for more than 122 seconds.",
            "[    1.000000] refcount_t: saturated; leaking memory.",
        ] {
            assert!(patterns.find(line).is_some(), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not() {
        let patterns = Patterns::parse(FILE).unwrap();
        for line in [
            "",
            "[    0.000000] Linux version 7.3.4 (kevent@kevent) (Debian clang) #1 SMP @0",
            "[    0.100000] Spectre V2 : Mitigation: Retpolines",
            "[    0.200000] ok 1 kevent_ring",
            "[    0.200000] debug: nothing",
            "[    0.300000] rcu: \tRCU event tracing is enabled.",
            "[    1.300000] Memory cgroup out of memory: Killed process 8 (limits)",
        ] {
            assert_eq!(patterns.find(line), None, "{line}");
        }
    }

    #[test]
    fn allowed_lines_win() {
        let text = "# all\nmatch\tBUG\nsample\tBUG: x\n# known\nallow\tBUG: y\n";
        let patterns = Patterns::parse(text).unwrap();
        assert_eq!(patterns.find("BUG: x"), Some("all"));
        assert_eq!(patterns.find("BUG: y"), None);
    }

    /// Whether the last line of a console makes a report known, and how long ago that began.
    fn last(lines: &[&str]) -> Option<usize> {
        let patterns = Patterns::parse(FILE).unwrap();
        let mut console = patterns.console();
        let found = lines.iter().map(|line| console.line(line));
        found.last().unwrap().map(|found| found.ago)
    }

    #[test]
    fn a_race_counts_with_a_function_of_the_series_in_it() {
        const RACE: &str = "[ 9.0] BUG: KCSAN: data-race in release_sock / sk_copy";
        const FRAME: &str = "[ 9.0]  kevent_do_ctl+0x1/0x2";
        const RUST: &str =
            "[ 9.0]  _RNvMNtNtCs4_6kernel4sync4waitINtB5_9WaitEntryE4wakeB9_+0x1/0x2";
        const END: &str =
            "[ 9.0] ==================================================================";
        assert_eq!(last(&[RACE]), None);
        assert_eq!(last(&[RACE, " tcp_close+0x1/0x2", FRAME]), Some(2));
        assert_eq!(last(&[RACE, RUST]), Some(1));
        assert_eq!(last(&[RACE, FRAME, FRAME]), None);
        assert_eq!(last(&[RACE, END, FRAME]), None);
        assert_eq!(last(&["BUG: KCSAN: data-race in kevent_fire / f"]), Some(0));
        // Another report, in between.
        assert_eq!(
            last(&[RACE, "BUG: KASAN: slab-use-after-free in f"]),
            Some(0)
        );
        // One that is let through.
        let known = "BUG: KCSAN: data-race in ksys_read / ksys_write";
        assert_eq!(last(&[RACE, END, known, FRAME]), None);
    }

    #[test]
    fn careless_patterns_are_refused() {
        let refused = |text: &str| Patterns::parse(text).err().unwrap().to_string();
        assert!(refused("match\tBUG\nsample\tBUG\n").contains("no comment"));
        assert!(refused("# a\nmatch\tBUG\n").contains("no sample"));
        assert!(refused("# a\nmatch\tBUG\nsample\tbug\n").contains("does not match"));
        assert!(refused("# a\nmatch\tBUG\nsample\tBUG\nclean\tDEBUG\n").contains("ordinary"));
        assert!(refused("# a\nmtach\tBUG\n").contains("unknown word"));
    }
}
