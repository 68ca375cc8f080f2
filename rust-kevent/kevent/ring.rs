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
//! Nothing that user space can write. What its newest event says, and where that was published, a
//! registration knows; for each slot the kernel keeps a [`Slot`] of its own, with the position and
//! the registration. The two agree as long as the event may still be delivered. The kernel asks of
//! a word only whether it is still the one that it wrote (by compare-exchange), and whether the
//! slot may be filled. A word of garbage is neither: it costs its writers a slot or an event of
//! theirs.
//!
//! A slot that a consumer holds while its registration has a younger event is in the *chain* of
//! that registration, for the receipt of REMOVE. So is one whose registration has gone but for the
//! event. They are *bound*: who fills one takes it out of the chain first. A registration that goes
//! leaves its place to its chain, as a ghost, until that is empty.
//!
//! # Memory order
//!
//! | access                        | order   | pairs with                                         |
//! |-------------------------------|---------|----------------------------------------------------|
//! | fill: look at the word        | acquire | finish (release): the old payload was read         |
//! | fill: write the word          | release | take (acquire): the payload is there               |
//! | fill: write the word          | release | touch (acquire): earlier private heads are there   |
//! | fill: publish the position    | release | consumer's load (acquire): the word is there       |
//! | merge: change the word        | release | take (acquire): what made the source fire is there |
//! | touch: write the word again   | full    | take (acquire), and fill (release), as above       |
//! | newest: look at the word      | acquire | finish (release): what the event names is unused   |
//!
//! A merge is a compare-exchange even when no bit is new: otherwise a consumer could take the
//! entry, and look at the source, without having seen what fired last.
//!
//! All methods are called under the lock of the queue, but for [`Repeat::touch()`].

use super::{
    array::Circle,
    event::{
        count,
        Event,
        Fired,
        RET_COUNTED,
        RET_DONE, //
    },
    registration::{
        Handle,
        Merged,
        Phase,
        Registration,
        Table,
        NOWHERE, //
    },
    word::{
        Word,
        OWNER_COMMIT, //
    }, //
};
use crate::sync::{
    atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
    barrier::Full, //
};

/// How many taken slots are stepped over between two calls of [`Ring::renew()`]. A search that ends
/// for this goes on from there, so that a ring with more taken slots in a row fills all the same.
/// As many are passed in one round of the lock by who looks for events, walks a chain, or commits.
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
    /// Writes the rest of an entry, but for what is 0 in every event. The slot must be free.
    fn write(&self, position: u64, event: &Event);
    /// Writes the errno of an entry that others may be reading.
    fn write_error(&self, position: u64, error: u32);
    /// The published position.
    fn position(&self) -> &Atomic<u64>;
    /// 1 while events wait for room.
    fn pending(&self) -> &Atomic<u32>;
    /// The position that is filled next, where only the kernel writes.
    fn head(&self) -> &Atomic<u64>;
    /// The number of slots, a power of two.
    fn size(&self) -> u64;
    /// The same memory for a short time: where it is need not be looked up for each access.
    fn local(&self) -> impl Memory + '_;
}

/// What the kernel knows of one slot.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub struct Slot {
    /// Where its newest entry was published.
    position: u64,
    /// For whom.
    registration: Handle,
    /// The chain of slots of one registration.
    older: u32,
    newer: u32,
    /// Whether that registration is to be told before the slot is filled.
    bound: bool,
}

/// The position of a slot without an entry that may be delivered.
const VACANT: u64 = NOWHERE - 1;

impl Slot {
    /// A slot that was never filled.
    pub const FRESH: Slot = Slot {
        position: VACANT,
        registration: Handle::NOBODY,
        older: NO_SLOT,
        newer: NO_SLOT,
        bound: false,
    };
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
    slots: Circle<Slot>,
    shift: u32,
    /// The lap of `head`, in a word that says nothing else.
    lap: Word,
    head: u64,
    /// Where the search for a free slot goes on, if that is ahead of `head`: the slots between were
    /// taken when it came by.
    searched: u64,
    /// How many taken slots it may still step over.
    steps: u32,
    /// Nothing before it is untaken.
    untaken: u64,
    /// Nothing before it is for a commit to free.
    tail: u64,
}

impl<M: Memory> Ring<M> {
    /// Makes a ring of `memory` and as many fresh `slots`.
    pub fn new(memory: M, slots: Circle<Slot>) -> Self {
        Self::starting_at(memory, slots, 0)
    }

