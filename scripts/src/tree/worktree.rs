//! Linux from a git tree of the user's, on a worktree of our own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Base;
use crate::cache::name_for;
use crate::git::Git;

/// The user's HEAD.
pub fn base(folder: &Path) -> Result<Base> {
    let git = Git::at(folder);
    let name = folder.display();
    let commit = git
        .commit("HEAD")
        .with_context(|| format!("{name} is no git tree of Linux"))?;
    let makefile = git.file(&commit, "Makefile")?.unwrap_or_default();
    let release = release(&makefile).with_context(|| format!("{name} is no tree of Linux"))?;
    if !format!("{release}.").starts_with("7.3.") {
        eprintln!("WARNING: {name} is Linux {release}; the series is made for 7.3");
    }
    let short = &commit[..12];
    let mainline = is_mainline(&git, &commit)?;
    Ok(Base {
        git,
        about: format!("base: Linux {release}, HEAD {short} of {name}"),
        name: format!("Linux {release}, commit {commit}, not a release of mainline"),
        commit,
        pinned: false,
        distribution: false,
        mainline,
    })
}

/// Whether the commit is a release of mainline: it has a tag that Linus Torvalds made.
fn is_mainline(git: &Git, commit: &str) -> Result<bool> {
    let tags = git.read(&[
        "for-each-ref",
        "--points-at",
        commit,
        "--format=%(taggeremail)",
        "refs/tags/v*",
    ])?;
    Ok(tags.lines().any(|tagger| tagger.starts_with("<torvalds@")))
}

/// Where the worktree of the user's tree `folder` is.
pub fn folder(cache: &Path, folder: &Path) -> Result<PathBuf> {
    Ok(cache.join(name_for("worktree", folder)?))
}

/// Makes `path` a detached worktree of `user` at `commit`.
/// The user's repository gets the worktree's entry and new objects, nothing else.
pub fn checkout(user: &Git, path: &Path, commit: &str) -> Result<()> {
    let git = Git::at(path);
    let is_ours = path.join(".git").is_file()
        && git.commit("HEAD").is_ok()
        && super::remove_locks(&git).is_ok();
    if is_ours
        && git
            .run(&["checkout", "--quiet", "--force", "--detach", commit])
            .is_ok()
    {
        return Ok(());
    }
    let name = path.to_str().context("the cache's name is no UTF-8")?;
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    // Twice: also where an interrupted one is registered, and locked until it is complete.
    user.run(&[
        "worktree", "add", "--quiet", "--force", "--force", "--detach", name, commit,
    ])
}

