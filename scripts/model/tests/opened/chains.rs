// SPDX-License-Identifier: GPL-2.0

//! What must hold of a ring's private links after every operation.

use super::{
    super::registration::{
        Handle,
        Table, //
    },
    Memory,
    Ring,
    NO_SLOT, //
};

/// Checks the chain of each registration in `handles`, and that no slot is on another.
pub fn check<M: Memory>(ring: &Ring<M>, table: &Table, handles: &[Handle]) {
    let mut chained = 0;
    for &handle in handles {
        let mut newer = NO_SLOT;
        let mut index = table.newest(handle);
        let mut position = u64::MAX;
        while index != NO_SLOT {
            let slot = ring.slots.get(index as usize).expect("a slot");
            assert_eq!(slot.registration, Some(handle));
            assert_eq!(slot.newer, newer);
            assert_eq!(slot.position & ring.mask, u64::from(index));
            assert!(slot.position < position, "younger entries come first");
            position = slot.position;
            newer = index;
            index = slot.older;
            chained += 1;
        }
    }
    let owned = (0..ring.slots.len())
        .filter_map(|index| ring.slots.get(index))
        .filter(|slot| {
            assert!(slot.registration.is_some() || (slot.older, slot.newer) == (NO_SLOT, NO_SLOT));
            slot.registration.is_some()
        })
        .count();
    assert_eq!(chained, owned, "a slot on no chain");
    assert!(ring.search >= ring.head && ring.search - ring.head <= ring.mask + 1);
    assert!(ring.untaken <= ring.head && ring.tail <= ring.head);
}
