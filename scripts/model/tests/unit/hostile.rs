// SPDX-License-Identifier: GPL-2.0

//! Memory that a consumer scribbles over.

use crate::{
    host::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};
use std::cell::Cell;

/// Words of every kind.
fn words() -> Vec<u64> {
    let mut words = vec![
        0,
        u64::MAX,
        Word::FRESH.0,
        Word(0).taken(0).0,
        Word(0).taken(9).0,
    ];
    words.extend((0..64).map(|bit| 1 << bit));
    words
}

#[test]
fn any_word_costs_no_more_than_entries() {
    for &word in &words() {
        for slot in 0..4 {
            let mut host = Host::new(2);
            let handles: Vec<_> = (0..6).map(|id| host.add(id, 0)).collect();
            for &handle in &handles {
                host.report(handle, &counts(1, 1));
            }
            host.scribble(slot, word);
            host.shared.data(slot).store(word, Relaxed);
            for &handle in &handles {
                host.report(handle, &counts(2, 1));
            }
            let _ = host.commit(host.head());
            while host.get().is_some() {}
            for &handle in &handles {
                host.state.remove(handle);
            }
            assert!(!host.state.has_events() && host.state.pending() == 0);
            for slot in 0..4 {
                host.scribble(slot, Word::FRESH.0);
            }
            let a = host.add(0, 0);
            host.report(a, &bits(1));
            assert_eq!(host.get().map(|event| event.id), Some(0));
        }
    }
}

#[test]
fn what_a_request_fired_does_not_come_again_for_the_next_one() {
    let mut host = Host::new(1);
    let a = host.add(0, REQ_DISPATCH);
    host.report(a, &bits(1));
    let mut consumer = host.consumer(1);
    assert_eq!(host.eat(&mut consumer), Some((0, 1, 0)));
    assert_eq!(host.outstanding(a, template(0, REQ_DISPATCH)), Some(false));
    // The word of a registration that has not fired.
    host.scribble(0, 0);
    assert_eq!(host.get(), None);
}

#[test]
fn all_slots_of_garbage_leave_get_events() {
    for &word in &words() {
        let mut host = Host::new(1);
        let handles: Vec<_> = (0..3).map(|id| host.add(id, 0)).collect();
        host.scribble(0, word);
        host.scribble(1, word);
        if Word(word).is_finished() {
            continue;
        }
        for &handle in &handles {
            host.report(handle, &bits(1));
        }
        let ids: Vec<_> = std::iter::from_fn(|| host.get()).map(|e| e.id).collect();
        assert_eq!(ids, [0, 1, 2]);
    }
}

/// Memory that counts how often the kernel looks at a word, and changes words under its hands.
struct Restless {
    inner: Shared,
    accesses: Cell<u64>,
    flip: u64,
}

impl Memory for Restless {
    fn word(&self, position: u64) -> &Atomic<u64> {
        self.accesses.set(self.accesses.get() + 1);
        let word = self.inner.word(position);
        word.store(word.load(Relaxed) ^ self.flip, Relaxed);
        word
    }

    fn data(&self, position: u64) -> &Atomic<u64> {
        self.inner.data(position)
    }

    fn write(&self, position: u64, event: &Event) {
        self.inner.write(position, event)
    }

    fn local(&self) -> impl Memory + '_ {
        self
    }

    fn head(&self) -> &Atomic<u64> {
        self.inner.head()
    }

    fn write_error(&self, position: u64, error: u32) {
        self.inner.write_error(position, error)
    }

    fn position(&self) -> &Atomic<u64> {
        Memory::position(&self.inner)
    }

    fn pending(&self) -> &Atomic<u32> {
        Memory::pending(&self.inner)
    }

    fn size(&self) -> u64 {
        Memory::size(&self.inner)
    }
}

fn restless(shift: u32, flip: u64) -> (State<Arc<Restless>>, Arc<Restless>) {
    let memory = Arc::new(Restless {
        inner: Shared::new(shift),
        accesses: Cell::new(0),
        flip,
    });
    let Ok(slots) = Circle::new(1 << shift, Slot::FRESH);
    let ring = Ring::new(memory.clone(), slots);
    (State::new(Some(ring), SECRET), memory)
}

fn register(state: &mut State<Arc<Restless>>, id: u64) -> Handle {
    if let Some(size) = state.table().wants() {
        let Ok(chunk) = Array::new(size, Registration::FREE);
        assert!(state.table().grow(chunk).is_ok());
    }
    add(state, &template(id, 0), Nature::Plain, None)
}

#[test]
fn one_firing_has_a_bound() {
    let shift = if cfg!(miri) { 8 } else { 16 };
    let slots = 1u64 << shift;
    // Rows of taken slots, of any length, and a finished one after each.
    for row in [slots, 1, 16, 1000, 1025] {
        let (mut state, memory) = restless(shift, 0);
        let handles: Vec<_> = (0..200).map(|id| register(&mut state, id)).collect();
        for position in 0..slots {
            let word = if position % (row + 1) == row {
                Word::FRESH
            } else {
                Word(0).taken(1)
            };
            memory.inner.word(position).store(word.0, Relaxed);
        }
        for round in 0..2 {
            for &handle in &handles {
                memory.accesses.set(0);
                state.fire(handle, &counts(1 << round, 1));
                let accesses = memory.accesses.get();
                assert!(accesses <= 2 * 1024 + 100, "row {row}: {accesses}");
            }
        }
    }
}

#[test]
fn words_that_change_under_its_hands_hold_nobody() {
    let taken = Word(0).taken(0).0;
    let other = Word(0).taken(1).0;
    for flip in [
        1,
        taken,
        other,
        Word::FRESH.0,
        Word::FRESH.0 | taken,
        u64::MAX,
    ] {
        let (mut state, _) = restless(2, flip);
        let handles: Vec<_> = (0..8).map(|id| register(&mut state, id)).collect();
        for round in 0..50u32 {
            for &handle in &handles {
                state.fire(handle, &counts(1, 1));
            }
            let head = state.ring().expect("a ring").head();
            let mut rounds = 0;
            while state
                .commit(head as u32, (head >> 32) as u32, 1)
                .is_ok_and(|c| c.more)
            {
                rounds += 1;
                assert!(rounds <= 4, "flip {flip:#x}: a commit without end");
            }
            for _ in 0..8 {
                if let Some((next, _)) = state.peek() {
                    state.take(next);
                }
            }
            let _ = state.modify(handles[round as usize % 8], &template(1, 0), 0);
        }
        for handle in handles {
            state.remove(handle);
        }
        assert_eq!(state.pending(), 0);
    }
}
