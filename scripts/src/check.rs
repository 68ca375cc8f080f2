//! `cargo xtask check`: each patch of the series by itself, as a list of reviewers will see it.
//!
//! Checks are columns, patches are rows. What each looks at, and what its result follows from:
//!
//! | check | looks at | quick | follows from |
//! |---|---|---|---|
//! | `checkpatch` | the mail, with `--strict --no-signoff`, less what `scripts/check/checkpatch.toml` allows | yes | the mail, the script and its lists |
//! | `rustfmt` | the Rust files that the patch touches, as `make rustfmtcheck` does | yes | these files, the kernel's settings, rustfmt |
//! | `kernel-doc` | the C files and headers that it touches, with `-Wall`; what it said before the patch is not its fault | yes | these files before and after, the script |
//! | `docs` | Sphinx on the folders of pages that it touches or whose sources it touches | no | the pages and their sources, Sphinx |
//! | `ARCH off`, `ARCH on` | a build of Rust and all that the series has touched so far, `W=1 C=1 CLIPPY=1`, `CONFIG_KEVENT` off and on | no | the kernel's code, the configuration, compilers |
//! | `ARCH rustdoc` | `make rustdoc` in the same folder, of the crate `kernel` and of what else the patch touches | no | the same |
//! | `ARCH boot off`, `ARCH boot on` | a whole kernel that boots, with KUnit | no | the same |
//!
//! Warnings that the base gives for the same files are not the series': the base is built first,
//! once, in the folder of `off`. A patch for which a check has nothing to look at shows `-`.
//!
//! **Results** are kept in the cache (`check/kept/`), by a checksum of all that they follow from, so
//! that only what changed is run again; "the kernel's code" is all files of the tree but documents and
//! selftests. Findings of quick checks are kept too; a slow check that failed is run again, and what
//! had warned is compiled again for it. The builds have one worktree and two folders for each
//! architecture, and go through the patches in their order, so that each compiles only what a patch
//! changes.
//!
//! `--short` runs the quick checks, and believes of the slow ones what `scripts/check/passed.toml`
//! says, which a run without it writes, to be checked in: checksums of the sources, and not of the
//! tools, which differ between machines. A cell that is not there is `not run`, and neither
//! passed nor failed; it has to be run before the series is sent. `cargo xtask test` has this form as a
//! step, which counts what it ran, and all cells that are `not run` as one that was skipped.
//!
//! A tool that lacks makes the cell `missing`, which fails, and is named below the table with how to
//! get it. `FAIL` shows the first lines of its report there, and where the whole is.

mod checkpatch;
mod docs;
mod format;
pub mod kept;
mod kernel;
mod kernel_doc;
pub mod states;
mod table;
pub mod touched;
pub mod warnings;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::arch::Arch;
use crate::cache::{Lock, write_atomic};
use crate::context::Context;
use crate::progress::{Step, seconds};
use crate::test::Ended;
use crate::tree::{self, Base};
use crate::{build, setup};
use kept::{Kept, MadeOf, Record};
use states::State;

/// Checks each patch of the series by itself: checkpatch, formats, documentation, builds on x86_64
/// and arm64 without a warning, with CONFIG_KEVENT off and on, KUnit and a boot.
///
/// What passed is not run again until what it follows from changes. From nothing, all of it takes
/// hours: each architecture took some four on two processors, with the other one beside it. --short
/// takes a minute.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Only these checks, by the names of their columns or the beginning of them. May be given
    /// several times
    #[arg(long, value_name = "CHECK")]
    only: Vec<String>,

    /// Only this patch. May be given several times
    #[arg(long, value_name = "N")]
    patch: Vec<usize>,

    /// Only the quick checks, and what scripts/check/passed.toml says of the others
    #[arg(long)]
    short: bool,
}

/// What every check needs to know.
struct Work<'a> {
    ctx: &'a Context,
    base: &'a Base,
    /// A tree with the scripts that look at patches.
    tree: &'a Path,
    /// Where checks keep what they make.
    home: &'a Path,
}

trait Check {
    /// The head of its column.
    fn name(&self) -> String;

    /// Whether it is one of the short form.
    fn is_quick(&self) -> bool {
        false
    }

    /// What lacks for it, and how to get it.
    fn lacks(&self, work: &Work) -> Option<String>;

    /// What the result follows from; nothing where there is nothing to look at.
    fn made_of(&self, work: &Work, state: &State) -> Result<Option<MadeOf>>;

