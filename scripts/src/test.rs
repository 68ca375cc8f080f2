//! `cargo xtask test`: every test of the project.

pub mod cargo;
mod failures;
mod pages;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use comfy_table::{Table, presets};

use crate::arch::Arch;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::guest::results::{Tally, shortened};
use crate::guest::selftests::{self, Choice, Kernel};
use crate::progress::seconds;
use crate::{
    abi, bench, build, check, detectors, mio, mutants, run, series, setup, stress, tree, userspace,
};

/// Runs every test of the project.
///
/// These are the tests on this machine, the selector of mio compiled, the model of the ring under
/// loom, the binary interface, the series, `cargo xtask check --short` on each of its patches, and the
/// selftests in QEMU: on x86_64, there as 32-bit programs too, and on arm64; and the instructions per
/// event against those that are checked in.
/// With --arch, they run on that architecture alone. A step that fails does not keep the others
/// from running. Ends with the time of each step against what two processors need, and the counts.
#[derive(clap::Args)]
pub struct Args {
    /// Multiplies the time limits in the guest, for a slow machine
    #[arg(long, value_name = "FACTOR", default_value_t = 1)]
    patience: u32,

    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,

    /// Also run all selftests on each kernel that finds bugs, where they did not pass with these
    /// sources yet, as far as an hour lets; what it does not is counted as skipped. See `cargo
    /// xtask detectors`
    #[arg(long)]
    detectors: bool,
}

/// One step of the test.
struct Step {
    name: &'static str,
    /// What it needs with an empty cache on two processors.
    budget: Duration,
    /// A step that must have passed.
    needs: Option<&'static str>,
    /// The architecture; without it, that of the command line.
    arch: Option<Arch>,
    /// The kernel on which it runs all, if it is one of `--detectors`: it is begun if its budget
    /// fits into the hour.
    detectors: Option<Flavour>,
    work: fn(&Context, &Args) -> Result<Ended>,
}

/// What a step found.
#[derive(Default)]
pub struct Ended {
    pub tally: Tally,
    /// What failed, and why.
    pub failures: Vec<String>,
}

impl Ended {
    /// One that was left out, and why.
    pub fn skipped(reason: &str) -> Ended {
        println!("SKIP: {reason}");
        skipped(1)
    }
}

impl From<Tally> for Ended {
    fn from(tally: Tally) -> Ended {
        Ended {
            tally,
            failures: Vec::new(),
        }
    }
}

const fn step(
    name: &'static str,
    budget: u64,
    needs: Option<&'static str>,
    work: fn(&Context, &Args) -> Result<Ended>,
) -> Step {
    Step {
        name,
        budget: Duration::from_secs(budget),
        needs,
        arch: None,
        detectors: None,
        work,
    }
}

impl Step {
    const fn on(mut self, arch: Arch) -> Step {
        self.arch = Some(arch);
        self
    }

    /// All selftests on a kernel that finds bugs.
    const fn all_on(
        kernel: Flavour,
        name: &'static str,
        budget: u64,
        needs: &'static str,
        work: fn(&Context, &Args) -> Result<Ended>,
    ) -> Step {
        let mut step = step(name, budget, Some(needs), work).on(Arch::X86_64);
        step.detectors = Some(kernel);
        step
    }

    /// Whether it is left out, `spent` being what the others took.
    fn has_no_time(&self, ctx: &Context, spent: Duration) -> Result<bool> {
        let Some(kernel) = self.detectors else {
            return Ok(false);
        };
        Ok(spent + self.budget > HOUR && !detectors::has_passed(ctx, kernel)?)
    }
}

fn check_abi(ctx: &Context, _: &Args) -> Result<Ended> {
    abi::check(ctx).map(|_| passed(1))
}

/// Whether the selector still applies to mio, and compiles.
fn check_mio(ctx: &Context, _: &Args) -> Result<Ended> {
    let checked = mio::check(ctx)?;
    Ok(checked.map_or_else(|lacks| Ended::skipped(&lacks), passed))
}

