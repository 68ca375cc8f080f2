// SPDX-License-Identifier: GPL-2.0

//! The limit of registrations per user, `user.max_kevent_watches`.

use crate::{
    bindings,
    prelude::*, //
};
use core::ptr::NonNull;

/// The user to whom a queue's registrations count.
///
/// # Invariants
///
/// Holds a reference to the counts.
pub(crate) struct Limit(NonNull<bindings::ucounts>);

// SAFETY: Counts are shared by all tasks of a user.
unsafe impl Send for Limit {}
// SAFETY: Counts are atomic.
unsafe impl Sync for Limit {}

impl Limit {
    /// The user who makes the queue.
    pub(crate) fn of_caller() -> Result<Self> {
        // SAFETY: `current` has credentials.
        let counts = unsafe { bindings::kevent_get_ucounts() };
        // INVARIANT: The call took a reference.
        Ok(Limit(NonNull::new(counts).ok_or(ENOMEM)?))
    }

    /// Counts `num` more registrations. [`ENOSPC`] when that is too many.
    pub(crate) fn charge(&self, num: u32) -> Result {
        // SAFETY: By the type invariant.
        if unsafe { bindings::kevent_charge(self.0.as_ptr(), num) } {
            Ok(())
        } else {
            Err(ENOSPC)
        }
    }

    /// Counts `num` less.
    pub(crate) fn uncharge(&self, num: u32) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kevent_uncharge(self.0.as_ptr(), num) };
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the reference is ours.
        unsafe { bindings::put_ucounts(self.0.as_ptr()) };
    }
}
