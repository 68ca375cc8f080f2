//! What each patch adds, and why what is C is not Rust: from the sources of the series.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use glob::{MatchOptions, Pattern};

use crate::manifest::{Manifest, Reason, SERIES};
use crate::series::counts::{Count, counts};
use crate::series::texts::Texts;

/// The table of patches, and that of C files.
pub fn tables(repo: &Path) -> Result<(String, String)> {
    let manifest = Manifest::read(&repo.join(SERIES))?;
    let counts = counts(repo, &manifest)?;
    let texts = Texts::new(repo.join(SERIES), &counts);
    let mut subjects = Vec::new();
    for patch in &manifest.patch {
        let message = texts.read(&patch.message)?;
        subjects.push(message.lines().next().unwrap_or_default().to_owned());
    }
    Ok((patches(&subjects, &counts), c_files(&manifest.c, &counts)?))
}

/// So many files are named in a row, and of more the pattern.
const FEW: usize = 9;

#[derive(Clone, Copy, PartialEq)]
enum Language {
    C,
    Rust,
    Other,
}

fn language(path: &str) -> Language {
    match path.rsplit_once('.') {
        Some((_, "c" | "h")) => Language::C,
        Some((_, "rs")) => Language::Rust,
        _ => Language::Other,
    }
}

fn patches(subjects: &[String], counts: &[Count]) -> String {
    let mut text = String::from("| patch | subject | C | Rust | other |\n|--:|---|--:|--:|--:|\n");
    let mut all = [0; 3];
    let mut row = |number: &str, subject: &str, [c, rust, other]: [usize; 3]| {
        text.push_str(&format!(
            "| {number} | {subject} | {c} | {rust} | {other} |\n"
        ));
    };
    for (at, (subject, count)) in subjects.iter().zip(counts).enumerate() {
        let lines = [Language::C, Language::Rust, Language::Other].map(|wanted| {
            let files = count.added.iter();
            let files = files.filter(|(path, _)| language(path) == wanted);
            files.map(|(_, lines)| lines).sum::<usize>()
        });
        for (sum, more) in all.iter_mut().zip(lines) {
            *sum += more;
        }
        row(&(at + 1).to_string(), subject, lines);
    }
    row("", "all", all);
    text
}

/// A row for each reason. Every C file has one, and every reason a file.
fn c_files(reasons: &[Reason], counts: &[Count]) -> Result<String> {
    let options = MatchOptions {
        require_literal_separator: true,
        ..MatchOptions::new()
    };
    let mut text = String::from("| file | patches | lines | why it is C |\n|---|---|--:|---|\n");
    let mut patterns = Vec::new();
    for reason in reasons {
        let pattern = Pattern::new(&reason.file).with_context(|| reason.file.clone())?;
        let mut files: Vec<&str> = Vec::new();
        let mut patches: Vec<String> = Vec::new();
        let mut lines = 0;
        for (at, count) in counts.iter().enumerate() {
            let before = lines;
            for (path, added) in &count.added {
                if language(path) == Language::C && pattern.matches_with(path, options) {
                    files.push(path);
                    lines += added;
                }
            }
            if lines > before {
                patches.push((at + 1).to_string());
            }
        }
        files.sort();
        files.dedup();
        let shown = match files.len() {
            0 => bail!("{} has a reason to be C, and is in no patch", reason.file),
            1..=FEW => files.iter().map(|file| format!("`{file}`")).collect(),
            more => vec![format!("`{}`", reason.file), format!("{more} files")],
        };
        let (shown, patches) = (shown.join(", "), patches.join(", "));
        let why = reason.why.trim();
        text.push_str(&format!("| {shown} | {patches} | {lines} | {why} |\n"));
        patterns.push(pattern);
    }
    for path in counts.iter().flat_map(|count| count.added.keys()) {
        let fits = |pattern: &Pattern| pattern.matches_with(path, options);
        ensure!(
            language(path) != Language::C || patterns.iter().any(fits),
            "{path} is C, and scripts/series/manifest.toml has no reason for it"
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(id: &str, added: &[(&str, usize)]) -> Count {
        let added = added.iter();
        let added = added.map(|(path, lines)| ((*path).to_owned(), *lines));
        Count {
            id: id.to_owned(),
            added: added.collect(),
        }
    }

    fn counted() -> Vec<Count> {
        vec![
            count("one", &[("fs/k.c", 7), ("fs/Makefile", 1), ("k.rs", 9)]),
            count("two", &[("fs/k.c", 2), ("t/a.c", 3), ("t/a.h", 4)]),
        ]
    }

    fn reasons(files: &[&str]) -> Vec<Reason> {
        let reason = |file: &&str| Reason {
            file: (*file).to_owned(),
            why: "macros".to_owned(),
        };
        files.iter().map(reason).collect()
    }

    #[test]
    fn lines_are_counted_by_language() {
        let table = patches(&["s".to_owned(), "t".to_owned()], &counted());
        let rows: Vec<&str> = table.lines().skip(2).collect();
        let wanted = [
            "| 1 | s | 7 | 9 | 1 |",
            "| 2 | t | 9 | 0 | 0 |",
            "|  | all | 16 | 9 | 1 |",
        ];
        assert_eq!(rows, wanted);
    }

    #[test]
    fn each_c_file_has_its_reason() {
        let table = c_files(&reasons(&["fs/k.c", "t/*"]), &counted()).unwrap();
        let rows: Vec<&str> = table.lines().skip(2).collect();
        let wanted = [
            "| `fs/k.c` | 1, 2 | 9 | macros |",
            "| `t/a.c`, `t/a.h` | 2 | 7 | macros |",
        ];
        assert_eq!(rows, wanted);
        let fail = |files: &[&str]| {
            c_files(&reasons(files), &counted())
                .unwrap_err()
                .to_string()
        };
        let many: Vec<String> = (0..=FEW).map(|at| format!("t/{at}.c")).collect();
        let many: Vec<(&str, usize)> = many.iter().map(|path| (path.as_str(), 1)).collect();
        let table = c_files(&reasons(&["t/*"]), &[count("one", &many)]).unwrap();
        let row = "\n| `t/*`, 10 files | 1 | 10 | macros |\n";
        assert!(table.ends_with(row), "{table}");
        assert!(fail(&["fs/k.c", "*"]).starts_with("* has a reason"));
        assert!(fail(&["fs/k.c", "t/*.c"]).starts_with("t/a.h is C, and"));
        assert!(fail(&["fs/*", "t/*", "k.rs"]).starts_with("k.rs has a reason"));
    }
}
