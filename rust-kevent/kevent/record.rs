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

/// Says in a record what became of it.
pub(crate) fn answer(record: &mut Event, result: u32, error: u32) {
    record.error = error;
    record.word = Word::untaken(0, result, 0).0;
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

    /// Copies an event with another word to where the next one goes, which stays where it is. Does
    /// not sleep. [`EFAULT`] if the place is not present.
    pub(crate) fn offer(&self, event: &Event, word: u64) -> Result {
        let to = self.0.as_mut_ptr().cast();
        // SAFETY: The event is valid, and the call checks the address.
        to_result(unsafe { bindings::kevent_copy_out(to, core::ptr::from_ref(event).cast(), word) })
    }

    /// Copies an event to where the next one goes. May sleep.
    pub(crate) fn push(&mut self, event: &Event) -> Result {
        self.writer().write_slice(event.as_bytes())?;
        self.advance();
        Ok(())
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
