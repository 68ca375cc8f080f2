// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Registrations, and the table that holds those of one queue.
//!
//! A registration lives in a [`Table`] and is named by a [`Handle`]. The table grows by chunks, each
//! as large as all before it, so that no registration ever moves and a lookup is two loads: a handle
//! has the chunk in its upper 4 bits, and the place in it below. Chunks are allocated by the caller,
//! outside the lock.

use super::{
    array::Array,
    event::{
        Event,
        Fired,
        REQ_DISPATCH,
        REQ_ET,
        REQ_ONESHOT, //
    },
    ring::NO_SLOT, //
};

/// Names a registration of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u32);

/// What a registration does with the next firing.
///
/// ```text
///            ADD                     published, ONESHOT
///   Free ----------> Armed ------------------------------> Dead
///     ^               | ^                                   |
///     |     published,| |MODIFY                             |
///     |      DISPATCH v |                                   |
///     |             Disabled                                |
///     +---------------+------------- REMOVE, reaped --------+
/// ```
///
/// An armed registration may in addition be on one of two lists. Pending: it fired, and its event
/// found no room. To be looked at again: an event of it was published, and there may be more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No registration.
    Free,
    /// Its source may fire.
    Armed,
    /// Delivered, until MODIFY.
    Disabled,
    /// Delivered, and its key is free.
    Dead,
}

/// What there is to look at again, once an event was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Nothing: the source says it all when it fires.
    Plain,
    /// A state that may still be true. A level is looked at once its slot is finished.
    State,
    /// A count that may have grown.
    Count,
}

/// What happens to a registration when an event of it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequel {
    /// It goes on as it is.
    Nothing,
    /// It is looked at again.
    Again,
    /// It is disabled.
    Disabled,
    /// It is over.
    Over,
}

/// One registered interest. `T` ties it to its source.
#[derive(Clone)]
pub struct Registration<T = ()> {
    /// What every event of it begins as.
    pub template: Event,
    /// What waits for room.
    pub pending: Option<Fired>,
    /// What to ask, if there is something to look at.
    pub tie: Option<T>,
    /// What there is to look at.
    pub nature: Nature,
    /// On the list of those to look at again.
    pub again: bool,
    /// What it does next.
    pub phase: Phase,
    /// The newest slot of its chain.
    pub newest: u32,
    /// Links of the one list that it is on.
    prev: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;

impl<T> Registration<T> {
    /// An unused place of a table.
    pub const FREE: Self = Registration {
        template: Event {
            id: 0,
            kind: 0,
            mask: 0,
            flags: 0,
            error: 0,
            data: 0,
            user: 0,
            param: [0; 2],
            word: 0,
        },
        pending: None,
        tie: None,
        nature: Nature::Plain,
        again: false,
        phase: Phase::Free,
        newest: NO_SLOT,
        prev: NONE,
        next: NONE,
    };

    /// What tells a request from those before it.
    pub fn generation(&self) -> u64 {
        self.template.param[0]
    }

    /// What happens to it when an event of it is published.
    pub fn sequel(&self) -> Sequel {
        let flags = self.template.flags;
        if flags & REQ_ONESHOT != 0 {
            return Sequel::Over;
        }
        if flags & REQ_DISPATCH != 0 {
            return Sequel::Disabled;
        }
        match self.nature {
            Nature::State if flags & REQ_ET == 0 => Sequel::Again,
            Nature::Count => Sequel::Again,
            Nature::State | Nature::Plain => Sequel::Nothing,
        }
    }

    /// What a caller of `kevent_get_events()` sees of it while it is pending.
    pub fn pending_event(&self) -> Option<Event> {
        let fired = self.pending?;
        Some(Event {
            data: fired.data,
            error: fired.error,
            word: super::word::Word::untaken(fired.mask, fired.result, 0).0,
            ..self.template
        })
    }
}

const FIRST_CHUNK_SHIFT: u32 = 6;
const CHUNKS: usize = 16;
const OFFSET_BITS: u32 = 28;

const _: () = assert!(CHUNKS <= 1 << (32 - OFFSET_BITS));
const _: () = assert!(FIRST_CHUNK_SHIFT as usize + CHUNKS <= OFFSET_BITS as usize);

/// The registrations of one queue.
pub struct Table<T = ()> {
    chunks: [Option<Array<Registration<T>>>; CHUNKS],
    free: List,
    grown: usize,
    /// Places that were ever used, and places there are.
    used: u32,
    capacity: u32,
}

impl<T> Table<T> {
    /// An empty table.
    pub fn new() -> Self {
        Table {
            chunks: [const { None }; CHUNKS],
            free: List::new(),
            grown: 0,
            used: 0,
            capacity: 0,
        }
    }

    /// How many registrations the next chunk must hold, if one is needed for one more registration;
    /// 0 when the table is as large as it can be.
    pub fn wants(&self) -> Option<usize> {
        if !self.free.is_empty() || self.used != self.capacity {
            return None;
        }
        if self.grown == CHUNKS {
            return Some(0);
        }
        1usize.checked_shl(FIRST_CHUNK_SHIFT.wrapping_add(self.grown as u32))
    }

