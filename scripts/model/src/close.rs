// SPDX-License-Identifier: GPL-2.0

//! What the model of the close boundary stands on: memory that knows when it was freed, locks, RCU,
//! and what the kernel crate offers to the sources that the build includes.
//!
//! The model itself is in `scripts/model/close/`; `build.rs` puts it together with the kernel's own
//! text, once as it is and once for each break of it.

pub mod heap;
pub mod kernel;
pub mod lock;
pub mod rcu;
