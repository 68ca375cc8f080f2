// SPDX-License-Identifier: GPL-2.0

//! kevent: one queue for events of every kind.

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
