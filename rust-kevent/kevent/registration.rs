// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Registrations, and the table that holds those of one queue.
//!
//! A registration lives in a [`Table`] and is named by a [`Handle`]. The table grows by chunks,
//! eight for each power of two, so that no registration ever moves, a lookup is two loads, and at
//! most an eighth of the table is unused: a handle has the chunk in its upper 7 bits, and the place
//! in it below. Chunks are allocated by the caller, outside the lock. Who comes often knows the
//! [`Spot`] of a registration.

use super::{
    array::{
        Array,
        Arrays,
        Here,
        Spot, //
    },
    event::{
        Event,
        Fired,
        REQ_DISPATCH,
        REQ_ET,
        REQ_LAST_CHECK,
        REQ_ONESHOT,
        REQ_WAKEUP_ALL,
        RET_BROKEN,
        RET_COUNTED,
        RET_INJECTED,
        RET_RECHECK, //
    },
    ring::NO_SLOT,
    word::Word, //
};

/// Names a registration of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u32);

impl Handle {
    /// Names none.
    pub const NOBODY: Handle = Handle(u32::MAX);
}

/// What a registration does with the next firing.
///
/// ```text
///            ADD                      published, ONESHOT           reaped, its event untaken
///   Free ----------> Armed, Waiting ----------------------> Dead ------------------> Ghost
///     ^               | ^     |                               |                      ^   |
///     |     published,| |     +- REMOVE, with a chain --------|----------------------+   |
///     |      DISPATCH v |MODIFY                               |                          |
///     |             Disabled                                  |                          |
///     +---------------+------------- REMOVE, reaped ----------+----- slots refilled -----+
/// ```
///
/// A waiting one has fired, and its event found no room: it is on the pending list. An armed one
/// may be on the list of those to be looked at again: an event of it was published, and there may
/// be more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No registration.
    Free,
    /// Its source may fire.
    Armed,
    /// Its source has fired, and may do so again.
    Waiting,
    /// Delivered, until MODIFY.
    Disabled,
    /// Delivered, and its key is free.
    Dead,
    /// All of it has gone but its chain.
    Ghost,
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

/// What was merged into an event since that was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// What was added to the datum.
    pub count: u64,
    /// Bits; 0 if nothing was merged.
    pub mask: u32,
    /// The first errno.
    pub error: u16,
    /// `RET_*`.
    pub result: u8,
}

/// One registered interest, in two cache lines. `T` ties it to its source.
#[derive(Clone)]
#[repr(C)]
pub struct Registration<T = ()> {
    /// What every event of it begins as, with datum, errno and word of the newest: of the one at
    /// `position`, or of what is pending.
    pub event: Event,
    /// Where its newest event was published, [`NOWHERE`] if that is gone for good.
    pub position: u64,
    /// What went into that since.
    pub merged: Merged,
    /// What to ask, if there is something to look at. A place may keep it when the registration is
    /// gone, for the next one.
    tie: Option<T>,
    /// The newest slot of its chain.
    pub chain: u32,
    /// Links of the one list that it is on.
    prev: u32,
    next: u32,
    /// The next of those whose keys are in one chain.
    pub after: Handle,
    /// Of the chain of keys that this place has, and not the registration.
    pub first: Handle,
    /// What it does next.
    pub phase: Phase,
    /// What happens when an event is published.
    pub sequel: Sequel,
    /// What there is to look at.
    pub nature: Nature,
    marks: u8,
}

const _: () = assert!(size_of::<Registration<&dyn Fn()>>() == 128);

/// When an event is published, one sleeper is woken, and no more; and its source is not asked
/// before.
const PLAIN: u8 = 1;
/// It is on the list of those to look at again.
const AGAIN: u8 = 2;

const NONE: u32 = u32::MAX;

/// A position that no event has.
pub const NOWHERE: u64 = u64::MAX;

