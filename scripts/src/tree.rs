//! `cargo xtask tree`: Linux with the series applied.

mod own;
pub mod worktree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::base::{Pin, release};
use crate::cache::{sha256_of, stamped, write_atomic};
use crate::context::Context;
use crate::git::{Git, Keep, Scratch};
use crate::progress::Step;

/// Gets Linux 7.3, unpacks it as a git tree with one base commit and applies patches/.
///
/// The tree is in the cache, on the branch `kevent`. With --linux DIR it is a worktree of that
/// repository instead, detached, on its HEAD.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(ctx: &Context, _args: Args) -> Result<()> {
    let tree = ensure(ctx)?;
    let pin = Pin::read(&ctx.repo)?;
    let touched = touched(&tree)?;
    println!("{}", tree.base.about);
    print!("{}", changes(&pin, &tree.base, &touched));
    println!("tree: {}", tree.path.display());
    Ok(())
}

/// Linux before the series.
#[derive(Clone, Debug)]
pub struct Base {
    /// The repository that holds it.
    pub git: Git,
    pub commit: String,
    /// What it is, in one line.
    pub about: String,
    /// Its short name, such as "linux-source-7.3 7.3.4-1".
    pub name: String,
    /// Whether it is the version that the series is pinned to.
    pub pinned: bool,
    /// Whether it is the distribution's source.
    pub distribution: bool,
    /// Whether mainline has this commit, as a release.
    pub mainline: bool,
}

/// Linux with the series.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The folder with the kernel's files.
    pub path: PathBuf,
    pub commit: String,
    pub base: Base,
}

/// Sees to it that Linux is there; patches/ are not needed.
pub fn base(ctx: &Context) -> Result<Base> {
    let _lock = ctx.lock()?;
    match &ctx.linux {
        Some(folder) => worktree::base(folder),
        None => own::base(&ctx.cache, &Pin::read(&ctx.repo)?),
    }
}

/// Sees to it that Linux is there with patches/ applied, and says what it stands on.
pub fn ensure(ctx: &Context) -> Result<Tree> {
    let _lock = ctx.lock()?;
    let base = base(ctx)?;
    let patches = patches(&ctx.repo.join("patches"))?;
    let path = match &ctx.linux {
        Some(folder) => worktree::folder(&ctx.cache, folder)?,
        None => base.git.folder().to_owned(),
    };
    let tree = apply(&ctx.cache, base, path, &patches, ctx.linux.is_none())?;
    eprintln!("{}", tree.base.about);
    Ok(tree)
}

/// Makes `path` a checkout of `base` with `patches`. Only files that differ are written.
fn apply(cache: &Path, base: Base, path: PathBuf, patches: &[PathBuf], own: bool) -> Result<Tree> {
    let mut wanted = format!("{}\n", base.commit);
    for patch in patches {
        let text = fs::read(patch).with_context(|| format!("cannot read {}", patch.display()))?;
        wanted.push_str(&sha256_of(text));
    }
    let wanted = sha256_of(wanted);
    let name = path
        .file_name()
        .context("a tree has a name")?
        .to_string_lossy();
    let stamp = cache.join(format!("{name}.applied"));
    let git = Git::at(&path);
    let done = |commit: &str| stamped(&stamp, &format!("{wanted} {commit}\n"));
    if let Ok(commit) = git.commit("HEAD") {
        if done(&commit) && is_clean(&git) {
            return Ok(Tree { path, commit, base });
        }
    }
    let step = Step::start(format!("Applying {} patches", patches.len()));
    let scratch = Scratch::new(&base.git, cache, Keep::Objects, &base.commit)?;
    let commit = scratch.am(patches)?;
    drop(scratch);
    if own {
        remove_locks(&git)?;
        git.run(&["checkout", "--quiet", "--force", "-B", "kevent", &commit])?;
    } else {
        worktree::checkout(&base.git, &path, &commit)?;
    }
    clean(&git)?;
    write_atomic(&stamp, format!("{wanted} {commit}\n"))?;
    step.done();
    Ok(Tree { path, commit, base })
}

/// Makes `path` a detached worktree of the base's repository at `commit`. Only files that
/// differ are written.
pub fn checkout(base: &Base, path: &Path, commit: &str) -> Result<()> {
    worktree::checkout(&base.git, path, commit)?;
    clean(&Git::at(path))
}

/// Removes what is not of the commit.
fn clean(git: &Git) -> Result<()> {
    git.run(&["clean", "--quiet", "-ffdx"])?;
    if !is_clean(git) {
        bail!(
            "{} differs from its commit after a checkout",
            git.folder().display()
        );
    }
    Ok(())
}

fn is_clean(git: &Git) -> bool {
    git.read(&["status", "--porcelain"])
        .is_ok_and(|status| status.is_empty())
}

