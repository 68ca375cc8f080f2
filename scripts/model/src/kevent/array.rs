// SPDX-License-Identifier: GPL-2.0

//! The kernel's array, on a vector.

use std::convert::Infallible;

/// A boxed slice that is only read and written with a checked index.
#[derive(Debug)]
pub struct Array<T>(Vec<T>);

impl<T: Clone> Array<T> {
    /// `len` copies of `value`.
    pub fn new(len: usize, value: T) -> Result<Self, Infallible> {
        Ok(Array(vec![value; len]))
    }
}

#[allow(clippy::len_without_is_empty)]
impl<T> Array<T> {
    /// The number of elements.
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
#[derive(Debug)]
pub struct Circle<T>(Vec<T>);

impl<T: Clone> Circle<T> {
    /// As many copies of `value`.
    pub fn new(len: usize, value: T) -> Result<Self, Infallible> {
        assert!(len.is_power_of_two());
        Ok(Circle(vec![value; len]))
    }
}

impl<T> Circle<T> {
    /// The number of elements, less one.
    pub fn mask(&self) -> u64 {
        self.0.len() as u64 - 1
    }

    /// The element at a position.
    pub fn at(&self, position: u64) -> &T {
        &self.0[(position & self.mask()) as usize]
    }

    /// The element at a position.
    pub fn at_mut(&mut self, position: u64) -> &mut T {
        let index = (position & self.mask()) as usize;
        &mut self.0[index]
    }
}
