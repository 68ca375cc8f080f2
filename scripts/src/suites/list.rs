//! Which tests run: `userspace/suites/suites.toml`; and which may differ: `known.toml` there.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use glob::Pattern;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::crates::Package;

/// How a suite comes to kevent.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// mio is built with the selector.
    Mio,
    /// A library is in front of libc's.
    Preload,
}

impl By {
    /// What makes a program take kevent or epoll, for the guest.
    pub fn variables(self, column: Column) -> &'static [&'static str] {
        match (self, column) {
            (By::Mio, Column::Epoll) => &["MIO_KEVENT=off"],
            (By::Preload, Column::Kevent) => &["LD_PRELOAD=/exec/libepoll_kevent.so"],
            (By::Mio, Column::Kevent) | (By::Preload, Column::Epoll) => &[],
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            By::Mio => "selector of mio",
            By::Preload => "LD_PRELOAD",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Epoll,
    Kevent,
}

impl Column {
    pub const ALL: [Column; 2] = [Column::Epoll, Column::Kevent];

    pub fn name(self) -> &'static str {
        match self {
            Column::Epoll => "epoll",
            Column::Kevent => "kevent",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Suite {
    #[serde(flatten)]
    pub package: Package,
    pub by: By,
    /// Where it is here, if it is ours.
    pub folder: Option<String>,
    #[serde(default)]
    pub features: Vec<String>,
    /// Whether the tests in its sources run.
    #[serde(default)]
    pub lib: bool,
    /// Whether the examples of its documentation run.
    #[serde(default)]
    pub doc: bool,
    #[serde(default)]
    tests: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    /// Tests that do not run, in whichever program.
    #[serde(default)]
    pub skip: Vec<String>,
}

impl Suite {
    /// Whether the test program of this name runs.
    pub fn has(&self, name: &str) -> Result<bool> {
        let matches = |patterns: &[String]| -> Result<bool> {
            let patterns = patterns.iter().map(|pattern| Pattern::new(pattern));
            let patterns: Vec<Pattern> = patterns.collect::<Result<_, _>>()?;
            Ok(patterns.iter().any(|pattern| pattern.matches(name)))
        };
        Ok(matches(&self.tests)? && !matches(&self.without)?)
    }
}

/// A test that may fail on kevent alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    pub suite: String,
    /// `program test`.
    pub test: String,
    pub reason: String,
}

#[derive(Deserialize)]
struct Suites {
    suite: Vec<Suite>,
}

#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    difference: Vec<Difference>,
}

/// All suites.
pub fn suites(repo: &Path) -> Result<Vec<Suite>> {
    Ok(read::<Suites>(repo, "suites.toml")?.suite)
}

/// All differences that have a reason.
pub fn known(repo: &Path) -> Result<Vec<Difference>> {
    let known = read::<Known>(repo, "known.toml")?.difference;
    for difference in &known {
        let Difference { test, reason, .. } = difference;
        ensure!(!reason.trim().is_empty(), "{test} has no reason");
    }
    Ok(known)
}

fn read<T: DeserializeOwned>(repo: &Path, name: &str) -> Result<T> {
    let path = repo.join("userspace/suites").join(name);
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn the_lists_are_sound() {
        let suites = suites(repo()).unwrap();
        for difference in known(repo()).unwrap() {
            let mut names = suites.iter().map(|suite| &suite.package.name);
            assert!(
                names.any(|name| *name == difference.suite),
                "{difference:?}"
            );
        }
        let own = crate::mio::package(repo()).unwrap();
        let mio = suites.iter().find(|suite| suite.package.name == own.name);
        let mio = &mio.unwrap().package;
        assert_eq!((&mio.version, &mio.checksum), (&own.version, &own.checksum));
    }

    #[test]
    fn programs_are_chosen_by_name() {
        let suites = suites(repo()).unwrap();
        let tokio = suites.iter().find(|suite| suite.package.name == "tokio");
        let has = |name| tokio.unwrap().has(name).unwrap();
        assert!(has("tcp_echo") && has("fs_file"));
        assert!(!has("fs_uring_read") && !has("time_wasm"));
    }

    #[test]
    fn each_column_has_its_variables() {
        for by in [By::Mio, By::Preload] {
            let [epoll, kevent] = Column::ALL.map(|column| by.variables(column));
            assert_ne!(epoll, kevent);
        }
    }
}
