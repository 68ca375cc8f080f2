// SPDX-License-Identifier: GPL-2.0 OR MIT

//! System calls: of kevent as this library wants them, of epoll, and a few others.

use std::ffi::{c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use kevent_sys::{kernel_timespec, kevent_wait_arg, ukevent};
use libc::{epoll_event, sigset_t, timespec};

/// A record of which nothing is said.
pub(crate) const EMPTY: ukevent = {
    // SAFETY: Its fields are numbers.
    unsafe { MaybeUninit::zeroed().assume_init() }
};

/// Bytes of a signal mask.
const MASK_SIZE: usize = 8;

/// The number of the last error.
pub(crate) fn errno() -> c_int {
    // SAFETY: Each thread has one.
    unsafe { *libc::__errno_location() }
}

/// Sets it.
pub(crate) fn set_errno(error: c_int) {
    // SAFETY: As above.
    unsafe { *libc::__errno_location() = error };
}

/// What a call returns that fails.
pub(crate) fn fail(error: c_int) -> c_int {
    set_errno(error);
    -1
}

/// Whether the environment says that the kernel's epoll is wanted.
pub(crate) fn is_refused_by_user() -> bool {
    // SAFETY: The name ends with a zero. Who changes the environment meanwhile does what the C library
    // forbids as well.
    let value = unsafe { libc::getenv(c"EPOLL_KEVENT".as_ptr()) };
    // SAFETY: What is found ends with a zero.
    !value.is_null() && unsafe { libc::strcmp(value, c"off".as_ptr()) } == 0
}

/// Whether the kernel has kevent, and that files can be watched.
pub(crate) fn has_kevent() -> bool {
    // SAFETY: A query touches no memory.
    let answer = unsafe { kevent_sys::kevent_init(null_mut(), 0, kevent_sys::KEVENT_INIT_QUERY) };
    answer >= 0 && answer as u32 & kevent_sys::query_source(kevent_sys::KEVENT_POLL) != 0
}

/// Whether a descriptor is that of a queue.
pub(crate) fn is_queue(fd: c_int) -> bool {
    let saved = errno();
    // SAFETY: There are no records.
    let answer = unsafe { kevent_sys::kevent_ctl(fd, kevent_sys::KEVENT_CTL_ADD, 0, null_mut()) };
    set_errno(saved);
    answer == 0
}

/// Whether two descriptors are of one open file.
pub(crate) fn is_same_file(one: c_int, other: c_int) -> bool {
    /// `F_DUPFD_QUERY`, which is in Linux since before kevent was.
    const QUERY: c_int = 1024 + 3;
    // SAFETY: It takes numbers only.
    unsafe { libc::fcntl(one, QUERY, other) == 1 }
}

/// Whether calls by way of a descriptor do not wait.
pub(crate) fn is_nonblocking(fd: c_int) -> bool {
    // SAFETY: It takes numbers only.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

/// Until when a call waits.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// It does not.
    Now,
    /// As many milliseconds.
    After(c_int),
    /// For ever.
    Never,
    /// As is said there.
    Given(*const timespec),
}

impl Until {
    /// What `epoll_wait()` calls it.
    pub(crate) fn after(ms: c_int) -> Until {
        match ms {
            ..0 => Until::Never,
            0 => Until::Now,
            1.. => Until::After(ms),
        }
    }

    fn ms(self) -> c_int {
        match self {
            Until::Now => 0,
            Until::After(ms) => ms,
            Until::Never | Until::Given(_) => -1,
        }
    }

    /// Whether it surely does not wait.
    pub(crate) fn is_now(self) -> bool {
        matches!(self, Until::Now)
    }

    /// Nanoseconds, if it ends. The kernel must have found the address to be good.
    fn limit(self) -> Option<i128> {
        match self {
            Until::Never => None,
            Until::Now | Until::After(_) => Some(i128::from(self.ms()) * 1_000_000),
            Until::Given(time) if time.is_null() => None,
            // SAFETY: The kernel has read it.
            Until::Given(time) => Some(nanoseconds(unsafe { time.read_unaligned() })),
        }
    }

    /// The same in a form that the kernel reads.
    fn with<R>(self, work: impl FnOnce(*const c_void) -> R) -> R {
        let ms = match self {
            Until::Never => return work(null()),
            Until::Given(time) => return work(time.cast()),
            Until::Now | Until::After(_) => i64::from(self.ms()),
        };
        let time = kernel_timespec {
            tv_sec: ms / 1000,
            tv_nsec: ms % 1000 * 1_000_000,
        };
        work((&raw const time).cast())
    }
}

/// `kevent_get_events()`: waits for one event, and has as many as there is room for.
pub(crate) fn get(
    epfd: c_int,
    buffer: &mut [MaybeUninit<ukevent>],
    until: Until,
    sigmask: *const sigset_t,
) -> c_int {
    let (start, max) = (buffer.as_mut_ptr().cast(), buffer.len() as u32);
    let call = |min, arg, flags| {
        // SAFETY: There is room for as many. The kernel checks the other addresses.
        unsafe { kevent_sys::kevent_get_events(epfd, min, max, arg, start, flags) }
    };
    if until.is_now() && sigmask.is_null() {
        return call(0, null(), 0);
    }
    until.with(|time| {
        if sigmask.is_null() {
            return call(1, time, 0);
        }
        let arg = kevent_wait_arg {
            timeout: time.addr() as u64,
            sigmask: sigmask.addr() as u64,
            sigmask_size: MASK_SIZE as u32,
            clock: libc::CLOCK_MONOTONIC as u32,
            min_wait: 0,
            reserved: [0; 2],
        };
        let arg = (&raw const arg).cast();
        call(1, arg, kevent_sys::KEVENT_FLAGS_EXT_ARG)
    })
}

fn monotonic() -> i128 {
    let mut now = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: It is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    nanoseconds(now)
}

fn nanoseconds(time: timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// The same by way of a descriptor that is set not to wait, of which epoll takes no notice.
pub(crate) fn get_by_poll(
    epfd: c_int,
    buffer: &mut [MaybeUninit<ukevent>],
    until: Until,
    sigmask: *const sigset_t,
) -> c_int {
    let begin = monotonic();
    let limit = until.limit();
    loop {
        let left = limit.map(|limit| (begin + limit - monotonic()).max(0));
        let time = left.map(|left| timespec {
            tv_sec: (left / 1_000_000_000) as libc::time_t,
            tv_nsec: (left % 1_000_000_000) as c_long,
        });
        let time = time.as_ref().map_or(null(), |time| &raw const *time);
        let ready = poll(epfd, time, sigmask);
        if ready < 0 {
            return ready;
        }
        let got = get(epfd, buffer, Until::Now, null());
        if got != 0 || left == Some(0) {
            return got;
        }
    }
}

/// Waits until a descriptor is readable.
fn poll(fd: c_int, time: *const timespec, sigmask: *const sigset_t) -> c_int {
    let mut wanted = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: What is not ours, the kernel checks, or has checked.
    unsafe { libc::ppoll(&mut wanted, 1, time, sigmask) }
}

/// For events that have no place to go, which epoll finds when it has one.
pub(crate) fn wait_in_vain(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    until: Until,
    sigmask: *const sigset_t,
) -> c_int {
    let answer = wait(epfd, events, maxevents, until, sigmask);
    if answer >= 0 || errno() != libc::EINVAL || !is_queue(epfd) {
        return answer;
    }
    match until.with(|time| poll(epfd, time.cast(), sigmask)) {
        1 => fail(libc::EFAULT),
        other => other,
    }
}

/// `epoll_create1()` of the kernel.
pub(crate) fn create(flags: c_int) -> c_int {
    // SAFETY: It takes numbers only.
    unsafe { libc::syscall(libc::SYS_epoll_create1, flags) as c_int }
}

/// `epoll_ctl()` of the kernel.
pub(crate) fn ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    // SAFETY: The kernel checks the address.
    unsafe { libc::syscall(libc::SYS_epoll_ctl, epfd, op, fd, event) as c_int }
}

/// `epoll_pwait()` or `epoll_pwait2()` of the kernel.
pub(crate) fn wait(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    until: Until,
    sigmask: *const sigset_t,
) -> c_int {
    let (call, time) = match until {
        Until::Given(time) => (libc::SYS_epoll_pwait2, time.addr() as c_long),
        _ => (libc::SYS_epoll_pwait, c_long::from(until.ms())),
    };
    // SAFETY: The kernel checks the addresses.
    unsafe { libc::syscall(call, epfd, events, maxevents, time, sigmask, MASK_SIZE) as c_int }
}
