// SPDX-License-Identifier: GPL-2.0

//! What a thread has put off until it returns to user space.
//!
//! Who looks at a file holds it meanwhile. If its last descriptor is closed then, the looking
//! thread is the last to let go, and `fput()` puts the release off until that returns to user
//! space. A thread that sleeps in the kernel does not return: the registration would stay, and the
//! other end of a pipe hear nothing, as long as nobody wakes it. So it does before it sleeps what
//! it has put off.
//!
//! A thread in `poll()` or `epoll_wait()` cannot: there, locks are held. As with files that an
//! eventpoll watches, what it has put off is done when it wakes.

use crate::{
    bindings,
    fs::File,
    sync::aref::ARef, //
};

/// What the thread that makes a call has put off.
pub(crate) struct PutOff<'a> {
    /// By which it makes the call.
    file: &'a File,
    held: Option<ARef<File>>,
}

impl<'a> PutOff<'a> {
    /// For a call by way of `file`.
    ///
    /// # Safety
    ///
    /// * The thread is in a system call by way of `file`, and until the result is dropped uses no
    ///   other file to which it has no reference.
    /// * [`PutOff::run()`] is called, and the result dropped, with no lock held.
    pub(crate) unsafe fn new(file: &'a File) -> Self {
        PutOff { file, held: None }
    }

    /// Whether there is anything.
    #[inline]
    pub(crate) fn is_some(&self) -> bool {
        // SAFETY: Looks at `current`.
        unsafe { bindings::kevent_has_task_work() }
    }

    /// Does it. From then on its file is held until this is dropped.
    #[cold]
    pub(crate) fn run(&mut self) {
        // A request of io_uring that is among it may close the descriptor, and the table of a
        // thread that shares it with nobody is what kept the file so far.
        self.held.get_or_insert_with(|| self.file.into());
        // SAFETY: By the safety requirements of `new()`, the thread is in a system call and has no
        // lock, and what closes descriptors takes no file from under it.
        unsafe { bindings::task_work_run() };
    }
}
