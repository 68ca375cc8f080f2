//! What programs did on epoll and on kevent: lines, as the guest wrote them, that are checked in.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cache::write_atomic;
use crate::guest::bench::Words;

/// Where they are.
pub const FILE: &str = "bench/results/x86_64-programs.txt";

/// The kinds of lines that are kept: versions, what was measured in each boot, and sums of suites.
const KINDS: [&str; 6] = ["VERSION", "ANSWERS", "QUEUES", "RATE", "COST", "SUITE"];

/// A line `KIND key=value ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// None, if it is of no kind that is kept.
    pub fn parse(text: &str) -> Option<Line> {
        let kind = text.split(' ').next()?;
        KINDS.contains(&kind).then(|| Line(text.to_owned()))
    }

    pub fn kind(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    pub fn words(&self) -> Words<'_> {
        Words::of(&self.0)
    }

    /// What it is about: a line takes the place of an older one that is about the same.
    fn subject(&self) -> [&str; 3] {
        let words = self.words();
        ["package", "program", "suite"].map(|key| words.text(key).unwrap_or_default())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Results(pub Vec<Line>);

impl Results {
    pub fn read(repo: &Path) -> Result<Results> {
        let path = repo.join(FILE);
        if !path.exists() {
            return Ok(Results::default());
        }
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Results(text.lines().filter_map(Line::parse).collect()))
    }

    pub fn write(&self, repo: &Path) -> Result<()> {
        let text: String = self
            .0
            .iter()
            .map(|Line(text)| format!("{text}\n"))
            .collect();
        write_atomic(&repo.join(FILE), text)
    }

    /// Puts new lines in the place of what was told of the same programs before.
    pub fn renew(&mut self, new: Vec<Line>) {
        let is_new = |old: &Line| {
            let same = |new: &Line| (new.kind(), new.subject()) == (old.kind(), old.subject());
            new.iter().any(same)
        };
        self.0.retain(|old| !is_new(old));
        self.0.extend(new);
        let order = |line: &Line| KINDS.iter().position(|kind| *kind == line.kind());
        self.0.sort_by_key(order);
    }

    /// The lines of one kind.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = Words<'a>> {
        self.0
            .iter()
            .filter(move |line| line.kind() == kind)
            .map(Line::words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        text.lines().filter_map(Line::parse).collect()
    }

    #[test]
    fn what_is_new_replaces_what_is_old() {
        let mut results = Results(lines(
            "VERSION package=nginx version=1\nRATE program=nginx case=kept rate=5\n\
             RATE program=nginx case=closed rate=4\nRATE program=hyper case=kept rate=7\n",
        ));
        results.renew(lines(
            "RATE program=nginx case=kept rate=6\nLOG nothing\nVERSION package=nginx version=2\n\
             ANSWERS program=nginx case=kept answers=5\n",
        ));
        let expected = "VERSION package=nginx version=2\nANSWERS program=nginx case=kept answers=5\n\
                        RATE program=hyper case=kept rate=7\nRATE program=nginx case=kept rate=6\n";
        assert_eq!(results.0, lines(expected));
    }

    #[test]
    fn they_are_read_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Results::read(folder.path()).unwrap(), Results::default());
        let results = Results(lines("SUITE suite=a tests=5\nRATE program=b rate=7.5\n"));
        results.write(folder.path()).unwrap();
        assert_eq!(Results::read(folder.path()).unwrap(), results);
        assert_eq!(
            results.of("RATE").next().unwrap().number("rate").unwrap(),
            7.5
        );
    }
}
