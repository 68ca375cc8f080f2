// SPDX-License-Identifier: GPL-2.0

//! kevent: one queue for events of every kind.
//!
//! C header: [`include/linux/kevent.h`](srctree/include/linux/kevent.h). The interface is described in
//! `Documentation/userspace-api/kevent.rst`.
//!
//! # Overview
//!
//! A queue is an anonymous file. `kevent_ctl()` puts registrations into it, each naming a source and
//! a mask. When the source fires, the registration's event goes into the ring, which the program has
//! mapped, or, with no ring or no room in it, onto the pending list. Consumers take events from the
//! ring by themselves, or let `kevent_get_events()` copy them.
//!
//! ```text
//!   source --> Queue::report() --> State::fire() --> Ring::append() --> consumer in user space
//!                                       |                                     |
//!                                       +--> pending list --> flush ----------+
//!                                                 |
//!                                                 +--> kevent_get_events()
//! ```
//!
//! The kernel only notifies. No operation is run from a queue, and none ever will be.
//!
//! # Rooms
//!
//! | files                                                      | what is in them                   |
//! |------------------------------------------------------------|-----------------------------------|
//! | `word`, `event`, `ring`, `registration`, `state`           | the slot protocol and what a queue does with what fires; nothing of the kernel but atomics, no `unsafe`, compiled on the host as well |
//! | `memory`, `array`, `record`                                | memory that is mapped, allocated, copied |
//! | `queue`, `nesting`, `limit`, `deadline`, `trace`           | a queue, who sleeps on it, what it may watch, what it costs |
//! | `source` and below                                         | one file for each source          |
//! | `ctl`, `get`, `wait`, `commit`, `file`, `syscall`          | one file for each call            |
//!
//! # Who owns what
//!
//! * The file owns the queue by an [`Arc`](crate::sync::Arc); mappings own the file.
//! * The queue owns its registrations: the place in the state's table, and an `Item` in the tree with
//!   what ties it to its source.
//! * A tie holds what it watches only as far as it needs memory to stay: a tie to a queue holds the
//!   `Queue`, not its file. So nothing that is watched is kept open, and no cycle of files arises.
//! * `Queue::release()` ends all ties while the file still holds the queue.
//!
//! # Locks
//!
//! From outer to inner:
//!
//! ```text
//!   Queue::control          (mutex; serializes kevent_ctl())
//!     > QUEUE_GRAPH         (mutex; global; only where queues watch queues)
//!     > pollers of another queue  (wait queue lock; add and remove of a tie; held in its wake-ups)
//!         > Queue::inner    (spinlock, interrupts off; all that wake-ups change)
//!             > Queue::sleepers (wait queue lock)
//!   Queue::pollers          (wait queue lock; after inner is dropped; watchers' locks are below it)
//! ```
//!
//! * `inner` is taken in hard interrupts. It protects `State`; under it nothing allocates, sleeps or
//!   touches user memory in a way that could fault.
//! * `control` may be held while memory is allocated, never while user memory is touched.
//! * The wake-up of a watched queue holds its `pollers` and takes the `inner` of the watching one.
//!   That one's pollers are told by a work item, so that no two locks of one class nest.
//!
//! # Fields
//!
//! | field                              | protected by                                   |
//! |------------------------------------|------------------------------------------------|
//! | `Queue::inner`, with all of `State`| itself                                         |
//! | `Control`                          | `control`                                      |
//! | `Item::handle`                     | immutable; names a place of the table until `Control::end()` |
//! | words and data of the ring         | atomic; see `ring`                             |
//! | the rest of an entry               | written by the kernel while the slot is finished |
//! | header of the ring                 | written under `inner`, never read              |
//!
//! # Races, and who wins
//!
//! * *Take and take*: one compare-exchange on the slot's word succeeds. `kevent_get_events()` takes by
//!   the same, after it has copied the event.
//! * *Take and fire again*: a merge into the word either comes before the take, whose acquire then
//!   shows what made the source fire, or fails, and the event is appended.
//! * *Take and REMOVE*: REMOVE retracts by compare-exchange. If it fails, the answer says OUTSTANDING.
//! * *Fire and REMOVE*: the tie is dropped before the handle is given up, under the lock that its
//!   wake-ups hold. READY finds handles under `control`.
//! * *Fire and sleep*: both under `inner`: the sleeper sees the event, or the event sees the sleeper.
//! * *Free and pending*: see `state`. No call that sleeps does so while something is pending.
//! * *Poll and fire*: a poller registers, then looks under `inner`; who fires looks for pollers under it.
//! * *Close of a watched queue and its watcher*: the wake-up with `POLLHUP` ends the registration in
//!   the state; the next `kevent_ctl()`, or the close, frees it.
//! * *Woken and killed*: who leaves with a signal pending, or without having seen an event, passes its
//!   wake-up on.

pub mod array;
mod commit;
mod ctl;
mod deadline;
pub mod event;
mod file;
mod get;
mod limit;
pub mod memory;
mod nesting;
mod queue;
mod record;
pub mod registration;
pub mod ring;
mod source;
pub mod state;
mod syscall;
mod trace;
mod wait;
pub mod word;
