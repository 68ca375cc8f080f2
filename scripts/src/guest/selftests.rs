//! Boots the guest with the selftests, every way there is, and shows what comes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use glob::Pattern;

use super::bench::Measurement;
use super::boot::{self, Accel, Boot, Guest, Mode};
use super::initramfs::Initramfs;
use super::programs::{Compiler, Guests, Program};
use super::results::{self, Outcome, Tally, TestResult};
use super::session::{self, Event, Limits, Next};
use super::splat::Patterns;
use super::suite::{Expected, Report, Suite};
use super::table::{self, Column, table};
use crate::cache::write_atomic;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::progress::seconds;

/// Silence on all channels that is taken for a hang of the guest, beyond the time that a test
/// program has, and the longest that a boot may take. An ordinary boot with all tests needs a
/// small part of both.
const SILENCE: Duration = Duration::from_secs(120);
const TOTAL: Duration = Duration::from_secs(1500);

/// Test programs for what not every kernel has.
const NEEDS: &[(&str, &str)] = &[("fault", "CONFIG_FAULT_INJECTION=y")];

/// A kernel that was built, and how to boot it.
pub struct Kernel {
    /// Its source.
    pub tree: PathBuf,
    /// Its image.
    pub image: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    pub flavour: Flavour,
    pub accel: Accel,
}

/// Which tests to run where.
#[derive(Default)]
pub struct Choice {
    /// The test programs; all without it.
    pub only: Option<Pattern>,
    /// Of these, only such; all without it.
    pub among: Option<&'static [&'static str]>,
    /// And not these.
    pub without: &'static [&'static str],
    /// The name of a boot; all without it.
    pub boot: Option<String>,
    /// What the time limits are multiplied with.
    pub patience: u32,
    /// Whether a boot ends with the first report of its kernel.
    pub until_report: bool,
    /// More options of QEMU.
    pub qemu: Vec<String>,
}

impl Choice {
    fn has(&self, program: &str) -> bool {
        let among = self.among.as_ref();
        among.is_none_or(|among| among.contains(&program)) && !self.without.contains(&program)
    }
}

/// What all boots together brought.
pub struct Summary {
    pub tally: Tally,
    /// What failed, and why.
    pub failures: Vec<String>,
    /// From the boot that measures, in which the tests ran too.
    pub measured: Option<Measurement>,
}

pub fn run(ctx: &Context, kernel: &Kernel, choice: &Choice) -> Result<Summary> {
    let _lock = ctx.lock()?;
    check_config(&ctx.repo, &kernel.config)?;
    let out = folder(ctx)?;
    let patterns = patterns(&ctx.repo)?;
    let tools = ctx.tools();
    let clang = tools.llvm()?.bin.join("clang");
    let compiler = Compiler {
        gcc: tools.gcc()?,
        clang: &clang,
        repo: &ctx.repo,
        tree: &kernel.tree,
    };
    let headers = compiler.headers(choice.only.as_ref())?;
    headers.iter().for_each(|result| show("host", result));
    let wanted = |boot: &&Boot| choice.boot.as_ref().is_none_or(|name| name == boot.name);
    let boots: Vec<&Boot> = boot::boots(ctx.arch, kernel.flavour)
        .iter()
        .filter(wanted)
        .collect();
    if boots.is_empty() {
        bail!("{} has no boot of that name", ctx.arch.name());
    }
    let native = pack(ctx, &compiler, kernel, &out, choice, false)?;
    if let Some(only) = &choice.only {
        let is_one = |program: &Program| only.matches(&program.name);
        if headers.is_empty() && !native.0.iter().any(is_one) {
            bail!("no test program is called `{only}`");
        }
    }
    let compat = boots.iter().any(|boot| boot.compat);
    let compat = compat.then(|| pack(ctx, &compiler, kernel, &out, choice, true));
    let compat = compat.transpose()?;

    let limit = time_limit(&ctx.repo)?;
    let mut reports: Vec<(&Boot, Report)> = Vec::new();
    for boot in boots {
        let (programs, archive) = compat.as_ref().filter(|_| boot.compat).unwrap_or(&native);
        let expected = Expected {
            programs: names(programs, |_| true),
            plain: names(programs, |program| program.plain),
            kunit: has_kunit(&kernel.config)?,
            bench: boot.bench,
        };
        let suite = Suite::new(&patterns, expected);
        let patience = choice.patience.max(1) * boot.patience;
        let limit = limit * patience;
        let limits = Limits {
            silence: limit + SILENCE * patience,
            total: TOTAL * patience,
        };
        let mode = Mode::Tests {
            limit: limit.as_secs(),
            patience,
        };
        let mut guest = guest(ctx, kernel, boot, archive, mode)?;
        guest.command.args(&choice.qemu);
        let report = follow(boot, guest, limits, suite, choice.until_report)?;
        let console = format!("log/console-{}-{}", ctx.arch.name(), boot.name);
        let console = ctx.cache.join(console);
        write_atomic(&console, report.console.join("\n") + "\n")?;
        if report
            .results
            .iter()
            .any(|result| result.outcome == Outcome::Fail)
        {
            println!("the console of this boot is in {}", console.display());
        }
        reports.push((boot, report));
    }
    Ok(summarize(&headers, &reports))
}

