//! The Linux that the series is tried on.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::git::Git;
use crate::tree::worktree::release;

pub struct Onto {
    /// The repository that has the commit.
    pub git: Git,
    pub commit: String,
    /// What it is, to be shown.
    pub name: String,
    _folder: Option<tempfile::TempDir>,
}

impl Onto {
    /// What `onto` means: a folder, else a revision of `known`. Of a folder without git, only the
    /// files in `touched` are looked at.
    pub fn find(
        onto: &str,
        revision: Option<&str>,
        known: &Git,
        touched: &[String],
    ) -> Result<Onto> {
        let folder = Path::new(onto);
        if !folder.is_dir() {
            ensure!(revision.is_none(), "{onto} is no folder, so it has no REF");
            return Onto::of(known.clone(), onto);
        }
        // Without its own .git, git would look for one in the folders above.
        match (folder.join(".git").exists(), revision) {
            (true, _) => Onto::of(Git::at(folder), revision.unwrap_or("HEAD")),
            (false, None) => Onto::unpacked(folder, touched),
            (false, Some(_)) => bail!("{onto} is no git tree, so it has no REF"),
        }
    }

    fn of(git: Git, revision: &str) -> Result<Onto> {
        let release = || git.commit(&format!("v{revision}"));
        let commit = git.commit(revision).or_else(|_| release()).ok();
        let commit = commit.with_context(|| {
            let folder = git.folder().display();
            format!("{revision} is no folder, and nothing in {folder}; --linux names another tree")
        })?;
        let makefile = git.file(&commit, "Makefile")?.unwrap_or_default();
        Ok(Onto {
            name: named(&makefile, git.folder(), Some(&commit[..12]))?,
            git,
            commit,
            _folder: None,
        })
    }

    /// One commit of the files, in a repository elsewhere.
    fn unpacked(files: &Path, touched: &[String]) -> Result<Onto> {
        let makefile = std::fs::read_to_string(files.join("Makefile")).unwrap_or_default();
        let name = named(&makefile, files, None)?;
        let folder = tempfile::tempdir()?;
        let git = Git::at(folder.path());
        git.run(&["init", "--quiet", "--template=", "--initial-branch=base"])?;
        let repository = folder.path().join(".git");
        let repository = repository.to_str().context("a temporary name")?;
        let there = touched.iter().map(String::as_str);
        let there: Vec<&str> = there.filter(|path| files.join(path).exists()).collect();
        let add = ["--git-dir", repository, "--work-tree", ".", "add"];
        let add = [&add[..], &["--force", "--", "Makefile"], &there].concat();
        Git::at(files).run(&add)?;
        git.run(&["commit", "--quiet", "--no-verify", "--message=base"])?;
        Ok(Onto {
            commit: git.commit("HEAD")?,
            git,
            name,
            _folder: Some(folder),
        })
    }
}

fn named(makefile: &str, folder: &Path, commit: Option<&str>) -> Result<String> {
    let folder = folder.display();
    let release = release(makefile).with_context(|| format!("{folder} is no tree of Linux"))?;
    let commit = commit.map(|commit| format!(", {commit}"));
    Ok(format!("Linux {release}{}", commit.unwrap_or_default()))
}
