// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Runs the tests of other packages in the guest, and tells of each test on a line that begins with
//! `@`. What a program says is shown if one of its tests fails.
//!
//! Each line of the plan is a program, in words with tabs between: the column and the suite that it
//! belongs to, its name, the seconds that it may take, whether it is `libtest` or `plain`, its folder,
//! its path, variables as `NAME=VALUE`, and options as `--NAME=VALUE`.
//!
//! A test that fails, or has not ended with its program, is run again, alone, up to twice: under
//! emulation a deadline is easily missed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where a program tells how its tests ended.
const LOG: &str = "/tmp/suites.log";
/// What a program says.
const OUTPUT: &str = "/tmp/suites.out";
/// Seconds for one test alone.
const ALONE: u64 = 120;
/// How often a test is run again.
const AGAIN: usize = 2;

struct Program<'a> {
    column: &'a str,
    suite: &'a str,
    name: &'a str,
    seconds: u64,
    libtest: bool,
    folder: &'a str,
    path: &'a str,
    variables: Vec<(&'a str, &'a str)>,
    options: Vec<&'a str>,
}

/// How a program ended, and which kinds of queue it was seen to have.
#[derive(Default)]
struct Ended {
    status: Option<ExitStatus>,
    kevent: bool,
    eventpoll: bool,
}

impl Ended {
    fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    fn how(&self) -> String {
        match self.status {
            None => "timeout".to_owned(),
            Some(status) => match status.signal() {
                Some(signal) => format!("signal={signal}"),
                None => format!("exit={}", status.code().unwrap_or(-1)),
            },
        }
    }

    /// Looks at the descriptors of a process.
    fn look(&mut self, child: &Child) {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", child.id())) else {
            return;
        };
        for link in entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()) {
            self.kevent |= link == Path::new("anon_inode:[kevent]");
            self.eventpoll |= link == Path::new("anon_inode:[eventpoll]");
        }
    }
}

impl<'a> Program<'a> {
    fn parse(line: &'a str) -> Option<Program<'a>> {
        let mut words = line.split('\t');
        let program = Program {
            column: words.next()?,
            suite: words.next()?,
            name: words.next()?,
            seconds: words.next()?.parse().ok()?,
            libtest: words.next()? == "libtest",
            folder: words.next()?,
            path: words.next()?,
            variables: Vec::new(),
            options: Vec::new(),
        };
        let (options, variables): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with("--"));
        Some(Program {
            variables: variables
                .iter()
                .filter_map(|word| word.split_once('='))
                .collect(),
            options,
            ..program
        })
    }

    fn say(&self, what: &str, text: &str) {
        let Program { column, suite, .. } = self;
        println!("@ {what} {column} {suite} {} {text}", self.name);
    }

    fn run(&self, arguments: &[&str], seconds: u64) -> io::Result<Ended> {
        let output = File::create(OUTPUT)?;
        let mut command = Command::new(self.path);
        command.args(arguments).args(&self.options);
        command.current_dir(self.folder);
        command.envs(self.variables.iter().copied());
        command.stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        let mut child = command.process_group(0).spawn()?;
        let limit = Instant::now() + Duration::from_secs(seconds);
        let mut ended = Ended::default();
        while Instant::now() < limit {
            ended.look(&child);
            ended.status = child.try_wait()?;
            if ended.status.is_some() {
                break;
            }
            sleep(Duration::from_millis(2));
        }
        // With all that it has started.
        // SAFETY: It takes numbers only.
        unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
        let _ = child.wait();
        Ok(ended)
    }

    /// The names of its tests.
    fn list(&self) -> io::Result<BTreeSet<String>> {
        self.run(&["--list", "--format", "terse"], ALONE)?;
        let text = fs::read_to_string(OUTPUT)?;
        let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
        Ok(names.map(str::to_owned).collect())
    }

    fn test(&self) -> io::Result<()> {
        if !self.libtest {
            return self.test_plain();
        }
        let all = self.list()?;
        let _ = fs::remove_file(LOG);
        let ended = self.run(&["--logfile", LOG], self.seconds)?;
        let results = results(&fs::read_to_string(LOG).unwrap_or_default());
        let of = |name: &str| results.iter().find(|(_, test)| test == name);
        for name in &all {
            match of(name) {
                Some((outcome, _)) if outcome != "failed" => {
                    self.say("test", &format!("{outcome} {name}"))
                }
                _ => {
                    show(&format!("{} {} {name}", self.column, self.suite))?;
                    let outcome = if self.passes_alone(name)? {
                        "again"
                    } else {
                        "failed"
                    };
                    self.say("test", &format!("{outcome} {name}"));
                }
            }
        }
        self.end(&ended);
        Ok(())
    }

    /// A program without a harness is one test.
    fn test_plain(&self) -> io::Result<()> {
        for round in 0..=AGAIN {
            let ended = self.run(&[], self.seconds)?;
            if ended.is_success() || round == AGAIN {
                let outcome = match (ended.is_success(), round) {
                    (true, 0) => "ok",
                    (true, _) => "again",
                    (false, _) => "failed",
                };
                self.say("test", &format!("{outcome} main"));
                self.end(&ended);
                return Ok(());
            }
            show(self.name)?;
        }
        Ok(())
    }

    fn passes_alone(&self, name: &str) -> io::Result<bool> {
        for _ in 0..AGAIN {
            if self.run(&["--exact", name], ALONE)?.is_success() {
                return Ok(true);
            }
            show(&format!("{} {} {name}, alone", self.column, self.suite))?;
        }
        Ok(false)
    }

    fn end(&self, ended: &Ended) {
        let [kevent, eventpoll] = [ended.kevent, ended.eventpoll].map(u8::from);
        self.say(
            "end",
            &format!("{} kevent={kevent} eventpoll={eventpoll}", ended.how()),
        );
    }
}

/// Shows the last lines that a program said.
fn show(title: &str) -> io::Result<()> {
    let text = fs::read(OUTPUT)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    println!("----- {title}");
    for line in &lines[lines.len().saturating_sub(40)..] {
        println!("| {line}");
    }
    Ok(())
}

/// The lines `ok name` of a log.
fn results(log: &str) -> Vec<(String, String)> {
    let words = log.lines().filter_map(|line| line.split_once(' '));
    let own = words.map(|(outcome, name)| {
        // A test that is to panic, and the reason why one is ignored.
        let name = name.split(" - ").next().unwrap_or(name);
        (
            outcome.trim_end_matches(':').to_owned(),
            name.trim().to_owned(),
        )
    });
    own.collect()
}

fn main() -> io::Result<()> {
    let plan = std::env::args().nth(1).unwrap_or_default();
    for program in fs::read_to_string(plan)?.lines().filter_map(Program::parse) {
        program.say("run", "");
        if let Err(error) = program.test() {
            println!("{}: {error}", program.path);
            program.say("end", "error kevent=0 eventpoll=0");
        }
    }
    Ok(())
}
