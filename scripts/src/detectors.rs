//! `cargo xtask detectors`: all selftests on the kernels that find bugs, once for each state of the
//! sources.

mod record;

use anyhow::{Result, bail, ensure};

use crate::arch::Arch;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::guest::results::Tally;
use crate::guest::selftests::{self, Choice};
use crate::{run, stress};
use record::{PARTS, Part};

/// Runs all selftests and the stress on the kernels that find bugs: debug, PREEMPT_RT, KCSAN.
///
/// These take most of an hour, so a kernel on which all passed with the same sources is not run
/// again: scripts/detectors.toml, which is written here and checked in, has a checksum of the
/// sources and what passed, of the selftests and of the stress apart. `cargo xtask test --detectors`, which CI runs, does the same.
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

const MINUTES: u32 = 3;

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
        let parts = left(ctx, kernel, args.again)?;
        if args.check && !parts.is_empty() {
            println!("{name}: not with these sources: {parts:?}");
            stale += 1;
        } else if !parts.is_empty() {
            println!("\n== {name}");
            let how = How {
                minutes: args.minutes,
                patience: args.patience,
                accel: args.accel,
            };
            let tally = attempt(ctx, kernel, &parts, &how)?.0;
            println!("{name}: {tally}");
            failed += tally.failed;
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

/// Runs everything on one kernel that did not pass there with these sources. Gives the counts, and
/// what failed and why.
pub fn ensure_passed(
    ctx: &Context,
    kernel: Flavour,
    patience: u32,
    accel: Accel,
) -> Result<(Tally, Vec<String>)> {
    let parts = left(ctx, kernel, false)?;
    if parts.is_empty() {
        return Ok((Tally::default(), Vec::new()));
    }
    let how = How {
        minutes: MINUTES,
        patience,
        accel,
    };
    attempt(ctx, kernel, &parts, &how)
}

/// What is to be run on a kernel. Says what need not be.
fn left(ctx: &Context, kernel: Flavour, again: bool) -> Result<Vec<Part>> {
    let mut left = Vec::new();
    for part in PARTS {
        match record::current(&ctx.repo, kernel, part)? {
            Some(passed) if !again => {
                println!("{}: {passed} passed with these sources", kernel.title());
            }
            _ => left.push(part),
        }
    }
    Ok(left)
}

/// Whether all passed on a kernel with the sources as they are.
pub fn has_passed(ctx: &Context, kernel: Flavour) -> Result<bool> {
    let mut current = PARTS
        .iter()
        .map(|part| record::current(&ctx.repo, kernel, *part));
    current.try_fold(true, |all, passed| Ok(all && passed?.is_some()))
}

struct How {
    minutes: u32,
    patience: u32,
    accel: Accel,
}

fn attempt(
    ctx: &Context,
    flavour: Flavour,
    parts: &[Part],
    how: &How,
) -> Result<(Tally, Vec<String>)> {
    let kernel = run::kernel(ctx, flavour, how.accel)?;
    let (mut all, mut failures) = (Tally::default(), Vec::new());
    for part in parts {
        let sources = record::fingerprint(&ctx.repo, flavour, *part)?;
        let (tally, passed) = match part {
            Part::Selftests => {
                let choice = Choice {
                    patience: how.patience,
                    ..Choice::default()
                };
                let summary = selftests::run(ctx, &kernel, &choice)?;
                failures.extend(summary.failures);
                (summary.tally, format!("{} tests", summary.tally.passed))
            }
            Part::Stress => {
                let seconds = u64::from(how.minutes) * 60;
                let mut tally = Tally::default();
                match stress::account(ctx, &kernel, vec![seconds.to_string()]) {
                    Ok(()) => tally.passed = 1,
                    Err(error) => {
                        tally.failed = 1;
                        failures.push(format!("stress: {error:#}"));
                    }
                }
                (tally, format!("{} minutes of stress", how.minutes))
            }
        };
        let changed = record::fingerprint(&ctx.repo, flavour, *part)? != sources;
        if tally.failed == 0 && tally.passed > 0 && !changed {
            record::remember(&ctx.repo, flavour, *part, passed)?;
        }
        all += tally;
    }
    Ok((all, failures))
}

#[cfg(test)]
pub fn pretend(ctx: &Context, kernel: Flavour) {
    for part in PARTS {
        record::remember(&ctx.repo, kernel, part, "all".to_owned()).unwrap();
    }
}
