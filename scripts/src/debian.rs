//! Installs Debian packages, from the package sources that the machine is set up for.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{command, last_lines, stdout, stream};
use crate::context::Context;
use crate::progress::Step;
use crate::tools::{Source, Tools, Version};

/// The least clang and rustc that Linux 7.3 takes.
const LEAST_CLANG: u32 = 17;
const LEAST_RUSTC: Version = Version(1, 85, 0);

/// Sets of packages that give rustc, its library source, rustfmt and clippy, the newest first.
/// The first set is the toolchain that Debian keeps new for its web browsers.
const RUST: [[&str; 4]; 2] = [
    [
        "rustc-web",
        "rust-web-src",
        "rustfmt-web",
        "rust-web-clippy",
    ],
    ["rustc", "rust-src", "rustfmt", "rust-clippy"],
];

/// Fails with the exact list to install, unless nothing lacks.
pub fn explain(tools: &Tools) -> Result<()> {
    if tools.missing().next().is_none() {
        return Ok(());
    }
    let names: Vec<&str> = tools.missing().map(|row| row.what).collect();
    let names = names.join(", ");
    if !has_apt() {
        bail!(
            "not found: {names}. Install them with this system's package manager; \
             rustc needs the source of its library (rustup component add rust-src)"
        );
    }
    let mut text = format!("not found: {names}.");
    let packages = packages(tools)?;
    if !packages.is_empty() {
        let packages: Vec<String> = packages.into_iter().collect();
        let packages = packages.join(" ");
        text.push_str(&format!(
            " Install them as root:\n  apt-get install --no-install-recommends {packages}"
        ));
    }
    if tools.missing().any(|row| row.source == Source::Cargo) {
        text.push_str("\nbindgen: `cargo xtask setup` installs it in the cache");
    }
    bail!(text);
}

/// Whether an installation would give a clang whose LLVM is rustc's, where it is not so now.
pub fn can_do_better(tools: &Tools) -> bool {
    let Some(rust) = &tools.rust else {
        return false;
    };
    has_apt()
        && nix::unistd::geteuid().is_root()
        && tools.llvm.is_some()
        && !tools.inline_helpers()
        && candidate(&format!("clang-{}", rust.llvm)).is_some()
}

/// Installs what lacks if that is possible here, else lists it.
pub fn install(ctx: &Context) -> Result<()> {
    if !has_apt() || !nix::unistd::geteuid().is_root() {
        return explain(&ctx.tools());
    }
    // Lists may be older than the packages that they name, or lack the newest ones.
    if let Err(error) = update(ctx) {
        println!("the package lists stay as they are: {error:#}");
    }
    let wanted = packages(&ctx.tools())?;
    apt_install(ctx, &wanted)
}

fn update(ctx: &Context) -> Result<()> {
    let mut apt = apt_get();
    apt.arg("update");
    apt_run(ctx, apt, "Reading the package lists")
}

fn apt_install(ctx: &Context, packages: &BTreeSet<String>) -> Result<()> {
    let kept = kept(packages)?;
    let mut apt = apt_get();
    // Nothing that is installed may go for it.
    apt.args(["install", "--yes", "--no-install-recommends", "--no-remove"]);
    if !kept.is_empty() {
        println!("taking the offered version, to keep it: {}", kept.join(" "));
        apt.arg("--allow-downgrades").args(&kept);
    }
    apt.args(packages);
    let list: Vec<&str> = packages.iter().map(String::as_str).collect();
    apt_run(ctx, apt, &format!("Installing {}", list.join(" ")))
}

/// What is installed in a version that does not go with `packages`, and would be removed for them:
/// each as `name=version` that a package source offers and that may go with them.
fn kept(packages: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut simulated = apt_get();
    simulated.args(["install", "--simulate", "--no-install-recommends"]);
    let simulated = stdout(simulated.args(packages))?;
    let offered = |name: &str| {
        let versions = stdout(command("apt-cache").args(["madison", name])).ok()?;
        Some(format!("{name}={}", newest_offered(&versions)?))
    };
    Ok(removed(&simulated).filter_map(offered).collect())
}

/// The packages that a simulated run of apt-get removes.
fn removed(simulated: &str) -> impl Iterator<Item = &str> {
    let lines = simulated.lines();
    lines.filter_map(|line| line.strip_prefix("Remv ")?.split(' ').next())
}

/// The first version that `apt-cache madison` lists; installed ones that no source has are not there.
fn newest_offered(versions: &str) -> Option<&str> {
    versions.lines().next()?.split('|').nth(1).map(str::trim)
}

/// Not [`command`]: a package manager must not be killed half-way because we end.
fn apt_get() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive");
    apt.args([
        "-o",
        "DPkg::Lock::Timeout=300",
        "-o",
        "APT::Sandbox::User=root",
    ]);
    apt
}

