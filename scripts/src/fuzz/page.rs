//! The page that tells what fuzzing reached, and of each line that it did not, why.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use glob::Pattern;
use regex::Regex;
use serde::Deserialize;

use super::coverage::{Coverage, How};
use super::points::{Line, Points};
use super::told::Told;
use crate::cache::write_atomic;

pub const PAGE: &str = "Documentation/fuzzing.md";
const REASONS: &str = "scripts/fuzz/unreached.toml";
const BEGIN: &str = "<!-- reached: cargo xtask fuzz --update -->\n";
const END: &str = "<!-- end of what was reached -->";
/// Of a line that no program came to.
const BY_SELFTESTS: &str = "the selftests reach it";

/// Why lines are not reached: what a person wrote down.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasons {
    #[serde(default)]
    reason: Vec<Reason>,
}

/// The reason of the lines of such files that match; of all their lines without a pattern.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    file: String,
    line: Option<String>,
    why: String,
}

impl Reasons {
    pub fn read(repo: &Path) -> Result<Reasons> {
        let path = repo.join(REASONS);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Reasons::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Reasons> {
        let reasons: Reasons = toml::from_str(text)?;
        for Reason { file, line, why } in &reasons.reason {
            Pattern::new(file)?;
            line.as_deref().map(Regex::new).transpose()?;
            ensure!(!why.trim().is_empty(), "no reason for {file}");
        }
        Ok(reasons)
    }

    /// The first that fits.
    fn of(&self, file: &str, text: &str) -> Option<&str> {
        let fits = |reason: &&Reason| {
            let in_file = Pattern::new(&reason.file).is_ok_and(|pattern| pattern.matches(file));
            let line = reason.line.as_deref().map(Regex::new);
            in_file && line.is_none_or(|line| line.is_ok_and(|line| line.is_match(text)))
        };
        self.reason
            .iter()
            .find(fits)
            .map(|reason| reason.why.trim())
    }
}

/// A line that was never reached.
struct Unreached {
    line: Line,
    text: String,
    why: Option<String>,
}

pub struct Never(Vec<Unreached>);

impl Never {
    pub fn of(coverage: &Coverage, reasons: &Reasons, tree: &Path) -> Result<Never> {
        let mut never = Vec::new();
        let lines = coverage.lines.iter();
        for (line, _) in lines.filter(|(_, how)| **how == How::Never) {
            let text = text_of(tree, line)?;
            let why = reasons.of(&line.file, &text).map(str::to_owned);
            never.push(Unreached {
                line: line.clone(),
                text,
                why,
            });
        }
        Ok(Never(never))
    }

    /// The lines that a page has.
    fn parse(page: &str, reasons: &Reasons) -> Result<Never> {
        let row = Regex::new(r"(?m)^\| (\S+):(\d+) \| `(.*)` \| (.*) \|$")?;
        let mut never = Vec::new();
        for row in row.captures_iter(page) {
            let (file, text) = (row[1].to_owned(), row[3].replace("\\|", "|"));
            let why = match &row[4] {
                BY_SELFTESTS => Some(BY_SELFTESTS),
                _ => reasons.of(&file, &text),
            };
            let why = why.map(str::to_owned);
            let number = row[2].parse()?;
            let line = Line { file, number };
            never.push(Unreached { line, text, why });
        }
        Ok(Never(never))
    }

    /// Marks those that the selftests reach. The lines must be those of `tree`.
    fn mark(&mut self, reached: &BTreeSet<&Line>, tree: &Path, reasons: &Reasons) -> Result<()> {
        for Unreached { line, text, why } in &mut self.0 {
            let now = text_of(tree, line)?;
            ensure!(
                now == *text,
                "{}:{} is not what {PAGE} says",
                line.file,
                line.number
            );
            let why_not = || reasons.of(&line.file, text);
            let marked = why.as_deref() == Some(BY_SELFTESTS);
            let now = match marked || reached.contains(line) {
                true => Some(BY_SELFTESTS),
                false => why_not(),
            };
            *why = now.map(str::to_owned);
        }
        Ok(())
    }

    fn unexplained(&self) -> impl Iterator<Item = &Unreached> {
        self.0.iter().filter(|line| line.why.is_none())
    }

    pub fn summary(&self) -> String {
        let unexplained = self.unexplained().count();
        let marked = |line: &&Unreached| line.why.as_deref() == Some(BY_SELFTESTS);
        format!(
            "{} lines were never reached, of which the selftests reach {}; of {unexplained} of \
             them {REASONS} does not say why",
            self.0.len(),
            self.0.iter().filter(marked).count()
        )
    }

