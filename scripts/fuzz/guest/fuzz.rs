//! Which programs run, and which are kept.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kevent_fuzz::Dice;
use kevent_fuzz::corpus;
use kevent_fuzz::message::{Message, Status};
use kevent_fuzz::minimise::minimise;
use kevent_fuzz::mutate::mutate;
use kevent_fuzz::program::Program;
use kevent_fuzz::recipe;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::lane::{Lane, Reached, Stuck, tell};

unsafe extern "C" {
    fn prepare();
}

/// What was reached counts if it is reached again, of so many times.
const AGAIN: usize = 2;
/// The last part of the time, in which tracepoints are on: what is traced takes other ways.
const TRACED: u32 = 8;
/// How often the one who follows is told.
const STATUS: Duration = Duration::from_secs(10);

pub struct Plan {
    pub time: Duration,
    pub seed: u64,
    pub lanes: usize,
    pub times: usize,
    pub blind: bool,
    pub corpus: PathBuf,
}

/// What the lanes share.
#[derive(Default)]
struct Shared {
    /// Kept by an earlier run, and yet to be run.
    kept: Vec<Program>,
    /// To be run as they are, once.
    recipes: Vec<Program>,
    corpus: Vec<Program>,
    pcs: BTreeSet<u64>,
    edges: BTreeSet<u64>,
    status: Status,
    told: Duration,
    traced: bool,
    /// A process cannot be killed: that is the end.
    stuck: bool,
}

struct Fuzzer {
    plan: Plan,
    start: Instant,
    shared: Mutex<Shared>,
    /// Who runs a program reads it.
    gate: RwLock<()>,
}

pub fn run(plan: Plan) -> Result<()> {
    // SAFETY: Whose parent is gone is waited for here.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    // SAFETY: It writes to files.
    unsafe { prepare() };
    let kept: Vec<Program> = corpus::read(&plan.corpus)?.into_values().collect();
    // Without time for more, it is about those that are kept.
    let alone = plan.time.is_zero();
    let kept = std::iter::repeat_n(kept, plan.times).flatten().collect();
    let lanes = (0..plan.lanes).map(|number| Lane::new(number, plan.blind));
    let lanes = lanes
        .collect::<io::Result<Vec<Lane>>>()
        .context("no KCOV")?;
    let fuzzer = Fuzzer {
        plan,
        start: Instant::now(),
        shared: Mutex::new(Shared {
            kept,
            recipes: if alone {
                Vec::new()
            } else {
                recipe::all().collect()
            },
            ..Shared::default()
        }),
        gate: RwLock::new(()),
    };
    thread::scope(|scope| {
        for (number, mut lane) in lanes.into_iter().enumerate() {
            let dice = Dice::seed_from_u64(fuzzer.plan.seed.wrapping_add(number as u64));
            let fuzzer = &fuzzer;
            scope.spawn(move || fuzzer.work(&mut lane, dice));
        }
    });
    tell(&Message::Status(fuzzer.status()));
    Ok(())
}

