//! `checkpatch.pl --strict`, less what may stay.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use glob::Pattern;
use serde::Deserialize;

use super::kept::MadeOf;
use super::states::State;
use super::{Check, Work};
use crate::cache::{sha256, write_atomic};
use crate::checkpatch::{self, Report, Script};
use crate::command::{command, stdout};

const ALLOWED: &str = "scripts/check/checkpatch.toml";

/// What checkpatch.pl reads.
const SCRIPTS: [&str; 4] = [
    "scripts/checkpatch.pl",
    "scripts/const_structs.checkpatch",
    "scripts/spdxcheck.py",
    "scripts/spelling.txt",
];

/// `scripts/check/checkpatch.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    #[serde(default)]
    allow: Vec<Entry>,
}

/// What may stay, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Such as LONG_LINE.
    #[serde(rename = "type")]
    name: String,
    /// Files of Linux.
    files: String,
    /// Part of the report.
    #[serde(default)]
    text: String,
    reason: String,
}

pub struct Checkpatch {
    entries: Vec<(Entry, Pattern)>,
    /// Which of them matched something.
    used: RefCell<BTreeSet<usize>>,
}

impl Checkpatch {
    pub fn new(repo: &Path) -> Result<Checkpatch> {
        let text = fs::read_to_string(repo.join(ALLOWED)).context(ALLOWED)?;
        Checkpatch::parse(&text).context(ALLOWED)
    }

    fn parse(text: &str) -> Result<Checkpatch> {
        let allowed: Allowed = toml::from_str(text)?;
        let mut entries = Vec::new();
        for entry in allowed.allow {
            let name = &entry.name;
            ensure!(!entry.reason.trim().is_empty(), "{name} has no reason");
            let pattern = Pattern::new(&entry.files)?;
            entries.push((entry, pattern));
        }
        Ok(Checkpatch {
            entries,
            used: RefCell::default(),
        })
    }

    /// Whether a report may stay.
    fn allows(&self, report: &Report) -> bool {
        let matches = |(entry, pattern): &(Entry, Pattern)| {
            entry.name == report.name
                && pattern.matches(report.file())
                && report.line.contains(&entry.text)
        };
        let found = self.entries.iter().position(matches);
        self.used.borrow_mut().extend(found);
        found.is_some()
    }
}

impl Check for Checkpatch {
    fn name(&self) -> String {
        "checkpatch".to_owned()
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn lacks(&self, work: &Work) -> Option<String> {
        // Without them it says nothing of licences, and does not fail.
        work.ctx.tools().python.is_none().then(|| {
            "for checkpatch: a python3 in PATH with the modules ply and git, which it asks about \
             licences with (cargo xtask setup, or apt-get install python3-ply python3-git)"
                .to_owned()
        })
    }

    fn made_of(&self, work: &Work, state: &State) -> Result<Option<MadeOf>> {
        let mut tools = vec![stdout(command("perl").args(["-e", "print $^V"]))?];
        for script in SCRIPTS {
            tools.push(sha256(&work.tree.join(script))?);
        }
        let sources = vec![sha256(&state.patch)?];
        Ok(Some(MadeOf { sources, tools }))
    }

    fn look(&self, work: &Work, state: &State, log: &Path) -> Result<Vec<String>> {
        let options = ["--no-signoff", "--showfile"];
        let tools = work.ctx.tools();
        let script = Script::new(work.tree, tools.python.as_deref(), &work.ctx.cache)?;
        let found = script.run(&state.patch, &options)?;
        write_atomic(log, checkpatch::log(std::slice::from_ref(&found)))?;
        // Of the message, the patch is named, which is not in the same place on every machine.
        let folder = state.patch.parent().context("a patch has a folder")?;
        let folder = format!("{}/", folder.display());
        let lines = found.0.into_iter().map(|report| report.line);
        Ok(lines.map(|line| line.replace(&folder, "")).collect())
    }

    fn judge(&self, findings: Vec<String>) -> Vec<String> {
        let reports = checkpatch::parse(&findings.join("\n")).0.into_iter();
        let rest = reports.filter(|report| !self.allows(report));
        rest.map(|report| report.line).collect()
    }

    fn end(&self) -> Vec<String> {
        let used = self.used.borrow();
        let entries = self.entries.iter().enumerate();
        let unused = entries.filter(|(place, _)| !used.contains(place));
        let say = |(_, (Entry { name, files, .. }, _)): (usize, &(Entry, Pattern))| {
            format!("{ALLOWED}: nothing matches {name} in {files} any more")
        };
        unused.map(say).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: &str = r#"
        [[allow]]
        type = "LONG_LINE"
        files = "rust/*"
        reason = "tables"

        [[allow]]
        type = "CAMELCASE"
        files = "tools/**/*"
        text = "<_Alignof>"
        reason = "C11"
    "#;

    fn findings() -> Vec<String> {
        [
            "rust/a.rs:1: WARNING:LONG_LINE: line length of 101",
            "fs/a.c:1: WARNING:LONG_LINE: line length of 101",
            "tools/testing/a.c:2: CHECK:CAMELCASE: Avoid CamelCase: <Other>",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn only_what_is_allowed_may_stay() {
        let check = Checkpatch::parse(ALLOW).unwrap();
        let rest = check.judge(findings());
        assert_eq!(rest, findings()[1..]);
    }

    #[test]
    fn an_entry_that_matches_nothing_is_wrong() {
        let check = Checkpatch::parse(ALLOW).unwrap();
        check.judge(findings());
        let wrong = check.end();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("CAMELCASE in tools/**/*"), "{wrong:?}");
        let more = "tools/testing/a.c:2: CHECK:CAMELCASE: Avoid CamelCase: <_Alignof>";
        assert!(check.judge(vec![more.to_owned()]).is_empty());
        assert!(check.end().is_empty());
    }

    #[test]
    fn each_entry_has_a_reason() {
        assert!(Checkpatch::parse(&ALLOW.replace("tables", " ")).is_err());
        assert!(Checkpatch::parse(&ALLOW.replace("reason", "why")).is_err());
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Checkpatch::new(&repo).unwrap();
    }
}