    /// With the addresses of their places, for who looks at the kernel's instructions.
    pub fn show_unexplained(&self, points: &Points) {
        for Unreached { line, text, .. } in self.unexplained() {
            let places = points.iter().filter(|(_, of)| *of == line);
            let places: Vec<String> = places.map(|(at, _)| format!("{at:x}")).collect();
            println!(
                "{}:{}: {text} ({})",
                line.file,
                line.number,
                places.join(" ")
            );
        }
    }

    /// By file: each line, and why.
    fn table(&self) -> String {
        let mut table = String::from("| line | text | why it is not reached |\n|---|---|---|\n");
        for Unreached { line, text, why } in &self.0 {
            // A bar would end the cell.
            let text = text.replace('|', "\\|");
            let why = why.as_deref().unwrap_or("**not explained**");
            table += &format!("| {}:{} | `{text}` | {why} |\n", line.file, line.number);
        }
        table
    }
}

fn text_of(tree: &Path, line: &Line) -> Result<String> {
    let text = fs::read_to_string(tree.join(&line.file));
    let text = text.with_context(|| format!("cannot read {}", line.file))?;
    let text = text.lines().nth(line.number as usize - 1);
    Ok(text.unwrap_or_default().trim().to_owned())
}

/// Writes what this run reached between the marks of the page.
pub fn update(
    page: &Path,
    coverage: &Coverage,
    never: &Never,
    told: &Told,
    seed: u64,
) -> Result<()> {
    let text = fs::read_to_string(page);
    let text = text.with_context(|| format!("cannot read {}", page.display()))?;
    write_atomic(page, with(&text, &reached(coverage, never, told, seed))?)
}

/// Puts the reasons of today into the page, whatever run it tells of. Returns how it now sums up.
pub fn explain(page: &Path, reasons: &Reasons) -> Result<String> {
    change(page, reasons, |_| Ok(()))
}

/// The same, and marks the lines of the page that the selftests have reached.
pub fn mark(
    page: &Path,
    reasons: &Reasons,
    reached: &BTreeSet<&Line>,
    tree: &Path,
) -> Result<String> {
    change(page, reasons, |never| never.mark(reached, tree, reasons))
}

fn change(
    page: &Path,
    reasons: &Reasons,
    how: impl FnOnce(&mut Never) -> Result<()>,
) -> Result<String> {
    let text = fs::read_to_string(page);
    let text = text.with_context(|| format!("cannot read {}", page.display()))?;
    let mut never = Never::parse(&text, reasons)?;
    how(&mut never)?;
    let old = Regex::new(r"(?m)^\d+ lines were never reached[^|]*(\|[^\n]*\n)+")?;
    ensure!(
        old.is_match(&text),
        "{PAGE} has no lines that were not reached"
    );
    let new = format!("{}.\n\n{}", never.summary(), never.table());
    write_atomic(page, old.replace(&text, regex::NoExpand(&new)).as_bytes())?;
    Ok(never.summary())
}

fn reached(coverage: &Coverage, never: &Never, told: &Told, seed: u64) -> String {
    let cells = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("Seed {seed}: {}.\n\n", told.summary());
    text += &cells(&Coverage::HEAD.map(str::to_owned));
    text += "|---|---:|---:|---:|---:|---:|---:|\n";
    for row in coverage.rows() {
        text += &cells(&row);
    }
    let unused = coverage.unused;
    text += &format!("\n{unused} more places are in functions that nothing refers to.\n");
    text += "\nNew edges over time:\n\n| seconds | programs | calls | edges | places | kept |\n";
    text += "|---:|---:|---:|---:|---:|---:|\n";
    for status in sampled(&told.history) {
        let numbers = [
            status.seconds,
            status.programs,
            status.calls,
            status.edges as u64,
            status.pcs as u64,
            status.corpus as u64,
        ];
        text += &cells(&numbers.map(|number| number.to_string()));
    }
    format!("{text}\n{}.\n\n{}", never.summary(), never.table())
}

/// Some dozen of all, in equal distances, and the last.
fn sampled<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let step = all.len().div_ceil(12).max(1);
    all.iter()
        .rev()
        .step_by(step)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
}