impl<T> Registration<T> {
    /// An unused place of a table.
    pub const FREE: Self = Registration {
        event: Event::EMPTY,
        position: NOWHERE,
        merged: Merged::NOTHING,
        tie: None,
        chain: NO_SLOT,
        prev: NONE,
        next: NONE,
        after: Handle::NOBODY,
        first: Handle::NOBODY,
        phase: Phase::Free,
        sequel: Sequel::Nothing,
        nature: Nature::Plain,
        marks: PLAIN,
    };

    /// What tells a request from those before it.
    pub fn generation(&self) -> u64 {
        self.event.param[0]
    }

    /// Whether a firing of its source is an event.
    pub fn is_armed(&self) -> bool {
        matches!(self.phase, Phase::Armed | Phase::Waiting)
    }

    /// Whether its event waits for room.
    pub fn is_pending(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// What ties it to its source.
    #[inline]
    pub fn tie(&self) -> Option<&T> {
        self.tie.as_ref().filter(|_| self.phase != Phase::Free)
    }

    /// Sets what ties it to its source. Its place must keep none.
    #[inline]
    pub fn set_tie(&mut self, tie: Option<T>) {
        self.tie = tie;
    }

    /// Takes out what ties it to its source, or did.
    pub fn take_tie(&mut self) -> Option<T> {
        self.tie.take()
    }

    /// Whether one sleeper is woken, and nothing else happens, when an event is published.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.marks & PLAIN != 0
    }

    /// Whether it is on the list of those to look at again.
    #[inline]
    pub fn is_again(&self) -> bool {
        self.marks & AGAIN != 0
    }

