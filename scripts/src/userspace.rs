//! `cargo xtask userspace`: the crates for programs.

mod bindings;
pub mod guest;
mod nightly;

use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::command::check;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::guest::results::Tally;
use crate::run;
use crate::test::Ended;
use crate::test::cargo::{ended, test};

/// Tests the crates `kevent-sys`, `kevent` and `epoll-kevent`.
///
/// Checks that the bindings are those that bindgen makes and that the documentation has no warning,
/// runs the tests on this machine, where those that need kevent end early, and then all of them in the
/// guest: unit, property and integration tests, the examples of the documentation, the programs in
/// userspace/kevent/examples/, and, on this machine's architecture, a program on epoll with and without
/// the library that puts it on kevent.
#[derive(clap::Args)]
pub struct Args {
    /// Make the bindings, and nothing else
    #[arg(long)]
    update: bool,

    /// Check the bindings, and nothing else
    #[arg(long, conflicts_with = "update")]
    check: bool,

    /// Run the ring's consumers under Miri, and nothing else; needs a nightly toolchain
    #[arg(long, conflicts_with_all = ["update", "check"])]
    miri: bool,

    /// Run the tests in the guest with ThreadSanitizer, and nothing else; needs a nightly toolchain
    #[arg(long, conflicts_with_all = ["update", "check", "miri"])]
    tsan: bool,

    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if args.update {
        for path in bindings::update(ctx)? {
            println!("{}", path.display());
        }
        return Ok(());
    }
    if args.check {
        println!("{} files of bindings are current", bindings::check(ctx)?);
        return Ok(());
    }
    if args.miri {
        return said(&nightly::miri(ctx)?.map_err(|lacks| anyhow!(lacks))?.tally);
    }
    if args.tsan {
        return said(&nightly::tsan(ctx, args.accel)?.tally);
    }
    let host = on_this_machine(ctx)?;
    println!("on this machine: {}", host.tally);
    let guest = in_the_guest(ctx, args.accel)?;
    println!("in the guest: {}", guest.tally);
    let mut tally = host.tally;
    tally += guest.tally;
    said(&tally)
}

fn said(tally: &Tally) -> Result<()> {
    println!("{tally}");
    match tally.failed {
        0 => Ok(()),
        failed => bail!("{failed} tests failed"),
    }
}

/// The consumers under Miri; skipped where there is none.
pub fn under_miri(ctx: &Context) -> Result<Ended> {
    nightly::miri(ctx).map(|ended| ended.unwrap_or_else(|lacks| Ended::skipped(&lacks)))
}

/// The bindings, the documentation, and every test as far as it goes without kevent.
pub fn on_this_machine(ctx: &Context) -> Result<Ended> {
    let files = bindings::check(ctx)?;
    let mut doc = cargo(ctx)?;
    doc.args(["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    doc.env("CARGO_TARGET_DIR", ctx.cache.join("target-userspace"));
    check(&mut doc)?;
    let mut tests = cargo(ctx)?;
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    tests.env("CARGO_TARGET_DIR", ctx.cache.join("target-userspace"));
    let mut ended = test(ctx, "userspace", &mut tests)?;
    ended.tally.passed += files + 1;
    Ok(ended)
}

/// Every test with kevent. Skipped where Rust has no library for the guest.
pub fn in_the_guest(ctx: &Context, accel: Accel) -> Result<Ended> {
    let target = match guest::Target::find(ctx)? {
        Ok(target) => target,
        Err(reason) => {
            return Ok(Ended::skipped(&reason));
        }
    };
    let kernel = run::kernel(ctx, Flavour::Ordinary, accel)?;
    let (text, success) = guest::run(ctx, &kernel, &target)?;
    let mut ended = ended(&text, success);
    if !target.is_native() {
        println!("SKIP: the library for epoll, as its tests need the libraries of this machine");
        ended.tally.skipped += 1;
    }
    Ok(ended)
}

/// cargo in the crates' workspace.
fn cargo(ctx: &Context) -> Result<Command> {
    let mut cargo = crate::test::cargo::cargo(ctx)?;
    cargo.current_dir(ctx.repo.join("userspace"));
    Ok(cargo)
}
