//! `cargo xtask bench`: what an event costs, against epoll and io_uring in the same boot.

mod gdb;
mod measured;
mod plot;
mod step;
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
use crate::flavour::Flavour;
use crate::guest::boot::{Accel, Boot, COUNTED, Mode, SMP};
use crate::guest::exec;
use crate::guest::selftests::{self, Kernel};
use crate::guest::session::{Limits, RawPort};
use crate::progress::Step;
use crate::run;
use crate::tools::version_of;
use crate::tree::worktree;
use measured::{INSTRUCTIONS, Made, Measured, NS};

/// The longest boot creates and closes millions of files.
const LIMITS: Limits = Limits {
    silence: Duration::from_secs(900),
    total: Duration::from_secs(3600),
};

/// Workloads that share a boot.
struct Part {
    boot: Boot,
    workloads: &'static [&'static str],
    /// How the names of their results begin.
    results: &'static [&'static str],
    /// Whether `--check` has them: none that takes minutes, and nothing by the clock of the host.
    checked: bool,
}

/// The page that has the tables of x86_64.
const PAGE: &str = "Documentation/cost.md";
const BEGIN: &str = "<!-- tables: cargo xtask bench --update -->\n";
const END: &str = "<!-- end of tables -->";

/// The benchmark, as it is compiled.
const PROGRAM: &str = "bench-program";

const PARTS: &[Part] = &[
    Part {
        boot: Boot {
            memory: "2G",
            ..COUNTED
        },
        workloads: &[
            "eventfd", "echo", "ctl", "timer", "asleep", "http", "memory",
        ],
        results: &[
            "eventfd", "echo", "ctl", "timer", "asleep", "http", "memory",
        ],
        checked: true,
    },
    Part {
        boot: Boot {
            memory: "8G",
            ..COUNTED
        },
        workloads: &["growth", "timers"],
        results: &["growth", "timers-"],
        checked: false,
    },
    Part {
        boot: Boot {
            memory: "2G",
            ..SMP
        },
        workloads: &["pair", "crowd"],
        results: &["pair", "crowd"],
        checked: false,
    },
];

/// Measures what an event costs with kevent, epoll and io_uring, in one boot.
///
/// QEMU counts the instructions of one processor, so two runs are alike. What lacks is made first:
/// tools, tree, kernel. The cost of an event is what the work needs beyond the same work that
/// nobody is told of.
#[derive(clap::Args)]
pub struct Args {
    /// Only these; with a wrong name, it says which there are
    #[arg(long, value_name = "NAME", value_parser = names())]
    only: Option<String>,

    /// Make the page and the pictures of the checked-in results again
    #[arg(long, conflicts_with_all = ["only", "check", "update", "step"])]
    draw: bool,

    /// Step through one event of each peer, count locked instructions, and list the wake-up path
    #[arg(long, conflicts_with_all = ["only", "check"])]
    step: bool,

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
    if args.draw {
        return draw(ctx, &read_golden(ctx)?);
    }
    if args.step {
        return show_steps(ctx, args.update);
    }
    let only = args.only.as_deref();
    let measured = measure(ctx, |_, name| only.is_none_or(|only| only == name))?;
    println!("{}", table::show(&measured));
    if args.update {
        let path = golden_path(ctx);
        write_atomic(&path, measured.to_json()?)?;
        println!("{}", path.display());
        draw(ctx, &measured)?;
    }
    Ok(())
}

fn read_golden(ctx: &Context) -> Result<Measured> {
    let path = golden_path(ctx);
    let golden = fs::read_to_string(&path);
    let golden = golden.with_context(|| format!("cannot read {}", path.display()))?;
    Measured::from_json(&golden).with_context(|| path.display().to_string())
}

/// Makes what is for people of the results: the page's tables, and the pictures.
fn draw(ctx: &Context, measured: &Measured) -> Result<()> {
    if ctx.arch == Arch::X86_64 {
        let page = ctx.repo.join(PAGE);
        let text = fs::read_to_string(&page);
        let text = text.with_context(|| format!("cannot read {}", page.display()))?;
        write_atomic(&page, with_tables(&text, measured)?)?;
        println!("{}", page.display());
    }
    let golden = golden_path(ctx);
    let folder = golden.parent().context("the results have no folder")?;
    for picture in plot::draw(measured, folder, ctx.arch.name())? {
        println!("{}", picture.display());
    }
    Ok(())
}

/// The page with the tables of `measured` between its two marks.
fn with_tables(page: &str, measured: &Measured) -> Result<String> {
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| {
        let (_, tail) = rest.split_once(END)?;
        Some((head, tail))
    });
    let (head, tail) = parts.with_context(|| format!("{PAGE} lacks {BEGIN} or {END}"))?;
    Ok(format!(
        "{head}{BEGIN}\n{}\n\n{END}{tail}",
        table::page(measured)
    ))
}

