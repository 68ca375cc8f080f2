//! Compiles what runs in the guest: its init and the selftests, static.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use glob::Pattern;

use super::results::{Outcome, TestResult};
use crate::command::{check, command};
use crate::progress::Step;

/// Programs of the guest.
#[derive(Clone, Copy)]
pub struct Guests<'a> {
    /// Their compiler.
    pub gcc: &'a Path,
    pub flags: &'a [&'a str],
    /// Where they are put.
    pub folder: &'a str,
}

/// What the selftests are compiled with.
pub struct Compiler<'a> {
    /// Of this machine, for the header alone: users have other compilers, and other languages.
    pub gcc: &'a Path,
    pub clang: &'a Path,
    pub repo: &'a Path,
    /// The kernel tree, for its test harness.
    pub tree: &'a Path,
}

/// A program of the guest on the host.
pub struct Program {
    pub name: String,
    pub path: PathBuf,
    /// It reports no tests: its exit code is the result.
    pub plain: bool,
}

/// The variables of `selftests/Makefile` that name programs.
const LISTS: [&str; 2] = ["TEST_GEN_PROGS", "TEST_GEN_PROGS_EXTENDED"];
/// What every test program has that reports its tests.
const HARNESS: &str = "TEST_HARNESS_MAIN";

impl Compiler<'_> {
    pub fn init(&self, guests: &Guests<'_>, out: &Path) -> Result<PathBuf> {
        let init = out.join("init");
        let mut gcc = command(guests.gcc);
        gcc.args([
            "-std=gnu11",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-static",
        ]);
        gcc.arg("-o").arg(&init).arg(self.repo.join("qemu/init.c"));
        check(&mut gcc).context("init of the guest")?;
        Ok(init)
    }

    /// The selftests whose names `only` matches, and the benchmark.
    pub fn selftests(
        &self,
        guests: &Guests<'_>,
        out: &Path,
        only: Option<&Pattern>,
    ) -> Result<Vec<Program>> {
        let out = out.join(guests.folder);
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let mut programs = Vec::new();
        for name in self.listed()? {
            if only.is_some_and(|only| !only.matches(&name)) && name != super::BENCH {
                continue;
            }
            let source = self.repo.join("selftests").join(format!("{name}.c"));
            let text = fs::read_to_string(&source);
            let text = text.with_context(|| format!("cannot read {}", source.display()))?;
            let (path, plain) = (out.join(&name), !text.contains(HARNESS));
            programs.push((source, Program { name, path, plain }));
        }
        let step = Step::start("Compiling the selftests");
        in_parallel(&programs, |done, (source, program)| {
            step.update(&format!(
                "{} of {}: {}",
                done + 1,
                programs.len(),
                program.name
            ));
            let mut gcc = self.c(guests.gcc, "gnu11");
            gcc.arg("-D_GNU_SOURCE=").args(guests.flags);
            gcc.args(["-O2", "-static", "-pthread"]);
            // As the Makefile warns; but for a cast in the harness, which is right for 64 bits only.
            gcc.args(["-Wextra", "-Werror", "-Wno-pointer-to-int-cast"]);
            gcc.arg("-o").arg(&program.path).arg(source);
            check(&mut gcc).with_context(|| format!("selftest {}", program.name))
        })?;
        step.done_with(&format!("{} programs", programs.len()));
        Ok(programs.into_iter().map(|(_, program)| program).collect())
    }

    /// Compiles each source that is a test of the header, in every language and order.
    pub fn headers(&self, only: Option<&Pattern>) -> Result<Vec<TestResult>> {
        let mut results = Vec::new();
        let listed = self.listed()?;
        for source in self.sources()? {
            let name = stem(&source);
            if listed.contains(&name) {
                continue;
            }
            if fs::read_to_string(&source)?.contains(HARNESS) {
                bail!("selftests/Makefile does not list {name}");
            }
            if only.is_some_and(|only| !only.matches(&name)) {
                continue;
            }
            let cxx = source
                .extension()
                .is_some_and(|extension| extension == "cc");
            let (compilers, standards) = match cxx {
                true => (vec![self.clang], ["c++11", "c++20"]),
                false => (vec![self.gcc, self.clang], ["gnu99", "c11"]),
            };
            for compiler in compilers {
                for standard in standards {
                    for order in ["", "-DKEVENT_FIRST"] {
                        let mut cc = self.c(compiler, standard);
                        cc.args(["-Werror", "-fsyntax-only"])
                            .args((!order.is_empty()).then_some(order));
                        let language = if cxx { "c++" } else { "c" };
                        cc.args(["-x", language]).arg(&source);
                        let title = format!("{} {standard} {order}", stem(compiler));
                        results.push(result(&name, title.trim(), check(&mut cc)));
                    }
                }
            }
        }
        Ok(results)
    }

    fn c(&self, compiler: &Path, standard: &str) -> Command {
        let mut cc = command(compiler);
        cc.args([&format!("-std={standard}"), "-Wall"]);
        cc.arg("-I").arg(self.repo.join("selftests"));
        cc.arg("-I").arg(self.tree.join("tools/testing/selftests"));
        cc.arg("-I").arg(self.repo.join("linux/include/uapi"));
        cc
    }

    /// The programs that `selftests/Makefile` lists.
    fn listed(&self) -> Result<Vec<String>> {
        let path = self.repo.join("selftests/Makefile");
        let text = fs::read_to_string(&path);
        Ok(listed(&text.with_context(|| {
            format!("cannot read {}", path.display())
        })?))
    }

    fn sources(&self) -> Result<Vec<PathBuf>> {
        let folder = self.repo.join("selftests");
        let entries = fs::read_dir(&folder);
        let entries = entries.with_context(|| format!("cannot read {}", folder.display()))?;
        let mut sources = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if matches!(extension, Some("c" | "cc")) {
                sources.push(path);
            }
        }
        sources.sort();
        Ok(sources)
    }
}

