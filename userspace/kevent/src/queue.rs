// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use kevent_sys::{
    ukevent, KEVENT_BATCH_MAX, KEVENT_CTL_ADD, KEVENT_CTL_MODIFY, KEVENT_CTL_READY,
    KEVENT_CTL_REMOVE, KEVENT_RET_OUTSTANDING, KEVENT_USER,
};

use crate::call;
use crate::event::Event;
use crate::registration::Registration;
use crate::source::sealed::Request;
use crate::source::Source;
use crate::wait::Wait;

/// A queue of events: what sources are added to, and what events are got from.
///
/// Cloning it gives the same queue, which lives until its last clone, [`Ring`](crate::Ring) and
/// registration are gone. It can be used from any thread. Its descriptor is readable while it has
/// events, for `poll()`, epoll, io_uring and other queues.
///
/// Most programs want a [`Ring`](crate::Ring), from which events are taken without a system call.
///
/// ```
/// # if !kevent::is_supported() { return Ok(()); }
/// use std::time::Duration;
/// use kevent::{Queue, Timer, Wait};
///
/// let queue = Queue::new()?;
/// let _timer = queue.add(5, Timer::after(Duration::from_millis(1)).once())?;
/// let mut events = Vec::with_capacity(16);
/// queue.get(&mut events, 1, Wait::FOREVER)?;
/// assert_eq!(events[0].token(), 5);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fd: OwnedFd,
    /// The next number for a source that has none of its own.
    next: AtomicU64,
}

impl Queue {
    /// A queue without a ring.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) when the kernel has no kevent, else what
    /// `kevent_init()` says: too many open files, no memory.
    pub fn new() -> io::Result<Queue> {
        crate::features()?;
        call::init(0).map(Queue::from)
    }