fn build_linux(ctx: &Context, _: &Args) -> Result<Ended> {
    build::ensure(ctx, Flavour::Ordinary, &build::Args::default()).map(|_| Ended::default())
}

fn run_selftests(ctx: &Context, args: &Args) -> Result<Ended> {
    let kernel = run::kernel(ctx, Flavour::Ordinary, args.accel)?;
    selftests_of(ctx, &kernel, args, None)
}

fn build_debug(ctx: &Context, _: &Args) -> Result<Ended> {
    build::ensure(ctx, Flavour::Debug, &build::Args::default()).map(|_| Ended::default())
}

fn run_debug(ctx: &Context, args: &Args) -> Result<Ended> {
    let kernel = run::kernel(ctx, Flavour::Debug, args.accel)?;
    selftests_of(ctx, &kernel, args, Some(ON_DEBUG))
}

fn run_stress(ctx: &Context, args: &Args) -> Result<Ended> {
    let kernel = run::kernel(ctx, Flavour::Debug, args.accel)?;
    stress::account(ctx, &kernel, vec![STRESS_SECONDS.to_owned()]).map(|()| passed(1))
}

fn run_all(ctx: &Context, args: &Args, kernel: Flavour) -> Result<Ended> {
    let (tally, failures) = detectors::ensure_passed(ctx, kernel, args.patience, args.accel)?;
    Ok(Ended { tally, failures })
}

fn selftests_of(
    ctx: &Context,
    kernel: &Kernel,
    args: &Args,
    among: Option<&'static [&'static str]>,
) -> Result<Ended> {
    let choice = Choice {
        among,
        patience: args.patience,
        ..Choice::default()
    };
    let summary = selftests::run(ctx, kernel, &choice)?;
    if let Some(measured) = summary.measured {
        println!("{measured}");
    }
    Ok(Ended {
        tally: summary.tally,
        failures: summary.failures,
    })
}

fn check_bench(ctx: &Context, _: &Args) -> Result<Ended> {
    bench::check(ctx).map(passed)
}

fn test_userspace(ctx: &Context, args: &Args) -> Result<Ended> {
    userspace::in_the_guest(ctx, args.accel)
}

/// What runs on the debug kernel each time: the calls, what may fail in them, the ring against a
/// hostile sharer. `--detectors` has all.
const ON_DEBUG: &[&str] = &["fault", "fd", "get", "hostile", "init", "mix", "ring"];

/// How long everything is done at once there.
const STRESS_SECONDS: &str = "60";

