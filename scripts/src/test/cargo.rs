//! The tests that cargo runs on this machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Ended;
use super::failures::failures;
use crate::command::{command, last_lines, stream};
use crate::context::Context;
use crate::guest::results::Tally;
use crate::progress;
use crate::tools::in_path;

/// Lines of cargo's output that are shown when it fails.
const LAST_LINES: usize = 80;

/// Whether the sources are formatted; skipped where there is no `cargo fmt`.
pub fn format(ctx: &Context) -> Result<Tally> {
    let mut tally = Tally::default();
    if cargo(ctx)?
        .args(["fmt", "--version"])
        .output()?
        .status
        .success()
    {
        for folder in [".", "userspace", "userspace/programs"] {
            let mut fmt = cargo(ctx)?;
            fmt.current_dir(ctx.repo.join(folder));
            crate::command::check(fmt.args(["fmt", "--all", "--check"]))?;
            tally.passed += 1;
        }
    } else {
        println!("SKIP: this toolchain has no `cargo fmt`");
        tally.skipped = 1;
    }
    Ok(tally)
}

/// Unit and property tests.
pub fn host(ctx: &Context) -> Result<Ended> {
    let mut cargo = cargo(ctx)?;
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    test(ctx, "host", &mut cargo)
}

/// Every interleaving of the ring's protocol, and of what meets the last close of a file.
pub fn loom(ctx: &Context) -> Result<Ended> {
    let mut cargo = cargo(ctx)?;
    cargo.args(["test", "--package", "kevent-model", "--test", "loom"]);
    cargo.args(["--release", "--no-fail-fast"]);
    cargo.env("RUSTFLAGS", "--cfg loom");
    // Other flags, other objects: kept apart, so that neither throws the other's away.
    cargo.env("CARGO_TARGET_DIR", ctx.cache.join("target-loom"));
    test(ctx, "loom", &mut cargo)
}

pub fn cargo(ctx: &Context) -> Result<Command> {
    let cargo = std::env::var_os("CARGO")
        .map(PathBuf::from)
        .or_else(|| in_path("cargo"));
    let mut cargo = command(cargo.context("cargo not found")?);
    cargo.current_dir(&ctx.repo);
    Ok(cargo)
}

/// Runs tests, and shows the last of their output if one fails.
pub fn test(ctx: &Context, name: &str, cargo: &mut Command) -> Result<Ended> {
    let log = ctx.cache.join("log").join(format!("test-{name}"));
    let step = progress::Step::start(format!("cargo test: {name}"));
    let mut text = String::new();
    let status = stream(cargo, &log, |line| {
        step.update(line.trim());
        text.push_str(line);
        text.push('\n');
    })?;
    drop(step);
    let ended = ended(&text, status.success());
    if ended.tally.failed > 0 {
        println!("{}", last_lines(&text, LAST_LINES));
        println!("all of it is in {}", log.display());
    } else if ended.tally.passed == 0 {
        bail!("cargo ran no test; its output is in {}", log.display());
    }
    Ok(ended)
}

/// What the output of `cargo test` says.
pub fn ended(text: &str, success: bool) -> Ended {
    Ended {
        tally: tally(text, success),
        failures: failures(text, success),
    }
}

/// The sum of the lines "test result: ok. 3 passed; 0 failed; 1 ignored; ...".
fn tally(text: &str, success: bool) -> Tally {
    let mut tally = Tally::default();
    for line in text.lines() {
        // A program that wrote without a newline may stand before it.
        let Some((_, line)) = line.split_once("test result: ") else {
            continue;
        };
        for part in line.split([';', '.']) {
            let Some((count, what)) = part.trim().split_once(' ') else {
                continue;
            };
            let Ok(count) = count.parse::<usize>() else {
                continue;
            };
            match what {
                "passed" => tally.passed += count,
                "failed" => tally.failed += count,
                "ignored" => tally.skipped += count,
                _ => {}
            }
        }
    }
    // What does not compile, or dies, has no summary.
    if !success && tally.failed == 0 {
        tally.failed = 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "running 4 tests\ntest a ... ok\n\
        test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.0s\n\
        test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn summaries_are_added_up() {
        assert_eq!(
            tally(TEXT, false).to_string(),
            "8 passed, 2 failed, 1 skipped"
        );
    }

    #[test]
    fn a_failure_without_a_summary_counts() {
        let text = "error: could not compile `kevent-model`\n";
        assert_eq!(
            tally(text, false).to_string(),
            "0 passed, 1 failed, 0 skipped"
        );
        let died = TEXT.lines().nth(2).unwrap();
        assert_eq!(
            tally(died, false).to_string(),
            "3 passed, 1 failed, 1 skipped"
        );
        assert_eq!(
            tally(died, true).to_string(),
            "3 passed, 0 failed, 1 skipped"
        );
    }
}
