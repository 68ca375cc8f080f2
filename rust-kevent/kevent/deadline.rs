// SPDX-License-Identifier: GPL-2.0

//! How long a call waits.

use crate::{
    bindings,
    sync::CondVarDeadline, //
};

/// When a wait ends at the latest.
#[derive(Clone, Copy)]
pub(crate) enum Deadline {
    /// Without having slept.
    Now,
    /// At a time.
    At(CondVarDeadline),
    /// Never.
    Never,
}

impl Deadline {
    /// What the system call passes on.
    pub(crate) fn new(timeout: &bindings::kevent_timeout) -> Self {
        match timeout.kind {
            bindings::kevent_timeout_kind_KEVENT_TIMEOUT_NOW => Deadline::Now,
            bindings::kevent_timeout_kind_KEVENT_TIMEOUT_AT => Deadline::At(CondVarDeadline {
                expires: timeout.expires,
                slack: timeout.slack,
                clock: timeout.clock,
            }),
            _ => Deadline::Never,
        }
    }

    /// The end of the time in which a call waits for more than it needs, if it does so.
    pub(crate) fn of_batch(timeout: &bindings::kevent_timeout) -> Option<Self> {
        (timeout.batch_until != 0).then_some(Deadline::At(CondVarDeadline {
            expires: timeout.batch_until,
            slack: timeout.slack,
            clock: bindings::CLOCK_MONOTONIC as bindings::clockid_t,
        }))
    }

    /// Whether a wait must not begin.
    pub(crate) fn is_now(&self) -> bool {
        matches!(self, Deadline::Now)
    }

    /// For a wait.
    pub(crate) fn condvar(&self) -> Option<CondVarDeadline> {
        match self {
            Deadline::At(deadline) => Some(*deadline),
            Deadline::Now | Deadline::Never => None,
        }
    }
}
