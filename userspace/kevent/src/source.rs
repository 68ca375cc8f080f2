// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a queue can be told of.

mod fd;
mod socket;
mod timer;
mod user;

use std::os::fd::{AsFd, AsRawFd};

pub use fd::{Fd, PollEvents};
pub use socket::{Socket, SocketEvents};
pub use timer::{Clock, Timer};
pub use user::{Sender, User};

/// What can be added to a [`Queue`](crate::Queue): a [`Timer`], a [`Socket`], any other file by
/// [`Fd`], or events of the program's own by [`User`]. Nobody else can implement it.
pub trait Source: sealed::Sealed {}

/// A source that is an open file.
pub trait File: Source {
    /// What was opened.
    type Object;

    /// What was opened, by reference.
    fn object(&self) -> &Self::Object;

    /// What was opened.
    fn into_object(self) -> Self::Object;
}

pub(crate) mod sealed {
    pub trait Sealed {
        /// What the kernel is told.
        fn request(&self) -> Request;
    }

    /// A request, but for who makes it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Request {
        pub kind: u32,
        /// Without one, the queue chooses a number that nobody else has.
        pub id: Option<u64>,
        pub mask: u32,
        pub flags: u32,
        pub param: [u64; 2],
    }
}

/// The number of a descriptor, as a key.
fn number(fd: &impl AsFd) -> u64 {
    // A descriptor is never negative.
    fd.as_fd().as_raw_fd() as u64
}

/// The ways in which every source can be told of.
macro_rules! modes {
    ($source:ty $(, $generic:ident)?) => {
        impl $(<$generic>)? $source {
            /// One event, and the registration is over: removing it finds nothing.
            pub fn once(mut self) -> Self {
                self.flags |= kevent_sys::KEVENT_REQ_ONESHOT;
                self.flags &= !kevent_sys::KEVENT_REQ_DISPATCH;
                self
            }

            /// One event, then silence until
            /// [`Registration::rearm`](crate::Registration::rearm). With several consumers: the one
            /// who has the event has the source.
            pub fn dispatch(mut self) -> Self {
                self.flags |= kevent_sys::KEVENT_REQ_DISPATCH;
                self.flags &= !kevent_sys::KEVENT_REQ_ONESHOT;
                self
            }

            /// Its events wake everybody who waits for the queue, and not just one. One of them gets
            /// the event all the same. What the others should find, a flag for example, has to be
            /// set before the event is fired, and not by who gets it.
            pub fn wake_all(mut self) -> Self {
                self.flags |= kevent_sys::KEVENT_REQ_WAKEUP_ALL;
                self
            }
        }
    };
}

/// The ways in which files can be told of besides.
macro_rules! file_modes {
    ($source:ty) => {
        impl<T> $source {
            /// Once for each change, and what is true already counts as one. Without this, what is
            /// true is told again in each call that waits, as long as it is true.
            pub fn edge(mut self) -> Self {
                self.flags |= kevent_sys::KEVENT_REQ_ET;
                self
            }

            /// [`Queue::get`](crate::Queue::get) asks the file once more when it takes an event, and
            /// drops it if nothing of it is true any more. The ring has no such check. Not together
            /// with [`once`](Self::once).
            pub fn checked(mut self) -> Self {
                self.flags |= kevent_sys::KEVENT_REQ_LAST_CHECK;
                self
            }

            /// Of several queues that watch the file so, one is told of a wake-up: they take turns.
            /// Not together with [`once`](Self::once).
            pub fn exclusive(mut self) -> Self {
                self.flags |= kevent_sys::KEVENT_REQ_EXCLUSIVE;
                self
            }
        }
    };
}

pub(crate) use {file_modes, modes};
