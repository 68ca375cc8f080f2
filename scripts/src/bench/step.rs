//! One event, instruction by instruction: how many are locked, and the wake-up path as it ran.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use regex::Regex;

use super::gdb::Stopped;
use super::{Lines, pack};
use crate::arch::Arch;
use crate::command::{command, stdout};
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::{Accel, Boot, COUNTED, Mode};
use crate::guest::session::Limits;
use crate::guest::{exec, selftests};
use crate::progress::Step;
use crate::run;

const LIMITS: Limits = Limits {
    silence: Duration::from_secs(300),
    total: Duration::from_secs(600),
};

/// What is stepped through.
struct Case {
    /// How the table calls it: one event that is taken by this peer, if it has no other name.
    name: &'static str,
    /// How many are done between the marks.
    events: usize,
    /// Whether to list its wake-up.
    listed: bool,
    /// The function that is stepped through, if not all between the marks: what an interrupt calls.
    from: Option<&'static str>,
}

const fn case(name: &'static str, events: usize, listed: bool) -> Case {
    Case {
        name,
        events,
        listed,
        from: None,
    }
}

/// In the order of `bench/step.c`.
const CASES: &[Case] = &[
    case("none", 1, false),
    case("kevent", 1, true),
    case("kevent-get", 1, false),
    case("epoll-et", 1, false),
    case("io_uring", 1, false),
    case("io_uring-defer", 1, false),
    case("kevent-get: a batch", 32, false),
    case("epoll-et: a batch", 32, false),
    case("kevent: fires again", 1, true),
    case("epoll-et: fires again", 1, false),
    case("kevent: asleep", 1, false),
    case("kevent-get: asleep", 1, false),
    case("epoll-et: asleep", 1, false),
    case("kevent: ADD", 8, false),
    case("epoll-et: ADD", 8, false),
    case("kevent: REMOVE", 8, false),
    case("epoll-et: DEL", 8, false),
    case("kevent: ADD of a timer", 8, false),
    case("kevent: MODIFY of a timer", 8, false),
    case("kevent: REMOVE of a timer", 8, false),
    Case {
        from: Some(EXPIRE),
        ..case("kevent: timers expire", 8, false)
    },
];
/// The callback of a queue's timers.
const EXPIRE: &str = r"4time7hrtimer4user.*10UserTimers.*E3run";
/// Where the benchmark stands before and after the event.
const MARK: &str = "mark";
/// The wake function of a file's tie.
const WAKE: &str = r"2fs5watch.*FileWatch.*Pollable.*4wake";
/// More instructions than an event can have.
const MANY: usize = 100_000;

/// What one event was.
pub struct Event {
    pub name: &'static str,
    pub instructions: f64,
    pub locked: f64,
}

pub struct Stepped {
    pub events: Vec<Event>,
    /// Where the instructions are, and the wake-ups as they ran.
    pub listing: String,
}

/// An instruction that ran.
struct Ran {
    address: u64,
    locked: bool,
}

/// Steps through one event of each peer.
pub fn step(ctx: &Context) -> Result<Stepped> {
    if ctx.arch != Arch::X86_64 {
        bail!("only x86_64 has locked instructions");
    }
    let kernel = run::kernel(ctx, Flavour::Ordinary, Accel::Tcg)?;
    let boot = Boot {
        memory: "2G",
        ..COUNTED
    };
    let archive = pack(ctx, &kernel, &boot, &["step"])?;
    let vmlinux = kernel.config.with_file_name("vmlinux");
    let program = selftests::folder(ctx)?.join(super::PROGRAM);
    let mark = symbols(ctx, &program)?
        .into_iter()
        .find(|(_, name)| name == MARK)
        .map(|(address, _)| address)
        .with_context(|| format!("{} has no {MARK}", program.display()))?;
    let mut names = symbols(ctx, &vmlinux)?;
    names.extend(symbols(ctx, &program)?);

    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("gdb");
    let mut guest = selftests::guest(ctx, &kernel, &boot, &archive, Mode::Exec)?;
    let chardev = format!("socket,id=gdb,server=on,wait=off,path={}", socket.display());
    guest
        .command
        .args(["-chardev", &chardev, "-gdb", "chardev:gdb", "-S"]);
    // The clock of a guest that is stopped goes on to the next timer. Of the RTC, that is the next day.
    guest.command.args(["-rtc", "clock=host"]);
    // With one processor, the kernel takes the locks out of its code.
    guest.command.args(["-smp", "2"]);

    let progress = Step::start("Stepping through events");
    let lines = Lines::default();
    let (code, ran) = std::thread::scope(|scope| {
        let ports = vec![lines.port("stdout"), lines.port("stderr")];
        let stepper = scope.spawn(|| events(&socket, &names, mark));
        let code = exec::follow(ctx, guest, ports, LIMITS);
        (code, stepper.join().expect("it does not panic"))
    });
    let ran = ran?;
    if code? != 0 {
        bail!("the benchmark failed:\n{}", lines.text());
    }
    progress.done();
    let mut events = Vec::new();
    let mut listing = String::new();
    for (case, ran) in CASES.iter().zip(&ran) {
        let each = |count: usize| count as f64 / case.events as f64;
        events.push(Event {
            name: case.name,
            instructions: each(ran.len()),
            locked: each(ran.iter().filter(|ran| ran.locked).count()),
        });
        listing += &format!("\n{}, by function:\n\n", case.name);
        listing += &by_function(ran, &names, case.events);
        if case.listed {
            listing += &wake_up(ctx, &vmlinux, &names, case.name, ran)?;
        }
    }
    Ok(Stepped { events, listing })
}

