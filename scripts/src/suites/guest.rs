//! Runs the programs of all suites in the guest, in one boot, on epoll and on kevent.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::build::Program;
use super::list::{Column, Suite};
use crate::cache::write_atomic;
use crate::context::Context;
use crate::guest::boot::{Boot, Mode, SMP};
use crate::guest::exec;
use crate::guest::selftests::{self, Kernel};
use crate::guest::session::{Limits, RawPort};
use crate::progress::Step;
use crate::run;
use crate::tools::in_path;
use crate::userspace::guest::Target;

const LIMITS: Limits = Limits {
    silence: Duration::from_secs(7200),
    total: Duration::from_secs(7200),
};

/// The programs are in the memory of the guest, twice while it boots.
const BOOT: Boot = Boot {
    memory: "3G",
    ..SMP
};

/// What one program may take, in seconds.
const SECONDS: u32 = 300;

/// What the tests call.
const COMMANDS: [&str; 8] = ["sh", "bash", "cat", "echo", "sleep", "true", "false", "wc"];

/// A suite that is built.
pub struct Built {
    pub suite: Suite,
    pub folder: PathBuf,
    pub programs: Vec<Program>,
}

/// Runs them, and gives the lines that they wrote.
pub fn run(ctx: &Context, kernel: &Kernel, built: &[Built]) -> Result<Vec<String>> {
    let archive = {
        let _lock = ctx.lock()?;
        pack(ctx, kernel, built)?
    };
    let guest = selftests::guest(ctx, kernel, &BOOT, &archive, Mode::Exec)?;
    let all = Lines::default();
    let port = |name| RawPort {
        name,
        to: Box::new(all.clone()),
    };
    let code = exec::follow(ctx, guest, vec![port("stdout"), port("stderr")], LIMITS)?;
    ensure!(code == 0, "the runner failed with {code}");
    Ok(all.lines())
}

fn pack(ctx: &Context, kernel: &Kernel, built: &[Built]) -> Result<PathBuf> {
    let step = Step::start("Packing the test programs");
    let target = Target::find(ctx)?.map_err(anyhow::Error::msg)?;
    ensure!(target.is_native(), "the suites are built for this machine");
    let mut initramfs = run::initramfs(ctx, kernel, false)?;
    initramfs.program("/exec/run-suites", &target.program(ctx, "run-suites")?);
    let library = target.preload(ctx)?;
    exec::with_libraries(&mut initramfs, "/exec/libepoll_kevent.so", &library)?;
    for command in COMMANDS {
        let path = in_path(command).with_context(|| format!("{command} not found"))?;
        exec::with_libraries(&mut initramfs, &format!("/bin/{command}"), &path)?;
    }
    for Built {
        suite,
        folder,
        programs,
    } in built
    {
        for program in programs {
            exec::with_libraries(&mut initramfs, &in_guest(suite, program), &program.path)?;
        }
        let manifest = folder.join("Cargo.toml");
        initramfs.program(&format!("{}/Cargo.toml", place(suite)), &manifest);
    }
    initramfs.bytes("/etc/hosts", b"127.0.0.1 localhost\n".to_vec());
    initramfs.bytes("/exec/plan", plan(built).into_bytes());
    exec::argv(&mut initramfs, ["/exec/run-suites", "/exec/plan"]);
    let archive = selftests::folder(ctx)?.join("suites.cpio");
    write_atomic(&archive, initramfs.pack()?)?;
    step.done();
    Ok(archive)
}

fn place(suite: &Suite) -> String {
    format!("/exec/{}", suite.package.name)
}

fn in_guest(suite: &Suite, program: &Program) -> String {
    format!("{}/{}", place(suite), program.name)
}

/// What the runner reads: one line for each program and column, the columns side by side.
fn plan(built: &[Built]) -> String {
    let mut text = String::new();
    for Built {
        suite, programs, ..
    } in built
    {
        for program in programs {
            for column in Column::ALL {
                let kind = if program.libtest { "libtest" } else { "plain" };
                let mut words = vec![
                    column.name().to_owned(),
                    suite.package.name.clone(),
                    program.name.clone(),
                    SECONDS.to_string(),
                    kind.to_owned(),
                    place(suite),
                    in_guest(suite, program),
                ];
                if program.libtest {
                    words.extend(suite.skip.iter().map(|test| format!("--skip={test}")));
                }
                let variables = suite.by.variables(column);
                words.extend(variables.iter().map(|&word| word.to_owned()));
                text.push_str(&words.join("\t"));
                text.push('\n');
            }
        }
    }
    text
}

/// Shows what comes, and keeps it.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("nobody panics with it");
        let text = String::from_utf8_lossy(&bytes);
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panics with it")
            .extend_from_slice(bytes);
        std::io::stdout().write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::suites::list::{self, By};

    #[test]
    fn a_program_runs_in_both_columns() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let suites = list::suites(repo).unwrap();
        let suite = suites.into_iter().find(|suite| suite.by == By::Preload);
        let built = Built {
            suite: suite.unwrap(),
            folder: "/f".into(),
            programs: vec![Program {
                name: "io".to_owned(),
                path: "/t/io-1".into(),
                libtest: true,
            }],
        };
        let expected = "epoll\tpolling\tio\t300\tlibtest\t/exec/polling\t/exec/polling/io\n\
                        kevent\tpolling\tio\t300\tlibtest\t/exec/polling\t/exec/polling/io\t\
                        LD_PRELOAD=/exec/libepoll_kevent.so\n";
        assert_eq!(plan(&[built]), expected);
    }
}