/// Compiles the selftests, and packs them with init, which is always of the kernel's width.
fn pack(
    ctx: &Context,
    compiler: &Compiler<'_>,
    kernel: &Kernel,
    out: &Path,
    choice: &Choice,
    compat: bool,
) -> Result<(Vec<Program>, PathBuf)> {
    let tools = ctx.tools();
    let native = Guests {
        gcc: tools.guest_gcc()?,
        flags: ctx.arch.compiler().flags,
        folder: "selftests",
    };
    let programs = match ctx.arch.compat().filter(|_| compat) {
        Some(facts) => Guests {
            gcc: tools.compat_gcc()?,
            flags: facts.flags,
            folder: "selftests-32bit",
        },
        None => native,
    };
    let init = compiler.init(&native, out)?;
    let name = programs.folder;
    let mut programs = compiler.selftests(&programs, out, choice.only.as_ref())?;
    let config = fs::read_to_string(&kernel.config);
    let config = config.with_context(|| format!("cannot read {}", kernel.config.display()))?;
    programs.retain(|program| is_for(&program.name, &config) && choice.has(&program.name));
    let mut initramfs = Initramfs::new(&init);
    add(&mut initramfs, &programs);
    let archive = out.join(format!("{name}.cpio"));
    write_atomic(&archive, initramfs.pack()?)?;
    Ok((programs, archive))
}

/// The folder for what is compiled and packed.
pub fn folder(ctx: &Context) -> Result<PathBuf> {
    let out = ctx.cache.join("guest").join(ctx.arch.name());
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    Ok(out)
}

pub fn patterns(repo: &Path) -> Result<Patterns> {
    let path = repo.join("qemu/splats.txt");
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    Patterns::parse(&text).with_context(|| format!("in {}", path.display()))
}

/// Puts the selftests where init looks for them.
pub fn add(initramfs: &mut Initramfs, programs: &[Program]) {
    for program in programs {
        initramfs.program(&format!("/kevent/{}", program.name), &program.path);
    }
}

fn names(programs: &[Program], wanted: impl Fn(&Program) -> bool) -> Vec<String> {
    let tests = programs
        .iter()
        .filter(|program| program.name != super::BENCH);
    let tests = tests.filter(|program| wanted(program));
    tests.map(|program| program.name.clone()).collect()
}

/// The seconds of guest time that a test program has, from `selftests/settings`.
fn time_limit(repo: &Path) -> Result<Duration> {
    let path = repo.join("selftests/settings");
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let limit = text.lines().find_map(|line| line.strip_prefix("timeout="));
    let limit = limit
        .and_then(|limit| limit.trim().parse().ok())
        .filter(|limit| *limit > 0);
    let limit = limit.with_context(|| format!("no timeout= in {}", path.display()))?;
    Ok(Duration::from_secs(limit))
}

