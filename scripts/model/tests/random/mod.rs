// SPDX-License-Identifier: GPL-2.0

//! The calls, and who runs them on both sides.

mod hostile;
mod model;

use crate::host::*;
use model::Model;
use proptest::prelude::*;
use std::sync::Arc;

const IDS: usize = 5;

/// One call.
#[derive(Clone, Copy, Debug)]
enum Call {
    Add { id: usize, flags: u32 },
    Remove { id: usize },
    Modify { id: usize, flags: u32 },
    Fire { id: usize, bit: u32, count: u64 },
    Take { who: usize },
    Finish { who: usize, which: usize },
    Die { who: usize },
    Get,
    Commit { back: u64 },
    Flush { limit: u32 },
    Reap,
}

fn flags() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => Just(0),
        1 => Just(REQ_ONESHOT),
        1 => Just(REQ_DISPATCH),
        1 => Just(REQ_WAKEUP_ALL),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0..IDS, flags()).prop_map(|(id, flags)| Call::Add { id, flags }),
        1 => (0..IDS).prop_map(|id| Call::Remove { id }),
        1 => (0..IDS, flags()).prop_map(|(id, flags)| Call::Modify { id, flags }),
        12 => (0..IDS, 0..8u32, 0..9u64)
            .prop_map(|(id, bit, count)| Call::Fire { id, bit, count }),
        6 => (0..3usize).prop_map(|who| Call::Take { who }),
        5 => (0..3usize, any::<usize>()).prop_map(|(who, which)| Call::Finish { who, which }),
        1 => (0..3usize).prop_map(|who| Call::Die { who }),
        2 => Just(Call::Get),
        1 => (0..20u64).prop_map(|back| Call::Commit { back }),
        2 => (1..9u32).prop_map(|limit| Call::Flush { limit }),
        1 => Just(Call::Reap),
    ]
}

/// No ring, or its size and where it begins.
fn ring() -> impl Strategy<Value = Option<(u32, u64)>> {
    let start = prop_oneof![
        Just(0),
        (0..40u64).prop_map(|back| (1 << 32) - back),
        (0..40u64).prop_map(|back| (3 << 32) - back),
        // The last laps before their number comes round.
        (0..40u64).prop_map(|back| 256 * 16 - back),
    ];
    prop_oneof![1 => Just(None), 6 => (0..=4u32, start).prop_map(Some)]
}

/// Both sides, and the consumers of the ring.
struct Pair {
    host: Host,
    model: Model,
    handles: [Option<Handle>; IDS],
    /// Ended by ONESHOT, not yet reaped.
    over: Vec<Handle>,
    consumers: Vec<Consumer<Arc<Shared>>>,
    held: Vec<Vec<(Taken, u64)>>,
    last: Vec<u64>,
}

impl Pair {
    fn new(ring: Option<(u32, u64)>) -> Self {
        let host = match ring {
            Some((shift, start)) => Host::starting_at(shift, start),
            None => Host::without_ring(),
        };
        Pair {
            model: Model::new(ring.map(|(shift, _)| 1 << shift)),
            handles: [None; IDS],
            over: Vec::new(),
            consumers: (1..=3).map(|owner| host.consumer(owner)).collect(),
            held: (0..3).map(|_| Vec::new()).collect(),
            last: vec![0; 3],
            host,
        }
    }

    fn run(&mut self, call: Call) {
        match call {
            Call::Add { id, flags } if self.handles[id].is_none() => {
                if self.host.has(id as u64) {
                    // It is over, and has to make way.
                    self.reap();
                }
                self.handles[id] = Some(self.host.add(id as u64, flags));
                self.model.add(id as u64, flags);
            }
            Call::Remove { id } => {
                let Some(handle) = self.handles[id].take() else {
                    return;
                };
                let held = self.model.remove(id as u64);
                assert_eq!(
                    self.host.state.remove(handle).outstanding,
                    held,
                    "OUTSTANDING"
                );
            }
            Call::Modify { id, flags } => {
                let Some(handle) = self.handles[id] else {
                    return;
                };
                let held = self.model.modify(id as u64, flags);
                let changed = template(id as u64, flags);
                assert_eq!(
                    self.host.outstanding(handle, changed),
                    Some(held),
                    "OUTSTANDING"
                );
            }
            Call::Fire { id, bit, count } => {
                let Some(handle) = self.handles[id] else {
                    return;
                };
                // READY, or a source.
                match id {
                    0 => self.host.state.fire(handle, &counts(1 << bit, count)),
                    _ => self.host.report(handle, &counts(1 << bit, count)),
                };
                self.model.fire(id as u64, 1 << bit, count);
            }
            Call::Take { who } => self.take(who),
            Call::Finish { who, which } => {
                if !self.held[who].is_empty() {
                    let which = which % self.held[who].len();
                    let (taken, serial) = self.held[who].remove(which);
                    assert!(self.consumers[who].finish(taken));
                    self.model.finish(serial);
                }
            }
            Call::Die { who } => self.die(who),
            Call::Get => {
                let event = self.host.get();
                let expected = self.model.get();
                let seen = event.map(|e| (e.id, e.word as u32, e.data));
                assert_eq!(seen, expected, "kevent_get_events()");
            }
            Call::Commit { back } => self.commit(back),
            Call::Flush { limit } => {
                assert_eq!(self.host.state.flush(limit), self.model.flush(limit));
            }
            Call::Reap => self.reap(),
            Call::Add { .. } => {}
        }
        self.forget_the_over();
        self.check();
    }

