//! `cargo xtask rebase`: whether the series applies to another Linux.

mod onto;
mod trial;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use comfy_table::{Table, presets};

use crate::context::Context;
use crate::git::{Keep, Scratch};
use crate::progress::Step;
use crate::tree::{self, Base};

use onto::Onto;
use trial::{Fate, Trial};

/// Tries the series on another Linux, patch by patch, and says which patches apply.
///
/// patches/ are applied in a repository for a while: as they are, else with a three-way merge from
/// what they were made on. Where both fail, the files in conflict are taken as the series has them,
/// and the next patch is tried. The sources, patches/ and the other tree stay as they are.
#[derive(clap::Args)]
pub struct Args {
    /// A folder with Linux, as a git tree (its HEAD) or just unpacked; or a release or another
    /// revision, such as 7.2 or v7.3-rc7, of the tree that --linux names
    #[arg(long, value_name = "TREE-OR-REF")]
    onto: String,

    /// With a git tree as --onto: this release or revision of it
    #[arg(long = "ref", value_name = "REF")]
    revision: Option<String>,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let _lock = ctx.lock()?;
    let base = tree::base(ctx)?;
    let patches = tree::patches(&ctx.repo.join("patches"))?;
    let made = made(ctx, &base, &patches)?;
    let touched = made.checkout(&patches)?;
    let onto = Onto::find(&args.onto, args.revision.as_deref(), &base.git, &touched)?;
    let step = Step::start(format!("Trying {} patches on {}", patches.len(), onto.name));
    let scratch = Scratch::new(&onto.git, &ctx.cache, Keep::Nothing, &onto.commit)?;
    let trial = Trial::new(
        scratch.beside(&base.git)?.beside(&made.git)?,
        &made.git.commit("HEAD")?,
        &base.commit,
    )?;
    let fates = trial.run(&patches, |name| step.update(name))?;
    let (summary, conflicts) = summary(&fates);
    step.done_with(&summary);
    println!("{}", table(&patches, &fates)?);
    println!("onto {}: {summary}", onto.name);
    if conflicts > 0 {
        bail!("{conflicts} of {} patches do not apply", fates.len());
    }
    Ok(())
}

/// The series on its own base: the merges begin there.
fn made(ctx: &Context, base: &Base, patches: &[PathBuf]) -> Result<Scratch> {
    let step = Step::start("Applying the series to its own base");
    let made = Scratch::new(&base.git, &ctx.cache, Keep::Nothing, &base.commit)?;
    made.am(patches)?;
    step.done_with(&base.name);
    Ok(made)
}

fn table(patches: &[PathBuf], fates: &[Fate]) -> Result<Table> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["patch", "applies", "in conflict"]);
    for (patch, fate) in patches.iter().zip(fates) {
        let name = patch.file_stem().context("a patch has a name")?;
        let files = match fate {
            Fate::Conflict(files) => files.join("\n"),
            _ => String::new(),
        };
        table.add_row([&name.to_string_lossy(), fate.name(), &files]);
    }
    Ok(table)
}

/// What became of all, and how many are in conflict.
fn summary(fates: &[Fate]) -> (String, usize) {
    let count = |name| fates.iter().filter(|fate| fate.name() == name).count();
    let names = [Fate::Clean.name(), Fate::ThreeWay.name()];
    let conflicts = fates.len() - names.map(count).iter().sum::<usize>();
    let counts = names.map(|name| format!("{} {name}", count(name)));
    let text = format!("{}, {conflicts} in conflict", counts.join(", "));
    (text, conflicts)
}

#[cfg(test)]
mod tests;