    /// Whether there is one, on no list, and with no chain of slots.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Armed | Phase::Disabled)
            && !self.is_again()
            && self.chain == NO_SLOT
    }

    /// Says whether it is on that list.
    pub fn set_again(&mut self, again: bool) {
        self.marks = (self.marks & !AGAIN) | if again { AGAIN } else { 0 };
    }

    /// Takes on what a request says; what fired before is not part of it.
    #[inline(always)]
    pub fn set(&mut self, request: &Event, generation: u64, nature: Nature) {
        self.event = Event {
            error: 0,
            data: 0,
            param: [generation, 0],
            word: 0,
            ..*request
        };
        self.nature = nature;
        self.sequel = Self::sequel_of(request, nature);
        let plain = self.sequel == Sequel::Nothing
            && request.flags & (REQ_WAKEUP_ALL | REQ_LAST_CHECK) == 0;
        self.marks = (self.marks & !PLAIN) | if plain { PLAIN } else { 0 };
    }

    /// Takes on what another request says, and is armed.
    #[inline]
    pub fn renew(&mut self, request: &Event, generation: u64) {
        self.set(request, generation, self.nature);
        self.phase = Phase::Armed;
    }

    /// Forgets all but what belongs to its place, and links that to a place that was freed before.
    #[inline]
    fn free(&mut self, next: u32) {
        self.phase = Phase::Free;
        self.position = NOWHERE;
        self.merged.mask = 0;
        self.next = next;
    }

    #[inline]
    fn sequel_of(request: &Event, nature: Nature) -> Sequel {
        if request.flags & REQ_ONESHOT != 0 {
            return Sequel::Over;
        }
        if request.flags & REQ_DISPATCH != 0 {
            return Sequel::Disabled;
        }
        match nature {
            Nature::State if request.flags & REQ_ET == 0 => Sequel::Again,
            Nature::Count => Sequel::Again,
            Nature::State | Nature::Plain => Sequel::Nothing,
        }
    }

    /// Keeps what fired, of an event that has no word.
    pub fn keep(&mut self, fired: &Fired) {
        self.event.data = fired.data;
        self.event.error = fired.error;
        self.event.word = Word::untaken(fired.mask, fired.result, 0).0;
    }

    /// What its newest event says.
    pub fn fired(&self) -> Fired {
        let word = Word(self.event.word);
        Fired {
            mask: word.mask(),
            result: word.result(),
            data: self.event.data,
            error: self.event.error,
        }
    }

    /// Whether its newest event says all that `fired` does, of which `mask` counts.
    #[inline]
    pub fn says(&self, mask: u32, fired: &Fired) -> bool {
        let word = Word(self.event.word);
        word.merged(mask, fired.result) == word
            && fired.result & RET_COUNTED == 0
            && fired.error == 0
    }

    /// Its newest event, as `kevent_get_events()` shows it.
    pub fn newest(&self) -> Event {
        Event {
            word: self.outcome(),
            ..self.event
        }
    }

    /// Mask and return flags of its newest event.
    #[inline]
    pub fn outcome(&self) -> u64 {
        Word(self.event.word).outcome()
    }

    /// Whether its newest event is only good if its source agrees when it is delivered.
    #[inline]
    pub fn is_to_check(&self) -> bool {
        let (result, flags) = (Word(self.event.word).result(), self.event.flags);
        let unsure = result & RET_RECHECK != 0 && flags & REQ_ONESHOT == 0;
        // READY, and a source that is gone, need no consent.
        (flags & REQ_LAST_CHECK != 0 || unsure)
            && result & (RET_BROKEN | RET_INJECTED) == 0
            && self.nature == Nature::State
    }

    /// Whether the datum of its newest event is a state, and may have changed.
    #[inline]
    pub fn is_to_measure(&self) -> bool {
        self.event.data != 0
            && Word(self.event.word).result() & (RET_COUNTED | RET_INJECTED) == 0
            && self.nature == Nature::State
    }

    /// Asks for the datum anew, if it may have changed.
    #[inline]
    fn measure(&mut self, measure: impl FnOnce(&T, u32) -> Option<u64>) {
        if let Some(tie) = self.tie().filter(|_| self.is_to_measure()) {
            self.event.data = measure(tie, Word(self.event.word).mask()).unwrap_or(0);
        }
    }

    /// Hands its newest event to `copy`, unless its source has to agree.
    pub fn offer<R>(
        &mut self,
        from: impl FnOnce(&T, u32) -> Option<u64>,
        copy: impl FnOnce(&Event) -> R,
    ) -> Option<R> {
        if self.is_to_check() {
            return None;
        }
        self.measure(from);
        Some(copy(&self.newest()))
    }

    /// Whether its source is surely not asked before its newest event is delivered, and nothing
    /// happens after.
    #[inline(always)]
    pub fn is_prompt(&self) -> bool {
        self.is_plain() && Word(self.event.word).result() & RET_RECHECK == 0
    }

    /// Its pending event, with the datum of this moment. It is in no lap of a ring, so its word has
    /// only what is shown.
    #[inline(always)]
    pub fn measured(&mut self, from: impl FnOnce(&T, u32) -> Option<u64>) -> &Event {
        if self.event.data != 0 {
            self.measure(from);
        }
        &self.event
    }

    /// What was merged into its newest event, as one to be posted again.
    pub fn merged(&self) -> Option<Fired> {
        let merged = &self.merged;
        (merged.mask != 0).then(|| Fired {
            mask: merged.mask,
            result: u32::from(merged.result),
            data: merged.count,
            error: u32::from(merged.error),
        })
    }
}

impl Merged {
    /// Nothing was merged.
    pub const NOTHING: Self = Merged {
        count: 0,
        mask: 0,
        error: 0,
        result: 0,
    };
}

const FIRST_SHIFT: u32 = 6;
/// Binary logarithm of the number of chunks for each power of two.
const STEP_SHIFT: u32 = 3;
const CHUNKS: usize = 16 << STEP_SHIFT;
const OFFSET_BITS: u32 = 25;

const _: () = assert!(CHUNKS <= 1 << (32 - OFFSET_BITS));
const _: () = assert!(FIRST_SHIFT as usize + (CHUNKS >> STEP_SHIFT) <= OFFSET_BITS as usize);
const _: () = assert!(Handle::NOBODY.0 == NONE);

