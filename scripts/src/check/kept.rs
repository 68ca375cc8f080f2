//! What checks found, kept by what they looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::{sha256_of, write_atomic};

/// What a result follows from.
pub struct MadeOf {
    /// What is checked: the same on every machine.
    pub sources: Vec<String>,
    /// What checks it.
    pub tools: Vec<String>,
}

impl MadeOf {
    /// The name of the result in the cache.
    fn key(&self, check: &str) -> String {
        let parts = [check.to_owned(), self.recorded(check)];
        let parts = parts.iter().chain(&self.tools).cloned();
        sha256_of(parts.collect::<Vec<_>>().join("\n"))
    }

    /// What the record has of it: 16 digits.
    pub fn recorded(&self, check: &str) -> String {
        let sources = format!("{check}\n{}", self.sources.join("\n"));
        sha256_of(sources)[..16].to_owned()
    }
}

/// Findings in the cache.
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub fn new(folder: PathBuf) -> Kept {
        Kept { folder }
    }

    pub fn get(&self, check: &str, of: &MadeOf) -> Option<Vec<String>> {
        let text = fs::read_to_string(self.folder.join(of.key(check))).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub fn put(&self, check: &str, of: &MadeOf, findings: &[String]) -> Result<()> {
        let text = serde_json::to_string(findings)?;
        write_atomic(&self.folder.join(of.key(check)), text)
    }
}

pub const RECORD: &str = "scripts/check/passed.toml";
const HEAD: &str = "\
# The slow checks that each patch passed: checksums of the sources that they passed with. Written by
# `cargo xtask check`; `--short`, which `cargo xtask test` runs in CI, believes it.
";

/// The slow checks that passed, as they are to be checked in; none before the first run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record(BTreeMap<String, BTreeSet<String>>);

impl Record {
    pub fn read(repo: &Path) -> Result<Record> {
        let path = repo.join(RECORD);
        if !path.exists() {
            return Ok(Record::default());
        }
        let text = fs::read_to_string(&path).context(RECORD)?;
        Ok(Record(toml::from_str(&text).context(RECORD)?))
    }

    pub fn has(&self, check: &str, sources: &str) -> bool {
        self.0.get(check).is_some_and(|all| all.contains(sources))
    }

    pub fn add(&mut self, check: &str, sources: String) {
        self.0.entry(check.to_owned()).or_default().insert(sources);
    }

    pub fn remove(&mut self, check: &str, sources: &str) {
        if let Some(all) = self.0.get_mut(check) {
            all.remove(sources);
        }
    }

    /// Forgets what a check passed with other sources than these.
    pub fn retain(&mut self, check: &str, sources: &BTreeSet<String>) {
        if let Some(all) = self.0.get_mut(check) {
            all.retain(|passed| sources.contains(passed));
        }
        self.0.retain(|_, all| !all.is_empty());
    }

    pub fn write(&self, repo: &Path) -> Result<()> {
        let text = HEAD.to_owned() + &toml::to_string_pretty(&self.0)?;
        write_atomic(&repo.join(RECORD), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str, tool: &str) -> MadeOf {
        MadeOf {
            sources: vec![source.to_owned()],
            tools: vec![tool.to_owned()],
        }
    }

    #[test]
    fn findings_hold_for_the_same_sources_and_tools() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().join("kept"));
        let found = vec!["one\ntwo".to_owned()];
        kept.put("a", &of("s", "t"), &found).unwrap();
        assert_eq!(kept.get("a", &of("s", "t")), Some(found));
        for (check, of) in [
            ("b", of("s", "t")),
            ("a", of("r", "t")),
            ("a", of("s", "u")),
        ] {
            assert_eq!(kept.get(check, &of), None);
        }
    }

    #[test]
    fn the_record_forgets_other_sources() {
        let repo = tempfile::tempdir().unwrap();
        let mut record = Record::read(repo.path()).unwrap();
        let now = of("s", "t").recorded("a");
        assert_eq!(now, of("s", "other machine").recorded("a"));
        record.add("a", now.clone());
        record.add("a", "old".to_owned());
        record.retain("a", &BTreeSet::from([now.clone()]));
        record.write(repo.path()).unwrap();
        let read = Record::read(repo.path()).unwrap();
        assert_eq!(read, record);
        assert!(read.has("a", &now) && !read.has("a", "old") && !read.has("b", &now));
    }
}
