//! What only a nightly toolchain has: Miri and ThreadSanitizer.

use std::process::Command;

use anyhow::{Result, anyhow, bail};

use super::guest::{self, Target};
use crate::command::command;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::guest::results::Tally;
use crate::run;
use crate::test::Ended;
use crate::test::cargo::{ended, test};
use crate::tools::in_path;

/// A nightly toolchain.
const NIGHTLY: &str = "nightly";
/// What it needs beside cargo.
const ADVICE: &str = "rustup component add --toolchain nightly miri rust-src";

/// Each seed is another schedule, and other values that weak memory allows.
const SEEDS: u32 = 8;
/// Those that need no kernel: the ring's consumers, in memory that a thread fills.
const MIRI_TESTS: &str = "consumer::";

/// cargo of the nightly toolchain in the crates' workspace; none, and what lacks, where `words` fail.
fn cargo(ctx: &Context, words: &[&str]) -> std::result::Result<Command, String> {
    let lacks = |what: &str| format!("no {what}; with rustup: {ADVICE}");
    let rustup = in_path("rustup").ok_or_else(|| lacks("rustup"))?;
    let run = || {
        let mut cargo = command(&rustup);
        cargo.args(["run", NIGHTLY, "cargo"]);
        cargo.current_dir(ctx.repo.join("userspace"));
        cargo
    };
    match run().args(words).output() {
        Ok(output) if output.status.success() => Ok(run()),
        _ => Err(lacks(&format!("`cargo +{NIGHTLY} {}`", words.join(" ")))),
    }
}

/// The consumers of a ring under Miri, which sees undefined behaviour and lets weak memory show. None,
/// and the reason, where there is no Miri.
pub fn miri(ctx: &Context) -> Result<std::result::Result<Ended, String>> {
    let version = ["miri", "--version"];
    let mut all = Tally::default();
    let mut failures = Vec::new();
    for seed in 0..SEEDS {
        let mut cargo = match cargo(ctx, &version) {
            Ok(cargo) => cargo,
            Err(lacks) => return Ok(Err(lacks)),
        };
        cargo.args(["miri", "test", "--package", "kevent", "--lib", MIRI_TESTS]);
        cargo.env("MIRIFLAGS", format!("-Zmiri-seed={seed}"));
        cargo.env("CARGO_TARGET_DIR", ctx.cache.join("target-miri"));
        let Ended {
            tally,
            failures: more,
        } = test(ctx, "miri", &mut cargo)?;
        all += tally;
        failures.extend(more.iter().map(|name| format!("{name}, seed {seed}")));
    }
    Ok(Ok(Ended {
        tally: all,
        failures,
    }))
}

/// The tests that have no programs of their own: those take too long when each access is looked at.
const TSAN_TESTS: &[&str] = &["kernel", "killed", "queues", "random", "rings", "sources"];

/// The crate's tests with ThreadSanitizer, and the standard library too, in the guest.
pub fn tsan(ctx: &Context, accel: Accel) -> Result<Ended> {
    let target = Target::find(ctx)?.map_err(|lacks| anyhow!(lacks))?;
    if !target.is_native() {
        bail!("ThreadSanitizer needs the libraries of this machine: not with --arch");
    }
    let mut cargo = cargo(ctx, &["--version"]).map_err(|lacks| anyhow!(lacks))?;
    cargo.args(["-Zbuild-std", "test", "--package", "kevent", "--lib"]);
    cargo.args(TSAN_TESTS.iter().flat_map(|test| ["--test", test]));
    cargo.args(["--target", target.triple()]);
    cargo.env("RUSTFLAGS", "-Zsanitizer=thread");
    cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    cargo.env("CARGO_TARGET_DIR", ctx.cache.join("target-tsan"));
    let kernel = run::kernel(ctx, Flavour::Ordinary, accel)?;
    let (text, success) = guest::run_dynamic(ctx, &kernel, &target, cargo, "tsan")?;
    Ok(ended(&text, success))
}
