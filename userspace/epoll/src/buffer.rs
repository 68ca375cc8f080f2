// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Memory for events: where kevent writes its own, which are larger than those of epoll, and where the
//! program wants them.

use std::cell::Cell;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::{null_mut, NonNull};

use kevent_sys::ukevent;
use libc::epoll_event;

/// How many one call reports at most: as many as a process may have files, if nobody has changed that.
/// Memory for them is there only when they come.
pub(crate) const MOST: usize = 1 << 20;

/// As many are on the stack.
const FEW: usize = 64;

type Place = MaybeUninit<ukevent>;

/// Memory that a thread keeps for its next call.
struct Kept {
    start: Cell<NonNull<Place>>,
    len: Cell<usize>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        unmap(self.start.get(), self.len.get());
    }
}

thread_local! {
    /// Nothing, while a call uses it: a signal handler may make another.
    static KEPT: Kept = const {
        Kept { start: Cell::new(NonNull::dangling()), len: Cell::new(0) }
    };
    /// Pages that were found to be writable, by their first and last address.
    static WRITABLE: Cell<Pages> = const { Cell::new(NONE) };
    /// Pages that were found to be readable.
    static READABLE: Cell<Pages> = const { Cell::new(NONE) };
}

type Pages = (usize, usize);
type Known = std::thread::LocalKey<Cell<Pages>>;

const NONE: Pages = (1, 0);

/// Whether the addresses are in pages that were good.
fn are_known(known: &'static Known, first: usize, last: usize) -> bool {
    let known = known.try_with(Cell::get).unwrap_or(NONE);
    known.0 <= first && last <= known.1
}

fn unmap(start: NonNull<Place>, len: usize) {
    if len != 0 {
        // SAFETY: It was mapped so, and nobody uses it any more.
        unsafe { libc::munmap(start.as_ptr().cast(), len * size_of::<Place>()) };
    }
}

fn map(len: usize) -> Option<NonNull<Place>> {
    // SAFETY: It is nobody's memory.
    let start = unsafe {
        libc::mmap(
            null_mut(),
            len * size_of::<Place>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    match start {
        libc::MAP_FAILED => None,
        start => NonNull::new(start.cast()),
    }
}

/// Hands room for `max` events to `work`; for fewer, if memory is short.
pub(crate) fn with<R>(max: usize, work: impl FnOnce(&mut [Place]) -> R) -> R {
    let mut few = [const { Place::uninit() }; FEW];
    if max <= FEW {
        return work(&mut few[..max]);
    }
    // A thread that ends has none.
    let kept = KEPT.try_with(|kept| (kept.start.get(), kept.len.replace(0)));
    let (mut start, mut len) = kept.unwrap_or((NonNull::dangling(), 0));
    if len < max {
        unmap(start, len);
        len = max.next_power_of_two();
        match map(len) {
            Some(new) => start = new,
            None => return work(&mut few),
        }
    }
    // SAFETY: As many were mapped, and nobody else has them.
    let result = work(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), max) });
    let kept = KEPT.try_with(|kept| {
        let free = kept.len.get() == 0;
        if free {
            kept.start.set(start);
            kept.len.set(len);
        }
        free
    });
    if kept != Ok(true) {
        unmap(start, len);
    }
    result
}

/// How many events can be written to `events`, at most `num`. Pages that were good are not asked for
/// again, even if they have been unmapped meanwhile.
pub(crate) fn writable(events: *mut epoll_event, num: usize) -> usize {
    const SIZE: usize = size_of::<epoll_event>();
    let first = events.addr();
    let Some(last) = first.checked_add(num * SIZE - 1) else {
        return 0;
    };
    if are_known(&WRITABLE, first, last) {
        return num;
    }
    let page = page_of(first);
    if populate(events, page, last) {
        know(&WRITABLE, page, last | (page_size() - 1));
        return num;
    }
    // What follows the last event that comes need not be there.
    let mut end = page;
    while populate(events, end, end) {
        end += page_size();
    }
    if end <= first {
        return 0;
    }
    know(&WRITABLE, page, end - 1);
    (end - first) / SIZE
}

/// Whether an event can be read from there. Pages that were good are not asked for again, even if they
/// have been unmapped meanwhile.
pub(crate) fn readable(event: *mut epoll_event) -> bool {
    let first = event.addr();
    let Some(last) = first.checked_add(size_of::<epoll_event>() - 1) else {
        return false;
    };
    if first == 0 {
        return false;
    }
    if are_known(&READABLE, first, last) {
        return true;
    }
    let page = page_of(first);
    let good = advise(event, page, last, libc::MADV_POPULATE_READ).is_ok();
    if good {
        know(&READABLE, page, last | (page_size() - 1));
    }
    good
}

/// Bytes of a page.
fn page_size() -> usize {
    // SAFETY: It takes a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

fn page_of(address: usize) -> usize {
    address & !(page_size() - 1)
}

/// Pages are good; with those that are known to be, if they are next to these.
fn know(known: &'static Known, first: usize, last: usize) {
    let _ = known.try_with(|pages| {
        let known = pages.get();
        let joined = first <= known.1.saturating_add(1) && known.0 <= last.saturating_add(1);
        pages.set(match joined {
            true => (known.0.min(first), known.1.max(last)),
            false => (first, last),
        });
    });
}

/// Whether the pages of an array from one address to another can be written. Then they are there.
fn populate(of: *mut epoll_event, first: usize, last: usize) -> bool {
    let answer = advise(of, first, last, libc::MADV_POPULATE_WRITE);
    matches!(answer, Ok(()) | Err(libc::ENOSYS))
}

/// `madvise()` of the pages of an array, which changes no memory.
fn advise(of: *mut epoll_event, first: usize, last: usize, advice: c_int) -> Result<(), c_int> {
    let saved = crate::kernel::errno();
    let len = page_of(last) - first + page_size();
    // SAFETY: What is asked for by this module changes no memory.
    let answer = unsafe { libc::madvise(of.with_addr(first).cast(), len, advice) };
    let error = crate::kernel::errno();
    crate::kernel::set_errno(saved);
    if answer == 0 {
        Ok(())
    } else {
        Err(error)
    }
}