    fn take(&mut self, who: usize) {
        let expected = self.model.take();
        let Some(taken) = self.consumers[who].take() else {
            assert_eq!(expected, None, "an entry that the ring does not show");
            return;
        };
        let consumer = &self.consumers[who];
        let payload = consumer.payload(&taken);
        let seen = (payload.id, taken.word().0 as u32, consumer.data(&taken));
        let (serial, entry) = expected.expect("an entry that should not be there");
        assert_eq!(seen, entry);
        assert_eq!(payload.user, !payload.id);
        assert!(self.last[who] <= serial, "order");
        self.last[who] = serial;
        self.held[who].push((taken, serial));
    }

    /// The consumer's thread ends; another finishes what it held.
    fn die(&mut self, who: usize) {
        let held = std::mem::take(&mut self.held[who]);
        let heir = (who + 1) % 3;
        let recovered = self.consumers[heir].recover(who as u32 + 1);
        assert_eq!(recovered as usize, held.len());
        for (_, serial) in held {
            self.model.finish(serial);
        }
        self.consumers[who] = self.host.consumer(who as u32 + 1);
        self.last[who] = 0;
    }

    /// Only what nobody but a commit may free: the oldest entries, up to the first that is held.
    fn commit(&mut self, back: u64) {
        if self.host.state.ring().is_none() {
            return;
        }
        let head = self.host.head();
        let end = head.saturating_sub(back);
        match self.host.commit(end) {
            Ok(committed) => {
                assert!(!committed.more);
                let freed = self.model.commit(back);
                assert_eq!(committed.freed, freed, "freed");
            }
            Err(error) => assert_eq!(error, CommitError::Wraps),
        }
    }

    fn reap(&mut self) {
        while let Some(dead) = self.host.state.dead() {
            assert!(self.over.contains(&dead));
            self.over.retain(|&handle| handle != dead);
            assert!(!self.host.state.remove(dead).outstanding);
        }
        assert!(self.over.is_empty());
    }

    fn forget_the_over(&mut self) {
        for id in 0..IDS {
            if let Some(handle) = self.handles[id] {
                let over = self.host.state.template(handle).is_none();
                assert_eq!(over, self.model.is_over(id as u64), "ONESHOT of {id}");
                if over {
                    self.handles[id] = None;
                    self.over.push(handle);
                    self.model.forget(id as u64);
                }
            }
        }
    }

    fn check(&mut self) {
        let state = &mut self.host.state;
        assert_eq!(state.pending() as usize, self.model.pending(), "pending");
        let available = self.model.available() as u64;
        assert_eq!(state.available(u64::MAX), available, "available");
        assert_eq!(state.has_events(), available != 0);
        let waiting = u32::from(state.pending() != 0);
        let handles: Vec<_> = self
            .handles
            .iter()
            .flatten()
            .chain(&self.over)
            .copied()
            .collect();
        if state.ring().is_some() {
            state.check_chains(&handles);
            assert_eq!(self.host.pending(), waiting);
            assert_eq!(self.host.published(), self.host.head());
        }
    }

    /// Everything that was fired comes out, once.
    fn drain(&mut self) {
        for who in 0..3 {
            self.die(who);
        }
        while self.host.state.has_events() {
            self.run(Call::Flush { limit: 100 });
            self.run(Call::Take { who: 0 });
            self.run(Call::Finish { who: 0, which: 0 });
            self.run(Call::Get);
        }
        assert_eq!(self.model.available(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 3000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn does_what_the_model_does(
        ring in ring(),
        calls in prop::collection::vec(call(), 1..150),
    ) {
        let mut pair = Pair::new(ring);
        for id in 0..IDS {
            pair.run(Call::Add { id, flags: 0 });
        }
        for call in calls {
            pair.run(call);
        }
        pair.drain();
    }
}
