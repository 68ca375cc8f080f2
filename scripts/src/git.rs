//! git, the same for every user: no identity, configuration, hook or date of theirs counts.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cache::TEMPORARY;
use crate::command::{check, command, last_lines, show, stdout};

/// What would change commits, patches or speed. Given on the command line, so that it also
/// wins over the configuration of a user's repository.
const SETTINGS: [&str; 25] = [
    "advice.detachedHead=false",
    "am.keepcr=false",
    "am.threeWay=false",
    "apply.ignoreWhitespace=no",
    "apply.whitespace=nowarn",
    "commit.gpgSign=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.compression=1",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "core.fsync=none",
    "core.hooksPath=/dev/null",
    "core.quotePath=true",
    "core.safecrlf=false",
    "diff.algorithm=myers",
    "diff.indentHeuristic=true",
    "diff.interHunkContext=0",
    "diff.mnemonicPrefix=false",
    "diff.noprefix=false",
    "diff.renames=false",
    "diff.suppressBlankEmpty=false",
    "gc.auto=0",
    "i18n.commitEncoding=UTF-8",
    "maintenance.auto=false",
];

/// Variables that would point git elsewhere.
const ENVIRONMENT: [&str; 14] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_WORK_TREE",
];

/// The variable that names folders of objects to read.
const ALTERNATES: &str = "GIT_ALTERNATE_OBJECT_DIRECTORIES";

pub const NAME: &str = "The kevent project";
pub const EMAIL: &str = "kevent@localhost";
/// 2026-01-01 00:00:00 UTC.
const DATE: &str = "@1767225600 +0000";

/// Where a git command works.
#[derive(Clone, Debug)]
pub struct Git {
    folder: PathBuf,
    /// Objects beside those of the repository: (variable, folders with colons between them).
    objects: Option<(&'static str, PathBuf)>,
}

impl Git {
    /// The repository or working tree in `folder`.
    pub fn at(folder: impl Into<PathBuf>) -> Git {
        let folder = folder.into();
        Git {
            folder,
            objects: None,
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The command `git`, to which arguments are added.
    pub fn command(&self) -> Command {
        let mut git = command("git");
        for name in ENVIRONMENT {
            git.env_remove(name);
        }
        git.env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1");
        git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_PAGER", "cat");
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), NAME);
            git.env(format!("GIT_{role}_EMAIL"), EMAIL);
            git.env(format!("GIT_{role}_DATE"), DATE);
        }
        if let Some((variable, folder)) = &self.objects {
            git.env(variable, folder);
        }
        git.arg("-C").arg(&self.folder);
        // A folder of another user is safe: no hook or filter of its configuration runs.
        for setting in SETTINGS.iter().chain(&["safe.directory=*"]) {
            git.args(["-c", setting]);
        }
        git
    }

    /// Runs git for its effect.
    pub fn run(&self, args: &[&str]) -> Result<()> {
        check(self.command().args(args))
    }

    /// Runs git for its output.
    pub fn read(&self, args: &[&str]) -> Result<String> {
        stdout(self.command().args(args))
    }

