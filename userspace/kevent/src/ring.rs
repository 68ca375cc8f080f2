// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::fs;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::call;
use crate::consumer::Consumer;
use crate::mapping::Mapping;
use crate::owners::{Owner, Owners};
use crate::queue::Queue;

/// A [`Queue`] with a ring: memory into which the kernel writes events, and from which consumers take
/// them without a system call.
///
/// It derefs to its queue. Cloning it gives the same ring. The memory stays mapped until the last clone
/// and the last [`Consumer`] are gone.
///
/// # How many slots
///
/// A source has at most one event that nobody has taken. So with as many slots as sources and events in
/// the hands of consumers, nothing ever has to wait. With fewer, events wait in the kernel for room,
/// in order, and nothing is lost: a ring of 256 slots serves 8,000 connections, at the price of some
/// calls when more than 256 of them are busy at once.
#[derive(Clone, Debug)]
pub struct Ring(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Queue,
    mapping: Arc<Mapping>,
    slots: u32,
    owners: Mutex<Owners>,
}

impl Ring {
    /// A new queue with a ring of so many slots: a power of two, up to 65536.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) when the kernel has no kevent;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad number of slots;
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory), also when the memory cgroup has none; too many
    /// open files.
    pub fn new(slots: u32) -> io::Result<Ring> {
        crate::features()?;
        if slots == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a ring has one slot at least; a queue without one is a kevent::Queue",
            ));
        }
        Ring::map(call::init(slots)?, slots)
    }

    /// The ring of a queue that came from elsewhere: inherited, or over a socket.
    ///
    /// Processes that share a ring agree on the numbers of their consumers, see [`Owner`].
    ///
    /// ```
    /// # if !kevent::is_supported() { return Ok(()); }
    /// use std::os::fd::AsFd;
    /// use kevent::Ring;
    ///
    /// let ring = Ring::new(8)?;
    /// let the_same = Ring::from_fd(ring.as_fd().try_clone_to_owned()?)?;
    /// assert_eq!(the_same.slots(), 8);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when it is no queue, or has no ring. It reads
    /// `/proc/self/fdinfo`.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Ring> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
        let slots = slots_in(&info).filter(|slots| *slots > 0);
        let lacks = || io::Error::new(io::ErrorKind::InvalidInput, "no queue with a ring");
        Ring::map(fd, slots.ok_or_else(lacks)?)
    }

    fn map(fd: OwnedFd, slots: u32) -> io::Result<Ring> {
        let mapping = Arc::new(Mapping::new(fd.as_fd(), slots)?);
        Ok(Ring(Arc::new(Inner {
            queue: fd.into(),
            mapping,
            slots,
            owners: Mutex::default(),
        })))
    }

    /// The number of slots.
    pub fn slots(&self) -> u32 {
        self.0.slots
    }

    /// A consumer, with a number that no other one of this process has. It begins at the oldest event.
    ///
    /// # Errors
    ///
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) when there are 16383 of them.
    pub fn consumer(&self) -> io::Result<Consumer> {
        let owner = self.owners().choose();
        let owner = owner.ok_or(io::ErrorKind::QuotaExceeded)?;
        Ok(Consumer::new(self.clone(), owner))
    }

    /// A consumer with a number that is agreed upon with other processes.
    ///
    /// Before a number that a dead process had is used again, what it left should be
    /// [inherited](Consumer::inherit_from).
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when a consumer of this process has the number.
    pub fn consumer_as(&self, owner: Owner) -> io::Result<Consumer> {
        match self.owners().claim(owner) {
            true => Ok(Consumer::new(self.clone(), owner)),
            false => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.0.mapping
    }

    pub(crate) fn owners(&self) -> MutexGuard<'_, Owners> {
        // Nobody panics with it.
        self.0.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Ring {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.0.queue
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.queue.as_fd()
    }
}

/// What a line `kevent slots:256 head:3 ...` says.
fn slots_in(fdinfo: &str) -> Option<u32> {
    let line = fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("kevent slots:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo_tells_the_slots() {
        let info = "pos:\t0\nflags:\t02000002\nkevent slots:256 head:3 pending:0 registrations:1\n";
        assert_eq!(slots_in(info), Some(256));
        assert_eq!(
            slots_in("kevent slots:0 pending:0 registrations:0\n"),
            Some(0)
        );
        assert_eq!(slots_in("pos:\t0\n"), None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel about a descriptor")]
    fn what_is_no_queue_has_no_ring() {
        let (read, _) = io::pipe().unwrap();
        let error = Ring::from_fd(read.into()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