/// Where a registration may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    chunk: u32,
    offset: u32,
}

/// The registrations of one queue.
pub struct Table<T = ()> {
    chunks: Arrays<Registration<T>, CHUNKS>,
    /// The place that was freed last, with links to those before it.
    free: u32,
    grown: usize,
    /// Places that were ever used, and places there are.
    used: u32,
    capacity: u32,
    /// How many free places keep a tie.
    kept: u32,
}

/// How many may: what is removed in order to be added again finds its tie, and a queue that was
/// large holds no memory for it.
const KEPT: u32 = 1024;

impl<T> Table<T> {
    /// An empty table.
    pub fn new() -> Self {
        Table {
            chunks: Arrays::new(),
            free: NONE,
            grown: 0,
            used: 0,
            capacity: 0,
            kept: 0,
        }
    }

    /// How many registrations the next chunk must hold, if one is needed for one more registration;
    /// 0 when the table is as large as it can be.
    #[inline]
    pub fn wants(&self) -> Option<usize> {
        if self.free != NONE || self.used != self.capacity {
            return None;
        }
        Some(self.wanted())
    }

    #[cold]
    fn wanted(&self) -> usize {
        if self.grown == CHUNKS {
            return 0;
        }
        let octave = (self.grown >> STEP_SHIFT) as u32;
        1usize.wrapping_shl(FIRST_SHIFT.wrapping_sub(STEP_SHIFT).wrapping_add(octave))
    }

    /// Adds a chunk of the size that [`Table::wants()`] asked for. Gives it back when the table is
    /// as large as it can be, or no longer wants it.
    pub fn grow(&mut self, chunk: Array<Registration<T>>) -> Result<(), Array<Registration<T>>> {
        if self.wants() != Some(chunk.len()) {
            return Err(chunk);
        }
        let len = chunk.len() as u32;
        self.chunks.add(self.grown, chunk)?;
        self.grown = self.grown.wrapping_add(1);
        self.capacity = self.capacity.wrapping_add(len);
        Ok(())
    }

    /// How many places were ever used.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Chunk and offset of the place that is used after `index` others.
    #[inline(always)]
    fn spread(index: u32) -> (u32, u32) {
        let biased = index.wrapping_add(1 << FIRST_SHIFT);
        let top = 31u32.wrapping_sub(biased.leading_zeros());
        let shift = top.wrapping_sub(STEP_SHIFT);
        let step = biased.wrapping_shr(shift) & ((1 << STEP_SHIFT) - 1);
        let chunk = (top.wrapping_sub(FIRST_SHIFT) << STEP_SHIFT) | step;
        (chunk, biased & 1u32.wrapping_shl(shift).wrapping_sub(1))
    }

    /// The place that is used after `index` others.
    #[inline(always)]
    pub fn nth_place(index: u32) -> Place {
        let (chunk, offset) = Self::spread(index);
        Place { chunk, offset }
    }

    /// What names the registration in a place.
    #[inline(always)]
    pub fn handle(place: Place) -> Handle {
        Handle((place.chunk << OFFSET_BITS) | place.offset)
    }

    /// The same place by its handle.
    #[inline]
    pub fn nth(index: u32) -> Handle {
        Self::handle(Self::nth_place(index))
    }

    /// What is there.
    #[inline(always)]
    pub fn at(&self, place: Place) -> Option<&Registration<T>> {
        self.chunks.get(place.chunk as usize, place.offset as usize)
    }

    /// What is there.
    #[inline(always)]
    pub fn at_mut(&mut self, place: Place) -> Option<&mut Registration<T>> {
        self.chunks
            .get_mut(place.chunk as usize, place.offset as usize)
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
        self.chunks.get(chunk, offset)
    }

    /// The registration that `handle` names.
    #[inline]
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut Registration<T>> {
        let (chunk, offset) = Self::place(handle);
        self.chunks.get_mut(chunk, offset)
    }

