//! The screen of the demo: a table that grows while servers are measured.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nobody is told: what the work needs by itself.
const NONE: &str = "none";
/// The width of the longest bar.
const BAR: f64 = 30.0;

/// What the benchmark calls a server, and what it is, in the order in which they have their turns.
const SERVERS: [(&str, &str); 6] = [
    (NONE, "(nobody is told)"),
    ("kevent", "kevent, ring"),
    ("kevent-get", "kevent, no ring"),
    ("epoll-et", "epoll, edge"),
    ("io_uring", "io_uring poll"),
    ("io_uring-defer", "io_uring poll, deferred"),
];

/// What one server did in one turn.
#[derive(Clone, Debug)]
pub struct Row {
    pub server: String,
    pub requests: f64,
    /// System calls per request.
    pub calls: f64,
    /// Instructions per request, of kernel, server and clients.
    pub instructions: f64,
}

/// All turns of each server together.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(&mut self, row: Row) {
        let Some(sum) = self.0.iter_mut().find(|sum| sum.server == row.server) else {
            self.0.push(row);
            return;
        };
        let all = sum.requests + row.requests;
        let mean = |a: f64, b: f64| (a * sum.requests + b * row.requests) / all;
        let (calls, instructions) = (
            mean(sum.calls, row.calls),
            mean(sum.instructions, row.instructions),
        );
        (sum.requests, sum.calls, sum.instructions) = (all, calls, instructions);
    }

    fn find(&self, server: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.server == server)
    }

    /// The lines of the screen.
    fn lines(&self) -> Vec<String> {
        let base = self.find(NONE).map_or(0.0, |row| row.instructions);
        let told = |row: &Row| (row.instructions - base).max(0.0);
        let most = self.0.iter().map(told).fold(1.0, f64::max);
        let mut lines = vec![
            "HTTP/1.1: 64 connections ask, 8000 are idle. One processor, each instruction counted."
                .to_owned(),
            String::new(),
            format!(
                "{:24} {:>9} {:>14} {:>21}   {}",
                "", "requests", "calls/request", "instructions/request", "for being told"
            ),
        ];
        lines.extend(SERVERS.iter().map(|(server, title)| {
            let Some(row) = self.find(server) else {
                return format!("{title:24} {:>9}", "...");
            };
            let (requests, calls, instructions) = (row.requests, row.calls, row.instructions);
            let begin = format!("{title:24} {requests:>9.0} {calls:>14.3} {instructions:>21.0}");
            if *server == NONE {
                return begin;
            }
            let bar = "▇".repeat((told(row) / most * BAR).round() as usize);
            format!("{begin}   {:>5.0} {bar}", told(row))
        }));
        lines
    }

    /// The server whose turn it is after that of `last`.
    fn next(last: &str) -> &'static str {
        let place = SERVERS.iter().position(|(server, _)| *server == last);
        SERVERS[place.map_or(0, |place| (place + 1) % SERVERS.len())].1
    }
}

/// Draws the table again whenever something is known; only once, at the end, where there is no terminal.
pub struct Screen {
    table: Table,
    start: Instant,
    bar: Option<ProgressBar>,
    /// Turns that are still to come.
    turns: usize,
}

impl Screen {
    pub fn new(rounds: u8) -> Screen {
        let bar = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            let style = ProgressStyle::with_template("{msg}\n\n{spinner} {prefix} [{elapsed}]");
            bar.set_style(style.expect("a fixed template"));
            bar.set_prefix("the guest boots, and opens 8064 connections");
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let screen = Screen {
            table: Table::default(),
            start: Instant::now(),
            bar,
            turns: usize::from(rounds) * SERVERS.len(),
        };
        screen.draw();
        screen
    }

    pub fn show(&mut self, row: Row) {
        if self.bar.is_none() {
            eprintln!("{} requests: {}", row.requests, row.server);
        }
        let next = Table::next(&row.server);
        self.table.add(row);
        self.turns = self.turns.saturating_sub(1);
        if let Some(bar) = &self.bar {
            bar.set_prefix(match self.turns {
                0 => "the guest ends".to_owned(),
                _ => format!("serving: {next}"),
            });
        }
        self.draw();
    }

    fn draw(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.table.lines().join("\n"));
        }
    }

    /// Leaves the table on the screen.
    pub fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let mut out = std::io::stdout().lock();
        for line in self.table.lines() {
            // The screen may be gone.
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "\n{} s", self.start.elapsed().as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server: &str, requests: f64, instructions: f64) -> Row {
        Row {
            server: server.to_owned(),
            requests,
            calls: 2.0,
            instructions,
        }
    }

    #[test]
    fn being_told_is_what_is_beyond_the_work() {
        let mut table = Table::default();
        table.add(row(NONE, 100.0, 1000.0));
        table.add(row("kevent", 100.0, 1250.0));
        table.add(row("epoll-et", 100.0, 1500.0));
        let lines = table.lines().join("\n");
        let bar = |length| format!("{} ", "▇".repeat(length));
        assert!(
            lines.contains(&format!("  250 {}", "▇".repeat(15))),
            "{lines}"
        );
        assert!(
            lines.contains(&format!("  500 {}", "▇".repeat(30))),
            "{lines}"
        );
        assert!(!lines.contains(&bar(31)), "{lines}");
        assert!(
            lines.contains("io_uring poll                  ..."),
            "{lines}"
        );
    }

    #[test]
    fn turns_are_added_up() {
        let mut table = Table::default();
        table.add(row("kevent", 100.0, 1000.0));
        table.add(row("kevent", 300.0, 2000.0));
        let sum = table.find("kevent").unwrap();
        assert_eq!((sum.requests, sum.instructions), (400.0, 1750.0));
    }

    #[test]
    fn servers_have_turns() {
        assert_eq!(Table::next("kevent"), "kevent, no ring");
        assert_eq!(Table::next("io_uring-defer"), "(nobody is told)");
    }
}
