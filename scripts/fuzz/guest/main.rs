//! Runs programs of calls in the guest, as many as there is time for, and keeps those that reach
//! what none did before. What it does and finds it tells on its standard output.

mod fuzz;
mod kcov;
mod lane;
mod process;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

#[derive(Parser)]
struct Args {
    /// How long; what is kept is run first in any case
    #[arg(long)]
    seconds: u64,
    /// What the choices follow from
    #[arg(long)]
    seed: u64,
    /// How many programs run at once
    #[arg(long, default_value_t = 3)]
    lanes: usize,
    /// How often what is kept is run
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Goes on without KCOV: nothing is kept
    #[arg(long)]
    blind: bool,
    /// The programs that are kept
    #[arg(long)]
    corpus: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    fuzz::run(fuzz::Plan {
        time: Duration::from_secs(args.seconds),
        seed: args.seed,
        lanes: args.lanes,
        times: args.times,
        blind: args.blind,
        corpus: args.corpus,
    })
}
