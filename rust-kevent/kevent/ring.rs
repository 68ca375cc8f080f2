// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The kernel's side of the event ring.
//!
//! # Positions and slots
//!
//! A position runs freely over 64 bits; its slot is `position & (slots - 1)`. `head` is the next
//! position to be filled. It only grows, and the copy in the mapping is written, never read.
//!
//! There is no tail in shared memory. A slot is free when its [`Word`] says finished. The kernel
//! fills the first free slot at or after `head`, and steps over taken ones: the positions that it
//! skips are holes, which no consumer sees because the lap in the word is not theirs. An untaken
//! slot ends the search: the ring is full.
//!
//! # What the kernel believes
//!
//! Nothing that user space can write. For each slot it keeps a [`Slot`] of its own, with the
//! position, what fired and the registration, or a copy of that when it goes. It asks of a word only
//! whether it is still the one that it wrote (by compare-exchange), and whether the slot may be
//! filled. A word of garbage is neither: it costs its writers a slot or an event of theirs.
//!
//! # Memory order
//!
//! | access                        | order   | pairs with                                         |
//! |-------------------------------|---------|----------------------------------------------------|
//! | fill: look at the word        | acquire | finish (release): the old payload was read         |
//! | fill: write the word          | release | take (acquire): the payload is there               |
//! | fill: publish the position    | release | consumer's load (acquire): the word is there       |
//! | merge: look at the word       | acquire | finish (release): what the event names is unused   |
//! | merge: change the word        | release | take (acquire): what made the source fire is there |
//! | retract: look at the word     | acquire | finish (release): what the event names is unused   |
//!
//! A merge is a compare-exchange even when no bit is new: otherwise a consumer could take the entry,
//! and look at the source, without having seen what fired last.
//!
//! All methods are called under the lock of the queue.

use super::{
    array::Array,
    event::{
        count,
        Event,
        Fired,
        RET_COUNTED, //
    },
    registration::{
        Handle,
        Registration,
        Sequel,
        Table, //
    },
    word::{
        Word,
        OWNER_COMMIT, //
    }, //
};
use crate::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};

/// How many taken slots are stepped over between two calls of [`Ring::renew()`]. A search that ends
/// for this goes on from there, so that a ring with more taken slots in a row fills all the same.
const STEPS: u32 = 1024;

/// "No slot" in a chain.
pub const NO_SLOT: u32 = u32::MAX;

/// The memory that kernel and consumers share.
///
/// Every method takes any position and reduces it to a slot by itself.
pub trait Memory {
    /// The word of a slot.
    fn word(&self, position: u64) -> &Atomic<u64>;
    /// The datum of a slot.
    fn data(&self, position: u64) -> &Atomic<u64>;
    /// Writes the rest of an entry. The slot must be free.
    fn write(&self, position: u64, template: &Event, error: u32);
    /// Writes the errno of an entry that others may be reading.
    fn write_error(&self, position: u64, error: u32);
    /// The published position.
    fn position(&self) -> &Atomic<u64>;
    /// 1 while events wait for room.
    fn pending(&self) -> &Atomic<u32>;
    /// Binary logarithm of the number of slots.
    fn shift(&self) -> u32;
}

/// What the kernel knows of one slot.
#[derive(Clone, Copy)]
pub struct Slot {
    /// Where the entry is that may still be delivered.
    position: u64,
    /// Datum, errno and word as they were written. The rest is the registration's, and is here
    /// only once that has gone.
    event: Event,
    /// What was merged since the entry was published.
    merged: Option<Fired>,
    /// The registration, until the slot is filled again or the registration goes.
    registration: Option<Handle>,
    /// The chain of slots of one registration.
    older: u32,
    newer: u32,
}

impl Slot {
    /// A slot that was never filled.
    pub const FRESH: Slot = Slot {
        position: u64::MAX,
        event: Event {
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
        merged: None,
        registration: None,
        older: NO_SLOT,
        newer: NO_SLOT,
    };
}

/// What became of an attempt to take an entry back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retracted {
    /// No consumer will see it.
    Yes,
    /// A consumer holds it.
    Taken,
    /// A consumer is done with it.
    Finished,
}