    /// Adds a source, whose events will have `token`.
    ///
    /// The source is removed when the registration is dropped. Until then, the registration owns it,
    /// or borrows what was borrowed: a descriptor is not closed while the queue knows its number.
    ///
    /// What is true already is told at once.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when the file is in the queue already, as
    /// the same kind of source; [`StorageFull`](io::ErrorKind::StorageFull) when the user has
    /// `user.max_kevent_watches` registrations; [`Unsupported`](io::ErrorKind::Unsupported) when
    /// the kernel was built without this kind of source; what
    /// [`Fd`](crate::Fd) and [`Socket`](crate::Socket) say of files.
    pub fn add<S: Source>(&self, token: u64, source: S) -> io::Result<Registration<S>> {
        let request = source.request();
        let mut id = request.id;
        loop {
            let key = id.unwrap_or_else(|| self.0.next.fetch_add(1, Relaxed));
            match self.request(KEVENT_CTL_ADD, key, token, &request) {
                Ok(done) => {
                    return Ok(Registration::new(
                        self.clone(),
                        source,
                        key,
                        token,
                        done.data,
                    ));
                }
                // Another process that has the queue chose the same number.
                Err(error) if id.is_none() && error.raw_os_error() == Some(libc::EEXIST) => {
                    id = None
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds many sources of one kind with few system calls. If one of them is refused, none is added.
    ///
    /// ```
    /// # if !kevent::is_supported() { return Ok(()); }
    /// use std::time::Duration;
    /// use kevent::{Queue, Timer};
    ///
    /// let queue = Queue::new()?;
    /// let second = Timer::after(Duration::from_secs(1));
    /// let timers = queue.add_all((0..1000).map(|token| (token, second)))?;
    /// assert_eq!(timers[999].token(), 999);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`add`](Queue::add), of the first source that is refused.
    pub fn add_all<S: Source>(
        &self,
        sources: impl IntoIterator<Item = (u64, S)>,
    ) -> io::Result<Vec<Registration<S>>> {
        let mut sources = sources.into_iter();
        let mut registrations = Vec::with_capacity(sources.size_hint().0);
        let mut records = Vec::new();
        loop {
            let batch: Vec<(u64, S)> = sources.by_ref().take(KEVENT_BATCH_MAX as usize).collect();
            if batch.is_empty() {
                return Ok(registrations);
            }
            records.clear();
            records.extend(batch.iter().map(|(token, source)| {
                let request = source.request();
                let fresh = || self.0.next.fetch_add(1, Relaxed);
                record(request.id.unwrap_or_else(fresh), *token, &request)
            }));
            let done = call::ctl(self.as_fd(), KEVENT_CTL_ADD, &mut records)? as usize;
            let asked = batch.len();
            for ((token, source), record) in batch.into_iter().zip(&records).take(done) {
                registrations.push(Registration::new(
                    self.clone(),
                    source,
                    record.id,
                    token,
                    record.data,
                ));
            }
            if done < asked {
                return Err(io::Error::from_raw_os_error(records[done].error as i32));
            }
        }
    }

    /// Gets events without a ring: waits until there are `least`, appends as many as `events` has
    /// spare capacity for (16 if it has none), and returns how many. Fewer than `least` after a
    /// timeout, a signal, or [`wake`](Queue::wake).
    ///
    /// On a queue with a ring it is one more consumer, which takes what stands in the ring first.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when `least` is more than there is room for.
    pub fn get(
        &self,
        events: &mut Vec<Event>,
        least: u32,
        wait: impl Into<Wait>,
    ) -> io::Result<usize> {
        if events.spare_capacity_mut().is_empty() {
            events.reserve(16);
        }
        let room = events.spare_capacity_mut();
        // SAFETY: An event is a `ukevent` in other words, see there, and need not be one already.
        let room = unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), room.len()) };
        match call::get(self.as_fd(), least, room, &wait.into()) {
            Ok(got) => {
                // SAFETY: The kernel has written so many.
                unsafe { events.set_len(events.len() + got as usize) };
                Ok(got as usize)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Lets one thread that waits return without an event. If nobody waits, the next one to wait
    /// returns at once.
    ///
    /// # Errors
    ///
    /// None are known, as long as the queue is one.
    pub fn wake(&self) -> io::Result<()> {
        call::ctl(self.as_fd(), KEVENT_CTL_READY, &mut []).map(drop)
    }

    /// Fires a registration of [`User`](crate::User).
    pub(crate) fn fire(&self, id: u64, mask: u32, count: u64) -> io::Result<()> {
        let mut record = ukevent {
            id,
            type_: KEVENT_USER,
            event: mask,
            data: count,
            ..ukevent::default()
        };
        call::ctl(
            self.as_fd(),
            KEVENT_CTL_READY,
            std::slice::from_mut(&mut record),
        )
        .map(drop)
    }

    /// Ends a registration. Says whether somebody still holds an event of it.
    pub(crate) fn remove(&self, kind: u32, id: u64) -> io::Result<bool> {
        let mut record = ukevent {
            id,
            type_: kind,
            ..ukevent::default()
        };
        call::ctl(
            self.as_fd(),
            KEVENT_CTL_REMOVE,
            std::slice::from_mut(&mut record),
        )?;
        Ok(outstanding(&record))
    }

    /// Changes a registration. Gives its new generation.
    pub(crate) fn modify(&self, id: u64, token: u64, request: &Request) -> io::Result<u64> {
        Ok(self.request(KEVENT_CTL_MODIFY, id, token, request)?.data)
    }

    fn request(&self, command: u32, id: u64, token: u64, request: &Request) -> io::Result<ukevent> {
        let mut record = record(id, token, request);
        call::ctl(self.as_fd(), command, std::slice::from_mut(&mut record))?;
        Ok(record)
    }
}

fn record(id: u64, token: u64, request: &Request) -> ukevent {
    ukevent {
        id,
        type_: request.kind,
        event: request.mask,
        req_flags: request.flags,
        user: token,
        param: request.param,
        ..ukevent::default()
    }
}

fn outstanding(record: &ukevent) -> bool {
    // SAFETY: Both members of the union are numbers.
    let flags = unsafe { record.__bindgen_anon_1.__bindgen_anon_1.ret_flags };
    flags & KEVENT_RET_OUTSTANDING != 0
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// A queue that came from elsewhere, as over a socket. Nothing is checked here: what is no queue
/// fails in each call.
impl From<OwnedFd> for Queue {
    fn from(fd: OwnedFd) -> Queue {
        Queue(Arc::new(Inner {
            fd,
            // Far from the numbers of other processes.
            next: AtomicU64::new(u64::from(std::process::id()) << 32),
        }))
    }
}
