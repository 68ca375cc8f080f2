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