fn show_steps(ctx: &Context, update: bool) -> Result<()> {
    let stepped = step::step(ctx)?;
    let text = table::show_steps(&stepped.events) + "\n" + &stepped.listing;
    if update {
        let path = golden_path(ctx).with_file_name(format!("{}-wakeup.txt", ctx.arch.name()));
        write_atomic(&path, &text)?;
        println!("{}", path.display());
    } else {
        print!("{text}");
    }
    Ok(())
}

/// Fails where kevent costs more than the checked-in results say; returns how many were compared.
pub fn check(ctx: &Context) -> Result<usize> {
    let golden = read_golden(ctx)?;
    let now = measure(ctx, |part, _| part.checked)?;
    println!("{}", table::show(&now));
    let compared = now.compare(&golden, is_checked)?;
    if !compared.worse.is_empty() {
        bail!(
            "{} of {} measurements are worse than in {}:\n{}",
            compared.worse.len(),
            compared.done,
            golden_path(ctx).display(),
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

fn names() -> Vec<&'static str> {
    PARTS
        .iter()
        .flat_map(|part| part.workloads)
        .copied()
        .collect()
}

/// Whether a result is of those that `--check` measures.
fn is_checked(result: &str) -> bool {
    let of = |part: &&Part| part.results.iter().any(|begin| result.starts_with(begin));
    PARTS.iter().filter(|part| !part.checked).find(of).is_none()
}

/// Measures the workloads that `wanted` is for, in as many boots as they need.
fn measure(ctx: &Context, wanted: impl Fn(&Part, &str) -> bool) -> Result<Measured> {
    if ctx.arch == Arch::Um {
        bail!("instructions cannot be counted in User-Mode Linux");
    }
    let kernel = run::kernel(ctx, Flavour::Ordinary, Accel::Tcg)?;
    let mut text = String::new();
    for part in PARTS {
        let names = part.workloads.iter().copied();
        let names: Vec<&str> = names.filter(|name| wanted(part, name)).collect();
        if !names.is_empty() {
            text += &measure_in_one_boot(ctx, &kernel, &part.boot, &names)?;
        }
    }
    Measured::parse(made(ctx, &kernel)?, &text)
}

fn measure_in_one_boot(
    ctx: &Context,
    kernel: &Kernel,
    boot: &Boot,
    names: &[&str],
) -> Result<String> {
    let archive = pack(ctx, kernel, boot, names)?;
    let guest = selftests::guest(ctx, kernel, boot, &archive, Mode::Exec)?;
    let step = Step::start(format!("Measuring {}", names.join(", ")));
    let lines = Lines::default();
    let ports = vec![lines.port("stdout"), lines.port("stderr")];
    let code = exec::follow(ctx, guest, ports, LIMITS)?;
    step.done();
    let text = lines.text();
    if code != 0 {
        bail!("the benchmark failed with {code}:\n{text}");
    }
    Ok(text)
}

/// Compiles the benchmark, and packs it with init.
pub fn pack(ctx: &Context, kernel: &Kernel, boot: &Boot, names: &[&str]) -> Result<PathBuf> {
    let _lock = ctx.lock()?;
    let out = selftests::folder(ctx)?;
    let program = out.join(PROGRAM);
    compile(ctx, ctx.tools().guest_gcc()?, &program)?;
    let mut initramfs = run::initramfs(ctx, kernel, false)?;
    initramfs.program("/exec/bench", &program);
    let unit = if boot.counted { INSTRUCTIONS } else { NS };
    let words = ["/exec/bench", unit].into_iter();
    exec::argv(&mut initramfs, words.chain(names.iter().copied()));
    let archive = out.join("bench.cpio");
    write_atomic(&archive, initramfs.pack()?)?;
    Ok(archive)
}

fn compile(ctx: &Context, gcc: &Path, program: &Path) -> Result<()> {
    let sources = glob::glob(&ctx.repo.join("bench/*.c").to_string_lossy())?;
    let mut gcc = command(gcc);
    gcc.args(ctx.arch.compiler().flags);
    gcc.args(["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-static"]);
    // Nobody else has code there, so a breakpoint is the benchmark's.
    gcc.arg("-Wl,-Ttext-segment=0x20000000");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_results() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path: &str| fs::read_to_string(repo.join(path)).unwrap();
        let measured = Measured::from_json(&read("bench/results/x86_64.json")).unwrap();
        let page = read(PAGE);
        assert!(
            with_tables(&page, &measured).unwrap() == page,
            "{PAGE} is stale: cargo xtask bench --update"
        );
    }

    #[test]
    fn the_clock_of_the_host_fails_no_check() {
        for checked in [
            "eventfd-one",
            "timer-arm",
            "timer-expire",
            "memory-fd",
            "asleep",
            "http",
        ] {
            assert!(is_checked(checked), "{checked}");
        }
        for unchecked in ["growth-10", "timers-1000000-arm", "pair", "crowd-4x1"] {
            assert!(!is_checked(unchecked), "{unchecked}");
        }
    }
}
