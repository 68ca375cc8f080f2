//! `cargo xtask detectors`: all selftests on the kernels that find bugs, once for each state of the
//! sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::cache::{sha256, sha256_of, write_atomic};
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::guest::results::Tally;
use crate::guest::selftests::{self, Choice};
use crate::{run, stress};

/// Runs all selftests and the stress on the kernels that find bugs: debug, PREEMPT_RT, KCSAN.
///
/// These take most of an hour, so a kernel on which all passed with the same sources is not run
/// again: scripts/detectors.toml, which is written here and checked in, has a checksum of the
/// sources and what passed. `cargo xtask test --detectors`, which CI runs, does the same.
#[derive(clap::Args)]
pub struct Args {
    /// Only this kernel
    #[arg(long, value_enum, value_name = "KERNEL")]
    only: Option<Flavour>,

    /// Also where all passed with the same sources
    #[arg(long, conflicts_with = "check")]
    again: bool,

    /// Only say where all passed with the same sources; fails where they did not
    #[arg(long)]
    check: bool,

    /// How long the stress takes, in the guest
    #[arg(long, default_value_t = MINUTES)]
    minutes: u32,

    /// Multiplies the time limits in the guest, for a slow machine
    #[arg(long, value_name = "FACTOR", default_value_t = 1)]
    patience: u32,

    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,
}

/// The kernels, the fastest first.
pub const KERNELS: [Flavour; 3] = [Flavour::Rt, Flavour::Debug, Flavour::Kcsan];

const RECORD: &str = "scripts/detectors.toml";
const HEAD: &str = "\
# On which kernels all selftests and the stress passed, and the checksum of the sources that they
# passed with. Written by `cargo xtask detectors`.
";
const MINUTES: u32 = 3;

/// What the kernels and the tests on them are made of.
const COVERED: &[&str] = &[
    "rust-kevent/**/*",
    "linux/**/*",
    "selftests/**/*",
    "qemu/init.c",
    "qemu/kernel.config",
    "qemu/splats.txt",
    "qemu/x86_64.config",
    "scripts/series/base.toml",
];

/// What passed on one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passed {
    sources: String,
    tests: usize,
    /// Of stress.
    minutes: u32,
}

type Record = BTreeMap<String, Passed>;

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    ensure!(
        ctx.arch == Arch::X86_64,
        "only x86_64 has all these kernels"
    );
    let wanted = |kernel: &Flavour| args.only.is_none_or(|only| only == *kernel);
    let kernels: Vec<Flavour> = KERNELS.into_iter().filter(wanted).collect();
    ensure!(!kernels.is_empty(), "the ordinary kernel has no detectors");
    let (mut failed, mut stale) = (0, 0);
    for kernel in kernels {
        let name = kernel.title();
        match current(ctx, kernel)? {
            Some(passed) if !args.again => println!("{name}: {}", said(&passed)),
            _ if args.check => {
                println!("{name}: not with these sources");
                stale += 1;
            }
            _ => {
                println!("\n== {name}");
                let tally = attempt(ctx, kernel, args.minutes, args.patience, args.accel)?.0;
                println!("{name}: {tally}");
                failed += tally.failed;
            }
        }
    }
    ensure!(
        stale == 0,
        "{stale} kernels are to be run: cargo xtask detectors"
    );
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} tests failed"),
    }
}

/// Runs everything on one kernel, unless it passed there with these sources. Gives the counts, and
/// what failed and why.
pub fn ensure_passed(
    ctx: &Context,
    kernel: Flavour,
    patience: u32,
    accel: Accel,
) -> Result<(Tally, Vec<String>)> {
    match current(ctx, kernel)? {
        Some(passed) => {
            println!("{}", said(&passed));
            Ok((Tally::default(), Vec::new()))
        }
        None => attempt(ctx, kernel, MINUTES, patience, accel),
    }
}

fn said(passed: &Passed) -> String {
    let Passed { tests, minutes, .. } = passed;
    format!("{tests} tests and {minutes} minutes of stress passed with these sources")
}

