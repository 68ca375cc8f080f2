// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Consumers of memory that a thread fills as the kernel does: for Miri, which knows no kevent.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;

use kevent_sys::ukevent;

use super::*;
use crate::event::Kind;
use crate::protocol::consumer::Mapping as _;
use crate::protocol::word::Word;

/// What the kernel does to a ring that nobody else fills, as far as one event for each slot goes.
struct Filler {
    mapping: Arc<Mapping>,
    next: u64,
}

impl Filler {
    fn new(slots: u32) -> Filler {
        let mapping = Arc::new(Mapping::private(slots).unwrap());
        for slot in 0..slots.into() {
            mapping.word(slot).store(Word::FRESH.0, Relaxed);
        }
        Filler { mapping, next: 0 }
    }

    fn cursor(&self, owner: u32) -> Cursor {
        Cursor::new(self.mapping.clone(), owner)
    }

    /// Writes an event as soon as its slot is free. False if nobody frees it.
    fn fill(&mut self, token: u64) -> bool {
        const PATIENCE: u32 = if cfg!(miri) { 1_000 } else { 1_000_000 };
        let word = self.mapping.word(self.next);
        let is_free = || {
            let free = Word(word.load(Acquire)).is_finished();
            if !free {
                thread::yield_now();
            }
            free
        };
        if !(0..PATIENCE).any(|_| is_free()) {
            return false;
        }
        self.mapping.event(self.next).fill(token);
        let lap = Word::lap_of(self.next, self.mapping.shift());
        word.store(Word::untaken(1, 0, lap).0, Release);
        self.next += 1;
        self.mapping.position().store(self.next, Release);
        true
    }
}

fn events<'a>(cursor: &'a mut Cursor, mapping: &'a Mapping) -> Events<'a> {
    Events { cursor, mapping }
}

#[test]
fn events_are_read_in_place_until_they_are_dropped() {
    let mut filler = Filler::new(2);
    let mut cursor = filler.cursor(1);
    assert!(filler.fill(7) && filler.fill(8));
    let mut there = events(&mut cursor, &filler.mapping);
    let (first, second) = (there.next().unwrap(), there.next().unwrap());
    assert!(there.next().is_none());
    assert_eq!((first.token(), first.data(), first.bits()), (7, 14, 1));
    assert_eq!((second.token(), second.data()), (8, 16));
    let copy = Event::clone(&first);
    let free = |slot| Word(filler.mapping.word(slot).load(Relaxed)).is_finished();
    assert!(!free(0));
    drop(first);
    assert!(free(0) && !free(1));
    drop(second);
    assert!(filler.fill(9));
    assert_eq!((copy.token(), copy.kind()), (7, Kind::User));
}

#[test]
fn each_event_goes_to_one_thread() {
    const EVENTS: u64 = if cfg!(miri) { 40 } else { 4_000 };
    const THREADS: u32 = 3;
    let mut filler = Filler::new(4);
    let mapping = &*filler.mapping.clone();
    let cursors: Vec<_> = (1..=THREADS).map(|owner| filler.cursor(owner)).collect();
    let over = AtomicBool::new(false);
    let over = &over;
    let taken = thread::scope(|scope| {
        let take = |mut cursor: Cursor| {
            let mut mine = Vec::new();
            loop {
                let last = over.load(Acquire);
                let there = events(&mut cursor, mapping);
                mine.extend(there.map(|event| (event.token(), event.data())));
                if last {
                    return mine;
                }
                thread::yield_now();
            }
        };
        let threads: Vec<_> = cursors
            .into_iter()
            .map(|cursor| scope.spawn(move || take(cursor)))
            .collect();
        let filled = (0..EVENTS).take_while(|token| filler.fill(*token)).count();
        over.store(true, Release);
        assert_eq!(filled as u64, EVENTS, "an event is lost");
        let taken = threads.into_iter().map(|thread| thread.join().unwrap());
        taken.collect::<Vec<_>>()
    });
    assert!(taken.iter().all(|mine| mine.is_sorted()));
    let all: Vec<_> = taken.concat();
    assert_eq!(all.len() as u64, EVENTS);
    assert!(all.iter().all(|(token, data)| *data == 2 * token));
    assert_eq!(BTreeSet::from_iter(all).len() as u64, EVENTS);
}

#[test]
fn what_a_thread_left_goes_to_one_heir() {
    let mut filler = Filler::new(4);
    assert!((0..4).all(|token| filler.fill(token)));
    let mapping = &*filler.mapping.clone();
    let mut dead = filler.cursor(1);
    events(&mut dead, mapping).for_each(std::mem::forget);
    assert!(dead.holds());
    let heirs = [2, 3].map(|owner| filler.cursor(owner));
    let inherited = thread::scope(|scope| {
        let inherit = |mut heir: Cursor| {
            let mut tokens = Vec::new();
            while let Some(taken) = heir.adopt(1) {
                tokens.push(Taken::new(mapping, taken).token());
            }
            tokens
        };
        let threads = heirs.map(|heir| scope.spawn(move || inherit(heir)));
        threads.map(|thread| thread.join().unwrap()).concat()
    });
    assert_eq!(BTreeSet::from_iter(inherited), BTreeSet::from([0, 1, 2, 3]));
    assert!(!dead.holds());
}

#[test]
fn a_copy_is_what_the_kernel_wrote() {
    let raw = ukevent {
        type_: kevent_sys::KEVENT_TIMER,
        data: 3,
        user: 5,
        ..ukevent::default()
    };
    let event = Event::from(raw);
    assert_eq!(
        (event.kind(), event.data(), event.token()),
        (Kind::Timer, 3, 5)
    );
}