/// What ran between two marks, in each case.
fn events(socket: &Path, names: &BTreeMap<u64, String>, mark: u64) -> Result<Vec<Vec<Ran>>> {
    let mut guest = Stopped::connect(socket, LIMITS.silence)?;
    let mut all = Vec::new();
    for case in CASES {
        guest.run_to(mark)?;
        let mut end = mark;
        if let Some(from) = case.from {
            guest.run_to(function(names, from)?)?;
            end = guest.caller()?;
        }
        let mut ran = Vec::new();
        loop {
            let address = guest.address()?;
            if address == end && !ran.is_empty() {
                break;
            }
            let locked = is_locked(&guest.memory(address, 16)?);
            ran.push(Ran { address, locked });
            if ran.len() > MANY {
                bail!("an event of more than {MANY} instructions");
            }
            guest.step()?;
        }
        if end != mark {
            guest.run_to(mark)?;
        }
        guest.step()?;
        all.push(ran);
    }
    guest.leave()?;
    Ok(all)
}

/// Where the function is whose name matches.
fn function(names: &BTreeMap<u64, String>, pattern: &str) -> Result<u64> {
    let pattern = Regex::new(pattern)?;
    let found = names.iter().find(|(_, name)| pattern.is_match(name));
    let (address, _) = found.with_context(|| format!("no function is called {pattern}"))?;
    Ok(*address)
}

/// Whether an instruction of x86_64 locks memory: by its prefix, or as an exchange with memory.
fn is_locked(code: &[u8]) -> bool {
    let mut code = code.iter().copied();
    let mut locked = false;
    for byte in code.by_ref() {
        match byte {
            0xf0 => locked = true,
            0x66 | 0x67 | 0x2e | 0x3e | 0x26 | 0x36 | 0x64 | 0x65 | 0xf2 | 0xf3 => {}
            0x40..=0x4f => {}
            0x86 | 0x87 => return locked || code.next().is_some_and(|modrm| modrm < 0xc0),
            _ => return locked,
        }
    }
    locked
}

/// Functions by address.
fn symbols(ctx: &Context, program: &Path) -> Result<BTreeMap<u64, String>> {
    let nm = ctx.tools().llvm()?.bin.join("llvm-nm");
    let text = stdout(command(nm).arg("--defined-only").arg(program))?;
    let mut symbols = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, "t" | "T", name] = words[..] else {
            continue;
        };
        if !name.starts_with("__pfx_") {
            symbols.insert(u64::from_str_radix(address, 16)?, name.to_owned());
        }
    }
    Ok(symbols)
}

