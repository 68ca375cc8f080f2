// SPDX-License-Identifier: GPL-2.0

//! Records on their way from and to user space.

use super::{
    array::accounted,
    event::Event,
    word::Word, //
};
use crate::{
    bindings,
    error::to_result,
    prelude::*,
    transmute::AsBytes,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceWriter, //
    }, //
};
use core::mem::MaybeUninit;

// SAFETY: Integers without padding.
unsafe impl AsBytes for Event {}

/// Copies `len` records in, and hands them to `work`, which says how many of them to answer.
pub(crate) fn with_records<T>(
    user: UserPtr,
    len: usize,
    work: impl FnOnce(&mut [Event]) -> (usize, T),
) -> Result<T> {
    let mut few = [const { MaybeUninit::<Event>::uninit() }; FEW];
    let mut many = KVVec::new();
    let place = if len <= FEW {
        few.get_mut(..len).unwrap_or_default()
    } else {
        many.reserve(len, accounted())?;
        many.spare_capacity_mut().get_mut(..len).ok_or(ENOMEM)?
    };
    let user = user.as_mut_ptr();
    let first = place.as_mut_ptr().cast::<Event>();
    // SAFETY: There is room for `len` records.
    to_result(unsafe { bindings::kevent_copy_in(first.cast(), user.cast(), len as u32) })?;
    // SAFETY: The call above has written them.
    let records = unsafe { core::slice::from_raw_parts_mut(first, len) };
    let (answers, result) = work(records);
    // What took effect stays, even if the answers cannot be written.
    //
    // SAFETY: There are no more answers than records.
    unsafe { bindings::kevent_copy_answers(user.cast(), first.cast(), answers.min(len) as u32) };
    Ok(result)
}

/// How many records are kept on the stack.
const FEW: usize = 8;

/// How many events are copied in one go.
pub(crate) const BATCH: u32 = 64;

/// Says in a record what became of it.
pub(crate) fn answer(record: &mut Event, result: u32, error: u32) {
    record.error = error;
    record.word = Word::untaken(0, result, 0).0;
}

/// Events that are copied in one go, from where they are.
pub(crate) struct Batch([MaybeUninit<*const Event>; BATCH as usize]);

impl Batch {
    /// No events.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Batch([const { MaybeUninit::uninit() }; BATCH as usize])
    }

    /// Puts an event at one of [`BATCH`] places.
    #[inline(always)]
    pub(crate) fn put(&mut self, index: u32, event: &Event) {
        if let Some(place) = self.0.get_mut(index as usize) {
            place.write(event);
        }
    }
}

/// Where `kevent_get_events()` copies events to.
pub(crate) struct Buffer(UserPtr);

impl Buffer {
    /// The first of as many places as the caller fills.
    pub(crate) fn new(user: UserPtr) -> Self {
        Buffer(user)
    }

    /// The place of the next event.
    fn writer(&self) -> UserSliceWriter {
        UserSlice::new(self.0, size_of::<Event>()).writer()
    }

    /// Copies an event to where the next one goes, which stays where it is. Does not sleep.
    /// [`EFAULT`] if the place is not present, or the thread is dying.
    pub(crate) fn offer(&self, event: &Event) -> Result {
        let event = core::ptr::from_ref(event).cast();
        // SAFETY: The event is valid, and the call checks the address.
        match unsafe { bindings::kevent_copy_out(self.0.as_mut_ptr().cast(), &raw const event, 1) }
        {
            1 => Ok(()),
            _ => Err(EFAULT),
        }
    }

    /// Copies as many of the first `len` events of a batch as have places that are present; none if
    /// the thread is dying. Does not sleep. Returns how many.
    ///
    /// # Safety
    ///
    /// They must have been put there, be where they were, and nobody may write to them.
    #[inline(always)]
    pub(crate) unsafe fn fill(&mut self, batch: &Batch, len: u32) -> u32 {
        let from = batch.0.as_ptr().cast();
        // SAFETY: By the safety requirement, the first `len` are pointers to events. The call
        // checks the address.
        let copied = unsafe { bindings::kevent_copy_out(self.0.as_mut_ptr().cast(), from, len) };
        let len = (copied as usize).wrapping_mul(size_of::<Event>());
        self.0 = self.0.wrapping_byte_add(len);
        copied
    }

    /// The place has an event that stays.
    pub(crate) fn advance(&mut self) {
        self.0 = self.0.wrapping_byte_add(size_of::<Event>());
    }

    /// Makes the place of the next event present.
    pub(crate) fn fault_in(&self) -> Result {
        self.writer().fault_in(size_of::<Event>())
    }
}