    /// What is wrong; an error is, too. All that is said goes to the file `log`.
    fn look(&self, work: &Work, state: &State, log: &Path) -> Result<Vec<String>>;

    /// What remains of the findings after what is allowed.
    fn judge(&self, findings: Vec<String>) -> Vec<String> {
        findings
    }

    /// What is wrong with the check itself, after it has seen all patches.
    fn end(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What became of a check of a patch.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Passed,
    /// Passed as the record says.
    Recorded,
    Nothing,
    NotRun,
    Missing,
    Failed {
        findings: Vec<String>,
        log: PathBuf,
    },
}

#[derive(Clone, Debug)]
struct Cell {
    check: String,
    verdict: Verdict,
    /// What it took, if it ran now.
    time: Option<Duration>,
}

/// All cells: for each patch, those of all checks.
#[derive(Default)]
struct Outcome {
    cells: Vec<Vec<Cell>>,
    /// What lacks.
    missing: BTreeSet<String>,
    /// What is wrong with the checks.
    wrong: Vec<String>,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let start = Instant::now();
    let tally = table::tally(&look(ctx, &args)?.0);
    println!("{tally} [{}]", seconds(start.elapsed()));
    match tally.failed {
        0 if tally.passed == 0 => bail!("nothing was checked"),
        0 => Ok(()),
        failed => bail!("{failed} checks failed"),
    }
}

/// The short form, as a step of all tests.
pub fn short(ctx: &Context) -> Result<Ended> {
    let args = Args {
        short: true,
        ..Args::default()
    };
    let (outcome, failures) = look(ctx, &args)?;
    if let Some(recorded) = table::recorded(&outcome) {
        println!("{recorded}");
    }
    let tally = table::of_a_step(&outcome);
    ensure!(tally.passed + tally.failed > 0, "nothing was checked");
    Ok(Ended { tally, failures })
}

/// Runs the checks, shows the table, and gives what failed, and why. Whoever calls it does not hold the
/// cache's lock, which is taken after that of the checks.
fn look(ctx: &Context, args: &Args) -> Result<(Outcome, Vec<String>)> {
    let home = ctx.cache.join("check");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    // Its own lock: the cache's would keep other commands out for all that time.
    let _own = Lock::take(&home)?;
    let lock = ctx.lock()?;
    setup::ensure(ctx)?;
    let tree = tree::ensure(ctx)?;
    let base = &tree.base;
    let states = states::states(base, &home, &tree::patches(&ctx.repo.join("patches"))?)?;
    drop(lock);
    let first = states::first(base, &states)?;
    let last = states.last().context("there is no patch")?;
    let work = Work {
        ctx,
        base,
        tree: &tree.path,
        home: &home,
    };
    // Whoever names an architecture means that one.
    let arches = match ctx.arch {
        Arch::X86_64 => vec![Arch::X86_64, Arch::Arm64],
        other => vec![other],
    };
    let contexts: Vec<Context> = arches.into_iter().map(|arch| ctx.with(arch)).collect();
    let mut builders = Vec::new();
    for ctx in &contexts {
        let symbols = last.symbols.clone();
        builders.push(build::state::Builder::new(
            ctx, base, &home, &first, symbols,
        )?);
    }
    let mut groups: Vec<Vec<Box<dyn Check + '_>>> = vec![
        vec![Box::new(checkpatch::Checkpatch::new(&ctx.repo)?)],
        vec![Box::new(format::Format)],
        vec![Box::new(kernel_doc::KernelDoc)],
        vec![Box::new(docs::Docs)],
    ];
    for (ctx, builder) in contexts.iter().zip(&builders) {
        groups.push(kernel::checks(ctx, builder));
    }
    let known: Vec<String> = groups.iter().flatten().map(|check| check.name()).collect();
    for wanted in &args.only {
        let is_known = known.iter().any(|name| named(name, wanted));
        ensure!(
            is_known,
            "no check `{wanted}`; there are: {}",
            known.join(", ")
        );
    }
    for group in &mut groups {
        group.retain(|check| {
            let name = check.name();
            args.only.is_empty() || args.only.iter().any(|wanted| named(&name, wanted))
        });
    }
    let outcome = all(&work, &groups, &states, args)?;
    let wanted: Vec<&State> = chosen(&states, args);
    println!("\n{}", table::report(&wanted, &outcome));
    let failures = table::failures(&wanted, &outcome);
    Ok((outcome, failures))
}

