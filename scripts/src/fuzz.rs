//! `cargo xtask fuzz`: programs of calls, chosen at random, that follow what they reach.

mod coverage;
mod crash;
mod guest;
mod lines;
mod page;
mod points;
mod references;
mod told;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use glob::Pattern;
use kevent_fuzz::corpus;
use kevent_fuzz::program::Program;
use kevent_fuzz::reproducer;

use crate::build;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::guest::selftests;
use crate::mutants;
use crate::progress::seconds;
use crate::run;
use coverage::Coverage;
use guest::{Fuzzer, Load};
use points::Points;
use told::Told;

/// Where programs are kept, if nowhere else.
const CORPUS: &str = "scripts/fuzz/corpus";

/// Runs programs of calls in the guest, follows what they reach in kevent, and keeps those that
/// reach more.
///
/// The kernel is that of --debug, with KCOV in the code of the series. What is kept is run first,
/// changed, and written back at the end, as few programs as reach all of it. A report of the
/// kernel, or a process that cannot be killed, ends the run; the programs that ran then are left
/// in C. At the end comes what of the series was reached: by tasks, as KCOV has it, and in any
/// context, as QEMU has it, which translates code when it is first run.
#[derive(clap::Args)]
pub struct Args {
    /// How long, in the guest; 0: only what is kept
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    minutes: u32,

    /// What the choices follow from, at random without it
    #[arg(long)]
    seed: Option<u64>,

    /// The folder with what is kept
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,

    /// How many programs run at once
    #[arg(long, default_value_t = 3)]
    lanes: u8,

    /// Writes the page with what was reached, from this run
    #[arg(long)]
    update: bool,

    /// Only writes the reasons of scripts/fuzz/unreached.toml into the page again
    #[arg(long, conflicts_with_all = ["seed", "corpus", "update", "mutant", "reproduce"])]
    explain: bool,

    /// Only runs the selftests on that kernel, and marks which lines of the page they reach
    #[arg(long, conflicts_with_all = ["seed", "corpus", "update", "mutant", "reproduce", "explain"])]
    selftests: bool,

    /// Of these, only the programs with this name; * and ? match
    #[arg(long, value_name = "NAME", requires = "selftests")]
    only: Option<Pattern>,

    /// Fuzzes a kernel that is broken as this file of scripts/mutants/ says; nothing is kept
    #[arg(long, value_name = "NAME", conflicts_with = "update")]
    mutant: Option<String>,

    /// Only prints a program in C
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "corpus", "update", "mutant"])]
    reproduce: Option<PathBuf>,

    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if let Some(path) = &args.reproduce {
        return print_c(path);
    }
    if args.explain {
        let page = ctx.repo.join(page::PAGE);
        println!(
            "{}",
            page::explain(&page, &page::Reasons::read(&ctx.repo)?)?
        );
        return Ok(());
    }
    if args.selftests {
        return mark_selftests(ctx, args.accel, args.only);
    }
    let folder = args.corpus.clone().unwrap_or_else(|| ctx.repo.join(CORPUS));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let kept = corpus::read(&folder);
    let kept = kept.with_context(|| format!("cannot read the corpus in {}", folder.display()))?;
    let built = match &args.mutant {
        None => build::ensure(ctx, Flavour::Fuzz, &build::Args::default())?,
        Some(name) => mutants::build(ctx, name, Flavour::Fuzz)?,
    };
    let (base, tree) = (built.tree.base.clone(), built.tree.path.clone());
    let vmlinux = built.folder.join("vmlinux");
    let kernel = run::booted(built, Flavour::Fuzz, args.accel);
    let points = Points::read(&vmlinux, &lines::of_the_series(&base, &tree)?)?;
    let fuzzer = Fuzzer::new(ctx, &kernel, &points)?;

    let seed = args.seed.unwrap_or_else(seed_of_now);
    println!(
        "seed {seed}, {} minutes, {} programs are kept; {} places in {} lines of the series",
        args.minutes,
        kept.len(),
        points.len(),
        points.lines().len()
    );
    let kept: Vec<Program> = kept.into_values().collect();
    let told = fuzzer.follow(&Load {
        programs: &kept,
        seconds: u64::from(args.minutes) * 60,
        seed,
        lanes: args.lanes.max(1).into(),
        times: 1,
    })?;
    if let Some(report) = &told.report {
        println!("after {}: {report}", seconds(told.time));
        let place = ctx.cache.join(format!("log/fuzz/{seed}"));
        crash::write(&fuzzer, &place, report, &told)?;
        bail!("the kernel reports: {report}; see {}", place.display());
    }
    println!("{}", told.summary());
    if args.mutant.is_some() {
        bail!("nothing was noticed");
    }
    // Without time for new ones, those that did not reach the same again would only get lost.
    if args.minutes > 0 {
        keep(&folder, &told)?;
    }

    let coverage = Coverage::of(&points, &told)?;
    println!("\n{}", coverage.table());
    let page = ctx.repo.join(page::PAGE);
    let reasons = page::Reasons::read(&ctx.repo)?;
    let never = page::Never::of(&coverage, &reasons, &tree)?;
    println!("{}", never.summary());
    if args.update {
        page::update(&page, &coverage, &never, &told, seed)?;
        println!("{}", page.display());
    } else {
        never.show_unexplained(&points);
    }
    Ok(())
}