/// An interrupted git leaves its lock behind; the cache's own lock tells that none runs now.
fn remove_locks(git: &Git) -> Result<()> {
    for name in ["index.lock", "HEAD.lock", "refs/heads/kevent.lock"] {
        let path = git
            .folder()
            .join(git.read(&["rev-parse", "--git-path", name])?);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The patches in `folder` in their order, without the cover letter.
pub fn patches(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder);
    let entries = entries.with_context(|| {
        format!(
            "cannot read {}; `cargo xtask series` makes it",
            folder.display()
        )
    })?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".patch") && !name.starts_with("0000-") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The existing files that the series changes.
fn touched(tree: &Tree) -> Result<Vec<String>> {
    let Base { git, commit, .. } = &tree.base;
    let range = [
        "diff-tree",
        "-r",
        "--name-only",
        "--diff-filter=M",
        commit,
        &tree.commit,
    ];
    Ok(git.read(&range)?.lines().map(str::to_owned).collect())
}

/// What is known of the distribution's changes in the files that the series changes.
fn changes(pin: &Pin, base: &Base, touched: &[String]) -> String {
    if !base.distribution {
        return String::new();
    }
    let mut text = format!("the series changes {} files of it\n", touched.len());
    for file in touched {
        let mut known = pin
            .distribution_changes
            .iter()
            .filter(|change| change.file == *file);
        let what = known
            .next()
            .map_or("no change known", |change| &change.what);
        text.push_str(&format!("  {file}: {what}\n"));
    }
    text.push_str(&format!("({})\n", pin.how.trim()));
    text
}

/// The line that says what a distribution's source is.
fn about_distribution(pin: &Pin, version: &str) -> String {
    format!(
        "base: {}'s source of Linux {} ({} {version}), not mainline",
        pin.distribution,
        release(version),
        pin.package
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::{PATCH, base_of, repository};

    fn pin() -> Pin {
        toml::from_str(
            r#"
            distribution = "Debian"
            package = "linux-source-7.3"
            version = "7.3.4-1"
            sha256 = ""
            how = "read"
            distribution_changes = [{ file = "a", what = "adds a line" }]
            "#,
        )
        .unwrap()
    }

    #[test]
    fn changes_are_listed_for_touched_files() {
        let mut base = base_of(Git::at("/"), String::new());
        let touched = ["a".to_owned(), "b".to_owned()];
        let text = changes(&pin(), &base, &touched);
        assert!(
            text.contains("  a: adds a line\n  b: no change known\n(read)"),
            "{text}"
        );
        base.distribution = false;
        assert_eq!(changes(&pin(), &base, &touched), "");
    }

    #[test]
    fn the_base_is_not_called_mainline() {
        assert_eq!(
            about_distribution(&pin(), "7.3.4-1~bpo13+1"),
            "base: Debian's source of Linux 7.3.4 (linux-source-7.3 7.3.4-1~bpo13+1), not mainline"
        );
    }

    #[test]
    fn applying_again_repairs_and_keeps_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        let (git, commit) = repository(&tree, &[("d/f", "x\n"), ("other", "o\n")]);
        let patch = folder.path().join("0001-p.patch");
        fs::write(&patch, PATCH).unwrap();
        let apply = |patches: &[PathBuf]| {
            let base = base_of(git.clone(), commit.clone());
            apply(folder.path(), base, tree.clone(), patches, true).unwrap()
        };
        let time = || {
            fs::metadata(tree.join("other"))
                .unwrap()
                .modified()
                .unwrap()
        };
        let before = time();
        let one = apply(std::slice::from_ref(&patch));
        assert_eq!(fs::read_to_string(tree.join("d/f")).unwrap(), "y\n");
        assert_eq!(git.read(&["branch", "--show-current"]).unwrap(), "kevent");

        // Damage of several kinds, and a git that was killed.
        fs::write(tree.join("d/f"), "damaged\n").unwrap();
        fs::remove_file(tree.join("d/new")).unwrap();
        fs::write(tree.join("stray"), "").unwrap();
        fs::write(tree.join(".git/index.lock"), "").unwrap();
        let two = apply(std::slice::from_ref(&patch));
        assert_eq!(one.commit, two.commit);
        assert_eq!(fs::read_to_string(tree.join("d/f")).unwrap(), "y\n");
        assert!(tree.join("d/new").exists() && !tree.join("stray").exists());

        let none = apply(&[]);
        assert_eq!(none.commit, commit);
        assert_eq!(fs::read_to_string(tree.join("d/f")).unwrap(), "x\n");
        assert!(!tree.join("d/new").exists());
        assert_eq!(time(), before);
    }

    #[test]
    fn the_cover_letter_is_no_patch() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "0002-b.patch",
            "0000-cover-letter.patch",
            "0001-a.patch",
            "notes",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = patches(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["0001-a.patch", "0002-b.patch"]);
        assert!(patches(&folder.path().join("none")).is_err());
    }
}