    /// Runs git with `input`, for its output.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Result<String> {
        let mut git = self.command();
        git.args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = git.spawn();
        let mut child = child.with_context(|| format!("cannot start `{}`", show(&git)))?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(move || stdin.write_all(input));
            (child.wait_with_output(), writer.join())
        });
        let output = written.0?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!(
                "`{}`: {}\n{}",
                show(&git),
                output.status,
                last_lines(&text, 20)
            );
        }
        Ok(String::from_utf8(output.stdout)?
            .trim_end_matches('\n')
            .to_owned())
    }

    /// The commit that `name` means.
    pub fn commit(&self, name: &str) -> Result<String> {
        let name = format!("{name}^{{commit}}");
        self.read(&["rev-parse", "--verify", "--quiet", &name])
            .with_context(|| format!("no commit {name} in {}", self.folder.display()))
    }

    /// A file of a commit; `None` if it is not there.
    pub fn file(&self, commit: &str, path: &str) -> Result<Option<String>> {
        let entry = self.read(&["ls-tree", commit, "--", path])?;
        if entry.is_empty() {
            return Ok(None);
        }
        let name = format!("{commit}:{path}");
        let output = crate::command::output(self.command().args(["cat-file", "blob", &name]))?;
        let text = String::from_utf8(output.stdout);
        Ok(Some(text.with_context(|| format!("{path} is no text"))?))
    }

    /// The folder of the objects of this repository.
    fn object_folder(&self) -> Result<PathBuf> {
        let path = self.read(&["rev-parse", "--git-path", "objects"])?;
        let path = self.folder.join(path);
        path.canonicalize()
            .with_context(|| format!("no folder {}", path.display()))
    }

    /// The repository's list of commits whose parents it lacks, if it is a shallow one.
    fn shallow_file(&self) -> Result<Option<PathBuf>> {
        let path = self
            .folder
            .join(self.read(&["rev-parse", "--git-path", "shallow"])?);
        Ok(path.is_file().then_some(path))
    }
}

/// Where new objects of a [`Scratch`] go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Away with the scratch repository.
    Nothing,
    /// Into the repository that it stands on.
    Objects,
}

/// A repository for a while, that sees the objects of another one and changes nothing else of it.
pub struct Scratch {
    pub git: Git,
    _folder: tempfile::TempDir,
}

impl Scratch {
    /// A scratch repository on `base`, below the folder `cache`, with HEAD at `commit`.
    pub fn new(base: &Git, cache: &Path, keep: Keep, commit: &str) -> Result<Scratch> {
        let folder = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempdir_in(cache)?;
        let mut git = Git::at(folder.path());
        git.run(&["init", "--quiet", "--template=", "--initial-branch=none"])?;
        if let Some(shallow) = base.shallow_file()? {
            std::fs::copy(shallow, folder.path().join(".git/shallow"))?;
        }
        let variable = match keep {
            Keep::Nothing => ALTERNATES,
            Keep::Objects => "GIT_OBJECT_DIRECTORY",
        };
        git.objects = Some((variable, base.object_folder()?));
        git.run(&["update-ref", "--no-deref", "HEAD", commit])?;
        Ok(Scratch {
            git,
            _folder: folder,
        })
    }

    /// The same, seeing the objects of `other` as well. It keeps none.
    pub fn beside(mut self, other: &Git) -> Result<Scratch> {
        let Some((ALTERNATES, mut folders)) = self.git.objects.take() else {
            bail!("a repository that keeps its objects stands on one other");
        };
        let more = other.objects.iter().map(|(_, folders)| folders.clone());
        for more in more.chain([other.object_folder()?]) {
            folders.as_mut_os_string().push(":");
            folders.as_mut_os_string().push(more);
        }
        if let Some(shallow) = other.shallow_file()? {
            let own = self.git.folder().join(".git/shallow");
            let mut all = std::fs::read(&own).unwrap_or_default();
            all.extend(std::fs::read(shallow)?);
            std::fs::write(own, all)?;
        }
        self.git.objects = Some((ALTERNATES, folders));
        Ok(self)
    }

    /// Applies patches on HEAD with `git am` and gives the last commit.
    /// Only the files that they touch are checked out.
    pub fn am(&self, patches: &[PathBuf]) -> Result<String> {
        if patches.is_empty() {
            return self.git.commit("HEAD");
        }
        self.checkout(patches)?;
        let mut am = self.git.command();
        am.args(["am", "--quiet", "--committer-date-is-author-date"]);
        am.args(["--no-gpg-sign", "--no-scissors", "--no-3way", "--"]);
        check(am.args(patches)).context("the patches do not apply")?;
        self.git.commit("HEAD")
    }

