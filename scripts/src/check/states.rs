//! The kernel after each patch of the series.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::touched;
use crate::cache::sha256_of;
use crate::git::{Git, Keep, Scratch};
use crate::tree::Base;

/// The kernel after a patch.
#[derive(Clone, Debug)]
pub struct State {
    /// The number of the patch, such as "0007".
    pub number: String,
    pub subject: String,
    pub patch: PathBuf,
    pub commit: String,
    /// The commit before it.
    pub before: String,
    /// The files that the patch changes or brings.
    pub paths: Vec<String>,
    /// A checksum of all files that can change what is built.
    pub code: String,
    /// The last commit that changed a Kconfig file.
    pub kconfig: String,
    /// Whether the patch can change what is built.
    pub counts: bool,
    /// The objects of all C files touched so far.
    pub objects: BTreeSet<String>,
    /// The symbols brought so far.
    pub symbols: BTreeSet<String>,
}

/// Applies the patches one by one. The base's repository keeps the commits.
pub fn states(base: &Base, home: &Path, patches: &[PathBuf]) -> Result<Vec<State>> {
    let scratch = Scratch::new(&base.git, home, Keep::Objects, &base.commit)?;
    let git = &scratch.git;
    let mut states: Vec<State> = Vec::new();
    for patch in patches {
        let name = patch.file_name().unwrap_or_default().to_string_lossy();
        let before = states.last().map_or(&base.commit, |state| &state.commit);
        let commit = scratch.am(std::slice::from_ref(patch));
        let commit = commit.with_context(|| name.clone().into_owned())?;
        let names = |filter: &str| {
            let filter = format!("--diff-filter={filter}");
            git.read(&["diff-tree", "-r", "--name-only", &filter, before, &commit])
        };
        let (paths, gone) = (names("d")?, names("D")?);
        let kconfig = ["--", ":(glob)**/Kconfig*"];
        let diff = ["diff-tree", "-r", "-p", before, &commit];
        let diff = git.read(&[&diff[..], &kconfig].concat())?;
        let mut state = State {
            number: name.split('-').next().unwrap_or_default().to_owned(),
            subject: git.read(&["log", "-1", "--format=%s", &commit])?,
            patch: patch.clone(),
            before: before.clone(),
            code: code(git, &commit)?,
            kconfig: match states.last() {
                _ if !diff.is_empty() => commit.clone(),
                Some(state) => state.kconfig.clone(),
                None => base.commit.clone(),
            },
            commit,
            counts: paths.lines().chain(gone.lines()).any(touched::counts),
            objects: paths.lines().filter_map(touched::object).collect(),
            symbols: touched::symbols(&diff),
            paths: paths.lines().map(str::to_owned).collect(),
        };
        if let Some(before) = states.last() {
            state.objects.extend(before.objects.iter().cloned());
            state.symbols.extend(before.symbols.iter().cloned());
        }
        states.push(state);
    }
    Ok(states)
}

/// What the series starts from, with those of its objects that are there.
pub fn first(base: &Base, states: &[State]) -> Result<State> {
    let last = states.last().context("there is no patch")?;
    let git = &base.git;
    let is_there = |object: &&String| {
        let source = object.replace(".o", ".c");
        git.read(&["cat-file", "-e", &format!("{}:{source}", base.commit)])
            .is_ok()
    };
    Ok(State {
        number: "0000".to_owned(),
        subject: "the base".to_owned(),
        patch: PathBuf::new(),
        commit: base.commit.clone(),
        before: base.commit.clone(),
        paths: Vec::new(),
        code: code(git, &base.commit)?,
        kconfig: base.commit.clone(),
        counts: true,
        objects: last.objects.iter().filter(is_there).cloned().collect(),
        symbols: BTreeSet::new(),
    })
}

/// A checksum of a commit's files, without those that change nothing that is built.
fn code(git: &Git, commit: &str) -> Result<String> {
    let mut entries = git.read(&["ls-tree", commit])?;
    entries.push('\n');
    entries.push_str(&git.read(&["ls-tree", commit, "tools/"])?);
    let apart = ["Documentation", "MAINTAINERS", "tools", "tools/testing"];
    let counts = |line: &&str| {
        let path = line.split_once('\t').map_or("", |(_, path)| path);
        !apart.contains(&path)
    };
    let entries: Vec<&str> = entries.lines().filter(counts).collect();
    Ok(sha256_of(entries.join("\n")))
}

#[cfg(test)]
pub mod tests {
    use std::fs;

    use super::*;
    use crate::git::tests::{PATCH, base_of, repository};

    /// A base, and one patch that adds to `d/f` and brings `d/new`; one for the documents.
    pub fn series(folder: &Path) -> (Base, Vec<State>) {
        let files = [
            ("d/f", "x\n"),
            ("fs/a.c", ""),
            ("Documentation/p.rst", "x\n"),
            ("tools/testing/t", "x\n"),
        ];
        let (git, commit) = repository(&folder.join("linux"), &files);
        let document = PATCH
            .replace("d/f", "Documentation/p.rst")
            .replace("d/new", "Documentation/new.rst");
        let texts = [PATCH.to_owned(), document];
        let mut patches = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let path = folder.join(format!("000{}-p.patch", index + 1));
            fs::write(&path, text).unwrap();
            patches.push(path);
        }
        let base = base_of(git, commit);
        let states = states(&base, folder, &patches).unwrap();
        (base, states)
    }

    #[test]
    fn states_tell_what_each_patch_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (base, states) = series(folder.path());
        assert_eq!(states.len(), 2);
        assert_eq!(states[0].number, "0001");
        assert_eq!(states[0].paths, ["d/f", "d/new"]);
        assert!(states[0].counts && !states[1].counts);
        assert_eq!(states[0].before, base.commit);
        assert_eq!(states[1].before, states[0].commit);
    }

    #[test]
    fn documents_change_no_code() {
        let folder = tempfile::tempdir().unwrap();
        let (base, states) = series(folder.path());
        let first = first(&base, &states).unwrap();
        assert_ne!(first.code, states[0].code);
        assert_eq!(states[0].code, states[1].code);
        assert_ne!(states[0].commit, states[1].commit);
    }
}