/// The wake-up from the first instruction of the wake function to its return.
fn wake_up(
    ctx: &Context,
    vmlinux: &Path,
    names: &BTreeMap<u64, String>,
    case: &str,
    ran: &[Ran],
) -> Result<String> {
    let wake = Regex::new(WAKE)?;
    let function = |address: u64| names.range(..=address).next_back();
    let is_wake = |ran: &Ran| {
        names
            .get(&ran.address)
            .is_some_and(|name| wake.is_match(name))
    };
    let begin = ran.iter().position(is_wake).context("no wake-up ran")?;
    // Between the two may be a thunk of the call.
    let before = ran[..begin].iter().rev().map(|ran| function(ran.address));
    let caller = before
        .flatten()
        .find(|(_, name)| !name.starts_with("__x86_"));
    let (caller, _) = caller.context("nobody woke")?;
    // It returns to the function that called it, which is entered in its midst.
    let end = ran[begin..]
        .iter()
        .position(|ran| function(ran.address).is_some_and(|(of, _)| of == caller))
        .context("the wake-up does not return")?;
    let path = &ran[begin..begin + end];

    let mut code = BTreeMap::new();
    let starts: BTreeSet<u64> = path
        .iter()
        .filter_map(|ran| function(ran.address))
        .map(|(start, _)| *start)
        .collect();
    for start in &starts {
        let stop = names
            .range(start + 1..)
            .next()
            .map_or(start + 0x1000, |(next, _)| *next);
        disassemble(ctx, vmlinux, *start, stop, &mut code)?;
    }
    let locked = path.iter().filter(|ran| ran.locked).count();
    let mut text = format!(
        "\nThe wake-up of {case}: {} instructions, {locked} locked\n\n",
        path.len()
    );
    text += &by_function(path, names, 1);
    let mut last = None;
    for ran in path {
        let (start, name) = function(ran.address).context("outside of the kernel")?;
        if last != Some(start) {
            text += &format!("\n{name}:\n");
            last = Some(start);
        }
        let lock = if ran.locked { "LOCKED" } else { "" };
        let code = code.get(&ran.address).map_or("?", String::as_str);
        text += format!("  +{:<4x} {code:60} {lock}", ran.address - start).trim_end();
        text.push('\n');
    }
    Ok(text)
}

/// Instructions per event in each function; those of less than one are one line.
fn by_function(ran: &[Ran], names: &BTreeMap<u64, String>, events: usize) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for ran in ran {
        let name = names.range(..=ran.address).next_back();
        *counts
            .entry(name.map_or("?", |(_, name)| name))
            .or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let (whole, rest): (Vec<_>, Vec<_>) = counts.iter().partition(|(_, count)| *count >= events);
    let rest: usize = rest.iter().map(|(_, count)| count).sum();
    let rest = (rest != 0).then_some(("once for all of them", rest));
    let lines = whole.into_iter().chain(rest);
    let each = |count: usize| count as f64 / events as f64;
    lines
        .map(|(name, count)| format!("{:7.1}  {name}\n", each(count)))
        .collect()
}

fn disassemble(
    ctx: &Context,
    vmlinux: &Path,
    start: u64,
    stop: u64,
    code: &mut BTreeMap<u64, String>,
) -> Result<()> {
    let objdump = ctx.tools().llvm()?.bin.join("llvm-objdump");
    let mut objdump = command(objdump);
    objdump.args(["-d", "--no-show-raw-insn"]);
    objdump.arg(format!("--start-address={start:#x}"));
    objdump.arg(format!("--stop-address={stop:#x}"));
    for line in stdout(objdump.arg(vmlinux))?.lines() {
        let Some((address, text)) = line.trim_start().split_once(':') else {
            continue;
        };
        if let Ok(address) = u64::from_str_radix(address, 16) {
            let text = text.split(" <").next().unwrap_or_default();
            let words: Vec<&str> = text.split_whitespace().collect();
            code.insert(address, words.join(" "));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_locked;

    #[test]
    fn locked_instructions() {
        // lock cmpxchg %ecx,(%rdi); xchg %rax,(%rdi); lock incl %gs:0
        assert!(is_locked(&[0xf0, 0x0f, 0xb1, 0x0f]));
        assert!(is_locked(&[0x48, 0x87, 0x07]));
        assert!(is_locked(&[0x65, 0xf0, 0xff, 0x04, 0x25]));
        // xchg %rax,%rbx; xadd %rcx,%gs:0; cmpxchg %ecx,(%rdi)
        assert!(!is_locked(&[0x48, 0x87, 0xc3]));
        assert!(!is_locked(&[0x65, 0x48, 0x0f, 0xc1, 0x0c]));
        assert!(!is_locked(&[0x0f, 0xb1, 0x0f]));
    }
}
