//! `cargo xtask programs`: servers and tests that people have, on epoll and on kevent.

mod guest;
mod results;
mod suites;
mod table;
mod userland;

use std::fs;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::arch::Arch;
use crate::cache::write_atomic;
use crate::context::Context;
use crate::crates;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::progress::seconds;
use crate::run;
use crate::tables::fill;
use guest::Part;
use results::{Line, Results};
use suites::{Differences, Suites};
use userland::Userland;

/// Runs servers and tests that people have on epoll, and on kevent by the library that is preloaded.
///
/// A userland is made of the packages that apt has for this machine: nginx, haproxy, redis, Python with
/// its tests, Node and wrk; a server on hyper and tokio is built here, on mio as it is and with the
/// selector of `cargo xtask mio`. In one boot with two processors each server runs on epoll and on
/// kevent, is asked for numbers, and must answer with them, is driven by wrk or its own benchmark, and has its
/// system calls counted. In a boot that counts instructions those of each server are counted. In a third
/// one, the tests of Python that have to do with events run on both. It fails when an answer is wrong or
/// lacks, when a server on kevent has an epoll or no queue, and when a test fails on kevent only that is
/// not in scripts/programs/differences.toml. What lacks is made first: packages, tools, tree, kernel.
#[derive(clap::Args)]
pub struct Args {
    /// Only one boot
    #[arg(long, value_enum)]
    part: Option<Part>,

    /// Only servers or modules with this in their names; more such parts after commas
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,

    /// Writes what came to bench/results/ and Documentation/programs.md
    #[arg(long)]
    update: bool,

    /// Makes the tables of the document from bench/results/, and nothing else
    #[arg(long, conflicts_with_all = ["part", "only", "update"])]
    draw: bool,
}

const DOCUMENT: &str = "Documentation/programs.md";

/// Packages whose versions are told.
const TOLD: [&str; 6] = [
    "nginx",
    "haproxy",
    "redis-server",
    "python3",
    "nodejs",
    "wrk",
];
/// The same of packages of cargo's registry, and whose lock has them.
const LOCKED: [&str; 3] = ["hyper", "tokio", "mio"];
const LOCK: &str = "userspace/programs";

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if args.draw {
        return draw(ctx, &Results::read(&ctx.repo)?);
    }
    if ctx.arch != Arch::X86_64 {
        bail!("the userland is that of this machine, x86_64");
    }
    let kernel = run::kernel(ctx, Flavour::Ordinary, Accel::Tcg)?;
    let userland = {
        let _lock = ctx.lock()?;
        Userland::ensure(ctx)?
    };
    let (mut new, mut wrong) = (versions(ctx, &userland)?, Vec::new());
    let parts = Part::value_variants().iter().copied();
    for part in parts.filter(|part| args.part.is_none_or(|only| only == *part)) {
        let begin = std::time::Instant::now();
        let mut suites = Suites::default();
        let good = guest::run(ctx, &kernel, &userland, part, &args.only, |line| {
            println!("{line}");
            suites.line(line)?;
            new.extend(Line::parse(line));
            if line.starts_with("WRONG ") {
                wrong.push(line.to_owned());
            }
            Ok(())
        })?;
        if part == Part::Suites {
            new.extend(suites.sums());
            wrong.extend(suites.complaints(&Differences::read(&ctx.repo)?));
            suites
                .unsteady()
                .iter()
                .for_each(|test| println!("not the same each time: {test}"));
        }
        if !good && wrong.is_empty() {
            wrong.push(format!("the boot {part:?} failed"));
        }
        println!("{part:?} [{}]", seconds(begin.elapsed()));
    }
    let mut results = Results::read(&ctx.repo)?;
    results.renew(new);
    println!(
        "{}\n{}",
        table::programs(&results)?,
        table::suites(&results)?
    );
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    if args.update {
        results.write(&ctx.repo)?;
        draw(ctx, &results)?;
    }
    Ok(())
}

fn versions(ctx: &Context, userland: &Userland) -> Result<Vec<Line>> {
    let line = |package: &str, version: &str| {
        Line::parse(&format!("VERSION package={package} version={version}"))
    };
    let told = TOLD
        .iter()
        .filter_map(|package| line(package, &userland.version(package)?));
    let mut versions: Vec<Line> = told.collect();
    for package in LOCKED {
        let version = crates::locked_version(&ctx.repo, LOCK, package)?;
        versions.extend(line(package, &version));
    }
    Ok(versions)
}

/// Writes the tables of the document.
fn draw(ctx: &Context, results: &Results) -> Result<()> {
    let path = ctx.repo.join(DOCUMENT);
    let old =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    write_atomic(&path, drawn(&old, results, &Differences::read(&ctx.repo)?)?)
}

fn drawn(old: &str, results: &Results, differences: &Differences) -> Result<String> {
    let text = fill(old, "versions", &table::versions(results)?)?;
    let text = fill(&text, "programs", &table::programs(results)?)?;
    let text = fill(&text, "suites", &table::suites(results)?)?;
    fill(&text, "differences", &differences.list())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_document_has_the_tables_of_the_results() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = fs::read_to_string(repo.join(DOCUMENT)).unwrap();
        let (results, differences) = (
            Results::read(repo).unwrap(),
            Differences::read(repo).unwrap(),
        );
        assert!(drawn(&text, &results, &differences).unwrap() == text);
    }
}