impl Fuzzer {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("nobody panics with it")
    }

    fn status(&self) -> Status {
        let shared = self.shared();
        Status {
            seconds: self.start.elapsed().as_secs(),
            corpus: shared.corpus.len(),
            edges: shared.edges.len(),
            pcs: shared.pcs.len(),
            ..shared.status
        }
    }

    /// What one lane does until the time is over.
    fn work(&self, lane: &mut Lane, mut dice: Dice) {
        while let Some((program, old)) = self.next(&mut dice) {
            if self.try_out(lane, &program, old).is_err() {
                self.shared().stuck = true;
                return;
            }
        }
    }

    /// The next program, and whether it was kept by an earlier run.
    fn next(&self, dice: &mut Dice) -> Option<(Program, bool)> {
        let mut shared = self.shared();
        if shared.stuck {
            return None;
        }
        if let Some(program) = shared.kept.pop() {
            return Some((program, true));
        }
        if let Some(program) = shared.recipes.pop() {
            return Some((program, false));
        }
        let now = self.start.elapsed();
        if now >= self.plan.time {
            return None;
        }
        if !shared.traced && now >= self.plan.time - self.plan.time / TRACED {
            shared.traced = true;
            shared.recipes = recipe::all().collect();
            drop(shared);
            self.trace();
            return self.next(dice);
        }
        if shared.corpus.is_empty() || dice.random_ratio(1, 10) {
            return Some((Program::new(dice), false));
        }
        // What was kept last is behind fewer others, and more is left to find from there.
        let from = match dice.random_ratio(1, 2) {
            true => shared.corpus.len() * 3 / 4,
            false => 0,
        };
        let mut program = shared.corpus[from..].choose(dice).cloned()?;
        mutate(&mut program, &shared.corpus, dice);
        Some((program, false))
    }

    /// Turns tracepoints on while no program runs: QEMU may run an instruction that was changed for
    /// a moment, if another processor changes it meanwhile, and then Linux finds a breakpoint.
    fn trace(&self) {
        let _closed = self.gate.write().expect("nobody panics with it");
        for (file, value) in [("options/record-cmd", "0"), ("events/kevent/enable", "1")] {
            if let Err(error) = fs::write(format!("/sys/kernel/tracing/{file}"), value) {
                eprintln!("{file}: {error}");
            }
        }
    }

    /// Runs a program, and keeps what it needs to reach what none did before.
    fn try_out(&self, lane: &mut Lane, program: &Program, old: bool) -> Result<(), Stuck> {
        let reached = self.run(lane, program)?;
        let mut new = self.news(&reached);
        for _ in 0..AGAIN {
            if new.is_empty() {
                return Ok(());
            }
            let again = self.run(lane, program)?;
            self.news(&again);
            new.retain(|edge| again.edges.contains(edge));
        }
        if new.is_empty() {
            return Ok(());
        }
        let mut stuck = false;
        let least = match old {
            true => program.clone(),
            false => minimise(program, |less| match self.run(lane, less) {
                Ok(reached) => {
                    self.news(&reached);
                    new.is_subset(&reached.edges)
                }
                Err(Stuck) => {
                    stuck = true;
                    false
                }
            }),
        };
        if stuck {
            return Err(Stuck);
        }
        let reached = self.run(lane, &least)?;
        let edges = reached.edges.into_iter().collect();
        tell(&Message::Keep {
            program: least.clone(),
            edges,
        });
        self.shared().corpus.push(least);
        Ok(())
    }

    fn run(&self, lane: &mut Lane, program: &Program) -> Result<Reached, Stuck> {
        let reached = {
            let _open = self.gate.read().expect("nobody panics with it");
            lane.run(program)?
        };
        let mut shared = self.shared();
        shared.status.programs += 1;
        shared.status.calls += program.calls() as u64;
        shared.status.late += u64::from(reached.late);
        let now = self.start.elapsed();
        if now >= shared.told + STATUS {
            shared.told = now;
            drop(shared);
            let status = self.status();
            tell(&Message::Status(status));
            // On the console, too: who follows knows that the guest is alive.
            let _ = fs::write("/dev/kmsg", format!("fuzz: {} programs", status.programs));
        }
        Ok(reached)
    }

    /// The edges that nobody has reached before, which from now on somebody has.
    fn news(&self, reached: &Reached) -> BTreeSet<u64> {
        let mut shared = self.shared();
        let pcs: Vec<u64> = reached.pcs.difference(&shared.pcs).copied().collect();
        let edges: BTreeSet<u64> = reached.edges.difference(&shared.edges).copied().collect();
        shared.pcs.extend(&pcs);
        shared.edges.extend(&edges);
        if !pcs.is_empty() {
            tell(&Message::Reached { pcs });
        }
        edges
    }
}
