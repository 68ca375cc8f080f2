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
        RawWaitEntry,
        WaitEntry,
        WakeFn, //
    }, //
};

/// The `POLL*` bits that are true now, at least of `mask`. May sleep. What polls uses no position.
///
/// # Safety
///
/// `file` must be valid.
pub(crate) unsafe fn poll_raw(file: *mut bindings::file, mask: u32) -> u32 {
    let mut table = bindings::poll_table {
        _qproc: None,
        _key: mask,
    };
    // SAFETY: By the safety requirement; the table registers nobody.
    unsafe { bindings::vfs_poll(file, &raw mut table) }
}

impl LocalFile {
    /// Whether the file can tell what it is ready for.
    pub fn can_poll(&self) -> bool {
        // SAFETY: The operations of an open file are valid and do not change.
        unsafe { (*(*self.as_ptr()).f_op).poll.is_some() }
    }

    /// The `POLL*` bits that are true now, at least of `mask`. May sleep.
    pub fn poll(&self, mask: u32) -> u32 {
        // SAFETY: The file is valid.
        unsafe { poll_raw(self.as_ptr(), mask) }
    }

    /// Hands the file behind a descriptor of the caller to `work`. A table that nobody shares keeps
    /// it meanwhile, without a reference of its own.
    ///
    /// # Safety
    ///
    /// `work` must close no descriptor, run no task work, and replace no table of descriptors.
    pub unsafe fn fdget<R>(fd: u32, work: impl FnOnce(&LocalFile) -> R) -> Result<R> {
        // SAFETY: There are no requirements.
        let word = unsafe { bindings::fdget(fd) }.word;
        let held = bindings::FDPUT_FPUT as c_ulong;
        let flags = held | bindings::FDPUT_POS_UNLOCK as c_ulong;
        let file = core::ptr::with_exposed_provenance_mut::<bindings::file>(word & !flags);
        if file.is_null() {
            return Err(EBADF);
        }
        // SAFETY: The call has taken a reference, or nobody else can close the descriptor, and
        // `work` does not. Calls of `fdget_pos()` are this thread's, or have taken the lock.
        let result = work(unsafe { LocalFile::from_raw_file(file) });
        if word & held != 0 {
            // SAFETY: The reference that the call has taken.
            unsafe { bindings::fput(file) };
        }
        Ok(result)
    }
}

impl LocalFile {
    /// Begins to tell `first` of the wake-ups of the file that concern `mask`. `more` is handed
    /// each further wait queue of the file, if there are several. Returns what is true now.
    ///
    /// # Safety
    ///
    /// * `first` is on no queue, and nobody else adds or removes it. Its function may be called
    ///   with it until it is removed.
    /// * It, and what `more` puts on a queue, must be removed before the file is released.
    pub unsafe fn poll_wait<F>(
        &self,
        mask: u32,
        exclusive: bool,
        first: Pin<&RawWaitEntry>,
        more: F,
    ) -> Result<u32>
    where
        F: FnMut(*mut bindings::wait_queue_head) -> Result,
    {
        let mut hook = Hook {
            table: bindings::poll_table {
                _qproc: Some(Hook::<F>::queue),
                _key: mask,
            },
            first,
            more,
            exclusive,
            result: Ok(()),
        };
        // SAFETY: The file is valid, and the table outlives the call. The queues of a file stay
        // until its release, or send `POLLFREE`, as poll methods must see to.
        let ready = unsafe { bindings::vfs_poll(self.as_ptr(), &raw mut hook.table) };
        match hook.result {
            Ok(()) => Ok(ready),
            // SAFETY: By the safety requirement.
            Err(error) => Err(unsafe { hook.undo(error) }),
        }
    }
}