fn apt_run(ctx: &Context, mut apt: Command, what: &str) -> Result<()> {
    let step = Step::start(what);
    let log = ctx.cache.join("log/apt");
    let mut text = String::new();
    let status = stream(&mut apt, &log, |line| {
        step.update(line);
        text.push_str(line);
        text.push('\n');
    })?;
    if !status.success() {
        bail!("apt-get: {status}\n{}", last_lines(&text, 20));
    }
    step.done();
    Ok(())
}

/// The packages of what lacks.
fn packages(tools: &Tools) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut sources: Vec<Source> = tools.missing().map(|row| row.source).collect();
    if can_do_better(tools) {
        sources.push(Source::Llvm);
    }
    for source in sources {
        match source {
            Source::Package(name) => {
                names.insert(name.to_owned());
            }
            Source::Rust => names.extend(rust_packages()?.map(str::to_owned)),
            Source::Llvm => names.extend(llvm_packages(tools)?),
            Source::Cargo => {}
        }
    }
    Ok(names)
}

fn rust_packages() -> Result<[&'static str; 4]> {
    let usable = |set: &&[&str; 4]| {
        let version = candidate(set[0]).and_then(|text| Version::find(&text));
        version.is_some_and(|version| version >= LEAST_RUSTC)
    };
    let set = RUST.iter().find(usable).copied();
    set.with_context(|| format!("no package source of this machine offers rustc {LEAST_RUSTC}"))
}

fn llvm_packages(tools: &Tools) -> Result<[String; 4]> {
    let of_rust = match &tools.rust {
        Some(rust) => Some(rust.llvm),
        None => llvm_of_package(rust_packages()?[0]),
    };
    let offered = stdout(command("apt-cache").args(["search", "--names-only", "^clang-[0-9]+$"]))?;
    let major = choose_llvm(of_rust, &offered);
    let major =
        major.context("no package source of this machine offers a clang that is new enough")?;
    Ok(["clang", "lld", "llvm", "libclang1"].map(|name| format!("{name}-{major}")))
}

/// The LLVM that a package of rustc is linked with.
fn llvm_of_package(rustc: &str) -> Option<u32> {
    let mut depends = command("apt-cache");
    depends.args(["depends", "--recurse", "--important", rustc]);
    find_libllvm(&stdout(&mut depends).ok()?)
}

fn find_libllvm(depends: &str) -> Option<u32> {
    depends.lines().find_map(|line| {
        let name = line.trim().strip_prefix("Depends: ")?;
        name.strip_prefix("libllvm")?.parse().ok()
    })
}

/// rustc's LLVM if it is offered, else the newest.
fn choose_llvm(of_rust: Option<u32>, offered: &str) -> Option<u32> {
    let majors = offered.lines().filter_map(|line| {
        let (name, _) = line.split_once(' ')?;
        name.strip_prefix("clang-")?.parse().ok()
    });
    let majors: Vec<u32> = majors.filter(|major| *major >= LEAST_CLANG).collect();
    let same = of_rust.filter(|major| majors.contains(major));
    same.or_else(|| majors.into_iter().max())
}

/// The version of a package that would be installed.
fn candidate(package: &str) -> Option<String> {
    let policy = stdout(command("apt-cache").args(["policy", package])).ok()?;
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

fn has_apt() -> bool {
    Path::new("/usr/bin/apt-get").exists() && Path::new("/var/lib/dpkg/status").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: &str = "clang-16 - C compiler\nclang-22 - C compiler\nclang-19 - C compiler\n";

    #[test]
    fn llvm_of_rustc_is_preferred() {
        assert_eq!(choose_llvm(Some(19), OFFERED), Some(19));
        assert_eq!(choose_llvm(Some(21), OFFERED), Some(22));
        assert_eq!(choose_llvm(None, OFFERED), Some(22));
        assert_eq!(choose_llvm(Some(16), "clang-16 - C compiler\n"), None);
    }

    #[test]
    fn what_would_go_is_kept_in_the_offered_version() {
        let simulated = "Remv qemu-utils [1:10.0.2]\nInst seabios (1.16.2-1 Debian:12 [all])\n";
        assert_eq!(removed(simulated).collect::<Vec<_>>(), ["qemu-utils"]);
        assert_eq!(removed("Inst seabios (1.16.2-1)\n").count(), 0);
        let versions = " qemu-utils | 1:7.2+b3 | main\n qemu-utils | 1:7.2 | main\n";
        assert_eq!(newest_offered(versions), Some("1:7.2+b3"));
        assert_eq!(newest_offered(""), None);
    }

    #[test]
    fn llvm_is_found_among_dependencies() {
        let text = "rustc-web\n  Depends: gcc\nlibstd-rust-web-1.96\n  Depends: libllvm22\n";
        assert_eq!(find_libllvm(text), Some(22));
        assert_eq!(find_libllvm("rustc\n  Depends: libc6\n"), None);
    }
}