/// Quick steps first. Those that only prepare count no test.
const STEPS: [Step; 28] = [
    step("setup", 150, None, |ctx, _| {
        setup::ensure(ctx).map(|()| Ended::default())
    }),
    step("format", 3, None, |ctx, _| Ok(cargo::format(ctx)?.into())),
    step("pages", 2, None, |ctx, _| Ok(pages::lint(ctx)?.into())),
    step("host", 90, None, |ctx, _| cargo::host(ctx)),
    step("userspace", 30, Some("setup"), |ctx, _| {
        userspace::on_this_machine(ctx)
    }),
    step("miri", 25, None, |ctx, _| userspace::under_miri(ctx)),
    step("mio", 5, None, check_mio),
    step("mio arm64", 4, None, check_mio).on(Arch::Arm64),
    step("abi", 5, Some("setup"), check_abi),
    step("abi arm64", 5, Some("setup"), check_abi).on(Arch::Arm64),
    step("loom", 300, None, |ctx, _| cargo::loom(ctx)),
    step("tree", 90, Some("setup"), |ctx, _| {
        tree::ensure(ctx).map(|_| Ended::default())
    }),
    step("series", 15, Some("setup"), |ctx, _| {
        series::check(ctx).map(|()| passed(1))
    }),
    step("check", 150, Some("tree"), |ctx, _| check::short(ctx)),
    step("mutants", 5, Some("tree"), |ctx, _| {
        mutants::check(ctx).map(passed)
    }),
    step("build", 420, Some("tree"), build_linux),
    step("run", 400, Some("build"), run_selftests),
    step("userspace in the guest", 35, Some("build"), test_userspace),
    step("bench", 60, Some("build"), check_bench).on(Arch::X86_64),
    step("build debug", 780, Some("tree"), build_debug).on(Arch::X86_64),
    step("run debug", 180, Some("build debug"), run_debug).on(Arch::X86_64),
    step("stress", 90, Some("build debug"), run_stress).on(Arch::X86_64),
    step("build arm64", 420, Some("tree"), build_linux).on(Arch::Arm64),
    step("run arm64", 310, Some("build arm64"), run_selftests).on(Arch::Arm64),
    step("userspace arm64", 25, Some("build arm64"), test_userspace).on(Arch::Arm64),
    Step::all_on(
        Flavour::Debug,
        "all on debug",
        2280,
        "build debug",
        |ctx, args| run_all(ctx, args, Flavour::Debug),
    ),
    Step::all_on(Flavour::Rt, "all on rt", 1500, "tree", |ctx, args| {
        run_all(ctx, args, Flavour::Rt)
    }),
    Step::all_on(Flavour::Kcsan, "all on kcsan", 2400, "tree", |ctx, args| {
        run_all(ctx, args, Flavour::Kcsan)
    }),
];

/// What all steps may take.
const HOUR: Duration = Duration::from_secs(3600);

fn passed(passed: usize) -> Ended {
    let tally = Tally {
        passed,
        ..Tally::default()
    };
    tally.into()
}

fn skipped(skipped: usize) -> Ended {
    let tally = Tally {
        skipped,
        ..Tally::default()
    };
    tally.into()
}

/// What became of a step.
struct Done {
    name: &'static str,
    budget: Duration,
    tally: Tally,
    failures: Vec<String>,
    time: Duration,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    // Whoever names an architecture means that one.
    let all = STEPS.iter();
    let all: Vec<&Step> = all
        .filter(|step| step.arch.is_none() || ctx.arch == Arch::X86_64)
        .filter(|step| args.detectors || step.detectors.is_none())
        .collect();
    let done = steps(&all, ctx, &args);
    // Once more, as much was said since.
    done.iter().for_each(|step| {
        let failures = step.failures.iter();
        failures.for_each(|failure| println!("\nFAIL {}: {}", step.name, shortened(failure)));
    });
    println!("\n{}", table(&done));
    let mut tally = Tally::default();
    done.iter().for_each(|step| tally += step.tally);
    println!("{tally}");
    match tally.failed {
        0 => Ok(()),
        // Said above, in the last line.
        _ => std::process::exit(1),
    }
}

fn steps(steps: &[&Step], ctx: &Context, args: &Args) -> Vec<Done> {
    let mut done: Vec<Done> = Vec::new();
    for step in steps {
        println!("\n== {}", step.name);
        let start = Instant::now();
        let lacks = step.needs.filter(|needs| failed(&done, needs));
        let spent = done.iter().map(|step| step.time).sum();
        let result = match (lacks, step.has_no_time(ctx, spent)) {
            (Some(needs), _) => missing(needs),
            (None, Err(error)) => Err(error),
            (None, Ok(true)) => {
                println!("not run, as the hour is over: cargo xtask detectors");
                Ok(skipped(1))
            }
            (None, Ok(false)) => match step.arch {
                Some(arch) => (step.work)(&ctx.with(arch), args),
                None => (step.work)(ctx, args),
            },
        };
        let Ended { tally, failures } = result.unwrap_or_else(|error| {
            println!("FAIL {}: {error:#}", step.name);
            Ended {
                tally: Tally {
                    failed: 1,
                    ..Tally::default()
                },
                failures: vec![format!("{error:#}")],
            }
        });
        println!("{}: {tally} [{}]", step.name, seconds(start.elapsed()));
        done.push(Done {
            name: step.name,
            budget: step.budget,
            tally,
            failures,
            time: start.elapsed(),
        });
    }
    done
}

