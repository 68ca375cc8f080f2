// SPDX-License-Identifier: GPL-2.0

//! The kernel's array, on a vector.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

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

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Arrays that are added one by one.
#[derive(Debug)]
pub struct Arrays<T, const N: usize> {
    arrays: [Option<Array<T>>; N],
    number: u64,
}

/// Where an element of some [`Arrays`] is; the kernel does not check of which.
#[derive(Debug)]
pub struct Spot<T> {
    array: usize,
    index: usize,
    number: u64,
    element: std::marker::PhantomData<fn() -> T>,
}

impl<T> Clone for Spot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Spot<T> {}

/// The same, in the hands of who has the arrays.
#[derive(Debug)]
pub struct Here<'a, T>(&'a Spot<T>);

impl<T> Spot<T> {
    /// For [`Arrays::at()`].
    ///
    /// # Safety
    ///
    /// None: here it is checked.
    pub unsafe fn here(&self) -> Here<'_, T> {
        Here(self)
    }
}

#[allow(clippy::new_without_default)]
impl<T, const N: usize> Arrays<T, N> {
    /// No array.
    pub fn new() -> Self {
        Arrays {
            arrays: [const { None }; N],
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
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
    pub fn get(&self, array: usize, index: usize) -> Option<&T> {
        self.arrays.get(array)?.as_ref()?.get(index)
    }

    /// An element of an array.
    pub fn get_mut(&mut self, array: usize, index: usize) -> Option<&mut T> {
        self.arrays.get_mut(array)?.as_mut()?.get_mut(index)
    }

    /// Where an element is, for [`Arrays::at()`].
    pub fn spot(&mut self, array: usize, index: usize) -> Option<Spot<T>> {
        let number = self.number;
        self.get(array, index).map(|_| Spot {
            array,
            index,
            number,
            element: std::marker::PhantomData,
        })
    }

    /// The element that is there.
    pub fn at(&mut self, here: &Here<'_, T>) -> &mut T {
        let spot = *here.0;
        assert_eq!(spot.number, self.number, "it is of others");
        self.get_mut(spot.array, spot.index).expect("it was there")
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
