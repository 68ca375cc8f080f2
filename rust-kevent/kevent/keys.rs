// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What finds a registration by its type and id.
//!
//! A hash table that has no memory of its own: each place of the [`Table`] of registrations has the
//! head of one chain, besides the link of the chain that its own registration is in. There are as
//! many chains as there ever were keys at once. The table grows by linear hashing: one more key
//! than chains splits one chain, so there is never more to do at once than that.
//!
//! ```text
//!   chains = 6:    hash & 7 = 0 1 2 3 4 5 6 7
//!                  chain      0 1 2 3 4 5 2 3      2 is split next, into 2 and 6
//! ```
//!
//! Ids are chosen by user space. The hash has a secret of the queue, so that two keys collide with
//! the chance of random ones whatever they are: in the mean, a chain that is not split yet has two,
//! and of a million keys the longest chain has about a dozen. It is walked with interrupts off.

use super::{
    event::Event,
    registration::{
        Handle,
        Place,
        Registration,
        Table, //
    }, //
};

/// The hash of a key, in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(u32);

/// Parts of the golden ratio and of the root of 3: no bits stand out.
const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbb67_ae85_84ca_a73b];

/// Both halves of a product.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    product as u64 ^ (product >> 64) as u64
}

/// What makes the hashes of one table.
#[derive(Clone, Copy)]
pub struct Secret([u64; 2]);

impl Secret {
    /// A secret of random numbers.
    pub const fn new(random: [u64; 2]) -> Self {
        Secret(random)
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, kind: u32, id: u64) -> Hash {
        let [first, second] = self.0;
        // Twice: a factor with few bits would leave keys in a row together.
        let keyed = fold(id ^ first, ((u64::from(kind) ^ second) << 1) | 1);
        Hash(fold(keyed ^ ODD[0], ODD[1]) as u32)
    }
}

/// Where a key is not, but would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacant {
    hash: Hash,
    place: Place,
    /// What the chain begins with.
    pub after: Handle,
}

/// The keys of one queue.
pub struct Keys {
    /// How many chains there are.
    chains: u32,
    /// The least number of ones in binary that is not below `chains - 1`.
    mask: u32,
    len: u32,
    secret: Secret,
}

#[inline]
fn is_of<T>(registration: &Registration<T>, kind: u32, id: u64) -> bool {
    registration.event.id == id && registration.event.kind == kind
}

impl Keys {
    /// No keys.
    pub const fn new(secret: Secret) -> Self {
        Keys {
            chains: 0,
            mask: 0,
            len: 0,
            secret,
        }
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, kind: u32, id: u64) -> Hash {
        self.secret.hash(kind, id)
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chain of a hash: in which place it begins.
    #[inline]
    fn chain(&self, hash: Hash) -> Place {
        let mut chain = hash.0 & self.mask;
        if chain >= self.chains {
            chain &= self.mask >> 1;
        }
        Table::<()>::nth_place(chain)
    }

    /// The registration with a key. If there is none, where the key would be.
    #[inline(always)]
    pub fn find<T>(
        &self,
        table: &Table<T>,
        hash: Hash,
        kind: u32,
        id: u64,
    ) -> Result<Handle, Vacant> {
        let place = self.chain(hash);
        let after = match table.at(place) {
            Some(chain) => chain.first,
            None => Handle::NOBODY,
        };
        let vacant = Vacant { hash, place, after };
        let mut at = after;
        while at != Handle::NOBODY {
            let registration = table.get(at).ok_or(vacant)?;
            if is_of(registration, kind, id) {
                return Ok(at);
            }
            at = registration.after;
        }
        Err(vacant)
    }

    /// Adds the key of a registration, which is not there. Nobody has added or removed one since it
    /// was looked for, and the registration is linked to what is [after](Vacant::after) it.
    #[inline(always)]
    pub fn insert<T>(&mut self, table: &mut Table<T>, vacant: Vacant, handle: Handle) {
        if self.len == self.chains {
            self.split(table);
            self.link(table, vacant.hash, handle);
        } else if let Some(chain) = table.at_mut(vacant.place) {
            chain.first = handle;
        }
        self.len = self.len.wrapping_add(1);
    }

    fn link<T>(&self, table: &mut Table<T>, hash: Hash, handle: Handle) {
        let chain = table.at_mut(self.chain(hash));
        let after = chain.map(|chain| core::mem::replace(&mut chain.first, handle));
        if let (Some(after), Some(registration)) = (after, table.get_mut(handle)) {
            registration.after = after;
        }
    }

    /// Takes a key out. Returns whose it was.
    #[inline]
    pub fn take<T>(
        &mut self,
        table: &mut Table<T>,
        hash: Hash,
        kind: u32,
        id: u64,
    ) -> Option<Handle> {
        self.unlink(table, hash, |_, registration| is_of(registration, kind, id))
    }

    /// Takes the key of a registration out, if it is there.
    #[inline]
    pub fn remove<T>(&mut self, table: &mut Table<T>, hash: Hash, handle: Handle) {
        self.unlink(table, hash, |found, _| found == handle);
    }

    #[inline]
    fn unlink<T>(
        &mut self,
        table: &mut Table<T>,
        hash: Hash,
        is: impl Fn(Handle, &Registration<T>) -> bool,
    ) -> Option<Handle> {
        let chain = self.chain(hash);
        let (mut before, mut at) = (Handle::NOBODY, table.at(chain)?.first);
        let after = loop {
            if at == Handle::NOBODY {
                return None;
            }
            let registration = table.get(at)?;
            if is(at, registration) {
                break registration.after;
            }
            before = at;
            at = registration.after;
        };
        match before {
            Handle::NOBODY => table.at_mut(chain)?.first = after,
            before => table.get_mut(before)?.after = after,
        }
        self.len = self.len.wrapping_sub(1);
        Some(at)
    }

    /// Adds a chain, and moves to it what is its from the one that had it.
    #[cold]
    fn split<T>(&mut self, table: &mut Table<T>) {
        let new = self.chains;
        self.chains = new.wrapping_add(1);
        if new > self.mask {
            self.mask = (self.mask << 1) | 1;
        }
        let old = new & (self.mask >> 1);
        let Some(chain) = table
            .at_mut(Table::<T>::nth_place(old))
            .filter(|_| new != 0)
        else {
            return;
        };
        let mut at = core::mem::replace(&mut chain.first, Handle::NOBODY);
        while let Some(registration) = table.get(at) {
            let Event { kind, id, .. } = registration.event;
            let moved = core::mem::replace(&mut at, registration.after);
            self.link(table, self.hash(kind, id), moved);
        }
    }
}
