// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What finds a registration by its type and id.
//!
//! A hash table with open addressing and linear probing. A place has a handle and 32 bits of hash,
//! not the key: that is in the registration, and whoever looks compares it there. So a key takes 8
//! bytes, and growing needs no key.
//!
//! Ids are chosen by user space. The hash has a secret of the queue, so that two keys collide with
//! the chance of random ones whatever they are, and at most four places in five are in use: a lookup
//! passes 3 places if it finds a key, and 13 if not, in the mean, when the table is as full as it may
//! be. Who beats these odds makes his own calls to his own queue slow: only `control` is held.
//!
//! What is removed leaves no mark: those behind it move up.

use super::{
    array::Array,
    registration::Handle, //
};

/// The hash of a key, in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(u32);

/// Tells a hash from an empty place.
const USED: u32 = 1 << 31;

const FIRST: usize = 16;

/// Parts of the golden ratio and of the root of 3: no bits stand out.
const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbb67_ae85_84ca_a73b];

/// Both halves of a product.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    product as u64 ^ (product >> 64) as u64
}

#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    handle: Handle,
}

impl Place {
    const EMPTY: Self = Place {
        hash: 0,
        handle: Handle::NOBODY,
    };
}

/// The keys of one queue.
pub struct Keys {
    places: Option<Array<Place>>,
    /// The number of places, a power of two, less one.
    mask: usize,
    len: usize,
    /// How many it may have.
    room: usize,
    secret: [u64; 2],
}

impl Keys {
    /// No keys. `secret` is random.
    pub fn new(secret: [u64; 2]) -> Self {
        Keys {
            places: None,
            mask: 0,
            len: 0,
            room: 0,
            secret,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, kind: u32, id: u64) -> Hash {
        let [first, second] = self.secret;
        // Twice: a factor with few bits would leave keys in a row together.
        let keyed = fold(id ^ first, ((u64::from(kind) ^ second) << 1) | 1);
        Hash(fold(keyed ^ ODD[0], ODD[1]) as u32 | USED)
    }

    fn set(&mut self, index: usize, place: Place) {
        if let Some(to) = self
            .places
            .as_mut()
            .and_then(|places| places.get_mut(index))
        {
            *to = place;
        }
    }

    /// The first place from `hash` on that is empty, or of which `is` says yes.
    #[inline]
    fn probe(&self, hash: Hash, mut is: impl FnMut(&Place) -> bool) -> Option<(usize, Place)> {
        let places = self.places.as_ref()?;
        let mut index = hash.0 as usize & self.mask;
        // One place in five is empty at least.
        for _ in 0..=self.mask {
            let place = places.get(index)?;
            if place.hash == 0 || is(place) {
                return Some((index, *place));
            }
            index = index.wrapping_add(1) & self.mask;
        }
        None
    }

    /// The registration with `hash` of which `is` says that it has the key.
    #[inline]
    pub fn find(&self, hash: Hash, mut is: impl FnMut(Handle) -> bool) -> Option<Handle> {
        let (_, place) = self.probe(hash, |place| place.hash == hash.0 && is(place.handle))?;
        (place.hash != 0).then_some(place.handle)
    }

    /// Makes room for one more. Returns false if there is no memory.
    #[inline]
    pub fn reserve(&mut self) -> bool {
        self.len < self.room || self.grow()
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let len = match &self.places {
            None => FIRST,
            Some(places) => places.len().saturating_mul(2),
        };
        let Some(places) = Array::new(len, Place::EMPTY).ok() else {
            return false;
        };
        let old = self.places.replace(places);
        self.mask = len.wrapping_sub(1);
        self.room = (len / 5).saturating_mul(4);
        for place in old.iter().flat_map(used) {
            self.put(*place);
        }
        true
    }

    #[inline]
    fn put(&mut self, place: Place) -> bool {
        match self.probe(Hash(place.hash), |_| false) {
            Some((index, _)) => {
                self.set(index, place);
                true
            }
            None => false,
        }
    }

    /// Adds a key that is not there. There must be room.
    #[inline]
    pub fn insert(&mut self, hash: Hash, handle: Handle) {
        let place = Place {
            hash: hash.0,
            handle,
        };
        if self.put(place) {
            self.len = self.len.wrapping_add(1);
        }
    }

    /// Removes a key, if it is there.
    pub fn remove(&mut self, hash: Hash, handle: Handle) {
        let is = |place: &Place| place.handle == handle && place.hash == hash.0;
        match self.probe(hash, is) {
            Some((index, found)) if found.hash != 0 => self.clear(index),
            _ => {}
        }
    }

    /// Empties a place.
    fn clear(&mut self, hole: usize) {
        let (mask, mut hole) = (self.mask, hole & self.mask);
        let Some(places) = &mut self.places else {
            return;
        };
        self.len = self.len.wrapping_sub(1);
        let mut index = hole;
        for _ in 0..mask {
            index = index.wrapping_add(1) & mask;
            let Some(place) = places.get(index).copied().filter(|place| place.hash != 0) else {
                break;
            };
            // It moves up to the hole, but not in front of where a lookup begins.
            let passed = index.wrapping_sub(place.hash as usize) & mask;
            if passed >= index.wrapping_sub(hole) & mask {
                if let Some(to) = places.get_mut(hole) {
                    *to = place;
                }
                hole = index;
            }
        }
        if let Some(to) = places.get_mut(hole) {
            *to = Place::EMPTY;
        }
    }

    /// All registrations, in no order.
    pub fn handles(&self) -> impl Iterator<Item = Handle> + '_ {
        self.places.iter().flat_map(used).map(|place| place.handle)
    }
}

fn used(places: &Array<Place>) -> impl Iterator<Item = &Place> + '_ {
    (0..places.len())
        .filter_map(|index| places.get(index))
        .filter(|place| place.hash != 0)
}
