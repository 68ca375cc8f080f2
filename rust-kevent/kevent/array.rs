// SPDX-License-Identifier: GPL-2.0

//! Memory of a fixed length, charged to the memory cgroup of the caller.

use crate::{
    alloc::{
        flags::{
            __GFP_RETRY_MAYFAIL,
            GFP_KERNEL_ACCOUNT, //
        },
        Flags, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};
use core::ptr::NonNull;

/// Fails, rather than calling the OOM killer, when the memory cgroup is full.
pub(super) fn accounted() -> Flags {
    GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL
}

/// A boxed slice that is only read and written with a checked index.
pub struct Array<T>(KVVec<T>);

impl<T: Clone> Array<T> {
    /// `len` copies of `value`.
    pub fn new(len: usize, value: T) -> Result<Self> {
        Ok(Array(KVVec::from_elem(value, len, accounted())?))
    }
}

impl<T> Array<T> {
    /// The number of elements.
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// An element.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index)
    }

    /// An element.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.get_mut(index)
    }
}

/// Counts [`Arrays`] from boot. No number comes again.
static NUMBER: Atomic<u64> = Atomic::new(0);

/// Arrays that are added one by one. None is taken away before all of them are dropped, so no element
/// moves.
///
/// # Invariants
///
/// No other value ever has the same `number`.
pub struct Arrays<T, const N: usize> {
    arrays: [Option<Array<T>>; N],
    number: u64,
}

/// Where an element of some [`Arrays`] is.
///
/// # Invariants
///
/// `element` is an element of the arrays that have, or had, this `number`.
pub struct Spot<T> {
    element: NonNull<T>,
    number: u64,
}

// SAFETY: Nobody gets the element by it who has not the arrays.
unsafe impl<T> Send for Spot<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Spot<T> {}

impl<T> Clone for Spot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Spot<T> {}

impl<T, const N: usize> Arrays<T, N> {
    /// No array.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        // INVARIANT: 2^64 numbers are not used up.
        Arrays {
            arrays: [const { None }; N],
            number: NUMBER.fetch_add(1, Relaxed),
        }
    }

    /// Adds an array. Gives it back if there is one with this index.
    pub fn add(&mut self, index: usize, array: Array<T>) -> Result<(), Array<T>> {
        match self.arrays.get_mut(index) {
            Some(place @ None) => {
                *place = Some(array);
                Ok(())
            }
            _ => Err(array),
        }
    }

    /// An element of an array.
    #[inline]
    pub fn get(&self, array: usize, index: usize) -> Option<&T> {
        self.arrays.get(array)?.as_ref()?.get(index)
    }

    /// An element of an array.
    #[inline]
    pub fn get_mut(&mut self, array: usize, index: usize) -> Option<&mut T> {
        self.arrays.get_mut(array)?.as_mut()?.get_mut(index)
    }

    /// Where an element is, for [`Arrays::at()`].
    #[inline]
    pub fn spot(&mut self, array: usize, index: usize) -> Option<Spot<T>> {
        let Array(elements) = self.arrays.get_mut(array)?.as_mut()?;
        if index >= elements.len() {
            return None;
        }
        // INVARIANT: By the lookup. The pointer is that of the whole array, which outlives any
        // reference to an element.
        Some(Spot {
            // SAFETY: There is an element with that index.
            element: NonNull::new(unsafe { elements.as_mut_ptr().add(index) })?,
            number: self.number,
        })
    }

    /// The element that is there; nothing if the place is of others.
    #[inline(always)]
    pub fn at(&mut self, spot: &Spot<T>) -> Option<&mut T> {
        if spot.number != self.number {
            return None;
        }
        // SAFETY: By the type invariants, it is an element of these arrays, of which none has gone,
        // and they are borrowed.
        Some(unsafe { &mut *spot.element.as_ptr() })
    }
}

/// A boxed slice of a power of two of elements, in which any position has one.
///
/// # Invariants
///
/// There are `mask + 1` elements.
pub struct Circle<T> {
    elements: KVVec<T>,
    mask: usize,
}

impl<T: Clone> Circle<T> {
    /// As many copies of `value`.
    pub fn new(len: usize, value: T) -> Result<Self> {
        if !len.is_power_of_two() {
            return Err(EINVAL);
        }
        // INVARIANT: `from_elem()` makes `len` elements.
        Ok(Circle {
            elements: KVVec::from_elem(value, len, accounted())?,
            mask: len.wrapping_sub(1),
        })
    }
}

impl<T> Circle<T> {
    /// The number of elements, less one.
    pub fn mask(&self) -> u64 {
        self.mask as u64
    }

    /// The element at a position.
    #[inline(always)]
    pub fn at(&self, position: u64) -> &T {
        // SAFETY: By the type invariant.
        unsafe { self.elements.get_unchecked(position as usize & self.mask) }
    }

    /// The element at a position.
    #[inline(always)]
    pub fn at_mut(&mut self, position: u64) -> &mut T {
        // SAFETY: By the type invariant.
        unsafe {
            self.elements
                .get_unchecked_mut(position as usize & self.mask)
        }
    }
}
