// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One queue, shared by a `Poll`, its registries and its wakers.
//!
//! Sockets are watched as such, all else as files: a socket is read in its wake-up, so its events say
//! what is true, also that the peer has closed. A wake-up of a file may name no bits, and errors and
//! hang-ups may be over; then the file is asked once more, as epoll asks it each time.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
#[cfg(debug_assertions)]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Interest, Token};

use super::call::*;
use super::consumer::Consumer;
use super::ring::{Entry, Ring};
use super::{Event, Events};

/// As many events can be taken without a call. What finds no room waits in the kernel.
const SLOTS: u32 = 1024;

/// The number of the one consumer.
const OWNER: u32 = 1;

/// Bits of sockets and of files.
const BITS: [(u32, u32); 7] = [
    (KEVENT_SOCKET_RECV, libc::EPOLLIN as u32),
    (KEVENT_SOCKET_ACCEPT, libc::EPOLLIN as u32),
    (KEVENT_SOCKET_SEND, libc::EPOLLOUT as u32),
    (KEVENT_SOCKET_URGENT, libc::EPOLLPRI as u32),
    (KEVENT_SOCKET_EOF, libc::EPOLLRDHUP as u32),
    (KEVENT_SOCKET_ERROR, ERR),
    (KEVENT_SOCKET_HUP, HUP),
];

const ERR: u32 = libc::EPOLLERR as u32;
const HUP: u32 = libc::EPOLLHUP as u32;

#[cfg(debug_assertions)]
static NEXT_ID: AtomicUsize = AtomicUsize::new(1);

#[derive(Debug)]
pub struct Queue {
    /// Unique id for use as `SelectorId`.
    #[cfg(debug_assertions)]
    id: usize,
    fd: OwnedFd,
    consumer: Mutex<Consumer<Box<Ring>>>,
    /// What is registered and is no socket.
    files: Mutex<BTreeSet<RawFd>>,
    /// How many wakers there were.
    wakers: AtomicU64,
}

impl Queue {
    pub(super) fn new() -> io::Result<Queue> {
        let fd = init(SLOTS)?;
        let ring = Ring::map(fd.as_fd(), SLOTS)?;
        Ok(Queue {
            #[cfg(debug_assertions)]
            id: NEXT_ID.fetch_add(1, Relaxed),
            fd,
            consumer: Mutex::new(Consumer::new(Box::new(ring), OWNER)),
            files: Mutex::default(),
            wakers: AtomicU64::new(0),
        })
    }

    // Only sources of I/O look whose they are.
    #[allow(dead_code)]
    #[cfg(debug_assertions)]
    pub(super) fn id(&self) -> usize {
        self.id
    }

    /// Makes no call if there are events, or if it is not to wait.
    pub(super) fn select(
        &self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        events.clear();
        if events.capacity() == 0 {
            // As `epoll_wait(2)` says.
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mut consumer = lock(&self.consumer);
        take(&mut consumer, events);
        if !events.is_empty() || (timeout == Some(Duration::ZERO) && !consumer.pending()) {
            return Ok(());
        }
        let start = Instant::now();
        let mut left = timeout;
        loop {
            wait(self.as_fd(), SLOTS, consumer.next() as u32, left)?;
            take(&mut consumer, events);
            left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            // An event may have been taken back meanwhile.
            if !events.is_empty() || left == Some(Duration::ZERO) {
                return Ok(());
            }
        }
    }

    pub(super) fn register(
        &self,
        fd: RawFd,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        let socket = record(KEVENT_SOCKET, fd, token, interests);
        match ctl(self.as_fd(), KEVENT_CTL_ADD, socket) {
            Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
                let file = record(KEVENT_POLL, fd, token, interests);
                ctl(self.as_fd(), KEVENT_CTL_ADD, file)?;
                lock(&self.files).insert(fd);
            }
            result => {
                result?;
                lock(&self.files).remove(&fd);
            }
        }
        Ok(())
    }