/// What became of an attempt to merge into the newest entry of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It says it all.
    Yes,
    /// It is gone, or the count could not go with it.
    No,
    /// It is finished and to be unlinked, and others are behind it.
    Linked,
}

/// Why a commit was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// The position is ahead of every entry.
    PastHead,
    /// The count of wraps is neither that of the tail nor that of the head.
    Wraps,
}

/// A ring: the shared memory and what the kernel knows of it.
pub struct Ring<M: Memory> {
    memory: M,
    slots: Array<Slot>,
    mask: u64,
    shift: u32,
    head: u64,
    /// Where the search for a free slot goes on; `head` or later.
    search: u64,
    /// How many taken slots it may still step over.
    steps: u32,
    /// Nothing before it is untaken.
    untaken: u64,
    /// Nothing before it is for a commit to free.
    tail: u64,
}

impl<M: Memory> Ring<M> {
    /// Makes a ring of `memory` and as many fresh `slots`.
    pub fn new(memory: M, slots: Array<Slot>) -> Self {
        Self::starting_at(memory, slots, 0)
    }

    /// Makes a ring that has already come to position `head`.
    pub fn starting_at(memory: M, slots: Array<Slot>, head: u64) -> Self {
        let shift = memory.shift();
        let mask = 1u64.wrapping_shl(shift).wrapping_sub(1);
        for position in 0..=mask {
            memory.word(position).store(Word::FRESH.0, Relaxed);
        }
        memory.position().store(head, Relaxed);
        Ring {
            memory,
            slots,
            mask,
            shift,
            head,
            search: head,
            steps: STEPS,
            untaken: head,
            tail: head,
        }
    }

    /// The shared memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The next position to be filled.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The number of slots.
    pub fn size(&self) -> u64 {
        self.mask.wrapping_add(1)
    }

    #[inline]
    fn index(&self, position: u64) -> u32 {
        (position & self.mask) as u32
    }

    fn slot(&self, position: u64) -> Option<&Slot> {
        self.slots.get((position & self.mask) as usize)
    }

