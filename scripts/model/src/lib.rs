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
//! them, and expects that a named scenario finds each break.

pub mod kevent;
pub mod sync;
