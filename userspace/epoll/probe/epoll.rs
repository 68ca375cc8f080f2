// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The calls, with results that can be shown.

use std::ffi::c_int;
use std::fmt::Debug;
use std::io::Error;
use std::ptr::null;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libc::epoll_event;

pub use libc::{EPOLL_CTL_ADD as ADD, EPOLL_CTL_DEL as DEL, EPOLL_CTL_MOD as MOD};

pub const IN: u32 = libc::EPOLLIN as u32;
pub const OUT: u32 = libc::EPOLLOUT as u32;
pub const PRI: u32 = libc::EPOLLPRI as u32;
pub const RDHUP: u32 = libc::EPOLLRDHUP as u32;
pub const ET: u32 = libc::EPOLLET as u32;
pub const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
pub const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
pub const WAKEUP: u32 = libc::EPOLLWAKEUP as u32;

/// Long enough for anything that happens.
pub const LONG: c_int = 20_000;
/// For what does not.
pub const SHORT: c_int = 100;

/// The name of a case, which is in each of its lines.
pub struct Say(pub &'static str);

impl Say {
    /// One line, and one comparison.
    pub fn say(&self, what: &str, value: impl Debug) {
        println!("{}.{what}: {value:?}", self.0);
    }
}

/// What a call returned, or its errno.
pub type Answer = Result<c_int, &'static str>;

pub fn answer(value: c_int) -> Answer {
    if value >= 0 {
        return Ok(value);
    }
    Err(match Error::last_os_error().raw_os_error().unwrap_or(0) {
        libc::EBADF => "EBADF",
        libc::EEXIST => "EEXIST",
        libc::EFAULT => "EFAULT",
        libc::EINTR => "EINTR",
        libc::EINVAL => "EINVAL",
        libc::ELOOP => "ELOOP",
        libc::EMFILE => "EMFILE",
        libc::ENOENT => "ENOENT",
        libc::ENOSPC => "ENOSPC",
        libc::EPERM => "EPERM",
        libc::EAGAIN => "EAGAIN",
        _ => "another error",
    })
}

/// Whether it succeeded: numbers of descriptors are of no interest.
pub fn done(value: c_int) -> Answer {
    answer(value).map(|_| 0)
}

pub fn create() -> c_int {
    // SAFETY: It takes numbers.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(fd >= 0, "epoll_create1");
    fd
}

pub fn ctl(epfd: c_int, op: c_int, fd: c_int, events: u32) -> Answer {
    ctl_as(epfd, op, fd, events, fd as u64)
}

pub fn ctl_as(epfd: c_int, op: c_int, fd: c_int, events: u32, data: u64) -> Answer {
    let mut event = epoll_event { events, u64: data };
    // SAFETY: It is ours.
    answer(unsafe { libc::epoll_ctl(epfd, op, fd, &mut event) })
}

pub fn add(epfd: c_int, fd: c_int, events: u32) {
    assert_eq!(ctl(epfd, ADD, fd, events), Ok(0), "EPOLL_CTL_ADD");
}

/// What came: data and events, in order.
pub type Events = Result<Vec<(u64, String)>, &'static str>;

pub fn names(events: u32) -> String {
    const NAMES: [(u32, &str); 7] = [
        (IN, "IN"),
        (PRI, "PRI"),
        (OUT, "OUT"),
        (libc::EPOLLERR as u32, "ERR"),
        (libc::EPOLLHUP as u32, "HUP"),
        (RDHUP, "RDHUP"),
        (libc::EPOLLRDNORM as u32, "RDNORM"),
    ];
    let mut rest = events;
    let mut text = Vec::new();
    for (bit, name) in NAMES {
        if events & bit != 0 {
            text.push(name.to_owned());
            rest &= !bit;
        }
    }
    if rest != 0 {
        text.push(format!("{rest:#x}"));
    }
    text.join("|")
}

fn collect(num: c_int, events: &[epoll_event]) -> Events {
    let num = answer(num)?;
    let of = |event: &epoll_event| (event.u64, names(event.events));
    Ok(events[..num as usize].iter().map(of).collect())
}

pub fn room<const N: usize>() -> [epoll_event; N] {
    [epoll_event { events: 0, u64: 0 }; N]
}

pub fn wait(epfd: c_int, timeout: c_int) -> Events {
    let mut events = room::<16>();
    // SAFETY: It is ours.
    let num = unsafe { libc::epoll_wait(epfd, events.as_mut_ptr(), 16, timeout) };
    collect(num, &events)
}

pub fn wait_some(epfd: c_int, max: c_int, timeout: c_int) -> Events {
    let mut events = room::<16>();
    // SAFETY: It is ours.
    let num = unsafe { libc::epoll_wait(epfd, events.as_mut_ptr(), max.min(16), timeout) };
    collect(num, &events)
}

/// What comes in any order, by data.
pub fn sorted(events: Events) -> Events {
    events.map(|mut events| {
        events.sort();
        events
    })
}

/// Only the events: numbers may differ.
pub fn bits(events: Events) -> Result<Vec<String>, &'static str> {
    events.map(|events| events.into_iter().map(|event| event.1).collect())
}

pub fn now(epfd: c_int) -> Result<Vec<String>, &'static str> {
    bits(wait(epfd, 0))
}

