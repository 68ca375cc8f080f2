//! Boots the kernel with the fuzzer, and follows it.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kevent_fuzz::corpus;
use kevent_fuzz::program::Program;

use super::points::Points;
use super::told::{self, Ear, Told};
use crate::cache::write_atomic;
use crate::command::{check, command};
use crate::context::Context;
use crate::guest::Message;
use crate::guest::boot::{Mode, boots};
use crate::guest::exec;
use crate::guest::initramfs::Initramfs;
use crate::guest::selftests::{self, Kernel};
use crate::guest::session::{self, End, Event, Limits, Next, RawPort};
use crate::guest::splat;
use crate::progress::Step;
use crate::run;

/// The fuzzer speaks on the console every ten seconds, or nothing runs in the guest any more.
const SILENCE: Duration = Duration::from_secs(240);
/// What a run may take beyond its time: to boot, and to run what is kept.
const MORE: Duration = Duration::from_secs(1800);
/// How long a report of the kernel may take: lines, and seconds.
const REPORT_LINES: usize = 120;
const REPORT_TIME: Duration = Duration::from_secs(5);
/// Where the guest has the programs.
const CORPUS: &str = "/corpus";

pub struct Fuzzer<'a> {
    ctx: &'a Context,
    kernel: &'a Kernel,
    points: &'a Points,
    program: PathBuf,
}

/// What it is given to do.
pub struct Load<'a> {
    pub programs: &'a [Program],
    pub seconds: u64,
    pub seed: u64,
    pub lanes: usize,
    /// How often each of the programs is run.
    pub times: usize,
}

