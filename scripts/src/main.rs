//! `cargo xtask`: gets Linux, makes and applies the series, builds, boots and tests.

mod apt;
mod arch;
mod base;
mod cache;
mod checkpatch;
mod command;
mod context;
mod crates;
mod debian;
mod edits;
mod flavour;
mod git;
mod guest;
mod lines;
mod manifest;
mod progress;
mod tools;

mod abi;
mod bench;
mod build;
mod check;
mod demo;
mod detectors;
mod fuzz;
mod mio;
mod mutants;
mod programs;
mod range_diff;
mod rebase;
mod run;
mod send;
mod series;
mod setup;
mod stress;
mod suites;
mod tables;
mod test;
mod tree;
mod userspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use arch::Arch;
use context::Context;

/// Gets Linux 7.3, applies kevent, builds it, boots it in QEMU and tests it.
///
/// Downloads and builds go to $KEVENT_CACHE, else $XDG_CACHE_HOME/kevent, else ~/.cache/kevent.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    /// Architecture of the kernel
    #[arg(long, global = true, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,

    /// A git tree of Linux 7.3 to use instead of a download; it gets a worktree of its own
    /// in the cache, and its checkout, branches and files stay as they are
    #[arg(long, global = true, value_name = "DIR")]
    linux: Option<PathBuf>,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Finds the tools and installs what lacks (as root on Debian)
    Setup(setup::Args),
    /// Gets Linux 7.3 and applies patches/ to it
    Tree(tree::Args),
    /// Makes patches/ from the sources, or checks them
    Series(series::Args),
    /// Shows what changed between two versions of the series
    RangeDiff(range_diff::Args),
    /// Tries the series on another Linux, patch by patch
    Rebase(rebase::Args),
    /// Shows what would be mailed, and to whom
    Send(send::Args),
    /// Configures and builds the kernel
    Build(build::Args),
    /// Checks each patch of the series by itself, as reviewers will
    Check(check::Args),
    /// Boots the kernel in QEMU and runs the selftests
    Run(run::Args),
    /// Does everything at once, and accounts for each event
    Stress(stress::Args),
    /// Fuzzes the calls, guided by what of kevent is reached
    Fuzz(fuzz::Args),
    /// Runs all selftests and the stress on the kernels that find bugs
    Detectors(detectors::Args),
    /// Breaks the kernel on purpose, and names the detector that notices
    Mutants(mutants::Args),
    /// Measures what an event costs, against epoll and io_uring
    Bench(bench::Args),
    /// Shows an HTTP server on epoll, io_uring and kevent, and what each costs
    Demo(demo::Args),
    /// Compares the binary interface with its golden file
    Abi(abi::Args),
    /// Writes the tables of the document that list tests, or checks them
    Tables(tables::Args),
    /// Tests the crates for programs, and makes their bindings
    Userspace(userspace::Args),
    /// Makes a mio that has kevent, for programs on tokio
    Mio(mio::Args),
    /// Runs the tests of other packages, on epoll and on kevent
    Suites(suites::Args),
    /// Runs servers that people have on epoll and on kevent, and compares them
    Programs(programs::Args),
    /// Runs every test of the project
    Test(test::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Context::new(cli.arch, cli.linux).and_then(|ctx| match cli.verb {
        Verb::Setup(args) => setup::run(&ctx, args),
        Verb::Tree(args) => tree::run(&ctx, args),
        Verb::Series(args) => series::run(&ctx, args),
        Verb::RangeDiff(args) => range_diff::run(&ctx, args),
        Verb::Rebase(args) => rebase::run(&ctx, args),
        Verb::Send(args) => send::run(&ctx, args),
        Verb::Build(args) => build::run(&ctx, args),
        Verb::Check(args) => check::run(&ctx, args),
        Verb::Run(args) => run::run(&ctx, args),
        Verb::Stress(args) => stress::run(&ctx, args),
        Verb::Fuzz(args) => fuzz::run(&ctx, args),
        Verb::Detectors(args) => detectors::run(&ctx, args),
        Verb::Mutants(args) => mutants::run(&ctx, args),
        Verb::Bench(args) => bench::run(&ctx, args),
        Verb::Demo(args) => demo::run(&ctx, args),
        Verb::Abi(args) => abi::run(&ctx, args),
        Verb::Tables(args) => tables::run(&ctx, args),
        Verb::Userspace(args) => userspace::run(&ctx, args),
        Verb::Mio(args) => mio::run(&ctx, args),
        Verb::Suites(args) => suites::run(&ctx, args),
        Verb::Programs(args) => programs::run(&ctx, args),
        Verb::Test(args) => test::run(&ctx, args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
