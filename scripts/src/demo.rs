//! `cargo xtask demo`: one server of HTTP, told of its requests in every way there is.

mod screen;

use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::bench;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::bench::Words;
use crate::guest::boot::{Accel, Boot, COUNTED, Mode};
use crate::guest::exec;
use crate::guest::selftests;
use crate::guest::session::{Limits, RawPort};
use crate::lines::Lines;
use crate::run;
use screen::{Row, Screen};

/// Shows an HTTP server with 8,000 idle connections on epoll, io_uring's poll and kevent.
///
/// It boots the guest with one processor whose instructions are counted. In it, 64 connections ask,
/// again and again, among 8,000 that are kept alive and idle. One server after the other answers; the
/// first knows whose turn it is without being told, so what another needs beyond that is the price of
/// being told. A row appears as soon as a server has answered all requests. What lacks is made first:
/// tools, tree, kernel.
#[derive(clap::Args)]
pub struct Args {
    /// How often each server has its turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: u8,
}

const BOOT: Boot = Boot {
    memory: "2G",
    ..COUNTED
};

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    if ctx.arch.qemu().is_none() {
        bail!("instructions cannot be counted in User-Mode Linux");
    }
    let kernel = run::kernel(ctx, Flavour::Ordinary, Accel::Tcg)?;
    let names = vec!["http"; args.rounds.into()];
    let archive = bench::pack(ctx, &kernel, &BOOT, &names)?;
    let guest = selftests::guest(ctx, &kernel, &BOOT, &archive, Mode::Exec)?;

    let (sender, lines) = mpsc::channel::<String>();
    let shower = thread::spawn(move || {
        let mut screen = Screen::new(args.rounds);
        let mut complaints = Vec::new();
        for line in lines {
            match row(&line) {
                Ok(row) => screen.show(row),
                Err(_) => complaints.push(line),
            }
        }
        screen.end();
        complaints
    });
    let port = |name| RawPort {
        name,
        to: Box::new(Lines::to(sender.clone())),
    };
    let ports = vec![port("stdout"), port("stderr")];
    drop(sender);
    let code = exec::follow(ctx, guest, ports, Limits::NONE)?;
    let complaints = shower.join().expect("it does not panic");
    if code != 0 || !complaints.is_empty() {
        bail!("the servers failed with {code}:\n{}", complaints.join("\n"));
    }
    Ok(())
}

/// One line `BENCH peer=...` of the benchmark.
fn row(line: &str) -> Result<Row> {
    let words = line.strip_prefix("BENCH ").context("no result")?;
    let words = Words::of(words);
    Ok(Row {
        server: words.text("peer")?.to_owned(),
        requests: words.number("events")?,
        calls: words.number("calls")?,
        instructions: words.number("cost")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_a_row() {
        let line = "BENCH workload=http peer=kevent events=12800 unit=instructions \
                    cost=16351.255 calls=2.0292 switches=0.0294";
        let row = row(line).unwrap();
        assert_eq!((row.server.as_str(), row.requests), ("kevent", 12800.0));
        assert!(super::row("bench: request").is_err());
    }
}