    #[inline]
    fn spot(&mut self, handle: Handle) -> Option<Spot<Registration<T>>> {
        let (chunk, offset) = Self::place(handle);
        self.chunks.spot(chunk, offset)
    }

    /// Where the next registration will be, if there is room, for who comes to it often.
    pub fn next_spot(&mut self) -> Option<Spot<Registration<T>>> {
        match self.free {
            NONE => self.spot(Self::nth(self.used)),
            free => self.spot(Handle(free)),
        }
    }

    /// Arms the registration that was freed last, whose place has kept a tie, if `renew` finds that
    /// good, and returns what that made of it. If it does not, or there is none, nothing is armed,
    /// and no tie kept there.
    #[inline(always)]
    pub fn insert_again<R, E>(
        &mut self,
        request: &Event,
        generation: u64,
        nature: Nature,
        after: Handle,
        renew: impl FnOnce(T) -> Result<(T, R), E>,
    ) -> Result<(Handle, R), Option<E>> {
        let handle = Handle(self.free);
        let (chunk, offset) = Self::place(handle);
        // None has been freed: there is no such place.
        let registration = self.chunks.get_mut(chunk, offset).ok_or(None)?;
        let tie = registration.take_tie().ok_or(None)?;
        self.kept = self.kept.wrapping_sub(1);
        let (tie, renewed) = renew(tie).map_err(Some)?;
        self.free = registration.next;
        registration.tie = Some(tie);
        registration.set(request, generation, nature);
        registration.after = after;
        registration.phase = Phase::Armed;
        Ok((handle, renewed))
    }

    /// Links the last of a list to one that was appended.
    #[inline(always)]
    pub fn link(&mut self, last: Handle, appended: Handle) {
        if let Some(last) = self.get_mut(last) {
            last.next = appended.0;
        }
    }

    /// Arms an unused registration.
    #[inline(always)]
    pub fn insert(
        &mut self,
        request: &Event,
        generation: u64,
        nature: Nature,
    ) -> Option<(Handle, &mut Registration<T>)> {
        let (free, used) = (self.free, self.used);
        let handle = match free {
            NONE if used == self.capacity => return None,
            NONE => Self::nth(used),
            free => Handle(free),
        };
        match free {
            NONE => self.used = used.wrapping_add(1),
            _ => self.free = self.get(handle)?.next,
        }
        let registration = self.get_mut(handle)?;
        registration.set(request, generation, nature);
        registration.phase = Phase::Armed;
        Some((handle, registration))
    }

    /// Frees a registration as [`Table::remove()`] does, if `work` says that this is all there is
    /// to do.
    #[inline]
    pub fn remove_if<R>(
        &mut self,
        handle: Handle,
        work: impl FnOnce(&mut Registration<T>) -> Option<R>,
    ) -> Option<R> {
        let free = self.free;
        let registration = self.get_mut(handle)?;
        let result = work(registration)?;
        registration.free(free);
        self.free = handle.0;
        Some(result)
    }

    /// Lets a place that is free keep the tie of its last registration. Gives it back if there is
    /// one, or a registration, or if enough are kept.
    #[inline]
    pub fn keep(&mut self, handle: Handle, tie: T) -> Option<T> {
        let kept = self.kept;
        match self.get_mut(handle) {
            Some(place) if kept < KEPT && place.phase == Phase::Free && place.tie.is_none() => {
                place.tie = Some(tie);
                self.kept = kept.wrapping_add(1);
                None
            }
            _ => Some(tie),
        }
    }

    /// Takes out the tie that a place has kept.
    #[inline]
    pub fn empty(&mut self, handle: Handle) -> Option<T> {
        let place = self.get_mut(handle)?;
        let tie = match place.phase {
            Phase::Free => place.take_tie()?,
            _ => return None,
        };
        self.kept = self.kept.wrapping_sub(1);
        Some(tie)
    }

    /// Takes out the tie that the next registration finds in its place, if there is one.
    #[inline]
    pub fn spare(&mut self) -> Option<T> {
        match self.free {
            NONE => None,
            free => self.empty(Handle(free)),
        }
    }

