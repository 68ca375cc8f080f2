//! `cargo xtask mutants`: whether the detectors would notice.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::{Table, presets};
use glob::Pattern;
use regex::Regex;
use serde::Deserialize;

use crate::build;
use crate::context::Context;
use crate::edits::Edit;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::guest::selftests::{self, Choice};
use crate::progress::seconds;
use crate::{run as boot, tree};

/// Breaks the kernel on purpose, one way at a time, and says which detector noticed.
///
/// Each file in scripts/mutants/ leaves out one lock, unlink, reference or wait. The kernel is built
/// with it, and its selftest runs until the kernel reports. A mutant that nobody notices, or not the
/// one who should, is a failure. The tree is put right again at the end.
#[derive(clap::Args)]
pub struct Args {
    /// Only the mutants with this name; * and ? match
    #[arg(long, value_name = "NAME")]
    only: Option<Pattern>,

    /// Only see whether the tree still has the places that they change
    #[arg(long, conflicts_with = "only")]
    check: bool,

    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,
}

const FOLDER: &str = "scripts/mutants";

/// One way to break the kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    /// What is left out, and what should come of it.
    about: String,
    kernel: Flavour,
    /// The test program that runs into it.
    selftest: String,
    /// What the report must match.
    noticed: String,
    /// The file of Linux that is changed.
    file: String,
    edit: Vec<Edit>,
    #[serde(skip)]
    name: String,
}

impl Mutant {
    /// Breaks the tree.
    fn apply(&self, tree: &Path) -> Result<()> {
        fs::write(tree.join(&self.file), self.broken(tree)?)?;
        Ok(())
    }

    /// The file, broken.
    fn broken(&self, tree: &Path) -> Result<String> {
        let path = tree.join(&self.file);
        let text = fs::read_to_string(&path);
        let mut text = text.with_context(|| format!("cannot read {}", path.display()))?;
        for edit in &self.edit {
            let edited = edit.apply(&self.file, &text);
            text = edited.with_context(|| format!("the mutant {} does not fit", self.name))?;
        }
        Ok(text)
    }
}

/// Fails when the tree has no place any more for one of the mutants. Gives how many there are.
pub fn check(ctx: &Context) -> Result<usize> {
    let tree = tree::ensure(ctx)?;
    let mutants = read(&ctx.repo.join(FOLDER))?;
    for mutant in &mutants {
        mutant.broken(&tree.path)?;
    }
    Ok(mutants.len())
}

/// All mutants, by name.
fn read(folder: &Path) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let mutant = toml::from_str(&text);
        let mut mutant: Mutant = mutant.with_context(|| format!("in {}", path.display()))?;
        Regex::new(&mutant.noticed).with_context(|| format!("in {}", path.display()))?;
        let name = path.file_stem().context("a file has a name")?;
        mutant.name = name.to_string_lossy().into();
        mutants.push(mutant);
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

/// Builds the kernel with the mutant of this name.
pub fn build(ctx: &Context, name: &str, flavour: Flavour) -> Result<build::Kernel> {
    let mutants = read(&ctx.repo.join(FOLDER))?;
    let mutant = mutants.iter().find(|mutant| mutant.name == name);
    let mutant = mutant.with_context(|| format!("no file {FOLDER}/{name}.toml"))?;
    let args = build::Args::default();
    build::ensure_changed(ctx, flavour, &args, |tree| mutant.apply(tree))
}

/// What became of a mutant.
struct Tried<'a> {
    mutant: &'a Mutant,
    /// The first line of the report.
    report: Option<String>,
    time: Duration,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if args.check {
        println!("{} mutants fit", check(ctx)?);
        return Ok(());
    }
    let mut mutants = read(&ctx.repo.join(FOLDER))?;
    if let Some(only) = &args.only {
        mutants.retain(|mutant| only.matches(&mutant.name));
    }
    ensure!(!mutants.is_empty(), "there is no mutant of that name");
    // Kernels of one kind after each other, so that little is built again.
    mutants.sort_by_key(|mutant| mutant.kernel.name());
    let tried: Result<Vec<Tried<'_>>> = mutants
        .iter()
        .map(|mutant| {
            println!("\n== {}: {}", mutant.name, mutant.about);
            let start = Instant::now();
            Ok(Tried {
                mutant,
                report: attempt(ctx, mutant, args.accel)?,
                time: start.elapsed(),
            })
        })
        .collect();
    tree::ensure(ctx)?;
    let tried = tried?;
    println!("\n{}", table(&tried));
    let missed = tried.iter().filter(|tried| tried.report.is_none()).count();
    println!("{} noticed, {missed} missed", tried.len() - missed);
    match missed {
        0 => Ok(()),
        _ => bail!("{missed} mutants were not noticed by who should"),
    }
}

/// Builds a mutant and runs its selftest. Gives the line by which it was noticed.
fn attempt(ctx: &Context, mutant: &Mutant, accel: Accel) -> Result<Option<String>> {
    let args = build::Args::default();
    let built = build::ensure_changed(ctx, mutant.kernel, &args, |tree| mutant.apply(tree))?;
    let kernel = boot::booted(built, mutant.kernel, accel);
    let choice = Choice {
        only: Some(Pattern::new(&mutant.selftest)?),
        patience: 1,
        until_report: true,
        ..Choice::default()
    };
    let failures = selftests::run(ctx, &kernel, &choice)?.failures;
    let noticed = Regex::new(&mutant.noticed)?;
    let mut lines = failures.iter().flat_map(|failure| failure.lines());
    let line = lines.find(|line| noticed.is_match(line));
    Ok(line.map(|line| line.trim().to_owned()))
}

fn table(tried: &[Tried<'_>]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["mutant", "kernel", "selftest", "noticed by", "time"]);
    for Tried {
        mutant,
        report,
        time,
    } in tried
    {
        table.add_row([
            &mutant.name,
            mutant.kernel.title(),
            &mutant.selftest,
            report.as_deref().unwrap_or("NOBODY"),
            &seconds(*time),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutants() -> Vec<Mutant> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants");
        read(&folder).unwrap()
    }

    #[test]
    fn every_mutant_can_be_read() {
        assert!(mutants().len() > 2);
    }

    #[test]
    fn every_mutant_has_its_selftest() {
        let selftests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../selftests");
        for Mutant { selftest, name, .. } in mutants() {
            assert!(selftests.join(selftest + ".c").is_file(), "{name}");
        }
    }

    #[test]
    fn nobody_is_named_where_nobody_noticed() {
        let mutants = mutants();
        let tried = |report| Tried {
            mutant: &mutants[0],
            report,
            time: Duration::ZERO,
        };
        let table = table(&[tried(None), tried(Some("BUG: KASAN: x".to_owned()))]);
        let text = table.to_string();
        assert!(text.contains("NOBODY") && text.contains("KASAN"));
    }
}