    /// Makes a ring that has already come to position `head`.
    pub fn starting_at(memory: M, slots: Circle<Slot>, head: u64) -> Self {
        let shift = memory.size().trailing_zeros();
        for position in 0..memory.size() {
            memory.word(position).store(Word::FRESH.0, Relaxed);
        }
        memory.position().store(head, Relaxed);
        memory.head().store(head, Relaxed);
        Ring {
            memory,
            slots,
            shift,
            lap: Word::empty(head, shift),
            head,
            searched: head,
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
        self.slots.mask().wrapping_add(1)
    }

    fn index(&self, position: u64) -> u32 {
        (position & self.slots.mask()) as u32
    }

    /// The slot of a link.
    fn slot_at(&mut self, index: u32) -> Option<&mut Slot> {
        (index != NO_SLOT).then(|| self.slots.at_mut(u64::from(index)))
    }

    fn load(&self, position: u64) -> Word {
        Word(self.memory.word(position).load(Relaxed))
    }

    /// Whether the slot at `position` still has the entry that was published there.
    #[inline]
    fn is_here(&self, position: u64) -> bool {
        self.slots.at(position).position == position
    }

    /// Whether a consumer is done with the entry at `position`, for who then frees what it names.
    #[inline]
    fn is_finished(&self, position: u64) -> bool {
        // ORDERING: the consumer that finished the entry has used what it names.
        Word(self.memory.word(position).load(Acquire)).is_finished()
    }

    /// Whether consumers are done with the newest entry of a registration.
    pub fn is_done<T>(&self, registration: &Registration<T>) -> bool {
        !self.is_here(registration.position) || self.is_finished(registration.position)
    }

    /// Publishes an event at once, if nothing is in the way: the newest entry of the registration
    /// is done with, and the next slot is free. The common case of [`Ring::append()`].
    #[inline(always)]
    pub fn publish<T>(
        &mut self,
        registration: &mut Registration<T>,
        handle: &Handle,
        fired: &Fired,
    ) -> bool {
        let (newest, position) = (registration.position, self.head);
        let slot = self.slots.at_mut(position);
        if slot.bound {
            return false;
        }
        // What is behind it is looked up once, and not after each write.
        let memory = &self.memory.local();
        // If the slot has another entry by now, which is finished as well, all the better.
        //
        // ORDERING: the consumer that finished the entry has used what it names.
        if !Word(memory.word(newest).load(Acquire)).is_finished() {
            return false;
        }
        // ORDERING: the consumer that finished the slot has read its payload.
        let vacant = Word(memory.word(position).load(Acquire)).is_finished();
        if !vacant {
            return false;
        }
        let lap = self.lap;
        self.head = Self::fill(memory, slot, registration, *handle, position, lap, fired);
        if self.head & self.slots.mask() == 0 {
            self.lap = Word::empty(self.head, self.shift);
        }
        true
    }

    /// Finds the next free slot, or says that there is none now.
    fn free_slot(&mut self) -> Option<u64> {
        if self.searched.wrapping_sub(self.head) > self.size() {
            self.searched = self.head;
        }
        while self.searched.wrapping_sub(self.head) <= self.slots.mask() {
            let position = self.searched;
            // ORDERING: the consumer that finished the slot has read its payload.
            let word = Word(self.memory.word(position).load(Acquire));
            if word.is_finished() {
                return Some(position);
            }
            if !word.is_taken() {
                break;
            }
            if self.steps == 0 {
                return None;
            }
            self.steps = self.steps.wrapping_sub(1);
            self.searched = position.wrapping_add(1);
        }
        // Full. A slot that was stepped over may be free next time.
        self.searched = self.head;
        None
    }

    /// Lets the search step over taken slots again. Once per call from outside, which so has a
    /// bound that does not depend on how many events it publishes.
    pub fn renew(&mut self) {
        self.steps = STEPS;
    }

    /// Publishes an event of a registration whose newest entry is done with, or in its chain.
    /// Returns false when the ring is full.
    pub fn append<T>(&mut self, table: &mut Table<T>, handle: Handle, fired: &Fired) -> bool {
        let Some(position) = self.free_slot() else {
            return false;
        };
        if self.slots.at(position).bound {
            self.release(table, self.index(position));
        }
        let Some(registration) = table.get_mut(handle) else {
            return false;
        };
        let (slot, lap) = (
            self.slots.at_mut(position),
            Word::empty(position, self.shift),
        );
        let memory = &self.memory;
        self.head = Self::fill(memory, slot, registration, handle, position, lap, fired);
        self.lap = Word::empty(self.head, self.shift);
        true
    }

    /// Publishes an event in the free slot at `position`, which is not bound. Returns the new head.
    #[inline(always)]
    fn fill<T>(
        memory: &impl Memory,
        slot: &mut Slot,
        registration: &mut Registration<T>,
        handle: Handle,
        position: u64,
        lap: Word,
        fired: &Fired,
    ) -> u64 {
        let head = position.wrapping_add(1);
        let word = lap.merged(fired.mask, fired.result);
        slot.position = position;
        slot.registration = handle;
        registration.position = position;
        registration.merged.mask = 0;
        registration.event.data = fired.data;
        registration.event.error = fired.error;
        registration.event.word = word.0;
        memory.write(position, &registration.event);
        memory.data(position).store(fired.data, Relaxed);
        memory.head().store(head, Relaxed);
        // ORDERING: whoever takes the entry sees the payload, and whoever touches it earlier heads.
        memory.word(position).store(word.0, Release);
        // ORDERING: whoever sees the position sees the word.
        memory.position().store(head, Release);
        head
    }

    /// Merges into the newest entry of a registration. Returns false if that is gone, or the count
    /// could not go with it.
    pub fn merge<T>(&mut self, registration: &mut Registration<T>, fired: &Fired) -> bool {
        let position = registration.position;
        if !self.is_here(position) {
            return false;
        }
        let old = Word(registration.event.word);
        let new = old.merged(fired.mask, fired.result);
        // First, so that who takes the bit has the errno. Who has the entry already has no bit for
        // it.
        if fired.error != 0 && registration.event.error == 0 {
            registration.event.error = fired.error;
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
        registration.event.word = new.0;
        let merged = &mut registration.merged;
        if merged.mask == 0 {
            *merged = Merged::NOTHING;
        }
        merged.mask |= fired.mask;
        merged.result |= fired.result as u8;
        if merged.error == 0 {
            merged.error = fired.error as u16;
        }
        if fired.result & RET_COUNTED != 0 {
            let before = registration.event.data;
            let sum = count(before, fired.data);
            // ORDERING: the count is all there is to see.
            if self
                .memory
                .data(position)
                .cmpxchg(before, sum, Relaxed)
                .is_err()
            {
                return false;
            }
            registration.event.data = sum;
            merged.count = count(merged.count, fired.data);
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

    /// What a registration has in the ring is no longer its newest event. It is kept in its chain,
    /// if a consumer holds it.
    pub fn hold<T>(&mut self, table: &mut Table<T>, handle: Handle) {
        let Some(registration) = table.get_mut(handle) else {
            return;
        };
        if !self.is_done(registration) {
            self.chain(registration);
        }
        registration.position = NOWHERE;
    }

    /// Binds the slot of the newest entry of a registration.
    fn chain<T>(&mut self, registration: &mut Registration<T>) {
        let index = self.index(registration.position);
        let older = core::mem::replace(&mut registration.chain, index);
        if let Some(slot) = self.slot_at(older) {
            slot.newer = index;
        }
        let slot = self.slots.at_mut(registration.position);
        slot.bound = true;
        slot.older = older;
        slot.newer = NO_SLOT;
    }

    /// Takes back what no consumer has taken. Returns which mask and result bits that were; what
    /// one has is in the chain.
    pub fn retract<T>(&mut self, table: &mut Table<T>, handle: Handle) -> u64 {
        let Some(registration) = table.get_mut(handle) else {
            return 0;
        };
        let (position, word) = (registration.position, Word(registration.event.word));
        if self.is_here(position) && self.reclaim(position, word).is_ok() {
            registration.position = NOWHERE;
            self.vacate(position);
            return word.outcome();
        }
        self.hold(table, handle);
        0
    }

    /// Whether a consumer still holds an entry in the chain of a registration. What is finished is
    /// taken out of it up to there, but no more than `STEPS`: nothing, if it takes more.
    pub fn is_held<T>(&mut self, table: &mut Table<T>, handle: Handle) -> Option<bool> {
        for _ in 0..STEPS {
            let index = table.get(handle).map_or(NO_SLOT, |r| r.chain);
            let Some(&mut Slot { position, .. }) = self.slot_at(index) else {
                return Some(false);
            };
            if !self.is_finished(position) {
                return Some(true);
            }
            self.release(table, index);
        }
        None
    }

    /// What [`Ring::retract()`] and [`Ring::is_held()`] do, of a registration that is about to go
    /// and has no chain.
    #[inline]
    pub fn leave<T>(&mut self, registration: &Registration<T>) -> (bool, u64) {
        let (position, word) = (registration.position, Word(registration.event.word));
        if !self.is_here(position) {
            return (false, 0);
        }
        if self.reclaim(position, word).is_ok() {
            self.vacate(position);
            return (false, word.outcome());
        }
        (!self.is_finished(position), 0)
    }

    /// The entry at `position` is not delivered, whatever its word becomes.
    fn vacate(&mut self, position: u64) {
        self.slots.at_mut(position).position = VACANT;
    }

    /// Binds the slot of the newest entry of a registration that is about to go, if it is untaken.
    pub fn bind<T>(&mut self, registration: &mut Registration<T>) {
        if self.is_untaken(registration, registration.position) {
            self.chain(registration);
        }
    }

    /// Unbinds a slot: takes it out of its chain, and frees a ghost that has no other.
    fn release<T>(&mut self, table: &mut Table<T>, index: u32) {
        let Some(slot) = self.slot_at(index) else {
            return;
        };
        slot.bound = false;
        let Slot {
            registration,
            older,
            newer,
            ..
        } = *slot;
        let Some(owner) = table.get_mut(registration) else {
            return;
        };
        if let Some(slot) = self.slot_at(older) {
            slot.newer = newer;
        }
        if let Some(slot) = self.slot_at(newer) {
            slot.older = older;
            return;
        }
        owner.chain = older;
        if older == NO_SLOT && owner.phase == Phase::Ghost {
            table.remove(registration);
        }
    }

    /// Whether the entry at `position` is untaken, and the newest of `registration`.
    fn is_untaken<T>(&self, registration: &Registration<T>, position: u64) -> bool {
        registration.position == position
            && self.is_here(position)
            && self.load(position).0 == registration.event.word
    }

    /// The registration whose untaken entry is at `position`.
    fn untaken_at<'a, T>(&self, table: &'a Table<T>, position: u64) -> Option<&'a Registration<T>> {
        let registration = table.get(self.slots.at(position).registration)?;
        self.is_untaken(registration, position)
            .then_some(registration)
    }

    /// Steps over entries that consumers have taken, but not over more than `STEPS`. Returns
    /// whether there are no more of them before the oldest untaken one.
    pub fn catch_up<T>(&mut self, table: &Table<T>) -> bool {
        if self.head.wrapping_sub(self.untaken) > self.size() {
            self.untaken = self.head.wrapping_sub(self.size());
        }
        for _ in 0..STEPS {
            if self.untaken == self.head || self.untaken_at(table, self.untaken).is_some() {
                return true;
            }
            self.untaken = self.untaken.wrapping_add(1);
        }
        false
    }

    /// The position of the oldest untaken entry. Few steps, after [`Ring::catch_up()`].
    pub fn oldest<T>(&mut self, table: &Table<T>) -> Option<u64> {
        while !self.catch_up(table) {}
        (self.untaken != self.head).then_some(self.untaken)
    }

    /// Counts untaken entries, up to `limit`, among the first `STEPS`. If it takes more, all of
    /// the rest count: who is told of too many finds the truth by taking them.
    pub fn count_untaken<T>(&mut self, table: &Table<T>, limit: u64) -> u64 {
        let Some(oldest) = self.oldest(table) else {
            return 0;
        };
        let (mut position, mut found) = (oldest, 0);
        for _ in 0..STEPS {
            if position == self.head || found == limit {
                return found;
            }
            if self.untaken_at(table, position).is_some() {
                found = found.wrapping_add(1);
            }
            position = position.wrapping_add(1);
        }
        let rest = self.head.wrapping_sub(position);
        found.saturating_add(rest).min(limit)
    }

    /// Whose newest entry is the untaken one at `position`.
    pub fn owner(&self, position: u64) -> Handle {
        self.slots.at(position).registration
    }

    /// Takes and finishes the entry at `position` for a caller of `kevent_get_events()`.
    pub fn take<T>(&mut self, table: &Table<T>, position: u64) -> bool {
        let registration = table.get(self.slots.at(position).registration);
        registration.is_some_and(|r| {
            r.position == position
                && self.is_here(position)
                && self.reclaim(position, Word(r.event.word)).is_ok()
        })
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
            && self.slots.at(position).position < position
    }

    /// Steps over what is not for a commit to free, but not over more than `STEPS`. Returns
    /// whether that was all before the first that is.
    pub fn advance_tail(&mut self) -> bool {
        if self.head.wrapping_sub(self.tail) > self.size() {
            self.tail = self.head.wrapping_sub(self.size());
        }
        for _ in 0..STEPS {
            if self.tail == self.head {
                return true;
            }
            let word = self.load(self.tail);
            let here = self.is_here(self.tail);
            if here && !word.is_finished() || self.is_left_behind(self.tail, word) {
                return true;
            }
            self.tail = self.tail.wrapping_add(1);
        }
        false
    }

    /// The positions that a commit of (`over`, `index`) frees. Few steps, after
    /// [`Ring::advance_tail()`].
    pub fn commit_range(&mut self, index: u32, over: u32) -> Result<(u64, u64), CommitError> {
        while !self.advance_tail() {}
        let tail = self.tail;
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
        let slot = self.slots.at(position);
        if slot.position != position {
            let word = self.load(position);
            let freed = self.is_left_behind(position, word) && self.reclaim(position, word).is_ok();
            return Some((freed, None));
        }
        let handle = slot.registration;
        let mut registration = table.get_mut(handle).filter(|r| r.position == position);
        let expected = registration.as_ref().map(|r| Word(r.event.word));
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
                if Some(word) != expected {
                    return Some((true, None));
                }
                let again = registration.as_ref().and_then(|r| r.merged());
                if let Some(registration) = &mut registration {
                    registration.position = NOWHERE;
                }
                self.vacate(position);
                return Some((true, again.map(|fired| (handle, fired))));
            };
            word = found;
        }
        None
    }
}

