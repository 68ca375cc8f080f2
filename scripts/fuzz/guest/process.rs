//! What the process of one program does.

use std::ffi::c_int;
use std::mem;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use kevent_fuzz::call::Call;
use kevent_fuzz::program::Program;

use crate::kcov::Area;

/// How long the threads have, and how long again after they were interrupted.
const PATIENCE: Duration = Duration::from_millis(400);
const FAREWELL: Duration = Duration::from_millis(200);

unsafe extern "C" {
    fn begin_program();
    fn end_program();
    fn name_thread(number: u32);
    fn threads_over(more: c_int) -> c_int;
    fn disturb(who: u32, signal: c_int);
}

/// Runs a program to its end, and ends the process: with 1 if there were threads that did not.
pub fn run(program: &'static Program, areas: &'static [Area]) -> ! {
    let in_time = parts(program, areas);
    // SAFETY: Nobody needs what is not dropped.
    unsafe { libc::_exit(c_int::from(!in_time)) }
}

fn parts(program: &'static Program, areas: &'static [Area]) -> bool {
    // SAFETY: Nothing of the process is needed but what these functions have.
    unsafe { begin_program() };
    traced(&areas[0], &program.first);
    let threads = program.threads.len();
    let gate = Arc::new(Barrier::new(threads));
    let mut handles = Vec::new();
    for (number, calls) in program.threads.iter().enumerate() {
        let (gate, area) = (gate.clone(), &areas[number + 1]);
        let work = move || {
            // SAFETY: There is room for so many threads.
            unsafe { name_thread(number as u32) };
            gate.wait();
            traced(area, calls);
            // SAFETY: It is a counter.
            unsafe { threads_over(1) };
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
    // A thread that was ended by a fault cannot be joined.
    mem::forget(handles);
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
    loop {
        // SAFETY: It is a counter.
        if unsafe { threads_over(0) } >= threads as c_int {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
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
