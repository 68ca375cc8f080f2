// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::os::fd::AsFd;

use kevent_sys::KEVENT_POLL;

use super::sealed::{Request, Sealed};
use super::{file_modes, modes, number, File, Source};

bitflags::bitflags! {
    /// What `poll()` can say of a file.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PollEvents: u32 {
        /// There is something to read.
        const IN = libc::POLLIN as u32;
        /// There is something exceptional.
        const PRI = libc::POLLPRI as u32;
        /// There is room to write.
        const OUT = libc::POLLOUT as u32;
        /// An error. Told without being asked for.
        const ERR = libc::POLLERR as u32;
        /// The other end has gone. Told without being asked for.
        const HUP = libc::POLLHUP as u32;
        /// Ordinary data can be read.
        const RDNORM = libc::POLLRDNORM as u32;
        /// Priority data can be read.
        const RDBAND = libc::POLLRDBAND as u32;
        /// Ordinary data can be written.
        const WRNORM = libc::POLLWRNORM as u32;
        /// Priority data can be written.
        const WRBAND = libc::POLLWRBAND as u32;
        /// The peer sends nothing more.
        const RDHUP = libc::POLLRDHUP as u32;
    }
}

/// Any file for which `poll()` works: a pipe, a terminal, an eventfd, a pidfd, inotify, another queue ...
/// [`Socket`](crate::Socket) tells more of a socket.
///
/// An event is a reason to look, and not a promise. With
/// [`Remarks::RECHECK`](crate::Remarks::RECHECK), it does not say which bits are true: so a pipe
/// tells of the end of its last writer. The end of file is what `read()` says, and
/// [`PollEvents::HUP`] may come later or, after an edge, not at all.
///
/// Not regular files, directories and memfds, which are always ready
/// ([`PermissionDenied`](std::io::ErrorKind::PermissionDenied)), and neither epoll nor io_uring
/// ([`InvalidInput`](std::io::ErrorKind::InvalidInput)).
///
/// ```
/// # if !kevent::is_supported() { return Ok(()); }
/// use std::io::Write;
/// use kevent::{Fd, PollEvents, Ring, Wait};
///
/// let (reader, mut writer) = std::io::pipe()?;
/// let ring = Ring::new(8)?;
/// let mut consumer = ring.consumer()?;
/// let _reader = ring.add(1, Fd::new(&reader, PollEvents::IN))?;
///
/// writer.write_all(b"hello")?;
/// let event = consumer.events().next().expect("the kernel has put it there");
/// assert_eq!(event.token(), 1);
/// assert!(event.poll().contains(PollEvents::IN));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fd<T> {
    file: T,
    pub(crate) events: PollEvents,
    pub(super) flags: u32,
}

impl<T: AsFd> Fd<T> {
    /// A file, of which `events` are told.
    pub fn new(file: T, events: PollEvents) -> Fd<T> {
        Fd {
            file,
            events,
            flags: 0,
        }
    }
}

modes!(Fd<T>, T);
file_modes!(Fd<T>);

impl<T: AsFd> Source for Fd<T> {}

impl<T: AsFd> File for Fd<T> {
    type Object = T;

    fn object(&self) -> &T {
        &self.file
    }

    fn into_object(self) -> T {
        self.file
    }
}

impl<T: AsFd> Sealed for Fd<T> {
    fn request(&self) -> Request {
        Request {
            kind: KEVENT_POLL,
            id: Some(number(&self.file)),
            mask: self.events.bits(),
            flags: self.flags,
            param: [0; 2],
        }
    }
}
