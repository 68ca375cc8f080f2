//! `cargo xtask bench`: what an event costs, against epoll and io_uring in the same boot.

mod measured;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::build;
use crate::cache::write_atomic;
use crate::command::{check as run_to_end, command};
use crate::context::Context;
use crate::guest::boot::{Accel, COUNTED, Mode};
use crate::guest::exec;
use crate::guest::selftests::{self, Kernel};
use crate::guest::session::{Limits, RawPort};
use crate::progress::Step;
use crate::run;
use crate::tools::version_of;
use crate::tree::worktree;
use measured::{Made, Measured};

/// A run needs less than a minute.
const LIMITS: Limits = Limits {
    silence: Duration::from_secs(300),
    total: Duration::from_secs(600),
};

/// Measures what an event costs with kevent, epoll and io_uring, in one boot.
///
/// QEMU counts the instructions of one processor, so two runs are alike. What lacks is made first:
/// tools, tree, kernel. The cost of an event is what the work needs beyond the same work that
/// nobody is told of.
#[derive(clap::Args)]
pub struct Args {
    /// Only these: eventfd, echo, ctl or timer
    #[arg(long, value_name = "NAME")]
    only: Option<String>,

    /// Compare with the checked-in results
    #[arg(long, conflicts_with_all = ["only", "update"])]
    check: bool,

    /// Write the results that are checked in
    #[arg(long, conflicts_with = "only")]
    update: bool,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if args.check {
        let compared = check(ctx)?;
        println!("{compared} measurements are as they were");
        return Ok(());
    }
    let measured = measure(ctx, args.only.as_deref())?;
    println!("{}", table::show(&measured));
    if args.update {
        let path = golden_path(ctx);
        write_atomic(&path, measured.to_json()?)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Fails where kevent costs more than the checked-in results say; returns how many were compared.
pub fn check(ctx: &Context) -> Result<usize> {
    let path = golden_path(ctx);
    let golden = fs::read_to_string(&path);
    let golden = golden.with_context(|| format!("cannot read {}", path.display()))?;
    let golden = Measured::from_json(&golden).with_context(|| path.display().to_string())?;
    let now = measure(ctx, None)?;
    println!("{}", table::show(&now));
    let compared = now.compare(&golden)?;
    if !compared.worse.is_empty() {
        bail!(
            "{} of {} measurements are worse than in {}:\n{}",
            compared.worse.len(),
            compared.done,
            path.display(),
            compared.worse.join("\n")
        );
    }
    Ok(compared.done)
}

fn golden_path(ctx: &Context) -> PathBuf {
    ctx.repo
        .join("bench/results")
        .join(format!("{}.json", ctx.arch.name()))
}

fn measure(ctx: &Context, only: Option<&str>) -> Result<Measured> {
    if ctx.arch == Arch::Um {
        bail!("instructions cannot be counted in User-Mode Linux");
    }
    let kernel = run::kernel(ctx, Accel::Tcg)?;
    let archive = pack(ctx, &kernel, only)?;
    let guest = selftests::guest(ctx, &kernel, &COUNTED, &archive, Mode::Exec)?;
    let step = Step::start("Measuring");
    let lines = Lines::default();
    let ports = vec![lines.port("stdout"), lines.port("stderr")];
    let code = exec::follow(ctx, guest, ports, LIMITS)?;
    step.done();
    let text = lines.text();
    if code != 0 {
        bail!("the benchmark failed with {code}:\n{text}");
    }
    Measured::parse(made(ctx, &kernel)?, &text)
}

/// Compiles the benchmark, and packs it with init.
fn pack(ctx: &Context, kernel: &Kernel, only: Option<&str>) -> Result<PathBuf> {
    let _lock = ctx.lock()?;
    let out = selftests::folder(ctx)?;
    let program = out.join("bench-program");
    compile(ctx, ctx.tools().guest_gcc()?, &program)?;
    let mut initramfs = run::initramfs(ctx, kernel, false)?;
    initramfs.program("/exec/bench", &program);
    let words = ["/exec/bench", "instructions"].into_iter().chain(only);
    exec::argv(&mut initramfs, words);
    let archive = out.join("bench.cpio");
    write_atomic(&archive, initramfs.pack()?)?;
    Ok(archive)
}

fn compile(ctx: &Context, gcc: &Path, program: &Path) -> Result<()> {
    let sources = glob::glob(&ctx.repo.join("bench/*.c").to_string_lossy())?;
    let mut gcc = command(gcc);
    gcc.args(ctx.arch.compiler().flags);
    gcc.args(["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-static"]);
    gcc.args(["-Wall", "-Wextra", "-Werror"]);
    gcc.arg("-I").arg(ctx.repo.join("linux/include/uapi"));
    gcc.arg("-I").arg(ctx.repo.join("selftests"));
    gcc.arg("-o").arg(program);
    for source in sources {
        gcc.arg(source?);
    }
    run_to_end(&mut gcc).context("the benchmark").map(|_| ())
}

/// What the results depend on.
fn made(ctx: &Context, kernel: &Kernel) -> Result<Made> {
    let tools = ctx.tools();
    let version = |program: &Path| -> Result<String> {
        let version = version_of(program, "--version");
        let version = version.with_context(|| format!("{} has no version", program.display()))?;
        Ok(version.to_string())
    };
    let path = kernel.tree.join("Makefile");
    let makefile = fs::read_to_string(&path);
    let makefile = makefile.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Made {
        linux: worktree::release(&makefile)?,
        clang: version(&tools.llvm()?.bin.join("clang"))?,
        rustc: version(&tools.rust()?.rustc)?,
        qemu: version(tools.qemu()?)?,
        gcc: version(tools.guest_gcc()?)?,
        config: build::fragment_names(ctx)?,
    })
}

/// What came through ports of the guest.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn port(&self, name: &'static str) -> RawPort {
        RawPort {
            name,
            to: Box::new(self.clone()),
        }
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut all = self.0.lock().expect("nobody panics with it");
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
