// SPDX-License-Identifier: GPL-2.0

//! Entries in the ring, with consumers that behave.

use crate::host::*;

#[test]
fn an_entry_carries_what_its_registration_and_its_source_say() {
    let mut host = Host::new(1);
    let a = host.add(7, 0);
    let fired = Fired {
        mask: 4,
        result: RET_BROKEN,
        data: 99,
        error: 5,
    };
    assert_eq!(host.report(a, &fired), Wake::One);
    assert_eq!((host.head(), host.published()), (1, 1));
    let mut consumer = host.consumer(1);
    let taken = consumer.take().expect("an entry");
    assert_eq!(host.word(0), Word::untaken(4, RET_BROKEN, 1).taken(1));
    let payload = consumer.payload(&taken);
    assert_eq!((payload.id, payload.kind, payload.user), (7, 9, !7));
    assert_eq!((payload.error, consumer.data(&taken)), (5, 99));
    assert!(consumer.take().is_none());
    assert!(consumer.finish(taken));
    assert!(host.word(0).is_finished());
}

#[test]
fn an_untaken_entry_merges_and_wakes_nobody() {
    let mut host = Host::new(2);
    let a = host.add(0, REQ_WAKEUP_ALL);
    assert_eq!(host.report(a, &counts(1, 5)), Wake::All);
    assert_eq!(host.report(a, &counts(4, 6)), Wake::None);
    assert_eq!(host.report(a, &counts(4, 7)), Wake::None);
    assert_eq!(host.head(), 1);
    assert_eq!(host.eat(&mut host.consumer(1)), Some((0, 5, 18)));
}

#[test]
fn the_first_errno_goes_with_a_merge() {
    let mut host = Host::new(2);
    let a = host.add(0, 0);
    let failed = |error| Fired { error, ..bits(2) };
    host.report(a, &bits(1));
    host.report(a, &failed(104));
    host.report(a, &failed(110));
    assert_eq!(host.head(), 1);
    assert_eq!(host.shared.error(0), 104);
    let (_, event) = host.peek().expect("an event");
    assert_eq!((event.word as u32, event.error), (3, 104));
}

#[test]
fn a_taken_or_finished_entry_does_not_merge() {
    let mut host = Host::new(2);
    let a = host.add(0, 0);
    let mut consumer = host.consumer(1);
    host.report(a, &counts(1, 5));
    let taken = consumer.take().expect("an entry");
    host.report(a, &counts(2, 6));
    assert_eq!((consumer.data(&taken), taken.word().0 as u32), (5, 1));
    assert!(consumer.finish(taken));
    host.report(a, &counts(4, 7));
    assert_eq!(host.eat(&mut consumer), Some((0, 6, 13)));
    host.report(a, &counts(8, 8));
    assert_eq!(host.eat(&mut consumer), Some((0, 8, 8)));
    assert_eq!(host.eat(&mut consumer), None);
}

#[test]
fn counts_stop_at_63_bits() {
    let mut host = Host::new(0);
    let a = host.add(0, 0);
    host.report(a, &counts(1, DATA_CLOSED - 2));
    host.report(a, &counts(1, 9));
    host.report(a, &counts(1, 9));
    assert_eq!(
        host.eat(&mut host.consumer(1)),
        Some((0, 1, DATA_CLOSED - 1))
    );
}

#[test]
fn a_closed_count_goes_with_a_new_entry() {
    let mut host = Host::new(1);
    let a = host.add(0, 0);
    host.report(a, &counts(1, 1));
    // As a taker does between the kernel's two accesses.
    let data = host.shared.data(0);
    data.store(
        data.load(crate::sync::atomic::Relaxed) | DATA_CLOSED,
        crate::sync::atomic::Relaxed,
    );
    host.report(a, &counts(2, 10));
    assert_eq!(host.head(), 2);
    let mut consumer = host.consumer(1);
    assert_eq!(host.eat(&mut consumer), Some((0, 3, 1)));
    assert_eq!(host.eat(&mut consumer), Some((0, 2, 10)));
}

#[test]
fn a_full_ring_keeps_the_rest_in_order() {
    let mut host = Host::new(1);
    let handles: Vec<_> = (0..5).map(|id| host.add(id, 0)).collect();
    for &handle in &handles {
        assert_eq!(host.report(handle, &counts(1, 1)), Wake::One);
    }
    assert_eq!(
        (host.head(), host.state.pending(), host.pending()),
        (2, 3, 1)
    );
    assert_eq!(host.report(handles[3], &counts(2, 1)), Wake::None);
    let mut consumer = host.consumer(1);
    let mut seen = Vec::new();
    while let Some(event) = host.eat(&mut consumer) {
        seen.push(event);
        host.state.flush(u32::MAX);
    }
    assert_eq!(host.pending(), 0);
    assert_eq!(
        seen,
        [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 3, 2), (4, 1, 1)]
    );
}

#[test]
fn a_taken_slot_is_stepped_over_and_its_position_is_a_hole() {
    let mut host = Host::new(1);
    let handles: Vec<_> = (0..4).map(|id| host.add(id, 0)).collect();
    host.report(handles[0], &bits(1));
    let mut holder = host.consumer(1);
    let held = holder.take().expect("an entry");
    let mut consumer = host.consumer(2);
    for id in 1..4u64 {
        host.report(handles[id as usize], &bits(1));
        assert_eq!(host.head(), 2 * id);
        assert_eq!(host.eat(&mut consumer).map(|seen| seen.0), Some(id));
        assert_eq!(host.eat(&mut consumer), None);
    }
    assert!(holder.finish(held));
    host.report(handles[0], &bits(1));
    assert_eq!(host.head(), 7);
    assert_eq!(host.eat(&mut consumer).map(|seen| seen.0), Some(0));
}

