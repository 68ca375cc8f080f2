//! What the suites did, in lines that are checked in, and the tables that the document has of them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::hello;
use super::list::{self, Difference, Suite};
use crate::cache::write_atomic;
use crate::guest::bench::Words;
use crate::tables::fill;

/// Where they are.
const FILE: &str = "bench/results/x86_64-suites.txt";

/// Lines `SUITE`, `FAILED` and `HELLO`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told(Vec<String>);

impl Told {
    pub fn read(repo: &Path) -> Result<Told> {
        let path = repo.join(FILE);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Told(text.lines().map(str::to_owned).collect()))
    }

    pub fn write(&self, repo: &Path) -> Result<()> {
        let text: String = self.0.iter().map(|line| format!("{line}\n")).collect();
        write_atomic(&repo.join(FILE), text)
    }

    /// Puts new lines in the place of all that was told of the same suites.
    pub fn renew(&mut self, new: Vec<String>) {
        let is_new = |old: &String| new.iter().any(|new| subject(new) == subject(old));
        self.0.retain(|old| !is_new(old));
        self.0.extend(new);
        self.0.sort();
    }

    /// The lines of a kind about a suite.
    fn of(&self, kind: &str, suite: &str) -> impl Iterator<Item = Words<'_>> {
        let lines = self
            .0
            .iter()
            .filter(move |line| line.split(' ').next() == Some(kind));
        let words = lines.map(|line| Words::of(line));
        words.filter(move |words| words.text("suite").ok() == Some(suite))
    }

    /// A row for each suite, and what failed.
    fn table(&self, suites: &[Suite], known: &[Difference]) -> Result<String> {
        let mut text = String::from(
            "| suite | on kevent by | tests | passed on epoll | failed | passed on kevent | failed | ignored |\n\
             |---|---|--:|--:|--:|--:|--:|--:|\n",
        );
        let mut notes = String::new();
        for suite in suites {
            let name = &suite.package.name;
            let row = self.of("SUITE", name).next();
            let row = row.with_context(|| format!("{name} was not run"))?;
            text.push_str(&format!(
                "| {name} {} | {}",
                row.text("version")?,
                suite.by.text()
            ));
            for key in [
                "tests",
                "epoll-passed",
                "epoll-failed",
                "kevent-passed",
                "kevent-failed",
                "ignored",
            ] {
                text.push_str(&format!(" | {}", row.text(key)?));
            }
            text.push_str(" |\n");
            for failed in self.of("FAILED", name) {
                notes.push_str(&note(name, &failed, known)?);
            }
        }
        if notes.is_empty() {
            notes.push_str("No test fails.\n");
        }
        Ok(format!("{text}\n{notes}"))
    }

    /// The document with all tables.
    pub fn drawn(&self, repo: &Path, old: &str) -> Result<String> {
        let table = self.table(&list::suites(repo)?, &list::known(repo)?)?;
        let text = fill(old, "suites", &table)?;
        fill(&text, "hello", &hello::table(&self.0)?)
    }
}

/// What a line is about: a suite, or the server.
fn subject(line: &str) -> Option<&str> {
    Words::of(line).text("suite").ok()
}

/// A line for a test that failed.
fn note(suite: &str, failed: &Words<'_>, known: &[Difference]) -> Result<String> {
    let test = format!("{} {}", failed.text("program")?, failed.text("test")?);
    let on = failed.text("on")?;
    let begin = format!("* {suite}: `{test}` fails on {on}");
    if on != "kevent" {
        return Ok(format!(
            "{begin}{}.\n",
            if on == "epoll" { " alone" } else { "" }
        ));
    }
    let mut known = known.iter();
    let known = known.find(|known| known.suite == suite && known.test == test);
    let reason = known.map_or("not known why", |known| known.reason.trim());
    Ok(format!("{begin} alone: {reason}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::DOCUMENT;

    fn repo() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    fn told(text: &str) -> Told {
        Told(text.lines().map(str::to_owned).collect())
    }

    fn table(text: &str, known: &[Difference]) -> String {
        let mut suites = list::suites(repo()).unwrap();
        suites.retain(|suite| suite.package.name == "tokio");
        told(text).table(&suites, known).unwrap()
    }

    const ROW: &str = "SUITE suite=tokio version=1.2.3 tests=4 epoll-passed=3 epoll-failed=1 \
                       kevent-passed=2 kevent-failed=2 ignored=0\n";

    #[test]
    fn the_document_has_the_tables_of_the_results() {
        let text = fs::read_to_string(repo().join(DOCUMENT)).unwrap();
        let drawn = Told::read(repo()).unwrap().drawn(repo(), &text).unwrap();
        assert!(drawn == text);
    }

    #[test]
    fn a_suite_has_a_row() {
        let text = table(ROW, &[]);
        let row = "| tokio 1.2.3 | selector of mio | 4 | 3 | 1 | 2 | 2 | 0 |\n";
        assert!(
            text.contains(row) && text.ends_with("No test fails.\n"),
            "{text}"
        );
    }

    #[test]
    fn a_test_that_fails_is_told() {
        let failed = |on| format!("{ROW}FAILED suite=tokio on={on} program=udp test=a::b\n");
        assert!(table(&failed("both"), &[]).contains("* tokio: `udp a::b` fails on both.\n"));
        let text = table(&failed("epoll"), &[]);
        assert!(text.contains("* tokio: `udp a::b` fails on epoll alone.\n"));
        let known = Difference {
            suite: "tokio".to_owned(),
            test: "udp a::b".to_owned(),
            reason: "as it says\n".to_owned(),
        };
        let text = table(&failed("kevent"), &[known]);
        assert!(
            text.contains("`udp a::b` fails on kevent alone: as it says\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_new_replaces_what_is_old() {
        let mut all =
            told("FAILED suite=a test=x\nHELLO column=epoll ns=5\nSUITE suite=a\nSUITE suite=b");
        all.renew(vec!["SUITE suite=a tests=2".to_owned()]);
        assert_eq!(
            all,
            told("HELLO column=epoll ns=5\nSUITE suite=a tests=2\nSUITE suite=b")
        );
        all.renew(vec!["HELLO column=epoll ns=6".to_owned()]);
        assert_eq!(
            all,
            told("HELLO column=epoll ns=6\nSUITE suite=a tests=2\nSUITE suite=b")
        );
    }
}
