// SPDX-License-Identifier: GPL-2.0

//! Entries of wait queues that call a function.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)
//!
//! # Queues that go away
//!
//! A wait queue may be freed while entries are on it, when it first sends [`POLLFREE`] and then
//! waits for an RCU grace period. Two sides meet at the head that the entry has in `private`:
//!
//! ```text
//!   wake-up with POLLFREE, queue lock held     remove()
//!   take the entry off                         rcu_read_lock()
//!   head = NULL            (release)           load head            (acquire)
//!                                              not NULL: take the queue lock, take the entry off
//!                                              rcu_read_unlock()
//! ```
//!
//! Who loads NULL knows that the wake-up no longer touches the entry, and may free it. Who loads
//! the queue has it until the end of the RCU section, and taking an entry off twice is harmless.

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
use core::ptr::{
    null_mut,
    NonNull, //
};

pub use crate::sync::poll::POLLFREE;

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

/// Marks in `private` what an owner keeps there.
const ASIDE: usize = 1;

/// An entry that is on one wait queue or on none, without what it tells.
///
/// # Invariants
///
/// `private` is null, or the queue, or has `ASIDE` set. If it is the queue, the entry is on that,
/// or a wake-up is about to take it off. The queue is then valid; it becomes invalid an RCU grace
/// period after it is no longer there. Else the entry is on no queue.
#[repr(transparent)]
pub struct RawWaitEntry(Opaque<bindings::wait_queue_entry>);

// SAFETY: The entry is only touched under the lock of its queue, or when it is on none.
unsafe impl Send for RawWaitEntry {}
// SAFETY: As above.
unsafe impl Sync for RawWaitEntry {}

impl RawWaitEntry {
    /// One that is on no queue, and calls `func`.
    pub fn new(func: bindings::wait_queue_func_t) -> Self {
        // INVARIANT: All but `func` is zero.
        RawWaitEntry(Opaque::new(Self::fresh(func)))
    }

    /// The same, as a part of something else.
    pub fn fresh(func: bindings::wait_queue_func_t) -> bindings::wait_queue_entry {
        bindings::wait_queue_entry {
            func,
            ..Default::default()
        }
    }

