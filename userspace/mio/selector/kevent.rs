// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The selector on kevent of Linux, and on epoll where the kernel has no kevent, or `MIO_KEVENT` is
//! `off`. That is decided once for a process.
//!
//! Events are in the form of epoll, so what they mean is said in `epoll.rs`, as before. It needs no other
//! package than that has, libc: the calls and the ring are written out, and how events are taken is in
//! files that the crate `kevent` has as well, and the model of the ring checks.
//!
//! What differs from epoll:
//!
//! * A descriptor of epoll or of an io_uring cannot be registered: `EINVAL`. One of another `Poll` can.
//! * An event is told as its wake-up found it, so a source may have been drained since, and read
//!   `WouldBlock`. Errors and hang-ups are asked for once more.
//! * A waker needs no descriptor, and a timeout is not rounded up to a millisecond.
//! * 1024 events can be taken without a call; memory for them is mapped for each `Poll`, 66 kB.

#[path = "epoll.rs"]
mod epoll;

#[path = "kevent/call.rs"]
mod call;
#[path = "kevent/consumer.rs"]
#[allow(dead_code)]
mod consumer;
#[path = "kevent/queue.rs"]
mod queue;
#[path = "kevent/ring.rs"]
mod ring;
#[path = "kevent/waker.rs"]
mod waker;
#[path = "kevent/word.rs"]
#[allow(dead_code)]
mod word;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::{Interest, Token};

use queue::Queue;

pub use epoll::{event, Event, Events};
pub(crate) use waker::Waker;

cfg_io_source! {
    pub(crate) use epoll::IoSourceState;
}

/// Whether selectors are queues.
fn is_on() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| {
        let refused = std::env::var_os("MIO_KEVENT").is_some_and(|value| value == "off");
        !refused && call::is_supported()
    })
}

#[derive(Debug)]
pub enum Selector {
    Kevent(Arc<Queue>),
    Epoll(epoll::Selector),
}

impl Selector {
    pub fn new() -> io::Result<Selector> {
        match is_on() {
            true => Ok(Selector::Kevent(Arc::new(Queue::new()?))),
            false => epoll::Selector::new().map(Selector::Epoll),
        }
    }

    pub fn try_clone(&self) -> io::Result<Selector> {
        match self {
            Selector::Kevent(queue) => Ok(Selector::Kevent(queue.clone())),
            Selector::Epoll(epoll) => epoll.try_clone().map(Selector::Epoll),
        }
    }

    pub fn select(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Selector::Kevent(queue) => queue.select(events, timeout),
            Selector::Epoll(epoll) => epoll.select(events, timeout),
        }
    }

    pub fn register(&self, fd: RawFd, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Selector::Kevent(queue) => queue.register(fd, token, interests),
            Selector::Epoll(epoll) => epoll.register(fd, token, interests),
        }
    }

    cfg_any_os_ext! {
    pub fn reregister(&self, fd: RawFd, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Selector::Kevent(queue) => queue.reregister(fd, token, interests),
            Selector::Epoll(epoll) => epoll.reregister(fd, token, interests),
        }
    }

    pub fn deregister(&self, fd: RawFd) -> io::Result<()> {
        match self {
            Selector::Kevent(queue) => queue.deregister(fd),
            Selector::Epoll(epoll) => epoll.deregister(fd),
        }
    }
    }
}

cfg_io_source! {
    impl Selector {
        #[cfg(debug_assertions)]
        pub fn id(&self) -> usize {
            match self {
                Selector::Kevent(queue) => queue.id(),
                Selector::Epoll(epoll) => epoll.id(),
            }
        }
    }
}

impl AsFd for Selector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Selector::Kevent(queue) => queue.as_fd(),
            Selector::Epoll(epoll) => epoll.as_fd(),
        }
    }
}

impl AsRawFd for Selector {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Selector::Kevent(queue) => queue.as_fd().as_raw_fd(),
            Selector::Epoll(epoll) => epoll.as_raw_fd(),
        }
    }
}
