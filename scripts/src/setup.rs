//! `cargo xtask setup`: finds the tools and installs what lacks.

use anyhow::{Context as _, Result, bail};

use crate::command::{command, last_lines, show, stream};
use crate::context::Context;
use crate::debian;
use crate::progress::Step;
use crate::tools::{BINDGEN_WANTED, Row, Source, Tools, bindgen_folder, in_path};

/// Finds clang, rustc with its library source, bindgen, QEMU and the rest.
///
/// As root on Debian, what lacks is installed from the package sources that the machine is
/// set up for. Else the packages to install are listed. bindgen goes to the cache.
#[derive(clap::Args)]
pub struct Args {
    /// Only look; install nothing
    #[arg(long)]
    check: bool,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let result = if args.check {
        debian::explain(&ctx.tools())
    } else {
        ensure(ctx)
    };
    print!("{}", table(&ctx.tools().rows));
    result
}

/// Sees to it that every tool is there.
pub fn ensure(ctx: &Context) -> Result<()> {
    let _lock = ctx.lock()?;
    let tools = ctx.tools();
    if tools.missing().any(|row| row.source != Source::Cargo) || debian::can_do_better(&tools) {
        debian::install(ctx)?;
        ctx.forget_tools();
    }
    let tools = ctx.tools();
    if tools.bindgen.is_none() {
        install_bindgen(ctx, &tools)?;
        ctx.forget_tools();
    }
    debian::explain(&ctx.tools())
}

fn install_bindgen(ctx: &Context, tools: &Tools) -> Result<()> {
    let cargo = std::env::var_os("CARGO")
        .map(Into::into)
        .or_else(|| in_path("cargo"));
    let cargo: std::path::PathBuf = cargo.context("cargo not found")?;
    let step = Step::start(format!("Installing bindgen {BINDGEN_WANTED}"));
    let mut install = command(cargo);
    install.args(["install", "--locked", "bindgen-cli", "--version"]);
    install.arg(BINDGEN_WANTED.to_string());
    install.arg("--root").arg(bindgen_folder(&ctx.cache));
    install
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    install.env("LIBCLANG_PATH", &tools.llvm()?.lib);
    let log = ctx.cache.join("log/bindgen");
    let mut text = String::new();
    let status = stream(&mut install, &log, |line| {
        step.update(line.trim());
        text.push_str(line);
        text.push('\n');
    })?;
    if !status.success() {
        bail!("`{}`: {status}\n{}", show(&install), last_lines(&text, 20));
    }
    step.done();
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.what.len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let found = row.found.as_deref().unwrap_or("missing");
        text.push_str(&format!("{:width$}  {found}\n", row.what));
        if let Some(note) = &row.note {
            text.push_str(&format!("{:width$}  note: {note}\n", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_what_lacks() {
        let row = |what, found: Option<&str>, note: Option<&str>| Row {
            what,
            found: found.map(str::to_owned),
            note: note.map(str::to_owned),
            source: Source::Cargo,
        };
        let rows = [
            row("bc", None, None),
            row("clang", Some("/c 22"), Some("old")),
        ];
        assert_eq!(
            table(&rows),
            "bc     missing\nclang  /c 22\n       note: old\n"
        );
    }
}
