// SPDX-License-Identifier: GPL-2.0

//! The table of keys, against a map.

use crate::host::{
    opened::keys::Keys,
    *, //
};
use std::collections::{
    HashMap,
    HashSet, //
};

/// A table with as many registrations, whose ids are `id` of their number.
fn table(num: u64, id: impl Fn(u64) -> u64) -> (Table, Vec<Handle>) {
    let mut table: Table = Table::new();
    let handles = (0..num)
        .map(|number| {
            if let Some(size) = table.wants() {
                let Ok(chunk) = Array::new(size, Registration::FREE);
                assert!(table.grow(chunk).is_ok());
            }
            let inserted = table.insert(&template(id(number), 0), 0, Nature::Plain);
            inserted.map(|(handle, _)| handle).expect("room")
        })
        .collect();
    (table, handles)
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

const KIND: u32 = 9;

fn insert(keys: &mut Keys, table: &mut Table, handle: Handle) {
    let id = table.get(handle).expect("a registration").event.id;
    let hash = keys.hash(KIND, id);
    let vacant = keys.find(table, hash, KIND, id).expect_err("a new key");
    table.get_mut(handle).expect("a registration").after = vacant.after;
    keys.insert(table, vacant, handle);
}

#[test]
fn finds_what_is_there_and_nothing_else() {
    let rounds = if cfg!(miri) { 500 } else { 200_000 };
    let (mut table, handles) = table(1000, |number| number);
    let (mut keys, mut map, mut state) = (Keys::new(SECRET), HashMap::new(), 1);
    for round in 0..rounds {
        // The table fills, and empties, and so on.
        let (id, grows) = (random(&mut state) % 1000, round / 2000 % 2 == 0);
        let hash = keys.hash(KIND, id);
        let handle = handles[id as usize];
        let there = keys.find(&table, hash, KIND, id).ok();
        assert_eq!(there, map.get(&id).copied());
        assert!(keys.find(&table, hash, KIND + 1, id).is_err());
        if there.is_some() && (!grows || round % 5 == 0) {
            if round % 2 == 0 {
                keys.remove(&mut table, hash, handle);
            } else {
                assert_eq!(keys.take(&mut table, hash, KIND, id), Some(handle));
            }
            map.remove(&id);
        } else if there.is_none() && (grows || round % 5 == 0) {
            insert(&mut keys, &mut table, handle);
            map.insert(id, handle);
        }
        assert_eq!(keys.len() as usize, map.len());
        assert_eq!(keys.is_empty(), map.is_empty());
    }
}

#[test]
fn removes_what_is_not_there_in_vain() {
    let (mut table, handles) = table(2, |number| 7 + number);
    let mut keys = Keys::new(SECRET);
    let (hash, other) = (keys.hash(KIND, 7), keys.hash(KIND, 8));
    keys.remove(&mut table, hash, handles[0]);
    assert_eq!(keys.take(&mut table, hash, KIND, 7), None);
    insert(&mut keys, &mut table, handles[0]);
    keys.remove(&mut table, other, handles[1]);
    assert_eq!(keys.take(&mut table, other, KIND, 8), None);
    assert_eq!(keys.len(), 1);
    assert_eq!(keys.find(&table, hash, KIND, 7), Ok(handles[0]));
}

/// A place that is freed keeps the chain that begins there.
#[test]
fn freed_places_keep_their_chains() {
    let (mut table, handles) = table(64, |number| number);
    let mut keys = Keys::new(SECRET);
    for &handle in &handles {
        insert(&mut keys, &mut table, handle);
    }
    for id in (0..64).filter(|id| id % 3 != 0) {
        let hash = keys.hash(KIND, id);
        keys.remove(&mut table, hash, handles[id as usize]);
        table.remove(handles[id as usize]);
    }
    for id in 0..64 {
        let there = (id % 3 == 0).then_some(handles[id as usize]);
        assert_eq!(keys.find(&table, keys.hash(KIND, id), KIND, id).ok(), there);
    }
}

/// Ids in a row, in steps, and in the upper bits: hardly any two have one hash.
#[test]
fn spreads_what_user_space_chooses() {
    let count = if cfg!(miri) { 100 } else { 10_000u64 };
    let mut state = 1;
    for shift in [0, 1, 12, 32, 48] {
        for _ in 0..10 {
            let secret = Secret::new([random(&mut state), random(&mut state)]);
            let hashes: HashSet<_> = (0..count)
                .map(|id| format!("{:?}", secret.hash(1, id << shift)))
                .collect();
            assert!(hashes.len() as u64 > count - count / 500 - 2);
        }
    }
}

/// Whatever the secret is, a key that is there is found by two steps at most, in the mean.
#[test]
fn keys_in_a_row_are_spread() {
    let count = if cfg!(miri) { 500 } else { 20_000 };
    let mut state = 7;
    let secrets = [0, 1, 4, 8, 16, 32, 63].map(|zeroes| {
        // Some of which multiply by a number that ends with many zeroes.
        [random(&mut state), (random(&mut state) << zeroes) ^ 1]
    });
    for secret in secrets {
        for step in [1, 2, 64, 4096, 1 << 32] {
            let (mut table, handles) = table(count, |number| number * step);
            let mut keys = Keys::new(Secret::new(secret));
            for handle in handles {
                insert(&mut keys, &mut table, handle);
            }
            let mean = keys.mean_steps(&table);
            assert!(mean < 2.0, "{secret:x?}, by {step}: {mean}");
        }
    }
}
