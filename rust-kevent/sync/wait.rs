// SPDX-License-Identifier: GPL-2.0

//! Entries of wait queues that call a function.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use crate::{
    bindings,
    container_of,
    prelude::*,
    types::Opaque, //
};

/// What is told of wake-ups.
pub trait WakeFn: Send + Sync {
    /// Called on each wake-up with its `POLL*` bits, 0 if it carries none.
    ///
    /// The lock of the wait queue is held; the context is any up to a hard interrupt.
    fn wake(&self, mask: u32);
}

/// Something that has a wait queue.
///
/// # Safety
///
/// `wait_head()` must return the same valid head as long as the value lives, even when it is moved.
pub unsafe trait WaitHead: Send + Sync {
    /// The head.
    fn wait_head(&self) -> *mut bindings::wait_queue_head;
}

/// An entry that is on the wait queue of `H` from its initialization to its end.
///
/// # Invariants
///
/// `entry` is on the queue of `head`.
#[pin_data(PinnedDrop)]
pub struct WaitEntry<H: WaitHead, T: WakeFn> {
    data: T,
    head: H,
    #[pin]
    entry: Opaque<bindings::wait_queue_entry>,
}

// SAFETY: The entry is only touched under the lock of its queue.
unsafe impl<H: WaitHead, T: WakeFn> Send for WaitEntry<H, T> {}
// SAFETY: As above.
unsafe impl<H: WaitHead, T: WakeFn> Sync for WaitEntry<H, T> {}

impl<H: WaitHead, T: WakeFn> WaitEntry<H, T> {
    /// An entry on the queue of `head`, which tells `data`.
    pub fn new(head: H, data: T) -> impl PinInit<Self> {
        let queue = head.wait_head();
        pin_init!(Self {
            data,
            head,
            // The last field: the function may be called before this ends.
            entry <- Opaque::ffi_init(move |entry: *mut bindings::wait_queue_entry| {
                // SAFETY: `entry` is ours and pinned from now on, and `queue` is valid as long as
                // `head`, which `drop()` outlives.
                unsafe {
                    (*entry).flags = 0;
                    (*entry).private = core::ptr::null_mut();
                    (*entry).func = Some(Self::wake);
                    bindings::add_wait_queue(queue, entry);
                }
            }),
        })
    }

    /// What is told.
    pub fn data(&self) -> &T {
        &self.data
    }

    /// Whose queue it is.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// # Safety
    ///
    /// `entry` must be that of a `WaitEntry<H, T>`, and the lock of its queue held.
    unsafe extern "C" fn wake(
        entry: *mut bindings::wait_queue_entry,
        _mode: c_uint,
        _flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirement. The lock keeps `drop()` from going on.
        let this = unsafe { &*container_of!(Opaque::cast_from(entry), Self, entry) };
        this.data.wake(key.addr() as u32);
        // Only exclusive wake-ups look at it.
        1
    }
}

#[pinned_drop]
impl<H: WaitHead, T: WakeFn> PinnedDrop for WaitEntry<H, T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant.
        unsafe { bindings::remove_wait_queue(self.head.wait_head(), self.entry.get()) };
    }
}
