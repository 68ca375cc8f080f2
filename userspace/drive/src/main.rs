// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Drives servers on epoll and on kevent, for `cargo xtask programs`, in a guest that has them.
//!
//! The first argument says what to do: `smp` measures rates and counts system calls, `counted` counts the
//! instructions of the servers where the clock does, `suites` runs tests of CPython. The second one, if
//! there is one, is a part of the names of those that are wanted. The result is lines:
//!
//! * `ANSWERS program= case= column= answers= calls= events=`: so many were asked for, and all were right;
//!   system calls of the server, and those of them for events;
//! * `COST program= case= column= answers= time=`: the same where the clock counts, and the server's time in
//!   nanoseconds, which are instructions;
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

use client::{Load, Talk};
use processes::Queues;
use servers::{Column, Running, Server, PLACE};
use talk::{Http, Redis};

/// Measurements of a rate.
const ROUNDS: usize = 2;
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
        Some("suites") => suites::run(only).map(|()| 0),
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

/// Every program of which the name has `only` in it. Says how many failed.
fn programs(boot: Boot, only: &str) -> Result<usize, String> {
    prepare().map_err(|error| format!("{PLACE}: {error}"))?;
    let mut failed = 0;
    for server in Server::ALL
        .iter()
        .filter(|server| server.name().contains(only))
    {
        let rounds = if boot == Boot::Smp { ROUNDS } else { 1 };
        let mut queues = [None; 2];
        for round in 0..rounds {
            for (at, column) in Column::BOTH.into_iter().enumerate() {
                match program(boot, *server, column, round) {
                    Ok(found) => queues[at] = queues[at].or(Some(found)),
                    Err(error) => {
                        failed += 1;
                        wrong(*server, column, &error);
                    }
                }
            }
        }
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

/// One server on one of both. Says how many of its processes have something for events.
fn program(
    boot: Boot,
    server: Server,
    column: Column,
    round: usize,
) -> Result<(usize, usize), String> {
    let running = Running::start(server, column)?;
    let processes = running.processes();
    let tell = round == 0 && boot == Boot::Smp;
    let queues = check_queues(server, column, &processes, tell)?;
    let place = |case: &Case| {
        let (program, case, column) = (server.name(), case.name, column.name());
        format!("program={program} case={case} column={column}")
    };
    for case in Case::of(server) {
        if round == 0 {
            // What is done once only, such as to compile, is not measured.
            case.ask(server, boot.requests() / 4)?;
            let calls = match boot {
                Boot::Smp => Some(counter::Calls::of(&processes)?),
                Boot::Counted => None,
            };
            let before = counter::time(&processes);
            case.ask(server, boot.requests())?;
            let time = counter::time(&processes) - before;
            let answers = boot.requests();
            match calls {
                None => println!("COST {} answers={answers} time={time}", place(&case)),
                Some(calls) => {
                    let (calls, events) = calls.read()?;
                    let of = place(&case);
                    println!("ANSWERS {of} answers={answers} calls={calls} events={events}");
                }
            }
        }
        if boot == Boot::Smp {
            let address = server.address();
            let rate = match server {
                Server::Redis => rate::redis(address, case.requests, case.depth as u32),
                _ => rate::wrk(address, SECONDS, case.closes),
            }?;
            let (answers, rate) = (rate.answers, rate.per_second);
            println!("RATE {} answers={answers} rate={rate:.1}", place(&case));
        }
    }
    check_queues(server, column, &running.processes(), false)?;
    Ok(queues)
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
