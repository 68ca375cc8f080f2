//! One line of the Test Anything Protocol, as kselftests and KUnit write it.

use super::results::Outcome;

#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Version,
    Plan(usize),
    Result {
        number: usize,
        name: &'a str,
        outcome: Outcome,
        /// What follows `# SKIP` and the like.
        note: &'a str,
    },
    /// The program gives up.
    BailOut(&'a str),
    /// The name of a nested test.
    Subtest(&'a str),
    /// Anything else: comments, and what a test prints.
    Text,
}

impl Line<'_> {
    /// Understands `line`, which must not be indented.
    pub fn parse(line: &str) -> Line<'_> {
        let line = line.trim_end();
        if line.starts_with("TAP version ") || line.starts_with("KTAP version ") {
            return Line::Version;
        }
        if let Some(why) = line.strip_prefix("Bail out!") {
            return Line::BailOut(why.trim());
        }
        if let Some(name) = line.strip_prefix("# Subtest: ") {
            return Line::Subtest(name);
        }
        if let Some(count) = line.strip_prefix("1..") {
            let count = count.split_whitespace().next().unwrap_or_default();
            return count.parse().map_or(Line::Text, Line::Plan);
        }
        result(line).unwrap_or(Line::Text)
    }
}

fn result(line: &str) -> Option<Line<'_>> {
    let (passed, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let number = number.parse().ok()?;
    let (name, note) = rest.split_once(" # ").unwrap_or((rest, ""));
    let name = name.trim().strip_prefix("- ").unwrap_or(name.trim());
    let directive = note.split_whitespace().next().unwrap_or_default();
    let outcome = match directive {
        "SKIP" if passed => Outcome::Skip,
        // A failure that somebody expects is a failure all the same.
        "XFAIL" | "XPASS" | "TODO" => Outcome::Fail,
        _ if passed => Outcome::Pass,
        _ => Outcome::Fail,
    };
    Some(Line::Result {
        number,
        name,
        outcome,
        note: note.trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(line: &str) -> Option<Outcome> {
        match Line::parse(line) {
            Line::Result { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    #[test]
    fn results_of_every_kind() {
        assert_eq!(outcome_of("ok 1 ring.take"), Some(Outcome::Pass));
        assert_eq!(outcome_of("not ok 1 ring.take"), Some(Outcome::Fail));
        assert_eq!(
            outcome_of("ok 1 ring.take # SKIP no cgroup"),
            Some(Outcome::Skip)
        );
        assert_eq!(
            outcome_of("not ok 1 ring.take # SKIP no cgroup"),
            Some(Outcome::Fail)
        );
        assert_eq!(
            outcome_of("ok 1 ring.take # XFAIL later"),
            Some(Outcome::Fail)
        );
        assert_eq!(
            outcome_of("not ok 1 ring.take # TODO later"),
            Some(Outcome::Fail)
        );
        assert_eq!(outcome_of("okay 1"), None);
        assert_eq!(outcome_of("ok then"), None);
        assert_eq!(outcome_of("# ok 1 ring.take"), None);
    }

    #[test]
    fn names_and_notes() {
        let expected = Line::Result {
            number: 12,
            name: "a.b",
            outcome: Outcome::Skip,
            note: "SKIP why",
        };
        assert_eq!(Line::parse("ok 12 - a.b # SKIP why"), expected);
    }

    #[test]
    fn plans_and_the_rest() {
        assert_eq!(Line::parse("1..17"), Line::Plan(17));
        assert_eq!(Line::parse("1..0 # SKIP all"), Line::Plan(0));
        assert_eq!(Line::parse("1..x"), Line::Text);
        assert_eq!(Line::parse("TAP version 13"), Line::Version);
        assert_eq!(Line::parse("KTAP version 1"), Line::Version);
        assert_eq!(Line::parse("# Subtest: kevent"), Line::Subtest("kevent"));
        assert_eq!(Line::parse("Bail out! no queue"), Line::BailOut("no queue"));
    }
}
