// SPDX-License-Identifier: GPL-2.0

//! The shared memory of a ring, on the host.

use super::{
    consumer::Mapping,
    event::Event,
    ring::Memory, //
};
use crate::sync::{
    atomic::Atomic,
    primitive::{
        AtomicU32,
        AtomicU64,
        Cell, //
    }, //
    Arc,
};

struct Slot {
    payload: Cell<Event>,
    /// What a merge wrote; no order is asked of it.
    error: std::sync::atomic::AtomicU32,
    data: Atomic<u64>,
    word: Atomic<u64>,
}

/// A header and slots, shared by the kernel's side and the consumers.
pub struct Shared {
    shift: u32,
    position: Atomic<u64>,
    pending: Atomic<u32>,
    head: Atomic<u64>,
    slots: Vec<Slot>,
}

// SAFETY: The payload of a slot is written by the kernel's side while the slot is free, and read by
// the one consumer that holds it. That is what the tests are about; loom and Miri check it.
unsafe impl Sync for Shared {}
// SAFETY: See above.
unsafe impl Send for Shared {}

impl Shared {
    /// Memory of `1 << shift` slots.
    pub fn new(shift: u32) -> Self {
        let slot = |_| Slot {
            payload: Cell::new(Event::default()),
            error: Default::default(),
            data: Atomic::<u64>::new(0),
            word: Atomic::<u64>::new(0),
        };
        Shared {
            shift,
            position: Atomic::<u64>::new(0),
            pending: Atomic::<u32>::new(0),
            head: Atomic::<u64>::new(0),
            slots: (0..1u32 << shift).map(slot).collect(),
        }
    }

    /// The errno that a merge wrote into an entry.
    pub fn error(&self, position: u64) -> u32 {
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        self.slot(position).error.load(relaxed)
    }

    fn slot(&self, position: u64) -> &Slot {
        &self.slots[(position & ((1 << self.shift) - 1)) as usize]
    }
}

impl Memory for Shared {
    fn word(&self, position: u64) -> &Atomic<u64> {
        &self.slot(position).word
    }

    fn data(&self, position: u64) -> &Atomic<u64> {
        &self.slot(position).data
    }

    fn write_error(&self, position: u64, error: u32) {
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        self.slot(position).error.store(error, relaxed);
    }

    fn write(&self, position: u64, event: &Event) {
        // SAFETY: The slot is free.
        self.slot(position)
            .payload
            .with_mut(|payload| unsafe { *payload = *event });
    }

    fn position(&self) -> &Atomic<u64> {
        &self.position
    }

    fn pending(&self) -> &Atomic<u32> {
        &self.pending
    }

    fn head(&self) -> &Atomic<u64> {
        &self.head
    }

    fn size(&self) -> u64 {
        1 << self.shift
    }

    fn local(&self) -> impl Memory + '_ {
        self
    }
}

macro_rules! through {
    ($($pointer:ty,)*) => {$(
impl<M: Memory> Memory for $pointer {
    fn word(&self, position: u64) -> &Atomic<u64> {
        (**self).word(position)
    }

    fn data(&self, position: u64) -> &Atomic<u64> {
        (**self).data(position)
    }

    fn write(&self, position: u64, event: &Event) {
        (**self).write(position, event)
    }

    fn write_error(&self, position: u64, error: u32) {
        (**self).write_error(position, error)
    }

    fn position(&self) -> &Atomic<u64> {
        (**self).position()
    }

    fn pending(&self) -> &Atomic<u32> {
        (**self).pending()
    }

    fn head(&self) -> &Atomic<u64> {
        (**self).head()
    }

    fn size(&self) -> u64 {
        (**self).size()
    }

    fn local(&self) -> impl Memory + '_ {
        (**self).local()
    }
}
    )*};
}

through! {
    Arc<M>,
    &M,
}

impl Mapping for Shared {
    type Payload = Event;

    fn shift(&self) -> u32 {
        self.shift
    }

    fn position(&self) -> &AtomicU64 {
        self.position.shared()
    }

    fn pending(&self) -> &AtomicU32 {
        self.pending.shared()
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        self.slot(position).word.shared()
    }

    fn data(&self, position: u64) -> &AtomicU64 {
        self.slot(position).data.shared()
    }

    unsafe fn payload(&self, position: u64) -> Event {
        // SAFETY: The caller holds the slot.
        self.slot(position)
            .payload
            .with(|payload| unsafe { *payload })
    }
}
