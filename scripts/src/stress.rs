//! `cargo xtask stress`: every call at once, for as long as you like.

use anyhow::{Result, bail};

use crate::context::Context;
use crate::flavour;
use crate::guest::boot::Accel;
use crate::guest::selftests::Kernel;
use crate::run;

/// The selftest that does it.
const PROGRAM: &str = "stress";

/// Boots the kernel and runs random mixes of all calls from many threads and processes.
///
/// Each event is accounted for at the end. The seed is shown; the choices of each thread follow
/// from it, how threads meet does not.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    flavour: flavour::Args,

    /// How long, in the guest
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    minutes: u32,

    /// What the choices follow from, at random without it
    #[arg(long)]
    seed: Option<u64>,

    /// Runs one thread alone, with the choices that it has among all; counted from 0
    #[arg(long, value_name = "N", requires = "seed")]
    worker: Option<u8>,

    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let kernel = run::kernel(ctx, args.flavour.flavour(), args.accel)?;
    let mut words = vec![(u64::from(args.minutes) * 60).to_string()];
    words.extend(args.seed.map(|seed| seed.to_string()));
    words.extend(args.worker.map(|worker| worker.to_string()));
    account(ctx, &kernel, words)
}

/// Runs the program with `words`, and fails unless it accounts for each event.
pub fn account(ctx: &Context, kernel: &Kernel, words: Vec<String>) -> Result<()> {
    let program = {
        let _lock = ctx.lock()?;
        run::selftest(ctx, kernel, PROGRAM)?
    };
    let mut command = vec![program.display().to_string()];
    command.extend(words);
    match run::command(ctx, kernel, &command, &[], None)? {
        0 => Ok(()),
        code => bail!("not all is accounted for (exit code {code})"),
    }
}
