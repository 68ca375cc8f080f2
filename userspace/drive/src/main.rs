// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Drives servers on epoll and on kevent, for `cargo xtask programs`, in a guest that has them.
//!
//! The first argument says what to do: `smp` measures rates and counts system calls, `counted` counts the
//! instructions of the servers where the clock does, `suites` runs tests of CPython. The second one, if
//! there is one, has parts of the names of those that are wanted. The result is lines:
//!
//! * `ANSWERS program= case= column= answers= calls= events=`: so many were asked for, and all were right;
//!   system calls of the server, and those of them for events;
//! * `COST program= case= column= answers= time= all=`: the same where the clock counts, and the server's time
//!   and that of all in nanoseconds, which are instructions;
//! * `RATE program= case= column= answers= rate=`: the same by wrk or redis-benchmark;
//! * `QUEUES program= column= epoll= kevent= watched=`: what its processes have open;
//! * `TEST`, `AGAIN` and `LOG` with `column= test=`: tests of CPython;
//! * `WRONG program= column= ...`: what must not be.

mod client;
mod counter;
mod processes;
mod rate;
mod servers;
mod suites;
mod talk;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use client::{Load, Talk};
use processes::Queues;
use servers::{Column, Running, Server, PLACE};
use talk::{Http, Redis};

/// Seconds of one by wrk.
const SECONDS: u32 = 2;
const CONNECTIONS: usize = 32;

/// What is asked of a server.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// Each request has a connection of its own.
    closes: bool,
    /// Requests that are on their way at once on each connection.
    depth: usize,
    /// Requests of redis-benchmark.
    requests: u64,
}

const HTTP: [Case; 2] = [
    Case {
        name: "kept",
        closes: false,
        depth: 1,
        requests: 0,
    },
    Case {
        name: "closed",
        closes: true,
        depth: 1,
        requests: 0,
    },
];
const REDIS: [Case; 2] = [
    Case {
        name: "one",
        closes: false,
        depth: 1,
        requests: 5_000,
    },
    Case {
        name: "pipeline",
        closes: false,
        depth: 16,
        requests: 40_000,
    },
];

impl Case {
    fn of(server: Server) -> [Case; 2] {
        match server {
            Server::Redis => REDIS,
            _ => HTTP,
        }
    }

    /// Asks for so many numbers.
    fn ask(&self, server: Server, requests: usize) -> Result<(), String> {
        let load = Load {
            server: server.address(),
            connections: CONNECTIONS,
            requests,
            depth: self.depth,
        };
        let http = Http {
            closes: self.closes,
        };
        let talk: &dyn Talk = if server == Server::Redis {
            &Redis
        } else {
            &http
        };
        client::run(&load, talk)
    }
}

/// How the clock goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boot {
    Smp,
    Counted,
}

