// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What stands below the protocol: here the atomics of the standard library, in the model loom's.

pub(crate) mod primitive {
    pub(crate) use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
}
