// SPDX-License-Identifier: GPL-2.0

//! How long a call waits.

use crate::{
    bindings,
    fs::File,
    sync::CondVarDeadline, //
};

/// How long a call waits: what the system call passes on. No clock was read.
pub(crate) struct Timeout<'a> {
    file: &'a File,
    /// If there is none, it waits for ever.
    given: Option<&'a mut bindings::kevent_timeout>,
}

impl<'a> Timeout<'a> {
    /// What holds for a call by way of `file`.
    pub(crate) fn new(file: &'a File, given: Option<&'a mut bindings::kevent_timeout>) -> Self {
        Timeout { file, given }
    }

    /// By way of which file the call is made.
    pub(crate) fn file(&self) -> &'a File {
        self.file
    }

    /// Whether the call may wait for more than it needs.
    pub(crate) fn is_of_batch(&self) -> bool {
        self.given
            .as_ref()
            .is_some_and(|timeout| timeout.min_wait != 0)
    }

    /// The call may have to wait: returns when it ends at the latest, and until when it waits for
    /// more than it needs.
    pub(crate) fn start(self) -> (Deadline, Option<Deadline>) {
        // Then every wait ends at once.
        if self.file.flags() & bindings::O_NONBLOCK != 0 {
            return (Deadline::Now, None);
        }
        let Some(timeout) = self.given else {
            return (Deadline::Never, None);
        };
        // SAFETY: It is valid.
        unsafe { bindings::kevent_start_timeout(timeout) };
        (Deadline::new(timeout), Deadline::of_batch(timeout))
    }
}

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
    fn new(timeout: &bindings::kevent_timeout) -> Self {
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

    fn of_batch(timeout: &bindings::kevent_timeout) -> Option<Self> {
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
