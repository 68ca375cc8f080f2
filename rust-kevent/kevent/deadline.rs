// SPDX-License-Identifier: GPL-2.0

//! How long a call waits.

use crate::{
    bindings,
    fs::File,
    sync::CondVarDeadline, //
};

/// How long a call waits: what the system call passes on. Worked out if it has to wait.
#[derive(Clone, Copy)]
pub(crate) struct Timeout<'a> {
    file: &'a File,
    /// If there is none, it waits for ever.
    given: Option<&'a bindings::kevent_timeout>,
}

impl<'a> Timeout<'a> {
    /// What holds for a call by way of `file`.
    pub(crate) fn new(file: &'a File, given: Option<&'a bindings::kevent_timeout>) -> Self {
        Timeout { file, given }
    }

    /// `O_NONBLOCK` makes every wait end at once.
    fn is_nonblocking(&self) -> bool {
        self.file.flags() & bindings::O_NONBLOCK != 0
    }

    /// When the call ends at the latest.
    pub(crate) fn deadline(&self) -> Deadline {
        match self.given {
            _ if self.is_nonblocking() => Deadline::Now,
            Some(timeout) => Deadline::new(timeout),
            None => Deadline::Never,
        }
    }

    /// Whether the call may wait for more than it needs.
    pub(crate) fn is_of_batch(&self) -> bool {
        self.given.is_some_and(|timeout| timeout.batch_until != 0)
    }

    /// The end of the time in which it does so.
    pub(crate) fn of_batch(&self) -> Option<Deadline> {
        self.given
            .filter(|timeout| timeout.batch_until != 0 && !self.is_nonblocking())
            .map(Deadline::of_batch)
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

    fn of_batch(timeout: &bindings::kevent_timeout) -> Self {
        Deadline::At(CondVarDeadline {
            expires: timeout.batch_until,
            slack: timeout.slack,
            clock: bindings::CLOCK_MONOTONIC as bindings::clockid_t,
        })
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