/// Test programs that take long there.
const SLOW: [&str; 3] = ["hostile", "kill_anywhere", "stress"];

/// Runs the selftests, and marks what they reach.
fn mark_selftests(ctx: &Context, accel: Accel, only: Option<Pattern>) -> Result<()> {
    let built = build::ensure(ctx, Flavour::Fuzz, &build::Args::default())?;
    let (base, tree) = (built.tree.base.clone(), built.tree.path.clone());
    let vmlinux = built.folder.join("vmlinux");
    let kernel = run::booted(built, Flavour::Fuzz, accel);
    let points = Points::read(&vmlinux, &lines::of_the_series(&base, &tree)?)?;
    let log = tempfile::NamedTempFile::new()?;
    let ran = selftests::run(
        ctx,
        &kernel,
        &selftests::Choice {
            only,
            without: &SLOW,
            qemu: guest::watch(&points, log.path())?.into(),
            ..selftests::Choice::default()
        },
    )?;
    ensure!(
        ran.failures.is_empty(),
        "{}:\n{}",
        ran.tally,
        ran.failures.join("\n")
    );
    let reached = told::translated(BufReader::new(File::open(log.path())?))?;
    let page = ctx.repo.join(page::PAGE);
    let reasons = page::Reasons::read(&ctx.repo)?;
    let summary = page::mark(&page, &reasons, &points.lines_at(&reached), &tree)?;
    println!("{summary}");
    Ok(())
}

/// Leaves as few programs as together reach the places that all of them did. To reach each from
/// everywhere that any of them came from would take several times as many.
fn keep(folder: &Path, told: &Told) -> Result<()> {
    let kept = told.kept.iter();
    let sets: Vec<BTreeSet<u64>> = kept.map(|(_, edges)| places(edges)).collect();
    let few: Vec<Program> = corpus::cover(&sets)
        .into_iter()
        .map(|at| told.kept[at].0.clone())
        .collect();
    corpus::write(folder, &few)?;
    println!("{} programs are kept, in {}", few.len(), folder.display());
    Ok(())
}

/// Where edges lead to, which is in their lower half.
fn places(edges: &BTreeSet<u64>) -> BTreeSet<u64> {
    edges.iter().map(|edge| edge & 0xffff_ffff).collect()
}

fn print_c(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let program = Program::from_text(&text);
    let program = program.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    print!("{}", reproducer::c(&program, &format!("Made from {name}.")));
    Ok(())
}

fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()))
}