fn failed(done: &[Done], name: &str) -> bool {
    done.iter()
        .any(|step| step.name == name && step.tally.failed > 0)
}

fn missing(needs: &str) -> Result<Ended> {
    bail!("not run, because {needs} failed")
}

fn table(done: &[Done]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["step", "tests", "time", "budget", ""]);
    for step in done {
        let note = if step.time > step.budget {
            "over budget"
        } else {
            ""
        };
        let (time, budget) = (seconds(step.time), seconds(step.budget));
        table.add_row([step.name, &step.tally.to_string(), &time, &budget, note]);
    }
    let time = seconds(done.iter().map(|step| step.time).sum());
    let budget = seconds(done.iter().map(|step| step.budget).sum());
    table.add_row(["all", "", &time, &budget, ""]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(all: &[Step]) -> Vec<(usize, usize)> {
        let ctx = Context::new(Arch::X86_64, None).unwrap();
        let args = Args {
            patience: 1,
            accel: Accel::Tcg,
            detectors: false,
        };
        let all: Vec<&Step> = all.iter().collect();
        let done = steps(&all, &ctx, &args);
        done.iter()
            .map(|step| (step.tally.passed, step.failures.len()))
            .collect()
    }

    #[test]
    fn a_failing_step_keeps_only_those_that_need_it() {
        let all = [
            step("a", 1, None, |_, _| bail!("broken")),
            step("b", 1, Some("a"), |_, _| Ok(passed(1))),
            step("c", 1, None, |_, _| Ok(passed(1))),
            step("d", 1, Some("b"), |_, _| Ok(passed(1))),
        ];
        assert_eq!(play(&all), [(0, 1), (0, 1), (1, 0), (0, 1)]);
    }

    #[test]
    fn what_a_step_needs_comes_before_it() {
        for (place, step) in STEPS.iter().enumerate() {
            if let Some(needs) = step.needs {
                assert!(
                    STEPS[..place].iter().any(|other| other.name == needs),
                    "{}",
                    step.name
                );
            }
        }
    }

    #[test]
    fn everything_fits_into_an_hour() {
        let each_time = STEPS.iter().filter(|step| step.detectors.is_none());
        let sum: Duration = each_time.map(|step| step.budget).sum();
        assert!(sum < HOUR);
    }

    #[test]
    fn what_has_no_time_is_skipped_unless_it_passed() {
        let repo = tempfile::tempdir().unwrap();
        let mut ctx = Context::new(Arch::X86_64, None).unwrap();
        ctx.repo = repo.path().to_owned();
        let step = Step::all_on(Flavour::Rt, "a", 600, "b", |_, _| Ok(passed(1)));
        let at = |minutes: u64| {
            step.has_no_time(&ctx, Duration::from_secs(minutes * 60))
                .unwrap()
        };
        assert!(!at(50));
        assert!(at(51));
        let every = super::step("c", 6000, None, |_, _| Ok(passed(1)));
        assert!(!every.has_no_time(&ctx, HOUR).unwrap());
        detectors::pretend(&ctx, Flavour::Rt);
        assert!(!at(51));
    }

    #[test]
    fn a_slow_step_is_marked() {
        let row = |time| {
            let done = [Done {
                name: "a",
                budget: Duration::from_secs(5),
                tally: Tally::default(),
                failures: Vec::new(),
                time: Duration::from_secs(time),
            }];
            table(&done).to_string()
        };
        assert!(row(6).contains("over budget"));
        assert!(!row(4).contains("over budget"));
    }
}
