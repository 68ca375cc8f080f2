//! The crates' tests in the guest: every program that `cargo test` would run, in one boot.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::cache::write_atomic;
use crate::command::{check, command, stdout};
use crate::context::Context;
use crate::guest::boot::{Boot, Mode, SMP};
use crate::guest::exec;
use crate::guest::initramfs::Initramfs;
use crate::guest::selftests::{self, Kernel};
use crate::guest::session::{Limits, RawPort};
use crate::progress::Step;
use crate::run;
use crate::tools::in_path;

const LIMITS: Limits = Limits {
    silence: Duration::from_secs(600),
    total: Duration::from_secs(1800),
};

/// The crate of the library for epoll.
const PRELOADED: &str = "epoll-kevent";

/// The programs are in the memory of the guest.
const BOOT: Boot = Boot {
    memory: "2G",
    ..SMP
};

/// What the tests of one architecture are built with.
pub struct Target {
    triple: &'static str,
    /// The compiler that links, if it is not that of this machine.
    linker: Option<PathBuf>,
    /// Where cargo builds.
    folder: PathBuf,
}

impl Target {
    /// None, and the reason, where there is no standard library for it.
    pub fn find(ctx: &Context) -> Result<std::result::Result<Target, String>> {
        let (triple, linker) = match ctx.arch {
            Arch::X86_64 => ("x86_64-unknown-linux-gnu", None),
            Arch::Arm64 => {
                let gcc = ctx.tools().guest_gcc()?.to_owned();
                ("aarch64-unknown-linux-gnu", Some(gcc))
            }
            Arch::Um => return Ok(Err("programs are not brought to User-Mode Linux".to_owned())),
        };
        if let Err(lacks) = has_library(triple)? {
            return Ok(Err(lacks));
        }
        Ok(Ok(Target {
            triple,
            linker,
            folder: ctx.cache.join("target-userspace"),
        }))
    }

    /// Whether the guest runs programs of this machine, with its libraries.
    pub fn is_native(&self) -> bool {
        self.linker.is_none()
    }

    pub fn triple(&self) -> &'static str {
        self.triple
    }

    /// cargo for static programs, which need nothing of the guest.
    pub fn cargo(&self, ctx: &Context, verb: &str) -> Result<Command> {
        let mut cargo = super::cargo(ctx)?;
        let variable = |name: &str| {
            let triple = self.triple.to_uppercase().replace('-', "_");
            format!("CARGO_TARGET_{triple}_{name}")
        };
        const STATIC: &str = "-C target-feature=+crt-static";
        cargo.env(variable("RUSTFLAGS"), STATIC);
        cargo.env("RUSTDOCFLAGS", STATIC);
        if let Some(linker) = &self.linker {
            cargo.env(variable("LINKER"), linker);
        }
        // Small, as they live in memory, and not slow where instructions are emulated.
        cargo.env("CARGO_PROFILE_DEV_STRIP", "true");
        cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
        cargo.env("CARGO_TARGET_DIR", &self.folder);
        cargo.args([
            verb,
            "--workspace",
            "--exclude",
            PRELOADED,
            "--target",
            self.triple,
        ]);
        Ok(cargo)
    }

    /// Where cargo puts a program.
    pub fn built(&self, name: &str) -> PathBuf {
        self.folder.join(self.triple).join("debug").join(name)
    }

    /// cargo for the library that is preloaded, which nothing static can be, and its tests. Only for
    /// programs of this machine, whose libraries are brought to the guest.
    pub fn preloaded(&self, ctx: &Context, verb: &str) -> Result<Command> {
        let mut cargo = super::cargo(ctx)?;
        cargo.env("CARGO_PROFILE_DEV_STRIP", "true");
        cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
        cargo.env("CARGO_TARGET_DIR", self.folder.join("preloaded"));
        cargo.args([verb, "--package", PRELOADED, "--target", self.triple]);
        Ok(cargo)
    }

    /// A program of this workspace, built.
    pub fn program(&self, ctx: &Context, name: &str) -> Result<PathBuf> {
        check(self.cargo(ctx, "build")?.args(["--bin", name]))?;
        Ok(self.built(name))
    }

    /// The library that is preloaded, built.
    pub fn preload(&self, ctx: &Context) -> Result<PathBuf> {
        check(&mut self.preloaded(ctx, "build")?)?;
        Ok(self.library("debug"))
    }

    /// What is built of the library in a profile.
    fn preloaded_folder(&self, profile: &str) -> PathBuf {
        let folder = self.folder.join("preloaded");
        folder.join(self.triple).join(profile)
    }

    /// Where the library is once it is built.
    pub fn library(&self, profile: &str) -> PathBuf {
        self.preloaded_folder(profile).join("libepoll_kevent.so")
    }

    /// Every program that `cargo`, which tests, would run, doctests too: it runs `cp` in place of each.
    fn tests(&self, mut cargo: Command, name: &str) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join(name).join(self.triple);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let copy = ["cp", "--backup=numbered", "-t"].map(str::to_owned);
        let copy = [&copy[..], &[folder.display().to_string()]].concat();
        cargo.arg("--config");
        cargo.arg(format!("target.{}.runner={copy:?}", self.triple));
        check(&mut cargo)?;
        let mut tests = files(&folder.join("*"))?;
        tests.retain(|path| path.is_file());
        Ok(tests)
    }
}

