// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which consumers of this process have which numbers.

use std::collections::BTreeSet;

use kevent_sys::KEVENT_OWNER_MAX;

/// The number by which a ring knows a consumer, 1 to [`Owner::MAX`].
///
/// [`Ring::consumer`](crate::Ring::consumer) chooses one that nobody in the process has. Processes
/// that share a ring have to agree, and say theirs to
/// [`Ring::consumer_as`](crate::Ring::consumer_as).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(u16);

impl Owner {
    /// The largest number.
    pub const MAX: u16 = KEVENT_OWNER_MAX as u16;

    /// A number; none if it is 0 or above [`MAX`](Owner::MAX).
    pub const fn new(number: u16) -> Option<Owner> {
        match number {
            1..=Owner::MAX => Some(Owner(number)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// Those in use, and the dead.
    used: BTreeSet<Owner>,
    /// Those who left events, to be inherited.
    dead: BTreeSet<Owner>,
    /// So many numbers, from 1 on, are in use.
    dense: u16,
}

impl Owners {
    /// The least number that is free.
    pub(crate) fn choose(&mut self) -> Option<Owner> {
        let mut numbers = self.dense + 1..=Owner::MAX;
        let free = numbers.find_map(|number| {
            let owner = Owner::new(number)?;
            (!self.used.contains(&owner)).then_some(owner)
        })?;
        self.dense = free.get();
        self.used.insert(free);
        Some(free)
    }

    /// Takes a number, unless it is in use.
    pub(crate) fn claim(&mut self, owner: Owner) -> bool {
        self.used.insert(owner)
    }

    /// Gives a number back. It is free only if nothing was left under it.
    pub(crate) fn leave(&mut self, owner: Owner, held: bool) {
        if held {
            self.dead.insert(owner);
        } else {
            self.free(owner);
        }
    }

    fn free(&mut self, owner: Owner) {
        self.used.remove(&owner);
        self.dense = self.dense.min(owner.get() - 1);
    }

    /// One who left events. Until `buried`, nobody gets the number.
    pub(crate) fn dead(&self) -> Option<Owner> {
        self.dead.first().copied()
    }

    /// Nothing is left of a dead one.
    pub(crate) fn bury(&mut self, owner: Owner) {
        if self.dead.remove(&owner) {
            self.free(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_interface() {
        assert_eq!(Owner::new(0), None);
        assert_eq!(Owner::new(Owner::MAX + 1), None);
        assert_eq!(Owner::new(Owner::MAX).unwrap().get(), 16383);
    }

    #[test]
    fn there_is_an_end_of_numbers() {
        let mut owners = Owners::default();
        for _ in 0..Owner::MAX {
            owners.choose().unwrap();
        }
        assert_eq!(owners.choose(), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Choose,
        Claim(u16),
        Leave(usize, bool),
        Bury,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Choose),
            (1..8u16).prop_map(Step::Claim),
            (any::<usize>(), any::<bool>()).prop_map(|(which, held)| Step::Leave(which, held)),
            Just(Step::Bury),
        ]
    }

    proptest! {
        /// Nobody gets a number that a living or an unburied consumer has.
        #[test]
        fn no_number_is_given_twice(steps in prop::collection::vec(step(), 0..200)) {
            let mut owners = Owners::default();
            let (mut living, mut dead) = (Vec::new(), Vec::new());
            for step in steps {
                let new = match step {
                    Step::Choose => owners.choose(),
                    Step::Claim(number) => Owner::new(number).filter(|owner| owners.claim(*owner)),
                    Step::Leave(which, held) if !living.is_empty() => {
                        let owner = living.swap_remove(which % living.len());
                        owners.leave(owner, held);
                        if held {
                            dead.push(owner);
                        }
                        None
                    }
                    Step::Bury if owners.dead().is_some() => {
                        let owner = owners.dead().unwrap();
                        prop_assert!(dead.contains(&owner));
                        dead.retain(|other| *other != owner);
                        owners.bury(owner);
                        None
                    }
                    _ => None,
                };
                if let Some(new) = new {
                    prop_assert!(!living.contains(&new) && !dead.contains(&new));
                    living.push(new);
                }
                prop_assert_eq!(owners.dead().is_some(), !dead.is_empty());
            }
        }
    }
}