fn named(name: &str, wanted: &str) -> bool {
    name == wanted || name.starts_with(&format!("{wanted} "))
}

fn chosen<'a>(states: &'a [State], args: &Args) -> Vec<&'a State> {
    let wanted = |state: &&State| {
        let number = state.number.parse::<usize>();
        args.patch.is_empty() || number.is_ok_and(|number| args.patch.contains(&number))
    };
    states.iter().filter(wanted).collect()
}

/// Runs the checks of each group on the patches in their order.
fn all(
    work: &Work,
    groups: &[Vec<Box<dyn Check + '_>>],
    states: &[State],
    args: &Args,
) -> Result<Outcome> {
    let chosen = chosen(states, args);
    ensure!(!chosen.is_empty(), "the series has no such patch");
    let kept = Kept::new(work.home.join("kept"));
    let mut record = Record::read(&work.ctx.repo)?;
    let mut written = record.clone();
    // At once: a run takes hours, and may be stopped.
    let mut write = |record: &Record| -> Result<()> {
        if !args.short && work.base.pinned && *record != written {
            record.write(&work.ctx.repo)?;
            written.clone_from(record);
        }
        Ok(())
    };
    let mut outcome = Outcome {
        cells: vec![Vec::new(); chosen.len()],
        ..Outcome::default()
    };
    for group in groups {
        let lacks: Vec<Option<String>> = group
            .iter()
            .map(|check| match args.short && !check.is_quick() {
                true => None,
                false => check.lacks(work),
            })
            .collect();
        outcome.missing.extend(lacks.iter().flatten().cloned());
        for (state, cells) in chosen.iter().zip(&mut outcome.cells) {
            for (check, lacks) in group.iter().zip(&lacks) {
                let check = check.as_ref();
                let cell = cell(work, check, state, &kept, &mut record, lacks, args.short);
                cells.push(cell?);
                write(&record)?;
            }
        }
        for check in group {
            if check.is_quick() {
                if args.patch.is_empty() && check.lacks(work).is_none() {
                    outcome.wrong.extend(check.end());
                }
                continue;
            }
            if args.short {
                continue;
            }
            let mut sources = BTreeSet::new();
            for state in states {
                let of = check.made_of(work, state)?;
                sources.extend(of.map(|of| of.recorded(&check.name())));
            }
            record.retain(&check.name(), &sources);
        }
    }
    write(&record)?;
    Ok(outcome)
}

/// One check of one patch.
fn cell(
    work: &Work,
    check: &dyn Check,
    state: &State,
    kept: &Kept,
    record: &mut Record,
    lacks: &Option<String>,
    short: bool,
) -> Result<Cell> {
    let name = check.name();
    let mut cell = Cell {
        check: name.clone(),
        verdict: Verdict::Nothing,
        time: None,
    };
    if lacks.is_some() {
        // What the result follows from may need the tool.
        cell.verdict = Verdict::Missing;
        return Ok(cell);
    }
    let Some(of) = check.made_of(work, state)? else {
        return Ok(cell);
    };
    let sources = of.recorded(&name);
    if short && !check.is_quick() {
        cell.verdict = match record.has(&name, &sources) {
            true => Verdict::Recorded,
            false => Verdict::NotRun,
        };
        return Ok(cell);
    }
    let log = work.ctx.cache.join("log/check");
    let log = log.join(format!("{}-{}", state.number, name.replace(' ', "-")));
    let findings = match kept.get(&name, &of) {
        Some(findings) => check.judge(findings),
        None => {
            let start = Instant::now();
            let step = Step::start(format!("{} {name}", state.number));
            let found = check.look(work, state, &log);
            drop(step);
            cell.time = Some(start.elapsed());
            match found {
                Ok(findings) => {
                    if check.is_quick() || findings.is_empty() {
                        kept.put(&name, &of, &findings)?;
                    }
                    check.judge(findings)
                }
                // Nothing that may stay, whatever it says.
                Err(error) => vec![format!("{error:#}")],
            }
        }
    };
    if check.is_quick() {
        write_atomic(&log, findings.join("\n") + "\n")?;
    } else if findings.is_empty() {
        record.add(&name, sources);
    } else {
        record.remove(&name, &sources);
    }
    cell.verdict = match findings.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed { findings, log },
    };
    Ok(cell)
}

#[cfg(test)]
mod tests;