/// Whether rustc has its standard library for a target; else what to do.
pub fn has_library(triple: &str) -> Result<std::result::Result<(), String>> {
    let mut rustc = command(in_path("rustc").context("rustc not found")?);
    rustc.args(["--print", "target-libdir", "--target", triple]);
    let library = PathBuf::from(stdout(&mut rustc)?).join("libstd-*.rlib");
    Ok(match glob::glob(&library.to_string_lossy())?.next() {
        Some(_) => Ok(()),
        None => Err(format!(
            "no standard library for {triple}; with rustup: rustup target add {triple}"
        )),
    })
}

fn files(pattern: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        glob::glob(&pattern.to_string_lossy())?.collect::<Result<_, _>>()?;
    paths.sort();
    Ok(paths)
}

/// Runs them, and gives the text that they wrote, and whether all succeeded.
pub fn run(ctx: &Context, kernel: &Kernel, target: &Target) -> Result<(String, bool)> {
    let archive = {
        let _lock = ctx.lock()?;
        pack(ctx, kernel, target)?
    };
    boot(ctx, kernel, &archive)
}

/// The same with what `cargo` tests, which makes programs of this machine with its libraries.
pub fn run_dynamic(
    ctx: &Context,
    kernel: &Kernel,
    target: &Target,
    cargo: Command,
    name: &str,
) -> Result<(String, bool)> {
    let archive = {
        let _lock = ctx.lock()?;
        pack_dynamic(ctx, kernel, target, cargo, name)?
    };
    boot(ctx, kernel, &archive)
}

fn boot(ctx: &Context, kernel: &Kernel, archive: &Path) -> Result<(String, bool)> {
    let guest = selftests::guest(ctx, kernel, &BOOT, archive, Mode::Exec)?;
    let text = Tee::default();
    let port = |name| RawPort {
        name,
        to: Box::new(text.clone()),
    };
    let code = exec::follow(ctx, guest, vec![port("stdout"), port("stderr")], LIMITS)?;
    Ok((text.text(), code == 0))
}

/// The programs lie to each other as they do where cargo built them.
fn pack(ctx: &Context, kernel: &Kernel, target: &Target) -> Result<PathBuf> {
    let step = Step::start(format!("Building the crates for {}", target.triple));
    check(target.cargo(ctx, "build")?.arg("--examples").arg("--bins"))?;
    let tests = target.tests(target.cargo(ctx, "test")?, "tests")?;
    let mut initramfs = run::initramfs(ctx, kernel, false)?;
    initramfs.program("/exec/run-each", &target.built("run-each"));
    let mut words = vec!["/exec/run-each".to_owned()];
    for test in &tests {
        let path = in_deps(test)?;
        initramfs.program(&path, test);
        words.push(path);
    }
    if target.is_native() {
        words.extend(add_preloaded(ctx, &mut initramfs, target)?);
    }
    step.done();
    if tests.is_empty() {
        bail!("cargo test ran no program");
    }
    for example in files(&ctx.repo.join("userspace/kevent/examples/*.rs"))? {
        let name = example.file_stem().context("a file has a name")?;
        let name = name.to_string_lossy();
        let path = format!("examples/{name}");
        initramfs.program(&format!("/exec/{path}"), &target.built(&path));
    }
    exec::argv(&mut initramfs, words.iter().map(String::as_str));
    let archive = selftests::folder(ctx)?.join("userspace.cpio");
    write_atomic(&archive, initramfs.pack()?)?;
    Ok(archive)
}

fn pack_dynamic(
    ctx: &Context,
    kernel: &Kernel,
    target: &Target,
    cargo: Command,
    name: &str,
) -> Result<PathBuf> {
    let step = Step::start(format!("Building the tests: {name}"));
    check(target.cargo(ctx, "build")?.args(["--bin", "run-each"]))?;
    let mut initramfs = run::initramfs(ctx, kernel, false)?;
    initramfs.program("/exec/run-each", &target.built("run-each"));
    let mut words = vec!["/exec/run-each".to_owned()];
    for test in target.tests(cargo, name)? {
        let path = in_deps(&test)?;
        exec::with_libraries(&mut initramfs, &path, &test)?;
        words.push(path);
    }
    step.done();
    exec::argv(&mut initramfs, words.iter().map(String::as_str));
    let archive = selftests::folder(ctx)?.join(format!("{name}.cpio"));
    write_atomic(&archive, initramfs.pack()?)?;
    Ok(archive)
}

/// Where a test is in the guest.
fn in_deps(test: &Path) -> Result<String> {
    let name = test.file_name().context("a file has a name")?;
    Ok(format!("/exec/deps/{}", name.to_string_lossy()))
}

/// Brings the library that is preloaded, the program that is run with it and without, and the tests,
/// which are returned.
fn add_preloaded(ctx: &Context, initramfs: &mut Initramfs, target: &Target) -> Result<Vec<String>> {
    check(&mut target.preloaded(ctx, "build")?)?;
    let built = target.preloaded_folder("debug");
    for (name, path) in [
        ("libepoll_kevent.so", "/exec/deps/libepoll_kevent.so"),
        ("epoll-probe", "/exec/epoll-probe"),
    ] {
        exec::with_libraries(initramfs, path, &built.join(name))?;
    }
    let mut paths = Vec::new();
    for test in target.tests(target.preloaded(ctx, "test")?, "tests-preloaded")? {
        let path = in_deps(&test)?;
        exec::with_libraries(initramfs, &path, &test)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Shows what comes, and keeps it.
#[derive(Clone, Default)]
struct Tee(Arc<Mutex<Vec<u8>>>);

impl Tee {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut all = self.0.lock().expect("nobody panics with it");
        all.extend_from_slice(bytes);
        std::io::stdout().write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush()
    }
}
