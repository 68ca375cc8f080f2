// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The system calls, with Rust's errors.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{null_mut, without_provenance};

use kevent_sys::{kernel_timespec, kevent_wait_arg, ukevent};

use crate::wait::Wait;

fn checked(result: c_int) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

pub(crate) fn query() -> io::Result<u32> {
    // SAFETY: No ring is asked for.
    checked(unsafe { kevent_sys::kevent_init(null_mut(), 0, kevent_sys::KEVENT_INIT_QUERY) })
}

/// A new queue, closed by `execve()`.
pub(crate) fn init(slots: u32) -> io::Result<OwnedFd> {
    // SAFETY: No ring is asked to be mapped.
    let fd = unsafe { kevent_sys::kevent_init(null_mut(), slots, kevent_sys::KEVENT_INIT_CLOEXEC) };
    checked(fd)?;
    // SAFETY: The call gave a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Carries out `command` for records, and says how many took effect.
pub(crate) fn ctl(queue: BorrowedFd<'_>, command: u32, records: &mut [ukevent]) -> io::Result<u32> {
    let count = u32::try_from(records.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: The records are ours.
    let done =
        unsafe { kevent_sys::kevent_ctl(queue.as_raw_fd(), command, count, records.as_mut_ptr()) };
    checked(done)
}

/// Copies events into `room`, and says how many.
pub(crate) fn get(
    queue: BorrowedFd<'_>,
    least: u32,
    room: &mut [MaybeUninit<ukevent>],
    wait: &Wait,
) -> io::Result<u32> {
    let most = u32::try_from(room.len()).unwrap_or(u32::MAX);
    wait.with(|timeout, flags| {
        // SAFETY: There is that much room, and `Wait` gives a valid timeout.
        checked(unsafe {
            kevent_sys::kevent_get_events(
                queue.as_raw_fd(),
                least,
                most,
                timeout,
                room.as_mut_ptr().cast(),
                flags,
            )
        })
    })
}

/// Waits until the head is not `seen`, and says how many positions stand past that.
pub(crate) fn wait(queue: BorrowedFd<'_>, num: u32, seen: u32, wait: &Wait) -> io::Result<u32> {
    wait.with(|timeout, flags| {
        // SAFETY: `Wait` gives a valid timeout.
        checked(unsafe { kevent_sys::kevent_wait(queue.as_raw_fd(), num, seen, timeout, flags) })
    })
}

impl Wait {
    /// Hands `call` the timeout and the flags.
    fn with<R>(&self, call: impl FnOnce(*const c_void, u32) -> R) -> R {
        let timespec = self.timeout.map(|timeout| kernel_timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let timeout = timespec
            .as_ref()
            .map_or(without_provenance(0), std::ptr::from_ref);
        if self.larger.is_none() && self.blocked.is_none() {
            return call(timeout.cast(), 0);
        }
        let blocked = self.blocked.map(|signals| signals.0);
        let mask = blocked
            .as_ref()
            .map_or(without_provenance(0), std::ptr::from_ref);
        let argument = kevent_wait_arg {
            timeout: timeout.expose_provenance() as u64,
            sigmask: mask.expose_provenance() as u64,
            sigmask_size: size_of::<u64>() as u32,
            clock: libc::CLOCK_MONOTONIC as u32,
            min_wait: self
                .larger
                .map_or(0, |(_, within)| crate::nanoseconds(within)),
            ..kevent_wait_arg::default()
        };
        call(
            std::ptr::from_ref(&argument).cast(),
            kevent_sys::KEVENT_FLAGS_EXT_ARG,
        )
    }
}

/// Adds to the signals that this thread blocks, a bit for each, and says which it did before.
pub(crate) fn block_signals(more: u64) -> io::Result<u64> {
    let mut before = 0u64;
    // SAFETY: The kernel reads and writes as much as it is told there is.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_BLOCK,
            &more,
            &mut before,
            size_of::<u64>(),
        )
    };
    checked(result as c_int).map(|_| before)
}
