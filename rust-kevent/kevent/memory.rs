// SPDX-License-Identifier: GPL-2.0

//! The memory of the event ring.
//!
//! It belongs to the queue. Pages of it are inserted into mappings of the queue's file, each of
//! which holds a reference to the file and so to the queue.
//!
//! User space writes to this memory at any time. So no Rust reference to it exists, but for
//! atomics.

use super::{
    array::accounted,
    event::Event,
    ring::Memory, //
};
use crate::{
    alloc::allocator::Vmalloc,
    bindings,
    error::from_err_ptr,
    fs::File,
    mm::virt::{
        flags,
        VmaNew, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::Atomic,
        Arc, //
    }, //
};
use core::{
    mem::offset_of,
    ptr::NonNull, //
};

const HEADER: usize = size_of::<bindings::kevent_ring>();
const SLOT: usize = size_of::<Event>();
const SLOTS: usize = offset_of!(bindings::kevent_ring, ring_slots);
const PENDING: usize = offset_of!(bindings::kevent_ring, ring_pending);
const KIND: usize = offset_of!(Event, kind);
const FLAGS: usize = offset_of!(Event, flags);
const ERROR: usize = offset_of!(Event, error);
const DATA: usize = offset_of!(Event, data);
const WORD: usize = offset_of!(Event, word);

const _: () = {
    assert!(size_of::<Event>() == size_of::<bindings::ukevent>());
    assert!(align_of::<Event>() >= align_of::<bindings::ukevent>());
    assert!(offset_of!(Event, kind) == offset_of!(bindings::ukevent, type_));
    assert!(KIND % 8 == 0 && offset_of!(Event, mask) == KIND + 4);
    assert!(offset_of!(Event, mask) == offset_of!(bindings::ukevent, event));
    assert!(offset_of!(Event, flags) == offset_of!(bindings::ukevent, req_flags));
    assert!(FLAGS % 8 == 0 && ERROR == FLAGS + 4);
    assert!(offset_of!(Event, error) == offset_of!(bindings::ukevent, error));
    assert!(offset_of!(Event, data) == offset_of!(bindings::ukevent, data));
    assert!(offset_of!(Event, user) == offset_of!(bindings::ukevent, user));
    assert!(offset_of!(Event, param) == offset_of!(bindings::ukevent, param));
    assert!(offset_of!(Event, word) == 56);
    assert!(HEADER == 128);
};

type PageBytes = [u8; PAGE_SIZE];

/// The memory of one ring.
///
/// # Invariants
///
/// `base` points to `pages` zeroed pages from [`Vmalloc`], that hold the header and
/// `mask + 1` slots, a power of two, and that live as long as this value.
pub struct RingMemory {
    base: NonNull<u8>,
    mask: usize,
    pages: usize,
    head: Atomic<u64>,
}

// SAFETY: The memory is not bound to a thread.
unsafe impl Send for RingMemory {}
// SAFETY: Through a shared reference, the memory is accessed by atomics and volatile writes, and
// both the kernel's and the user's side stand any value in it.
unsafe impl Sync for RingMemory {}

impl RingMemory {
    /// Memory for `slots`, which must be a power of two up to `KEVENT_RING_MAX`.
    pub fn new(slots: u32) -> Result<Self> {
        if !slots.is_power_of_two() || slots > bindings::KEVENT_RING_MAX {
            return Err(EINVAL);
        }
        let pages = Self::bytes(slots) / PAGE_SIZE;
        let (base, _, _) = VVec::<PageBytes>::zeroed(pages, accounted())?.into_raw_parts();
        // INVARIANT: The vector had no capacity beyond its length, as `zeroed()` reserves exactly.
        let memory = RingMemory {
            base: NonNull::new(base.cast()).ok_or(ENOMEM)?,
            mask: (slots as usize).wrapping_sub(1),
            pages,
            head: Atomic::new(0),
        };
        // SAFETY: The header lies in the memory, and nobody else knows it yet.
        unsafe {
            memory
                .base
                .as_ptr()
                .add(SLOTS)
                .cast::<u32>()
                .write_volatile(slots)
        };
        Ok(memory)
    }

