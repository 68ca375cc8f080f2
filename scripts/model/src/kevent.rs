// SPDX-License-Identifier: GPL-2.0

//! The kernel's files, the consumer of the crate `kevent`, and what stands around them on the host.

pub mod array;
#[path = "../../../userspace/kevent/src/protocol/consumer.rs"]
pub mod consumer;
#[path = "../../../rust-kevent/kevent/event.rs"]
pub mod event;
#[path = "../../../rust-kevent/kevent/keys.rs"]
pub mod keys;
#[cfg(loom)]
pub mod litmus;
pub mod memory;
#[path = "../../../rust-kevent/kevent/registration.rs"]
pub mod registration;
#[path = "../../../rust-kevent/kevent/ring.rs"]
pub mod ring;
#[cfg(loom)]
pub mod scenario;
#[path = "../../../rust-kevent/kevent/state.rs"]
pub mod state;
#[path = "../../../rust-kevent/kevent/word.rs"]
pub mod word;
