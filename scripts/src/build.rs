//! `cargo xtask build`: configures and builds the kernel out of its tree.

mod config;
pub mod state;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::cache::{sha256_of, stamped, write_atomic};
use crate::command::{last_lines, show, stream};
use crate::context::Context;
use crate::flavour::{self, Flavour};
use crate::progress::Step;
use crate::tools::Tools;
use crate::{setup, tree};
use config::Wanted;

/// Configures the kernel from the fragments in qemu/ and builds it.
///
/// The fragments are kernel.config, the architecture's, those of --debug, --rt, --kcsan or --fuzz, and
/// inline-helpers.config where clang and rustc share one LLVM. Every line of them must be in the
/// configuration that results.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    #[command(flatten)]
    pub flavour: flavour::Args,

    /// One more fragment; it wins over those in qemu/. May be given several times
    #[arg(long, value_name = "FRAGMENT")]
    pub config: Vec<PathBuf>,

    /// Build in a folder of its own, named after this
    #[arg(long, value_name = "NAME", value_parser = variant)]
    pub variant: Option<String>,

    /// Only configure
    #[arg(long)]
    pub configure: bool,
}

/// A kernel that was built.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The tree that it was built from.
    pub tree: tree::Tree,
    /// The build folder, with `vmlinux`, `.config` and so on.
    pub folder: PathBuf,
    /// What boots.
    pub image: PathBuf,
}

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let kernel = ensure(ctx, args.flavour.flavour(), &args)?;
    if args.configure {
        println!("{}", kernel.folder.join(".config").display());
    } else {
        println!("{}", kernel.image.display());
    }
    Ok(())
}

/// Sees to it that the kernel is built from what the tree and the fragments are now.
pub fn ensure(ctx: &Context, flavour: Flavour, args: &Args) -> Result<Kernel> {
    ensure_changed(ctx, flavour, args, |_| Ok(()))
}

/// The same of a tree that `change` has changed, until it is made again for anything else.
pub fn ensure_changed(
    ctx: &Context,
    flavour: Flavour,
    args: &Args,
    change: impl FnOnce(&Path) -> Result<()>,
) -> Result<Kernel> {
    flavour.check(ctx.arch)?;
    let _lock = ctx.lock()?;
    setup::ensure(ctx)?;
    let tree = tree::ensure(ctx)?;
    change(&tree.path)?;
    let folder = folder(ctx, flavour, args.variant.as_deref());
    for path in [&tree.path, &folder] {
        check_name(path)?;
    }
    let build = Build {
        tools: &ctx.tools(),
        tree: &tree.path,
        folder: &folder,
        variables: flavour.variables(),
        log: ctx
            .cache
            .join("log")
            .join(folder.file_name().context("a folder has a name")?),
    };
    let wanted = config::merge(&fragments(ctx, flavour, args)?)?;
    if !build.is_configured(&wanted, &tree.commit)? {
        let step = Step::start("Configuring");
        build.configure(&wanted, &tree.commit, &step)?;
        step.done();
    }
    let image = folder.join(ctx.arch.image());
    if !args.configure {
        let step = Step::start("Building Linux");
        build.build(&[ctx.arch.image_target()], &step)?;
        step.done();
        if !image.is_file() {
            bail!(
                "make left no {}; its output is in {}",
                image.display(),
                build.log.display()
            );
        }
    }
    Ok(Kernel {
        tree,
        folder,
        image,
    })
}

/// Fails where make would take the folder's name for several.
fn check_name(path: &Path) -> Result<()> {
    if path.to_string_lossy().contains([' ', ':']) {
        bail!(
            "Linux does not build below {}: no space and colon may be in its name",
            path.display()
        );
    }
    Ok(())
}

/// The build folder of an architecture, flavour and variant.
fn folder(ctx: &Context, flavour: Flavour, variant: Option<&str>) -> PathBuf {
    let mut name = format!("build-{}", ctx.arch.name());
    if ctx.linux.is_some() {
        name.push_str("-worktree");
    }
    for part in flavour.name().into_iter().chain(variant) {
        name.push_str(&format!("-{part}"));
    }
    ctx.cache.join(name)
}

fn variant(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err("letters, digits, - and _ only".to_owned());
    }
    Ok(name.to_owned())
}

/// The fragments in their order; a later one wins.
fn fragments(ctx: &Context, flavour: Flavour, args: &Args) -> Result<Vec<PathBuf>> {
    let qemu = ctx.repo.join("qemu");
    let mut fragments = vec![
        qemu.join("kernel.config"),
        qemu.join(format!("{}.config", ctx.arch.name())),
    ];
    let more = flavour.fragments().iter();
    fragments.extend(more.map(|name| qemu.join(format!("{name}.config"))));
    let tools = ctx.tools();
    if ctx.arch == Arch::Um {
        // It cannot have them.
    } else if tools.inline_helpers() {
        fragments.push(qemu.join("inline-helpers.config"));
    } else {
        eprintln!(
            "note: clang is LLVM {}, rustc is LLVM {}: C helpers are not inlined, so figures are worse",
            tools.llvm()?.version.0,
            tools.rust()?.llvm
        );
    }
    for fragment in &args.config {
        let path = fragment.canonicalize();
        fragments.push(path.with_context(|| format!("no fragment {}", fragment.display()))?);
    }
    Ok(fragments)
}

