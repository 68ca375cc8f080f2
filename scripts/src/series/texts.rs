//! The texts of the series. What they say of its patches follows from the manifest:
//!
//! | in a text | what stands for it |
//! |---|---|
//! | `{patch:ID}` | the number of the patch |
//! | `{patches-above:LINES}` | the numbers of those that add more lines, as "1, 2 and 4 to 6" |

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use regex::Regex;

use super::counts::Count;

/// The longest line, but for programs, which begin with a tab.
const COLUMNS: usize = 75;

pub struct Texts<'a> {
    /// The folder of the manifest.
    folder: PathBuf,
    counts: &'a [Count],
}

impl Texts<'_> {
    pub fn new(folder: PathBuf, counts: &[Count]) -> Texts<'_> {
        Texts { folder, counts }
    }

    /// A text by its name beside the manifest.
    pub fn read(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let text = self.resolve(&text);
        text.with_context(|| path.display().to_string())
    }

    fn resolve(&self, text: &str) -> Result<String> {
        let mut new = text.to_owned();
        for found in Regex::new(r"\{([a-z-]+):([^{}\s]*)\}")?.captures_iter(text) {
            let (whole, [kind, what]) = found.extract();
            let value = match kind {
                "patch" => self.number(what),
                "patches-above" => self.above(what),
                _ => bail!("{whole} stands for nothing"),
            };
            new = new.replace(whole, &value.with_context(|| whole.to_owned())?);
        }
        for line in new.lines().filter(|line| !line.starts_with('\t')) {
            let columns = line.chars().count();
            ensure!(columns <= COLUMNS, "`{line}` has {columns} columns");
        }
        Ok(new)
    }

    fn number(&self, id: &str) -> Result<String> {
        let at = self.counts.iter().position(|count| count.id == id);
        let at = at.context("there is no such patch")?;
        Ok((at + 1).to_string())
    }

    fn above(&self, lines: &str) -> Result<String> {
        let lines: usize = lines.parse()?;
        let counts = self.counts.iter().enumerate();
        let above = counts.filter(|(_, count)| count.total() > lines);
        let above: Vec<usize> = above.map(|(at, _)| at + 1).collect();
        let runs = above.chunk_by(|one, next| one + 1 == *next);
        let mut above: Vec<String> = runs.flat_map(shown).collect();
        let last = above.pop().context("no patch is")?;
        Ok(match above.is_empty() {
            true => last,
            false => format!("{} and {last}", above.join(", ")),
        })
    }
}

/// Numbers that follow each other. Two are no shorter as a range.
fn shown(run: &[usize]) -> Vec<String> {
    match run {
        [first, _, .., last] => vec![format!("{first} to {last}")],
        _ => run.iter().map(usize::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<String> {
        let counts = [("a", 7), ("b-c", 600), ("d", 9), ("e", 8)];
        let counts = counts.map(|(id, lines)| Count {
            id: id.to_owned(),
            added: [("f".to_owned(), lines)].into(),
        });
        Texts::new(PathBuf::new(), &counts).resolve(text)
    }

    #[test]
    fn names_stand_for_numbers() {
        let text = resolve("{patch:b-c}, {patch:d}, {patch:b-c} { .type = {}, }\n").unwrap();
        assert_eq!(text, "2, 3, 2 { .type = {}, }\n");
        let text = resolve("{patches-above:7} are, {patches-above:8} are").unwrap();
        assert_eq!(text, "2 to 4 are, 2 and 3 are");
        assert_eq!(resolve("{patches-above:9}").unwrap(), "2");
    }

    #[test]
    fn three_in_a_row_are_a_range() {
        assert_eq!(shown(&[4]), ["4"]);
        assert_eq!(shown(&[4, 5]), ["4", "5"]);
        assert_eq!(shown(&[4, 5, 6]), ["4 to 6"]);
        assert_eq!(shown(&[4, 5, 6, 7]), ["4 to 7"]);
    }

    #[test]
    fn unknown_names_are_errors() {
        let fail = |text| format!("{:#}", resolve(text).unwrap_err());
        assert_eq!(fail("{patch:f}"), "{patch:f}: there is no such patch");
        assert_eq!(fail("{pitch:a}"), "{pitch:a} stands for nothing");
        assert!(fail("{patches-above:x}").starts_with("{patches-above:x}: "));
        assert!(fail("{patches-above:600}").ends_with("no patch is"));
    }

    #[test]
    fn columns_are_those_of_what_is_sent() {
        let line = "x".repeat(COLUMNS - 1);
        assert!(resolve(&format!("{line}{{patch:a}}\n")).is_ok());
        assert!(resolve(&format!("{line}y{{patch:a}}\n")).is_err());
        assert!(resolve(&format!("\t{line}{line}\n")).is_ok());
    }

    #[test]
    fn a_file_that_fails_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cover.txt"), "{patch:a}\n").unwrap();
        let texts = Texts::new(folder.path().to_owned(), &[]);
        let error = format!("{:#}", texts.read("cover.txt").unwrap_err());
        assert!(
            error.contains("cover.txt: {patch:a}: there is no"),
            "{error}"
        );
        assert!(texts.read("none.txt").is_err());
    }
}
