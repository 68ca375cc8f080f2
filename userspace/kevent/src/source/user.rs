// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::io;

use kevent_sys::KEVENT_USER;

use super::sealed::{Request, Sealed};
use super::{modes, Source};
use crate::Queue;

/// Events that a program fires itself, from any thread or process that has the queue.
///
/// What nobody has taken yet merges: masks are ORed, and counts added up.
///
/// ```
/// # if !kevent::is_supported() { return Ok(()); }
/// use kevent::{Ring, User};
///
/// let ring = Ring::new(8)?;
/// let mut consumer = ring.consumer()?;
/// let bell = ring.add(1, User::new())?;
/// let sender = bell.sender();
///
/// std::thread::scope(|s| s.spawn(move || sender.send(3)).join().unwrap())?;
/// bell.sender().send(4)?;
///
/// let event = consumer.events().next().unwrap();
/// assert_eq!((event.token(), event.data()), (1, 7));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    mask: u32,
    pub(super) flags: u32,
}

impl User {
    /// Events of one sort.
    pub fn new() -> User {
        User::with_bits(1)
    }

    /// Events of as many sorts as `mask` has bits, which must be one at least. What is sent without
    /// being asked for here is cut off.
    pub fn with_bits(mask: u32) -> User {
        User { mask, flags: 0 }
    }
}

impl Default for User {
    fn default() -> User {
        User::new()
    }
}

modes!(User);

impl Source for User {}

impl Sealed for User {
    fn request(&self) -> Request {
        Request {
            kind: KEVENT_USER,
            id: None,
            mask: self.mask,
            flags: self.flags,
            param: [0; 2],
        }
    }
}

/// Fires a [`User`] registration. It can be cloned, and given to other threads.
#[derive(Clone, Debug)]
pub struct Sender {
    queue: Queue,
    id: u64,
}

impl Sender {
    pub(crate) fn new(queue: Queue, id: u64) -> Sender {
        Sender { queue, id }
    }

    /// Fires every bit, and adds to the count.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when the registration is over, and
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a count of 2^63 or more.
    pub fn send(&self, count: u64) -> io::Result<()> {
        self.send_bits(0, count)
    }

    /// Fires the bits of `mask`, and adds to the count. All bits if the mask is 0.
    ///
    /// # Errors
    ///
    /// As of [`send`](Sender::send).
    pub fn send_bits(&self, mask: u32, count: u64) -> io::Result<()> {
        self.queue.fire(self.id, mask, count)
    }
}
