//! Builds the kernel after each patch, with CONFIG_KEVENT off and on.
//!
//! Both configurations have a build folder, and all states one worktree, so that a patch
//! compiles anew only what depends on its files.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::config::{self, Wanted};
use super::{Args, Build, check_name, fragments};
use crate::cache::write_atomic;
use crate::check::kept::MadeOf;
use crate::check::states::State;
use crate::check::touched;
use crate::check::warnings::{self, Warning};
use crate::command::show;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::progress::Step;
use crate::tools::python;
use crate::tree::{self, Base};

const SYMBOL: &str = "CONFIG_KEVENT";

/// Warnings are read from what make says, and must not end it.
const LENIENT: &str = "# CONFIG_WERROR is not set\n# CONFIG_OBJTOOL_WERROR is not set\n";

/// The compilers' second thoughts, sparse, and Clippy.
const STRICT: [&str; 3] = ["W=1", "C=1", "CLIPPY=1"];

/// What is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Rust and the touched objects, as [`STRICT`] looks at them.
    Objects,
    /// The documentation of Rust.
    Rustdoc,
    /// What boots.
    Image,
}

/// Builds the states on one architecture.
pub struct Builder<'a> {
    ctx: &'a Context,
    base: &'a Base,
    first: &'a State,
    home: &'a Path,
    fragments: Vec<PathBuf>,
    /// All that the series brings.
    symbols: BTreeSet<String>,
}

