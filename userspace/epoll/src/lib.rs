// SPDX-License-Identifier: GPL-2.0 OR MIT

//! epoll on kevent, for `LD_PRELOAD`: `libepoll-kevent.so`, see its manual page `libepoll-kevent(7)`.
//!
//! The six calls of epoll are put in front of those of the C library. A descriptor that
//! [`epoll_create1()`] returns is that of a queue without a ring; each call is answered by one of
//! kevent, with a mode that does as epoll does. There is no state here that says what is
//! watched: the kernel has all of it. So `fork()`, `dup()`, `close()`, passing descriptors and `execve()`
//! need nothing.
//!
//! # Whose descriptor it is
//!
//! Descriptors of the kernel's epoll may come from outside: by system calls, from the parent, over a
//! socket. Each call works for both, and so no table of descriptors is needed:
//!
//! * [`epoll_ctl()`] asks kevent first, if the event can be read. What that does, epoll would have done as
//!   well: both descriptors are good, the file can be polled, and the first one is a queue. If it refuses,
//!   the kernel's epoll is asked. To a queue that answers `EINVAL`, after it has checked all else that
//!   epoll checks first: the address of the event, both descriptors, and whether the file can be
//!   polled. So these errors, and their order, are epoll's own. Only then kevent's error is the answer.
//! * [`epoll_wait()`] asks kevent first. If that refuses, the kernel's epoll is asked, and its error is
//!   the answer.
//!
//! # Modes
//!
//! | epoll            | kevent                    |
//! |------------------|---------------------------|
//! | level            | LAST_CHECK                |
//! | `EPOLLET`        | LAST_CHECK, ET            |
//! | `EPOLLONESHOT`   | LAST_CHECK, DISPATCH      |
//! | `EPOLLEXCLUSIVE` | LAST_CHECK, EXCLUSIVE     |
//!
//! LAST_CHECK, as epoll polls a file before it reports it, in every mode.

#![cfg(target_os = "linux")]

mod buffer;
mod exclusive;
mod kernel;

use std::ffi::c_int;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use kevent_sys::ukevent;
use libc::{epoll_event, sigset_t, timespec};

use kernel::{errno, fail, Until};

// The kernel reads it as its own.
const _: () = assert!(size_of::<timespec>() == size_of::<kevent_sys::kernel_timespec>());

/// What can be asked for.
const POLL_BITS: u32 = (libc::EPOLLIN
    | libc::EPOLLPRI
    | libc::EPOLLOUT
    | libc::EPOLLRDNORM
    | libc::EPOLLRDBAND
    | libc::EPOLLWRNORM
    | libc::EPOLLWRBAND
    | libc::EPOLLMSG
    | libc::EPOLLRDHUP) as u32
    | ALWAYS;
/// What is reported without being asked for.
const ALWAYS: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;

const ET: u32 = libc::EPOLLET as u32;
const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
/// What goes with `EPOLLEXCLUSIVE`.
const EXCLUSIVE_OK: u32 =
    (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLWAKEUP) as u32 | ALWAYS | ET | EXCLUSIVE;

/// The most events that `epoll_wait()` takes room for.
const MAX_EVENTS: c_int = c_int::MAX / size_of::<epoll_event>() as c_int;

/// The request flags for what epoll calls `events`.
const fn mode(events: u32) -> u32 {
    let mut flags = kevent_sys::KEVENT_REQ_LAST_CHECK;
    if events & ET != 0 {
        flags |= kevent_sys::KEVENT_REQ_ET;
    }
    if events & ONESHOT != 0 {
        flags |= kevent_sys::KEVENT_REQ_DISPATCH;
    }
    if events & EXCLUSIVE != 0 {
        flags |= kevent_sys::KEVENT_REQ_EXCLUSIVE;
    }
    flags
}

fn record(fd: c_int, event: epoll_event) -> ukevent {
    let mut record = kernel::EMPTY;
    record.id = fd as u64;
    record.type_ = kevent_sys::KEVENT_POLL;
    record.event = (event.events & POLL_BITS) | ALWAYS;
    record.req_flags = mode(event.events);
    record.user = event.u64;
    record
}

