// SPDX-License-Identifier: GPL-2.0

//! Registrations: their phases, and what becomes of their events.

use crate::host::*;

#[test]
fn remove_takes_an_untaken_event_back() {
    let mut host = Host::new(1);
    let a = host.add(0, 0);
    host.report(a, &bits(1));
    assert!(!host.state.remove(a).outstanding);
    assert_eq!(host.eat(&mut host.consumer(1)), None);
    assert_eq!(host.get(), None);
    assert!(host.word(0).is_finished());
}

#[test]
fn remove_takes_a_pending_event_back() {
    let mut host = Host::new(0);
    let (a, b, c) = (host.add(0, 0), host.add(1, 0), host.add(2, 0));
    for handle in [a, b, c] {
        host.report(handle, &bits(1));
    }
    assert!(!host.state.remove(b).outstanding);
    assert_eq!((host.state.pending(), host.pending()), (1, 1));
    assert!(!host.state.remove(c).outstanding);
    assert_eq!((host.state.pending(), host.pending()), (0, 0));
    assert_eq!(host.get().map(|event| event.id), Some(0));
    assert_eq!(host.get(), None);
}

#[test]
fn remove_says_whether_an_event_is_held() {
    let mut host = Host::new(2);
    let (a, b, c) = (host.add(0, 0), host.add(1, 0), host.add(2, 0));
    let mut consumer = host.consumer(1);
    host.report(a, &bits(1));
    let held = consumer.take().expect("an entry");
    host.report(a, &bits(1));
    assert!(
        host.state.remove(a).outstanding,
        "held, with a younger one untaken"
    );
    assert!(consumer.take().is_none());
    host.report(b, &bits(1));
    let other = consumer.take().expect("an entry");
    assert!(consumer.finish(other));
    assert!(!host.state.remove(b).outstanding, "finished");
    host.report(c, &bits(1));
    host.get().expect("an event");
    assert!(!host.state.remove(c).outstanding, "copied");
    assert!(consumer.finish(held));
}

#[test]
fn an_old_event_is_outstanding_though_younger_ones_are_finished() {
    let mut host = Host::new(1);
    let a = host.add(0, 0);
    let mut holder = host.consumer(1);
    let mut consumer = host.consumer(2);
    host.report(a, &bits(1));
    let held = holder.take().expect("an entry");
    for _ in 0..10 {
        host.report(a, &bits(1));
        host.eat(&mut consumer).expect("an event");
    }
    assert_eq!(host.outstanding(a, template(0, 0)), Some(true));
    assert_eq!(host.outstanding(a, template(0, 0)), Some(true), "still");
    assert!(holder.finish(held));
    assert_eq!(host.outstanding(a, template(0, 0)), Some(false));
}

/// So many events of a registration, of which a consumer holds the oldest, and is done with the rest.
fn long_chain(host: &mut Host, a: Handle, events: usize) -> Taken {
    let mut consumer = host.consumer(1);
    let mut held = Vec::new();
    for _ in 0..events {
        host.report(a, &bits(1));
        held.push(consumer.take().expect("an entry"));
    }
    let oldest = held.remove(0);
    for entry in held {
        assert!(consumer.finish(entry));
    }
    oldest
}

#[test]
fn remove_walks_a_long_chain_in_rounds() {
    let mut host = Host::new(12);
    let a = host.add(0, 0);
    let oldest = long_chain(&mut host, a, 3000);
    let removed = host.state.remove(a);
    assert!(removed.unsure && !removed.outstanding);
    assert_eq!(host.state.is_held(a), None);
    assert_eq!(host.state.is_held(a), Some(true));
    let b = host.add(1, 0);
    assert_ne!(a, b, "the place is that of the chain");
    let mut consumer = host.consumer(1);
    assert!(consumer.finish(oldest));
    for _ in 0..2 << 12 {
        host.report(b, &bits(1));
        host.eat(&mut consumer).expect("an event");
    }
    assert_eq!(host.add(2, 0), a, "the chain is gone");
}

#[test]
fn remove_finds_the_end_of_a_chain() {
    let mut host = Host::new(12);
    let a = host.add(0, 0);
    let oldest = long_chain(&mut host, a, 2000);
    assert!(host.consumer(1).finish(oldest));
    assert!(host.state.remove(a).unsure);
    assert_eq!(host.state.is_held(a), Some(false));
    assert_eq!(host.add(1, 0), a);
}

#[test]
fn modify_walks_a_long_chain_in_rounds() {
    let mut host = Host::new(12);
    let a = host.add(0, 0);
    let oldest = long_chain(&mut host, a, 3000);
    let mut rounds = 0;
    let held = loop {
        match host.state.modify(a, &template(0, 0), 0) {
            Ok((held, _)) => break held,
            Err(error) => assert_eq!(error, NotModified::Unsure),
        }
        rounds += 1;
    };
    assert_eq!((held, rounds), (true, 2));
    assert!(host.consumer(1).finish(oldest));
    assert_eq!(host.outstanding(a, template(0, 0)), Some(false));
    host.state.remove(a);
    let again = host.state.modify(a, &template(0, 0), 0);
    assert_eq!(again.err(), Some(NotModified::Over));
}

