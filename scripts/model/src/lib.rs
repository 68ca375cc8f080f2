// SPDX-License-Identifier: GPL-2.0

//! Host tests of the ring protocol and of the state machine of a registration.
//!
//! The module [`kevent`] is the kernel's own source, included by its path. [`sync`] and
//! `kevent::array` stand in for what that source uses of the kernel.
//!
//! * `cargo test -p kevent-model`: units, hostile memory, and random sequences against a plain model.
//! * `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p kevent-model --test
//!   loom -- --test-threads 1`: every interleaving of the kernel and its consumers, within a bound on
//!   preemptions. A target directory of its own saves building everything again for the flag.
//!
//! The second command also breaks the source in one place after the other, as `mutations.rs` lists
//! them, and expects that a named scenario finds each break. What a scenario explores must be what
//! `explored.txt` says; `KEVENT_MODEL_RECORD=1` writes that. `KEVENT_MODEL_WIDER=1` allows one more
//! preemption everywhere, and takes long.
//!
//! # The last close of a file
//!
//! A second model, in `close/`, is of what meets there: REMOVE, MODIFY, the close of a queue,
//! wake-ups, wait queues that go away, epoll. `close/build.rs` puts it together from
//!
//! * `sync/wait.rs`, `fs/poll.rs` and `fs/watch.rs`, as they are but for procedural macros;
//! * of `kevent/queue.rs`, `source/file.rs` and `ctl.rs` the functions that end, forget, remove,
//!   release, add and change registrations, by their text, on the state machine of the first
//!   model;
//! * C, written again: `close/eventpoll.rs` for fs/eventpoll.c with the series' edit,
//!   `close/file.rs` for files and their references, `close/wait.rs` for wait queues.
//!
//! [`close`] is below both: memory that notices its use after the free, locks, RCU.

#[cfg(loom)]
pub mod close;
#[cfg(loom)]
pub mod explore;
pub mod kevent;
pub mod sync;