    /// Checks out the files of HEAD that patches touch, and gives the paths of all that they touch.
    pub fn checkout(&self, patches: &[PathBuf]) -> Result<Vec<String>> {
        let mut numstat = self.git.command();
        numstat
            .args(["apply", "--numstat", "-z", "--"])
            .args(patches);
        let touched = touched(&stdout(&mut numstat)?);
        let sparse: String = touched
            .iter()
            .map(|path| format!("/{}\n", glob::Pattern::escape(path)))
            .collect();
        let info = self.git.folder.join(".git/info");
        std::fs::create_dir_all(&info)?;
        std::fs::write(info.join("sparse-checkout"), sparse)?;
        self.git.run(&["config", "core.sparseCheckout", "true"])?;
        self.git
            .run(&["config", "core.sparseCheckoutCone", "false"])?;
        self.git.run(&["read-tree", "-m", "-u", "HEAD"])?;
        Ok(touched)
    }
}

/// The paths in the output of `git apply --numstat -z`.
fn touched(numstat: &str) -> Vec<String> {
    let entries = numstat
        .split('\0')
        .filter_map(|entry| entry.splitn(3, '\t').nth(2));
    let mut paths: Vec<String> = entries.map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A repository with one commit of `files`.
    pub fn repository(folder: &Path, files: &[(&str, &str)]) -> (Git, String) {
        std::fs::create_dir_all(folder).unwrap();
        let git = Git::at(folder);
        git.run(&["init", "--quiet", "--template=", "--initial-branch=main"])
            .unwrap();
        for (path, content) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        git.run(&["add", "--all"]).unwrap();
        git.run(&["commit", "--quiet", "--message=base"]).unwrap();
        let commit = git.commit("HEAD").unwrap();
        (git, commit)
    }

    #[test]
    fn commits_are_the_same_everywhere() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (_, one) = repository(a.path(), &[("f", "x\n")]);
        let (_, two) = repository(b.path(), &[("f", "x\n")]);
        assert_eq!(one, two);
    }

    #[test]
    fn am_gives_a_commit_and_leaves_the_base_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (git, base) = repository(
            &folder.path().join("r"),
            &[("d/f", "x\n"), ("other", "o\n")],
        );
        let patch = folder.path().join("0001-p.patch");
        std::fs::write(&patch, PATCH).unwrap();
        let scratch = Scratch::new(&git, folder.path(), Keep::Objects, &base).unwrap();
        let commit = scratch.am(&[patch]).unwrap();
        assert!(!scratch.git.folder().join("other").exists());
        drop(scratch);
        assert_eq!(git.file(&commit, "d/f").unwrap().unwrap(), "y\n");
        assert_eq!(git.file(&commit, "d/new").unwrap().unwrap(), "n\n");
        assert_eq!(git.file(&commit, "other").unwrap().unwrap(), "o\n");
        assert_eq!(git.file(&commit, "none").unwrap(), None);
        assert_eq!(git.commit("HEAD").unwrap(), base);
        assert_eq!(git.read(&["status", "--porcelain"]).unwrap(), "");
    }

    #[test]
    fn a_patch_that_does_not_apply_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (git, base) = repository(&folder.path().join("r"), &[("d/f", "z\n")]);
        let patch = folder.path().join("0001-p.patch");
        std::fs::write(&patch, PATCH).unwrap();
        let scratch = Scratch::new(&git, folder.path(), Keep::Nothing, &base).unwrap();
        let error = format!("{:#}", scratch.am(&[patch]).unwrap_err());
        assert!(
            error.contains("do not apply") && error.contains("d/f"),
            "{error}"
        );
    }

    /// The commit as what the series is made on.
    pub fn base_of(git: Git, commit: String) -> crate::tree::Base {
        crate::tree::Base {
            git,
            commit,
            about: String::new(),
            name: String::new(),
            pinned: true,
            distribution: true,
            mainline: false,
        }
    }

    pub const PATCH: &str = "\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: A <a@b>
Date: Thu, 1 Jan 2026 00:00:00 +0000
Subject: [PATCH 1/1] p

text
---

diff --git a/d/f b/d/f
--- a/d/f
+++ b/d/f
@@ -1 +1 @@
-x
+y
diff --git a/d/new b/d/new
new file mode 100644
--- /dev/null
+++ b/d/new
@@ -0,0 +1 @@
+n
";
}
