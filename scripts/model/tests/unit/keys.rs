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

const SECRET: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];

/// As many different handles.
fn handles(num: u64) -> Vec<Handle> {
    let mut table: Table = Table::new();
    (0..num)
        .map(|id| {
            if let Some(size) = table.wants() {
                let Ok(chunk) = Array::new(size, Registration::FREE);
                assert!(table.grow(chunk).is_ok());
            }
            table.insert(template(id, 0)).expect("room")
        })
        .collect()
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn insert(keys: &mut Keys, id: u64, handle: Handle) {
    assert!(keys.reserve());
    let hash = keys.hash(1, id);
    keys.insert(hash, handle);
}

#[test]
fn finds_what_is_there_and_nothing_else() {
    let rounds = if cfg!(miri) { 500 } else { 200_000 };
    let handles = handles(1000);
    let (mut keys, mut map, mut state) = (Keys::new(SECRET), HashMap::new(), 1);
    for round in 0..rounds {
        // The table grows, and shrinks to nothing, and so on.
        let (id, grows) = (random(&mut state) % 1000, round / 2000 % 2 == 0);
        let hash = keys.hash(1, id);
        let handle = handles[id as usize];
        let there = keys.find(hash, |found| found == handle);
        assert_eq!(there, map.get(&id).copied());
        if there.is_some() && (!grows || round % 5 == 0) {
            keys.remove(hash, handle);
            map.remove(&id);
        } else if there.is_none() && (grows || round % 5 == 0) {
            insert(&mut keys, id, handle);
            map.insert(id, handle);
        }
        assert_eq!(keys.len(), map.len());
        assert_eq!(keys.is_empty(), map.is_empty());
    }
    let all: Vec<_> = keys.handles().collect();
    assert_eq!(all.len(), map.len());
    assert!(map.values().all(|handle| all.contains(handle)));
}

#[test]
fn removes_what_is_not_there_in_vain() {
    let handles = handles(2);
    let mut keys = Keys::new(SECRET);
    let hash = keys.hash(1, 7);
    keys.remove(hash, handles[0]);
    insert(&mut keys, 7, handles[0]);
    keys.remove(hash, handles[1]);
    let other = keys.hash(1, 8);
    keys.remove(other, handles[0]);
    assert_eq!(keys.len(), 1);
    assert_eq!(keys.find(hash, |_| true), Some(handles[0]));
}

/// Two keys of one hash are told apart by who looks.
#[test]
fn keeps_keys_of_one_hash_apart() {
    let handles = handles(3);
    let mut keys = Keys::new(SECRET);
    for &handle in &handles {
        insert(&mut keys, 7, handle);
    }
    let hash = keys.hash(1, 7);
    keys.remove(hash, handles[1]);
    for (&handle, there) in handles.iter().zip([true, false, true]) {
        assert_eq!(keys.find(hash, |found| found == handle).is_some(), there);
    }
}

/// Ids in a row, in steps, and in the upper bits: hardly any two have one hash.
#[test]
fn spreads_what_user_space_chooses() {
    let count = if cfg!(miri) { 100 } else { 10_000u64 };
    let mut state = 1;
    for shift in [0, 1, 12, 32, 48] {
        for _ in 0..10 {
            let keys = Keys::new([random(&mut state), random(&mut state)]);
            let hashes: HashSet<_> = (0..count)
                .map(|id| format!("{:?}", keys.hash(1, id << shift)))
                .collect();
            assert!(hashes.len() as u64 > count - count / 500 - 2);
        }
    }
}

/// Whatever the secret is. Knuth: at a load of 4/5, keys are 2 places off in the mean.
#[test]
fn keys_in_a_row_are_spread() {
    let count = if cfg!(miri) { 500 } else { 20_000 };
    let handles = handles(count);
    let mut state = 7;
    let secrets = [0, 1, 4, 8, 16, 32, 63].map(|zeroes| {
        // Some of which multiply by a number that ends with many zeroes.
        [random(&mut state), (random(&mut state) << zeroes) ^ 1]
    });
    for secret in secrets {
        for step in [1, 2, 64, 4096, 1 << 32] {
            let mut keys = Keys::new(secret);
            for (id, &handle) in (0..).zip(&handles) {
                insert(&mut keys, id * step, handle);
            }
            let mean = keys.mean_distance();
            assert!(mean < 8.0, "{secret:x?}, by {step}: {mean}");
        }
    }
}
