// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A consumer of an event ring: the user's side of the protocol.
//!
//! ```text
//!            take                      finish
//!   untaken ------> taken by an owner --------> finished
//!                        |       ^
//!                        +-------+ adopt, when the owner is gone
//! ```
//!
//! Every step is one compare-exchange of the word of a slot, so a thread that dies between two
//! instructions leaves the slot untaken, or with its number on it.
//!
//! The cursor only grows. It passes a position when the entry there is taken or finished, by
//! whomever, or never was: none of these becomes untaken again.
//!
//! The head is read when the cursor comes to where it was known to be. What stands before it stays
//! visible; if the ring went round since, laps tell, and the next reading moves the cursor on.

use super::word::Word;
use crate::sync::primitive::{
    fence, //
    AtomicU32,
    AtomicU64,
    Ordering::{
        Acquire,
        Relaxed,
        Release,
        SeqCst, //
    },
};

/// Set in a counting datum by its taker: the count goes no further.
pub const DATA_CLOSED: u64 = 1 << 63;

const OWNER: u64 = 0x3fff << 50;

/// The result bit of an entry whose datum counts.
pub const COUNTED: u64 = 0x40 << 32;

/// A mapped ring. Every method takes any position and reduces it to a slot by itself.
pub trait Mapping {
    /// What a taken entry holds beside its word and its datum.
    type Payload;
    /// Binary logarithm of the number of slots.
    fn shift(&self) -> u32;
    /// The position that the kernel fills next.
    fn position(&self) -> &AtomicU64;
    /// 1 while events wait in the kernel for room.
    fn pending(&self) -> &AtomicU32;
    /// The word of a slot.
    fn word(&self, position: u64) -> &AtomicU64;
    /// The datum of a slot.
    fn data(&self, position: u64) -> &AtomicU64;
    /// Copies the rest of an entry.
    ///
    /// # Safety
    ///
    /// The caller must hold the slot.
    unsafe fn payload(&self, position: u64) -> Self::Payload;
}

/// An entry in the hands of its taker. Dropping it leaves the slot taken, as a death would.
#[derive(Debug)]
#[must_use]
pub struct Taken {
    position: u64,
    word: Word,
}

impl Taken {
    /// A position of its slot: the entry's own, unless it was adopted.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The word, with mask and result bits.
    pub fn word(&self) -> Word {
        self.word
    }

    /// Frees the slot. Returns false when another has adopted the entry meanwhile.
    pub fn finish<M: Mapping + ?Sized>(self, mapping: &M) -> bool {
        let Taken { position, word } = self;
        // ORDERING: the kernel fills the slot after everything that was done with the entry.
        mapping
            .word(position)
            .compare_exchange(word.0, word.finished().0, Release, Relaxed)
            .is_ok()
    }
}

/// One thread's cursor in a ring.
pub struct Consumer<M> {
    mapping: M,
    owner: u32,
    next: u64,
    known: u64,
}

impl<M: core::ops::Deref<Target: Mapping>> Consumer<M> {
    /// A consumer whose number is `owner`, which begins at the oldest entry.
    pub fn new(mapping: M, owner: u32) -> Self {
        Consumer {
            mapping,
            owner,
            next: 0,
            known: 0,
        }
    }

    fn slots(&self) -> u64 {
        1 << self.mapping.shift()
    }

    /// Where the next look begins; its low half is what `kevent_wait()` wants to know.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes the oldest untaken entry.
    pub fn take(&mut self) -> Option<Taken> {
        if let Some(taken) = self.scan() {
            return Some(taken);
        }
        if self.more() {
            return self.scan();
        }
        None
    }

    /// Reads the head. Returns whether there are positions that were not looked at.
    fn more(&mut self) -> bool {
        // ORDERING: what stands before the position is visible.
        let head = self.mapping.position().load(Acquire);
        let ahead = head.wrapping_sub(self.next);
        if ahead as i64 <= 0 {
            return false;
        }
        if ahead > self.slots() {
            self.next = head.wrapping_sub(self.slots());
        }
        self.known = head;
        true
    }

    /// Takes the oldest untaken entry before the known head.
    fn scan(&mut self) -> Option<Taken> {
        while self.next < self.known {
            let position = self.next;
            // If the ring went round by a multiple of 256 laps meanwhile, the take gets a younger
            // entry than that of `position`. The cursor stays behind it, so nothing is passed over.
            self.next = position.wrapping_add(1);
            if let Some(taken) = self.take_at(position) {
                return Some(taken);
            }
        }
        None
    }

    fn take_at(&self, position: u64) -> Option<Taken> {
        let lap = Word::lap_of(position, self.mapping.shift());
        let word = self.mapping.word(position);
        let mut old = Word(word.load(Relaxed));
        while old.lap() == lap && old.is_untaken() {
            let new = old.taken(self.owner);
            // ORDERING: the payload, and what made the source fire, are visible.
            match word.compare_exchange(old.0, new.0, Acquire, Relaxed) {
                Ok(_) => return Some(self.seal(position, new)),
                Err(found) => old = Word(found),
            }
        }
        None
    }

    /// Ends the merging of counts. A bit, so that the count survives the taker.
    fn seal(&self, position: u64, word: Word) -> Taken {
        if word.0 & COUNTED != 0 {
            self.mapping.data(position).fetch_or(DATA_CLOSED, Relaxed);
        }
        Taken { position, word }
    }

    /// The datum of an entry; the count, if it is one.
    pub fn data(&self, taken: &Taken) -> u64 {
        let data = self.mapping.data(taken.position).load(Relaxed);
        if taken.word.0 & COUNTED != 0 {
            data & !DATA_CLOSED
        } else {
            data
        }
    }

    /// The rest of an entry.
    pub fn payload(&self, taken: &Taken) -> <M::Target as Mapping>::Payload {
        // SAFETY: Whoever has a `Taken` holds the slot.
        unsafe { self.mapping.payload(taken.position) }
    }

    /// Frees the slot of an entry, see [`Taken::finish`].
    pub fn finish(&mut self, taken: Taken) -> bool {
        taken.finish(&*self.mapping)
    }

    /// Whether entries are held under the number of this consumer.
    pub fn holds(&self) -> bool {
        (0..self.slots()).any(|position| {
            let word = Word(self.mapping.word(position).load(Relaxed));
            word.is_taken() && word.owner() == self.owner
        })
    }

    /// Takes over an entry from an owner that is gone. That owner may have handled it already.
    pub fn adopt(&mut self, owner: u32) -> Option<Taken> {
        (0..self.slots()).find_map(|position| {
            let word = self.mapping.word(position);
            let old = Word(word.load(Relaxed));
            if !old.is_taken() || old.owner() != owner || owner == self.owner {
                return None;
            }
            let new = Word(old.0 & !OWNER).taken(self.owner);
            // ORDERING: the payload is visible, whether or not the caller ever saw the position.
            word.compare_exchange(old.0, new.0, Acquire, Relaxed).ok()?;
            Some(self.seal(position, new))
        })
    }

    /// Finishes what an owner that is gone held. Returns how many entries that were.
    pub fn recover(&mut self, owner: u32) -> u32 {
        let mut freed = 0;
        while let Some(taken) = self.adopt(owner) {
            freed += u32::from(self.finish(taken));
        }
        freed
    }

    /// Whether events wait in the kernel for room. Asked after the last finish, and before anything
    /// but `kevent_wait()` puts the thread to sleep.
    pub fn pending(&self) -> bool {
        // ORDERING: either the kernel sees what was finished before, or this sees `pending`.
        fence(SeqCst);
        self.mapping.pending().load(Relaxed) != 0
    }
}