/// "7.3.4" of a kernel's Makefile.
pub fn release(makefile: &str) -> Result<String> {
    let field = |name: &str| {
        let mut fields = makefile.lines().filter_map(|line| line.split_once(" ="));
        fields
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
    };
    match (
        field("VERSION"),
        field("PATCHLEVEL"),
        field("SUBLEVEL"),
        field("EXTRAVERSION"),
    ) {
        (Some(version), Some(patch), Some(sub), extra) => Ok(format!(
            "{version}.{patch}.{sub}{}",
            extra.unwrap_or_default()
        )),
        _ => bail!("its Makefile names no version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::{PATCH, repository};

    const MAKEFILE: &str = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\nEXTRAVERSION =\n";

    /// All of a user's repository that must not change.
    fn state(git: &Git) -> Vec<String> {
        let mut state: Vec<String> = [
            &["status", "--porcelain=v2", "--branch"][..],
            &["for-each-ref"],
            &["stash", "list"],
            &["reflog", "HEAD"],
            &["reflog", "mine"],
            &["ls-files", "--stage", "--debug"],
            &["config", "--local", "--list"],
            &["diff"],
            &["diff", "--cached"],
        ]
        .iter()
        .map(|args| git.read(args).unwrap())
        .collect();
        let git_folder = git.folder().join(".git");
        for name in ["HEAD", "config"] {
            state.push(fs::read_to_string(git_folder.join(name)).unwrap());
        }
        state.push(crate::cache::sha256(&git_folder.join("index")).unwrap());
        for name in ["d/f", "untracked", "Makefile"] {
            let path = git.folder().join(name);
            state.push(fs::read_to_string(&path).unwrap());
            state.push(format!(
                "{:?}",
                fs::metadata(&path).unwrap().modified().unwrap()
            ));
        }
        state
    }

    #[test]
    fn a_users_tree_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("linux");
        let (git, _) = repository(
            &user,
            &[("Makefile", MAKEFILE), ("d/f", "x\n"), ("g", "1\n")],
        );
        git.run(&["branch", "kevent"]).unwrap();
        git.run(&["checkout", "--quiet", "-b", "mine"]).unwrap();
        git.run(&["config", "user.name", "Somebody"]).unwrap();
        git.run(&["config", "diff.noprefix", "true"]).unwrap();
        fs::write(user.join("g"), "2\n").unwrap();
        git.run(&["add", "g"]).unwrap();
        fs::write(user.join("d/f"), "dirty\n").unwrap();
        fs::write(user.join("untracked"), "u\n").unwrap();
        let hook = user.join(".git/hooks/post-checkout");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let before = state(&git);

        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        let patch = folder.path().join("0001-p.patch");
        fs::write(&patch, PATCH).unwrap();
        let path = super::folder(&cache, &user).unwrap();
        let apply = || {
            let base = base(&user).unwrap();
            assert!(
                base.about.starts_with("base: Linux 7.3.0, HEAD "),
                "{}",
                base.about
            );
            let patches = std::slice::from_ref(&patch);
            super::super::apply(&cache, base, path.clone(), patches, false).unwrap()
        };
        let tree = apply();
        assert_eq!(fs::read_to_string(path.join("d/f")).unwrap(), "y\n");
        assert_eq!(fs::read_to_string(path.join("g")).unwrap(), "1\n");
        assert_eq!(state(&git), before);

        // Again: after damage in the worktree, and after it was removed.
        fs::write(path.join("d/f"), "damaged\n").unwrap();
        assert_eq!(apply().commit, tree.commit);
        assert_eq!(fs::read_to_string(path.join("d/f")).unwrap(), "y\n");
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(apply().commit, tree.commit);
        assert_eq!(fs::read_to_string(path.join("d/f")).unwrap(), "y\n");
        assert_eq!(state(&git), before);
    }

    #[test]
    fn mainline_is_what_its_maintainer_tagged() {
        let folder = tempfile::tempdir().unwrap();
        let (git, _) = repository(folder.path(), &[("Makefile", MAKEFILE)]);
        let is_mainline = || base(folder.path()).unwrap().mainline;
        assert!(!is_mainline());
        git.run(&["tag", "v7.3"]).unwrap();
        git.run(&["tag", "--annotate", "--message=m", "v7.3-mine"])
            .unwrap();
        assert!(!is_mainline());
        let mut tag = git.command();
        tag.env("GIT_COMMITTER_EMAIL", "torvalds@linux-foundation.org");
        crate::command::check(tag.args(["tag", "-f", "-a", "-m", "Linux 7.3", "v7.3"])).unwrap();
        assert!(is_mainline());
        git.run(&["commit", "--quiet", "--allow-empty", "--message=mine"])
            .unwrap();
        assert!(!is_mainline());
    }

    #[test]
    fn a_folder_that_is_no_linux_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        repository(folder.path(), &[("Makefile", "all:\n")]);
        assert!(format!("{:#}", base(folder.path()).unwrap_err()).contains("no tree of Linux"));
        assert!(base(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn releases_of_makefiles() {
        assert_eq!(release(MAKEFILE).unwrap(), "7.3.0");
        let rc = MAKEFILE.replace("EXTRAVERSION =", "EXTRAVERSION = -rc2");
        assert_eq!(release(&rc).unwrap(), "7.3.0-rc2");
    }
}
