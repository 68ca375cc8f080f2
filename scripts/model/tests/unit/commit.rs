// SPDX-License-Identifier: GPL-2.0

//! `kevent_commit()`.

use crate::host::*;

fn full(shift: u32, start: u64) -> (Host, Vec<Handle>) {
    let mut host = Host::starting_at(shift, start);
    let handles: Vec<_> = (0..1u64 << shift).map(|id| host.add(id, 0)).collect();
    for &handle in &handles {
        host.report(handle, &bits(1));
    }
    (host, handles)
}

#[test]
fn a_whole_ring_in_one_commit() {
    for start in [0, (1 << 32) - 1, (1 << 32) - 4, (7 << 32) - 2] {
        let (mut host, handles) = full(2, start);
        let committed = host.commit(start + 4).expect("in range");
        assert_eq!((committed.freed, committed.more), (4, false));
        assert_eq!(host.eat(&mut host.consumer(1)), None);
        host.report(handles[2], &bits(2));
        assert_eq!(host.eat(&mut host.consumer(1)), Some((2, 2, 0)));
    }
}

#[test]
fn a_part_and_a_late_one() {
    let (mut host, _) = full(2, 0);
    assert_eq!(host.commit(3).expect("in range").freed, 3);
    assert_eq!(host.commit(2).expect("late").freed, 0);
    assert_eq!(host.commit(0).expect("late").freed, 0);
    assert_eq!(host.eat(&mut host.consumer(1)), Some((3, 1, 0)));
}

#[test]
fn past_the_head() {
    for start in [0, (1 << 32) - 2] {
        let (mut host, _) = full(2, start);
        assert_eq!(host.commit(start + 5).err(), Some(CommitError::PastHead));
    }
}

#[test]
fn wraps_of_neither_tail_nor_head() {
    let (mut host, _) = full(2, (5 << 32) - 2);
    for over in [0, 3, 6, u32::MAX] {
        assert_eq!(
            host.state.commit(0, over, 64).err(),
            Some(CommitError::Wraps)
        );
    }
    assert_eq!(
        host.state.commit(u32::MAX, 4, 64).map(|c| c.freed).ok(),
        Some(1)
    );
    assert_eq!(host.state.commit(1, 5, 64).map(|c| c.freed).ok(), Some(2));
}

#[test]
fn it_goes_on_in_rounds() {
    let (mut host, _) = full(3, 0);
    let mut freed = 0;
    for round in 1.. {
        let committed = host.state.commit(8, 0, 3).expect("in range");
        freed += committed.freed;
        if !committed.more {
            assert_eq!((round, freed), (3, 8));
            break;
        }
    }
}

#[test]
fn it_stops_at_what_another_holds() {
    let (mut host, _) = full(2, 0);
    let mut consumer = host.consumer(1);
    let first = consumer.take().expect("an entry");
    assert!(consumer.finish(first));
    let held = consumer.take().expect("an entry");
    assert_eq!(host.commit(4).expect("in range").freed, 0);
    assert!(host.word(1).is_taken());
    assert!(consumer.finish(held));
    assert_eq!(host.commit(4).expect("in range").freed, 2);
}

#[test]
fn owner_zero_is_freed() {
    let (mut host, _) = full(2, 0);
    let mut consumer = host.consumer(0);
    let held = [consumer.take(), consumer.take()].map(|taken| taken.expect("an entry"));
    assert_eq!(held[1].position(), 1);
    assert_eq!(host.commit(2).expect("in range").freed, 2);
    assert!(host.word(0).is_finished() && host.word(1).is_finished());
    assert!(host.word(2).is_untaken());
}

#[test]
fn owner_zero_is_freed_though_the_ring_went_on() {
    let mut host = Host::new(1);
    let handles = [host.add(0, 0), host.add(1, 0)];
    let mut holder = host.consumer(0);
    let mut consumer = host.consumer(1);
    host.report(handles[0], &bits(1));
    drop(holder.take().expect("an entry"));
    for _ in 0..5 {
        host.report(handles[1], &bits(1));
        host.eat(&mut consumer).expect("an event");
    }
    assert!(host.word(0).is_taken());
    assert_eq!(host.commit(host.head()).expect("in range").freed, 1);
    assert!(host.word(0).is_finished());
}

#[test]
fn merged_bits_are_posted_again() {
    let mut host = Host::new(1);
    let (a, b) = (host.add(0, 0), host.add(1, 0));
    host.report(a, &counts(1, 1));
    host.report(b, &counts(1, 1));
    host.report(a, &counts(2, 20));
    host.report(a, &counts(4, 30));
    let committed = host.commit(2).expect("in range");
    assert_eq!((committed.freed, committed.wake), (2, Wake::One));
    let mut consumer = host.consumer(1);
    assert_eq!(host.eat(&mut consumer), Some((0, 6, 50)));
    assert_eq!(host.eat(&mut consumer), None);
}

#[test]
fn merged_bits_of_a_taken_entry_are_the_takers() {
    let mut host = Host::new(1);
    let a = host.add(0, 0);
    host.report(a, &bits(1));
    host.report(a, &bits(2));
    let mut consumer = host.consumer(0);
    assert_eq!(consumer.take().expect("an entry").word().0 as u32, 3);
    let committed = host.commit(1).expect("in range");
    assert_eq!((committed.freed, committed.wake), (1, Wake::None));
    assert_eq!(host.get(), None);
}

#[test]
fn it_makes_room_for_what_is_pending() {
    let (mut host, _) = full(1, 0);
    let late = host.add(7, 0);
    host.report(late, &bits(1));
    assert_eq!(host.pending(), 1);
    let committed = host.commit(2).expect("in range");
    assert_eq!((committed.wake, host.pending()), (Wake::One, 0));
    assert_eq!(host.eat(&mut host.consumer(1)), Some((7, 1, 0)));
}

#[test]
fn without_a_ring_nothing_is_freed() {
    let mut host = Host::without_ring();
    assert_eq!(host.commit(0).expect("harmless").freed, 0);
}