    /// The size of the mapping of a ring of `slots`.
    pub fn bytes(slots: u32) -> usize {
        let bytes = (slots as usize).saturating_mul(SLOT).saturating_add(HEADER);
        bytes.next_multiple_of(PAGE_SIZE)
    }

    /// Maps the whole ring.
    pub fn map(&self, vma: &VmaNew) -> Result {
        // SAFETY: The vma is valid and is being set up, so nobody else changes it.
        let offset = unsafe { (*vma.as_ptr()).vm_pgoff };
        let len = vma.end().wrapping_sub(vma.start());
        if offset != 0 || len / PAGE_SIZE != self.pages || vma.flags() & flags::SHARED == 0 {
            return Err(EINVAL);
        }
        vma.set_dontexpand();
        vma.set_dontdump();
        let vma_pages = vma.set_mixedmap();
        for index in 0..self.pages {
            let offset = index.wrapping_mul(PAGE_SIZE);
            // SAFETY: By the type invariant, the offset lies in memory from `Vmalloc` that outlives
            // the reference to the page.
            let page = unsafe { Vmalloc::to_page(self.base.add(offset)) };
            vma_pages.vm_insert_page(vma.start().wrapping_add(offset), &page)?;
        }
        Ok(())
    }

    /// Maps the ring of `slots` that `file` has at `address`, in place of what is mapped there.
    pub fn map_at(file: &File, address: usize, slots: u32) -> Result {
        // SAFETY: The file is valid; `vm_mmap()` checks the address, as it comes from user space.
        let mapped = unsafe {
            bindings::vm_mmap(
                file.as_ptr(),
                address,
                Self::bytes(slots),
                (bindings::PROT_READ | bindings::PROT_WRITE) as usize,
                (bindings::MAP_SHARED | bindings::MAP_FIXED) as usize,
                0,
            )
        };
        from_err_ptr(core::ptr::without_provenance_mut::<c_void>(mapped)).map(|_| ())
    }

    /// The memory, for the ring's own use.
    pub fn access(this: Arc<Self>) -> RingAccess {
        // INVARIANT: They are those of the memory.
        RingAccess {
            base: this.base,
            mask: this.mask,
            memory: this,
        }
    }
}

/// What a ring has of its memory: the address, where the compiler sees that no write to the memory
/// changes it.
///
/// # Invariants
///
/// `base` and `mask` are those of `memory`.
pub struct RingAccess {
    base: NonNull<u8>,
    mask: usize,
    memory: Arc<RingMemory>,
}

// SAFETY: As for `RingMemory`.
unsafe impl Send for RingAccess {}
// SAFETY: As for `RingMemory`.
unsafe impl Sync for RingAccess {}

/// Who has the memory of a ring at hand.
///
/// # Safety
///
/// `base()` and `mask()` are those of a [`RingMemory`] that lives as long as `self`.
unsafe trait Place {
    fn base(&self) -> NonNull<u8>;
    fn mask(&self) -> usize;
    fn private_head(&self) -> &Atomic<u64>;

    #[inline]
    fn slot(&self, position: u64) -> *mut u8 {
        let offset = (position as usize & self.mask())
            .wrapping_mul(SLOT)
            .wrapping_add(HEADER);
        // SAFETY: By the contract of this trait, the memory holds this slot.
        unsafe { self.base().as_ptr().add(offset) }
    }

    /// # Safety
    ///
    /// `offset` must lie, with `T` and aligned for it, in the memory after `base`.
    #[inline]
    unsafe fn atomic<T: crate::sync::atomic::AtomicType>(
        &self,
        base: *mut u8,
        offset: usize,
    ) -> &Atomic<T> {
        // SAFETY: By the safety requirement, and the memory lives as long as `self`. The kernel
        // accesses it in no other way but for `write()`, which keeps off what is atomic.
        unsafe { Atomic::from_ptr(base.add(offset).cast()) }
    }
}

// SAFETY: They are its own.
unsafe impl Place for RingMemory {
    #[inline]
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    #[inline]
    fn mask(&self) -> usize {
        self.mask
    }

    #[inline]
    fn private_head(&self) -> &Atomic<u64> {
        &self.head
    }
}