    /// Adds a chunk of the size that [`Table::wants()`] asked for. Gives it back when the table is
    /// as large as it can be, or no longer wants it.
    pub fn grow(&mut self, chunk: Array<Registration<T>>) -> Result<(), Array<Registration<T>>> {
        if self.wants() != Some(chunk.len()) {
            return Err(chunk);
        }
        let len = chunk.len() as u32;
        let Some(place) = self.chunks.get_mut(self.grown) else {
            return Err(chunk);
        };
        *place = Some(chunk);
        self.grown = self.grown.wrapping_add(1);
        self.capacity = self.capacity.wrapping_add(len);
        Ok(())
    }

    /// The handle of the place that is used after `used` others.
    fn handle(used: u32) -> Handle {
        let biased = used.wrapping_add(1 << FIRST_CHUNK_SHIFT);
        let top = 31u32.wrapping_sub(biased.leading_zeros());
        let chunk = top.wrapping_sub(FIRST_CHUNK_SHIFT);
        Handle((chunk << OFFSET_BITS) | (biased ^ 1u32.wrapping_shl(top)))
    }

    #[inline]
    fn place(handle: Handle) -> (usize, usize) {
        let offset = handle.0 & ((1 << OFFSET_BITS) - 1);
        ((handle.0 >> OFFSET_BITS) as usize, offset as usize)
    }

    /// The registration that `handle` names.
    #[inline]
    pub fn get(&self, handle: Handle) -> Option<&Registration<T>> {
        let (chunk, offset) = Self::place(handle);
        self.chunks.get(chunk)?.as_ref()?.get(offset)
    }

    /// The registration that `handle` names.
    #[inline]
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut Registration<T>> {
        let (chunk, offset) = Self::place(handle);
        self.chunks.get_mut(chunk)?.as_mut()?.get_mut(offset)
    }

    /// The newest slot of a registration's chain.
    pub fn newest(&self, handle: Handle) -> u32 {
        self.get(handle).map_or(NO_SLOT, |r| r.newest)
    }

    /// Arms an unused registration.
    pub fn insert(&mut self, template: Event) -> Option<Handle> {
        let mut free = self.free;
        let freed = free.pop(self);
        self.free = free;
        let handle = match freed {
            Some(handle) => handle,
            None if self.used != self.capacity => {
                self.used = self.used.wrapping_add(1);
                Self::handle(self.used.wrapping_sub(1))
            }
            None => return None,
        };
        let registration = self.get_mut(handle)?;
        *registration = Registration {
            template,
            phase: Phase::Armed,
            ..Registration::FREE
        };
        Some(handle)
    }

    /// Frees a registration that is on no list and has no chain. Returns its tie, which is to be
    /// dropped outside the lock.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        let registration = self.get_mut(handle)?;
        let tie = registration.tie.take();
        *registration = Registration::FREE;
        let mut free = self.free;
        free.push(self, handle);
        self.free = free;
        tie
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A list through the links of registrations. One registration is on one list at most.
#[derive(Clone, Copy)]
pub struct List {
    first: u32,
    last: u32,
    len: u32,
}

impl List {
    /// An empty list.
    pub const fn new() -> Self {
        List {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }

    /// Whether nothing is on it.
    pub fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// How many are on it.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The oldest.
    pub fn first(&self) -> Option<Handle> {
        (self.first != NONE).then_some(Handle(self.first))
    }

    /// Appends a registration that is on no list.
    pub fn push<T>(&mut self, table: &mut Table<T>, handle: Handle) {
        let Some(registration) = table.get_mut(handle) else {
            return;
        };
        registration.prev = self.last;
        registration.next = NONE;
        match table.get_mut(Handle(self.last)) {
            Some(last) if self.last != NONE => last.next = handle.0,
            _ => self.first = handle.0,
        }
        self.last = handle.0;
        self.len = self.len.wrapping_add(1);
    }

    /// Takes the oldest off.
    pub fn pop<T>(&mut self, table: &mut Table<T>) -> Option<Handle> {
        let handle = self.first()?;
        self.unlink(table, handle);
        Some(handle)
    }

    /// Takes off a registration that is on this list.
    pub fn unlink<T>(&mut self, table: &mut Table<T>, handle: Handle) {
        let Some(registration) = table.get_mut(handle) else {
            return;
        };
        let (prev, next) = (registration.prev, registration.next);
        registration.prev = NONE;
        registration.next = NONE;
        match table.get_mut(Handle(prev)) {
            Some(before) if prev != NONE => before.next = next,
            _ => self.first = next,
        }
        match table.get_mut(Handle(next)) {
            Some(after) if next != NONE => after.prev = prev,
            _ => self.last = prev,
        }
        self.len = self.len.wrapping_sub(1);
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}
