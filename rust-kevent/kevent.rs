// SPDX-License-Identifier: GPL-2.0

//! kevent: one queue for events of every kind.
//!
//! C header: [`include/linux/kevent.h`](srctree/include/linux/kevent.h). The interface is described
//! in `Documentation/userspace-api/kevent.rst`.
//!
//! # Overview
//!
//! A queue is an anonymous file. `kevent_ctl()` puts registrations into it, each naming a source
//! and a mask. When the source fires, the registration's event goes into the ring, which the
//! program has mapped, or, with no ring or no room in it, onto the pending list. Consumers take
//! events from the ring by themselves, or let `kevent_get_events()` copy them.
//!
//! ```text
//!   source --> Queue::report() --> State::fire() --> Ring::append() --> consumer in user space
//!     ^                                 |                  |                  |
//!     |                                 +--> pending list -+-- flush ---------+
//!     |                                           |
//!     +-- look() <-- list of those to look at     +--> kevent_get_events()
//!                    again <-- published
//! ```
//!
//! The kernel only notifies. No operation is run from a queue, and none ever will be.
//!
//! # Rooms
//!
//! * `word`, `event`, `keys`, `ring`, `registration`, `state`: the slot protocol, and what a queue
//!   does with what fires. Nothing of the kernel but atomics, no `unsafe`, compiled on the host as
//!   well.
//! * `memory`, `array`, `record`: memory that is mapped, allocated, copied.
//! * `queue`, `limit`, `deadline`, `trace`: a queue, who sleeps on it, what it costs.
//! * `source` and below: one file for each source.
//! * `ctl`, `get`, `wait`, `commit`, `file`, `syscall`: one file for each call.
//! * `resume`: what a thread does before it sleeps.
//!
//! # Who owns what
//!
//! ```text
//!   mappings --> file of the queue <-- descriptors      file that is watched <-- descriptors
//!                     |                                      |
//!                     | Arc                                  | its list of watches, until the
//!                     v                                      v last close: Arc
//!                   Queue --- State: a registration ------> Tie
//!                     ^               Arc, until REMOVE      |
//!                     +--------------------------------------+ Arc, until it is dropped
//! ```
//!
//! * The file owns the queue by an [`Arc`](crate::sync::Arc); mappings own the file.
//! * The queue owns its registrations: a place in the state's table, which has the keys as well,
//!   with the `Tie` to what is watched. A place whose registration was removed keeps the tie, which
//!   has ended: the next registration there uses it again, if nobody else has it.
//! * A tie owns the queue by an `Arc`, as it is called from wake-ups and by who looks again. This
//!   circle is opened by `Queue::release()`, which ends all ties and empties the table. So none of
//!   the queue's timers is left when it is dropped.
//! * A tie knows where its registration is. No registration moves, and a place is used again only
//!   after the tie has ended.
//! * Nothing owns what is watched. The last close of a file ends its tie; see `source::file`.
//!
//! # Locks
//!
//! From outer to inner:
//!
//! ```text
//!   Queue::control                    (mutex; serializes kevent_ctl() and the closing of files)
//!     > QUEUE_GRAPH, FILE_GROUPS      (mutexes; global; queues that watch queues, or take turns)
//!     > file->f_lock                  (the list of those who are told of the last close)
//!     > a source's own lock           (wait queue lock of a file, timers of a queue)
//!         > Group::turns              (spinlock, interrupts off; only EXCLUSIVE)
//!             > Queue::inner          (spinlock, interrupts off; all that wake-ups change)
//!                 > Queue::sleepers, batchers (wait queue locks)
//!             > Queue::pollers        (wait queue lock; after inner is dropped; the locks of
//!                                      watchers are below it)
//! ```
//!
//! * `inner` is taken in hard interrupts. It protects `State`; under it nothing allocates, sleeps
//!   or touches user memory in a way that could fault.
//! * `Queue::lock()` is for process context that holds mutexes at most: it turns interrupts on
//!   again when it is dropped. `Queue::lock_anywhere()`, which restores them, is for all else:
//!   wake-ups, expiries, and process context with a spinlock held. `lock_with()` is for who knows
//!   that they are off.
//! * `control` may be held while memory is allocated and files are polled, never while user memory
//!   is touched.
//! * No lock is held while a tie is asked, except `control` by `kevent_ctl()`. So a queue in a
//!   queue takes no two locks of one class. For its datum it is asked under `inner`, and takes no
//!   lock.
//! * The wake-up of a queue that is watched holds its `pollers` and takes the `inner` of the
//!   watching one. That one's pollers are told by a work item, for the same reason.
//!
//! # Fields
//!
//! | field                                | protected by                                     |
//! |--------------------------------------|--------------------------------------------------|
//! | `Queue::inner`, with all of `State`  | itself                                           |
//! | `Control`                            | `control`                                        |
//! | `source::file::Rare`                 | `control`; its own lock only lends it out        |
//! | what an entry of a wait queue has    | nothing: it changes while it is on none          |
//! | `repeat`, which is part of that      | the lock of the wait queue                       |
//! | `Clockwork`                          | the lock of the queue's timers                   |
//! | words and data of the ring           | atomic; see `ring`                               |
//! | the rest of an entry of the ring     | written by the kernel while the slot is finished |
//! | header of the ring                   | written under `inner`, never read                |
//!
//! # Races, and who wins
//!
//! * *Take and take*: one compare-exchange on the slot's word succeeds. `kevent_get_events()` takes
//!   by the same, after it has copied the event.
//! * *Take and fire again*: a merge into the word either comes before the take, whose acquire then
//!   shows what made the source fire, or fails, and the event is appended.
//! * *Fire again and everything else*: a wake-up that says nothing new touches the word without the
//!   queue's lock, by a compare-exchange. That fails when the entry was taken, retracted, committed
//!   or is another's; see `ring::Repeat`. Then it goes the long way.
//! * *Measure and close*: a registration leaves the table, under `inner`, before its tie ends, and
//!   that before the file is released. So what is in the table can be asked for its datum under
//!   `inner`.
//! * *Take and REMOVE*: REMOVE retracts by compare-exchange. If it fails, the answer says
//!   OUTSTANDING.
//! * *Fire and REMOVE*: what fires after the registration left the table concerns nobody. The tie
//!   then ends: its entries leave the wait queues under the lock that wake-ups hold, and its timer
//!   leaves the tree under the lock that expiries hold. Only then does `control` go free, without
//!   which no registration gets the handle, or the tie.
//! * *Look and REMOVE, MODIFY*: who looks has an `Arc` of the tie, and takes no lock. What it found
//!   is void if the generation of the registration is no longer that which it was asked for. A
//!   timer reports what it found by itself, under its lock, as it has counted that.
//! * *Look and fire*: who is looked at is off its list, and fires by itself. What both find merges,
//!   or is reported twice, as levels may be.
//! * *Fire and sleep*: both under `inner`: the sleeper sees the event, or the event sees the
//!   sleeper.
//! * *Free and pending*: see `state`. No call that sleeps does so while something is pending.
//! * *Poll and fire*: a poller registers, then says so and looks for events under `inner`. Who
//!   fires under it later looks for pollers, and takes the word back if there are none: who
//!   registers now says it again.
//! * *Close of a file and of the queue, or REMOVE*: both under `control`; who comes second finds a
//!   tie that has ended. See `source::file`.
//! * *Look and close*: who looks holds the file, and so may be the last to let go of it. What that
//!   puts off, it does before it sleeps. See `resume`.
//! * *Woken and killed*: who leaves with a signal pending, or without having seen an event, passes
//!   its wake-up on; see `queue`.

pub mod array;
mod commit;
mod ctl;
mod deadline;
pub mod event;
mod file;
mod get;
pub mod keys;
mod limit;
pub mod memory;
#[cfg_attr(
    not(all(CONFIG_KEVENT_FILE, CONFIG_KEVENT_TIMER)),
    allow(dead_code, reason = "each source uses a part of it")
)]
mod queue;
mod record;
pub mod registration;
mod resume;
pub mod ring;
#[cfg_attr(
    not(all(CONFIG_KEVENT_FILE, CONFIG_KEVENT_TIMER)),
    allow(dead_code, reason = "each source uses a part of it")
)]
mod source;
pub mod state;
mod syscall;
mod trace;
mod wait;
pub mod word;
