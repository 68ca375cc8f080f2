//! The series as mails, the same with every version of git.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::Patches;
use crate::command::check;
use crate::git::Git;
use crate::tree::Base;

/// One mail for each commit. The scratch repository has no files checked out, so no
/// `.gitattributes` of Linux choose how git labels hunks, which differs between its versions.
pub fn format(git: &Git, base: &str, tip: &str) -> Result<Patches> {
    let folder = tempfile::tempdir_in(git.folder())?;
    let mut format = git.command();
    format.args([
        "format-patch",
        "--quiet",
        "--numbered",
        "--start-number=1",
        "--subject-prefix=PATCH",
        "--suffix=.patch",
        "--filename-max-length=64",
        "--zero-commit",
        "--full-index",
        "--no-signature",
        "--no-cover-letter",
        "--no-thread",
        "--no-attach",
        "--no-notes",
        "--no-base",
        "--no-to",
        "--no-cc",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--no-renames",
        "--patch",
        "--stat=72",
        "--summary",
        "--unified=3",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        "--output-directory",
    ]);
    format.arg(folder.path()).arg(format!("{base}..{tip}"));
    check(&mut format)?;
    let mut patches = Patches::new();
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        let name = path.file_name().context("a patch has a name")?;
        let (name, text) = (name.to_string_lossy().into_owned(), fs::read(&path)?);
        ensure!(
            text.len() <= LARGEST,
            "{name} has {} bytes, and at most {LARGEST} are mailed: the patch must be split",
            text.len()
        );
        patches.insert(name, text);
    }
    Ok(patches)
}

/// The longest mail, in bytes. Documentation/process/submitting-patches.rst once said it in words: a
/// patch above 300 kB is not for mailing lists, and "almost certainly needs to be broken up anyway".
pub const LARGEST: usize = 300_000;

/// What the list reads to the end.
const LONGEST: usize = 200;

/// The cover letter: the text's first line is its subject. The list of patches, what they change
/// and the base follow. `parts` has a heading where a part of the series begins.
pub fn cover(
    git: &Git,
    base: &Base,
    commits: &[String],
    parts: &[Option<String>],
    text: &str,
) -> Result<String> {
    let (subject, body) = text
        .split_once('\n')
        .context("the cover letter has one line")?;
    let tip = commits.last().context("the series is empty")?;
    let first = commits.first().context("the series is empty")?;
    let head = git.read(&["log", "-1", "--format=From: %an <%ae>%nDate: %aD", first])?;
    let range = format!("{}..{tip}", base.commit);
    let subjects = git.read(&["log", "--reverse", "--format=%s", &range])?;
    let stat = |kind| git.read(&["diff-tree", "-r", "--no-renames", kind, &base.commit, tip]);
    let count = commits.len();
    let width = count.to_string().len();
    let cover = format!(
        "From {} Mon Sep 17 00:00:00 2001\n\
         {head}\n\
         Subject: [PATCH {}/{count}] {}\n\n\
         {}\n\n\
         {}\n\
         {}{}\n\n\
         {}\n",
        "0".repeat(40),
        "0".repeat(width),
        subject.trim(),
        body.trim(),
        list(&subjects, parts, width),
        places(&stat("--numstat")?),
        stat("--shortstat")?,
        trailer(base),
    );
    let lines = cover.lines().count();
    ensure!(
        lines <= LONGEST,
        "the cover letter has {lines} lines, at most {LONGEST} are read"
    );
    Ok(cover)
}

/// The subjects with their numbers, by parts. No empty line is between parts: lines are scarce.
fn list(subjects: &str, parts: &[Option<String>], width: usize) -> String {
    let mut list = String::new();
    for (index, subject) in subjects.lines().enumerate() {
        if let Some(Some(part)) = parts.get(index) {
            list.push_str(&format!("{part}\n"));
        }
        list.push_str(&format!(" {:>width$} {subject}\n", index + 1));
    }
    list
}

/// Where the series changes how many files and lines; a list of its files would be longer than
/// the rest of the letter.
fn places(numstat: &str) -> String {
    let mut places: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for line in numstat.lines() {
        let mut fields = line.splitn(3, '\t');
        let mut lines = || fields.next().and_then(|field| field.parse::<u64>().ok());
        let (added, removed) = (lines().unwrap_or(0), lines().unwrap_or(0));
        let path = fields.next().unwrap_or_default();
        let sums = places.entry(place(path)).or_default();
        for (sum, more) in sums.iter_mut().zip([1, added, removed]) {
            *sum += more;
        }
    }
    let row = |(place, [files, added, removed]): (&String, &[u64; 3])| {
        let files = match files {
            1 => "1 file ".to_owned(),
            more => format!("{more} files"),
        };
        let (added, removed) = (format!("+{added}"), format!("-{removed}"));
        format!(" {place:<29} {files:>11} {added:>6} {removed:>6}\n")
    };
    places.iter().map(row).collect()
}

/// The upper two folders of a file, or its name.
fn place(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let folders = parts.len() - 1;
    parts[..folders.clamp(1, 2)].join("/")
}

/// What the series applies to. A commit that nobody else has is no base-commit.
fn trailer(base: &Base) -> String {
    match base.mainline {
        true => format!("base-commit: {}", base.commit),
        false if base.distribution => format!(
            "base: {} (a distribution's source: mainline has no such commit)",
            base.name
        ),
        false => format!("base: {}", base.name),
    }
}

/// A mail without what another base changes: hashes, line numbers, labels of hunks, its name.
pub fn without_base(text: &str) -> String {
    let mut new = String::new();
    for line in text.lines() {
        let base = ["index ", "base: ", "base-commit: "];
        if base.iter().any(|name| line.starts_with(name)) {
            continue;
        }
        let hunk = line.starts_with("@@ -") && line[3..].contains(" @@");
        new.push_str(if hunk { "@@" } else { line });
        new.push('\n');
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_the_base_is_left_out() {
        let one = "Subject: s\nindex aa..bb 100644\n@@ -1,2 +1,3 @@ fn a\n x\n+y\nbase: p 7.3.4\n";
        let two = "Subject: s\nindex cc..dd 100644\n@@ -9,2 +9,3 @@ fn b\n x\n+y\nbase: p 7.3.5\n";
        assert_eq!(without_base(one), without_base(two));
        assert_ne!(without_base(one), without_base(&two.replace("+y", "+z")));
    }

    #[test]
    fn places_are_summed() {
        let numstat = "1\t2\tfs/a.c\n3\t0\tfs/b/c/d.c\n5\t1\tfs/b/e/f.c\n7\t0\tMAINTAINERS";
        let rows = [
            " MAINTAINERS                       1 file      +7     -0\n",
            " fs                                1 file      +1     -2\n",
            " fs/b                              2 files     +8     -1\n",
        ];
        assert_eq!(places(numstat), rows.concat());
    }
}
