//! The lines that the series brings, by the diff of Linux without it and with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::git::Git;
use crate::tree::Base;

/// Numbers of lines by file, each as the kernel's tree has it.
pub type Lines = BTreeMap<String, BTreeSet<u32>>;

/// What is compiled into the kernel.
const SOURCES: [&str; 3] = ["*.rs", "*.c", "*.h"];
/// What is not.
const OTHERS: [&str; 2] = [":!tools", ":!samples"];

pub fn of_the_series(base: &Base, tree: &Path) -> Result<Lines> {
    let mut diff = Git::at(tree).command();
    diff.args([
        "diff",
        "--unified=0",
        "--no-color",
        "--no-ext-diff",
        "--no-renames",
    ]);
    diff.args([&base.commit, "HEAD", "--"]);
    diff.args(SOURCES).args(OTHERS);
    parse(&crate::command::stdout(&mut diff)?)
}

fn parse(diff: &str) -> Result<Lines> {
    let mut lines = Lines::new();
    let mut file = None;
    for line in diff.lines() {
        if let Some(name) = line.strip_prefix("+++ ") {
            file = name.strip_prefix("b/");
        } else if let (Some(rest), Some(file)) = (line.strip_prefix("@@ "), file) {
            let added = rest
                .split(' ')
                .nth(1)
                .and_then(|word| word.strip_prefix('+'));
            let added = added.with_context(|| format!("no place of lines: {line}"))?;
            let (start, count) = added.split_once(',').unwrap_or((added, "1"));
            let (start, count): (u32, u32) = (start.parse()?, count.parse()?);
            let all = lines.entry(file.to_owned()).or_default();
            all.extend(start..start + count);
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_lines_have_numbers() {
        let diff = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -3,0 +4,2 @@ f\n+a\n+b\n@@ -9 +12 @@\n-c\n+d\n\
                    @@ -20,2 +22,0 @@\n-e\n-f\n--- /dev/null\n+++ b/fs/new.rs\n@@ -0,0 +1,3 @@\n\
                    +++ g\n+h\n+i\n--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-j\n";
        let lines = parse(diff).unwrap();
        let numbers = |name: &str| lines[name].iter().copied().collect::<Vec<u32>>();
        assert_eq!(numbers("fs/x.c"), [4, 5, 12]);
        assert_eq!(lines.len(), 2);
        assert_eq!(numbers("fs/new.rs"), [1, 2, 3]);
    }
}
