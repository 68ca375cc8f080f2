//! A process that runs programs, one after the other.

use std::ffi::c_int;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kevent_fuzz::call::Call;
use kevent_fuzz::program::Program;

use crate::kcov::Area;

/// How long the threads have, and how long again after they were interrupted.
const PATIENCE: Duration = Duration::from_millis(400);
const FAREWELL: Duration = Duration::from_millis(200);

/// What the process answers after a program.
pub const DONE: u8 = b'.';
/// There were threads that did not end, so it is the last one.
pub const LATE: u8 = b'!';

unsafe extern "C" {
    fn begin_process();
    fn end_program();
    fn name_thread(number: u32);
    fn thread_over();
    fn threads_over(seen: c_int, ms: u32) -> c_int;
    fn disturb(who: u32, signal: c_int);
}

/// Runs the programs that come, until none comes any more or one does not end.
pub fn run(mut stream: UnixStream, areas: &[Area]) -> io::Result<()> {
    let areas = areas.iter().map(Area::here);
    let areas: &'static [Area] = areas.collect::<io::Result<Vec<_>>>()?.leak();
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    // SAFETY: Nothing of the process is needed but what these functions have.
    unsafe { begin_process() };
    while let Some(line) = lines.next().transpose()? {
        // A thread may outlive it.
        let program: &'static Program = Box::leak(Box::new(serde_json::from_str(&line)?));
        let in_time = one(program, areas);
        stream.write_all(&[if in_time { DONE } else { LATE }])?;
    }
    Ok(())
}

/// One program. Whether its threads ended.
fn one(program: &'static Program, areas: &'static [Area]) -> bool {
    traced(&areas[0], &program.first);
    let threads = program.threads.len();
    let gate = Arc::new(Barrier::new(threads));
    let mut handles: Vec<JoinHandle<()>> = Vec::new();
    for (number, calls) in program.threads.iter().enumerate() {
        let (gate, area) = (gate.clone(), &areas[number + 1]);
        let work = move || {
            // SAFETY: There is room for so many threads.
            unsafe { name_thread(number as u32) };
            gate.wait();
            traced(area, calls);
            // SAFETY: It counts.
            unsafe { thread_over() };
        };
        match thread::Builder::new().stack_size(256 << 10).spawn(work) {
            Ok(handle) => handles.push(handle),
            Err(_) => return false,
        }
    }
    if !wait(threads, PATIENCE) && !interrupt(threads) {
        return false;
    }
    // What is left is closed where it is seen.
    areas[0].enable();
    // SAFETY: The threads are at their end.
    unsafe { end_program() };
    areas[0].disable();
    // They are detached: one that was ended by a fault cannot be joined.
    drop(handles);
    true
}

fn traced(area: &Area, calls: &[Call]) {
    area.enable();
    for call in calls {
        call.act();
    }
    area.disable();
}

/// Whether all threads were at their end within this time.
fn wait(threads: usize, patience: Duration) -> bool {
    let start = Instant::now();
    let mut over = 0;
    while over < threads as c_int {
        let left = patience.saturating_sub(start.elapsed());
        if left.is_zero() {
            return false;
        }
        // SAFETY: It sleeps, and reads a counter.
        over = unsafe { threads_over(over, left.as_millis() as u32 + 1) };
    }
    true
}

/// Ends sleeps until all threads are at their end, or it has been enough.
fn interrupt(threads: usize) -> bool {
    let start = Instant::now();
    while start.elapsed() < FAREWELL {
        for number in 0..threads as u32 {
            // SAFETY: The handler does nothing. A thread that ended by itself is still known.
            unsafe { disturb(number, libc::SIGUSR1) };
        }
        if wait(threads, Duration::from_millis(10)) {
            return true;
        }
    }
    false
}