    /// The entry that is a part of something else.
    ///
    /// # Safety
    ///
    /// It was [fresh](Self::fresh()), lives as long as `'a`, and nobody else changes it.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(entry: *mut bindings::wait_queue_entry) -> Pin<&'a Self> {
        // SAFETY: By the safety requirement; the type is transparent, and nothing moves it.
        unsafe { Pin::new_unchecked(&*entry.cast()) }
    }

    #[inline(always)]
    fn private(&self) -> &Atomic<*mut c_void> {
        // SAFETY: The field is valid as long as the entry. Wait queues do not look at it.
        unsafe { Atomic::from_ptr(&raw mut (*self.0.get()).private) }
    }

    /// The queue that was loaded from `private`, if it is one.
    #[inline(always)]
    fn head(private: *mut c_void) -> Option<NonNull<bindings::wait_queue_head>> {
        match private.addr() & ASIDE {
            0 => NonNull::new(private.cast()),
            _ => None,
        }
    }

    /// Whether it was put on a queue that has not gone away.
    pub fn is_active(&self) -> bool {
        Self::head(self.private().load(Relaxed)).is_some()
    }

    /// Whether it is on no queue, and nothing is aside.
    #[inline]
    pub fn is_free(&self) -> bool {
        // ORDERING: as in `remove()`.
        self.private().load(Acquire).is_null()
    }

    /// What was set [aside](Self::set_aside()).
    #[inline]
    pub fn aside(&self) -> Option<NonNull<c_void>> {
        // ORDERING: pairs with `set_aside()`.
        let private = self.private().load(Acquire);
        match private.addr() & ASIDE {
            0 => None,
            _ => NonNull::new(private.map_addr(|addr| addr & !ASIDE)),
        }
    }

    /// Keeps a pointer of the owner's, which is aligned to two bytes at least, in the place of the
    /// queue, until the entry is put on one.
    ///
    /// # Safety
    ///
    /// The entry is on no queue, and nobody else adds or removes it.
    pub unsafe fn set_aside(&self, aside: NonNull<c_void>) {
        let marked = aside.as_ptr().map_addr(|addr| addr | ASIDE);
        // ORDERING: whoever gets it sees what is behind it.
        //
        // INVARIANT: By the safety requirement.
        self.private().store(marked, Release);
    }

    /// Puts it on a queue. With `exclusive`, one such entry is woken at a time.
    ///
    /// # Safety
    ///
    /// * The entry is on no queue, and nobody else adds or removes it. It is removed before it is
    ///   freed.
    /// * Its function may be called with it, under the lock of the queue, until it is removed.
    /// * `head` stays valid until the entry is removed, or its owner wakes it with [`POLLFREE`] and
    ///   waits for an RCU grace period.
    pub unsafe fn add(self: Pin<&Self>, head: *mut bindings::wait_queue_head, exclusive: bool) {
        // INVARIANT: By the safety requirement. No wake-up comes before the entry is on the queue.
        self.private().store(head.cast(), Relaxed);
        // SAFETY: By the safety requirement; the entry is pinned.
        unsafe {
            if exclusive {
                bindings::add_wait_queue_exclusive(head, self.0.get());
            } else {
                bindings::add_wait_queue(head, self.0.get());
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
        if Self::head(self.private().load(Acquire)).is_none() {
            return;
        }
        let _guard = rcu::read_lock();
        // ORDERING: whoever sees null also sees that the wake-up is through with the entry.
        if let Some(head) = Self::head(self.private().load(Acquire)) {
            // SAFETY: By the type invariant, and the RCU section keeps `head` valid.
            unsafe { bindings::remove_wait_queue(head.as_ptr(), self.0.get()) };
            // INVARIANT: It is on no queue, and no wake-up is under way.
            self.private().store(null_mut(), Relaxed);
        }
    }

    /// Tells `told` of a wake-up that has not [`POLLFREE`].
    ///
    /// # Safety
    ///
    /// The lock of the wait queue is held, and keeps `told` from being dropped.
    #[inline(always)]
    pub unsafe fn tell<T: WakeFn>(told: &T, mask: u32) -> c_int {
        told.wake(mask, &Wakeup(())) as c_int
    }

    /// Takes an entry off a queue that goes away, and tells `told`. Returns what its function does.
    ///
    /// # Safety
    ///
    /// `entry` is that of a [`RawWaitEntry`], and the lock of its queue held. It keeps `told`, and
    /// the entry, from being freed until they are no longer used. They may be freed on return.
    #[cold]
    pub unsafe fn leave<T: WakeFn>(
        entry: *mut bindings::wait_queue_entry,
        told: *const T,
    ) -> c_int {
        // SAFETY: The lock is held, and whoever drops the entry waits for the store below.
        unsafe { (*told).gone() };
        // SAFETY: As above.
        unsafe { bindings::list_del_init(&raw mut (*entry).entry) };
        // SAFETY: The field is valid up to the store.
        //
        // ORDERING: the last access to the entry; pairs with `remove()`.
        unsafe { atomic_store::<*mut c_void, _>(&raw mut (*entry).private, null_mut(), Release) };
        Woken::Yes as c_int
    }
}

/// An entry that is on one wait queue or on none, with what it tells.
#[pin_data(PinnedDrop)]
pub struct WaitEntry<T: WakeFn> {
    #[pin]
    entry: RawWaitEntry,
    data: T,
}

impl<T: WakeFn> WaitEntry<T> {
    /// An entry that is on no queue, and will tell `data`.
    pub fn new(data: T) -> impl PinInit<Self> {
        pin_init!(Self {
            entry: RawWaitEntry::new(Some(Self::wake)),
            data,
        })
    }

    /// What is told.
    pub fn data(&self) -> &T {
        &self.data
    }

    /// What is on the queue.
    pub fn entry(self: Pin<&Self>) -> Pin<&RawWaitEntry> {
        // SAFETY: The field is pinned as well.
        unsafe { self.map_unchecked(|this| &this.entry) }
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
        let this = unsafe { container_of!(entry.cast::<RawWaitEntry>(), Self, entry) };
        if mask & POLLFREE != 0 {
            // SAFETY: By the safety requirement, and `this` is not used any more.
            return unsafe { RawWaitEntry::leave(entry, &raw const (*this).data) };
        }
        // SAFETY: By the safety requirement. The lock, and the queue in `private`, keep `drop()`
        // from going on.
        unsafe { RawWaitEntry::tell(&(*this).data, mask) }
    }
}

#[pinned_drop]
impl<T: WakeFn> PinnedDrop for WaitEntry<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Nobody else has it.
        unsafe { self.entry.remove() };
    }
}

#[cfg(CONFIG_RUST_WAIT_KUNIT_TEST)]
#[macros::kunit_tests(rust_wait)]
mod tests {
    use super::*;
    use crate::sync::{
        new_condvar,
        CondVar, //
    };

    /// Notes what it is told.
    struct Heard {
        times: Atomic<u32>,
        mask: Atomic<u32>,
        gone: Atomic<u32>,
        answer: Woken,
    }

    impl WakeFn for Heard {
        fn wake(&self, mask: u32, wakeup: &Wakeup) -> Woken {
            assert!(cfg!(CONFIG_PREEMPT_RT) || wakeup.interrupts_off().is_some());
            self.times.fetch_add(1, Relaxed);
            self.mask.store(mask, Relaxed);
            self.answer
        }