// SAFETY: By the type invariant.
unsafe impl Place for RingAccess {
    #[inline]
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    #[inline]
    fn mask(&self) -> usize {
        self.mask
    }

    #[inline]
    fn private_head(&self) -> &Atomic<u64> {
        &self.memory.head
    }
}

/// The memory of a ring, as long as `'a` keeps it. The compiler sees that no write to it changes
/// where it is.
///
/// # Invariants
///
/// All of it is of one [`RingMemory`].
struct RingView<'a, P: Place> {
    base: NonNull<u8>,
    mask: usize,
    of: &'a P,
}

// SAFETY: By the type invariant.
unsafe impl<P: Place> Place for RingView<'_, P> {
    #[inline(always)]
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    #[inline(always)]
    fn mask(&self) -> usize {
        self.mask
    }

    #[inline(always)]
    fn private_head(&self) -> &Atomic<u64> {
        self.of.private_head()
    }
}

impl<P: Place> Memory for P {
    #[inline]
    fn word(&self, position: u64) -> &Atomic<u64> {
        // SAFETY: The word is an aligned part of the slot.
        unsafe { self.atomic(self.slot(position), WORD) }
    }

    #[inline]
    fn data(&self, position: u64) -> &Atomic<u64> {
        // SAFETY: The datum is an aligned part of the slot.
        unsafe { self.atomic(self.slot(position), DATA) }
    }

    fn write_error(&self, position: u64, error: u32) {
        // SAFETY: The errno is an aligned part of the slot. Whoever reads it is in user space.
        unsafe {
            self.slot(position)
                .add(ERROR)
                .cast::<u32>()
                .write_volatile(error)
        };
    }

    #[inline(always)]
    fn write(&self, position: u64, event: &Event) {
        let (slot, from) = (
            self.slot(position).cast::<Event>(),
            core::ptr::from_ref(event),
        );
        // SAFETY: The slot has the layout of an event, in which the mask follows the type, and the
        // errno the flags, both aligned as one. Whoever else accesses it is in user space, and
        // stands any value.
        unsafe {
            (&raw mut (*slot).id).write_volatile(event.id);
            // Two fields in one go, from where they lie side by side.
            for pair in [KIND, FLAGS] {
                slot.byte_add(pair)
                    .cast::<u64>()
                    .write_volatile(from.byte_add(pair).cast::<u64>().read());
            }
            (&raw mut (*slot).user).write_volatile(event.user);
            (&raw mut (*slot).param[0]).write_volatile(event.param[0]);
        }
    }

    #[inline]
    fn position(&self) -> &Atomic<u64> {
        // SAFETY: The position is the begin of the header.
        unsafe { self.atomic(self.base().as_ptr(), 0) }
    }

    #[inline]
    fn pending(&self) -> &Atomic<u32> {
        // SAFETY: The word is an aligned part of the header.
        unsafe { self.atomic(self.base().as_ptr(), PENDING) }
    }

    #[inline]
    fn head(&self) -> &Atomic<u64> {
        self.private_head()
    }

    #[inline]
    fn size(&self) -> u64 {
        self.mask().wrapping_add(1) as u64
    }

    #[inline(always)]
    fn local(&self) -> impl Memory + '_ {
        RingView {
            base: self.base(),
            mask: self.mask(),
            of: self,
        }
    }
}

impl Drop for RingMemory {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, these are the parts of a vector that was given up in
        // `new()`. Mappings hold references to the pages of their own.
        drop(unsafe {
            VVec::<PageBytes>::from_raw_parts(self.base.as_ptr().cast(), self.pages, self.pages)
        });
    }
}

#[cfg(CONFIG_RUST_KEVENT_KUNIT_TEST)]
#[macros::kunit_tests(rust_kevent)]
mod tests {
    use super::{
        super::{
            array::{
                Array,
                Circle, //
            },
            event::{
                Event,
                Fired, //
            },
            keys::Secret,
            registration::{
                Handle,
                Nature,
                Registration, //
            },
            ring::{
                Memory,
                Ring,
                Slot, //
            },
            state::{
                Next,
                State,
                Wake, //
            }, //
        },
        *,
    };
    use crate::sync::atomic::Relaxed;

