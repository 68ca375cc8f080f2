// SPDX-License-Identifier: GPL-2.0

//! Entries of wait queues that call a function.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)
//!
//! # Queues that go away
//!
//! A wait queue may be freed while entries are on it, when it first sends [`POLLFREE`] and then
//! waits for an RCU grace period. Two sides meet at `head`:
//!
//! ```text
//!   wake-up with POLLFREE, queue lock held     remove()
//!   take the entry off                         rcu_read_lock()
//!   head = NULL            (release)           load head            (acquire)
//!                                              not NULL: take the queue lock, take the entry off
//!                                              rcu_read_unlock()
//! ```
//!
//! Who loads NULL knows that the wake-up no longer touches the entry, and may free it. Who loads the
//! queue has it until the end of the RCU section, and taking an entry off twice is harmless.

use crate::{
    bindings,
    container_of,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::{
        atomic::{
            atomic_store,
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu, //
    },
    types::Opaque, //
};
use core::ptr::null_mut;

/// A wake-up with this bit is the last one: the wait queue goes away.
pub const POLLFREE: u32 = 0x4000;

/// What is told of wake-ups.
pub trait WakeFn: Send + Sync {
    /// Called on each wake-up with its `POLL*` bits, 0 if it carries none.
    ///
    /// The lock of the wait queue is held; the context is any up to a hard interrupt.
    fn wake(&self, mask: u32, wakeup: &Wakeup) -> Woken;

    /// Called in place of that when the wait queue goes away.
    fn gone(&self);
}

/// What a wake-up was to an entry. The values are those that wait queues know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Woken {
    /// An exclusive wake-up goes on to others.
    No = 0,
    /// An exclusive wake-up has done its work, and others need not be woken.
    Yes = 1,
}

impl From<bool> for Woken {
    #[inline(always)]
    fn from(woken: bool) -> Self {
        match woken {
            true => Woken::Yes,
            false => Woken::No,
        }
    }
}

/// A wake-up under way.
pub struct Wakeup(());

impl Wakeup {
    /// That interrupts are off, as they are but where lock holders may be preempted.
    #[inline(always)]
    pub fn interrupts_off(&self) -> Option<&LocalInterruptDisabled> {
        // SAFETY: Always safe to call.
        let off = unsafe { bindings::irqs_disabled() };
        // SAFETY: They are, and stay so while the lock of the wait queue is held.
        off.then(|| unsafe { LocalInterruptDisabled::assume_disabled() })
    }
}

/// An entry that is on one wait queue or on none.
///
/// # Invariants
///
/// If `head` is not null, the entry is on that queue, or a wake-up is about to take it off. `head`
/// is then valid; it becomes invalid an RCU grace period after it has become null.
#[pin_data(PinnedDrop)]
pub struct WaitEntry<T: WakeFn> {
    data: T,
    head: Atomic<*mut bindings::wait_queue_head>,
    #[pin]
    entry: Opaque<bindings::wait_queue_entry>,
}

// SAFETY: The entry is only touched under the lock of its queue, or when it is on none.
unsafe impl<T: WakeFn> Send for WaitEntry<T> {}
// SAFETY: As above.
unsafe impl<T: WakeFn> Sync for WaitEntry<T> {}

impl<T: WakeFn> WaitEntry<T> {
    /// An entry that is on no queue, and will tell `data`.
    pub fn new(data: T) -> impl PinInit<Self> {
        pin_init!(Self {
            data,
            head: Atomic::new(null_mut()),
            entry <- Opaque::ffi_init(|entry: *mut bindings::wait_queue_entry| {
                // SAFETY: `entry` is ours, and valid for writes. All zeroes are a value of it.
                unsafe {
                    entry.write_bytes(0, 1);
                    (*entry).func = Some(Self::wake);
                }
            }),
        })
    }

    /// What is told.
    pub fn data(&self) -> &T {
        &self.data
    }

    /// The same, of an entry of which nobody else has a reference.
    pub fn data_mut(self: Pin<&mut Self>) -> &mut T {
        self.project().data
    }

    /// Whether it was put on a queue that has not gone away.
    pub fn is_active(&self) -> bool {
        !self.head.load(Relaxed).is_null()
    }

    /// Puts it on a queue. With `exclusive`, one such entry is woken at a time.
    ///
    /// # Safety
    ///
    /// * The entry is on no queue, and nobody else adds or removes it.
    /// * `head` stays valid until the entry is removed, or its owner wakes it with [`POLLFREE`] and
    ///   waits for an RCU grace period.
    pub unsafe fn add(self: Pin<&Self>, head: *mut bindings::wait_queue_head, exclusive: bool) {
        // INVARIANT: By the safety requirement. No wake-up comes before the entry is on the queue.
        self.head.store(head, Relaxed);
        // SAFETY: By the safety requirement; the entry is pinned, and its end takes it off.
        unsafe {
            if exclusive {
                bindings::add_wait_queue_exclusive(head, self.entry.get());
            } else {
                bindings::add_wait_queue(head, self.entry.get());
            }
        }
    }

    /// Takes it off its queue, if it is on one. Afterwards no wake-up runs or begins.
    ///
    /// # Safety
    ///
    /// Nobody else adds or removes it at the same time.
    pub unsafe fn remove(&self) {
        // ORDERING: as below.
        if self.head.load(Acquire).is_null() {
            return;
        }
        let _guard = rcu::read_lock();
        // ORDERING: whoever sees null also sees that the wake-up is through with the entry.
        let head = self.head.load(Acquire);
        if !head.is_null() {
            // SAFETY: By the type invariant, and the RCU section keeps `head` valid.
            unsafe { bindings::remove_wait_queue(head, self.entry.get()) };
            // INVARIANT: It is on no queue, and no wake-up is under way.
            self.head.store(null_mut(), Relaxed);
        }
    }

    /// # Safety
    ///
    /// `entry` must be that of a `WaitEntry<T>`, and the lock of its queue held.
    unsafe extern "C" fn wake(
        entry: *mut bindings::wait_queue_entry,
        _mode: c_uint,
        _flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        let mask = key.addr() as u32;
        // SAFETY: By the safety requirement.
        let this = unsafe { container_of!(Opaque::cast_from(entry), Self, entry) };
        if mask & POLLFREE != 0 {
            // SAFETY: By the safety requirement, and `this` is not used any more.
            unsafe { Self::leave(this, entry) };
            return Woken::Yes as c_int;
        }
        // SAFETY: By the safety requirement. The lock, and `head`, keep `drop()` from going on.
        unsafe { (*this).data.wake(mask, &Wakeup(())) as c_int }
    }

    /// Takes an entry off a queue that goes away.
    ///
    /// # Safety
    ///
    /// `entry` must be that of `this`, and the lock of its queue held. `this` may be freed on return.
    #[cold]
    unsafe fn leave(this: *const Self, entry: *mut bindings::wait_queue_entry) {
        // SAFETY: The lock is held, and whoever drops the entry waits for the store below.
        unsafe { (*this).data.gone() };
        // SAFETY: As above.
        unsafe { bindings::list_del_init(&raw mut (*entry).entry) };
        // SAFETY: The field is valid up to the store. `Atomic` has the layout of its value.
        //
        // ORDERING: the last access to the entry; pairs with `remove()`.
        unsafe {
            let head = (&raw const (*this).head).cast_mut();
            atomic_store::<*mut bindings::wait_queue_head, _>(head.cast(), null_mut(), Release);
        }
    }
}

#[pinned_drop]
impl<T: WakeFn> PinnedDrop for WaitEntry<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Nobody else has it.
        unsafe { self.remove() };
    }
}
