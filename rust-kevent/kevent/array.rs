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
    prelude::*, //
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
    /// No element.
    const EMPTY: Self = Array(KVVec::new());

    /// The number of elements.
    #[expect(clippy::len_without_is_empty, reason = "who has one has elements")]
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

/// Arrays that are added one by one. None is taken away before all of them are dropped, so no
/// element moves.
pub struct Arrays<T, const N: usize> {
    /// Empty ones where none was added.
    arrays: [Array<T>; N],
}

/// Where an element of some [`Arrays`] is.
///
/// # Invariants
///
/// `element` is an element of the arrays that have made it, as long as there are these.
pub struct Spot<T> {
    element: NonNull<T>,
}

/// The same, in the hands of who has the arrays.
///
/// # Invariants
///
/// It is used with the arrays that have made the spot.
pub struct Here<'a, T>(&'a Spot<T>);

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

impl<T> Spot<T> {
    /// For [`Arrays::at()`].
    ///
    /// # Safety
    ///
    /// The result must only be used with the arrays that have made the spot.
    #[inline(always)]
    pub unsafe fn here(&self) -> Here<'_, T> {
        // INVARIANT: By the safety requirement.
        Here(self)
    }
}

impl<T, const N: usize> Arrays<T, N> {
    /// No array.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        Arrays {
            arrays: [const { Array::EMPTY }; N],
        }
    }

    /// Adds an array. Gives it back if there is one with this index.
    pub fn add(&mut self, index: usize, array: Array<T>) -> Result<(), Array<T>> {
        match self.arrays.get_mut(index) {
            Some(place) if place.len() == 0 => {
                *place = array;
                Ok(())
            }
            _ => Err(array),
        }
    }

    /// An element of an array.
    #[inline]
    pub fn get(&self, array: usize, index: usize) -> Option<&T> {
        self.arrays.get(array)?.get(index)
    }

    /// An element of an array.
    #[inline]
    pub fn get_mut(&mut self, array: usize, index: usize) -> Option<&mut T> {
        self.arrays.get_mut(array)?.get_mut(index)
    }

    /// Where an element is, for [`Arrays::at()`].
    #[inline]
    pub fn spot(&mut self, array: usize, index: usize) -> Option<Spot<T>> {
        let Array(elements) = self.arrays.get_mut(array)?;
        if index >= elements.len() {
            return None;
        }
        // INVARIANT: By the lookup. The pointer is that of the whole array, which outlives any
        // reference to an element.
        Some(Spot {
            // SAFETY: There is an element with that index.
            element: NonNull::new(unsafe { elements.as_mut_ptr().add(index) })?,
        })
    }

    /// The element that is there.
    #[inline(always)]
    pub fn at(&mut self, here: &Here<'_, T>) -> &mut T {
        // SAFETY: By the type invariants, it is an element of these arrays, of which none has gone,
        // and they are borrowed.
        unsafe { &mut *here.0.element.as_ptr() }
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