impl<'a> Builder<'a> {
    pub fn new(
        ctx: &'a Context,
        base: &'a Base,
        home: &'a Path,
        first: &'a State,
        symbols: BTreeSet<String>,
    ) -> Result<Builder<'a>> {
        check_name(home)?;
        let fragments = fragments(ctx, Flavour::Ordinary, &Args::default())?;
        Ok(Builder {
            ctx,
            base,
            first,
            home,
            fragments,
            symbols,
        })
    }

    /// The build folder of a configuration.
    pub fn folder(&self, on: bool) -> PathBuf {
        let name = if on { "on" } else { "off" };
        self.home
            .join(format!("build-{}-{name}", self.ctx.arch.name()))
    }

    pub fn worktree(&self) -> PathBuf {
        self.home.join("linux")
    }

    /// Whether the state has kevent at all.
    pub fn can_be_on(state: &State) -> bool {
        state.symbols.contains(SYMBOL)
    }

    /// What the result of a build follows from.
    pub fn made_of(&self, state: &State, on: bool) -> Result<MadeOf> {
        let tools = self.ctx.tools();
        let make = tools.make(&self.worktree(), &self.folder(on))?;
        let mut of = MadeOf {
            sources: vec![
                self.first.code.clone(),
                state.code.clone(),
                self.without_tools(state, on)?,
                STRICT.join(" "),
            ],
            tools: vec![self.wanted(state, on)?.text(), show(&make)],
        };
        of.sources.extend(state.objects.iter().cloned());
        let rows = tools.rows.iter().filter(|row| !python::is_module(row));
        let found = rows.filter_map(|row| row.found.clone());
        of.tools.extend(found);
        Ok(of)
    }

    /// Builds a state, and gives the warnings that the base does not give.
    pub fn build(&self, state: &State, on: bool, what: What, log: &Path) -> Result<Vec<String>> {
        let mut known = BTreeSet::new();
        if what != What::Image && state.number != self.first.number {
            known.extend(self.of_the_base(what)?);
        }
        let text = self.make(state, on, what, log)?;
        let found = match what {
            What::Image => Vec::new(),
            _ => warnings::new(warnings::find(&text), &known),
        };
        if what == What::Objects && found.is_empty() {
            fs::remove_file(self.unfinished(on))?;
        }
        Ok(found)
    }

    /// The keys of the base's own warnings.
    fn of_the_base(&self, what: What) -> Result<Vec<String>> {
        let of = self.made_of(self.first, false)?;
        let kept = crate::check::kept::Kept::new(self.home.join("base"));
        let check = format!("{} {what:?}", self.ctx.arch.name());
        if let Some(known) = kept.get(&check, &of) {
            return Ok(known);
        }
        let log = self.ctx.cache.join("log/check");
        let log = log.join(format!("0000-{}", check.replace(' ', "-")));
        let text = self.make(self.first, false, what, &log)?;
        let known: Vec<String> = warnings::find(&text).iter().map(Warning::key).collect();
        if what == What::Objects {
            fs::remove_file(self.unfinished(false))?;
        }
        kept.put(&check, &of, &known)?;
        Ok(known)
    }

    fn make(&self, state: &State, on: bool, what: What, log: &Path) -> Result<String> {
        let tools = self.ctx.tools();
        let (tree, folder) = (self.worktree(), self.folder(on));
        let build = Build {
            tools: &tools,
            tree: &tree,
            folder: &folder,
            variables: &[],
            log: log.to_owned(),
        };
        let name = if on { "on" } else { "off" };
        let arch = self.ctx.arch.name();
        let step = Step::start(format!("{} {arch} {name} {what:?}", state.number));
        step.update("checkout");
        tree::checkout(self.base, build.tree, &state.commit)?;
        let wanted = self.wanted(state, on)?;
        if !build.is_configured(&wanted, &state.kconfig)? {
            build.configure(&wanted, &state.kconfig, &step)?;
        }
        let text = match what {
            What::Objects => {
                if self.unfinished(on).exists() {
                    // What warned is built, and would be silent the next time.
                    self.forget(&folder, state)?;
                }
                write_atomic(&self.unfinished(on), "")?;
                let targets = self.targets(state, &build)?;
                let targets = targets.iter().map(String::as_str);
                // All of what they say, in one log.
                let all: Vec<&str> = STRICT.into_iter().chain(["prepare"]).collect();
                let text = build.build(&all, &step)?;
                let all: Vec<&str> = STRICT.into_iter().chain(targets).collect();
                let text = text + &build.build(&all, &step)?;
                write_atomic(log, &text)?;
                text
            }
            // Without sparse: with it or not, the objects are the same. Without the others, all of
            // Rust is compiled again, and once more for the next patch.
            What::Rustdoc => {
                let rustdoc = self.rustdoc(state)?;
                build.build(&["W=1", "CLIPPY=1", &rustdoc, "rustdoc"], &step)?
            }
            What::Image => {
                build.build(&["W=1", "CLIPPY=1", self.ctx.arch.image_target()], &step)?
            }
        };
        step.done();
        Ok(text)
    }

    /// What documents Rust after a patch: the crate `kernel` alone, unless the patch touches others.
    /// These take three quarters of the time.
    fn rustdoc(&self, state: &State) -> Result<String> {
        let tools = self.ctx.tools();
        let rustdoc = &tools.rust()?.rustdoc;
        let path = match state.number == self.first.number || touched::other_crates(&state.paths) {
            true => rustdoc.clone(),
            false => {
                let script = self.home.join(format!("rustdoc-{}", self.ctx.arch.name()));
                write_atomic(&script, of_kernel(rustdoc))?;
                fs::set_permissions(&script, Permissions::from_mode(0o755))?;
                script
            }
        };
        Ok(format!("RUSTDOC={}", path.display()))
    }

    /// Marks a folder in which something was built whose warnings nobody read.
    fn unfinished(&self, on: bool) -> PathBuf {
        self.folder(on).join("unfinished")
    }

    /// Removes what the series has built in the folder.
    fn forget(&self, folder: &Path, state: &State) -> Result<()> {
        let rust = ["rust/*.o", "rust/libkernel.rmeta", "rust/helpers/*.o"];
        let objects = state.objects.iter().map(String::as_str);
        for pattern in rust.into_iter().chain(objects) {
            let pattern = folder.join(pattern);
            for path in glob::glob(pattern.to_str().context("the path is no UTF-8")?)? {
                fs::remove_file(path?)?;
            }
        }
        Ok(())
    }

    /// The fragments, less what the series has yet to bring, or all that it brings.
    fn wanted(&self, state: &State, on: bool) -> Result<Wanted> {
        self.merged(&self.fragments, state, on)
    }

    /// The configuration as far as it does not follow from the tools.
    fn without_tools(&self, state: &State, on: bool) -> Result<String> {
        let of_tools = |path: &&PathBuf| path.ends_with("inline-helpers.config");
        let fragments: Vec<PathBuf> = self
            .fragments
            .iter()
            .filter(|path| !of_tools(path))
            .cloned()
            .collect();
        Ok(self.merged(&fragments, state, on)?.text())
    }

    fn merged(&self, fragments: &[PathBuf], state: &State, on: bool) -> Result<Wanted> {
        let mut wanted = config::merge(fragments)?;
        for symbol in &self.symbols {
            if !on || !state.symbols.contains(symbol) {
                wanted.remove(symbol);
            }
        }
        let value = if on { "y" } else { "n" };
        let more = format!("{SYMBOL}={value}\n{LENIENT}");
        wanted.add(&more, Path::new("check"))?;
        Ok(wanted)
    }

    /// The tables of system calls, and the touched objects that the configuration builds.
    fn targets(&self, state: &State, build: &Build) -> Result<Vec<String>> {
        let config = fs::read_to_string(build.folder.join(".config"))?;
        let mut targets = vec![
            "kernel/sys_ni.o".to_owned(),
            self.ctx.arch.syscalls_target().to_owned(),
        ];
        for object in &state.objects {
            let path = Path::new(object);
            let folder = path.parent().context("an object has a folder")?;
            let makefile = build.tree.join(folder).join("Makefile");
            let makefile = fs::read_to_string(&makefile)
                .with_context(|| format!("cannot read {}", makefile.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !targets.contains(object) && touched::is_built(&name, &makefile, &config) {
                targets.push(object.clone());
            }
        }
        Ok(targets)
    }
}

/// A script in the place of rustdoc that documents no crate but `kernel`.
fn of_kernel(rustdoc: &Path) -> String {
    format!(
        "#!/bin/sh\ncase \" $* \" in\n*\" --crate-name kernel \"*) ;;\n*\" --crate-name \"*) exit 0 ;;\nesac\n\
         exec '{}' \"$@\"\n",
        rustdoc.display()
    )
}

/// Whether make says with this line what it builds.
pub fn is_progress(line: &str) -> bool {
    super::object(line).is_some()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_the_crate_kernel_is_documented() {
        let script = of_kernel(Path::new("/bin/echo"));
        let run = |args: &str| {
            let mut sh = Command::new("sh");
            sh.args(["-c", &script, "rustdoc"]).args(args.split(' '));
            String::from_utf8(sh.output().unwrap().stdout).unwrap()
        };
        let kernel = "--output a --crate-name kernel --sysroot=/dev/null";
        assert_eq!(run(kernel), format!("{kernel}\n"));
        assert_eq!(run("--output a --crate-name core b"), "");
        assert_eq!(run("-vV"), "-vV\n");
    }
}
