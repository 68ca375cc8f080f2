// SPDX-License-Identifier: GPL-2.0

//! Polling files.
//!
//! C header: [`include/linux/poll.h`](srctree/include/linux/poll.h)

use crate::{
    bindings,
    container_of,
    fs::LocalFile,
    prelude::*,
    sync::wait::{
        WaitEntry,
        WakeFn, //
    }, //
};

impl LocalFile {
    /// Whether the file can tell what it is ready for.
    pub fn can_poll(&self) -> bool {
        // SAFETY: The operations of an open file are valid and do not change.
        unsafe { (*(*self.as_ptr()).f_op).poll.is_some() }
    }

    /// The `POLL*` bits that are true now, at least of `mask`. May sleep.
    pub fn poll(&self, mask: u32) -> u32 {
        let mut table = bindings::poll_table {
            _qproc: None,
            _key: mask,
        };
        // SAFETY: The file is valid; the table registers nobody.
        unsafe { bindings::vfs_poll(self.as_ptr(), &raw mut table) }
    }
}

/// Entries on all wait queues that the poll method of one file names.
#[pin_data]
pub struct PollWatch<T: WakeFn> {
    // Most files have one queue.
    #[pin]
    first: WaitEntry<T>,
    others: KVec<Pin<KBox<WaitEntry<T>>>>,
}

impl<T: WakeFn + Clone> PollWatch<T> {
    /// Begins to tell `data` of the wake-ups of `file` that concern `mask`. Returns what is true now.
    ///
    /// # Safety
    ///
    /// The result must be dropped before the file is released.
    pub unsafe fn new(
        file: &LocalFile,
        mask: u32,
        exclusive: bool,
        data: T,
        flags: crate::alloc::Flags,
    ) -> Result<(Pin<KBox<Self>>, u32)> {
        let mut watch = KBox::pin_init(
            pin_init!(Self {
                first <- WaitEntry::new(data),
                others: KVec::new(),
            }),
            flags,
        )?;
        let mut hook = Hook {
            table: bindings::poll_table {
                _qproc: Some(Hook::<T>::queue),
                _key: mask,
            },
            watch: watch.as_mut(),
            exclusive,
            flags,
            result: Ok(()),
        };
        // SAFETY: The file is valid, and the table outlives the call. The queues of a file stay until
        // its release, or send `POLLFREE`, as poll methods must see to.
        let ready = unsafe { bindings::vfs_poll(file.as_ptr(), &raw mut hook.table) };
        hook.result?;
        Ok((watch, ready))
    }
}

/// What is behind a `poll_table`.
#[repr(C)]
struct Hook<'a, T: WakeFn> {
    table: bindings::poll_table,
    watch: Pin<&'a mut PollWatch<T>>,
    exclusive: bool,
    flags: crate::alloc::Flags,
    result: Result,
}

impl<T: WakeFn + Clone> Hook<'_, T> {
    /// # Safety
    ///
    /// `table` must be that of a `Hook<T>` whose owner is in `vfs_poll()`, and `head` a queue of the
    /// file.
    unsafe extern "C" fn queue(
        _file: *mut bindings::file,
        head: *mut bindings::wait_queue_head,
        table: *mut bindings::poll_table,
    ) {
        // SAFETY: By the safety requirement; the owner does not touch it during the call.
        let hook = unsafe { &mut *container_of!(table, Self, table) };
        if hook.result.is_ok() {
            // SAFETY: As `PollWatch::new()` says of the queues of a file.
            hook.result = unsafe { hook.add(head) };
        }
    }

    /// # Safety
    ///
    /// `head` must stay valid until the watch is dropped, or send `POLLFREE`.
    unsafe fn add(&mut self, head: *mut bindings::wait_queue_head) -> Result {
        let watch = self.watch.as_mut().project();
        let entry = if watch.others.is_empty() && !watch.first.is_active() {
            watch.first.as_ref()
        } else {
            let entry = KBox::pin_init(WaitEntry::new(watch.first.data().clone()), self.flags)?;
            watch.others.push(entry, self.flags)?;
            let Some(entry) = watch.others.last() else {
                return Err(ENOMEM);
            };
            entry.as_ref()
        };
        // SAFETY: By the safety requirement; the entry is new, and only ours.
        unsafe { entry.add(head, self.exclusive) };
        Ok(())
    }
}