/// Fails unless the kernel has every option that `selftests/config` asks for.
fn check_config(repo: &Path, config: &Path) -> Result<()> {
    let path = repo.join("selftests/config");
    let wanted = fs::read_to_string(&path);
    let wanted = wanted.with_context(|| format!("cannot read {}", path.display()))?;
    let there = fs::read_to_string(config);
    let there = there.with_context(|| format!("cannot read {}", config.display()))?;
    let lacks = |line: &&str| line.starts_with("CONFIG_") && !there.lines().any(|l| l == *line);
    let missing: Vec<&str> = wanted.lines().filter(lacks).collect();
    if !missing.is_empty() {
        bail!(
            "the kernel lacks what {} asks for: {}",
            path.display(),
            missing.join(" ")
        );
    }
    Ok(())
}

/// Whether a kernel of this configuration has what a test program is for.
fn is_for(program: &str, config: &str) -> bool {
    let mut needs = NEEDS.iter().filter(|(name, _)| *name == program);
    needs.all(|(_, option)| config.lines().any(|line| line == *option))
}

/// Whether the kernel runs KUnit tests of kevent while it boots.
fn has_kunit(config: &Path) -> Result<bool> {
    let text = fs::read_to_string(config);
    let text = text.with_context(|| format!("cannot read {}", config.display()))?;
    let wanted = |line: &str| line.contains("KEVENT") && line.ends_with("_KUNIT_TEST=y");
    Ok(text.lines().any(wanted))
}

/// The machine for a boot of `kernel` with `archive`.
pub fn guest(
    ctx: &Context,
    kernel: &Kernel,
    boot: &Boot,
    archive: &Path,
    mode: Mode,
) -> Result<Guest> {
    let Some(machine) = ctx.arch.qemu() else {
        return Ok(Guest::um(boot, mode, &kernel.image, archive));
    };
    let tools = ctx.tools();
    let (program, accel) = (tools.qemu()?, kernel.accel);
    let image = &kernel.image;
    Ok(Guest::qemu(boot::qemu(
        program, machine, boot, accel, mode, image, archive,
    )))
}

fn follow(
    boot: &Boot,
    guest: Guest,
    limits: Limits,
    mut suite: Suite<'_>,
    until_report: bool,
) -> Result<Report> {
    println!("booting: {}", boot.title);
    let start = Instant::now();
    let mut shown = 0;
    let how = session::follow(guest, Vec::new(), limits, |event| {
        let next = match event {
            Event::Console(line) => {
                if let Some(meaning) = suite.console(line.clone()) {
                    println!("{:8} the kernel reports: {line} ({meaning})", boot.name);
                }
                match until_report && suite.has_reported() {
                    true => Next::Stop,
                    false => Next::Go,
                }
            }
            Event::Report(line) => suite.report(&line),
            Event::Qemu(line) => {
                println!("{:8} QEMU: {line}", boot.name);
                Next::Go
            }
        };
        suite.results()[shown..]
            .iter()
            .for_each(|result| show(boot.name, result));
        shown = suite.results().len();
        next
    })?;
    let report = suite.end(how);
    report.results[shown..]
        .iter()
        .for_each(|result| show(boot.name, result));
    let tally = Tally::of(&report.results);
    println!("{}: {tally} [{}]", boot.title, seconds(start.elapsed()));
    Ok(report)
}

/// Boots a kernel to its end without a test program, with its console going to the file `console`,
/// and gives what failed: KUnit, reports of the kernel, a hang.
pub fn boot_alone(
    ctx: &Context,
    kernel: &Kernel,
    archive: &Path,
    console: &Path,
) -> Result<Vec<TestResult>> {
    let boot = &boot::boots(ctx.arch, kernel.flavour)[0];
    let patterns = patterns(&ctx.repo)?;
    let expected = Expected {
        programs: Vec::new(),
        plain: Vec::new(),
        kunit: has_kunit(&kernel.config)?,
        bench: false,
    };
    let limits = Limits {
        silence: SILENCE * 2,
        total: TOTAL,
    };
    let mode = Mode::Tests {
        limit: 0,
        patience: 1,
    };
    let guest = guest(ctx, kernel, boot, archive, mode)?;
    let mut suite = Suite::new(&patterns, expected);
    let how = session::follow(guest, Vec::new(), limits, |event| match event {
        Event::Console(line) => {
            suite.console(line);
            Next::Go
        }
        Event::Report(line) => suite.report(&line),
        Event::Qemu(line) => {
            suite.console(line);
            Next::Go
        }
    })?;
    let report = suite.end(how);
    write_atomic(console, report.console.join("\n") + "\n")?;
    let failed = report.results.into_iter();
    Ok(failed
        .filter(|result| result.outcome == Outcome::Fail)
        .collect())
}

