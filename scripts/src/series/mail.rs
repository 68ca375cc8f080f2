//! The series as mails, the same with every version of git.

use std::fs;

use anyhow::{Context as _, Result};

use super::Patches;
use crate::command::check;
use crate::git::Git;

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
        patches.insert(name.to_string_lossy().into_owned(), fs::read(&path)?);
    }
    Ok(patches)
}

/// The cover letter: the text's first line is its subject. The list of patches, the statistics
/// and the base follow.
pub fn cover(
    git: &Git,
    base: &str,
    commits: &[String],
    base_name: &str,
    text: &str,
) -> Result<String> {
    let (subject, body) = text
        .split_once('\n')
        .context("the cover letter has one line")?;
    let tip = commits.last().context("the series is empty")?;
    let first = commits.first().context("the series is empty")?;
    let head = git.read(&["log", "-1", "--format=From: %an <%ae>%nDate: %aD", first])?;
    let range = format!("{base}..{tip}");
    let subjects = git.read(&["log", "--reverse", "--format=  %s", &range])?;
    let stat = git.read(&[
        "diff-tree",
        "--no-renames",
        "--no-color",
        "--no-ext-diff",
        "--stat=72",
        "--summary",
        base,
        tip,
    ])?;
    let count = commits.len();
    let zeros = "0".repeat(count.to_string().len());
    Ok(format!(
        "From {} Mon Sep 17 00:00:00 2001\n\
         {head}\n\
         Subject: [PATCH {zeros}/{count}] {}\n\n\
         {}\n\n\
         Patches:\n\n{subjects}\n\n\
         {stat}\n\n\
         base: {base_name}\n",
        "0".repeat(40),
        subject.trim(),
        body.trim(),
    ))
}

/// A mail without what another base changes: hashes, line numbers, labels of hunks, its name.
pub fn without_base(text: &str) -> String {
    let mut new = String::new();
    for line in text.lines() {
        if line.starts_with("index ") || line.starts_with("base: ") {
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
}