/// What a source says again of an entry that says it already.
///
/// An entry into which the same bits were merged before needs no more than that its word is
/// touched: a consumer that takes it later has then seen what made the source fire. So this takes
/// no lock.
///
/// The slot may have been filled again, and its word, whose lap comes round, be the same. But then
/// the head has gone round 255 times before that word was written. So a head that is not a lap
/// ahead, seen after the touch, says that the entry was still there at the touch.
///
/// One thread at a time sets or touches it; sources have a lock that sees to that.
pub struct Repeat {
    position: Atomic<u64>,
    word: Atomic<u64>,
    /// Mask bits that may not fire so.
    others: Atomic<u32>,
    /// The source's own, where there would be nothing.
    pub note: u32,
}

impl Repeat {
    /// No entry.
    pub fn new(note: u32) -> Self {
        Repeat {
            position: Atomic::<u64>::new(NOWHERE),
            word: Atomic::<u64>::new(0),
            others: Atomic::<u32>::new(u32::MAX),
            note,
        }
    }

    /// Remembers the newest entry of a registration, if something was merged into it that is DONE,
    /// and no count. Called with the lock held.
    #[inline(never)]
    pub fn set<T>(&self, registration: &Registration<T>) {
        let Registration {
            event,
            position,
            merged,
            ..
        } = registration;
        let result = u32::from(merged.result);
        if merged.mask == 0 || result & (RET_DONE | RET_COUNTED) != RET_DONE {
            return;
        }
        self.position.store(*position, Relaxed);
        self.word.store(event.word, Relaxed);
        self.others.store(!merged.mask, Relaxed);
    }

    /// Whether bits, and DONE, are no more than what was merged into an entry.
    #[inline(always)]
    pub fn covers(&self, mask: u32) -> bool {
        mask & self.others.load(Relaxed) == 0
    }

    /// Touches the entry which [covers](Self::covers()) what fired. Returns whether that is all
    /// there is to do.
    #[inline(always)]
    pub fn touch<M: Memory>(&self, memory: &M) -> bool {
        let memory = &memory.local();
        let (position, word) = (self.position.load(Relaxed), self.word.load(Relaxed));
        // ORDERING: who takes the word sees what made the source fire; and if it is another
        // entry's, the head before that is seen below.
        if memory.word(position).cmpxchg(word, word, Full).is_err() {
            return false;
        }
        let ahead = memory.head().load(Relaxed).wrapping_sub(position);
        ahead <= memory.size()
    }
}
