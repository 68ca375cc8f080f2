// SPDX-License-Identifier: GPL-2.0

//! The table and its lists.

use crate::host::{
    opened::registration::{
        List,
        Phase, //
    },
    *, //
};

fn insert(table: &mut Table, id: u64) -> Option<Handle> {
    let inserted = table.insert(&template(id, 0), 0, Nature::Plain);
    inserted.map(|(handle, _)| handle)
}

fn table(registrations: u64) -> (Table, Vec<Handle>) {
    let mut table: Table = Table::new();
    let handles = (0..registrations)
        .map(|id| {
            if let Some(size) = table.wants() {
                let Ok(chunk) = Array::new(size, Registration::FREE);
                assert!(table.grow(chunk).is_ok());
            }
            insert(&mut table, id).expect("room")
        })
        .collect();
    (table, handles)
}

#[test]
fn grows_to_a_hundred_thousand_and_moves_nothing() {
    let count = if cfg!(miri) { 1000 } else { 100_000 };
    let (mut table, handles) = table(count);
    for (id, &handle) in (0..).zip(&handles) {
        assert_eq!(table.get(handle).map(|r| r.event.id), Some(id));
    }
    let first: *const Registration = table.get(handles[0]).expect("it");
    for &handle in handles.iter().step_by(2) {
        table.remove(handle);
    }
    let again: Vec<_> = (0..count / 2)
        .map(|id| insert(&mut table, !id).expect("a freed place"))
        .collect();
    assert!(again
        .iter()
        .all(|handle| handles.contains(handle) || count > 1000));
    for (id, &handle) in (0..).zip(&handles).skip(1).step_by(2) {
        assert_eq!(table.get(handle).map(|r| r.event.id), Some(id));
    }
    assert!(std::ptr::eq(first, table.get(handles[0]).expect("it")));
}

#[test]
fn asks_for_eight_chunks_per_power_of_two() {
    let mut table: Table = Table::new();
    assert!(insert(&mut table, 0).is_none());
    for size in [8, 8, 8, 8, 8, 8, 8, 8, 16, 16] {
        assert_eq!(table.wants(), Some(size));
        let Ok(wrong) = Array::new(size + 1, Registration::FREE);
        assert!(table.grow(wrong).is_err());
        let Ok(chunk) = Array::new(size, Registration::FREE);
        assert!(table.grow(chunk).is_ok());
        assert_eq!(table.wants(), None);
        let Ok(unwanted) = Array::new(2 * size, Registration::FREE);
        assert!(table.grow(unwanted).is_err());
        for id in 0..size as u64 {
            assert!(insert(&mut table, id).is_some());
        }
        assert!(insert(&mut table, 0).is_none());
    }
}

#[test]
fn a_removed_registration_is_free_and_used_again() {
    let (mut table, handles) = table(64);
    assert!(table.wants().is_some());
    table.remove(handles[9]);
    assert_eq!(table.get(handles[9]).map(|r| r.phase), Some(Phase::Free));
    assert_eq!(table.wants(), None);
    assert_eq!(insert(&mut table, 1), Some(handles[9]));
    assert!(table.wants().is_some());
}

#[test]
fn removing_twice_frees_once() {
    let mut host = Host::new(0);
    let a = host.add(0, 0);
    assert!(!host.state.remove(a).outstanding);
    assert!(!host.state.remove(a).outstanding);
    assert_eq!(host.add(1, 0), a);
    assert_ne!(host.add(2, 0), a);
}

#[test]
fn lists_link_and_unlink_anywhere() {
    let (mut table, handles) = table(5);
    for gone in 0..5 {
        let mut list = List::new();
        for &handle in &handles {
            list.push(&mut table, handle);
        }
        assert_eq!(list.len(), 5);
        list.unlink(&mut table, handles[gone]);
        list.push(&mut table, handles[gone]);
        let mut expected = handles.clone();
        let moved = expected.remove(gone);
        expected.push(moved);
        assert_eq!(list.first(), Some(expected[0]));
        let mut popped = Vec::new();
        while let Some(handle) = list.pop(&mut table) {
            popped.push(handle);
        }
        assert_eq!(popped, expected);
        assert!(list.is_empty() && list.len() == 0);
    }
}

#[test]
fn keeps_a_bounded_number_of_ties() {
    let (mut table, handles) = table(3000);
    assert_eq!(table.keep(handles[0], ()), Some(()), "it is in use");
    handles.iter().for_each(|&handle| table.remove(handle));
    for _ in 0..2 {
        let kept = handles
            .iter()
            .filter(|handle| table.keep(**handle, ()).is_none());
        assert_eq!(kept.count(), 1024);
        let taken = handles
            .iter()
            .filter(|handle| table.empty(**handle).is_some());
        assert_eq!(taken.count(), 1024);
    }
}

#[test]
fn a_place_is_used_again_with_its_tie_if_that_is_good() {
    let (mut table, handles) = table(3);
    let nobody = Handle::NOBODY;
    let again = |table: &mut Table, good: bool| {
        table.insert_again(
            &template(7, 0),
            5,
            Nature::Plain,
            nobody,
            |tie| match good {
                true => Ok((tie, "good")),
                false => Err("bad"),
            },
        )
    };
    assert_eq!(again(&mut table, true), Err(None), "none is free");
    for &handle in &handles {
        table.remove(handle);
    }
    assert_eq!(again(&mut table, true), Err(None), "none is kept");
    assert!(table.keep(handles[2], ()).is_none());
    assert_eq!(again(&mut table, false), Err(Some("bad")));
    assert_eq!(again(&mut table, true), Err(None), "it is gone");
    assert!(table.keep(handles[2], ()).is_none());
    assert_eq!(again(&mut table, true), Ok((handles[2], "good")));
    let registration = table.get(handles[2]).expect("it");
    assert!(registration.is_armed() && registration.tie().is_some());
    assert_eq!((registration.event.id, registration.generation()), (7, 5));
    assert_eq!(insert(&mut table, 8), Some(handles[1]));
}

#[test]
fn a_spot_is_where_the_handle_says() {
    let mut host = Host::new(1);
    host.add(0, 0);
    let spot = host.state.table().next_spot().expect("there is room");
    let handle = host.add(1, 0);
    // SAFETY: It is of this table.
    let here = unsafe { spot.here() };
    assert_eq!(host.state.post(&here, &handle, &bits(1), 0), Some(false));
    assert_eq!(host.head(), 1);
    let id = host.state.peek().map(|(_, oldest)| oldest.event.id);
    assert_eq!(id, Some(1));
}
