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
        poll::Others,
        LocalFile, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        wait::{
            WaitEntry,
            WakeFn, //
        },
        Arc, //
    },
    types::Opaque, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};

/// What is told.
pub trait CloseFn: Send + Sync + Sized {
    /// What is told of wake-ups.
    type Told: WakeFn + Clone;

    /// The file is being released; it is still whole. Process context, no locks held.
    fn closed(watch: Arc<FileWatch<Self>>);
}

/// Watches one file, or none, without holding it. One wait-queue entry is part of it.
///
/// # Invariants
///
/// While `watch` is on the list of a file, that list owns one reference to the `Arc` around it.
#[pin_data]
pub struct FileWatch<T: CloseFn> {
    #[pin]
    watch: Opaque<bindings::file_watch>,
    #[pin]
    entry: WaitEntry<T::Told>,
    #[pin]
    data: T,
}

// SAFETY: What a file has of it changes by atomic operations, or under a lock of the file.
unsafe impl<T: CloseFn> Send for FileWatch<T> {}
// SAFETY: As above.
unsafe impl<T: CloseFn> Sync for FileWatch<T> {}

impl<T: CloseFn> FileWatch<T> {
    /// A watch of no file.
    pub fn new(told: T::Told, data: impl PinInit<T>) -> impl PinInit<Self> {
        pin_init!(Self {
            watch <- Opaque::ffi_init(|watch: *mut bindings::file_watch| {
                // SAFETY: It is ours, and valid for writes. All zeroes are a value of it.
                unsafe {
                    watch.write_bytes(0, 1);
                    (*watch).release = Some(Self::release);
                }
            }),
            entry <- WaitEntry::new(told),
            data <- data,
        })
    }

    /// Begins to be told of the last close. Returns what the list now owns.
    ///
    /// # Safety
    ///
    /// * It watches no file.
    /// * As long as what is returned is used, the caller holds a lock that [`CloseFn::closed`] takes as
    ///   well, and does not remove it.
    pub unsafe fn add<'a>(this: Arc<Self>, file: &LocalFile) -> Result<Pin<&'a Self>> {
        let raw = this.watch.get();
        // INVARIANT: The list owns it if the call succeeds.
        let owned = Arc::into_raw(this);
        // SAFETY: The file is valid, and by the safety requirement the watch is on no list.
        to_result(unsafe { bindings::file_watch_add(file.as_ptr(), raw) }).inspect_err(|_| {
            // SAFETY: It is on no list, so the reference is still ours.
            drop(unsafe { Arc::from_raw(owned) });
        })?;
        // SAFETY: By the safety requirement, the list's reference lasts as long as it is used. What is in
        // an `Arc` does not move.
        Ok(unsafe { Pin::new_unchecked(&*owned) })
    }

    /// Begins to be told of wake-ups, as [`LocalFile::poll_wait()`] says.
    ///
    /// # Safety
    ///
    /// * The entry is on no queue, and nobody else adds or removes it.
    /// * All entries must be removed before the file is released.
    pub unsafe fn enter(
        self: Pin<&Self>,
        file: &LocalFile,
        mask: u32,
        others: &mut Others<T::Told>,
        flags: crate::alloc::Flags,
    ) -> Result<u32> {
        // SAFETY: The field is pinned as well.
        let entry = unsafe { self.map_unchecked(|this| &this.entry) };
        // SAFETY: By the safety requirements.
        unsafe { file.poll_wait(mask, false, entry, others, flags) }
    }

    /// Takes the entry off its wait queue, if it is on one. Afterwards no wake-up runs or begins.
    ///
    /// # Safety
    ///
    /// Nobody else adds or removes it at the same time.
    pub unsafe fn leave(&self) {
        // SAFETY: By the safety requirement.
        unsafe { self.entry.remove() };
    }

    /// The same, of which nobody else has a reference, and that is on no queue.
    pub fn told_mut(self: Pin<&mut Self>) -> &mut T::Told {
        self.project().entry.data_mut()
    }

    /// What is told of wake-ups.
    pub fn told(&self) -> &T::Told {
        self.entry.data()
    }

    /// Is no longer told of the last close. Returns false if the file is being released: then [`CloseFn::closed`] is called,
    /// or was.
    ///
    /// # Safety
    ///
    /// The caller holds a lock that [`CloseFn::closed`] takes as well.
    pub unsafe fn del(&self) -> bool {
        // SAFETY: It was added, or is not on a list because it never was, or no longer is. The lock is
        // held by the safety requirement.
        let was_on_list = unsafe { bindings::file_watch_del(self.watch.get()) };
        if was_on_list {
            // SAFETY: By the type invariant. The caller has a reference of its own.
            drop(unsafe { Arc::from_raw(core::ptr::from_ref(self)) });
        }
        was_on_list
    }

    /// The file, unless it is being released.
    pub fn file(&self) -> Option<ARef<LocalFile>> {
        // SAFETY: The field is NULL, or a file of which the watch is told before it is freed.
        let file = unsafe { bindings::get_file_active(&raw mut (*self.watch.get()).file) };
        // SAFETY: The call took a reference. Files that are watched are looked up by descriptors of
        // several threads, which take the lock of the position.
        Some(unsafe { ARef::from_raw(NonNull::new(file.cast())?) })
    }

    /// Whether it watches `file`.
    pub fn watches(&self, file: &LocalFile) -> bool {
        // SAFETY: A pointer that is only compared.
        let watched = unsafe { (&raw const (*self.watch.get()).file).read_volatile() };
        watched == file.as_ptr()
    }

    /// # Safety
    ///
    /// `watch` must be that of a `FileWatch<T>`, and have been on a list until now.
    unsafe extern "C" fn release(watch: *mut bindings::file_watch) {
        // SAFETY: By the safety requirement.
        let this = unsafe { container_of!(Opaque::cast_from(watch), Self, watch) };
        // SAFETY: By the type invariant, the list owned a reference, which is now ours.
        T::closed(unsafe { Arc::from_raw(this) });
    }
}

impl<T: CloseFn> Deref for FileWatch<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}
