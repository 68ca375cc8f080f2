// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One queue for events of every kind: sockets, other files, timers, and events of the program's own.
//!
//! kevent is an interface of Linux. A program says what it is interested in; when something fires, the
//! kernel writes an event into a ring in memory that the two share, from the wake-up itself. A busy
//! program takes its events and frees their slots with plain memory accesses, without a system call.
//! Nothing is lost, and each event goes to one consumer.
//!
//! ```
//! # if !kevent::is_supported() { return Ok(()); }
//! use std::io::ErrorKind;
//! use std::net::{TcpListener, TcpStream};
//! use std::time::Duration;
//! use kevent::{Ring, Socket, SocketEvents, Timer, Wait};
//!
//! const LISTENER: u64 = 0;
//! const TICK: u64 = 1;
//!
//! let ring = Ring::new(256)?;
//! let mut consumer = ring.consumer()?;
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! listener.set_nonblocking(true)?;
//! let listener = ring.add(LISTENER, Socket::new(listener, SocketEvents::ACCEPT))?;
//! let _tick = ring.add(TICK, Timer::every(Duration::from_millis(10)))?;
//!
//! let _client = TcpStream::connect(listener.get_ref().local_addr()?)?;
//! let (mut accepted, mut ticks) = (0, 0);
//! while accepted == 0 || ticks < 3 {
//!     consumer.wait(Wait::FOREVER)?; // returns at once if there is an event already
//!     for event in consumer.events() { // no system call as long as there are events
//!         match event.token() {
//!             LISTENER => match listener.get_ref().accept() {
//!                 Err(error) if error.kind() == ErrorKind::WouldBlock => (), // accepted already
//!                 connection => {
//!                     connection?;
//!                     accepted += 1;
//!                 }
//!             },
//!             TICK => ticks += event.data(), // how often it expired
//!             _ => unreachable!(),
//!         }
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What there is
//!
//! * A [`Queue`] has registrations and events. A [`Ring`] is a queue with shared memory.
//! * A source is a [`Socket`], an [`Fd`], a [`Timer`], or [`User`]. [`Queue::add`] makes a
//!   [`Registration`] of it, which removes it when it is dropped.
//! * A [`Consumer`] is one thread's view of a ring. [`Consumer::events`] iterates over what is there,
//!   [`Consumer::wait`] sleeps. [`Queue::get`] does both, for a queue without a ring or beside it.
//! * An [`Event`] says what fired, with the token that its registration was given.
//!
//! # Who owns what
//!
//! A registration owns its source, be that a `TcpStream` or a `&TcpStream`, so a descriptor is not
//! closed, and its number not used for something else, while the queue knows it
//! ([I/O safety](std::os::fd#io-safety)). [`Registration::get_ref`] lends it for reading and writing, and
//! [`Registration::into_inner`] gives it back.
//!
//! An event is an untaken entry of the ring; then [`Taken`], in the hands of one consumer; then its slot
//! is free. An event borrows its consumer, so nobody can sleep with an event in hand that keeps others
//! waiting for its slot.
//!
//! A registration that is dropped takes back what nobody has taken. Who handles one event after the
//! other never meets an event of the past; for everybody else see [`Registration`].
//!
//! # Modes
//!
//! | mode | how | is told |
//! |---|---|---|
//! | level | nothing | again in each call that waits, as long as it is true |
//! | edge | [`edge`](Socket::edge) | once for each change; what is true at first is one |
//! | once | [`once`](Socket::once) | once, and the registration is over |
//! | dispatch | [`dispatch`](Socket::dispatch) | once, until [`Registration::rearm`] |
//!
//! A level is told again by a call, not by the kernel on its own, once its event was dropped. So handle
//! an event completely (read until there is nothing), or go back to [`Consumer::wait`].
//!
//! An event says what was true when it was written: what it tells of may have been read, or accepted,
//! on an earlier event since. So let no descriptor block, and expect
//! [`WouldBlock`](std::io::ErrorKind::WouldBlock).
//!
//! What fires again before it is taken merges into the event that is there: bits are ORed, counts added.
//!
//! # Threads
//!
//! A ring and a queue can be used by all threads at once, and cloned. Each thread that takes events has a
//! [`Consumer`] of its own; all of them share the events. An event wakes one thread that waits.
//!
//! ```
//! # if !kevent::is_supported() { return Ok(()); }
//! use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
//! use std::thread;
//! use std::time::Duration;
//! use kevent::{Ring, User};
//!
//! let ring = Ring::new(64)?;
//! let jobs = ring.add_all((0..64).map(|job| (job, User::new().once())))?;
//! let done = AtomicUsize::new(0);
//! thread::scope(|scope| {
//!     let worker = || {
//!         let mut consumer = ring.consumer()?;
//!         while done.load(Relaxed) < 64 {
//!             consumer.wait(Duration::from_millis(100))?; // the other one may do the last
//!             done.fetch_add(consumer.events().count(), Relaxed);
//!         }
//!         Ok::<_, std::io::Error>(())
//!     };
//!     let mut workers = [scope.spawn(worker), scope.spawn(worker)].into_iter();
//!     for job in &jobs {
//!         job.sender().send(1)?;
//!     }
//!     workers.try_for_each(|worker| worker.join().unwrap())
//! })?;
//! assert_eq!(done.into_inner(), 64);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Without [`dispatch`](Socket::dispatch), a source that fires again while one thread has its event
//! gives another event, which another thread may take. With it, a source is in the hands of one
//! thread until that calls [`Registration::rearm`]. This takes `&mut self`, so threads that share a
//! registration put it behind a lock; [`Registration::owns`], asked under that lock, tells an event
//! that was taken before the registration was changed. The example `chat` does both.
//!
//! To stop all threads, an event of [`User`] is passed on: who takes it sends it again, and ends.
//!
//! ```
//! # if !kevent::is_supported() { return Ok(()); }
//! use std::thread;
//! use kevent::{Ring, User, Wait};
//!
//! const STOP: u64 = 0;
//!
//! let ring = Ring::new(64)?;
//! let stop = ring.add(STOP, User::new())?;
//! thread::scope(|scope| {
//!     let workers = [(); 3].map(|()| {
//!         scope.spawn(|| {
//!             let mut consumer = ring.consumer()?;
//!             loop {
//!                 consumer.wait(Wait::FOREVER)?;
//!                 for event in consumer.events() {
//!                     if event.token() == STOP {
//!                         return stop.sender().send(1);
//!                     }
//!                 }
//!             }
//!         })
//!     });
//!     stop.sender().send(1)?;
//!     workers.into_iter().try_for_each(|worker| worker.join().unwrap())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A thread that panics, or a process that is killed, leaves what it had taken to
//! [`Consumer::inherit`] and [`Consumer::inherit_from`].
//!
//! # Blocking
//!
//! [`Consumer::wait`] and [`Queue::get`] sleep, as long as a [`Wait`] says; nothing else does. A signal
//! ends a wait without an error; [`Wait::with_blocked`] says which can. [`Queue::wake`] ends one from another thread. The
//! descriptor of a queue ([`AsFd`](std::os::fd::AsFd)) is readable while it has events, so it can be
//! watched by epoll or by the reactor of an async runtime.
//!
//! Wait first, then take, and look at what ends the loop after that: a loop that takes its last event and
//! then waits once more, waits for ever. Events that are there make a wait return at once.
//!
//! # Errors
//!
//! All are [`std::io::Error`]s. A kernel without kevent gives
//! [`Unsupported`](std::io::ErrorKind::Unsupported), with a message that says so; [`features`] asks
//! beforehand.
//!
//! ```
//! match kevent::Ring::new(256) {
//!     Ok(ring) => println!("a ring of {} slots", ring.slots()),
//!     Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
//!         println!("falling back to epoll: {error}");
//!     }
//!     Err(error) => return Err(error),
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Unsafe code
//!
//! Users need none. In here it is in three places: the calls, the mapping, and the layout of an event. A
//! ring is memory that other processes may have, too; it is read and written as atomics only, so what
//! they do to it cannot break the rules of Rust. The protocol of the ring (`protocol/word.rs`,
//! `protocol/consumer.rs`) is shared with the kernel and with a model in which loom walks through every
//! interleaving of both sides.

#![cfg(target_os = "linux")]

mod call;
mod consumer;
mod event;
mod mapping;
mod owners;
mod protocol;
mod queue;
mod registration;
mod ring;
mod signals;
mod source;
mod support;
mod sync;
mod wait;

pub use consumer::{Consumer, Events, Inherited, Taken};
pub use event::{Event, Kind, Remarks};
pub use owners::Owner;
pub use queue::Queue;
pub use registration::{Registration, Removed};
pub use ring::Ring;
pub use signals::Signals;
pub use source::{Clock, Fd, File, PollEvents, Sender, Socket, SocketEvents, Source, Timer, User};
pub use support::{features, is_supported, Features};
pub use wait::Wait;

/// As the kernel takes it: 63 bits.
fn nanoseconds(time: std::time::Duration) -> u64 {
    const MOST: u64 = i64::MAX as u64;
    u64::try_from(time.as_nanos()).map_or(MOST, |nanoseconds| nanoseconds.min(MOST))
}