fn attempt(
    ctx: &Context,
    flavour: Flavour,
    minutes: u32,
    patience: u32,
    accel: Accel,
) -> Result<(Tally, Vec<String>)> {
    let sources = fingerprint(&ctx.repo, flavour)?;
    let kernel = run::kernel(ctx, flavour, accel)?;
    let choice = Choice {
        patience,
        ..Choice::default()
    };
    let summary = selftests::run(ctx, &kernel, &choice)?;
    let (mut tally, mut failures) = (summary.tally, summary.failures);
    let words = vec![(u64::from(minutes) * 60).to_string()];
    match stress::account(ctx, &kernel, words) {
        Ok(()) => tally.passed += 1,
        Err(error) => {
            tally.failed += 1;
            failures.push(format!("stress: {error:#}"));
        }
    }
    let changed = fingerprint(&ctx.repo, flavour)? != sources;
    if tally.failed == 0 && tally.passed > 0 && !changed {
        remember(ctx, flavour, tally.passed, minutes)?;
    }
    Ok((tally, failures))
}

/// Records that `tests` passed on a kernel with the sources as they are.
pub fn remember(ctx: &Context, kernel: Flavour, tests: usize, minutes: u32) -> Result<()> {
    let mut record = read(&ctx.repo)?;
    let passed = Passed {
        sources: fingerprint(&ctx.repo, kernel)?,
        tests,
        minutes,
    };
    record.insert(kernel.title().to_owned(), passed);
    let text = HEAD.to_owned() + &toml::to_string(&record)?;
    write_atomic(&ctx.repo.join(RECORD), text)
}

/// Whether all passed on a kernel with the sources as they are.
pub fn has_passed(ctx: &Context, kernel: Flavour) -> Result<bool> {
    Ok(current(ctx, kernel)?.is_some())
}

/// What passed on a kernel, if it did with the sources as they are.
fn current(ctx: &Context, kernel: Flavour) -> Result<Option<Passed>> {
    let now = fingerprint(&ctx.repo, kernel)?;
    let passed = read(&ctx.repo)?.remove(kernel.title());
    Ok(passed.filter(|passed| passed.sources == now))
}

fn read(repo: &Path) -> Result<Record> {
    let path = repo.join(RECORD);
    if !path.exists() {
        return Ok(Record::new());
    }
    let text = fs::read_to_string(&path).context(RECORD)?;
    toml::from_str(&text).context(RECORD)
}

/// A checksum of what `kernel` and the tests on it are made of.
fn fingerprint(repo: &Path, kernel: Flavour) -> Result<String> {
    let fragment = kernel.name().map(|name| format!("qemu/{name}.config"));
    let mut files = Vec::new();
    for pattern in COVERED.iter().copied().chain(fragment.as_deref()) {
        let pattern = repo.join(pattern);
        for path in glob::glob(pattern.to_str().context("the path is no UTF-8")?)? {
            let path = path?;
            if path.is_file() {
                let name = path.strip_prefix(repo)?.display().to_string();
                files.push(format!("{} {name}\n", sha256(&path)?));
            }
        }
    }
    files.sort();
    Ok(sha256_of(files.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(files: &[(&str, &str)]) -> tempfile::TempDir {
        let repo = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = repo.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        repo
    }

    const FILES: &[(&str, &str)] = &[
        ("rust-kevent/kevent/ring.rs", "ring"),
        ("qemu/rt.config", "rt"),
        ("qemu/debug.config", "debug"),
        ("README.md", "read me"),
    ];

    fn of(files: &[(&str, &str)]) -> String {
        fingerprint(repo(files).path(), Flavour::Rt).unwrap()
    }

    #[test]
    fn the_same_sources_have_the_same_checksum() {
        assert_eq!(of(FILES), of(FILES));
    }

    #[test]
    fn a_kernel_is_stale_when_what_it_is_made_of_changed() {
        for (place, matters) in [(0, true), (1, true), (2, false), (3, false)] {
            let mut changed = FILES.to_vec();
            changed[place].1 = "changed";
            assert_eq!(of(&changed) != of(FILES), matters, "{}", FILES[place].0);
        }
        let mut more = FILES.to_vec();
        more.push(("selftests/more.c", ""));
        assert_ne!(of(&more), of(FILES));
    }

    #[test]
    fn the_record_can_be_read() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let record = read(&repo).unwrap();
        let known = |name: &String| KERNELS.iter().any(|kernel| kernel.title() == name);
        assert!(record.keys().all(known));
        assert!(record.values().all(|passed| passed.tests > 0));
    }
}