    fn slot_at(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)
    }

    fn load(&self, position: u64) -> Word {
        Word(self.memory.word(position).load(Relaxed))
    }

    /// Finds the next free slot, or says that there is none now.
    #[inline(always)]
    pub fn free_slot(&mut self) -> Option<u64> {
        while self.search.wrapping_sub(self.head) <= self.mask {
            // ORDERING: the consumer that finished the slot has read its payload.
            let word = Word(self.memory.word(self.search).load(Acquire));
            if word.is_finished() {
                return Some(self.search);
            }
            if !word.is_taken() {
                break;
            }
            if self.steps == 0 {
                return None;
            }
            self.steps = self.steps.wrapping_sub(1);
            self.search = self.search.wrapping_add(1);
        }
        // Full. A slot that was stepped over may be free next time.
        self.search = self.head;
        None
    }

    /// Lets the search step over taken slots again. Once per call from outside, which so has a
    /// bound that does not depend on how many events it publishes.
    pub fn renew(&mut self) {
        self.steps = STEPS;
    }

    /// Publishes an entry for a registration. Returns what that means for it, or nothing when the ring
    /// is full.
    pub fn append<T>(
        &mut self,
        table: &mut Table<T>,
        handle: Handle,
        fired: &Fired,
    ) -> Option<Sequel> {
        let position = self.free_slot()?;
        if self.is_occupied(position) {
            self.vacate(table, position);
        }
        let registration = table.get_mut(handle)?;
        self.fill(registration, handle, position, fired)
    }

    /// Whether the free slot at `position` is still in the chain of a registration.
    #[inline(always)]
    pub fn is_occupied(&self, position: u64) -> bool {
        self.slot(position)
            .is_some_and(|slot| slot.registration.is_some())
    }

    /// Takes the free slot at `position` out of the chain that it is in.
    #[inline(never)]
    pub fn vacate<T>(&mut self, table: &mut Table<T>, position: u64) {
        self.unchain(table, self.index(position));
    }

    /// Publishes an entry in the free slot at `position`, which is in no chain.
    #[inline(always)]
    pub fn fill<T>(
        &mut self,
        registration: &mut Registration<T>,
        handle: Handle,
        position: u64,
        fired: &Fired,
    ) -> Option<Sequel> {
        let index = self.index(position);
        let older = registration.newest;
        if older != NO_SLOT {
            self.slot_at(older)?.newer = index;
        }
        let lap = Word::lap_of(position, self.shift);
        let word = Word::untaken(fired.mask, fired.result, lap);
        let slot = self.slots.get_mut(index as usize)?;
        registration.newest = index;
        slot.event.data = fired.data;
        slot.event.error = fired.error;
        slot.event.word = word.0;
        slot.position = position;
        slot.merged = None;
        slot.registration = Some(handle);
        slot.older = older;
        slot.newer = NO_SLOT;

        self.memory
            .write(position, &registration.template, fired.error);
        self.memory.data(position).store(fired.data, Relaxed);
        // ORDERING: whoever takes the entry sees the payload.
        self.memory.word(position).store(word.0, Release);
        self.head = position.wrapping_add(1);
        self.search = self.head;
        // ORDERING: whoever sees the position sees the word.
        self.memory.position().store(self.head, Release);
        Some(registration.sequel())
    }

    /// Merges into the newest entry of a registration. If that is finished, it leaves the chain, which
    /// so holds no more than what consumers hold.
    #[inline(always)]
    pub fn merge<T>(&mut self, registration: &mut Registration<T>, fired: &Fired) -> Merged {
        let Some(slot) = self.slots.get_mut(registration.newest as usize) else {
            return Merged::No;
        };
        // ORDERING: the consumer that finished the entry has used what it names.
        let word = Word(self.memory.word(slot.position).load(Acquire));
        if word.0 == slot.event.word {
            return match self.merge_into(registration.newest, fired) {
                true => Merged::Yes,
                false => Merged::No,
            };
        }
        if !word.is_finished() {
            return Merged::No;
        }
        if slot.older != NO_SLOT {
            return Merged::Linked;
        }
        slot.registration = None;
        slot.position = u64::MAX;
        registration.newest = NO_SLOT;
        Merged::No
    }

    /// Drops the newest entry of a registration, which is finished, from its chain.
    #[inline(never)]
    pub fn unlink<T>(&mut self, table: &mut Table<T>, handle: Handle) {
        let newest = table.newest(handle);
        self.release(table, newest);
    }

    #[inline]
    fn merge_into(&mut self, newest: u32, fired: &Fired) -> bool {
        let Some(slot) = self.slots.get_mut(newest as usize) else {
            return false;
        };
        let position = slot.position;
        let old = Word(slot.event.word);
        let new = old.merged(fired.mask, fired.result);
        // First, so that who takes the bit has the errno. Who has the entry already has no bit for it.
        if fired.error != 0 && slot.event.error == 0 {
            slot.event.error = fired.error;
            self.memory.write_error(position, fired.error);
        }
        // ORDERING: who takes the merged word sees what made the source fire.
        if self
            .memory
            .word(position)
            .cmpxchg(old.0, new.0, Release)
            .is_err()
        {
            return false;
        }
        slot.event.word = new.0;
        if fired.result & RET_COUNTED != 0 {
            let sum = count(slot.event.data, fired.data);
            // ORDERING: the count is all there is to see.
            if self
                .memory
                .data(position)
                .cmpxchg(slot.event.data, sum, Relaxed)
                .is_err()
            {
                return false;
            }
            slot.event.data = sum;
        }
        match &mut slot.merged {
            Some(merged) => merged.merge(fired),
            None => slot.merged = Some(*fired),
        }
        true
    }

    /// Frees the entry at `position` if it is as the kernel wrote it.
    fn reclaim(&self, position: u64, word: Word) -> Result<(), Word> {
        // ORDERING: only the kernel, under the lock, fills the slot again.
        self.memory
            .word(position)
            .cmpxchg(word.0, word.finished().0, Relaxed)
            .map(|_| ())
            .map_err(Word)
    }

    /// Whether a consumer is done with the entry at `position`, for who then frees what it names.
    fn is_finished(&self, position: u64) -> bool {
        // ORDERING: the consumer that finished the entry has used what it names.
        Word(self.memory.word(position).load(Acquire)).is_finished()
    }

    /// Whether a consumer is done with the newest entry of a registration.
    pub fn is_done(&self, newest: u32) -> bool {
        match self.slots.get(newest as usize) {
            Some(slot) => self.is_finished(slot.position),
            None => true,
        }
    }

    /// Whose entry is at `position`, unless it is gone.
    pub fn registration(&self, position: u64) -> Option<Handle> {
        self.slot(position)
            .filter(|slot| slot.position == position)?
            .registration
    }

    /// Takes an entry back.
    fn retract(&self, index: u32) -> Retracted {
        let Some(slot) = self.slots.get(index as usize) else {
            return Retracted::Finished;
        };
        if self.reclaim(slot.position, Word(slot.event.word)).is_ok() {
            Retracted::Yes
        } else if self.is_finished(slot.position) {
            Retracted::Finished
        } else {
            Retracted::Taken
        }
    }

    /// Takes back what no consumer has taken. Returns whether a consumer still holds an entry, and
    /// which mask and result bits were taken back.
    pub fn retract_all<T>(&mut self, table: &mut Table<T>, handle: Handle) -> (bool, u64) {
        let mut held = false;
        let mut untaken = 0;
        let mut index = table.newest(handle);
        while index != NO_SLOT {
            let Some(slot) = self.slots.get(index as usize) else {
                break;
            };
            let (older, bits) = (slot.older, Word(slot.event.word).outcome());
            match self.retract(index) {
                Retracted::Taken => held = true,
                Retracted::Yes => {
                    untaken |= bits;
                    self.release(table, index);
                }
                Retracted::Finished => self.release(table, index),
            }
            index = older;
        }
        (held, untaken)
    }

    /// Forgets a registration, which is about to go. Its entries stay.
    pub fn forget<T>(&mut self, table: &mut Table<T>, handle: Handle) {
        let Some(registration) = table.get(handle) else {
            return;
        };
        let (template, mut index) = (registration.template, registration.newest);
        while index != NO_SLOT {
            if let Some(slot) = self.slot_at(index) {
                slot.event = slot.event.of(&template);
            }
            self.unchain(table, index);
            index = table.newest(handle);
        }
    }

    /// Takes a slot out of the chain of its registration.
    fn unchain<T>(&mut self, table: &mut Table<T>, index: u32) {
        let Some(slot) = self.slot_at(index) else {
            return;
        };
        let Some(handle) = slot.registration.take() else {
            return;
        };
        let (older, newer) = (slot.older, slot.newer);
        slot.older = NO_SLOT;
        slot.newer = NO_SLOT;
        if let Some(slot) = self.slot_at(older) {
            slot.newer = newer;
        }
        if let Some(slot) = self.slot_at(newer) {
            slot.older = older;
        } else if let Some(registration) = table.get_mut(handle) {
            registration.newest = older;
        }
    }

    /// Takes a slot out of its chain. Its entry is not delivered, whatever its word becomes.
    fn release<T>(&mut self, table: &mut Table<T>, index: u32) {
        self.unchain(table, index);
        if let Some(slot) = self.slot_at(index) {
            slot.position = u64::MAX;
        }
    }

    /// Whether the entry at `position` is untaken.
    fn is_untaken(&self, position: u64) -> bool {
        self.slot(position).is_some_and(|slot| {
            slot.position == position && self.load(position).0 == slot.event.word
        })
    }

    /// The position of the oldest untaken entry.
    pub fn oldest(&mut self) -> Option<u64> {
        if self.head.wrapping_sub(self.untaken) > self.size() {
            self.untaken = self.head.wrapping_sub(self.size());
        }
        while self.untaken != self.head {
            if self.is_untaken(self.untaken) {
                return Some(self.untaken);
            }
            self.untaken = self.untaken.wrapping_add(1);
        }
        None
    }

    /// Counts untaken entries, up to `limit`.
    pub fn count_untaken(&mut self, limit: u64) -> u64 {
        let Some(mut position) = self.oldest() else {
            return 0;
        };
        let mut found = 0;
        while position != self.head && found < limit {
            if self.is_untaken(position) {
                found = found.wrapping_add(1);
            }
            position = position.wrapping_add(1);
        }
        found
    }

    /// The entry at `position`, as the kernel knows it.
    pub fn event<T>(&self, table: &Table<T>, position: u64) -> Option<Event> {
        let slot = self.slot(position)?;
        let mut event = match slot.registration.and_then(|handle| table.get(handle)) {
            Some(registration) => slot.event.of(&registration.template),
            None => slot.event,
        };
        event.word = Word(event.word).outcome();
        Some(event)
    }

    /// Takes and finishes the entry at `position` for a caller of `kevent_get_events()`.
    pub fn take(&mut self, position: u64) -> bool {
        let Some(slot) = self.slot(position) else {
            return false;
        };
        slot.position == position && self.reclaim(position, Word(slot.event.word)).is_ok()
    }

    /// Positions from `old`, a past low half of a position, to the head.
    pub fn past(&self, old: u32) -> u64 {
        u64::from((self.head as u32).wrapping_sub(old)).min(self.size())
    }

    /// Whether a commit frees the slot at `position` for a taker of its own, though the kernel has
    /// stepped over it since.
    fn is_left_behind(&self, position: u64, word: Word) -> bool {
        word.is_taken()
            && word.owner() == OWNER_COMMIT
            && self.slot(position).is_some_and(|s| s.position < position)
    }

    /// Nothing before the result is for a commit to free.
    fn advance_tail(&mut self) -> u64 {
        if self.head.wrapping_sub(self.tail) > self.size() {
            self.tail = self.head.wrapping_sub(self.size());
        }
        while self.tail != self.head {
            let here = self
                .slot(self.tail)
                .is_some_and(|s| s.position == self.tail);
            let word = self.load(self.tail);
            if here && !word.is_finished() || self.is_left_behind(self.tail, word) {
                break;
            }
            self.tail = self.tail.wrapping_add(1);
        }
        self.tail
    }

    /// The positions that a commit of (`over`, `index`) frees.
    pub fn commit_range(&mut self, index: u32, over: u32) -> Result<(u64, u64), CommitError> {
        let tail = self.advance_tail();
        let end = (u64::from(over) << 32) | u64::from(index);
        if over != (tail >> 32) as u32 && over != (self.head >> 32) as u32 {
            return Err(CommitError::Wraps);
        }
        if end > self.head {
            return Err(CommitError::PastHead);
        }
        Ok((tail, end.max(tail)))
    }

    /// Frees the entry at `position`, which is the tail, as a commit does. Returns what is to be
    /// posted again, and for whom; nothing if another consumer holds the slot.
    pub fn commit_one<T>(
        &mut self,
        table: &mut Table<T>,
        position: u64,
    ) -> Option<(bool, Option<(Handle, Fired)>)> {
        let done = self.free_committed(table, position)?;
        // Not what the word says now: every round of a commit has to come further.
        self.tail = position.wrapping_add(1);
        Some(done)
    }

    fn free_committed<T>(
        &mut self,
        table: &mut Table<T>,
        position: u64,
    ) -> Option<(bool, Option<(Handle, Fired)>)> {
        let index = self.index(position);
        let Some(slot) = self.slot(position) else {
            return Some((false, None));
        };
        if slot.position != position {
            let word = self.load(position);
            let freed = self.is_left_behind(position, word) && self.reclaim(position, word).is_ok();
            return Some((freed, None));
        }
        let (expected, again) = (Word(slot.event.word), slot.registration.zip(slot.merged));
        let mut word = self.load(position);
        // An honest word changes twice at most; a dishonest one must not hold the kernel here.
        for _ in 0..3 {
            if word.is_finished() {
                return Some((false, None));
            }
            if word.is_taken() && word.owner() != OWNER_COMMIT {
                return None;
            }
            let Err(found) = self.reclaim(position, word) else {
                if word != expected {
                    return Some((true, None));
                }
                self.release(table, index);
                return Some((true, again));
            };
            word = found;
        }
        None
    }
}