const ON: u8 = 1;
const OFF: u8 = 2;
static KNOWN: AtomicU8 = AtomicU8::new(0);

/// Whether new descriptors are queues: the kernel has kevent, and `EPOLL_KEVENT` is not `off`.
fn is_on() -> bool {
    match KNOWN.load(Relaxed) {
        0 => {
            let on = !kernel::is_refused_by_user() && kernel::has_kevent();
            KNOWN.store(if on { ON } else { OFF }, Relaxed);
            on
        }
        known => known == ON,
    }
}

/// `epoll_create()`.
#[unsafe(no_mangle)]
pub extern "C" fn epoll_create(size: c_int) -> c_int {
    match size {
        ..=0 => fail(libc::EINVAL),
        _ => epoll_create1(0),
    }
}

/// `epoll_create1()`.
#[unsafe(no_mangle)]
pub extern "C" fn epoll_create1(flags: c_int) -> c_int {
    if flags & !libc::EPOLL_CLOEXEC != 0 {
        return fail(libc::EINVAL);
    }
    let saved = errno();
    if !is_on() {
        kernel::set_errno(saved);
        return kernel::create(flags);
    }
    kernel::set_errno(saved);
    let flags = match flags {
        0 => 0,
        _ => kevent_sys::KEVENT_INIT_CLOEXEC,
    };
    // SAFETY: no ring is mapped.
    unsafe { kevent_sys::kevent_init(null_mut(), 0, flags) }
}

/// Carries out a command for one record. Returns 0, or the errno.
fn ctl(epfd: c_int, cmd: u32, record: &ukevent) -> c_int {
    let mut record = *record;
    // SAFETY: it is one record, and ours.
    match unsafe { kevent_sys::kevent_ctl(epfd, cmd, 1, &raw mut record) } {
        1 => 0,
        // So it is no queue.
        _ if errno() == libc::ENOSYS => libc::EINVAL,
        _ => errno(),
    }
}

fn add(epfd: c_int, fd: c_int, event: epoll_event) -> c_int {
    let exclusive = event.events & EXCLUSIVE != 0;
    if exclusive && (event.events & !EXCLUSIVE_OK != 0 || kernel::is_queue(fd)) {
        return libc::EINVAL;
    }
    let error = ctl(epfd, kevent_sys::KEVENT_CTL_ADD, &record(fd, event));
    if error == 0 {
        exclusive::set(epfd, fd, exclusive);
    }
    error
}

fn modify(epfd: c_int, fd: c_int, event: epoll_event) -> c_int {
    if event.events & EXCLUSIVE != 0 {
        return libc::EINVAL;
    }
    if exclusive::is(epfd, fd) {
        // One that is there is not to be changed. One that is not must not come to be.
        let mut never = event;
        never.events = ONESHOT;
        return match ctl(epfd, kevent_sys::KEVENT_CTL_ADD, &record(fd, never)) {
            0 => remove(epfd, fd).max(libc::ENOENT),
            libc::EEXIST => libc::EINVAL,
            error => error,
        };
    }
    ctl(epfd, kevent_sys::KEVENT_CTL_MODIFY, &record(fd, event))
}

fn remove(epfd: c_int, fd: c_int) -> c_int {
    // REMOVE goes by the number alone, MODIFY looks which file that names.
    let event = epoll_event {
        events: ONESHOT,
        u64: 0,
    };
    let record = record(fd, event);
    match ctl(epfd, kevent_sys::KEVENT_CTL_MODIFY, &record) {
        0 => ctl(epfd, kevent_sys::KEVENT_CTL_REMOVE, &record),
        error => error,
    }
}

/// Carries out an operation on a queue. Returns 0, or the errno.
///
/// # Safety
///
/// At `event` there must be one, if the operation has one.
unsafe fn change(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    // SAFETY: By the contract of this function.
    let read = || unsafe { event.read_unaligned() };
    match op {
        libc::EPOLL_CTL_ADD => add(epfd, fd, read()),
        libc::EPOLL_CTL_MOD => modify(epfd, fd, read()),
        libc::EPOLL_CTL_DEL => remove(epfd, fd),
        _ => libc::EINVAL,
    }
}

