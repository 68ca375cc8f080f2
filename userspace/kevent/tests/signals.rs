// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Signals that are blocked during a wait.

mod common;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::{queue, ring, LONG};
use kevent::{Event, Signals, Wait};

const SIGNAL: i32 = libc::SIGUSR1;

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(_: i32) {
    HANDLED.fetch_add(1, SeqCst);
}

/// Leaves a signal blocked, and waiting for this thread.
fn pend() {
    // SAFETY: The handler counts, which it may.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, SIGNAL);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &set, null_mut()), 0);
        libc::signal(SIGNAL, handler as *const () as libc::sighandler_t);
        assert_eq!(libc::pthread_kill(libc::pthread_self(), SIGNAL), 0);
    }
}

/// In one test, as all threads share the count.
#[test]
fn a_signal_is_let_in_by_the_wait_alone() {
    let (Some((_ring, mut consumer)), Some(queue)) = (ring(8), queue()) else {
        return;
    };
    pend();
    let blocked = Signals::blocked().unwrap();
    assert!(blocked.contains(SIGNAL));

    let shortly = Wait::from(Duration::from_millis(10));
    for wait in [
        shortly,
        shortly.with_blocked(blocked),
        shortly.with_blocked(Signals::ALL),
    ] {
        let start = Instant::now();
        assert_eq!(consumer.wait(wait).unwrap(), 0);
        assert!(start.elapsed() >= Duration::from_millis(10));
        assert_eq!(HANDLED.load(SeqCst), 0);
    }

    let open = Wait::from(LONG).with_blocked(blocked.without(SIGNAL));
    let start = Instant::now();
    assert_eq!(consumer.wait(open).unwrap(), 0);
    assert!(start.elapsed() < LONG);
    assert_eq!(HANDLED.load(SeqCst), 1);
    assert!(Signals::blocked().unwrap().contains(SIGNAL));

    pend();
    let mut events: Vec<Event> = Vec::with_capacity(1);
    let batch = open.for_more(4, Duration::from_millis(1));
    assert_eq!(queue.get(&mut events, 1, batch).unwrap(), 0);
    assert_eq!(HANDLED.load(SeqCst), 2);
}