/// Entries on all wait queues that the poll method of one file names.
///
/// # Examples
///
/// The wake-ups of a file are counted, whatever they say:
///
/// ```
/// use kernel::{
///     fs::{
///         poll::PollWatch,
///         LocalFile, //
///     },
///     prelude::*,
///     sync::{
///         atomic::{
///             Atomic,
///             Relaxed, //
///         },
///         wait::{
///             WakeFn,
///             Wakeup,
///             Woken, //
///         },
///         Arc, //
///     }, //
/// };
///
/// #[derive(Clone)]
/// struct Count(Arc<Atomic<u32>>);
///
/// impl WakeFn for Count {
///     fn wake(&self, _mask: u32, _wakeup: &Wakeup) -> Woken {
///         self.0.fetch_add(1, Relaxed);
///         Woken::No
///     }
///
///     fn gone(&self) {}
/// }
///
/// /// Runs `work`. Returns how many wake-ups the file had meanwhile.
/// fn wakeups(file: &LocalFile, work: impl FnOnce()) -> Result<u32> {
///     let count = Count(Arc::new(Atomic::new(0), GFP_KERNEL)?);
///     // SAFETY: The watch is dropped below, and `file` is not released before.
///     let (watch, _ready) =
///         unsafe { PollWatch::new(file, u32::MAX, false, count.clone(), GFP_KERNEL) }?;
///     work();
///     drop(watch);
///     Ok(count.0.load(Relaxed))
/// }
/// ```
#[pin_data]
pub struct PollWatch<T: WakeFn> {
    #[pin]
    first: WaitEntry<T>,
    others: KVec<Pin<KBox<WaitEntry<T>>>>,
}

impl<T: WakeFn + Clone> PollWatch<T> {
    /// Begins to tell `data` of the wake-ups of `file` that concern `mask`, or clones of it, if the
    /// file has several wait queues. Returns what is true now.
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
        let this = watch.as_mut().project();
        let (first, others) = (this.first.as_ref(), this.others);
        let more = |head: *mut bindings::wait_queue_head| -> Result {
            let entry = KBox::pin_init(WaitEntry::new(first.get_ref().data().clone()), flags)?;
            others.push(entry, flags)?;
            if let Some(entry) = others.last() {
                // SAFETY: The entry is new, and only ours, with the function of a `WaitEntry`. The
                // queue is one of the file's, and by the safety requirement.
                unsafe { entry.as_ref().entry().add(head, exclusive) };
            }
            Ok(())
        };
        // SAFETY: It is new, has the function of a `WaitEntry`, and by the safety requirement.
        let ready = unsafe { file.poll_wait(mask, exclusive, first.entry(), more) }?;
        Ok((watch, ready))
    }

    /// What is told.
    pub fn data(&self) -> &T {
        self.first.data()
    }
}

/// What is behind a `poll_table`.
#[repr(C)]
struct Hook<'a, F> {
    table: bindings::poll_table,
    first: Pin<&'a RawWaitEntry>,
    more: F,
    exclusive: bool,
    result: Result,
}

impl<F: FnMut(*mut bindings::wait_queue_head) -> Result> Hook<'_, F> {
    /// Takes the first entry off its queue.
    ///
    /// # Safety
    ///
    /// Nobody else adds or removes it.
    #[cold]
    #[inline(never)]
    unsafe fn undo(&mut self, error: Error) -> Error {
        // SAFETY: By the safety requirement.
        unsafe { self.first.remove() };
        error
    }

    /// # Safety
    ///
    /// `table` must be that of a `Hook<F>` whose owner is in `vfs_poll()`, and `head` a queue of
    /// the file.
    unsafe extern "C" fn queue(
        _file: *mut bindings::file,
        head: *mut bindings::wait_queue_head,
        table: *mut bindings::poll_table,
    ) {
        // SAFETY: By the safety requirement; the owner does not touch it during the call.
        let hook = unsafe { &mut *container_of!(table, Self, table) };
        if hook.result.is_err() {
            return;
        }
        if !hook.first.is_active() {
            // SAFETY: As `LocalFile::poll_wait()` says of the queues of a file, and of the entry.
            unsafe { hook.first.add(head, hook.exclusive) };
        } else {
            hook.result = (hook.more)(head);
        }
    }
}
