// SPDX-License-Identifier: GPL-2.0

//! A walk through every interleaving of a small world.

use std::{
    cell::RefCell,
    fmt::Write,
    fs,
    sync::{
        atomic::{
            AtomicUsize,
            Ordering::Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

/// By how many preemptions each bound is wider than it is, for a run that may take long.
const WIDER: &str = "KEVENT_MODEL_WIDER";

/// Set to write what was explored into [`EXPLORED`], instead of comparing it.
const RECORD: &str = "KEVENT_MODEL_RECORD";

/// What each scenario explores, one walk a line.
const EXPLORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/explored.txt");

/// Threads, counted.
pub mod thread {
    pub use loom::thread::{
        current,
        JoinHandle,
        ThreadId, //
    };
    use std::cell::Cell;

    thread_local! {
        pub(super) static SPAWNED: Cell<usize> = const { Cell::new(0) };
    }

    /// As loom's.
    pub fn spawn<T: 'static>(work: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        SPAWNED.set(SPAWNED.get() + 1);
        loom::thread::spawn(work)
    }
}

thread_local! {
    /// What this test has explored.
    static WALKS: RefCell<String> = const { RefCell::new(String::new()) };
}

fn wider() -> usize {
    std::env::var(WIDER).map_or(0, |wider| wider.parse().expect(WIDER))
}

/// Runs every interleaving with at most `preemptions` of them.
pub fn explore(name: &str, preemptions: usize, world: impl Fn() + Send + Sync + 'static) {
    let preemptions = preemptions + wider();
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    let begin = std::time::Instant::now();
    builder.check(move || {
        counter.fetch_add(1, Relaxed);
        thread::SPAWNED.set(0);
        world();
    });
    let executions = executions.load(Relaxed);
    let threads = thread::SPAWNED.get() + 1;
    let seconds = begin.elapsed().as_secs_f32();
    let walk =
        format!("{name}: {threads} threads, {preemptions} preemptions, {executions} executions");
    println!("{walk}, {seconds:.1} s");
    WALKS.with_borrow_mut(|walks| writeln!(walks, "{walk}").unwrap());
}

/// Runs a scenario, and compares what that explores with what was recorded.
pub fn recorded(scenario: &str, work: fn()) {
    WALKS.take();
    work();
    let walks = WALKS.take();
    if wider() != 0 {
        return;
    }
    static FILE: Mutex<()> = Mutex::new(());
    let _guard = FILE.lock().unwrap_or_else(|broken| broken.into_inner());
    let text = fs::read_to_string(EXPLORED).unwrap_or_default();
    let is_of = |line: &str| line.split_once(" | ").is_some_and(|(of, _)| of == scenario);
    let mut new: Vec<String> = walks
        .lines()
        .map(|walk| format!("{scenario} | {walk}"))
        .collect();
    if std::env::var_os(RECORD).is_none() {
        let old: Vec<&str> = text.lines().filter(|line| is_of(line)).collect();
        assert_eq!(
            old, new,
            "{EXPLORED} is old; with {RECORD}=1 the tests write it"
        );
        return;
    }
    new.extend(text.lines().filter(|line| !is_of(line)).map(str::to_owned));
    new.sort_by(|one, other| key(one).cmp(key(other)));
    fs::write(EXPLORED, new.join("\n") + "\n").unwrap();
}

/// The scenario of a line.
fn key(line: &str) -> &str {
    line.split(" | ").next().unwrap_or(line)
}