        fn gone(&self) {
            self.gone.fetch_add(1, Relaxed);
        }
    }

    impl Heard {
        fn entry(answer: Woken) -> Result<Pin<KBox<WaitEntry<Self>>>> {
            let heard = Heard {
                times: Atomic::new(0),
                mask: Atomic::new(0),
                gone: Atomic::new(0),
                answer,
            };
            KBox::pin_init(WaitEntry::new(heard), GFP_KERNEL)
        }
    }

    /// How often, with what last, and whether the queue is gone.
    fn heard(entry: &WaitEntry<Heard>) -> (u32, u32, u32) {
        let heard = entry.data();
        (
            heard.times.load(Relaxed),
            heard.mask.load(Relaxed),
            heard.gone.load(Relaxed),
        )
    }

    fn head() -> Result<Pin<KBox<CondVar>>> {
        KBox::pin_init(new_condvar!("rust_wait_test"), GFP_KERNEL)
    }

    /// Puts it on a queue that outlives it.
    fn add(entry: &Pin<KBox<WaitEntry<Heard>>>, head: &CondVar, exclusive: bool) {
        // SAFETY: It is on none; it is dropped, and so removed, before the queue.
        unsafe {
            entry
                .as_ref()
                .entry()
                .add(head.wait_queue_head.get(), exclusive)
        };
    }

    fn wake(head: &CondVar, mask: u32) {
        let key = core::ptr::without_provenance_mut(mask as usize);
        // SAFETY: It is valid.
        unsafe { bindings::__wake_up(head.wait_queue_head.get(), bindings::TASK_NORMAL, 1, key) };
    }

    #[test]
    fn all_are_told_until_they_leave() -> Result {
        let head = head()?;
        let (one, two) = (Heard::entry(Woken::Yes)?, Heard::entry(Woken::Yes)?);
        assert!(one.entry.is_free());
        add(&one, &head, false);
        add(&two, &head, false);
        assert!(one.entry.is_active());
        wake(&head, bindings::POLLIN);
        assert_eq!((1, bindings::POLLIN, 0), heard(&one));
        assert_eq!((1, bindings::POLLIN, 0), heard(&two));
        // SAFETY: Nobody else does.
        unsafe { one.entry.remove() };
        assert!(one.entry.is_free());
        wake(&head, 0);
        assert_eq!((1, bindings::POLLIN, 0), heard(&one));
        assert_eq!((2, 0, 0), heard(&two));
        drop(two);
        // On a queue of which nobody has an entry.
        wake(&head, bindings::POLLOUT);
        add(&one, &head, false);
        wake(&head, bindings::POLLOUT);
        assert_eq!((2, bindings::POLLOUT, 0), heard(&one));
        Ok(())
    }

    #[test]
    fn one_exclusive_wakeup_is_used() -> Result {
        let head = head()?;
        let refuses = Heard::entry(Woken::No)?;
        let (one, two) = (Heard::entry(Woken::Yes)?, Heard::entry(Woken::Yes)?);
        for entry in [&refuses, &one, &two] {
            add(entry, &head, true);
        }
        wake(&head, bindings::POLLIN);
        assert_eq!((1, bindings::POLLIN, 0), heard(&refuses));
        assert_eq!((1, bindings::POLLIN, 0), heard(&one));
        assert_eq!((0, 0, 0), heard(&two));
        Ok(())
    }

    #[test]
    fn queue_goes_away() -> Result {
        let head = head()?;
        let (one, two) = (Heard::entry(Woken::Yes)?, Heard::entry(Woken::Yes)?);
        add(&one, &head, false);
        add(&two, &head, true);
        // SAFETY: It is valid.
        unsafe { bindings::__wake_up_pollfree(head.wait_queue_head.get()) };
        for entry in [&one, &two] {
            assert_eq!((0, 0, 1), heard(entry));
            assert!(entry.entry.is_free());
            // SAFETY: Nobody else does.
            unsafe { entry.entry.remove() };
        }
        Ok(())
    }

    #[test]
    fn what_is_aside_is_no_queue() -> Result {
        let head = head()?;
        let entry = Heard::entry(Woken::Yes)?;
        let aside = NonNull::from(&*head).cast();
        // SAFETY: It is on no queue, and nobody else has it.
        unsafe { entry.entry.set_aside(aside) };
        assert_eq!(Some(aside), entry.entry.aside());
        assert!(!entry.entry.is_active() && !entry.entry.is_free());
        // SAFETY: Nobody else does.
        unsafe { entry.entry.remove() };
        assert_eq!(Some(aside), entry.entry.aside());
        Ok(())
    }
}
