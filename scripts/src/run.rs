//! `cargo xtask run`: boots the kernel in QEMU.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use glob::Pattern;

use crate::arch::Arch;
use crate::build;
use crate::cache::write_atomic;
use crate::context::Context;
use crate::flavour::{self, Flavour};
use crate::guest::boot::{Accel, Boot, Mode, boots};
use crate::guest::exec;
use crate::guest::initramfs::Initramfs;
use crate::guest::programs::{Compiler, Guests};
use crate::guest::selftests::{self, Choice, Kernel};
use crate::guest::session::{Limits, RawPort};
use crate::tools;

/// Boots the kernel in QEMU and runs the selftests, or a program of yours.
///
/// What lacks is made first: tools, tree, kernel. The tests run in each boot; then comes a
/// table of their results, and last what one event costs with kevent and with epoll, measured
/// in the last boot. A report of the kernel on its console fails the run.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    flavour: flavour::Args,

    /// Only the test programs with this name; * and ? match
    #[arg(long, value_name = "NAME")]
    only: Option<Pattern>,

    /// Only this boot
    #[arg(long, value_name = "NAME")]
    boot: Option<String>,

    /// Multiplies the time limits, for a slow machine
    #[arg(long, value_name = "FACTOR", default_value_t = 1)]
    patience: u32,

    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,

    /// Gives a shell in the guest; Ctrl-D ends it
    #[arg(long, conflicts_with_all = ["only", "boot", "command"])]
    shell: bool,

    /// A file or folder of this machine that is in the guest, too, under the same name, with the
    /// libraries of the programs in it; not in /tmp. May be given more than once
    #[arg(long, value_name = "PATH", requires = "command")]
    with: Vec<PathBuf>,

    /// A program of this machine to run in the guest, with its arguments; its libraries come
    /// along, and its exit code is that of this command
    #[arg(last = true, value_name = "CMD", conflicts_with = "only")]
    command: Vec<String>,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let kernel = kernel(ctx, args.flavour.flavour(), args.accel)?;
    if args.shell {
        return shell(ctx, &kernel);
    }
    if !args.command.is_empty() {
        let boot = args.boot.as_deref();
        let code = command(ctx, &kernel, &args.command, &args.with, boot)?;
        std::process::exit(code.into());
    }
    let choice = Choice {
        only: args.only,
        boot: args.boot,
        patience: args.patience,
        ..Choice::default()
    };
    let summary = selftests::run(ctx, &kernel, &choice)?;
    println!("{}", summary.tally);
    if let Some(measured) = summary.measured {
        println!("{measured}");
    }
    match summary.tally.failed {
        0 if summary.tally.passed == 0 => bail!("not one test passed"),
        0 => Ok(()),
        failed => bail!("{failed} tests failed"),
    }
}

/// The kernel, made as far as needed.
pub fn kernel(ctx: &Context, flavour: Flavour, accel: Accel) -> Result<Kernel> {
    let built = build::ensure(ctx, flavour, &build::Args::default())?;
    Ok(booted(built, flavour, accel))
}

/// How to boot a kernel that was built.
pub fn booted(built: build::Kernel, flavour: Flavour, accel: Accel) -> Kernel {
    Kernel {
        tree: built.tree.path,
        image: built.image,
        config: built.folder.join(".config"),
        flavour,
        accel,
    }
}

/// What every guest has, and the selftests where they are wanted.
pub fn initramfs(ctx: &Context, kernel: &Kernel, with_tests: bool) -> Result<Initramfs> {
    compile(ctx, kernel, |compiler, guests, out| {
        let mut initramfs = Initramfs::new(&compiler.init(guests, out)?);
        if with_tests {
            let programs = compiler.selftests(guests, out, None)?;
            selftests::add(&mut initramfs, &programs);
        }
        Ok(initramfs)
    })
}

/// The file of one selftest, compiled.
pub fn selftest(ctx: &Context, kernel: &Kernel, name: &str) -> Result<PathBuf> {
    let only = Pattern::new(name)?;
    let programs = compile(ctx, kernel, |compiler, guests, out| {
        compiler.selftests(guests, out, Some(&only))
    })?;
    let program = programs.into_iter().find(|program| program.name == name);
    Ok(program.context("no such selftest")?.path)
}

/// Hands `work` what compiles the guest's programs, which they are, and where they go.
fn compile<R>(
    ctx: &Context,
    kernel: &Kernel,
    work: impl FnOnce(&Compiler<'_>, &Guests<'_>, &Path) -> Result<R>,
) -> Result<R> {
    let tools = ctx.tools();
    let compiler = Compiler {
        gcc: tools.gcc()?,
        clang: &tools.llvm()?.bin.join("clang"),
        repo: &ctx.repo,
        tree: &kernel.tree,
    };
    let guests = Guests {
        gcc: tools.guest_gcc()?,
        flags: ctx.arch.compiler().flags,
        folder: "selftests",
    };
    work(&compiler, &guests, &selftests::folder(ctx)?)
}

/// Runs a program of the user's in the guest, where `with` is as here, and gives its exit code. In the
/// first boot, if none is named.
pub fn command(
    ctx: &Context,
    kernel: &Kernel,
    words: &[String],
    with: &[PathBuf],
    boot: Option<&str>,
) -> Result<u8> {
    let archive = selftests::folder(ctx)?.join("exec.cpio");
    let guest = {
        let _lock = ctx.lock()?;
        let mut initramfs = initramfs(ctx, kernel, false)?;
        exec::add(&mut initramfs, words)?;
        for path in with {
            exec::with(&mut initramfs, path)?;
        }
        write_atomic(&archive, initramfs.pack()?)?;
        let mut boots = boots(ctx.arch, kernel.flavour).iter();
        let found = boots.find(|found| boot.is_none_or(|name| name == found.name));
        let found = found.with_context(|| format!("no boot {boot:?}"))?;
        let boot = Boot {
            // What comes along is in memory, twice while it is unpacked.
            memory: if with.is_empty() { found.memory } else { "3G" },
            ..*found
        };
        selftests::guest(ctx, kernel, &boot, &archive, Mode::Exec)?
    };
    let ports = vec![
        RawPort {
            name: "stdout",
            to: Box::new(std::io::stdout()),
        },
        RawPort {
            name: "stderr",
            to: Box::new(std::io::stderr()),
        },
    ];
    exec::follow(ctx, guest, ports, Limits::NONE)
}

/// A shell on the guest's console, which is this terminal.
fn shell(ctx: &Context, kernel: &Kernel) -> Result<()> {
    if ctx.arch == Arch::Arm64 {
        bail!("a shell needs the busybox of this machine, which an arm64 guest cannot run");
    }
    let busybox = tools::in_path("busybox").context(
        "a shell in the guest needs busybox: install the package busybox-static or busybox",
    )?;
    let archive = selftests::folder(ctx)?.join("shell.cpio");
    let mut guest = {
        let _lock = ctx.lock()?;
        let mut initramfs = initramfs(ctx, kernel, true)?;
        exec::with_libraries(&mut initramfs, "/bin/busybox", &busybox)?;
        write_atomic(&archive, initramfs.pack()?)?;
        selftests::guest(
            ctx,
            kernel,
            &boots(ctx.arch, kernel.flavour)[0],
            &archive,
            Mode::Shell,
        )?
    };
    guest.command.stdin(Stdio::inherit());
    let status = guest.command.status().context("cannot start the guest")?;
    if !status.success() {
        bail!("the guest: {status}");
    }
    Ok(())
}