impl<'a> Fuzzer<'a> {
    /// Compiles what runs in the guest.
    pub fn new(ctx: &'a Context, kernel: &'a Kernel, points: &'a Points) -> Result<Fuzzer<'a>> {
        let step = Step::start("Building the fuzzer");
        let target = ctx.cache.join("target-fuzz");
        let mut cargo = crate::test::cargo::cargo(ctx)?;
        cargo.args([
            "build",
            "--release",
            "--package",
            "kevent-fuzz",
            "--features",
            "act",
        ]);
        cargo.env("CARGO_TARGET_DIR", &target);
        check(&mut cargo)?;
        step.done();
        let program = target.join("release/kevent-fuzz");
        Ok(Fuzzer {
            ctx,
            kernel,
            points,
            program,
        })
    }

    /// Boots, and follows until it is done or the kernel reports something.
    pub fn follow(&self, load: &Load<'_>) -> Result<Told> {
        self.boot("Fuzzing", load.seconds, |initramfs| {
            self.pack(initramfs, load)
        })
    }

    /// Compiles a program in C, and runs it.
    pub fn run_c(&self, source: &Path, times: usize) -> Result<Told> {
        let program = source.with_extension("");
        let mut gcc = command("gcc");
        gcc.args(["-O2", "-static", "-pthread", "-Wno-unused-result", "-o"]);
        gcc.args([&program, source]);
        for headers in ["selftests", "linux/include/uapi"] {
            gcc.arg("-I").arg(self.ctx.repo.join(headers));
        }
        check(&mut gcc)?;
        let name = program.to_str().context("the path is no UTF-8")?;
        let words = [name.to_owned(), times.to_string()];
        self.boot("Running the reproducer", 0, |initramfs| {
            exec::add(initramfs, &words)
        })
    }

    fn boot(
        &self,
        what: &str,
        seconds: u64,
        pack: impl FnOnce(&mut Initramfs) -> Result<()>,
    ) -> Result<Told> {
        let step = Arc::new(Step::start(what));
        let ear = Ear::new(step.clone());
        let log = tempfile::NamedTempFile::new()?;
        let mut guest = {
            let _lock = self.ctx.lock()?;
            let mut initramfs = run::initramfs(self.ctx, self.kernel, false)?;
            pack(&mut initramfs)?;
            let archive = selftests::folder(self.ctx)?.join("fuzz.cpio");
            write_atomic(&archive, initramfs.pack()?)?;
            let boot = &boots(self.ctx.arch, self.kernel.flavour)[0];
            selftests::guest(self.ctx, self.kernel, boot, &archive, Mode::Exec)?
        };
        guest.command.args(watch(self.points, log.path())?);
        let port = |name, ear: &Ear| RawPort {
            name,
            to: Box::new(ear.clone()),
        };
        let ports = vec![port("stdout", &ear), port("stderr", &ear)];
        let limits = Limits {
            silence: SILENCE,
            total: Duration::from_secs(seconds) + MORE,
        };
        let patterns = selftests::patterns(&self.ctx.repo)?;
        let mut reports = patterns.console();
        let mut watch = Watch::default();
        let start = Instant::now();
        let end = session::follow(guest, ports, limits, |event| match event {
            Event::Console(line) => watch.console(&mut reports, line),
            Event::Report(line) => watch.report(&line),
            Event::Qemu(line) => {
                step.line(&format!("QEMU: {line}"));
                Next::Go
            }
        })?;
        let mut told = std::mem::take(&mut *ear.told());
        drop(ear);
        // A port that nobody ended has it too.
        if let Some(step) = Arc::into_inner(step) {
            step.done();
        }
        told.anywhere = told::translated(BufReader::new(File::open(log.path())?))?;
        told.console = watch.console;
        told.time = start.elapsed();
        if watch.report.is_some() {
            told.report = watch.report;
        } else if !matches!(end, End::Off | End::Lingering) && told.report.is_none() {
            told.report = Some(format!("nothing, and is no more: {end:?}"));
        }
        match watch.code {
            Some(0) => {}
            _ if told.report.is_some() => {}
            code => bail!("the fuzzer failed: {code:?}\n{}", told.console.join("\n")),
        }
        Ok(told)
    }

    fn pack(&self, initramfs: &mut Initramfs, load: &Load<'_>) -> Result<()> {
        for program in load.programs {
            let path = format!("{CORPUS}/{}.{}", corpus::name(program), corpus::EXTENSION);
            initramfs.bytes(&path, program.to_text());
        }
        // The folder is there without any, too.
        initramfs.bytes(&format!("{CORPUS}/about"), "what is kept");
        let name = self.program.to_str().context("the path is no UTF-8")?;
        let mut words = vec![name.to_owned()];
        for (option, value) in [
            ("seconds", load.seconds),
            ("seed", load.seed),
            ("lanes", load.lanes as u64),
            ("times", load.times as u64),
        ] {
            words.push(format!("--{option}={value}"));
        }
        words.push(format!("--corpus={CORPUS}"));
        exec::add(initramfs, &words)
    }
}

/// Options with which QEMU writes into a file which code of the series it translates.
pub fn watch(points: &Points, log: &Path) -> Result<[String; 6]> {
    let log = log.to_str().context("the path is no UTF-8")?;
    let filter = points.filter();
    Ok(["-d", "in_asm", "-dfilter", &filter, "-D", log].map(str::to_owned))
}

/// What the console and init say.
#[derive(Default)]
struct Watch {
    console: Vec<String>,
    /// The first line of the kernel's report, when it came, and at which line.
    report: Option<String>,
    since: Option<(Instant, usize)>,
    code: Option<u8>,
}

impl Watch {
    fn console(&mut self, reports: &mut splat::Console<'_>, line: String) -> Next {
        if reports.line(&line).is_some() && self.report.is_none() {
            self.report = Some(line.clone());
            self.since = Some((Instant::now(), self.console.len()));
        }
        self.console.push(line);
        match self.since {
            Some((since, first))
                if since.elapsed() > REPORT_TIME || self.console.len() > first + REPORT_LINES =>
            {
                Next::Stop
            }
            _ => Next::Go,
        }
    }

    fn report(&mut self, line: &str) -> Next {
        match Message::parse(line) {
            Some(Message::Ended { how, .. }) => self.code = Some(how.code()),
            Some(Message::End) => return Next::Farewell,
            _ => {}
        }
        Next::Go
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_ends_the_run_when_it_is_whole() {
        let patterns = include_str!("../../../qemu/splats.txt");
        let patterns = splat::Patterns::parse(patterns).unwrap();
        let mut reports = patterns.console();
        let mut watch = Watch::default();
        let mut hear = |line: &str| {
            let next = watch.console(&mut reports, line.to_owned());
            matches!(next, Next::Stop)
        };
        assert!(!hear("fuzz: 100 programs"));
        assert!(!hear(
            "[    1.0] BUG: KASAN: slab-use-after-free in f+0x1/0x2"
        ));
        let stopped = (0..REPORT_LINES).position(|_| hear("[    1.0]  f+0x1/0x2"));
        assert_eq!(stopped, Some(REPORT_LINES - 1));
        assert!(watch.report.unwrap().contains("KASAN"));
    }

    #[test]
    fn the_exit_code_is_that_of_the_fuzzer() {
        let mut watch = Watch::default();
        watch.report("end command exit 1 5");
        assert!(matches!(watch.report("END"), Next::Farewell));
    }
}