#[test]
fn modify_takes_the_old_event_back_and_arms() {
    let mut host = Host::new(1);
    let a = host.add(0, REQ_DISPATCH);
    host.report(a, &bits(1));
    let mut changed = template(0, REQ_DISPATCH);
    changed.user = 42;
    assert_eq!(host.outstanding(a, changed), Some(false));
    assert_eq!(host.state.template(a).map(|t| t.user), Some(42));
    host.report(a, &bits(2));
    let mut consumer = host.consumer(1);
    let taken = consumer.take().expect("an entry");
    assert_eq!(consumer.payload(&taken).user, 42);
    assert_eq!(taken.word().0 as u32, 2);
}

#[test]
fn dispatch_delivers_once_until_modify() {
    for shift in [None, Some(0)] {
        let mut host = shift.map_or_else(Host::without_ring, Host::new);
        let a = host.add(0, REQ_DISPATCH);
        assert_eq!(host.report(a, &bits(1)), Wake::One);
        let merged = host.report(a, &bits(2));
        assert_eq!(merged, Wake::None);
        // Without a ring it is not delivered yet, so it merges.
        let mask = if shift.is_some() { 1 } else { 3 };
        assert_eq!(host.get().map(|event| event.word), Some(mask));
        assert_eq!(host.report(a, &bits(4)), Wake::None);
        assert_eq!(host.get(), None);
        assert_eq!(host.outstanding(a, template(0, REQ_DISPATCH)), Some(false));
        assert_eq!(host.report(a, &bits(8)), Wake::One);
        assert_eq!(host.get().map(|event| event.word), Some(8));
    }
}

#[test]
fn a_pending_dispatch_merges_until_it_is_published() {
    let mut host = Host::new(0);
    let (a, b) = (host.add(0, 0), host.add(1, REQ_DISPATCH));
    host.report(a, &bits(1));
    host.report(b, &bits(1));
    host.report(b, &bits(2));
    let mut consumer = host.consumer(1);
    assert_eq!(host.eat(&mut consumer), Some((0, 1, 0)));
    assert_eq!(
        host.report(b, &bits(4)),
        Wake::None,
        "published by this firing, so over"
    );
    assert_eq!(host.eat(&mut consumer), Some((1, 3, 0)));
    assert_eq!(host.report(b, &bits(8)), Wake::None);
    assert_eq!(host.eat(&mut consumer), None);
}

#[test]
fn oneshot_is_dead_when_published_and_its_event_survives_it() {
    let mut host = Host::new(1);
    let a = host.add(5, REQ_ONESHOT);
    assert!(host.state.dead().is_none());
    host.report(a, &bits(1));
    assert!(host.state.template(a).is_none());
    let dead = host.state.dead().expect("it is over");
    assert_eq!(dead, a);
    assert_eq!(host.report(a, &bits(2)), Wake::None);
    assert!(!host.state.remove(dead).outstanding);
    assert!(host.state.dead().is_none());
    assert_eq!(host.eat(&mut host.consumer(1)), Some((5, 1, 0)));
}

#[test]
fn what_is_over_is_not_modified() {
    let mut host = Host::new(1);
    let a = host.add(5, REQ_ONESHOT);
    host.report(a, &bits(1));
    assert_eq!(host.outstanding(a, template(5, 0)), None);
    assert_eq!(host.report(a, &bits(2)), Wake::None);
    host.state.remove(a);
    assert!(host.state.dead().is_none());
    assert_eq!(host.outstanding(a, template(5, 0)), None);
}

#[test]
fn a_pending_oneshot_is_alive_until_it_is_handed_over() {
    let mut host = Host::without_ring();
    let a = host.add(5, REQ_ONESHOT);
    host.report(a, &bits(1));
    assert!(host.state.template(a).is_some() && host.state.dead().is_none());
    host.report(a, &bits(2));
    assert_eq!(host.get().map(|event| event.word), Some(3));
    assert!(host.state.template(a).is_none() && host.state.dead().is_some());
}

#[test]
fn several_oneshots_die_in_order() {
    let mut host = Host::new(1);
    let handles: Vec<_> = (0..6).map(|id| host.add(id, REQ_ONESHOT)).collect();
    for &handle in &handles {
        host.report(handle, &bits(1));
    }
    assert_eq!(host.state.pending(), 4);
    let mut consumer = host.consumer(1);
    for id in 0..6 {
        assert_eq!(host.eat(&mut consumer), Some((id, 1, 0)));
        host.state.flush(1);
    }
    for id in 0..6 {
        let dead = host.state.dead().expect("over");
        assert_eq!(dead, handles[id as usize]);
        host.state.remove(dead);
    }
    assert!(host.state.dead().is_none());
}

