//! `cargo xtask send`: what would be mailed, and to whom.

mod mailer;
mod recipients;
mod sender;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use comfy_table::{Table, presets};

use crate::cache::write_atomic;
use crate::checkpatch::{self, Found, Kind, Script};
use crate::context::Context;
use crate::git::EMAIL;
use crate::progress::Step;
use crate::series::{self, COVER};
use crate::tree::{self, Tree};

use mailer::{Mail, Mailer};
use recipients::Recipients;
use sender::Sender;

/// Shows what would be mailed, and to whom. It mails nothing.
///
/// The series is made with its sender as author and signed off, scripts/checkpatch.pl looks at each
/// patch of that, and scripts/get_maintainer.pl names whom each concerns; the cover letter goes to
/// all. The mails are then what git send-email, or else b4, would send. The last line is the command
/// that does so, for the person who has read them.
#[derive(clap::Args)]
pub struct Args {
    /// Needed: there is nothing but a dry run
    #[arg(long, required = true)]
    dry_run: bool,

    /// The sender, "Name <address>"; else user.name and user.email of git
    #[arg(long, value_name = "NAME")]
    from: Option<String>,

    /// Whom all mails are for
    #[arg(long, value_name = "ADDRESS", default_value = LIST)]
    to: Vec<String>,

    /// Who gets all mails as well
    #[arg(long, value_name = "ADDRESS")]
    cc: Vec<String>,

    /// Where the signed patches are left; else in the cache
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

const LIST: &str = "linux-kernel@vger.kernel.org";

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let sender = Sender::find(args.from.as_deref(), |key| sender::of_git(&ctx.repo, key))?;
    let _lock = ctx.lock()?;
    let tree = tree::ensure(ctx)?;
    let folder = args.output.unwrap_or_else(|| ctx.cache.join("send"));
    let folder = std::path::absolute(folder)?;
    let patches = signed(ctx, &tree, &sender, &folder)?;
    let tools = ctx.tools();
    let script = Script::new(&tree.path, tools.python.as_deref(), &ctx.cache)?;
    let found = check(&script, &patches)?;
    let recipients = concern(&tree, &sender, &patches)?;
    println!("{}", table(&patches, &found, &recipients)?);
    let log = ctx.cache.join("log/checkpatch");
    write_atomic(&log, checkpatch::log(&found))?;
    println!(
        "{}\nall of it: {}",
        checkpatch::summary(&found),
        log.display()
    );
    checkpatch::fail_for_sign_offs(&found)?;
    let mail = Mail {
        sender: &sender,
        to: &args.to,
        cc: &args.cc,
        folder: &folder,
        everybody: recipients::union(&recipients),
    };
    recipients::write(&folder.join(COVER), &mail.everybody)?;
    for (patch, recipients) in patches.iter().zip(&recipients) {
        recipients::write(patch, recipients)?;
    }
    let mailer = Mailer::find()?;
    println!("\n{}", mailer.dry_run(&mail, &tree.base, &ctx.cache)?);
    if !tree.base.mainline {
        println!(
            "The base is no release of mainline, and reviewers cannot check it out: see \
             `cargo xtask rebase`, and make the series on one with --linux."
        );
    }
    println!("Nothing was mailed. {}", mailer.command(&mail));
    Ok(())
}

/// Makes the series as the sender's, and gives the patches without the cover letter.
fn signed(ctx: &Context, tree: &Tree, sender: &Sender, folder: &Path) -> Result<Vec<PathBuf>> {
    let step = Step::start(format!("Signing off as {sender}"));
    series::write_signed(ctx, &tree.base, &sender.to_string(), folder)?;
    let patches = tree::patches(folder)?;
    for path in patches.iter().chain([&folder.join(COVER)]) {
        let text = fs::read_to_string(path)?;
        let name = path.display();
        ensure!(!text.contains(EMAIL), "{name} still has {EMAIL}");
    }
    step.done_with(&format!("{} patches", patches.len()));
    Ok(patches)
}

fn check(script: &Script, patches: &[PathBuf]) -> Result<Vec<Found>> {
    let step = Step::start("Running checkpatch.pl --strict with the sign-off");
    let mut found = Vec::new();
    for patch in patches {
        step.update(&patch.display().to_string());
        found.push(script.run(patch, &[])?);
    }
    step.done();
    Ok(found)
}

/// Whom each patch concerns.
fn concern(tree: &Tree, sender: &Sender, patches: &[PathBuf]) -> Result<Vec<Recipients>> {
    let step = Step::start("Asking get_maintainer.pl");
    let folder = tempfile::tempdir()?;
    let list = recipients::maintainers(&tree.path, sender, folder.path())?;
    let mut all = Vec::new();
    for patch in patches {
        step.update(&patch.display().to_string());
        all.push(recipients::of(&tree.path, &list, sender, patch)?);
    }
    step.done_with(&format!("{} addresses", recipients::union(&all).len()));
    Ok(all)
}

fn table(patches: &[PathBuf], found: &[Found], recipients: &[Recipients]) -> Result<Table> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["patch", "errors", "warnings", "checks", "Cc"]);
    for (patch, (found, recipients)) in patches.iter().zip(found.iter().zip(recipients)) {
        let name = patch.file_stem().context("a patch has a name")?;
        let name = name.to_string_lossy();
        let kinds = [Kind::Error, Kind::Warning, Kind::Check];
        let counts = kinds.map(|kind| found.count(kind).to_string());
        let [errors, warnings, checks] = counts;
        let cc = recipients.len().to_string();
        table.add_row([name.as_ref(), &errors, &warnings, &checks, &cc]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests;
