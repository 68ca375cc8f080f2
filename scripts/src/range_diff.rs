//! `cargo xtask range-diff`: what changed between two versions of the series.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::context::Context;
use crate::git::{Git, Keep, Scratch};
use crate::progress::Step;
use crate::tree::{self, Base};

/// Shows what changed between two versions of the series, patch by patch.
///
/// The patches/ of both are applied to the same Linux in a repository for a while, and git
/// range-diff compares them: first a line for each patch, then the changes of changes and messages.
#[derive(clap::Args)]
pub struct Args {
    /// A git revision of this repository, such as HEAD~5
    old: String,

    /// Another one; else patches/ as they are now
    new: Option<String>,

    /// Only a line for each patch
    #[arg(long, short = 's')]
    no_patch: bool,
}

const PATCHES: &str = "patches";

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let _lock = ctx.lock()?;
    let base = tree::base(ctx)?;
    let step = Step::start("Applying both versions");
    let folder = tempfile::tempdir()?;
    let repo = Git::at(&ctx.repo);
    let old = patches_of(&repo, &args.old, &folder.path().join("old"))?;
    let new = match &args.new {
        Some(new) => patches_of(&repo, new, &folder.path().join("new"))?,
        None => tree::patches(&ctx.repo.join(PATCHES))?,
    };
    let versions = Versions::new(&base, &ctx.cache, &old, &new)?;
    step.done_with(&format!("{} and {} patches", old.len(), new.len()));
    let mut options = vec![match std::io::stdout().is_terminal() {
        true => "--color=always",
        false => "--no-color",
    }];
    options.extend(args.no_patch.then_some("--no-patch"));
    println!("{}", versions.diff(&options)?);
    let marks = versions.diff(&["--no-color", "--no-patch"])?;
    println!("\n{}", summary(&marks));
    Ok(())
}

/// How many patches have which mark in the lines of git range-diff.
fn summary(lines: &str) -> String {
    let count = |mark: &str| {
        let marks = lines
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2));
        marks.filter(|found| *found == mark).count()
    };
    format!(
        "{} the same, {} changed, {} gone, {} new",
        count("="),
        count("!"),
        count("<"),
        count(">")
    )
}

/// Writes the patches of a revision to `folder`.
fn patches_of(repo: &Git, revision: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let commit = repo.commit(revision)?;
    let names = repo.read(&["ls-tree", "--name-only", &commit, "patches/"])?;
    ensure!(!names.is_empty(), "{revision} has no {PATCHES}/");
    fs::create_dir_all(folder)?;
    for path in names.lines().filter(|name| name.ends_with(".patch")) {
        let blob = format!("{commit}:{path}");
        let text = crate::command::output(repo.command().args(["cat-file", "blob", &blob]))?;
        let name = Path::new(path).file_name().context("a patch has a name")?;
        fs::write(folder.join(name), text.stdout)?;
    }
    tree::patches(folder)
}

/// Two versions of the series on one base.
struct Versions {
    scratch: Scratch,
    base: String,
    old: String,
    new: String,
    /// Holds the objects of the old version.
    _old: Scratch,
}

impl Versions {
    fn new(base: &Base, cache: &Path, old: &[PathBuf], new: &[PathBuf]) -> Result<Versions> {
        ensure!(
            !old.is_empty() && !new.is_empty(),
            "a version has no patches"
        );
        let scratch = || Scratch::new(&base.git, cache, Keep::Nothing, &base.commit);
        let former = scratch()?;
        let old = former.am(old).context("the old version")?;
        let scratch = scratch()?.beside(&former.git)?;
        let new = scratch.am(new).context("the new version")?;
        Ok(Versions {
            scratch,
            base: base.commit.clone(),
            old,
            new,
            _old: former,
        })
    }

    fn diff(&self, options: &[&str]) -> Result<String> {
        let (old, new) = (
            format!("{}..{}", self.base, self.old),
            format!("{}..{}", self.base, self.new),
        );
        let git = &self.scratch.git;
        git.read(&[&["range-diff"], options, &[&old, &new]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::{PATCH, base_of, repository};

    #[test]
    fn versions_are_compared_patch_by_patch() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (linux, commit) = repository(&path("linux"), &[("d/f", "x\n")]);
        let (repo, _) = repository(&path("repo"), &[("patches/0001-p.patch", PATCH)]);
        let changed = PATCH.replace("+n\n", "+m\n").replace("text\n", "why\n");
        let patch = path("repo").join("patches/0001-p.patch");
        fs::write(&patch, changed).unwrap();
        fs::write(path("repo").join("patches/0000-cover-letter.patch"), "c\n").unwrap();
        repo.run(&["add", "--all"]).unwrap();
        repo.run(&["commit", "--quiet", "--message=second"])
            .unwrap();

        let old = patches_of(&repo, "HEAD~1", &path("old")).unwrap();
        let new = patches_of(&repo, "HEAD", &path("new")).unwrap();
        assert_eq!((old.len(), new.len()), (1, 1));
        let base = base_of(linux.clone(), commit);
        let diff = |old: &[PathBuf], new: &[PathBuf], options: &[&str]| {
            let versions = Versions::new(&base, folder.path(), old, new).unwrap();
            versions.diff(options).unwrap()
        };
        let text = diff(&old, &new, &["--no-color"]);
        assert!(text.contains("    -    text\n    +    why\n"), "{text}");
        assert!(text.contains("    -+n\n    ++m"), "{text}");
        let text = diff(&old, &old, &["--no-color"]);
        assert_eq!(summary(&text), "1 the same, 0 changed, 0 gone, 0 new");
        let text = diff(&old, &new, &["--no-color", "--no-patch"]);
        assert_eq!(summary(&text), "0 the same, 1 changed, 0 gone, 0 new");
        assert_eq!(linux.read(&["count-objects"]).unwrap().lines().count(), 1);

        let lines = "1:  a ! 2:  b p: = <\n-:  - > 1:  c q\n2:  d < -:  - r\n";
        assert_eq!(summary(lines), "0 the same, 1 changed, 1 gone, 1 new");

        let error = patches_of(&linux, "HEAD", &path("none")).unwrap_err();
        assert_eq!(error.to_string(), "HEAD has no patches/");
        assert!(patches_of(&repo, "nothing", &path("none")).is_err());
    }
}
