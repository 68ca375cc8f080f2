// SPDX-License-Identifier: GPL-2.0

//! Random sequences of calls against a plain model.

#![cfg(not(loom))]

pub use kevent_model::sync;

mod host;
mod random;
