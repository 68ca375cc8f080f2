//! `cargo xtask series`: makes patches/ from the sources, and checks them.

mod compose;
pub mod counts;
mod mail;
pub mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache::write_atomic;
use crate::context::Context;
use crate::git::{Git, Keep, Scratch};
use crate::manifest::{Manifest, SERIES};
use crate::progress::Step;
use crate::tables;
use crate::tree::{self, Base};
use texts::Texts;

/// Makes patches/ from the sources, byte for byte the same wherever it is made.
///
/// scripts/series/manifest.toml says which patch brings which file, linux/edits/ what changes
/// in existing files of Linux.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail when patches/ are not what the sources give, or when `git am` of
    /// them gives other files than the sources
    #[arg(long, conflicts_with_all = ["output", "signoff"])]
    check: bool,

    /// Write to this folder instead of patches/
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// For the person who sends the series: make "Name <address>" its author and sign it off
    #[arg(long, value_name = "NAME", requires = "output")]
    signoff: Option<String>,
}

/// The cover letter's file.
pub const COVER: &str = "0000-cover-letter.patch";

/// What the cover letter is made from, beside the manifest.
const TEXT: &str = "cover.txt";

/// The files of the series by name.
type Patches = BTreeMap<String, Vec<u8>>;

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if args.check {
        return check(ctx);
    }
    let _lock = ctx.lock()?;
    tables::update(&ctx.repo)?;
    let base = tree::base(ctx)?;
    let folder = match args.output {
        Some(folder) => folder,
        None if base.pinned => ctx.repo.join("patches"),
        None => bail!(
            "patches/ are made on the pinned base, not on {}: use --output",
            base.name
        ),
    };
    let step = Step::start("Making the series");
    let made = make(&ctx.repo, &ctx.cache, &base, args.signoff.as_deref())?;
    let changed = write(&folder, &made.patches)?;
    step.done_with(&format!(
        "{} patches, {changed} files changed",
        made.patches.len() - 1
    ));
    Ok(())
}

/// Makes the series of this sender in `folder`.
pub fn write_signed(ctx: &Context, base: &Base, sender: &str, folder: &Path) -> Result<()> {
    let made = make(&ctx.repo, &ctx.cache, base, Some(sender))?;
    write(folder, &made.patches).map(drop)
}

/// Fails when patches/ are not what the sources give.
pub fn check(ctx: &Context) -> Result<()> {
    let _lock = ctx.lock()?;
    tables::check(&ctx.repo)?;
    let base = tree::base(ctx)?;
    let step = Step::start("Checking the series");
    if !base.pinned {
        step.line(&format!(
            "on {}, which is not the pinned base: line numbers and hashes are not compared",
            base.name
        ));
    }
    let made = make(&ctx.repo, &ctx.cache, &base, None)?;
    compare(&made, &ctx.repo.join("patches"), &ctx.cache, &base)?;
    step.done_with(&format!(
        "{} patches are what the sources give",
        made.patches.len() - 1
    ));
    Ok(())
}

/// The series as the sources give it.
struct Made {
    patches: Patches,
    /// The tree of the last commit.
    tree: String,
}

fn make(repo: &Path, cache: &Path, base: &Base, signoff: Option<&str>) -> Result<Made> {
    let scratch = Scratch::new(&base.git, cache, Keep::Nothing, &base.commit)?;
    let git = &scratch.git;
    let manifest = Manifest::read(&repo.join(SERIES))?;
    let counts = counts::counts(repo, &manifest)?;
    let series = compose::compose(repo, git, &base.commit, &manifest, &counts, signoff)?;
    let commits = compose::import(git, &base.commit, &series)?;
    let tip = commits.last().context("the manifest has no patch")?;
    if base.pinned {
        counts::compare(git, &base.commit, &commits, &counts)?;
    }
    let mut patches = mail::format(git, &base.commit, tip)?;
    let text = Texts::new(repo.join(SERIES), &counts).read(TEXT)?;
    let parts = series.iter().map(|commit| commit.part.clone());
    let parts: Vec<_> = parts.collect();
    let cover = mail::cover(git, base, &commits, &parts, &text)?;
    patches.insert(COVER.to_owned(), cover.into_bytes());
    let tree = git.read(&["rev-parse", &format!("{tip}^{{tree}}")])?;
    Ok(Made { patches, tree })
}

/// Compares the files in `folder` with the series, and what `git am` makes of them.
fn compare(made: &Made, folder: &Path, cache: &Path, base: &Base) -> Result<()> {
    let there = read(folder)?;
    let view = |text: &Vec<u8>| match base.pinned {
        true => text.clone(),
        false => mail::without_base(&String::from_utf8_lossy(text)).into_bytes(),
    };
    let mut wrong = Vec::new();
    for (name, text) in &made.patches {
        match there.get(name) {
            None => wrong.push(format!("{name} is missing")),
            Some(other) if view(other) != view(text) => {
                let line = first_difference(&view(other), &view(text));
                wrong.push(format!("{name} differs from what the sources give: {line}"));
            }
            Some(_) => {}
        }
    }
    for name in there
        .keys()
        .filter(|name| !made.patches.contains_key(*name))
    {
        wrong.push(format!("{name} is no part of the series"));
    }
    if !wrong.is_empty() {
        bail!(
            "patches/ are not up to date; `cargo xtask series` makes them:\n  {}",
            wrong.join("\n  ")
        );
    }
    let scratch = Scratch::new(&base.git, cache, Keep::Nothing, &base.commit)?;
    let commit = scratch.am(&tree::patches(folder)?)?;
    same_files(&scratch.git, &commit, made)
}

/// Fails unless the commit has the files that the sources give.
fn same_files(git: &Git, commit: &str, made: &Made) -> Result<()> {
    let tree = git.read(&["rev-parse", &format!("{commit}^{{tree}}")])?;
    ensure!(
        tree == made.tree,
        "`git am` of patches/ gives other files than the sources (tree {tree}, not {})",
        made.tree
    );
    Ok(())
}

fn first_difference(there: &[u8], made: &[u8]) -> String {
    let (there, made) = (
        String::from_utf8_lossy(there),
        String::from_utf8_lossy(made),
    );
    let mut lines = there.lines().zip(made.lines()).enumerate();
    match lines.find(|(_, (a, b))| a != b) {
        Some((at, (a, b))) => format!("line {}: `{a}`, not `{b}`", at + 1),
        None => "one ends earlier".to_owned(),
    }
}

fn read(folder: &Path) -> Result<Patches> {
    let mut found = Patches::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".patch") {
            found.insert(name, fs::read(&path)?);
        }
    }
    Ok(found)
}

/// Makes the patches in `folder` these, and says how many files changed.
fn write(folder: &Path, patches: &Patches) -> Result<usize> {
    let there = read(folder)?;
    let mut changed = 0;
    for (name, text) in patches {
        if there.get(name) != Some(text) {
            write_atomic(&folder.join(name), text)?;
            changed += 1;
        }
    }
    for name in there.keys().filter(|name| !patches.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
        changed += 1;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests;
