//! The bindings of `kevent-sys`, made by bindgen and checked in.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::cache::write_atomic;
use crate::command::{command, stdout};
use crate::context::Context;
use crate::setup;

/// Rust's name of an architecture, and what clang calls its programs.
const TARGETS: [(&str, &str); 3] = [
    ("x86_64", "x86_64-linux-gnu"),
    ("aarch64", "aarch64-linux-gnu"),
    ("x86", "i686-linux-gnu"),
];

const HEAD: &str = "// SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note
// Made by `cargo xtask userspace --update` from linux/kevent.h.

";

/// Writes the bindings, and says where.
pub fn update(ctx: &Context) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (name, target) in TARGETS {
        let path = path(ctx, name);
        write_atomic(&path, make(ctx, target)?)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Fails when the bindings are not as bindgen makes them.
pub fn check(ctx: &Context) -> Result<usize> {
    for (name, target) in TARGETS {
        let path = path(ctx, name);
        let there = fs::read_to_string(&path);
        let there = there.with_context(|| format!("cannot read {}", path.display()))?;
        if there != make(ctx, target)? {
            bail!(
                "{} is stale: `cargo xtask userspace --update` makes it anew",
                path.display()
            );
        }
    }
    Ok(TARGETS.len())
}

fn path(ctx: &Context, name: &str) -> PathBuf {
    let folder = ctx.repo.join("userspace/kevent-sys/src/bindings");
    folder.join(name).with_extension("rs")
}

fn make(ctx: &Context, target: &str) -> Result<String> {
    setup::ensure(ctx)?;
    let tools = ctx.tools();
    let include = ctx.repo.join("linux/include/uapi");
    // The other targets' headers are not installed, and are the same.
    let multiarch = stdout(command(tools.gcc()?).arg("-print-multiarch"))?;
    let mut bindgen = command(tools.bindgen()?);
    bindgen.env("LIBCLANG_PATH", &tools.llvm()?.lib);
    bindgen.env_remove("BINDGEN_EXTRA_CLANG_ARGS");
    bindgen.arg(include.join("linux/kevent.h"));
    bindgen.args(["--allowlist-file", ".*/linux/kevent[.]h", "--use-core"]);
    bindgen.args(["--no-prepend-enum-name", "--no-doc-comments"]);
    bindgen.args(["--with-derive-default", "--wrap-unsafe-ops"]);
    bindgen.args(["--rust-target", "1.85", "--rust-edition", "2024"]);
    bindgen.args(["--disable-header-comment", "--"]);
    bindgen
        .arg(format!("--target={target}"))
        .arg("-I")
        .arg(include);
    bindgen.args(["-idirafter", &format!("/usr/include/{multiarch}")]);
    Ok(format!("{HEAD}{}\n", stdout(&mut bindgen)?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_calls_have_their_numbers() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path: &str| fs::read_to_string(repo.join(path)).unwrap();
        let sys = read("userspace/kevent-sys/src/lib.rs");
        let golden = read("scripts/abi/x86_64.golden");
        let mut calls = 0;
        for line in golden.lines() {
            let Some(call) = line.strip_prefix("call scripts/syscall.tbl ") else {
                continue;
            };
            let words: Vec<&str> = call.split_whitespace().collect();
            let line = format!("SYS_{}: c_long = {};", words[2].to_uppercase(), words[0]);
            assert!(sys.contains(&line), "{line}");
            calls += 1;
        }
        assert_eq!(calls, 5);
    }
}