/// One result, as it comes.
fn show(place: &str, result: &TestResult) {
    let TestResult {
        suite,
        name,
        outcome,
        ..
    } = result;
    let time = result.time.map(|time| format!("  ({})", table::time(time)));
    println!(
        "{place:8} {outcome:4} {suite} {name}{}",
        time.unwrap_or_default()
    );
    if *outcome != Outcome::Pass {
        result
            .log
            .iter()
            .for_each(|line| println!("         | {line}"));
    }
}

fn summarize(headers: &[TestResult], reports: &[(&Boot, Report)]) -> Summary {
    let mut columns = Vec::new();
    if !headers.is_empty() {
        columns.push(Column {
            title: "compiled",
            results: headers,
        });
    }
    columns.extend(reports.iter().map(|(boot, report)| Column {
        title: boot.title,
        results: &report.results,
    }));
    println!("\n{}", table(&columns));
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for Column { title, results } in &columns {
        tally += Tally::of(*results);
        let failed = results
            .iter()
            .filter(|result| result.outcome == Outcome::Fail);
        failures.extend(failed.map(|result| failure(title, result)));
    }
    failures
        .iter()
        .for_each(|failure| println!("\nFAIL {failure}"));
    println!();
    let measured = reports
        .iter()
        .find_map(|(_, report)| report.measured.clone());
    Summary {
        tally,
        failures,
        measured,
    }
}

/// What failed in a boot, and why.
fn failure(boot: &str, result: &TestResult) -> String {
    let TestResult {
        suite, name, log, ..
    } = result;
    results::failure(&format!("{suite} {name} ({boot})"), log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchmark_is_no_test() {
        let program = |name: &str| Program {
            name: name.to_owned(),
            path: PathBuf::new(),
            plain: false,
        };
        let all = [program("ring"), program("bench")];
        assert_eq!(names(&all, |_| true), ["ring"]);
        assert!(names(&all, |program| program.plain).is_empty());
    }

    #[test]
    fn faults_need_a_kernel_that_has_them() {
        assert!(is_for("ring", ""));
        assert!(is_for("fault", "CONFIG_X=y\nCONFIG_FAULT_INJECTION=y\n"));
        assert!(!is_for("fault", "# CONFIG_FAULT_INJECTION is not set\n"));
    }

    #[test]
    fn the_time_limit_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("selftests/settings");
        fs::create_dir(settings.parent().unwrap()).unwrap();
        fs::write(&settings, "timeout=45\n").unwrap();
        assert_eq!(time_limit(folder.path()).unwrap(), Duration::from_secs(45));
        fs::write(&settings, "timeout=0\n").unwrap();
        assert!(time_limit(folder.path()).is_err());
    }

    #[test]
    fn a_missing_option_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (wanted, there) = (
            folder.path().join("selftests/config"),
            folder.path().join("there"),
        );
        fs::create_dir(wanted.parent().unwrap()).unwrap();
        fs::write(&wanted, "# why\nCONFIG_A=y\nCONFIG_B=y\n").unwrap();
        fs::write(&there, "CONFIG_A=y\nCONFIG_B=y\n").unwrap();
        check_config(folder.path(), &there).unwrap();
        fs::write(&there, "CONFIG_A=y\n# CONFIG_B is not set\n").unwrap();
        let error = check_config(folder.path(), &there).unwrap_err().to_string();
        assert!(error.ends_with(": CONFIG_B=y"), "{error}");
    }

    #[test]
    fn kunit_is_found_in_the_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "CONFIG_KUNIT=y\n# CONFIG_KEVENT_KUNIT_TEST is not set\nCONFIG_X_KUNIT_TEST=y\n";
        fs::write(file.path(), text).unwrap();
        assert!(!has_kunit(file.path()).unwrap());
        fs::write(file.path(), "CONFIG_RUST_KEVENT_KUNIT_TEST=y\n").unwrap();
        assert!(has_kunit(file.path()).unwrap());
    }
}
