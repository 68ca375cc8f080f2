// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What was added with `EPOLLEXCLUSIVE`: epoll does not let that be modified, and kevent does.
//!
//! It is the only thing that is remembered here, and only as well as numbers can tell: what was added by
//! another process, or is modified by another number of the same queue, is modified. Nothing is locked,
//! so that a child of `fork()` and a signal handler find it as it is.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

const MOST: usize = 1024;

/// Pairs of numbers, in one word each, and 0 for none.
static PAIRS: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
/// Whether there ever was one.
static ANY: AtomicBool = AtomicBool::new(false);

fn pair(epfd: c_int, fd: c_int) -> u64 {
    // Not 0, as they are not the same.
    (epfd as u64) << 32 | fd as u64
}

fn find(wanted: u64) -> Option<&'static AtomicU64> {
    PAIRS.iter().find(|pair| pair.load(Relaxed) == wanted)
}

/// Whether `fd` was added to `epfd` so.
pub(crate) fn is(epfd: c_int, fd: c_int) -> bool {
    ANY.load(Relaxed) && find(pair(epfd, fd)).is_some()
}

/// `fd` was added to `epfd`.
pub(crate) fn set(epfd: c_int, fd: c_int, exclusive: bool) {
    let new = pair(epfd, fd);
    if !exclusive {
        if ANY.load(Relaxed) {
            if let Some(old) = find(new) {
                let _ = old.compare_exchange(new, 0, Relaxed, Relaxed);
            }
        }
        return;
    }
    ANY.store(true, Relaxed);
    if find(new).is_some() {
        return;
    }
    while let Some(free) = find(0) {
        if free.compare_exchange(0, new, Relaxed, Relaxed).is_ok() {
            return;
        }
    }
}