    /// On the heap: it takes a fifth of a kernel stack.
    fn state(slots: u32) -> Result<KBox<State<RingAccess>>> {
        let ring = Ring::new(
            RingMemory::access(Arc::new(RingMemory::new(slots)?, accounted())?),
            Circle::new(slots as usize, Slot::FRESH)?,
        );
        let mut state = KBox::new(State::new(Some(ring), SECRET), accounted())?;
        if let Some(len) = state.table().wants() {
            let chunk = Array::new(len, Registration::FREE)?;
            assert!(state.table().grow(chunk).is_ok());
        }
        Ok(state)
    }

    const SECRET: Secret = Secret::new([1, 2]);

    fn add(state: &mut State<RingAccess>, request: &Event) -> Result<Handle> {
        let hash = SECRET.hash(request.kind, request.id);
        let vacant = state.vacant(hash, request.kind, request.id).ok_or(EEXIST)?;
        let added = state.add(vacant, request, 0, Nature::Plain, |_| None);
        added.ok_or(ENOMEM)
    }

    fn fired(mask: u32) -> Fired {
        Fired {
            mask,
            ..Fired::default()
        }
    }

    #[test]
    fn sizes() -> Result {
        for slots in [0, 3, 5, 65535, 131072, u32::MAX] {
            assert!(RingMemory::new(slots).is_err());
        }
        for slots in [1, 2, 64, 65536] {
            let memory = RingMemory::new(slots)?;
            assert_eq!(memory.mask + 1, slots as usize);
            assert!(memory.pages * PAGE_SIZE >= HEADER + slots as usize * SLOT);
        }
        Ok(())
    }

    #[test]
    fn entry_lands_in_the_mapping() -> Result {
        let mut state = state(2)?;
        let template = Event {
            id: 7,
            mask: 3,
            user: 9,
            ..Event::default()
        };
        let handle = add(&mut state, &template)?;
        assert_eq!(state.fire(handle, &fired(1)), Wake::One);

        let memory = state.ring().ok_or(EINVAL)?.memory();
        assert_eq!(memory.position().load(Relaxed), 1);
        assert_eq!(memory.word(0).load(Relaxed) as u32, 1);
        // SAFETY: The first slot lies in the memory, and nobody writes to it.
        let id = unsafe { memory.slot(0).cast::<u64>().read_volatile() };
        assert_eq!(id, 7);
        Ok(())
    }

    #[test]
    fn overflow_waits_and_is_delivered_in_order() -> Result {
        let mut state = state(1)?;
        for id in 0..3 {
            let template = Event {
                id,
                mask: 1,
                ..Event::default()
            };
            let handle = add(&mut state, &template)?;
            assert_eq!(state.fire(handle, &fired(1)), Wake::One);
        }
        assert_eq!(state.pending(), 2);
        assert_eq!(
            state.ring().ok_or(EINVAL)?.memory().pending().load(Relaxed),
            1
        );
        for id in 0..3 {
            let (next, registration) = state.peek().ok_or(EINVAL)?;
            assert_eq!(registration.event.id, id);
            assert!(matches!(next, Next::Ring(_)) == (id == 0));
            assert!(state.take(next));
        }
        assert!(state.peek().is_none());
        assert_eq!(
            state.ring().ok_or(EINVAL)?.memory().pending().load(Relaxed),
            0
        );
        Ok(())
    }

    #[test]
    fn garbage_costs_no_more_than_its_slot() -> Result {
        let mut state = state(2)?;
        let template = Event {
            id: 1,
            mask: 1,
            ..Event::default()
        };
        let handle = add(&mut state, &template)?;
        state.fire(handle, &fired(1));
        for word in [u64::MAX, 0, 1 << 40, 0x5555_5555_5555_5555] {
            let memory = state.ring().ok_or(EINVAL)?.memory();
            memory.word(0).store(word, Relaxed);
            memory.position().store(word, Relaxed);
            state.fire(handle, &fired(1));
        }
        state.remove(handle);
        assert!(state.template(handle).is_none());
        Ok(())
    }
}