/// `epoll_ctl()`.
///
/// # Safety
///
/// There are no requirements: an address that is not good is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_ctl(
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let saved = errno();
    // SAFETY: Called only where there is an event, if the operation has one.
    let ask_kevent = || unsafe { change(epfd, op, fd, event) };
    let has_event = || op == libc::EPOLL_CTL_DEL || buffer::readable(event);
    if KNOWN.load(Relaxed) != OFF && epfd != fd && has_event() && ask_kevent() == 0 {
        kernel::set_errno(saved);
        return 0;
    }
    let answer = kernel::ctl(epfd, op, fd, event);
    if answer == 0 {
        kernel::set_errno(saved);
        return 0;
    }
    if errno() != libc::EINVAL {
        return answer;
    }
    if epfd == fd {
        return fail(libc::EINVAL);
    }
    // The kernel has read an event now.
    match ask_kevent() {
        0 => {
            kernel::set_errno(saved);
            0
        }
        libc::ELOOP | libc::ENOENT if kernel::is_same_file(epfd, fd) => fail(libc::EINVAL),
        error => fail(error),
    }
}

/// `epoll_wait()`.
///
/// # Safety
///
/// `events` must have room for `maxevents`, or be an address that is not good.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: By the contract of this function.
    unsafe { wait(epfd, events, maxevents, Until::after(timeout), null()) }
}

/// `epoll_pwait()`.
///
/// # Safety
///
/// As [`epoll_wait()`]; `sigmask` is null, or an address from which the kernel reads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    timeout: c_int,
    sigmask: *const sigset_t,
) -> c_int {
    // SAFETY: By the contract of this function.
    unsafe { wait(epfd, events, maxevents, Until::after(timeout), sigmask) }
}

/// `epoll_pwait2()`.
///
/// # Safety
///
/// As [`epoll_pwait()`]; `timeout` is null, or an address from which the kernel reads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait2(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    timeout: *const timespec,
    sigmask: *const sigset_t,
) -> c_int {
    // SAFETY: By the contract of this function.
    unsafe { wait(epfd, events, maxevents, Until::Given(timeout), sigmask) }
}

/// # Safety
///
/// As [`epoll_wait()`].
unsafe fn wait(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    until: Until,
    sigmask: *const sigset_t,
) -> c_int {
    if !(1..=MAX_EVENTS).contains(&maxevents) {
        return kernel::wait(epfd, events, maxevents, until, sigmask);
    }
    let max = buffer::writable(events, (maxevents as usize).min(buffer::MOST));
    if max == 0 {
        return kernel::wait_in_vain(epfd, events, maxevents, until, sigmask);
    }
    let saved = errno();
    buffer::with(max, |buffer| {
        let mut got = kernel::get(epfd, buffer, until, sigmask);
        if got == 0 && !until.is_now() && kernel::is_nonblocking(epfd) {
            got = kernel::get_by_poll(epfd, buffer, until, sigmask);
        }
        match usize::try_from(got) {
            Ok(num) => {
                for (at, event) in buffer.iter().take(num).enumerate() {
                    // SAFETY: The kernel has written as many.
                    let event = unsafe { event.assume_init_ref() };
                    let event = epoll_event {
                        // SAFETY: The word and its halves are plain numbers.
                        events: unsafe { event.__bindgen_anon_1.__bindgen_anon_1.fired },
                        u64: event.user,
                    };
                    // SAFETY: There is room for all of them, by the contract of this function.
                    unsafe { events.add(at).write_unaligned(event) };
                }
                kernel::set_errno(saved);
                got
            }
            Err(_) if errno() == libc::EINTR => got,
            // It is no queue, or else it has the same to say.
            Err(_) => kernel::wait(epfd, events, maxevents, until, sigmask),
        }
    })
}
