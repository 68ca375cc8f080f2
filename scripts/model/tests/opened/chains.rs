// SPDX-License-Identifier: GPL-2.0

//! What must hold of a ring's private links after every operation.

use super::{
    super::registration::{
        Handle,
        Phase,
        Table,
        NOWHERE, //
    },
    Memory,
    Ring,
    NO_SLOT, //
};

/// Checks the chain of each registration in `handles`, and that no other slot is bound but to a ghost.
pub fn check<M: Memory>(ring: &Ring<M>, table: &Table, handles: &[Handle]) {
    let mut chained = 0;
    for &handle in handles {
        let registration = table.get(handle).expect("a registration");
        let mut newer = NO_SLOT;
        let mut index = registration.chain;
        let mut position = registration.position;
        assert!(position == NOWHERE || position < ring.head);
        while index != NO_SLOT {
            let slot = ring.slots.at(u64::from(index));
            assert!(slot.bound);
            assert_eq!(slot.registration, handle);
            assert_eq!(slot.newer, newer);
            assert_eq!(slot.position & ring.slots.mask(), u64::from(index));
            assert!(slot.position < position, "younger entries come first");
            position = slot.position;
            newer = index;
            index = slot.older;
            chained += 1;
        }
    }
    let bound = (0..=ring.slots.mask())
        .map(|index| ring.slots.at(index))
        .filter(|slot| slot.bound)
        .filter(|slot| table.get(slot.registration).expect("its").phase != Phase::Ghost)
        .count();
    assert_eq!(chained, bound, "a slot on no chain");
    assert!(ring.searched <= ring.head + ring.slots.mask() + 1);
    assert!(ring.untaken <= ring.head && ring.tail <= ring.head);
    let head = ring.memory.head().load(crate::sync::atomic::Relaxed);
    assert_eq!(head, ring.head);
}