fn listed(makefile: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in makefile.lines() {
        let Some((variable, words)) = line.split_once('=') else {
            continue;
        };
        if LISTS.contains(&variable.trim_end_matches([':', '+', ' '])) {
            names.extend(words.split_whitespace().map(str::to_owned));
        }
    }
    names.sort();
    names
}

fn result(suite: &str, name: &str, compiled: Result<()>) -> TestResult {
    match compiled {
        Ok(()) => TestResult {
            outcome: Outcome::Pass,
            log: Vec::new(),
            ..TestResult::failure(suite, name, "")
        },
        Err(error) => TestResult::failure(suite, name, format!("{error:#}")),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Does `work` for each item on all processors, and gives the first error.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(usize, &T) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let errors = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, |count| count.get());
    thread::scope(|scope| {
        for _ in 0..workers.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else {
                        return;
                    };
                    if let Err(error) = work(index, item) {
                        errors.lock().expect("nobody panics with it").push(error);
                        return;
                    }
                }
            });
        }
    });
    let errors = errors
        .into_inner()
        .map_err(|_| anyhow!("a worker panicked"))?;
    errors.into_iter().next().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makefile_lists_the_programs() {
        let makefile = "CFLAGS += -O2\nTEST_GEN_PROGS := ring ctl\n\nTEST_GEN_PROGS += wait\n\
                        TEST_GEN_PROGS_EXTENDED := bench\nLOCAL_HDRS += kevent.h\n";
        assert_eq!(listed(makefile), ["bench", "ctl", "ring", "wait"]);
    }

    #[test]
    fn every_item_is_worked_on_and_an_error_is_kept() {
        let items: Vec<usize> = (0..50).collect();
        let sum = AtomicUsize::new(0);
        let add = |_, item: &usize| {
            sum.fetch_add(*item, Ordering::Relaxed);
            Ok(())
        };
        in_parallel(&items, add).unwrap();
        assert_eq!(sum.into_inner(), 49 * 50 / 2);
        let error = in_parallel(&items, |_, item| match item {
            7 => Err(anyhow!("seven")),
            _ => Ok(()),
        });
        assert_eq!(error.unwrap_err().to_string(), "seven");
    }
}
