//! `cargo xtask abi`: the binary interface against its golden file.

mod calls;
mod header;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use similar::{ChangeTag, TextDiff};

use crate::cache::write_atomic;
use crate::context::Context;
use crate::setup;

/// Compares the binary interface with the golden file.
///
/// Sizes, offsets, types and constants come from the UAPI header, read by bindgen; the numbers
/// of the calls from the edits of the system call tables. No kernel is built. A difference
/// fails, unless --update says that it is on purpose.
#[derive(clap::Args)]
pub struct Args {
    /// Write the golden file
    #[arg(long)]
    update: bool,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let path = golden_path(ctx);
    if args.update {
        write_atomic(&path, facts(ctx)?)?;
        println!("{}", path.display());
        return Ok(());
    }
    println!("{} facts of the interface are as they were", check(ctx)?);
    Ok(())
}

/// Fails when the interface is not as the golden file has it; gives the number of facts.
pub fn check(ctx: &Context) -> Result<usize> {
    let path = golden_path(ctx);
    let golden = fs::read_to_string(&path);
    let golden = golden.with_context(|| format!("cannot read {}", path.display()))?;
    let now = facts(ctx)?;
    if let Some(diff) = diff(&golden, &now) {
        bail!(
            "the interface is not as {} has it:\n{diff}`cargo xtask abi --update` makes it so",
            path.display()
        );
    }
    Ok(now.lines().filter(|line| !line.starts_with('#')).count())
}

fn golden_path(ctx: &Context) -> PathBuf {
    ctx.repo
        .join("scripts/abi")
        .join(format!("{}.golden", ctx.arch.name()))
}

/// Every fact of the interface, one a line, sorted.
fn facts(ctx: &Context) -> Result<String> {
    setup::ensure(ctx)?;
    let mut facts = header::facts(ctx)?;
    facts.extend(calls::facts(ctx)?);
    facts.sort();
    let name = ctx.arch.name();
    let head =
        format!("# The binary interface on {name}; `cargo xtask abi --update` writes this.\n");
    Ok(head + &facts.join("\n") + "\n")
}

/// The lines that differ, if any.
fn diff(golden: &str, now: &str) -> Option<String> {
    let diff = TextDiff::from_lines(golden, now);
    let mut text = String::new();
    for change in diff.iter_all_changes() {
        match change.tag() {
            ChangeTag::Equal => {}
            ChangeTag::Delete => text.push_str(&format!("-{}\n", change.value().trim_end())),
            ChangeTag::Insert => text.push_str(&format!("+{}\n", change.value().trim_end())),
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_both_ways() {
        assert_eq!(diff("a 1\nb 2\n", "a 1\nb 2\n"), None);
        assert_eq!(diff("a 1\nb 2\n", "a 1\nb 3\n").unwrap(), "-b 2\n+b 3\n");
        assert_eq!(diff("a 1\n", "a 1\nb 3\n").unwrap(), "+b 3\n");
        assert_eq!(diff("a 1\nb 3\n", "a 1\n").unwrap(), "-b 3\n");
    }
}
