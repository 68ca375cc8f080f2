// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The word of a slot, which decides every race for the entry in it.
//!
//! ```text
//!  63      50 49     42 41      40     39       32 31            0
//! +----------+---------+----------+-----+---------+---------------+
//! | owner 14 | lap 8   | FINISHED |TAKEN| result 8| fired mask 32 |
//! +----------+---------+----------+-----+---------+---------------+
//! ```
//!
//! | state    | bits              | who may change it, to what                        |
//! |----------|-------------------|---------------------------------------------------|
//! | untaken  | neither           | kernel: more mask bits, finished; anyone: taken   |
//! | taken    | TAKEN             | its owner, or who recovers for it: finished       |
//! | finished | FINISHED          | kernel: untaken, of a later lap                   |
//!
//! The lap tells an entry from an older one in the same slot, and makes a position that the kernel
//! stepped over invisible.

const TAKEN: u64 = 1 << 40;
const FINISHED: u64 = 1 << 41;
const RESULT_SHIFT: u32 = 32;
const RESULT_MASK: u64 = 0xff << RESULT_SHIFT;
const LAP_SHIFT: u32 = 42;
const LAP_MASK: u64 = 0xff;
const OWNER_SHIFT: u32 = 50;

/// What owner 0 has taken, a commit frees.
pub const OWNER_COMMIT: u32 = 0;

/// The word of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u64);

impl Word {
    /// The word of a slot that never held an entry.
    pub const FRESH: Word = Word(FINISHED);

    /// The word of a new entry.
    pub fn untaken(mask: u32, result: u32, lap: u64) -> Self {
        Word(
            u64::from(mask)
                | ((u64::from(result) << RESULT_SHIFT) & RESULT_MASK)
                | ((lap & LAP_MASK) << LAP_SHIFT),
        )
    }

    /// The lap of `position` in a ring of `1 << shift` slots.
    pub fn lap_of(position: u64, shift: u32) -> u64 {
        position.wrapping_shr(shift).wrapping_add(1) & LAP_MASK
    }

    /// The word of a new entry at `position`, before it says anything.
    #[inline]
    pub fn empty(position: u64, shift: u32) -> Self {
        Self::untaken(0, 0, Self::lap_of(position, shift))
    }

    /// The lap in which the entry was written.
    pub fn lap(self) -> u64 {
        (self.0 >> LAP_SHIFT) & LAP_MASK
    }

    /// This word with more mask and result bits.
    pub fn merged(self, mask: u32, result: u32) -> Self {
        Word(self.0 | u64::from(mask) | ((u64::from(result) << RESULT_SHIFT) & RESULT_MASK))
    }

    /// This word, taken by `owner`.
    pub fn taken(self, owner: u32) -> Self {
        Word(self.0 | TAKEN | (u64::from(owner) << OWNER_SHIFT))
    }

    /// This word, finished.
    pub fn finished(self) -> Self {
        Word(self.0 | FINISHED)
    }

    /// Whether a consumer holds the entry.
    pub fn is_taken(self) -> bool {
        self.0 & (TAKEN | FINISHED) == TAKEN
    }

    /// Whether the slot can be filled.
    pub fn is_finished(self) -> bool {
        self.0 & FINISHED != 0
    }

    /// Whether the entry waits for a consumer.
    pub fn is_untaken(self) -> bool {
        self.0 & (TAKEN | FINISHED) == 0
    }

    /// The number that the taker wrote.
    pub fn owner(self) -> u32 {
        (self.0 >> OWNER_SHIFT) as u32
    }

    /// The mask.
    pub fn mask(self) -> u32 {
        self.0 as u32
    }

    /// The result bits.
    pub fn result(self) -> u32 {
        ((self.0 & RESULT_MASK) >> RESULT_SHIFT) as u32
    }

    /// The mask and result bits alone, as a copied event shows them.
    pub fn outcome(self) -> u64 {
        self.0 & (RESULT_MASK | 0xffff_ffff)
    }
}
