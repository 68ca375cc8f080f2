//! `cargo xtask build --each`: each patch of the series builds, with CONFIG_KEVENT off and on.
//!
//! Both configurations have a build folder, and all states one worktree, so that a patch
//! compiles anew only what depends on its files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::config::Wanted;
use super::{Args, Build, check_name, config, fragments, relevant, touched};
use crate::cache::{Lock, sha256_of, stamped, write_atomic};
use crate::command::show;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::git::{Keep, Scratch};
use crate::progress::{Step, seconds};
use crate::tree::Base;
use crate::{setup, tree};

const SYMBOL: &str = "CONFIG_KEVENT";

/// Warnings of the compilers, the linker and objtool are errors, so that they come again.
const STRICT: &str = "CONFIG_WERROR=y\nCONFIG_OBJTOOL_WERROR=y\n";

/// The kernel after a patch.
struct State {
    /// The number of the patch, such as "0007".
    number: String,
    subject: String,
    commit: String,
    /// Its files.
    tree: String,
    /// The last commit that changed a Kconfig file.
    kconfig: String,
    /// Whether the patch can change what is built.
    counts: bool,
    /// The objects of all C files touched so far.
    objects: BTreeSet<String>,
    /// The symbols brought so far.
    symbols: BTreeSet<String>,
}

/// What all states share.
struct Each<'a> {
    ctx: &'a Context,
    home: PathBuf,
    fragments: Vec<PathBuf>,
    symbols: BTreeSet<String>,
}

pub fn run(ctx: &Context) -> Result<()> {
    let start = Instant::now();
    let home = super::folder(ctx, Flavour::Ordinary, Some("each"));
    check_name(&home)?;
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    // Its own lock: the cache's would keep other commands out for all that time.
    let _own = Lock::take(&home)?;
    let lock = ctx.lock()?;
    setup::ensure(ctx)?;
    let base = tree::base(ctx)?;
    let fragments = fragments(ctx, Flavour::Ordinary, &Args::default())?;
    drop(lock);
    eprintln!("{}", base.about);
    let states = states(&base, &home, &tree::patches(&ctx.repo.join("patches"))?)?;
    let last = states.last().context("there is no patch")?;
    let each = Each {
        ctx,
        home,
        fragments,
        symbols: last.symbols.clone(),
    };
    let mut failed = Vec::new();
    for state in &states {
        each.state(&base, state, &mut failed)?;
    }
    if !failed.is_empty() {
        bail!("these do not build: {}", failed.join(", "));
    }
    println!(
        "each of {} patches builds, with {SYMBOL} off and on [{}]",
        states.len(),
        seconds(start.elapsed())
    );
    Ok(())
}

/// Applies the patches one by one.
fn states(base: &Base, home: &Path, patches: &[PathBuf]) -> Result<Vec<State>> {
    let scratch = Scratch::new(&base.git, home, Keep::Objects, &base.commit)?;
    let git = &scratch.git;
    let mut states: Vec<State> = Vec::new();
    for patch in patches {
        let name = patch.file_name().unwrap_or_default().to_string_lossy();
        let before = states.last().map_or(&base.commit, |state| &state.commit);
        let commit = scratch.am(std::slice::from_ref(patch));
        let commit = commit.with_context(|| name.clone().into_owned())?;
        let paths = git.read(&["diff-tree", "-r", "--name-only", before, &commit])?;
        let kconfig = ["--", ":(glob)**/Kconfig*"];
        let diff = ["diff-tree", "-r", "-p", before, &commit];
        let diff = git.read(&[&diff[..], &kconfig].concat())?;
        let mut state = State {
            number: name.split('-').next().unwrap_or_default().to_owned(),
            subject: git.read(&["log", "-1", "--format=%s", &commit])?,
            tree: git.read(&["rev-parse", &format!("{commit}^{{tree}}")])?,
            kconfig: match states.last() {
                _ if !diff.is_empty() => commit.clone(),
                Some(state) => state.kconfig.clone(),
                None => base.commit.clone(),
            },
            commit,
            counts: paths.lines().any(touched::counts),
            objects: paths.lines().filter_map(touched::object).collect(),
            symbols: touched::symbols(&diff),
        };
        if let Some(before) = states.last() {
            state.objects.extend(before.objects.iter().cloned());
            state.symbols.extend(before.symbols.iter().cloned());
        }
        states.push(state);
    }
    Ok(states)
}

impl Each<'_> {
    /// Builds one state, prints its line, and adds to `failed` what did not build.
    fn state(&self, base: &Base, state: &State, failed: &mut Vec<String>) -> Result<()> {
        let title = format!("{} {}", state.number, state.subject);
        if !state.counts {
            println!("{title}: nothing to build");
            return Ok(());
        }
        let step = Step::start(&title);
        let mut results = Vec::new();
        for name in ["off", "on"] {
            if name == "on" && !state.symbols.contains(SYMBOL) {
                continue;
            }
            let start = Instant::now();
            let result = match self.one(base, state, name, &step) {
                Ok(true) => format!("{name}: ok ({})", seconds(start.elapsed())),
                Ok(false) => format!("{name}: ok (built before)"),
                Err(error) => {
                    step.line(&format!("{title}, {SYMBOL} {name}: {error:#}"));
                    failed.push(format!("{} {name}", state.number));
                    format!("{name}: FAILED")
                }
            };
            results.push(result);
        }
        drop(step);
        println!("{title}: {}", results.join(", "));
        Ok(())
    }

    /// Builds a state in one configuration; false if that was done before.
    fn one(&self, base: &Base, state: &State, name: &str, step: &Step) -> Result<bool> {
        let wanted = self.wanted(state, name)?;
        let tools = self.ctx.tools();
        let log = format!("log/each/{}-{name}", state.number);
        let build = Build {
            tools: &tools,
            tree: &self.home.join("linux"),
            folder: &self.home.join(name),
            log: self.ctx.cache.join(log),
        };
        let found = tools.rows.iter().filter_map(|row| row.found.as_deref());
        let mut key = vec![state.tree.clone(), wanted.text(), show(&build.make()?)];
        key.extend(state.objects.iter().cloned());
        key.extend(found.map(str::to_owned));
        let key = sha256_of(key.join("\n"));
        let stamp = self.home.join(format!("built/{}-{name}", state.number));
        if stamped(&stamp, &key) {
            return Ok(false);
        }
        step.update(&format!("{name}: checkout"));
        tree::checkout(base, build.tree, &state.commit)?;
        if !build.is_configured(&wanted, &state.kconfig)? {
            build.configure(&wanted, &state.kconfig, step)?;
        }
        let targets = self.targets(state, &build)?;
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let mut text = build.build(&["prepare"], step)?;
        text.push_str(&build.build(&targets, step)?);
        if text.to_ascii_lowercase().contains("warning:") {
            // What warned is built, and would be silent the next time.
            fs::remove_dir_all(build.folder)?;
            bail!("it warns\n{}", relevant(&text, &["warning:"]));
        }
        write_atomic(&stamp, key)?;
        Ok(true)
    }

    /// The fragments, less what the series has yet to bring, or all that it brings.
    fn wanted(&self, state: &State, name: &str) -> Result<Wanted> {
        let mut wanted = config::merge(&self.fragments)?;
        for symbol in &self.symbols {
            if name == "off" || !state.symbols.contains(symbol) {
                wanted.remove(symbol);
            }
        }
        let value = if name == "on" { "y" } else { "n" };
        let more = format!("{SYMBOL}={value}\n{STRICT}");
        wanted.add(&more, Path::new("--each"))?;
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
