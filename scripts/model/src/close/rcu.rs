// SPDX-License-Identifier: GPL-2.0

//! RCU: a grace period ends when the readers that were there at its begin have left, and not later.
//!
//! No order comes from it but the one that it promises: who begins to read after a grace period
//! has begun sees what was before that, and what follows a grace period comes after all that its
//! readers did.

use loom::sync::atomic::{
    AtomicUsize,
    Ordering::{
        Acquire,
        Release, //
    }, //
};
use std::cell::RefCell;

struct Period {
    readers: Vec<u64>,
    then: Box<dyn FnOnce()>,
}

struct Rcu {
    begun: AtomicUsize,
    left: AtomicUsize,
    readers: Vec<u64>,
    next: u64,
    periods: Vec<Period>,
}

thread_local! {
    static RCU: RefCell<Option<Rcu>> = const { RefCell::new(None) };
}

fn with<R>(work: impl FnOnce(&mut Rcu) -> R) -> R {
    RCU.with_borrow_mut(|rcu| work(rcu.as_mut().expect("begin() was called")))
}

/// An atomic of [`Rcu`], which is not borrowed while loom may switch threads.
fn atomic(which: impl FnOnce(&Rcu) -> &AtomicUsize) -> &'static AtomicUsize {
    // SAFETY: It stays until the next execution.
    with(|rcu| unsafe { &*std::ptr::from_ref(which(rcu)) })
}

/// Begins an execution.
pub fn begin() {
    let rcu = Rcu {
        begun: AtomicUsize::new(0),
        left: AtomicUsize::new(0),
        readers: Vec::new(),
        next: 0,
        periods: Vec::new(),
    };
    drop(RCU.replace(Some(rcu)));
}

/// A reader.
pub struct Guard(u64);

/// As `rcu_read_lock()`.
pub fn read_lock() -> Guard {
    atomic(|rcu| &rcu.begun).fetch_add(1, Acquire);
    with(|rcu| {
        rcu.next += 1;
        rcu.readers.push(rcu.next);
        Guard(rcu.next)
    })
}

impl Drop for Guard {
    /// As `rcu_read_unlock()`.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        atomic(|rcu| &rcu.left).fetch_add(1, Release);
        let over = with(|rcu| {
            rcu.readers.retain(|reader| *reader != self.0);
            for period in &mut rcu.periods {
                period.readers.retain(|reader| *reader != self.0);
            }
            let periods = std::mem::take(&mut rcu.periods);
            let (over, waiting) = periods
                .into_iter()
                .partition::<Vec<_>, _>(|period| period.readers.is_empty());
            rcu.periods = waiting;
            over
        });
        for period in over {
            end(period.then);
        }
    }
}

/// As `call_rcu()`.
pub fn call(then: impl FnOnce() + 'static) {
    atomic(|rcu| &rcu.begun).fetch_add(1, Release);
    let then = Box::new(then);
    let readers = with(|rcu| rcu.readers.clone());
    if readers.is_empty() {
        end(then);
    } else {
        with(|rcu| rcu.periods.push(Period { readers, then }));
    }
}

/// After the readers, and after who waited for them.
fn end(then: Box<dyn FnOnce()>) {
    atomic(|rcu| &rcu.left).fetch_add(1, Acquire);
    atomic(|rcu| &rcu.begun).fetch_add(1, Acquire);
    then();
}
