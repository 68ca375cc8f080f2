//! `cargo xtask tables`: the tables of the documents that are made from lists of tests, from what the
//! model explores, and from the sources of the series.

mod files;
mod model;
mod modes;
mod series;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::cache::write_atomic;
use crate::context::Context;

/// Writes the tables of the documents that are made from lists of tests, from what the model
/// explores, and from the sources of the series.
///
/// A cell that no test stands for is an error, and so is a file of C without a reason. `series` does
/// this first.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail when a table is not what it is made from gives
    #[arg(long)]
    check: bool,
}

pub const DOCUMENT: &str = "Documentation/userspace-api/kevent.rst";

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if args.check {
        check(&ctx.repo)
    } else {
        update(&ctx.repo)
    }
}

/// What is told of how bugs are found.
const TESTING: &str = "Documentation/testing.md";

/// What is told of the patches.
const SERIES: &str = "Documentation/series.md";

/// Fails when a table is not what it is made from gives.
pub fn check(repo: &Path) -> Result<()> {
    for (name, old, new) in documents(repo)? {
        if old != new {
            bail!("the tables of {name} are not up to date; `cargo xtask tables` writes them");
        }
    }
    Ok(())
}

/// Writes the tables.
pub fn update(repo: &Path) -> Result<()> {
    for (name, old, new) in documents(repo)? {
        if old != new {
            write_atomic(&repo.join(name), new)?;
        }
    }
    Ok(())
}

/// The documents as they are, and with the tables that are made now.
fn documents(repo: &Path) -> Result<[(&'static str, String, String); 3]> {
    let read = |name: &str| {
        let path = repo.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let old = read(DOCUMENT)?;
    let new = replace(&old, "modes", &modes::table(&read("selftests/modes.c")?)?)?;
    let new = replace(&new, "files", &files::table(&read("selftests/files.c")?)?)?;
    let testing = read(TESTING)?;
    let explored = model::explored(&read("scripts/model/explored.txt")?)?;
    let filled = fill(&testing, "explored", &explored)?;
    let filled = fill(&filled, "handshakes", &model::handshakes(&read, &old)?)?;
    let page = read(SERIES)?;
    let (patches, c_files) = series::tables(repo)?;
    let told = fill(&fill(&page, "patches", &patches)?, "c", &c_files)?;
    Ok([
        (DOCUMENT, old, new),
        (TESTING, testing, filled),
        (SERIES, page, told),
    ])
}

/// The same in Markdown.
pub fn fill(text: &str, name: &str, table: &str) -> Result<String> {
    let marker = |what| format!("<!-- {name} {what} -->\n");
    between(
        text,
        &marker("begin"),
        &marker("end"),
        &format!("\n{table}\n"),
    )
}

/// `text` with what stands between the markers of `name` replaced.
fn replace(text: &str, name: &str, table: &str) -> Result<String> {
    let marker = |what| format!(".. kevent-{name}-{what}\n");
    between(
        text,
        &marker("begin"),
        &marker("end"),
        &format!("\n{table}\n"),
    )
}

/// `text` with what stands between two lines replaced.
pub fn between(text: &str, begin: &str, end: &str, table: &str) -> Result<String> {
    let at = |marker: &str| {
        let line = marker.trim_end();
        text.find(marker)
            .with_context(|| format!("there is no line `{line}`"))
    };
    let (first, last) = (at(begin)? + begin.len(), at(end)?);
    let head = text.get(..first).context("markers in the wrong order")?;
    let tail = &text[last..];
    if last < first {
        bail!("`{}` is above its begin", end.trim_end());
    }
    Ok(format!("{head}{table}{tail}"))
}

/// A table of reStructuredText.
fn list_table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::from(".. list-table::\n   :header-rows: 1\n\n");
    let header = header.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        for (at, cell) in row.iter().enumerate() {
            text.push_str(if at == 0 { "   * - " } else { "     - " });
            text.push_str(cell);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_markers_is_replaced() {
        let text = "a\n.. kevent-x-begin\n\nold\n\n.. kevent-x-end\nb\n";
        let new = replace(text, "x", "new\n").unwrap();
        assert_eq!(new, "a\n.. kevent-x-begin\n\nnew\n\n.. kevent-x-end\nb\n");
        assert_eq!(replace(&new, "x", "new\n").unwrap(), new);
        assert!(replace(text, "y", "new\n").is_err());
    }
}