pub fn soon(epfd: c_int) -> Result<Vec<String>, &'static str> {
    bits(wait(epfd, LONG))
}

pub fn pipe() -> (c_int, c_int) {
    let mut ends = [0; 2];
    // SAFETY: There is room for two.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK) };
    assert_eq!(made, 0);
    (ends[0], ends[1])
}

pub fn eventfd(value: u32) -> c_int {
    // SAFETY: It takes numbers.
    unsafe { libc::eventfd(value, libc::EFD_NONBLOCK) }
}

pub fn pair() -> (c_int, c_int) {
    let mut ends = [0; 2];
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    // SAFETY: There is room for two.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) };
    assert_eq!(made, 0);
    (ends[0], ends[1])
}

/// Eight bytes, which are a count of 1 to an eventfd.
pub fn write(fd: c_int) {
    let bytes = 1u64.to_ne_bytes();
    // SAFETY: They are ours.
    let num = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    assert_eq!(num, 8, "write");
}

pub fn read(fd: c_int) {
    let mut bytes = [0u8; 8];
    // SAFETY: They are ours.
    unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) };
}

pub fn drain(fd: c_int) {
    let mut bytes = [0u8; 4096];
    // SAFETY: They are ours.
    while unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) } > 0 {}
}

/// Writes until it would wait.
pub fn fill(fd: c_int) {
    let bytes = [0u8; 4096];
    // SAFETY: They are ours.
    while unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) } > 0 {}
}

pub fn close(fd: c_int) {
    // SAFETY: Nobody here uses it any more.
    unsafe { libc::close(fd) };
}

pub fn dup(fd: c_int) -> c_int {
    // SAFETY: It takes numbers.
    unsafe { libc::dup(fd) }
}

/// What poll(2) says of a descriptor.
pub fn poll(fd: c_int, timeout: c_int) -> Result<String, &'static str> {
    let mut wanted = libc::pollfd {
        fd,
        events: libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM,
        revents: 0,
    };
    // SAFETY: It is ours.
    answer(unsafe { libc::poll(&mut wanted, 1, timeout) })?;
    Ok(names(wanted.revents as u16 as u32))
}

/// An epoll of the kernel's, whatever is loaded.
pub mod real {
    use super::{collect, epoll_event, null, room, Events};
    use std::ffi::c_int;

    pub fn watching(fd: c_int, events: u32) -> c_int {
        let mut event = epoll_event { events, u64: 1 };
        // SAFETY: What it is given is ours.
        unsafe {
            let epfd = libc::syscall(libc::SYS_epoll_create1, 0) as c_int;
            assert_eq!(
                0,
                libc::syscall(libc::SYS_epoll_ctl, epfd, super::ADD, fd, &mut event)
            );
            epfd
        }
    }

    pub fn wait(epfd: c_int, timeout: c_int) -> Events {
        let mut events = room::<4>();
        let (start, mask) = (events.as_mut_ptr(), null::<libc::sigset_t>());
        // SAFETY: As above.
        let num = unsafe { libc::syscall(libc::SYS_epoll_pwait, epfd, start, 4, timeout, mask, 8) };
        collect(num as c_int, &events)
    }
}

/// A thread that makes a call.
pub struct Sleeper<R> {
    thread: JoinHandle<R>,
    tid: libc::c_long,
}

impl<R> Sleeper<R> {
    /// What the call returned.
    pub fn join(self) -> R {
        self.thread.join().expect("it ends")
    }

    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Whether it has ended, or sleeps.
    fn rests(&self) -> bool {
        let path = format!("/proc/self/task/{}/stat", self.tid);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        self.is_done()
            || text
                .rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" S"))
    }

    pub fn signal(&self, signal: c_int) {
        let thread = std::os::unix::thread::JoinHandleExt::as_pthread_t(&self.thread);
        // SAFETY: It was not joined yet.
        unsafe { libc::pthread_kill(thread, signal) };
    }
}

/// Runs a call in a thread, which is asleep in it then.
pub fn asleep<R: Send + 'static>(call: impl FnOnce() -> R + Send + 'static) -> Sleeper<R> {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        // SAFETY: It takes nothing.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) };
        tell.send(tid).expect("the other one waits");
        call()
    });
    let tid = told.recv().expect("the thread tells");
    let sleeper = Sleeper { thread, tid };
    ended(std::slice::from_ref(&sleeper));
    sleeper
}

/// How many of the threads have ended, when all others sleep.
pub fn ended<R>(threads: &[Sleeper<R>]) -> usize {
    const OFTEN: u32 = 10;
    let begin = Instant::now();
    let mut quiet = 0;
    // Each may sleep for something else on its way.
    while quiet < OFTEN && begin.elapsed() < Duration::from_secs(20) {
        nap();
        let rest = threads.iter().all(|thread| thread.rests());
        quiet = if rest { quiet + 1 } else { 0 };
    }
    threads.iter().filter(|thread| thread.is_done()).count()
}

pub fn nap() {
    std::thread::sleep(Duration::from_millis(3));
}

/// Whether a call takes as long as it should.
pub fn takes<R>(least: u64, call: impl FnOnce() -> R) -> (R, bool) {
    let begin = Instant::now();
    let result = call();
    (result, begin.elapsed() >= Duration::from_millis(least))
}