    cfg_any_os_ext! {
    pub(super) fn reregister(
        &self,
        fd: RawFd,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        let kind = kind(lock(&self.files).contains(&fd));
        let record = record(kind, fd, token, interests);
        ctl(self.as_fd(), KEVENT_CTL_MODIFY, record)
    }

    pub(super) fn deregister(&self, fd: RawFd) -> io::Result<()> {
        let kind = kind(lock(&self.files).remove(&fd));
        ctl(self.as_fd(), KEVENT_CTL_REMOVE, Record::of(kind, fd as u64))
    }
    }

    /// Begins events of the program's own, and gives their number.
    pub(super) fn add_waker(&self, token: Token) -> io::Result<u64> {
        let mut record = of_waker(self.wakers.fetch_add(1, Relaxed));
        record.event = libc::EPOLLIN as u32;
        record.user = usize::from(token) as u64;
        ctl(self.as_fd(), KEVENT_CTL_ADD, record).map(|()| record.id)
    }

    pub(super) fn wake(&self, waker: u64) -> io::Result<()> {
        ctl(self.as_fd(), KEVENT_CTL_READY, of_waker(waker))
    }

    pub(super) fn remove_waker(&self, waker: u64) -> io::Result<()> {
        ctl(self.as_fd(), KEVENT_CTL_REMOVE, of_waker(waker))
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::fmt::Debug for Consumer<Box<Ring>> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics with it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

cfg_any_os_ext! {
    fn kind(is_file: bool) -> u32 {
        match is_file {
            true => KEVENT_POLL,
            false => KEVENT_SOCKET,
        }
    }
}

fn of_waker(waker: u64) -> Record {
    Record::of(KEVENT_USER, waker)
}

fn record(kind: u32, fd: RawFd, token: Token, interests: Interest) -> Record {
    let mut bits = 0;
    if interests.is_readable() {
        bits |= (libc::EPOLLIN | libc::EPOLLRDHUP) as u32;
    }
    if interests.is_writable() {
        bits |= libc::EPOLLOUT as u32;
    }
    if interests.is_priority() {
        bits |= libc::EPOLLPRI as u32;
    }
    let mut record = Record::of(kind, fd as u64);
    record.event = match kind {
        KEVENT_SOCKET => to_socket(bits),
        _ => bits,
    };
    record.flags = KEVENT_REQ_ET;
    record.user = usize::from(token) as u64;
    record
}

fn to_socket(bits: u32) -> u32 {
    let asked = BITS.iter().filter(|(_, bit)| bits & bit != 0);
    asked.fold(0, |all, (socket, _)| all | socket)
}

fn from_socket(bits: u32) -> u32 {
    let fired = BITS.iter().filter(|(socket, _)| bits & socket != 0);
    fired.fold(0, |all, (_, bit)| all | bit)
}

/// Takes events as long as there is room for them.
fn take(consumer: &mut Consumer<Box<Ring>>, events: &mut Events) {
    while events.len() < events.capacity() {
        let Some(taken) = consumer.take() else {
            return;
        };
        let (word, entry) = (taken.word(), consumer.payload(&taken));
        consumer.finish(taken);
        let bits = is_true(&entry, word.mask(), word.result() & KEVENT_RET_RECHECK != 0);
        if bits != 0 {
            events.push(Event {
                events: bits,
                u64: entry.user,
            });
        }
    }
}

/// What is true of what fired, as bits of epoll.
fn is_true(entry: &Entry, fired: u32, recheck: bool) -> u32 {
    let [fired, asked] = [fired, entry.asked].map(|bits| match entry.kind {
        KEVENT_SOCKET => from_socket(bits),
        _ => bits,
    });
    if !recheck && fired & (ERR | HUP) == 0 {
        return fired;
    }
    let mut file = libc::pollfd {
        fd: entry.id as RawFd,
        events: asked as libc::c_short,
        revents: 0,
    };
    match syscall!(poll(&mut file, 1, 0)) {
        // The number is closed, and the file open by another one.
        Ok(_) if file.revents & libc::POLLNVAL != 0 => fired,
        Ok(_) => file.revents as u32,
        Err(_) => fired,
    }
}