#[test]
fn get_events_hands_out_ring_first_then_pending() {
    let mut host = Host::new(1);
    let handles: Vec<_> = (0..4).map(|id| host.add(id, 0)).collect();
    for &handle in &handles {
        host.report(handle, &counts(1, 1));
    }
    assert_eq!(host.state.available(u64::MAX), 4);
    assert_eq!(host.state.available(3), 3);
    for id in 0..4 {
        assert!(host.state.has_events());
        let event = host.get().expect("an event");
        assert_eq!((event.id, event.data), (id, 1));
        assert_eq!(event.word, 1 | u64::from(RET_COUNTED) << 32);
    }
    assert!(!host.state.has_events());
    assert_eq!(host.state.available(u64::MAX), 0);
    assert_eq!(host.pending(), 0);
}

#[test]
fn get_events_loses_to_a_faster_consumer() {
    let mut host = Host::new(1);
    let a = host.add(0, 0);
    host.report(a, &bits(1));
    let (next, _) = host.state.peek().expect("an event");
    let mut consumer = host.consumer(1);
    let taken = consumer.take().expect("an entry");
    assert!(!host.state.take(next));
    assert!(consumer.finish(taken));
}

#[test]
fn what_is_no_longer_pending_is_not_taken() {
    let mut host = Host::without_ring();
    let a = host.add(0, REQ_DISPATCH);
    host.report(a, &bits(1));
    let (next, _) = host.state.peek().expect("an event");
    assert_eq!(host.outstanding(a, template(0, REQ_DISPATCH)), Some(false));
    assert!(!host.state.take(next));
    assert_eq!(host.report(a, &bits(1)), Wake::One, "still armed");
}

#[test]
fn what_was_not_copied_stays_pending_in_order() {
    for copied in 0..=5 {
        let mut host = Host::without_ring();
        let handles: Vec<_> = (0..5).map(|id| host.add(id, 0)).collect();
        for &handle in &handles {
            assert_eq!(host.report(handle, &bits(1)), Wake::One);
        }
        let got = host.gather(5, copied);
        let ids: Vec<u64> = got.iter().map(|event| event.id).collect();
        assert_eq!(ids, Vec::from_iter(0..u64::from(copied)));
        assert_eq!(host.state.pending(), 5 - copied);
        for (id, &handle) in handles.iter().enumerate() {
            let wake = match (id as u32) < copied {
                true => Wake::One,
                false => Wake::None,
            };
            assert_eq!(host.report(handle, &bits(2)), wake);
        }
        assert_eq!(host.state.pending(), 5);
        host.state.remove(handles[2]);
        let expected = (copied..5).chain(0..copied).filter(|&id| id != 2);
        for id in expected {
            let event = host.get().expect("an event");
            let mask = if id < copied { 2 } else { 3 };
            assert_eq!((event.id, event.word as u32), (u64::from(id), mask));
        }
        assert_eq!(host.get(), None);
    }
}

#[test]
fn a_batch_ends_and_disables_only_what_was_copied() {
    const ENDS: [u32; 7] = [
        0,
        REQ_ONESHOT,
        REQ_DISPATCH,
        0,
        REQ_ONESHOT,
        REQ_DISPATCH,
        0,
    ];
    for copied in 0..=7 {
        let mut host = Host::without_ring();
        let handles = Vec::from_iter((0..).zip(ENDS).map(|(id, flags)| host.add(id, flags)));
        for &handle in &handles {
            host.report(handle, &bits(1));
        }
        let ids = |events: Vec<Event>| Vec::from_iter(events.iter().map(|event| event.id));
        assert_eq!(
            ids(host.gather(7, copied)),
            Vec::from_iter(0..u64::from(copied))
        );
        let mut expected = Vec::from_iter(u64::from(copied)..7);
        for (id, &handle) in (0..).zip(&handles) {
            let goes_on = id < u64::from(copied) && ENDS[id as usize] == 0;
            let wake = host.report(handle, &bits(1));
            assert_eq!(wake == Wake::One, goes_on);
            expected.extend(goes_on.then_some(id));
        }
        assert_eq!(ids(host.gather(7, 7)), expected);
        let mut dead = Vec::new();
        while let Some(handle) = host.state.dead() {
            dead.extend(host.state.request(handle).map(|event| event.id));
            host.state.remove(handle);
        }
        assert_eq!(dead, [1, 4]);
    }
}

#[test]
fn wakes_combine() {
    use Wake::*;
    for (a, b, both) in [
        (None, None, None),
        (None, One, One),
        (One, None, One),
        (One, One, One),
    ] {
        assert_eq!(a.or(b), both);
        assert_eq!(a.or(All), All);
        assert_eq!(All.or(b), All);
    }
}

#[test]
fn a_count_after_what_counts_nothing_is_kept() {
    for shift in [None, Some(1)] {
        let mut host = shift.map_or_else(Host::without_ring, Host::new);
        let a = host.add(0, 0);
        host.report(a, &bits(1));
        host.report(a, &counts(1, 5));
        host.report(a, &counts(1, 2));
        assert_eq!(host.get().map(|event| event.data), Some(7));
    }
}