    /// Frees a registration that is on no list and has no chain.
    #[inline]
    pub fn remove(&mut self, handle: Handle) {
        let free = self.free;
        if let Some(registration) = self.get_mut(handle) {
            registration.free(free);
            self.free = handle.0;
        }
    }
}

/// What tells where a registration of a table is.
pub trait Locate<T> {
    /// The registration.
    fn locate<'a>(&self, table: &'a mut Table<T>) -> Option<&'a mut Registration<T>>;
}

impl<T> Locate<T> for Handle {
    #[inline(always)]
    fn locate<'a>(&self, table: &'a mut Table<T>) -> Option<&'a mut Registration<T>> {
        table.get_mut(*self)
    }
}

impl<T> Locate<T> for Here<'_, Registration<T>> {
    #[inline(always)]
    fn locate<'a>(&self, table: &'a mut Table<T>) -> Option<&'a mut Registration<T>> {
        Some(table.chunks.at(self))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A list through the links of registrations. One registration is on one list at most. What
/// precedes the first and follows the last is not written.
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
        if let Some(registration) = table.get_mut(handle) {
            if let Some(before) = self.append(registration, handle) {
                table.link(before, handle);
            }
        }
    }

    /// The same for who has it at hand. Who is returned precedes it, and has to be linked to it.
    #[inline(always)]
    #[must_use]
    pub fn append<T>(
        &mut self,
        registration: &mut Registration<T>,
        handle: Handle,
    ) -> Option<Handle> {
        let before = core::mem::replace(&mut self.last, handle.0);
        self.len = self.len.wrapping_add(1);
        if self.first == NONE {
            self.first = handle.0;
            return None;
        }
        registration.prev = before;
        Some(Handle(before))
    }

    /// Takes the oldest off.
    pub fn pop<T>(&mut self, table: &mut Table<T>) -> Option<Handle> {
        let handle = self.first()?;
        self.unlink(table, handle);
        Some(handle)
    }

    /// A walk from the oldest.
    #[inline]
    pub fn run(&self) -> Run {
        Run(self.first)
    }

    /// Takes off the `len` registrations that a walk has passed.
    #[inline]
    pub fn cut(&mut self, run: Run, len: u32) {
        self.first = run.0;
        self.len = self.len.wrapping_sub(len);
    }

    /// Takes off a registration that is on this list.
    pub fn unlink<T>(&mut self, table: &mut Table<T>, handle: Handle) {
        let Some(registration) = table.get_mut(handle) else {
            return;
        };
        let (prev, next) = (registration.prev, registration.next);
        match (self.first == handle.0, self.last == handle.0) {
            (true, true) => self.first = NONE,
            (true, false) => self.first = next,
            (false, true) => self.last = prev,
            (false, false) => {
                if let Some(before) = table.get_mut(Handle(prev)) {
                    before.next = next;
                }
                if let Some(after) = table.get_mut(Handle(next)) {
                    after.prev = prev;
                }
            }
        }
        self.len = self.len.wrapping_sub(1);
    }
}

/// A walk along a list.
#[derive(Clone, Copy)]
pub struct Run(u32);

impl Run {
    /// The registration at which it stands.
    #[inline(always)]
    pub fn next<'a, T>(&self, table: &'a mut Table<T>) -> Option<&'a mut Registration<T>> {
        // At the end it stands at none, which no table has.
        table.get_mut(Handle(self.0))
    }

    /// Where it stands.
    #[inline(always)]
    pub fn handle(&self) -> Handle {
        Handle(self.0)
    }

    /// Goes on along `list` from `registration`, at which it stands. Returns false at the end.
    #[inline(always)]
    pub fn step<T>(&mut self, list: &List, registration: &Registration<T>) -> bool {
        let ends = self.0 == list.last;
        self.0 = if ends { NONE } else { registration.next };
        !ends
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}