/// The names of the fragments that an ordinary kernel is configured from.
pub fn fragment_names(ctx: &Context) -> Result<Vec<String>> {
    let fragments = fragments(ctx, Flavour::Ordinary, &Args::default())?;
    let names = fragments.iter().filter_map(|path| path.file_name());
    Ok(names.map(|name| name.to_string_lossy().into()).collect())
}

struct Build<'a> {
    tools: &'a Tools,
    tree: &'a Path,
    folder: &'a Path,
    /// What make is told beside the tools.
    variables: &'a [&'a str],
    log: PathBuf,
}

impl Build<'_> {
    fn make(&self) -> Result<Command> {
        let mut make = self.tools.make(self.tree, self.folder)?;
        make.args(self.variables);
        Ok(make)
    }

    /// What the configuration `text` is made from. `state` tells one tree's Kconfig from another's.
    fn configured(&self, wanted: &Wanted, state: &str, text: &str) -> Result<String> {
        let parts = [&wanted.text(), &show(&self.make()?), state, text];
        Ok(sha256_of(parts.join("\n")))
    }

    fn is_configured(&self, wanted: &Wanted, state: &str) -> Result<bool> {
        let Ok(text) = fs::read_to_string(self.folder.join(".config")) else {
            return Ok(false);
        };
        let stamp = self.folder.join("configured");
        Ok(stamped(&stamp, &self.configured(wanted, state, &text)?))
    }

    /// Makes `.config`. It is written only where it changes, so that nothing is built anew.
    fn configure(&self, wanted: &Wanted, state: &str, step: &Step) -> Result<()> {
        fs::create_dir_all(self.folder)?;
        let path = self.folder.join(".config.new");
        let make = |target: &str| {
            let mut make = self.make()?;
            make.arg(format!("KCONFIG_CONFIG={}", path.display()))
                .arg(target);
            self.run(&mut make, step)
        };
        make("tinyconfig")?;
        // The last value of a symbol counts.
        let mut text = fs::read_to_string(&path)?;
        text.push_str(&wanted.text());
        fs::write(&path, text)?;
        make("olddefconfig")?;
        let text = fs::read_to_string(&path)?;
        wanted.check(&text)?;
        let target = self.folder.join(".config");
        if fs::read_to_string(&target).ok().as_deref() != Some(&text) {
            write_atomic(&target, &text)?;
        }
        let stamp = self.configured(wanted, state, &text)?;
        write_atomic(&self.folder.join("configured"), stamp)
    }

    /// Builds the targets, which may be variables too, and gives what make wrote.
    fn build(&self, targets: &[&str], step: &Step) -> Result<String> {
        let jobs = std::thread::available_parallelism().map_or(1, |count| count.get());
        let mut make = self.make()?;
        make.arg(format!("-j{}", jobs + 1)).args(targets);
        self.run(&mut make, step)
    }

    fn run(&self, make: &mut Command, step: &Step) -> Result<String> {
        let mut count = 0;
        let mut text = String::new();
        let status = stream(make, &self.log, |line| {
            text.push_str(line);
            text.push('\n');
            if let Some(what) = object(line) {
                count += 1;
                step.update(&format!("{count} {what}"));
            }
        })?;
        if !status.success() {
            bail!(
                "`{}`: {status}\n{}\nAll of its output is in {}",
                show(make),
                relevant(&text, &["error", "***"]),
                self.log.display()
            );
        }
        Ok(text)
    }
}

/// "CC      fs/file.o" of a line of make's.
fn object(line: &str) -> Option<&str> {
    let text = line.strip_prefix("  ")?;
    let (kind, rest) = text.split_once(' ')?;
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_kind = !kind.is_empty() && kind.chars().all(upper);
    (is_kind && !rest.trim().is_empty()).then_some(text.trim_end())
}

/// 40 lines that tell what went wrong, without progress: from the first with one of `words` on.
fn relevant(text: &str, words: &[&str]) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| object(line).is_none()).collect();
    let tells = |line: &&str| {
        let line = line.to_ascii_lowercase();
        words.iter().any(|word| line.contains(word))
    };
    let first = lines.iter().position(tells).unwrap_or(0);
    let from = &lines[first..];
    if from.len() <= 40 {
        return from.join("\n");
    }
    let head = from[..30].join("\n");
    format!("{head}\n...\n{}", last_lines(&from.join("\n"), 9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_from_messages() {
        assert_eq!(object("  CC      fs/file.o"), Some("CC      fs/file.o"));
        assert_eq!(
            object("  RUSTC L rust/kernel.o"),
            Some("RUSTC L rust/kernel.o")
        );
        assert_eq!(object("fs/file.c:3:1: error: x"), None);
        assert_eq!(object("  note: text"), None);
    }

    #[test]
    fn the_first_error_is_shown() {
        let mut text = String::from("  CC      a.o\nwarning: w\na.c:1: error: first\n");
        text.push_str("  CC      b.o\nmake: *** [a.o] Error 1\n");
        assert_eq!(
            relevant(&text, &["error"]),
            "a.c:1: error: first\nmake: *** [a.o] Error 1"
        );
        let long = format!("error: first\n{}make: *** last\n", "x\n".repeat(100));
        let short = relevant(&long, &["error"]);
        assert!(
            short.starts_with("error: first") && short.ends_with("*** last"),
            "{short}"
        );
        assert_eq!(short.lines().count(), 40);
    }

    #[test]
    fn variants_are_plain_names() {
        assert!(variant("debug-1").is_ok());
        assert!(variant("").is_err() && variant("a/b").is_err() && variant("a b").is_err());
    }
}
