// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The system calls and their constants, as `linux/kevent.h` has them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

const SYS_KEVENT_INIT: libc::c_long = 473;
const SYS_KEVENT_CTL: libc::c_long = 474;
const SYS_KEVENT_WAIT: libc::c_long = 476;

const KEVENT_INIT_CLOEXEC: u32 = 0x1;
const KEVENT_INIT_QUERY: u32 = 0x4;

pub(super) const KEVENT_CTL_ADD: u32 = 0;
pub(super) const KEVENT_CTL_REMOVE: u32 = 1;
#[cfg(any(feature = "os-ext", feature = "net"))]
pub(super) const KEVENT_CTL_MODIFY: u32 = 2;
pub(super) const KEVENT_CTL_READY: u32 = 3;

pub(super) const KEVENT_SOCKET: u32 = 0;
pub(super) const KEVENT_POLL: u32 = 3;
pub(super) const KEVENT_USER: u32 = 9;

pub(super) const KEVENT_REQ_ET: u32 = 0x4;

pub(super) const KEVENT_SOCKET_RECV: u32 = 0x1;
pub(super) const KEVENT_SOCKET_ACCEPT: u32 = 0x2;
pub(super) const KEVENT_SOCKET_SEND: u32 = 0x4;
pub(super) const KEVENT_SOCKET_URGENT: u32 = 0x8;
pub(super) const KEVENT_SOCKET_EOF: u32 = 0x10;
pub(super) const KEVENT_SOCKET_ERROR: u32 = 0x20;
pub(super) const KEVENT_SOCKET_HUP: u32 = 0x40;

pub(super) const KEVENT_RET_RECHECK: u32 = 0x10;

/// `struct ukevent` of a request.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    pub(super) id: u64,
    kind: u32,
    pub(super) event: u32,
    pub(super) flags: u32,
    error: u32,
    data: u64,
    pub(super) user: u64,
    param: [u64; 2],
    word: u64,
}

impl Record {
    /// One that names a registration.
    pub(super) fn of(kind: u32, id: u64) -> Record {
        Record {
            id,
            kind,
            ..Record::default()
        }
    }
}

/// `struct __kernel_timespec`.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// Makes a system call, whose arguments are as it wants them.
macro_rules! kevent {
    ($number: ident, $($arg: expr),+ $(,)?) => {
        syscall!(syscall($number, $($arg),+))
    };
}

/// Whether the kernel has kevent, with all sources that are used here.
pub(super) fn is_supported() -> bool {
    let source = |kind: u32| 1 << (16 + kind);
    let needed = source(KEVENT_SOCKET) | source(KEVENT_POLL) | source(KEVENT_USER);
    kevent!(
        SYS_KEVENT_INIT,
        ptr::null_mut::<libc::c_void>(),
        0u32,
        KEVENT_INIT_QUERY
    )
    .is_ok_and(|answer| answer as u32 & needed == needed)
}

/// A queue with a ring, which is not mapped yet.
pub(super) fn init(slots: u32) -> io::Result<OwnedFd> {
    let ring = ptr::null_mut::<libc::c_void>();
    let fd = kevent!(SYS_KEVENT_INIT, ring, slots, KEVENT_INIT_CLOEXEC)?;
    // SAFETY: `kevent_init(2)` ensures the fd is valid.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Carries out `command` for a record.
pub(super) fn ctl(queue: BorrowedFd<'_>, command: u32, mut record: Record) -> io::Result<()> {
    kevent!(
        SYS_KEVENT_CTL,
        queue.as_raw_fd(),
        command,
        1u32,
        &mut record
    )
    .map(|_| ())
}

/// Waits until the head of the ring has moved from `seen`, or `timeout` is over.
pub(super) fn wait(
    queue: BorrowedFd<'_>,
    slots: u32,
    seen: u32,
    timeout: Option<Duration>,
) -> io::Result<()> {
    let timeout = timeout.map(|timeout| Timespec {
        seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    kevent!(
        SYS_KEVENT_WAIT,
        queue.as_raw_fd(),
        slots,
        seen,
        timeout,
        0u32
    )
    .map(|_| ())
}
