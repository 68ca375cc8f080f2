// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use crate::call;
use crate::event::Event;
use crate::mapping::Mapping;
use crate::owners::Owner;
use crate::protocol::consumer;
use crate::ring::Ring;
use crate::wait::Wait;

#[cfg(test)]
mod tests;

type Cursor = consumer::Consumer<Arc<Mapping>>;

/// One thread's view of a [`Ring`]: it takes events, and waits for them.
///
/// Several consumers share the events of a ring: each event goes to one of them.
///
/// # Death
///
/// A consumer that panics has events in its hands whose handling is not complete. They stay taken, in
/// its name, when the panic unwinds. So do those that were forgotten ([`std::mem::forget`]), and those
/// of a process that was killed. [`inherit`](Consumer::inherit) and
/// [`inherit_from`](Consumer::inherit_from) hand them to another consumer. What the dead one had done
/// about them cannot be known.
pub struct Consumer {
    cursor: Cursor,
    mapping: Arc<Mapping>,
    ring: Ring,
    owner: Owner,
}

impl Consumer {
    pub(crate) fn new(ring: Ring, owner: Owner) -> Consumer {
        let mapping = ring.mapping().clone();
        Consumer {
            cursor: Cursor::new(mapping.clone(), owner.get().into()),
            mapping,
            ring,
            owner,
        }
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The number of this consumer.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The events that are there, oldest first, and those that come while it is iterated over. It makes
    /// no system call: when there is none it ends, and [`wait`](Consumer::wait) is to be called.
    ///
    /// Each is freed when it is dropped. Several may be held, but not across a wait. Who leaves the loop
    /// for a reason of its own should look at that reason between the events and the next wait.
    ///
    /// ```
    /// # if !kevent::is_supported() { return Ok(()); }
    /// # use std::time::Duration;
    /// # use kevent::{Ring, Timer, Wait};
    /// # let ring = Ring::new(8)?;
    /// # let mut consumer = ring.consumer()?;
    /// # let _timer = ring.add(1, Timer::after(Duration::from_millis(1)))?;
    /// let mut left = 1;
    /// while left > 0 {
    ///     consumer.wait(Wait::FOREVER)?; // returns at once if there is an event already
    ///     for event in consumer.events() {
    ///         println!("{:?}", *event);
    ///         left -= 1;
    ///     }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn events(&mut self) -> Events<'_> {
        Events {
            cursor: &mut self.cursor,
            mapping: &self.mapping,
        }
    }

    /// Waits for an event that this consumer has not looked at, and returns how many there may be: some
    /// may go to others. 0 after a timeout, a signal, or [`Queue::wake`](crate::Queue::wake).
    ///
    /// It also looks at what is true still (see [`Socket::edge`](crate::Socket::edge)), and moves what
    /// waits in the kernel for room into the ring. If no slot is free, it returns 0 at once and
    /// [`is_crowded`](Consumer::is_crowded) is true: other consumers hold everything.
    ///
    /// # Errors
    ///
    /// None are known.
    pub fn wait(&mut self, wait: impl Into<Wait>) -> io::Result<usize> {
        let wait = wait.into();
        let num = wait
            .larger
            .map_or(self.ring.slots(), |(events, _)| events.max(1));
        match call::wait(self.ring.as_fd(), num, self.cursor.next() as u32, &wait) {
            Ok(ahead) => Ok(ahead as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Whether events wait in the kernel for room. The next [`wait`](Consumer::wait) brings them, if
    /// there is a slot.
    pub fn is_crowded(&self) -> bool {
        self.cursor.pending()
    }

    /// The events that consumers of this process left who are gone: that panicked, or were dropped
    /// after they had forgotten an event.
    ///
    /// ```
    /// # if !kevent::is_supported() { return Ok(()); }
    /// # use kevent::{Ring, User};
    /// # let ring = Ring::new(8)?;
    /// let job = ring.add(1, User::new())?;
    /// job.sender().send(1)?;
    ///
    /// let mut clumsy = ring.consumer()?;
    /// let worker = std::thread::spawn(move || {
    ///     for event in clumsy.events() {
    ///         panic!("I cannot do {}", event.token());
    ///     }
    /// });
    /// assert!(worker.join().is_err());
    ///
    /// let mut heir = ring.consumer()?;
    /// assert_eq!(heir.events().count(), 0);
    /// assert_eq!(heir.inherit().next().unwrap().token(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn inherit(&mut self) -> Inherited<'_> {
        self.heir(None)
    }

    /// The events that a consumer of another process left, which is known to be gone. Nobody else may
    /// have its number.
    pub fn inherit_from(&mut self, owner: Owner) -> Inherited<'_> {
        self.heir(Some(owner))
    }

    fn heir(&mut self, of: Option<Owner>) -> Inherited<'_> {
        Inherited {
            cursor: &mut self.cursor,
            mapping: &self.mapping,
            ring: &self.ring,
            of,
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // Every event that was taken from it is dropped, or stays for its heir.
        let held = self.cursor.holds();
        self.ring.owners().leave(self.owner, held);
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("owner", &self.owner)
            .field("next", &self.cursor.next())
            .field("ring", &self.ring)
            .finish()
    }
}

/// See [`Consumer::events`].
pub struct Events<'a> {
    cursor: &'a mut Cursor,
    mapping: &'a Mapping,
}

impl<'a> Iterator for Events<'a> {
    type Item = Taken<'a>;

    #[inline]
    fn next(&mut self) -> Option<Taken<'a>> {
        let taken = self.cursor.take()?;
        Some(Taken::new(self.mapping, taken))
    }
}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// See [`Consumer::inherit`].
pub struct Inherited<'a> {
    cursor: &'a mut Cursor,
    mapping: &'a Mapping,
    ring: &'a Ring,
    /// Without one, all the dead of this process.
    of: Option<Owner>,
}

impl<'a> Iterator for Inherited<'a> {
    type Item = Taken<'a>;

    fn next(&mut self) -> Option<Taken<'a>> {
        loop {
            let dead = match self.of {
                Some(owner) => owner,
                None => self.ring.owners().dead()?,
            };
            if let Some(taken) = self.cursor.adopt(dead.get().into()) {
                return Some(Taken::new(self.mapping, taken));
            }
            self.ring.owners().bury(dead);
            if self.of.is_some() {
                return None;
            }
        }
    }
}

impl fmt::Debug for Inherited<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heir = f.debug_struct("Inherited");
        heir.field("of", &self.of).finish_non_exhaustive()
    }
}

/// An event in the hands of a consumer. Dropping it frees its slot; while a thread panics, it stays
/// taken, for another to [inherit](Consumer::inherit).
///
/// It derefs to the [`Event`] in the ring. To keep the event and free the slot, clone it:
/// `Event::clone(&taken)`.
#[must_use = "the event counts as handled when this is dropped"]
pub struct Taken<'a> {
    mapping: &'a Mapping,
    /// There until the end.
    taken: Option<consumer::Taken>,
    event: &'a Event,
}

impl<'a> Taken<'a> {
    #[inline]
    fn new(mapping: &'a Mapping, taken: consumer::Taken) -> Taken<'a> {
        Taken {
            mapping,
            event: mapping.event(taken.position()),
            taken: Some(taken),
        }
    }
}

impl Deref for Taken<'_> {
    type Target = Event;

    #[inline]
    fn deref(&self) -> &Event {
        self.event
    }
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take().filter(|_| !thread::panicking()) {
            taken.finish(self.mapping);
        }
    }
}

impl fmt::Debug for Taken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taken").field(self.event).finish()
    }
}
