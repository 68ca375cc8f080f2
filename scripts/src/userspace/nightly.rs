//! What only a nightly toolchain has: Miri and ThreadSanitizer.

use std::process::{Command, Stdio};

use anyhow::{Result, anyhow, bail};

use super::guest::{self, Target};
use crate::cache::name_for;
use crate::command::command;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
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

/// cargo of the nightly toolchain in the crates' workspace; none, and what lacks, if `probe` fails.
fn cargo(ctx: &Context, probe: &[&str]) -> std::result::Result<Command, String> {
    let lacks = |what: &str| format!("no {what}; with rustup: {ADVICE}");
    let rustup = in_path("rustup").ok_or_else(|| lacks("rustup"))?;
    let run = || {
        let mut cargo = command(&rustup);
        cargo.args(["run", NIGHTLY, "cargo"]);
        cargo.current_dir(ctx.repo.join("userspace"));
        cargo.stdin(Stdio::null());
        cargo
    };
    match run().args(probe).output() {
        Ok(output) if output.status.success() => Ok(run()),
        _ => Err(lacks(&format!("`cargo +{NIGHTLY} {}`", probe.join(" ")))),
    }
}

/// The consumers of a ring under Miri, which sees undefined behaviour and lets weak memory show. None,
/// and the reason, where there is no Miri.
pub fn miri(ctx: &Context) -> Result<std::result::Result<Ended, String>> {
    // It makes the standard library for Miri, for which it needs the source.
    let mut cargo = match cargo(ctx, &["miri", "setup"]) {
        Ok(cargo) => cargo,
        Err(lacks) => return Ok(Err(lacks)),
    };
    cargo.args(["miri", "test", "--package", "kevent", "--lib", MIRI_TESTS]);
    // What it compiles runs in the folder that it was compiled in: no clone can use another's.
    let target = name_for("target-miri", &ctx.repo)?;
    cargo.env("CARGO_TARGET_DIR", ctx.cache.join(target));
    let mut all = Ended::default();
    for seed in 0..SEEDS {
        cargo.env("MIRIFLAGS", format!("-Zmiri-seed={seed}"));
        let Ended { tally, failures } = test(ctx, "miri", &mut cargo)?;
        all.tally += tally;
        let failures = failures.iter().map(|failure| {
            let (name, said) = failure.split_at(failure.find('\n').unwrap_or(failure.len()));
            format!("{name}, seed {seed}{said}")
        });
        all.failures.extend(failures);
    }
    Ok(Ok(all))
}

/// Tests that are left out: programs that take too long when each access is looked at, and handlers of
/// signals, which ThreadSanitizer puts off until a call that it knows.
const NOT_TSAN: [&str; 2] = ["examples", "signals"];

fn tsan_tests(ctx: &Context) -> Result<Vec<String>> {
    let mut tests = Vec::new();
    for path in glob::glob(
        &ctx.repo
            .join("userspace/kevent/tests/*.rs")
            .to_string_lossy(),
    )? {
        let name = path?
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned());
        tests.extend(name.filter(|name| !NOT_TSAN.contains(&name.as_str())));
    }
    Ok(tests)
}

/// The crate's tests with ThreadSanitizer, and the standard library too, in the guest.
pub fn tsan(ctx: &Context, accel: Accel) -> Result<Ended> {
    let target = Target::find(ctx)?.map_err(|lacks| anyhow!(lacks))?;
    if !target.is_native() {
        bail!("ThreadSanitizer needs the libraries of this machine: not with --arch");
    }
    let mut cargo = cargo(ctx, &["--version"]).map_err(|lacks| anyhow!(lacks))?;
    cargo.args(["-Zbuild-std", "test", "--package", "kevent", "--lib"]);
    for test in tsan_tests(ctx)? {
        cargo.args(["--test", &test]);
    }
    cargo.args(["--target", target.triple()]);
    cargo.env("RUSTFLAGS", "-Zsanitizer=thread");
    cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    cargo.env("CARGO_TARGET_DIR", ctx.cache.join("target-tsan"));
    let kernel = run::kernel(ctx, Flavour::Ordinary, accel)?;
    let (text, success) = guest::run_dynamic(ctx, &kernel, &target, cargo, "tsan")?;
    Ok(ended(&text, success))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;

    #[test]
    fn each_test_is_run_or_left_out() {
        let ctx = Context::new(Arch::X86_64, None).unwrap();
        let tests = tsan_tests(&ctx).unwrap();
        assert!(tests.contains(&"rings".to_owned()), "{tests:?}");
        for test in NOT_TSAN {
            let path = format!("userspace/kevent/tests/{test}.rs");
            assert!(ctx.repo.join(path).is_file() && !tests.contains(&test.to_owned()));
        }
    }
}
