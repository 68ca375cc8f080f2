// SPDX-License-Identifier: GPL-2.0

//! To be told of the wake-ups of a file, and of its last close.
//!
//! C headers: [`include/linux/eventpoll.h`](srctree/include/linux/eventpoll.h),
//! [`include/linux/wait.h`](srctree/include/linux/wait.h)

use crate::{
    bindings,
    container_of,
    error::to_result,
    fs::{
        poll::poll_raw,
        LocalFile, //
    },
    prelude::*,
    sync::{
        wait::{
            RawWaitEntry,
            WakeFn,
            Woken,
            POLLFREE, //
        },
        Arc, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};
use core::ptr::NonNull;

/// With [`POLLFREE`], what C calls `FILE_WATCH_CLOSED`.
const CLOSED: u32 = bindings::POLLNVAL;

/// What is told.
pub trait CloseFn: WakeFn + Sized {
    /// What tells in place of the entry of the watch.
    type Instead: Send + Sync;

    /// The file is being released; it is still whole. Process context, no locks held.
    fn closed(watch: Arc<FileWatch<Self>>);
}

/// Watches one file, or none, without holding it. One wait-queue entry is part of it.
///
/// # Invariants
///
/// * While `watch` is on the list of a file, that list owns one reference to the `Arc` around it.
/// * What its entry has aside is a `Pin<KBox<T::Instead>>`, which the watch owns.
#[pin_data(PinnedDrop)]
pub struct FileWatch<T: CloseFn> {
    #[pin]
    watch: Opaque<bindings::file_watch>,
    told: T,
}

// SAFETY: What a file has of it changes by atomic operations, or under a lock of the file; the
// entry under the lock of its queue. What is owned may be sent.
unsafe impl<T: CloseFn> Send for FileWatch<T> {}
// SAFETY: As above.
unsafe impl<T: CloseFn> Sync for FileWatch<T> {}

impl<T: CloseFn> FileWatch<T> {
    /// A watch of no file.
    pub fn new(told: T) -> impl PinInit<Self> {
        // INVARIANT: It is on no list, and nothing is aside.
        pin_init!(Self {
            watch: Opaque::new(bindings::file_watch {
                wait: RawWaitEntry::fresh(Some(Self::wake)),
                ..Default::default()
            }),
            told,
        })
    }

    /// Begins to be told of the last close. Returns what the list now owns.
    ///
    /// # Safety
    ///
    /// * It watches no file.
    /// * As long as what is returned is used, the caller holds a lock that [`CloseFn::closed`]
    ///   takes as well, and does not remove it.
    pub unsafe fn add<'a>(this: Arc<Self>, file: &LocalFile) -> Result<Pin<&'a Self>> {
        // INVARIANT: The list owns it if the call succeeds.
        let owned = Arc::into_raw(this);
        // SAFETY: It is valid.
        let raw = Opaque::cast_into(unsafe { &raw const (*owned).watch });
        // SAFETY: The file is valid, and by the safety requirement the watch is on no list.
        to_result(unsafe { bindings::file_watch_add(file.as_ptr(), raw) }).inspect_err(|_| {
            // SAFETY: It is on no list, so the reference is still ours.
            drop(unsafe { Arc::from_raw(owned) });
        })?;
        // SAFETY: By the safety requirement, the list's reference lasts as long as it is used. What
        // is in an `Arc` does not move.
        Ok(unsafe { Pin::new_unchecked(&*owned) })
    }

    fn entry(&self) -> Pin<&RawWaitEntry> {
        // SAFETY: It was made so, is pinned as the watch is, and only changed as an entry.
        unsafe { RawWaitEntry::from_raw(&raw mut (*self.watch.get()).wait) }
    }

    /// Begins to be told of wake-ups, as [`LocalFile::poll_wait()`] says. Returns what is true now;
    /// nothing if the file has several wait queues, and then is not told.
    ///
    /// # Safety
    ///
    /// * The entry is on no queue, with nothing [instead](Self::instead()), and nobody else adds or
    ///   removes it.
    /// * It must be removed before the file is released.
    pub unsafe fn enter(self: Pin<&Self>, file: &LocalFile, mask: u32) -> Option<u32> {
        let several = |_| Err(EBUSY);
        // SAFETY: By the safety requirements. The function is that of a `FileWatch<T>`.
        unsafe { file.poll_wait(mask, false, self.get_ref().entry(), several) }.ok()
    }

    /// Takes the entry off its wait queue, if it is on one. Afterwards no wake-up runs or begins.
    ///
    /// # Safety
    ///
    /// Nobody else adds or removes it at the same time.
    pub unsafe fn leave(&self) {
        // SAFETY: By the safety requirement.
        unsafe { self.entry().remove() };
    }

    /// What tells instead of the entry.
    #[inline]
    pub fn instead(&self) -> Option<Pin<&T::Instead>> {
        let aside = self.entry().get_ref().aside()?;
        // SAFETY: By the type invariant. It is not replaced as long as the watch lives.
        Some(unsafe { Pin::<KBox<T::Instead>>::borrow(aside.as_ptr()) })
    }

    /// From now on, `instead` tells instead of the entry.
    ///
    /// # Safety
    ///
    /// The entry is on no queue, with nothing instead, and nobody adds or removes it.
    pub unsafe fn set_instead(&self, instead: Pin<KBox<T::Instead>>) {
        // The lowest bit of the pointer says whose it is.
        const { assert!(<Pin<KBox<T::Instead>> as ForeignOwnable>::FOREIGN_ALIGN >= 2) };
        if let Some(aside) = NonNull::new(instead.into_foreign()) {
            // INVARIANT: The watch owns it.
            //
            // SAFETY: By the safety requirement.
            unsafe { self.entry().set_aside(aside) };
        }
    }

    /// What is told of wake-ups.
    pub fn told(&self) -> &T {
        &self.told
    }

    /// The same, to be changed, if the entry is on no queue, with nothing
    /// [instead](Self::instead()).
    pub fn told_mut(self: Pin<&mut Self>) -> Option<&mut T> {
        // Nobody else has a reference, so it is on the list of no file, and nobody adds the entry.
        self.entry().is_free().then(|| self.project().told)
    }

    /// Is no longer told of the last close. Returns false if the file is being released: then
    /// [`CloseFn::closed`] is called, or was.
    ///
    /// # Safety
    ///
    /// * The caller holds a lock that [`CloseFn::closed`] takes as well, and a reference to the
    ///   watch.
    /// * The entry has left its wait queue, and what tells instead of it, too: nothing keeps the
    ///   file from going once this returns.
    pub unsafe fn del(&self) -> bool {
        // SAFETY: It was added, or is not on a list because it never was, or no longer is. The lock
        // is held by the safety requirement.
        let was_on_list = unsafe { bindings::file_watch_del(self.watch.get()) };
        if was_on_list {
            // SAFETY: By the type invariant; the pointer is that of the `Arc`. By the safety
            // requirement it is not the last reference.
            drop(unsafe { Arc::from_raw(core::ptr::from_ref(self)) });
        }
        was_on_list
    }

    /// Hands the `POLL*` bits of the file that are true now, at least of `mask`, to `then`, during
    /// which the file is held; does nothing if it is being released. May sleep. If the file is
    /// closed meanwhile, the release is put off until the thread returns to user space.
    pub fn poll<R>(&self, mask: u32, then: impl FnOnce(u32) -> R) -> Option<R> {
        // SAFETY: The field is NULL, or a file of which the watch is told before it is freed.
        let file = unsafe { bindings::get_file_active(&raw mut (*self.watch.get()).file) };
        let file = NonNull::new(file)?.as_ptr();
        // SAFETY: The call took a reference.
        let ready = unsafe { poll_raw(file, mask) };
        let result = then(ready);
        // SAFETY: It is that reference.
        unsafe { bindings::fput(file) };
        Some(result)
    }

    /// Whether it watches `file`.
    pub fn watches(&self, file: &LocalFile) -> bool {
        // SAFETY: A pointer that is only compared.
        let watched = unsafe { (&raw const (*self.watch.get()).file).read_volatile() };
        watched == file.as_ptr()
    }

    /// # Safety
    ///
    /// `entry` must be that of a `FileWatch<T>`. With [`CLOSED`], it has been on the list of a file
    /// until now, else the lock of its wait queue is held.
    unsafe extern "C" fn wake(
        entry: *mut bindings::wait_queue_entry,
        _mode: c_uint,
        _flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        let mask = key.addr() as u32;
        // SAFETY: By the safety requirement.
        let this = unsafe {
            let watch = container_of!(entry, bindings::file_watch, wait);
            container_of!(Opaque::cast_from(watch), Self, watch)
        };
        if mask & POLLFREE != 0 {
            // SAFETY: By the safety requirement.
            return unsafe { Self::ended(this, mask) };
        }
        // SAFETY: By the safety requirement. The lock, and the queue in the entry, keep `drop()`
        // from going on.
        unsafe { RawWaitEntry::tell(&(*this).told, mask) }
    }

    /// The wait queue goes away, or the file.
    ///
    /// # Safety
    ///
    /// As for [`Self::wake()`]; the entry is that of `this`.
    #[cold]
    unsafe fn ended(this: *const Self, mask: u32) -> c_int {
        if mask & CLOSED == 0 {
            // SAFETY: By the safety requirement, and `this` is not used any more.
            return unsafe {
                let entry = &raw mut (*(*this).watch.get()).wait;
                RawWaitEntry::leave(entry, &raw const (*this).told)
            };
        }
        // SAFETY: By the type invariant, the list owned a reference, which is now ours.
        T::closed(unsafe { Arc::from_raw(this) });
        Woken::Yes as c_int
    }
}

#[pinned_drop]
impl<T: CloseFn> PinnedDrop for FileWatch<T> {
    fn drop(self: Pin<&mut Self>) {
        let entry = self.entry();
        // SAFETY: Nobody else has it.
        unsafe { entry.remove() };
        if let Some(aside) = entry.get_ref().aside() {
            // SAFETY: By the type invariant, it is ours.
            drop(unsafe { Pin::<KBox<T::Instead>>::from_foreign(aside.as_ptr()) });
        }
    }
}
