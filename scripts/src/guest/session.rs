//! Runs QEMU to its end and hands on what it says, line by line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use command_fds::{CommandFdExt, FdMapping};

use super::boot::Guest;

/// The first file descriptor of QEMU that is a port.
const FIRST_FD: i32 = 10;

/// How long a guest that has said everything may take to end.
const FAREWELL: Duration = Duration::from_secs(60);

pub enum Event {
    Console(String),
    Report(String),
    /// QEMU itself complains.
    Qemu(String),
}

/// What the watcher wants after an event.
pub enum Next {
    Go,
    /// Nothing more comes: the guest shall end soon.
    Farewell,
    /// That is enough.
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// QEMU ended by itself.
    Off,
    /// QEMU failed.
    Broken(Option<i32>),
    /// Neither the console nor the results said anything for so long.
    Silent(Duration),
    /// It still talked, but for too long.
    TooLong(Duration),
    /// It had said everything and did not end.
    Lingering,
    /// The watcher had enough.
    Stopped,
}

#[derive(Clone, Copy)]
pub struct Limits {
    pub silence: Duration,
    pub total: Duration,
}

impl Limits {
    /// For a program of the user's, who ends it when it is enough.
    pub const NONE: Limits = Limits {
        silence: Duration::from_secs(u32::MAX as u64),
        total: Duration::from_secs(u32::MAX as u64),
    };
}

/// A port whose bytes go to a file of ours as they are.
pub struct RawPort {
    pub name: &'static str,
    pub to: Box<dyn Write + Send>,
}

/// QEMU, killed when this is dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `qemu` to its end and calls `seen` for each event.
pub fn follow(
    guest: Guest,
    raw: Vec<RawPort>,
    limits: Limits,
    mut seen: impl FnMut(Event) -> Next,
) -> Result<End> {
    let Guest {
        mut command,
        port,
        stderr_is_console,
    } = guest;
    let mut ports = BTreeMap::new();
    let mut theirs: Vec<FdMapping> = Vec::new();
    for name in std::iter::once("results").chain(raw.iter().map(|port| port.name)) {
        let (our_end, their_end) = UnixStream::pair().context("cannot make a socket pair")?;
        let child_fd = FIRST_FD + theirs.len() as i32;
        port(&mut command, theirs.len(), name, child_fd);
        ports.insert(name, our_end);
        theirs.push(FdMapping {
            parent_fd: OwnedFd::from(their_end),
            child_fd,
        });
    }
    command
        .fd_mappings(theirs)
        .expect("every descriptor has its own number");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let shown = crate::command::show(&command);
    let child = command
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let mut machine = Machine(child);
    drop(command); // and with it our copies of the guest's ends

    let (sender, events) = mpsc::channel();
    let stdout = machine.0.stdout.take().expect("it is piped");
    let stderr = machine.0.stderr.take().expect("it is piped");
    let results = ports.remove("results").expect("it was made above");
    lines(stdout, sender.clone(), Event::Console);
    let complaint = match stderr_is_console {
        true => Event::Console,
        false => Event::Qemu,
    };
    lines(stderr, sender.clone(), complaint);
    lines(results, sender, Event::Report);
    let copies: Vec<JoinHandle<()>> = raw
        .into_iter()
        .map(|port| copy(ports.remove(port.name).expect("it was made above"), port.to))
        .collect();

    let start = Instant::now();
    let mut heard = start;
    let mut farewell = false;
    loop {
        let silence = if farewell { FAREWELL } else { limits.silence };
        let until = (heard + silence).min(start + limits.total);
        match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(event) => {
                heard = Instant::now();
                match seen(event) {
                    Next::Go => {}
                    Next::Farewell => farewell = true,
                    Next::Stop => return Ok(End::Stopped),
                }
            }
            Err(RecvTimeoutError::Timeout) if farewell => return Ok(End::Lingering),
            Err(RecvTimeoutError::Timeout) if heard + silence <= Instant::now() => {
                return Ok(End::Silent(silence));
            }
            Err(RecvTimeoutError::Timeout) => return Ok(End::TooLong(limits.total)),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = machine.0.wait().context("cannot wait for QEMU")?;
    for copy in copies {
        let _ = copy.join();
    }
    Ok(match status.success() {
        true => End::Off,
        false => End::Broken(status.code()),
    })
}

/// Sends each line of `from`, until it ends.
fn lines(from: impl Read + Send + 'static, to: Sender<Event>, event: fn(String) -> Event) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(size) if size > 0) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']).to_owned();
            if to.send(event(text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}

fn copy(mut from: UnixStream, mut to: Box<dyn Write + Send>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut bytes = [0; 65536];
        while let Ok(size @ 1..) = from.read(&mut bytes) {
            // Whoever reads our output may have gone; the guest shall not wait for him.
            let _ = to.write_all(&bytes[..size]).and_then(|()| to.flush());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::command;

    const MOMENT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(60);

    /// A shell script in the place of QEMU; descriptor 10 is the port of the results.
    fn play(script: &str, limits: Limits) -> (End, Vec<String>) {
        let mut all = Vec::new();
        let mut sh = command("bash");
        sh.args(["-c", script]);
        let end = follow(Guest::qemu(sh), Vec::new(), limits, |event| {
            all.push(match event {
                Event::Console(line) => format!("console {line}"),
                Event::Report(line) => format!("report {line}"),
                Event::Qemu(line) => format!("qemu {line}"),
            });
            Next::Go
        });
        all.sort();
        (end.unwrap(), all)
    }

    fn limits(silence: Duration, total: Duration) -> Limits {
        Limits { silence, total }
    }

    #[test]
    fn channels_are_apart_and_complete() {
        let script = "printf 'boot\\r\\nlast'; echo END >&10; echo bad >&2";
        let (end, all) = play(script, limits(LONG, LONG));
        assert_eq!(end, End::Off);
        assert_eq!(
            all,
            ["console boot", "console last", "qemu bad", "report END"]
        );
    }

    #[test]
    fn a_failing_qemu_is_told() {
        assert_eq!(play("exit 3", limits(LONG, LONG)).0, End::Broken(Some(3)));
    }

    #[test]
    fn silence_ends_it() {
        let (end, all) = play("echo boot; exec sleep 60", limits(MOMENT, LONG));
        assert_eq!(end, End::Silent(MOMENT));
        assert_eq!(all, ["console boot"]);
    }

    #[test]
    fn endless_talk_ends_too() {
        let script = "while sleep 0.05; do echo again; done";
        assert_eq!(play(script, limits(LONG, MOMENT)).0, End::TooLong(MOMENT));
    }

    #[test]
    fn it_is_ended_when_that_is_enough() {
        let mut sh = command("bash");
        sh.args(["-c", "echo boot; exec sleep 60"]);
        let limits = limits(LONG, LONG);
        let end = follow(Guest::qemu(sh), Vec::new(), limits, |_| Next::Stop);
        assert_eq!(end.unwrap(), End::Stopped);
    }

    #[test]
    fn raw_ports_keep_every_byte() {
        let (read, write) = std::io::pipe().unwrap();
        let raw = vec![RawPort {
            name: "stdout",
            to: Box::new(write),
        }];
        let mut sh = command("bash");
        sh.args(["-c", "printf 'a\\0b\\r' >&11"]);
        let end = follow(Guest::qemu(sh), raw, limits(LONG, LONG), |_| Next::Go).unwrap();
        let mut bytes = Vec::new();
        { read }.read_to_end(&mut bytes).unwrap();
        assert_eq!(end, End::Off);
        assert_eq!(bytes, b"a\0b\r");
    }
}