impl Boot {
    /// How many numbers are asked for.
    fn requests(self) -> usize {
        match self {
            Boot::Smp => 1000,
            Boot::Counted => 600,
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let only = words.get(1).map_or("", String::as_str);
    let result = match words.first().map(String::as_str) {
        Some("smp") => programs(Boot::Smp, only),
        Some("counted") => programs(Boot::Counted, only),
        Some("suites") => suites::run(|module| is_among(only, module)).map(|()| 0),
        _ => Err("nothing is said of what to do".to_owned()),
    };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("WRONG {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether one of the parts, which commas part, is in the name.
fn is_among(parts: &str, name: &str) -> bool {
    parts.split(',').any(|part| name.contains(part))
}

/// Every program that is wanted. Says how many failed.
fn programs(boot: Boot, only: &str) -> Result<usize, String> {
    prepare().map_err(|error| format!("{PLACE}: {error}"))?;
    let mut failed = 0;
    for server in Server::ALL
        .iter()
        .filter(|server| is_among(only, server.name()))
    {
        let queues = Column::BOTH.map(|column| match program(boot, *server, column) {
            Ok(found) => Some(found),
            Err(error) => {
                failed += 1;
                wrong(*server, column, &error);
                None
            }
        });
        if let [Some(epoll), Some(kevent)] = queues {
            if epoll.0 != kevent.0 {
                failed += 1;
                let error = format!(
                    "{} processes with a queue, {} with an epoll",
                    kevent.0, epoll.0
                );
                wrong(*server, Column::Kevent, &error);
            }
        }
    }
    Ok(failed)
}

fn wrong(server: Server, column: Column, error: &str) {
    println!(
        "WRONG program={} column={} {error}",
        server.name(),
        column.name()
    );
    let errors = fs::read_to_string(format!("{PLACE}/nginx.errors")).unwrap_or_default();
    errors
        .lines()
        .take(20)
        .for_each(|line| println!("LOG {line}"));
}

/// Folders and files that servers want to find.
fn prepare() -> std::io::Result<()> {
    for folder in [
        "/var/lib/nginx",
        "/var/log/nginx",
        "/run",
        &format!("{PLACE}/www"),
    ] {
        fs::create_dir_all(folder)?;
    }
    let document: String = (0..64)
        .map(|line| format!("line {line:2} of it\n"))
        .collect();
    fs::write(format!("{PLACE}/www/document"), document)
}

/// One server on one of both. Says how many of its processes have something for events, and how much.
fn program(boot: Boot, server: Server, column: Column) -> Result<(usize, usize), String> {
    let running = Running::start(server, column)?;
    let processes = running.processes();
    let queues = check_queues(server, column, &processes, boot == Boot::Smp)?;
    for case in Case::of(server) {
        let (program, column) = (server.name(), column.name());
        let place = format!("program={program} case={} column={column}", case.name);
        // What is done once only, such as to compile, is not measured.
        case.ask(server, boot.requests() / 4)?;
        match boot {
            Boot::Smp => count(&case, server, &processes, &place)?,
            Boot::Counted => cost(&case, server, &processes, &place)?,
        }
    }
    check_queues(server, column, &running.processes(), false)?;
    Ok(queues)
}

/// Counts system calls, and then measures the rate.
fn count(case: &Case, server: Server, processes: &[u32], place: &str) -> Result<(), String> {
    let answers = Boot::Smp.requests();
    let counter = counter::Calls::of(processes)?;
    case.ask(server, answers)?;
    let (calls, events) = counter.read()?;
    drop(counter);
    println!("ANSWERS {place} answers={answers} calls={calls} events={events}");
    let rate = match server {
        Server::Redis => rate::redis(server.address(), case.requests, case.depth as u32),
        _ => rate::wrk(server.address(), SECONDS, case.closes),
    }?;
    let (answers, rate) = (rate.answers, rate.per_second);
    println!("RATE {place} answers={answers} rate={rate:.1}");
    Ok(())
}

/// Has the time of the server, and that of all, counted.
fn cost(case: &Case, server: Server, processes: &[u32], place: &str) -> Result<(), String> {
    let answers = Boot::Counted.requests();
    let (before, begin) = (counter::time(processes), Instant::now());
    case.ask(server, answers)?;
    let (all, time) = (
        begin.elapsed().as_nanos(),
        counter::time(processes) - before,
    );
    println!("COST {place} answers={answers} time={time} all={all}");
    Ok(())
}

/// Each process that waits for events does so on what it was put on.
fn check_queues(
    server: Server,
    column: Column,
    processes: &[u32],
    tell: bool,
) -> Result<(usize, usize), String> {
    let all: Vec<Queues> = processes.iter().map(|pid| Queues::of(*pid)).collect();
    let sum = |of: fn(&Queues) -> usize| all.iter().map(of).sum::<usize>();
    let (epoll, kevent) = (sum(|queues| queues.epoll), sum(|queues| queues.kevent));
    if tell {
        let (program, column) = (server.name(), column.name());
        let watched = sum(|queues| queues.watched);
        println!("QUEUES program={program} column={column} epoll={epoll} kevent={kevent} watched={watched}");
    }
    let (wanted, other) = match column {
        Column::Epoll => (epoll, kevent),
        Column::Kevent => (kevent, epoll),
    };
    if other > 0 || wanted == 0 {
        return Err(format!(
            "its processes have {epoll} epolls and {kevent} queues"
        ));
    }
    let with = all
        .iter()
        .filter(|queues| queues.epoll + queues.kevent > 0)
        .count();
    Ok((with, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_wanted_or_all() {
        assert!(is_among("", "nginx") && is_among("red,gin", "nginx"));
        assert!(!is_among("red,hap", "nginx"));
    }
}
