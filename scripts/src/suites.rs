//! `cargo xtask suites`: tests that packages bring, on epoll and on kevent.

mod build;
mod guest;
mod hello;
mod list;
mod results;
mod told;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::cache::write_atomic;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::progress::Step;
use crate::run;
use guest::Built;
use list::Suite;
use results::Results;
use told::Told;

/// Runs the tests that packages bring, in the guest, on epoll and on kevent.
///
/// userspace/suites/suites.toml says which. They are built here, by cargo and from where cargo has its
/// packages; mio and tokio with the selector of `cargo xtask mio`, the others as they are, with the
/// library for epoll in front. Each program runs on epoll, then on kevent, in one boot. A test that
/// fails on kevent alone, and has no reason in userspace/suites/known.toml, fails the run; so does a
/// program that has a queue of the other kind. Last, a server on hyper measures what a request costs,
/// where instructions are counted.
#[derive(clap::Args)]
pub struct Args {
    /// Only this suite
    #[arg(long, value_name = "NAME")]
    only: Option<String>,

    /// Writes what came to bench/results/ and Documentation/suites.md
    #[arg(long)]
    update: bool,

    /// Makes the tables of the document from bench/results/, and nothing else
    #[arg(long, conflicts_with_all = ["only", "update"])]
    draw: bool,

    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,
}

const DOCUMENT: &str = "Documentation/suites.md";
/// The suite that has the server.
const OWN: &str = "kevent-programs";

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if args.draw {
        return draw(ctx, &Told::read(&ctx.repo)?);
    }
    if ctx.arch != Arch::X86_64 {
        bail!("the suites are built for this machine: x86_64");
    }
    let mut suites = list::suites(&ctx.repo)?;
    let is_wanted = |suite: &Suite| {
        let only = args.only.as_ref();
        only.is_none_or(|only| *only == suite.package.name)
    };
    suites.retain(is_wanted);
    if suites.is_empty() {
        bail!("no such suite");
    }
    let known = list::known(&ctx.repo)?;
    let built = built(ctx, suites)?;
    let kernel = run::kernel(ctx, Flavour::Ordinary, args.accel)?;
    let lines = guest::run(ctx, &kernel, &built)?;
    let results = Results::parse(&lines)?;
    println!("{}", results.table());
    let mut new = results.told(&built)?;
    let mut own = built.iter().map(|built| &built.suite);
    if let Some(own) = own.find(|suite| suite.package.name == OWN) {
        new.extend(hello::measure(ctx, &kernel, own)?);
    }
    new.iter().for_each(|line| println!("{line}"));
    if args.update {
        let mut told = Told::read(&ctx.repo)?;
        told.renew(new);
        told.write(&ctx.repo)?;
        draw(ctx, &told)?;
    }
    let complaints = results.complaints(&built, &known)?;
    match complaints.is_empty() {
        true => Ok(()),
        false => bail!("{}", complaints.join("\n")),
    }
}

/// A program of ours on tokio, with mio as it is, and with the selector.
pub fn on_tokio(ctx: &Context, name: &str) -> Result<[PathBuf; 2]> {
    let mut suites = list::suites(&ctx.repo)?.into_iter();
    let own = suites.find(|suite| suite.package.name == OWN);
    let own = own.context("there is no such suite")?;
    let folder = ctx.repo.join(own.folder.as_ref().context("it is ours")?);
    let stock = build::stock_program(ctx, &folder, name)?;
    Ok([stock, build::program(ctx, &own, name)?])
}

/// Writes the tables of the document.
fn draw(ctx: &Context, told: &Told) -> Result<()> {
    let path = ctx.repo.join(DOCUMENT);
    let old = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    write_atomic(&path, told.drawn(&ctx.repo, &old)?)
}

fn built(ctx: &Context, suites: Vec<Suite>) -> Result<Vec<Built>> {
    let _lock = ctx.lock()?;
    let step = Step::start("Building test programs");
    let mut built = Vec::new();
    for suite in suites {
        step.update(&suite.package.name);
        let (folder, programs) = build::programs(ctx, &suite)
            .with_context(|| format!("the tests of {}", suite.package.name))?;
        built.push(Built {
            suite,
            folder,
            programs,
        });
    }
    step.done();
    Ok(built)
}
