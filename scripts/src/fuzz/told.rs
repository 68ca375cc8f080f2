//! What the guest told: its messages, its console, and what QEMU translated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kevent_fuzz::message::{Message, Status};
use kevent_fuzz::program::Program;

use super::points::CALL_LEN;
use crate::progress::Step;

/// Programs that are remembered after their end.
const RECENT: usize = 16;

#[derive(Default)]
pub struct Told {
    /// What runs in each lane.
    pub running: BTreeMap<usize, Program>,
    /// What ran before, the last one first.
    pub recent: VecDeque<Program>,
    /// What reached something new, with all its edges.
    pub kept: Vec<(Program, BTreeSet<u64>)>,
    /// Where calls of KCOV are that a task of the fuzzer came to.
    pub by_tasks: BTreeSet<u64>,
    /// Addresses of code that ran at all.
    pub anywhere: BTreeSet<u64>,
    /// How it went on.
    pub history: Vec<Status>,
    /// How long the guest ran.
    pub time: Duration,
    /// Why the run ended early.
    pub report: Option<String>,
    pub console: Vec<String>,
}

impl Told {
    pub fn last(&self) -> Status {
        self.history.last().copied().unwrap_or_default()
    }

    pub fn hear(&mut self, message: Message) {
        match message {
            Message::Run { lane, program } => {
                if let Some(before) = self.running.insert(lane, program) {
                    self.remember(before);
                }
            }
            Message::Idle { lane } => {
                if let Some(program) = self.running.remove(&lane) {
                    self.remember(program);
                }
            }
            Message::Keep { program, edges } => {
                self.kept.push((program, edges.into_iter().collect()));
            }
            Message::Reached { pcs } => {
                self.by_tasks.extend(pcs.iter().map(|pc| pc - CALL_LEN));
            }
            Message::Status(status) => self.history.push(status),
            Message::Stuck { lane } => {
                let report = format!("a process of lane {lane} cannot be killed");
                self.report.get_or_insert(report);
            }
        }
    }

    fn remember(&mut self, program: Program) {
        self.recent.push_front(program);
        self.recent.truncate(RECENT);
    }

    pub fn summary(&self) -> String {
        let Status {
            seconds,
            programs,
            calls,
            late,
            corpus,
            edges,
            pcs,
        } = self.last();
        let per = |count: u64| count as f64 / seconds.max(1) as f64;
        format!(
            "{programs} programs with {calls} calls in {seconds} s ({:.1} programs and {:.0} calls \
             per second), {late} did not end by themselves; {edges} edges between {pcs} places, \
             {corpus} programs reached new ones",
            per(programs),
            per(calls)
        )
    }
}

/// What QEMU has written of the code that it translates: the addresses.
pub fn translated(log: impl BufRead) -> std::io::Result<BTreeSet<u64>> {
    let mut addresses = BTreeSet::new();
    for line in log.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let address = line
            .strip_prefix("0x")
            .and_then(|rest| rest.split_once(':'));
        addresses.extend(address.and_then(|(hex, _)| u64::from_str_radix(hex, 16).ok()));
    }
    Ok(addresses)
}

/// Hears what comes through a port.
#[derive(Clone)]
pub struct Ear {
    told: Arc<Mutex<Told>>,
    unread: Vec<u8>,
    step: Arc<Step>,
}

impl Ear {
    pub fn new(step: Arc<Step>) -> Ear {
        Ear {
            told: Arc::default(),
            unread: Vec::new(),
            step,
        }
    }

    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("nobody panics with it")
    }

    fn line(&self, line: &str) {
        match Message::from_line(line) {
            Some(message) => {
                if let Message::Status(status) = &message {
                    self.step.update(&format!(
                        "{} programs, {} calls, {} edges, {} places, {} kept",
                        status.programs, status.calls, status.edges, status.pcs, status.corpus
                    ));
                }
                self.told().hear(message);
            }
            None => self.step.line(line),
        }
    }
}

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.unread.extend_from_slice(bytes);
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let rest = self.unread.split_off(end + 1);
            let line = std::mem::replace(&mut self.unread, rest);
            self.line(String::from_utf8_lossy(&line).trim_end());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kevent_fuzz::Dice;
    use rand::SeedableRng;

    use super::*;

    fn program(seed: u64) -> Program {
        Program::choose(&mut Dice::seed_from_u64(seed))
    }

    #[test]
    fn what_runs_is_known() {
        let mut told = Told::default();
        for lane in 0..2 {
            told.hear(Message::Run {
                lane,
                program: program(lane as u64),
            });
        }
        told.hear(Message::Idle { lane: 0 });
        assert_eq!(
            told.running.into_iter().collect::<Vec<_>>(),
            [(1, program(1))]
        );
        assert_eq!(told.recent, [program(0)]);
    }

    #[test]
    fn a_place_is_where_the_call_is() {
        let mut told = Told::default();
        told.hear(Message::Reached { pcs: vec![0x1005] });
        assert_eq!(told.by_tasks, [0x1000].into());
    }

    #[test]
    fn translated_code_has_addresses() {
        let log = "----------------\nIN: f\n0xffffffff81000000:  f3 0f 1e fa   endbr64\n\n\
                   0xffffffff81000004:  c3  retq\n";
        assert_eq!(
            translated(log.as_bytes()).unwrap(),
            [0xffff_ffff_8100_0000, 0xffff_ffff_8100_0004].into()
        );
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut ear = Ear::new(Arc::new(Step::start("a test")));
        let line = Message::Run {
            lane: 3,
            program: program(1),
        }
        .to_line()
            + "\n";
        let (head, tail) = line.split_at(17);
        ear.write_all(head.as_bytes()).unwrap();
        assert!(ear.told().running.is_empty());
        ear.write_all(tail.as_bytes()).unwrap();
        assert_eq!(ear.told().running[&3], program(1));
    }
}