#[test]
fn a_slot_that_was_stepped_over_is_found_when_it_is_free() {
    let mut host = Host::new(1);
    let handles: Vec<_> = (0..3).map(|id| host.add(id, 0)).collect();
    host.report(handles[0], &bits(1));
    let mut consumer = host.consumer(1);
    let held = consumer.take().expect("an entry");
    host.report(handles[1], &bits(1));
    host.report(handles[2], &bits(1));
    assert_eq!(host.state.pending(), 1);
    assert!(consumer.finish(held));
    assert_eq!(host.state.flush(1), 1);
    assert_eq!(host.head(), 3);
}

#[test]
fn no_event_waits_while_slots_suffice_for_registrations_and_taken_entries() {
    let mut host = Host::new(2);
    let handles = [host.add(0, 0), host.add(1, 0)];
    let mut consumers = [host.consumer(1), host.consumer(2), host.consumer(3)];
    let mut held = Vec::new();
    for step in 0..1000 {
        host.report(handles[step % 2], &bits(1));
        assert_eq!(host.state.pending(), 0, "step {step}");
        let consumer = &mut consumers[step * 7 % 3];
        held.push((step * 7 % 3, consumer.take().expect("an entry")));
        if held.len() > 2 {
            let (who, taken) = held.remove(step * 5 % 3);
            assert!(consumers[who].finish(taken));
        }
    }
}

#[test]
fn a_full_ring_of_taken_slots_fills_after_any_finish() {
    for slots in [4u64, 2048, 4096] {
        let mut host = Host::new(slots.trailing_zeros());
        let a = host.add(0, 0);
        let mut consumer = host.consumer(1);
        let mut held: Vec<_> = (0..slots)
            .map(|_| {
                host.report(a, &bits(1));
                consumer.take()
            })
            .collect();
        host.report(a, &bits(1));
        assert_eq!(host.state.pending(), 1);
        let last = held.pop().flatten().expect("an entry");
        assert!(consumer.finish(last));
        let calls = (0..).take_while(|_| host.state.flush(1) == 0).count();
        assert!(calls <= slots as usize / 1024 + 1, "{slots}: {calls}");
        assert_eq!(host.eat(&mut consumer).map(|seen| seen.0), Some(0));
    }
}

#[test]
fn an_heir_gets_what_a_dead_owner_held() {
    let mut host = Host::new(2);
    let a = host.add(0, 0);
    let mut dead = host.consumer(1);
    let mut heir = host.consumer(2);
    host.report(a, &counts(1, 3));
    drop(dead.take());
    host.report(a, &counts(2, 4));
    drop(dead.take());
    host.report(a, &counts(4, 5));
    let first = heir.adopt(1).expect("an entry");
    assert_eq!((first.word().0 as u32, heir.data(&first)), (1, 3));
    assert_eq!(host.word(0).owner(), 2);
    assert_eq!(heir.recover(1), 1);
    assert_eq!(heir.recover(1), 0);
    assert!(heir.finish(first));
    assert_eq!(host.eat(&mut heir), Some((0, 4, 5)));
}

#[test]
fn finishing_what_another_adopted_changes_nothing() {
    let mut host = Host::new(0);
    let a = host.add(0, 0);
    let mut slow = host.consumer(1);
    let mut heir = host.consumer(2);
    host.report(a, &bits(1));
    let taken = slow.take().expect("an entry");
    assert_eq!(heir.recover(1), 1);
    host.report(a, &bits(2));
    let word = host.word(0);
    assert!(!slow.finish(taken));
    assert_eq!(host.word(0), word);
}

#[test]
fn positions_go_on_over_32_bits() {
    let start = (1 << 32) - 3;
    let mut host = Host::starting_at(1, start);
    assert_eq!(host.published(), start);
    let a = host.add(0, 0);
    let mut consumer = host.consumer(1);
    for nth in 0..9u64 {
        assert_eq!(
            host.state
                .ring()
                .expect("a ring")
                .past((start + nth) as u32),
            0
        );
        host.report(a, &counts(1, nth));
        assert_eq!(host.published(), start + nth + 1);
        assert_eq!(
            host.state
                .ring()
                .expect("a ring")
                .past((start + nth) as u32),
            1
        );
        assert_eq!(host.eat(&mut consumer), Some((0, 1, nth)));
    }
}

#[test]
fn laps_come_round() {
    let mut host = Host::new(1);
    let handles = [host.add(0, 0), host.add(1, 0)];
    let mut late = host.consumer(2);
    let mut consumer = host.consumer(1);
    for nth in 0..1030u64 {
        host.report(handles[nth as usize % 2], &counts(1, nth));
        if nth % 512 == 511 {
            // Its cursor stands exactly 256 laps back, or more.
            assert_eq!(host.eat(&mut late), Some((nth % 2, 1, nth)));
            assert_eq!(host.eat(&mut late), None);
        } else {
            assert_eq!(host.eat(&mut consumer), Some((nth % 2, 1, nth)));
        }
    }
}

#[test]
fn past_is_at_most_the_number_of_slots() {
    let mut host = Host::new(1);
    let a = host.add(0, 0);
    for _ in 0..7 {
        host.report(a, &bits(1));
        host.get().expect("an event");
    }
    let ring = host.state.ring().expect("a ring");
    assert_eq!((ring.past(7), ring.past(6), ring.past(0)), (0, 1, 2));
}
