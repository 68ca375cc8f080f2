// SPDX-License-Identifier: GPL-2.0

//! Records on their way from and to user space.

use super::{
    array::accounted,
    event::Event,
    word::Word, //
};
use crate::{
    prelude::*,
    transmute::{
        AsBytes,
        FromBytes, //
    },
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceWriter, //
    }, //
};

// SAFETY: Integers without padding; every pattern of bits is valid.
unsafe impl FromBytes for Event {}
// SAFETY: Integers without padding.
unsafe impl AsBytes for Event {}

/// How many records are kept on the stack.
const FEW: usize = 4;

/// The records of one `kevent_ctl()`.
pub(crate) struct Records {
    few: [Event; FEW],
    many: KVVec<Event>,
    len: usize,
    user: UserPtr,
}

impl Records {
    /// Copies `len` records in.
    pub(crate) fn read(user: UserPtr, len: usize) -> Result<Self> {
        let mut reader = UserSlice::new(user, len.saturating_mul(size_of::<Event>())).reader();
        let mut records = Records {
            few: [Event::default(); FEW],
            many: KVVec::new(),
            len,
            user,
        };
        if len > FEW {
            records.many = KVVec::from_elem(Event::default(), len, accounted())?;
        }
        for record in records.as_mut_slice() {
            *record = reader.read()?;
        }
        Ok(records)
    }

    /// The records.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [Event] {
        if self.len > FEW {
            &mut self.many
        } else {
            self.few.get_mut(..self.len).unwrap_or_default()
        }
    }

    /// Writes the first `len` records back. What took effect stays, even if they cannot be written.
    pub(crate) fn write_back(&mut self, len: usize) {
        let size = len.saturating_mul(size_of::<Event>());
        let mut writer = UserSlice::new(self.user, size).writer();
        for record in self.as_mut_slice().iter().take(len) {
            if writer.write(record).is_err() {
                return;
            }
        }
    }
}

/// Says in a record what became of it.
pub(crate) fn answer(record: &mut Event, result: u32, error: u32) {
    record.error = error;
    record.word = Word::untaken(0, result, 0).0;
}

/// Where `kevent_get_events()` copies events to.
pub(crate) struct Buffer {
    next: UserPtr,
    room: usize,
}

impl Buffer {
    /// Room for `len` events.
    pub(crate) fn new(user: UserPtr, len: usize) -> Self {
        Buffer {
            next: user,
            room: len.saturating_mul(size_of::<Event>()),
        }
    }

    fn writer(&self) -> UserSliceWriter {
        UserSlice::new(self.next, self.room).writer()
    }

    /// Copies an event to where the next one goes, from a context that must not sleep. It stays
    /// there only if `keep` agrees.
    pub(crate) fn offer(&mut self, event: &Event, keep: impl FnOnce() -> bool) -> Result<bool> {
        self.writer().write_slice_nofault(event.as_bytes())?;
        let kept = keep();
        if kept {
            self.next = self.next.wrapping_byte_add(size_of::<Event>());
            self.room = self.room.saturating_sub(size_of::<Event>());
        }
        Ok(kept)
    }

    /// Makes the place of the next event present.
    pub(crate) fn fault_in(&self) -> Result {
        self.writer().fault_in(size_of::<Event>())
    }
}
