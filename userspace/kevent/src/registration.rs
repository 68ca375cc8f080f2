// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::fmt;
use std::io;

use crate::event::Event;
use crate::queue::Queue;
use crate::source::{Fd, File, PollEvents, Sender, Socket, SocketEvents, Source, Timer, User};

/// A source in a queue. Dropping it removes the source.
///
/// # Events after the end
///
/// Removing takes back what nobody has taken yet. So a consumer that handles each event before it
/// takes the next one, and is alone, never sees an event of a registration that it has dropped. There
/// are two ways to meet one all the same:
///
/// * another consumer has taken it before, or the same one holds several at once.
///   [`remove`](Registration::remove) tells that there is such an event;
/// * the registration was [`once`](Timer::once). It ended with its event, which stays.
///
/// [`owns`](Registration::owns) tells them apart where tokens are used again: each registration, and
/// each change of one, has a generation that no other one of the queue ever had.
///
/// ```
/// # if !kevent::is_supported() { return Ok(()); }
/// use kevent::{Ring, User};
///
/// let ring = Ring::new(8)?;
/// let mut consumer = ring.consumer()?;
/// let first = ring.add(1, User::new())?;
/// first.sender().send(1)?;
/// drop(first);
/// let second = ring.add(1, User::new())?;
/// second.sender().send(1)?;
///
/// let event = consumer.events().next().unwrap();
/// assert!(second.owns(&event));
/// drop(event);
/// assert!(consumer.events().next().is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A registration of a descriptor that is *borrowed* should be dropped before the same descriptor is
/// added to the same queue again, also if it was `once`: what is removed is found by its number.
#[must_use = "the source is removed when this is dropped"]
pub struct Registration<S: Source> {
    queue: Queue,
    /// There until the end.
    source: Option<S>,
    kind: u32,
    id: u64,
    token: u64,
    generation: u64,
}

/// What is left of a registration.
#[derive(Debug)]
pub struct Removed<S> {
    /// The source as it was added.
    pub source: S,
    /// Whether a consumer still holds an event of it. What the token stands for must wait for that.
    pub outstanding: bool,
}

impl<S: Source> Registration<S> {
    pub(crate) fn new(queue: Queue, source: S, id: u64, token: u64, generation: u64) -> Self {
        Registration {
            queue,
            kind: source.request().kind,
            source: Some(source),
            id,
            token,
            generation,
        }
    }

    /// The token of its events.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The queue that it is in.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The number of its present form.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether an event is of this registration as it is: not of an earlier one with the same token,
    /// and not of a time before it was changed.
    pub fn owns(&self, event: &Event) -> bool {
        event.generation() == self.generation
    }

    fn source(&self) -> &S {
        self.source.as_ref().expect("it goes at the end")
    }

    /// Arms it again: takes back an event that nobody has taken, starts a timer anew, and tells what is
    /// true. It is what [`dispatch`](Timer::dispatch) waits for.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when it is over, as after an event of
    /// [`once`](Timer::once).
    pub fn rearm(&mut self) -> io::Result<()> {
        let request = self.source().request();
        self.generation = self.queue.modify(self.id, self.token, &request)?;
        Ok(())
    }

    fn change(&mut self, change: impl FnOnce(&mut S)) -> io::Result<()> {
        change(self.source.as_mut().expect("it goes at the end"));
        self.rearm()
    }

    /// Removes the source, and gives it back.
    ///
    /// # Errors
    ///
    /// None are known. That the registration was over is none.
    pub fn remove(mut self) -> io::Result<Removed<S>> {
        let source = self.source.take().expect("it goes at the end");
        let outstanding = match self.queue.remove(self.kind, self.id) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            result => result?,
        };
        Ok(Removed {
            source,
            outstanding,
        })
    }
}

impl<S: File> Registration<S> {
    /// The file or socket.
    pub fn get_ref(&self) -> &S::Object {
        self.source().object()
    }

    /// Removes the source, and gives the file or socket back.
    ///
    /// # Errors
    ///
    /// As of [`remove`](Registration::remove).
    pub fn into_inner(self) -> io::Result<S::Object> {
        Ok(self.remove()?.source.into_object())
    }
}

impl<T> Registration<Socket<T>>
where
    Socket<T>: Source,
{
    /// Asks for other events, and is told what of them is true.
    ///
    /// # Errors
    ///
    /// As of [`rearm`](Registration::rearm).
    pub fn set(&mut self, events: SocketEvents) -> io::Result<()> {
        self.change(|source| source.events = events)
    }
}

impl<T> Registration<Fd<T>>
where
    Fd<T>: Source,
{
    /// Asks for other events, and is told what of them is true.
    ///
    /// # Errors
    ///
    /// As of [`rearm`](Registration::rearm).
    pub fn set(&mut self, events: PollEvents) -> io::Result<()> {
        self.change(|source| source.events = events)
    }
}

impl Registration<Timer> {
    /// Makes it another timer.
    ///
    /// # Errors
    ///
    /// As of [`rearm`](Registration::rearm).
    pub fn set(&mut self, timer: Timer) -> io::Result<()> {
        self.change(|source| *source = timer)
    }
}

impl Registration<User> {
    /// What fires it.
    pub fn sender(&self) -> Sender {
        Sender::new(self.queue.clone(), self.id)
    }
}

impl<S: Source> Drop for Registration<S> {
    fn drop(&mut self) {
        if self.source.is_some() {
            // It may be over; nothing else can be wrong.
            let _ = self.queue.remove(self.kind, self.id);
        }
    }
}

impl<S: Source + fmt::Debug> fmt::Debug for Registration<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("token", &self.token)
            .field("source", &self.source)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