fn with(page: &str, text: &str) -> Result<String> {
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| {
        let (_, tail) = rest.split_once(END)?;
        Some((head, tail))
    });
    let (head, tail) = parts.with_context(|| format!("{PAGE} lacks {BEGIN} or {END}"))?;
    Ok(format!("{head}{BEGIN}\n{text}\n{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

    #[test]
    fn the_reasons_can_be_read() {
        Reasons::read(Path::new(REPO)).unwrap();
    }

    #[test]
    fn the_page_has_its_marks() {
        let page = fs::read_to_string(Path::new(REPO).join(PAGE)).unwrap();
        let once = with(&page, "x").unwrap();
        assert_eq!(with(&once, "x").unwrap(), once);
    }

    #[test]
    fn the_first_reason_that_fits_counts() {
        let reasons = "[[reason]]\nfile = \"fs/*.c\"\nline = \"WARN\"\nwhy = \"a bug\"\n\
                       [[reason]]\nfile = \"fs/kevent.c\"\nwhy = \"all\"\n";
        let reasons = Reasons::parse(reasons).unwrap();
        assert_eq!(reasons.of("fs/kevent.c", "if (WARN_ON(x))"), Some("a bug"));
        assert_eq!(reasons.of("fs/kevent.c", "return;"), Some("all"));
        assert_eq!(reasons.of("fs/other.c", "return;"), None);
        for bad in [
            "file = \"[\"\nwhy = \"x\"",
            "file = \"x\"\nwhy = \" \"",
            "file = \"x\"",
        ] {
            assert!(
                Reasons::parse(&format!("[[reason]]\n{bad}\n")).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_has_no_reason_is_counted() {
        let line = |number| Line {
            file: "f".to_owned(),
            number,
        };
        let unreached = |number, why: Option<&str>| Unreached {
            line: line(number),
            text: "a | b".to_owned(),
            why: why.map(str::to_owned),
        };
        let never = Never(vec![unreached(1, None), unreached(2, Some("never called"))]);
        assert!(
            never
                .summary()
                .starts_with("2 lines were never reached, of which the selftests reach 0; of 1 of")
        );
        let table = never.table();
        assert!(
            table.contains("| f:1 | `a \\| b` | **not explained** |"),
            "{table}"
        );
        assert!(
            table.contains("| f:2 | `a \\| b` | never called |"),
            "{table}"
        );
    }

    #[test]
    fn a_page_is_explained_again() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        let line = Line {
            file: "fs/kevent.c".to_owned(),
            number: 7,
        };
        let never = Never(vec![Unreached {
            line,
            text: "a | b".to_owned(),
            why: None,
        }]);
        let text = format!("head\n\n{}.\n\n{}\ntail\n", never.summary(), never.table());
        fs::write(&page, &text).unwrap();
        let reasons = "[[reason]]\nfile = \"fs/*.c\"\nline = \"^a [|] b$\"\nwhy = \"$0, it is\"\n";
        let reasons = Reasons::parse(reasons).unwrap();
        let summary = explain(&page, &reasons).unwrap();
        assert!(summary.contains("of 0 of them"), "{summary}");
        let again = fs::read_to_string(&page).unwrap();
        assert!(
            again.contains("| fs/kevent.c:7 | `a \\| b` | $0, it is |\n\ntail\n"),
            "{again}"
        );
        explain(&page, &Reasons::default()).unwrap();
        assert_eq!(fs::read_to_string(&page).unwrap(), text);
    }

    #[test]
    fn what_the_selftests_reach_stays_marked() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        fs::write(folder.path().join("f.c"), "one\n  two\n").unwrap();
        let line = |number| Line {
            file: "f.c".to_owned(),
            number,
        };
        let unreached = |number, text: &str| Unreached {
            line: line(number),
            text: text.to_owned(),
            why: None,
        };
        let never = Never(vec![unreached(1, "one"), unreached(2, "two")]);
        let text = format!("{}.\n\n{}", never.summary(), never.table());
        fs::write(&page, &text).unwrap();
        let (none, two) = (Reasons::default(), line(2));
        let summary = mark(&page, &none, &[&two].into(), folder.path()).unwrap();
        assert!(summary.contains("reach 1; of 1 of them"), "{summary}");
        let marked = fs::read_to_string(&page).unwrap();
        assert!(
            marked.contains("| `two` | the selftests reach it |"),
            "{marked}"
        );
        explain(&page, &none).unwrap();
        assert_eq!(fs::read_to_string(&page).unwrap(), marked);
        // Other sources.
        fs::write(folder.path().join("f.c"), "none\n  two\n").unwrap();
        assert!(mark(&page, &none, &[&two].into(), folder.path()).is_err());
    }

    #[test]
    fn a_long_history_is_sampled() {
        let all: Vec<usize> = (0..100).collect();
        let some: Vec<&usize> = sampled(&all).collect();
        assert!(some.len() <= 12 && some.last() == Some(&&99));
        assert_eq!(sampled(&[] as &[usize]).count(), 0);
    }
}
